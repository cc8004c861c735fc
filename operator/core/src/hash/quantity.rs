//! The canonical text of a Kubernetes quantity.
//!
//! A quantity keeps the text it was written with if that is already in its canonical form, by a test of Kubernetes
//! that is quicker than exact (`12e-1` passes none of it, `0100` does). Otherwise it is written anew: in steps of
//! thousands for decimal units and exponents, of 1024 for binary units.

use std::fmt::Write as _;

/// Smallest unit: nano.
const NANO: i32 = -9;
/// Digits that Kubernetes computes with in 64 bits.
const FAST_DIGITS: i32 = 18;

/// How the number goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `m`, none, `k`, `M` …
    Decimal,
    /// `e3`.
    Exponent,
    /// `Ki`, `Mi` …
    Binary,
}

/// A quantity as it was written: `sign digits.fraction × base^exponent`.
struct Written<'a> {
    negative: bool,
    digits: &'a str,
    fraction: &'a str,
    format: Format,
    exponent: i32,
}

/// The canonical text, or none if the text is not a quantity. A unit without digits is 0, as Kubernetes has it.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let text = text.trim();
    if text == "0" {
        return Some(text.to_owned());
    }
    let written = parse(text)?;
    if is_kept(&written) {
        return Some(text.to_owned());
    }
    let amount = amount(&written);
    Some(print(&amount, written.format))
}

/// The value in billionths; none if the text is not a quantity, or its value is too large for 128 bits.
pub(crate) fn billionths(text: &str) -> Option<i128> {
    let amount = amount(&parse(text.trim())?);
    let digits = amount
        .digits
        .iter()
        .try_fold(0_i128, |value, digit| value.checked_mul(10)?.checked_add(i128::from(*digit)))?;
    // Nothing is left below a billionth.
    let value = digits.checked_mul(10_i128.checked_pow(u32::try_from(amount.scale - NANO).ok()?)?)?;
    Some(if amount.negative { -value } else { value })
}

fn parse(text: &str) -> Option<Written<'_>> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') {
        return None;
    }
    let (format, exponent) = unit(suffix)?;
    let digits = whole.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    Some(Written { negative, digits, fraction, format, exponent })
}

fn unit(suffix: &str) -> Option<(Format, i32)> {
    const DECIMAL: [(&str, i32); 10] = [
        ("n", -9),
        ("u", -6),
        ("m", -3),
        ("", 0),
        ("k", 3),
        ("M", 6),
        ("G", 9),
        ("T", 12),
        ("P", 15),
        ("E", 18),
    ];
    const BINARY: [(&str, i32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
    let find = |units: &[(&str, i32)]| units.iter().find(|(unit, _)| *unit == suffix).map(|unit| unit.1);
    if let Some(exponent) = find(&DECIMAL) {
        return Some((Format::Decimal, exponent));
    }
    if let Some(exponent) = find(&BINARY) {
        return Some((Format::Binary, exponent));
    }
    let exponent: i64 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    // Far outside of what any resource can be; keeps the digits that are written out bounded.
    let exponent = i32::try_from(exponent).ok().filter(|exponent| exponent.abs() <= 1000)?;
    Some((Format::Exponent, exponent))
}

/// Whether the text is kept as it was written.
fn is_kept(written: &Written<'_>) -> bool {
    let length = |digits: &str| i32::try_from(digits.len()).unwrap_or(i32::MAX / 2);
    let shifted = format!("{}{}", written.digits, written.fraction);
    match written.format {
        Format::Decimal | Format::Exponent => {
            let scale = written.exponent - length(written.fraction);
            length(&shifted) <= FAST_DIGITS
                && scale >= NANO
                && scale % 3 == 0
                && !shifted.ends_with("000")
                && !shifted.starts_with('0')
        }
        Format::Binary => {
            let precision = 15 - length(written.digits) - written.exponent * 3 / 10 - 1;
            let value = shifted.parse::<u64>().unwrap_or_default();
            written.fraction.is_empty() && precision >= 0 && value & 7 != 0
        }
    }
}

/// A decimal number: `sign digits × 10^scale`. `digits` has no leading zeros; empty = 0.
struct Amount {
    negative: bool,
    digits: Vec<u8>,
    scale: i32,
}

/// The value in exact decimal digits, rounded away from zero to nano; a binary one at most 2^63 − 1.
fn amount(written: &Written<'_>) -> Amount {
    let digits = written.digits.bytes().chain(written.fraction.bytes()).map(|digit| digit - b'0').collect();
    let fraction = i32::try_from(written.fraction.len()).unwrap_or(i32::MAX / 2);
    let mut amount = Amount { negative: written.negative, digits, scale: -fraction };
    match written.format {
        Format::Decimal | Format::Exponent => amount.scale += written.exponent,
        Format::Binary => (0..written.exponent).for_each(|_| double(&mut amount.digits)),
    }
    amount.normalise();
    amount.round_up_to_nano();
    if written.format == Format::Binary
        && amount.whole().is_none_or(|whole| whole > u128::from(i64::MAX.cast_unsigned()))
    {
        amount.digits = i64::MAX.to_string().bytes().map(|digit| digit - b'0').collect();
        amount.scale = 0;
    }
    amount.normalise();
    amount
}

impl Amount {
    /// Drops leading and trailing zeros.
    fn normalise(&mut self) {
        let leading = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..leading);
        while self.digits.last() == Some(&0) {
            self.digits.pop();
            self.scale += 1;
        }
    }

    fn round_up_to_nano(&mut self) {
        let Ok(excess) = usize::try_from(NANO - self.scale) else { return };
        if excess == 0 || self.digits.is_empty() {
            return;
        }
        // Trailing zeros are gone, so what is cut off is never zero.
        self.digits.truncate(self.digits.len().saturating_sub(excess));
        self.scale = NANO;
        increment(&mut self.digits);
        self.normalise();
    }

    /// The digits before the decimal point, or none if that is too much for 128 bits.
    fn whole(&self) -> Option<u128> {
        let dropped = usize::try_from(-self.scale).unwrap_or(0);
        let kept = &self.digits[..self.digits.len().saturating_sub(dropped)];
        let value = kept
            .iter()
            .try_fold(0_u128, |value, digit| value.checked_mul(10)?.checked_add(u128::from(*digit)))?;
        let zeros = u32::try_from(self.scale.max(0)).unwrap_or_default();
        value.checked_mul(10_u128.checked_pow(zeros)?)
    }

    fn is_whole(&self) -> bool {
        self.scale >= 0
    }
}

fn print(amount: &Amount, format: Format) -> String {
    if amount.digits.is_empty() {
        return "0".to_owned();
    }
    let sign = if amount.negative { "-" } else { "" };
    let binary = match format {
        Format::Binary if amount.is_whole() => amount.whole().filter(|whole| *whole >= 1024),
        Format::Binary | Format::Decimal | Format::Exponent => None,
    };
    if let Some(mut whole) = binary {
        let mut units = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
        let mut unit = units.next().unwrap_or_default();
        while whole % 1024 == 0
            && let Some(next) = units.next()
        {
            whole /= 1024;
            unit = next;
        }
        return format!("{sign}{whole}{unit}");
    }
    let exponent = amount.scale.div_euclid(3) * 3;
    let zeros = amount.scale.rem_euclid(3);
    let mut text = sign.to_owned();
    text.extend(amount.digits.iter().map(|digit| char::from(digit + b'0')));
    text.extend((0..zeros).map(|_| '0'));
    match format {
        // Writing to a String cannot fail.
        Format::Exponent if exponent != 0 => drop(write!(text, "e{exponent}")),
        Format::Exponent => {}
        Format::Decimal | Format::Binary => text.push_str(decimal_unit(exponent)),
    }
    text
}

/// Kubernetes has no unit above 10^18 and then writes none.
fn decimal_unit(exponent: i32) -> &'static str {
    match exponent {
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        18 => "E",
        _ => "",
    }
}

