//! How Go programs write and read JSON, where serde does it differently.
//!
//! Argo Rollouts and its tools are written in Go: an absent field and its zero value (`""`, `0`, `false`, `null`)
//! mean the same, and times have whole seconds. These functions are the serde attributes that keep our objects
//! indistinguishable from theirs.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::Value;

/// The text of a time in every object: `2030-03-04T05:06:07Z`.
#[must_use]
pub fn rfc3339_seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Writes a time with whole seconds.
pub fn seconds<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339_seconds(*time))
}

/// Writes an optional time with whole seconds; an absent one as `null` (skip it with `skip_serializing_if`).
pub fn optional_seconds<S: Serializer>(
    time: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}

/// Reads `null` as the zero value of the type.
pub fn null_is_zero<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads `""` as absent, because Go leaves empty strings out.
pub fn non_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// Reads a word of a closed set; `""` and words of other versions read as absent. For status only, which its
/// controller writes anew in each pass.
pub fn known_word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    use serde::de::IntoDeserializer as _;
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let word: Result<T, serde::de::value::Error> = T::deserialize(text.into_deserializer());
    Ok(word.ok())
}

/// Whether a flag has the value that Go leaves out.
#[must_use]
pub fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Whether a number has the value that Go leaves out.
#[must_use]
pub fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// Writes `100.0` as `100`, as Go does, everywhere in a value. For YAML that did not come through the API server
/// (annotations, files): there an integer field may be written so, and Kubernetes takes it.
pub fn write_whole_numbers_as_integers(value: &mut Value) {
    /// Up to here every whole float is exactly one integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT);
            #[expect(clippy::cast_possible_truncation, reason = "the float is whole and in range")]
            if let Some(whole) = whole {
                *value = (whole as i64).into();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers_as_integers),
        Value::Object(fields) => fields.values_mut().for_each(write_whole_numbers_as_integers),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::rollout::{RolloutPhase, RolloutStatus};

    #[test]
    fn a_time_is_written_with_whole_seconds() {
        let time = DateTime::parse_from_rfc3339("2030-03-04T07:06:07.987+02:00").unwrap().to_utc();
        let status = RolloutStatus { aborted_at: Some(time), ..RolloutStatus::default() };
        assert_eq!(serde_json::to_value(status).unwrap(), json!({"abortedAt": "2030-03-04T05:06:07Z"}));
    }

    #[test]
    fn null_empty_and_absent_mean_the_same() {
        let status = json!({
            "abort": null, "pauseConditions": null, "stableRS": "", "currentStepIndex": null, "phase": "",
            "canary": null, "message": null,
        });
        assert_eq!(serde_json::from_value::<RolloutStatus>(status).unwrap(), RolloutStatus::default());
    }

    #[test]
    fn a_word_of_another_version_in_a_status_reads_as_absent() {
        let read =
            |phase: &str| serde_json::from_value::<RolloutStatus>(json!({ "phase": phase })).unwrap().phase;
        assert_eq!(read("Healthy"), Some(RolloutPhase::Healthy));
        assert_eq!(read("Thriving"), None);
    }

    #[test]
    fn only_whole_floats_become_integers() {
        let mut value = json!({"a": [100.0, 1.5, -3.0, 1e300], "b": 7});
        write_whole_numbers_as_integers(&mut value);
        assert_eq!(value.to_string(), r#"{"a":[100,1.5,-3,1e+300],"b":7}"#);
    }
}
