//! Durations as Go writes them, because Argo's flags take them.

use std::{str::FromStr, time::Duration};

/// A duration as Go's `time.ParseDuration` reads it, from `1m30s` to `1.5h`; negative ones are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to read the duration {0:?}: numbers with units such as 15s, 1m30s or 500ms are expected")]
pub struct InvalidDuration(String);

impl FromStr for GoDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidDuration(text.to_owned());
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut rest = text;
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let number_ends = rest.find(|it: char| !it.is_ascii_digit() && it != '.').ok_or_else(invalid)?;
            let (number, after) = rest.split_at(number_ends);
            let unit_ends = after.find(|it: char| it.is_ascii_digit() || it == '.').unwrap_or(after.len());
            let (unit, next) = after.split_at(unit_ends);
            let number: f64 = number.parse().map_err(|_| invalid())?;
            let part = Duration::try_from_secs_f64(number * seconds(unit).ok_or_else(invalid)?);
            total = total.checked_add(part.map_err(|_| invalid())?).ok_or_else(invalid)?;
            rest = next;
        }
        if text.is_empty() { Err(invalid()) } else { Ok(Self(total)) }
    }
}

fn seconds(unit: &str) -> Option<f64> {
    match unit {
        "ns" => Some(1e-9),
        "us" | "µs" => Some(1e-6),
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, expected) in [
            ("15s", Some(15_000)),
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1.5h", Some(5_400_000)),
            ("0", Some(0)),
            ("", None),
            ("15", None),
            ("s", None),
            ("1d", None),
            ("-1s", None),
            ("1..5s", None),
            ("9999999999999999999999h", None),
        ] {
            let read = text.parse::<GoDuration>().ok().map(|it| it.0.as_millis());
            assert_eq!(read, expected, "{text:?}");
        }
    }
}
