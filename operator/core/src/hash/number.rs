//! Numbers as Go's `encoding/json` prints them.

use serde_json::Number;

/// The text of a number that was read without a type: a 64-bit integer if it is one, otherwise a float.
pub(crate) fn go_text(number: &Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => integer.to_string(),
        (None, Some(float)) => float_text(float),
        // Every number of serde_json is one of the two, unless arbitrary precision is enabled, which it never is.
        (None, None) => number.to_string(),
    }
}

/// The shortest text that reads as the same float: plain between 1e-6 and 1e21, otherwise with an exponent.
pub(super) fn float_text(float: f64) -> String {
    let magnitude = float.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return float.to_string();
    }
    // Rust writes `1.5e21` and `1e-7`; Go writes a sign in front of every exponent, and drops leading zeros.
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if !exponent.starts_with('-') => format!("{mantissa}e+{exponent}"),
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (float, text) in [
            (0.5, "0.5"),
            (1.0, "1"),
            (1e9, "1000000000"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.25e22, "1.25e+22"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (-2.5, "-2.5"),
            (-0.0, "-0"),
        ] {
            assert_eq!(float_text(float), text);
        }
    }
}
