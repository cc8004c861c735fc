//! Values by the names that they are for: the most specific name that fits decides.

use std::collections::{BTreeSet, HashMap};

/// An index by exact names, wildcards of any depth (`*.example.org`), beginnings (`example.*`) and the name of all names
/// (`*`).
#[derive(Debug)]
pub struct Names<T> {
    exact: HashMap<Box<str>, Vec<T>>,
    /// By what follows the `*`.
    wildcards: HashMap<Box<str>, Vec<T>>,
    lengths: BTreeSet<usize>,
    /// By what precedes the `*`.
    beginnings: HashMap<Box<str>, Vec<T>>,
    beginning_lengths: BTreeSet<usize>,
    any: Vec<T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            wildcards: HashMap::new(),
            lengths: BTreeSet::new(),
            beginnings: HashMap::new(),
            beginning_lengths: BTreeSet::new(),
            any: Vec::new(),
        }
    }
}

impl<T> Names<T> {
    /// Adds a value. Of those with equal names the first that was added goes first.
    pub fn insert(&mut self, name: &str, value: T) {
        if name == "*" {
            self.any.push(value);
        } else if let Some(suffix) = name.strip_prefix('*') {
            self.lengths.insert(suffix.len());
            self.wildcards.entry(suffix.into()).or_default().push(value);
        } else if let Some(beginning) = name.strip_suffix('*') {
            self.beginning_lengths.insert(beginning.len());
            self.beginnings.entry(beginning.into()).or_default().push(value);
        } else {
            self.exact.entry(name.into()).or_default().push(value);
        }
    }

    /// The first value of the most specific name for which `accepts` holds. `name` is in lower case and without port;
    /// the empty name is only found under `*`.
    #[must_use]
    pub fn find(&self, name: &str, accepts: impl Fn(&T) -> bool) -> Option<&T> {
        let exact = self.exact.get(name).into_iter().flatten();
        let lengths = self.lengths.range(..name.len()).rev();
        let suffixes = lengths.filter_map(|it| self.wildcards.get(name.get(name.len() - it..)?)).flatten();
        let lengths = self.beginning_lengths.range(..name.len()).rev();
        let beginnings = lengths.filter_map(|it| self.beginnings.get(name.get(..*it)?)).flatten();
        exact.chain(suffixes).chain(beginnings).chain(&self.any).find(|it| accepts(it))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty()
            && self.wildcards.is_empty()
            && self.beginnings.is_empty()
            && self.any.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_name_decides() {
        let mut names = Names::default();
        for name in ["*", "*.org", "*.a.org", "a.org", "b.a.org", "a.org", "a.*", "a.b.*"] {
            names.insert(name, name);
        }
        let table = [
            ("a.org", "a.org"),
            ("b.a.org", "b.a.org"),
            ("c.a.org", "*.a.org"),
            ("d.c.a.org", "*.a.org"),
            ("b.org", "*.org"),
            ("a.b.org", "*.org"),
            ("a.net", "a.*"),
            ("a.b.net", "a.b.*"),
            ("a.", "*"),
            (".org", "*"),
            ("org", "*"),
            ("", "*"),
        ];
        for (name, expected) in table {
            assert_eq!(names.find(name, |_| true), Some(&expected), "{name}");
        }
        assert_eq!(names.find("b.a.org", |it| it.starts_with('*')), Some(&"*.a.org"));
        assert_eq!(names.find("a.org", |_| false), None);
    }
}
