//! How Go programs write and read JSON, where serde does it differently.
//!
//! Argo Rollouts and its tools are written in Go: an absent field and its zero value (`""`, `0`, `false`, `null`)
//! mean the same, and times have whole seconds. These functions are the serde attributes that keep our objects
//! indistinguishable from theirs.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serializer};

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
