//! Values by key, as a pass computes them. They are put in order once, when they are compared with what there was.

use std::collections::BTreeMap;

use proxy_config::table::Table;

/// New values by key; `None` is gone. A later entry for the same key replaces an earlier one.
#[derive(Debug)]
pub(super) struct Entries<K, V>(Vec<(K, Option<V>)>);

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K, V> Extend<(K, Option<V>)> for Entries<K, V> {
    fn extend<T: IntoIterator<Item = (K, Option<V>)>>(&mut self, entries: T) {
        self.0.extend(entries);
    }
}

impl<K: Ord + Clone, V> Entries<K, V> {
    pub(super) fn insert(&mut self, key: K, value: Option<V>) {
        self.0.push((key, value));
    }

    /// Everything that is now; what was and is no more is gone.
    pub(super) fn replace_all<'a>(&mut self, before: impl Iterator<Item = &'a K>, now: BTreeMap<K, V>)
    where
        K: 'a,
    {
        self.extend(before.map(|id| (id.clone(), None)));
        self.extend(now.into_iter().map(|(id, value)| (id, Some(value))));
    }

    /// Those that are there, as far as it is known so far.
    pub(super) fn there(&self) -> BTreeMap<&K, &V> {
        let mut there = BTreeMap::new();
        for (key, value) in &self.0 {
            match value {
                Some(value) => there.insert(key, value),
                None => there.remove(key),
            };
        }
        there
    }

    /// In order of the keys, each with its last value.
    fn in_order(self) -> Vec<(K, Option<V>)> {
        let Self(mut entries) = self;
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.dedup_by(|(later, new), (earlier, old)| {
            let same = later == earlier;
            if same {
                *old = new.take();
            }
            same
        });
        entries
    }
}

impl<K: Ord + Clone, V: PartialEq + Clone> Entries<K, V> {
    /// Puts the new values into `current` and returns those that differ from what was there, in order of the keys.
    pub(super) fn settle<C: FromIterator<(K, Option<V>)>>(self, current: &mut impl Map<K, V>) -> C {
        let entries = self.in_order();
        if current.is_empty() {
            // All at once, which costs no search.
            let there = || entries.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
            *current = there().collect();
            return entries.into_iter().filter(|(_, value)| value.is_some()).collect();
        }
        let differs = |(key, value): &(K, Option<V>)| match value {
            None => current.remove(key).is_some(),
            Some(value) if current.get(key) == Some(value) => false,
            Some(value) => {
                current.insert(key.clone(), value.clone());
                true
            }
        };
        entries.into_iter().filter(differs).collect()
    }
}

/// A map, of either kind.
pub(super) trait Map<K, V>: FromIterator<(K, V)> {
    fn is_empty(&self) -> bool;
    fn get(&self, key: &K) -> Option<&V>;
    fn insert(&mut self, key: K, value: V) -> Option<V>;
    fn remove(&mut self, key: &K) -> Option<V>;
}

macro_rules! map {
    ($map:ident) => {
        impl<K: Ord + Clone, V: Clone> Map<K, V> for $map<K, V> {
            fn is_empty(&self) -> bool {
                self.is_empty()
            }

            fn get(&self, key: &K) -> Option<&V> {
                self.get(key)
            }

            fn insert(&mut self, key: K, value: V) -> Option<V> {
                self.insert(key, value)
            }

            fn remove(&mut self, key: &K) -> Option<V> {
                self.remove(key)
            }
        }
    };
}

map!(BTreeMap);
map!(Table);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_key_counts_and_what_is_the_same_is_no_difference() {
        // what there was, what is new, what differs
        let table: [(&[_], &[_], &[_]); 5] = [
            (&[], &[("b", Some(1)), ("a", Some(2)), ("b", None)], &[("a", Some(2))]),
            (&[], &[("b", None), ("b", Some(1)), ("a", None)], &[("b", Some(1))]),
            (&[("a", 1)], &[("a", Some(2)), ("a", Some(1))], &[]),
            (&[("a", 1)], &[("c", Some(3)), ("a", None), ("b", None)], &[("a", None), ("c", Some(3))]),
            (
                &[("a", 1), ("b", 2)],
                &[("b", None), ("a", None), ("b", Some(3))],
                &[("a", None), ("b", Some(3))],
            ),
        ];
        for (before, new, expected) in table {
            let mut current: BTreeMap<_, _> = before.iter().copied().collect();
            let mut entries = Entries::default();
            entries.extend(new.iter().copied());
            let there: Vec<_> = entries.there().into_iter().map(|(key, value)| (*key, *value)).collect();
            let differs: Vec<_> = entries.settle(&mut current);
            assert_eq!(differs, expected, "{before:?} {new:?}");
            assert!(
                there.iter().all(|(key, value)| current.get(key) == Some(value)),
                "{there:?} {current:?}"
            );
        }
    }
}
