//! A map for a few entries, of which there are many: one for each split.
//!
//! It takes no more room than its entries do, where a tree has room for eleven from the first one on. They are looked for
//! one after the other.

/// Entries in the order in which they came.
#[derive(Debug)]
pub(crate) struct Few<K, V>(Vec<(K, V)>);

impl<K: PartialEq, V> Few<K, V> {
    /// The value of a key, made if there is none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = self.0.iter().position(|(it, _)| *it == key).unwrap_or(self.0.len());
        if place == self.0.len() {
            self.0.reserve_exact(1);
            self.0.push((key, make()));
        }
        &mut self.0[place].1
    }

    /// Forgets the entries for which `keeps` does not hold.
    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&K, &V) -> bool) {
        self.0.retain(|(key, value)| keeps(key, value));
    }

    /// All entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_value_that_was_made_for_it_first() {
        let mut few = Few::default();
        assert_eq!(*few.get_or_insert_with("a", || 1), 1);
        assert_eq!(*few.get_or_insert_with("b", || 2), 2);
        *few.get_or_insert_with("a", || unreachable!("it is there")) += 2;
        assert!(few.iter().eq([(&"a", &3), (&"b", &2)]));
        few.retain(|key, value| *key == "b" && *value == 2);
        assert!(few.values().eq([&2]));
        assert_eq!(*few.get_or_insert_with("a", || 4), 4);
    }

    #[test]
    fn it_has_room_for_what_is_in_it() {
        let mut few = Few::default();
        few.get_or_insert_with(1, || 1);
        assert_eq!(few.0.capacity(), 1);
    }
}
