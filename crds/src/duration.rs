//! Durations as users write them: whole seconds, or Go durations such as `1h30m`.

use chrono::TimeDelta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Why a text is not a Go duration. The messages are those of Go's `time.ParseDuration`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not a number with a unit, or out of range (about 292 years).
    #[error("time: invalid duration {0}")]
    Invalid(Quoted),
    /// A number without a unit.
    #[error("time: missing unit in duration {0}")]
    MissingUnit(Quoted),
    /// A unit that Go does not know, such as `d`.
    #[error("time: unknown unit {unit} in duration {text}")]
    UnknownUnit {
        /// The unit.
        unit: Quoted,
        /// The whole text.
        text: Quoted,
    },
}

/// A text in quotes, with control characters and non-ASCII bytes as `\xNN`, as Go prints it in these messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    fn new(text: &str) -> Self {
        use std::fmt::Write as _;
        let mut quoted = String::from('"');
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
                b' '..=b'~' => quoted.push(char::from(byte)),
                _ => write!(quoted, "\\x{byte:02x}").unwrap_or_default(),
            }
        }
        quoted.push('"');
        Self(quoted)
    }
}

impl std::fmt::Display for Quoted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The length of a pause step: an integer or digits are seconds, anything else a Go duration, of which parts of a
/// second are dropped.
///
/// The error is the number that Argo reports for a pause it refuses: the seconds if they are negative, -1 if the text
/// is unreadable, -2147483648 if it is longer than 2147483647 s (68 years).
pub fn pause(written: &IntOrString) -> Result<TimeDelta, i32> {
    let seconds = match written {
        IntOrString::Int(seconds) => *seconds,
        IntOrString::String(text) => match text.parse::<i32>() {
            Ok(seconds) => seconds,
            Err(_) => i32::try_from(parse(text).map_err(|_| -1)?.num_seconds()).unwrap_or(i32::MIN),
        },
    };
    if seconds < 0 { Err(seconds) } else { Ok(TimeDelta::seconds(seconds.into())) }
}

/// Reads a Go duration: a sign, then numbers with units (`ns`, `us`, `µs`, `ms`, `s`, `m`, `h`) without spaces.
/// Exact to the nanosecond.
pub fn parse(text: &str) -> Result<TimeDelta, Unreadable> {
    let invalid = || Unreadable::Invalid(Quoted::new(text));
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if unsigned == "0" {
        return Ok(TimeDelta::zero());
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut nanoseconds: u64 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (part, after) = part(rest, text)?;
        nanoseconds = nanoseconds.checked_add(part).filter(|sum| *sum <= 1 << 63).ok_or_else(invalid)?;
        rest = after;
    }
    let signed =
        if negative { 0_i64.checked_sub_unsigned(nanoseconds) } else { i64::try_from(nanoseconds).ok() };
    signed.map(TimeDelta::nanoseconds).ok_or_else(invalid)
}

/// One number with its unit, in nanoseconds, and what comes after it.
fn part<'a>(rest: &'a str, text: &str) -> Result<(u64, &'a str), Unreadable> {
    let invalid = || Unreadable::Invalid(Quoted::new(text));
    let (whole, after_whole) = digits(rest);
    let (fraction, after_number) = match after_whole.strip_prefix('.') {
        Some(after_point) => digits(after_point),
        None => ("", after_whole),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let end = after_number.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after_number.len());
    let (unit, after) = after_number.split_at(end);
    let nanoseconds = match unit {
        "" => return Err(Unreadable::MissingUnit(Quoted::new(text))),
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(Unreadable::UnknownUnit { unit: Quoted::new(unit), text: Quoted::new(text) }),
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
    let value = whole
        .checked_mul(nanoseconds)
        .and_then(|whole| whole.checked_add(fraction_of(fraction, nanoseconds)))
        .filter(|value| *value <= 1 << 63)
        .ok_or_else(invalid)?;
    Ok((value, after))
}

/// The digits at the beginning, and what follows.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `0.<digits>` of a unit, rounded down. Digits past the 18th are below a nanosecond for every unit.
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let (value, scale) = digits
        .bytes()
        .take(18)
        .fold((0_u128, 1_u128), |(value, scale), digit| (value * 10 + u128::from(digit - b'0'), scale * 10));
    u64::try_from(value * u128::from(unit) / scale).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_seconds_digits_or_a_go_duration() {
        let seconds = |text: &str| pause(&IntOrString::String(text.to_owned())).map(|it| it.num_seconds());
        assert_eq!(pause(&IntOrString::Int(30)), Ok(TimeDelta::seconds(30)));
        assert_eq!(pause(&IntOrString::Int(-30)), Err(-30));
        assert_eq!(seconds("030"), Ok(30));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("1500ms"), Ok(1));
        assert_eq!(seconds("-5s"), Err(-5));
        assert_eq!(seconds("1d"), Err(-1));
        assert_eq!(seconds(""), Err(-1));
        assert_eq!(seconds("99999999999"), Err(-1));
        assert_eq!(seconds("2562047h"), Err(i32::MIN));
    }

    #[test]
    fn every_nanosecond_of_the_range_can_be_read() {
        assert_eq!(
            parse("2562047h47m16.854775807s").ok().and_then(|it| it.num_nanoseconds()),
            Some(i64::MAX)
        );
        assert_eq!(
            parse("-2562047h47m16.854775808s").ok().and_then(|it| it.num_nanoseconds()),
            Some(i64::MIN)
        );
        assert!(parse("2562047h47m16.854775808s").is_err());
    }
}
