//! Typed access to the fields of a spec. An absent field and `null` are the same.

use std::collections::BTreeMap;

use proxy_config::model::{NamedMatch, TextMatch};
use serde_json::{Map, Value};

/// The fields of one spec.
pub(super) struct Fields<'a>(pub &'a Map<String, Value>);

impl Fields<'_> {
    pub(super) fn value(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<String>, String> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("`{field}` is {}, not a text", kind(other))),
        }
    }

    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, String> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(format!("`{field}` is {}, not true or false", kind(other))),
        }
    }

    pub(super) fn integer(&self, field: &str) -> Result<Option<i64>, String> {
        match self.value(field) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(format!("`{field}` is {}, not a whole number", kind(value))),
            },
        }
    }

    /// Milliseconds, `default` if absent.
    pub(super) fn milliseconds(&self, field: &str, default: u32) -> Result<u32, String> {
        match self.integer(field)? {
            None => Ok(default),
            Some(number) => {
                u32::try_from(number).map_err(|_| format!("`{field}` is {number}, not 0 to {}", u32::MAX))
            }
        }
    }

    /// Names with a text, or with `true` for "present", in order of the names.
    pub(super) fn matches(&self, field: &str, regex: bool) -> Result<BTreeMap<String, TextMatch>, String> {
        let object = match self.value(field) {
            None => return Ok(BTreeMap::new()),
            Some(Value::Object(object)) => object,
            Some(other) => return Err(format!("`{field}` is {}, not names with values", kind(other))),
        };
        let entry = |(name, value): (&String, &Value)| match value {
            Value::Bool(true) => Ok((name.clone(), TextMatch::Present)),
            Value::String(text) if regex => Ok((name.clone(), TextMatch::Regex(text.clone()))),
            Value::String(text) => Ok((name.clone(), TextMatch::Exact(text.clone()))),
            other => Err(format!("`{field}.{name}` is {}, not a text or true", kind(other))),
        };
        object.iter().map(entry).collect()
    }

    /// A text or a list of texts.
    pub(super) fn texts(&self, field: &str) -> Result<Option<Vec<String>>, String> {
        let refuse = |value: &Value| format!("`{field}` is {}, not a text or a list of texts", kind(value));
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(vec![text.clone()])),
            Some(Value::Array(items)) => {
                let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| refuse(item));
                items.iter().map(text).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(refuse(other)),
        }
    }
}

pub(super) fn named(matches: BTreeMap<String, TextMatch>) -> impl Iterator<Item = NamedMatch> {
    matches.into_iter().map(|(name, value)| NamedMatch { name, value })
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
