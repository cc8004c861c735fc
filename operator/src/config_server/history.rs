//! Values as they were at each revision of the configuration, as far back as some proxy may still serve.

use std::collections::{BTreeMap, BTreeSet};

/// Counts the commits of one epoch; 0 is before the first. It is the `seq` of a commit's position.
pub(crate) type Revision = u64;

/// What each key stood for, by revision.
#[derive(Clone, Debug)]
pub(crate) struct History<K, V> {
    /// By key, in order of the revisions; never empty.
    entries: BTreeMap<K, Vec<(Revision, Option<V>)>>,
    /// The keys with an entry at each revision.
    changed: BTreeMap<Revision, BTreeSet<K>>,
}

impl<K, V> Default for History<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), changed: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V> History<K, V> {
    /// From `revision` on, `key` stands for `value`. Revisions never go back.
    pub(crate) fn set(&mut self, revision: Revision, key: K, value: Option<V>) {
        self.changed.entry(revision).or_default().insert(key.clone());
        // Most have one, and there are thousands.
        let entries = self.entries.entry(key).or_insert_with(|| Vec::with_capacity(1));
        match entries.last_mut() {
            Some(last) if last.0 == revision => last.1 = value,
            _ => entries.push((revision, value)),
        }
    }

    /// The proxies that serve what `key` stood for last serve `value`: the configuration behind it is the same. A
    /// key that stood for nothing stands for `value` from `revision` on.
    pub(crate) fn amend(&mut self, revision: Revision, key: K, value: Option<V>) {
        match self.entries.get_mut(&key).and_then(|entries| entries.last_mut()) {
            Some(last) if last.1.is_some() => last.1 = value,
            Some(_) | None => self.set(revision, key, value),
        }
    }

    /// What `key` stood for at `revision`.
    pub(crate) fn at(&self, key: &K, revision: Revision) -> Option<&V> {
        let entries = self.entries.get(key)?;
        let after = entries.partition_point(|(since, _)| *since <= revision);
        entries[..after].last()?.1.as_ref()
    }

    /// All keys that stood for something at some revision that is still kept.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    /// Whether `key` stood for something at some revision that is still kept.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// The keys with a change after one revision, up to and with another.
    pub(crate) fn changed_within(&self, after: Revision, upto: Revision) -> BTreeSet<K> {
        let range = (after < upto).then(|| self.changed.range(after + 1..=upto));
        range.into_iter().flatten().flat_map(|(_, keys)| keys.iter().cloned()).collect()
    }

    /// Drops what nobody at `floor` or later can serve.
    pub(crate) fn forget_before(&mut self, floor: Revision) {
        let kept = self.changed.split_off(&(floor + 1));
        for key in std::mem::replace(&mut self.changed, kept).into_values().flatten() {
            let Some(entries) = self.entries.get_mut(&key) else { continue };
            let old = entries.partition_point(|(since, _)| *since <= floor).saturating_sub(1);
            entries.drain(..old);
            if let [(since, None)] = entries[..]
                && since <= floor
            {
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_for_its_last_value_at_or_before_a_revision() {
        let mut history = History::default();
        history.set(2, "a", Some(20));
        history.set(5, "a", Some(50));
        history.set(7, "a", None);
        let at = |revision| history.at(&"a", revision).copied();
        assert_eq!(
            (at(1), at(2), at(4), at(5), at(7), at(9)),
            (None, Some(20), Some(20), Some(50), None, None)
        );
        assert_eq!(history.changed_within(2, 5), BTreeSet::from(["a"]));
        assert_eq!(history.changed_within(5, 6), BTreeSet::new());
    }

    #[test]
    fn amending_changes_what_is_served_already() {
        let mut history = History::default();
        history.set(2, "a", Some(20));
        history.amend(6, "a", Some(21));
        assert_eq!(history.at(&"a", 2), Some(&21));
        history.amend(6, "b", Some(60));
        assert_eq!((history.at(&"b", 5), history.at(&"b", 6)), (None, Some(&60)));
    }

    #[test]
    fn what_nobody_can_serve_is_forgotten() {
        let mut history = History::default();
        history.set(1, "a", Some(10));
        history.set(3, "a", Some(30));
        history.set(4, "b", Some(40));
        history.set(5, "b", None);
        history.forget_before(3);
        assert_eq!((history.at(&"a", 1), history.at(&"a", 3)), (None, Some(&30)));
        history.forget_before(5);
        assert_eq!(history.keys().collect::<Vec<_>>(), [&"a"], "a removed key is gone once nobody serves it");
        assert_eq!(history.at(&"a", 9), Some(&30));
    }
}
