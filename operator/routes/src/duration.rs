//! Times as Go and protobuf write them: `1s`, `300ms`, `1.5s`, `1m30s`.

/// The milliseconds of a text; a fraction of one counts as one.
pub(crate) fn milliseconds(text: &str) -> Result<u32, String> {
    let refuse = || format!("`{text}` is not a time such as `1s` or `300ms`");
    let (mut total, mut rest) = (0.0_f64, text.trim());
    if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !(it.is_ascii_digit() || it == '.')).ok_or_else(refuse)?;
        let number: f64 = rest[..digits].parse().map_err(|_| refuse())?;
        rest = &rest[digits..];
        let unit_ends = rest.find(|it: char| it.is_ascii_digit() || it == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..unit_ends] {
                "ns" => 1e-6,
                "us" | "µs" => 1e-3,
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 6e4,
                "h" => 3.6e6,
                _ => return Err(refuse()),
            };
        rest = &rest[unit_ends..];
    }
    if total > f64::from(u32::MAX) {
        return Err(refuse());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to u32::MAX after the check"
    )]
    Ok(total.ceil() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_the_table_says() {
        let table = [
            ("1s", Some(1000)),
            ("300ms", Some(300)),
            ("1.5s", Some(1500)),
            ("1m30s", Some(90_000)),
            ("0s", Some(0)),
            ("1us", Some(1)),
            ("", None),
            ("1", None),
            ("s", None),
            ("1 s", None),
            ("-1s", None),
            ("1000000h", None),
        ];
        for (text, expected) in table {
            assert_eq!(milliseconds(text).ok(), expected, "{text}");
        }
    }
}