fn double(digits: &mut Vec<u8>) {
    let mut carry = 0;
    for digit in digits.iter_mut().rev() {
        let sum = *digit * 2 + carry;
        *digit = sum % 10;
        carry = sum / 10;
    }
    if carry > 0 {
        digits.insert(0, carry);
    }
}

fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        *digit = (*digit + 1) % 10;
        if *digit != 0 {
            return;
        }
    }
    digits.insert(0, 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_text_is_kept_and_another_is_written_anew() {
        for (text, expected) in [
            ("0", "0"),
            ("0.0", "0"),
            ("0Gi", "0"),
            ("m", "0"),
            ("500m", "500m"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1000m", "1"),
            ("1e3", "1e3"),
            ("1.5e3", "1500"),
            ("1000e3", "1e6"),
            ("12e-1", "1200e-3"),
            ("0100", "0100"),
            ("+1", "+1"),
            ("-0.5", "-500m"),
            ("1.0000000001", "1000000001n"),
            ("0.0000000001", "1n"),
            ("0.9999999999", "1"),
            ("1Gi", "1Gi"),
            ("8Gi", "8Gi"),
            ("1024Mi", "1Gi"),
            ("0.1Gi", "107374182400m"),
            ("0.5Gi", "512Mi"),
            ("2.5Ki", "2560"),
            ("0.5Ki", "512"),
            ("-2048Ki", "-2Mi"),
            ("16Ei", "9223372036854775807"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn quantities_of_every_unit_can_be_compared() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1n", Some(1)),
            ("-500m", Some(-500_000_000)),
            ("1.5e3", Some(1_500_000_000_000)),
            ("1Ki", Some(1_024_000_000_000)),
            ("16Ei", Some(i128::from(i64::MAX) * 1_000_000_000)),
            ("123456789012345678901234567890123", None),
            ("abc", None),
        ] {
            assert_eq!(billionths(text), expected, "{text}");
        }
        assert!(billionths("1G") < billionths("1Gi"));
    }

    #[test]
    fn what_is_not_a_quantity_has_no_text() {
        for text in ["", "1_000", "1K", "1kk", "abc", "1e", "1e1.5", "1.2.3", "1 Gi", "1e9999999"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
