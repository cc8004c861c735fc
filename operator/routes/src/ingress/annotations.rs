//! Access to the annotations of one Ingress under the prefix of ingress-nginx.

use std::collections::{BTreeMap, BTreeSet};

/// The annotations of an Ingress, without their prefix, and which of them were looked at.
pub(super) struct Annotations<'a> {
    values: BTreeMap<&'a str, &'a str>,
    read: BTreeSet<&'static str>,
}

impl<'a> Annotations<'a> {
    pub(super) fn new(all: &'a BTreeMap<String, String>, prefix: &str) -> Self {
        let own = |(name, value): (&'a String, &'a String)| {
            Some((name.strip_prefix(prefix)?.strip_prefix('/')?, value.trim()))
        };
        Self { values: all.iter().filter_map(own).collect(), read: BTreeSet::new() }
    }

    /// Those that nobody has looked at.
    pub(super) fn unread(&self) -> Vec<&'a str> {
        self.values.keys().filter(|name| !self.read.contains(*name)).copied().collect()
    }

    /// A text; an empty one is none.
    pub(super) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.read.insert(name);
        self.values.get(name).copied().filter(|value| !value.is_empty())
    }

    /// Whether an annotation has this value; if so, it was looked at.
    pub(super) fn is(&mut self, name: &'static str, value: &str) -> bool {
        let is = self.values.get(name).is_some_and(|written| *written == value);
        if is {
            self.read.insert(name);
        }
        is
    }

    /// `true` or `false`, in the spellings of Go's `ParseBool`.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, String> {
        match self.text(name) {
            None => Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(other) => Err(format!("`{name}` is `{other}`, not true or false")),
        }
    }

    /// A whole number within these bounds.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        least: u32,
        most: u32,
    ) -> Result<Option<u32>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse::<u32>() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(format!("`{name}` is `{text}`, not a whole number from {least} to {most}")),
        }
    }

    /// Texts between commas; `None` if there is no such annotation.
    pub(super) fn list(&mut self, name: &'static str) -> Option<Vec<String>> {
        let texts = self.text(name)?.split(',').map(str::trim).filter(|text| !text.is_empty());
        Some(texts.map(str::to_owned).collect())
    }
}
