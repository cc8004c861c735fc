//! Typed access to the fields of a spec. An absent field and `null` are the same.

use std::{collections::BTreeMap, sync::LazyLock};

use proxy_config::model::{NamedMatch, TextMatch};
use serde_json::{Map, Value};

/// The fields of one spec.
pub(crate) struct Fields<'a>(pub &'a Map<String, Value>);

/// The fields of an object without any.
static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

impl<'a> Fields<'a> {
    /// Those of a value that is an object; another one is `what`, and named so.
    pub(crate) fn of(value: &'a Value, what: &str) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self(&NONE)),
            Value::Object(object) => Ok(Self(object)),
            other => Err(format!("`{what}` is {}, not an object", kind(other))),
        }
    }

    pub(crate) fn value(&self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// The fields of a field; of an absent one there are none.
    pub(crate) fn object(&self, field: &str) -> Result<Self, String> {
        self.value(field).map_or(Ok(Self(&NONE)), |value| Self::of(value, field))
    }

    pub(crate) fn text(&self, field: &str) -> Result<Option<String>, String> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("`{field}` is {}, not a text", kind(other))),
        }
    }

    pub(crate) fn flag(&self, field: &str) -> Result<Option<bool>, String> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(format!("`{field}` is {}, not true or false", kind(other))),
        }
    }

    pub(crate) fn integer(&self, field: &str) -> Result<Option<i64>, String> {
        match self.value(field) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(number) => Ok(Some(number)),
                None => Err(format!("`{field}` is {}, not a whole number", kind(value))),
            },
        }
    }

    /// Milliseconds, `default` if absent.
    pub(crate) fn milliseconds(&self, field: &str, default: u32) -> Result<u32, String> {
        match self.integer(field)? {
            None => Ok(default),
            Some(number) => {
                u32::try_from(number).map_err(|_| format!("`{field}` is {number}, not 0 to {}", u32::MAX))
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn number(&self, field: &str, least: u32, most: u32) -> Result<Option<u32>, String> {
        let Some(number) = self.integer(field)? else { return Ok(None) };
        match u32::try_from(number) {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(format!("`{field}` is {number}, not {least} to {most}")),
        }
    }

    /// Names with texts, in order of the names.
    pub(crate) fn labels(&self, field: &str) -> Result<BTreeMap<String, String>, String> {
        let Self(object) = self.object(field)?;
        let entry = |(name, value): (&String, &Value)| match value {
            Value::String(text) => Ok((name.clone(), text.clone())),
            other => Err(format!("`{field}.{name}` is {}, not a text", kind(other))),
        };
        object.iter().map(entry).collect()
    }

    /// Names with a text, or with `true` for "present", in order of the names.
    pub(crate) fn matches(&self, field: &str, regex: bool) -> Result<BTreeMap<String, TextMatch>, String> {
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
    pub(crate) fn texts(&self, field: &str) -> Result<Option<Vec<String>>, String> {
        self.value(field).map(|value| texts(field, value)).transpose()
    }
}

/// A text or a list of texts, which is the value of `field`.
pub(crate) fn texts(field: &str, value: &Value) -> Result<Vec<String>, String> {
    let refuse = |value: &Value| format!("`{field}` is {}, not a text or a list of texts", kind(value));
    match value {
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Array(items) => {
            let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| refuse(item));
            items.iter().map(text).collect()
        }
        other => Err(refuse(other)),
    }
}

pub(crate) fn named(matches: BTreeMap<String, TextMatch>) -> impl Iterator<Item = NamedMatch> {
    matches.into_iter().map(|(name, value)| NamedMatch { name, value })
}

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
