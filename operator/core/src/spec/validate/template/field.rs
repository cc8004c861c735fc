//! A place in a template: its path and what is written there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Checked, NEGATIVE};
use crate::spec::Invalid;

/// A value and its path. A value that is absent, `null` or of another type reads as Go's zero value (`""`, 0, `false`,
/// no items): a wrong type is told when the template is hashed.
pub(super) struct Field<'v> {
    path: String,
    value: &'v Value,
}

impl<'v> Field<'v> {
    pub(super) fn new(path: &str, value: &'v Value) -> Self {
        Self { path: path.to_owned(), value }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn child(&self, name: &str) -> Self {
        Self { path: format!("{}.{name}", self.path), value: self.value.get(name).unwrap_or(&Value::Null) }
    }

    /// The items of a list: `containers[0]`.
    pub(super) fn items(&self) -> impl Iterator<Item = Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(index, value)| Self { path: format!("{}[{index}]", self.path), value })
    }

    /// The values of a map by key: `requests[cpu]`.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'v str, Self)> {
        let entries = self.value.as_object().into_iter().flatten();
        entries.map(|(key, value)| (key.as_str(), Self { path: format!("{}[{key}]", self.path), value }))
    }

    /// A map of texts; entries that are not text are left out.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        let entries = self.value.as_object().into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }

    pub(super) fn value(&self) -> &'v Value {
        self.value
    }

    pub(super) fn text(&self) -> &'v str {
        self.value.as_str().unwrap_or_default()
    }

    pub(super) fn number(&self) -> i64 {
        self.value.as_i64().unwrap_or_default()
    }

    /// Something is written, if only `{}`.
    pub(super) fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    // === checks ===

    /// A text or list that must not be empty.
    pub(super) fn is_required(&self) -> Checked {
        self.is_required_because("")
    }

    pub(super) fn is_required_because(&self, why: &str) -> Checked {
        let is_empty = match self.value {
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
        };
        if is_empty { Err(Invalid::required(&self.path, why)) } else { Ok(()) }
    }

    pub(super) fn is_unset_because(&self, why: &str) -> Checked {
        if self.is_set() { Err(Invalid::forbidden(&self.path, why)) } else { Ok(()) }
    }

    pub(super) fn is_empty_because(&self, why: &str) -> Checked {
        if self.items().next().is_some() { Err(Invalid::forbidden(&self.path, why)) } else { Ok(()) }
    }

    /// A word, if one is written, is one of these.
    pub(super) fn is_one_of(&self, words: &'static [&'static str]) -> Checked {
        match self.text() {
            "" => Ok(()),
            word if words.contains(&word) => Ok(()),
            word => Err(Invalid::unsupported(&self.path, word, words)),
        }
    }

    /// The text follows a rule of [`super::names`].
    pub(super) fn is_named(&self, rule: fn(&str) -> Option<String>) -> Checked {
        match rule(self.text()) {
            Some(why) => Err(self.invalid(why)),
            None => Ok(()),
        }
    }

    /// The same, if anything is written.
    pub(super) fn is_named_if_set(&self, rule: fn(&str) -> Option<String>) -> Checked {
        if self.text().is_empty() { Ok(()) } else { self.is_named(rule) }
    }

    pub(super) fn is_not_negative(&self) -> Checked {
        if self.number() < 0 { Err(self.invalid(NEGATIVE)) } else { Ok(()) }
    }

    pub(super) fn is_between(&self, least: i64, most: i64) -> Checked {
        if (least..=most).contains(&self.number()) {
            return Ok(());
        }
        let why = format!("must be between {least} and {most}, inclusive");
        Err(Invalid::value(&self.path, &self.number(), why))
    }

    pub(super) fn invalid(&self, why: impl Into<String>) -> Invalid {
        let empty = Value::String(String::new());
        Invalid::value(&self.path, if self.is_set() { self.value } else { &empty }, why)
    }
}
