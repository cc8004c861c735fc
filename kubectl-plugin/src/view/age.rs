//! Ages as kubectl prints them: `45s`, `3m39s`, `2d7h`.

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

/// The time since an object was created; `<unknown>` as long as it has no creation time.
#[must_use]
pub fn of(metadata: &ObjectMeta, now: DateTime<Utc>) -> String {
    metadata.creation_timestamp.as_ref().and_then(utc).map_or_else(unknown, |created| since(created, now))
}

/// The time since `then`.
#[must_use]
pub fn since(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    human(now - then)
}

/// What kubectl prints for an object without a creation time.
#[must_use]
pub fn unknown() -> String {
    String::from("<unknown>")
}

/// A duration in one or two units, the shorter the older: Kubernetes' `duration.HumanDuration`. A second of clock
/// skew into the future counts as `0s`, more as `<invalid>`.
#[must_use]
pub fn human(duration: TimeDelta) -> String {
    let (seconds, minutes, hours) = (duration.num_seconds(), duration.num_minutes(), duration.num_hours());
    let days = hours / 24;
    match seconds {
        ..-1 => String::from("<invalid>"),
        -1 => String::from("0s"),
        0..120 => format!("{seconds}s"),
        120..600 => two_units(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two_units(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two_units(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two_units(days / 365, "y", days % 365, "d"),
        252_288_000.. => format!("{}y", days / 365),
    }
}

/// A time of the Kubernetes API as the type that the rest of this crate reckons with.
#[must_use]
pub fn utc(time: &Time) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.0.as_second(), 0)
}

fn two_units(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_get_coarser_as_they_grow() {
        for (seconds, text) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (28_799, "7h59m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (691_199, "7d23h"),
            (691_200, "8d"),
            (63_071_999, "729d"),
            (63_072_000, "2y"),
            (252_287_999, "7y364d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(human(TimeDelta::seconds(seconds)), text, "{seconds} seconds");
        }
    }
}
