//! Resources by id, kept so that versions share what does not differ between them.
//!
//! A configuration is copied for every change of it, because the one before is still served, and compared with that one to
//! find what a change touches. With thousands of resources neither may cost more than the change is large. Entries are
//! in order in chunks; a copy shares the chunks, a change copies the one that it touches, and a comparison passes over
//! those that both have.

use std::{
    borrow::Borrow,
    fmt::{self, Debug, Formatter},
    iter::FusedIterator,
    mem,
    ops::Index,
    sync::Arc,
};

/// How many entries a chunk has at the most, and at the least where it has neighbours.
const MOST: usize = 128;
const LEAST: usize = 32;

/// A map in the order of its keys. Copies are cheap.
#[derive(Clone)]
pub struct Table<K, V> {
    /// In order, none of them empty.
    chunks: Vec<Arc<Chunk<K, V>>>,
    len: usize,
}

type Chunk<K, V> = Vec<(K, V)>;

impl<K, V> Table<K, V> {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries, in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { chunks: self.chunks.iter(), front: [].iter() }
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> Table<K, V> {
    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key)?)?;
        let place = chunk.binary_search_by(|(it, _)| it.borrow().cmp(key)).ok()?;
        Some(&chunk[place].1)
    }

    /// Whether there is this key.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The chunk that has the key if one has; `None`: it would come before all.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        self.chunks.partition_point(|chunk| chunk[0].0.borrow() <= key).checked_sub(1)
    }
}

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    /// Puts a value in, and gives the one that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.last().is_none_or(|last| *last < key) {
            self.push(key, value);
            return None;
        }
        // One that would come before all is put into the first.
        let index = self.chunk_of(&key).unwrap_or_default();
        let chunk = Arc::make_mut(&mut self.chunks[index]);
        match chunk.binary_search_by(|(it, _)| it.cmp(&key)) {
            Ok(place) => Some(mem::replace(&mut chunk[place].1, value)),
            Err(place) => {
                chunk.insert(place, (key, value));
                self.len += 1;
                self.divide(index);
                None
            }
        }
    }

    fn last(&self) -> Option<&K> {
        self.chunks.last()?.last().map(|(key, _)| key)
    }

    /// Puts in what comes behind all others: what comes in order fills chunks to the end.
    fn push(&mut self, key: K, value: V) {
        match self.chunks.last_mut().filter(|chunk| chunk.len() < MOST) {
            Some(chunk) => Arc::make_mut(chunk).push((key, value)),
            None => self.chunks.push(Arc::new(vec![(key, value)])),
        }
        self.len += 1;
    }

    /// Takes a value out, if there is one.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let index = self.chunk_of(key)?;
        let place = self.chunks[index].binary_search_by(|(it, _)| it.borrow().cmp(key)).ok()?;
        let (_, value) = Arc::make_mut(&mut self.chunks[index]).remove(place);
        self.len -= 1;
        self.join(index);
        Some(value)
    }

    /// Makes two of a chunk that is too large.
    fn divide(&mut self, index: usize) {
        if self.chunks[index].len() > MOST {
            let rest = Arc::make_mut(&mut self.chunks[index]).split_off(MOST / 2);
            self.chunks.insert(index + 1, Arc::new(rest));
        }
    }

    /// Joins a chunk that has become small with a neighbour, where one chunk has room for both.
    fn join(&mut self, index: usize) {
        let length = self.chunks[index].len();
        if length >= LEAST {
            return;
        }
        if length == 0 {
            self.chunks.remove(index);
            return;
        }
        let fits = |other: &Arc<Chunk<K, V>>| other.len() + length <= MOST;
        if self.chunks.get(index + 1).is_some_and(fits) {
            let next = Arc::unwrap_or_clone(self.chunks.remove(index + 1));
            Arc::make_mut(&mut self.chunks[index]).extend(next);
        } else if index > 0 && fits(&self.chunks[index - 1]) {
            let own = Arc::unwrap_or_clone(self.chunks.remove(index));
            Arc::make_mut(&mut self.chunks[index - 1]).extend(own);
        }
    }
}

impl<K: Ord, V: PartialEq> Table<K, V> {
    /// The keys whose values are not the same in `other`, in order. What both share is not looked at.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a K> {
        Differences { left: Cursor::new(self), right: Cursor::new(other) }
    }
}

/// See [`Table::differences`].
struct Differences<'a, K, V> {
    left: Cursor<'a, K, V>,
    right: Cursor<'a, K, V>,
}

/// A place in a table.
struct Cursor<'a, K, V> {
    chunks: &'a [Arc<Chunk<K, V>>],
    /// In the first chunk; it is within it.
    place: usize,
}

impl<'a, K, V> Cursor<'a, K, V> {
    fn new(table: &'a Table<K, V>) -> Self {
        Self { chunks: &table.chunks, place: 0 }
    }

    /// The entry here.
    fn entry(&self) -> Option<&'a (K, V)> {
        self.chunks.first()?.get(self.place)
    }

    fn step(&mut self) {
        self.place += 1;
        if self.chunks.first().is_none_or(|chunk| chunk.len() <= self.place) {
            self.pass_chunk();
        }
    }

    fn pass_chunk(&mut self) {
        self.chunks = self.chunks.get(1..).unwrap_or_default();
        self.place = 0;
    }

    /// The whole chunk that begins here.
    fn chunk(&self) -> Option<&'a Arc<Chunk<K, V>>> {
        self.chunks.first().filter(|_| self.place == 0)
    }
}

impl<'a, K: Ord, V: PartialEq> Iterator for Differences<'a, K, V> {
    type Item = &'a K;

    fn next(&mut self) -> Option<&'a K> {
        loop {
            if let Some((left, right)) = self.left.chunk().zip(self.right.chunk())
                && Arc::ptr_eq(left, right)
            {
                self.left.pass_chunk();
                self.right.pass_chunk();
                continue;
            }
            match (self.left.entry(), self.right.entry()) {
                (None, None) => return None,
                (Some((left, value)), Some((right, other))) if left == right => {
                    self.left.step();
                    self.right.step();
                    if value != other {
                        return Some(left);
                    }
                }
                (Some((key, _)), right) if right.is_none_or(|(right, _)| key < right) => {
                    self.left.step();
                    return Some(key);
                }
                (_, right) => {
                    self.right.step();
                    return right.map(|(key, _)| key);
                }
            }
        }
    }
}

/// The entries of a [`Table`], in order.
#[derive(Debug)]
pub struct Iter<'a, K, V> {
    chunks: std::slice::Iter<'a, Arc<Chunk<K, V>>>,
    front: std::slice::Iter<'a, (K, V)>,
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), front: self.front.clone() }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.front.next() {
                return Some((key, value));
            }
            self.front = self.chunks.next()?.iter();
        }
    }
}

impl<K, V> FusedIterator for Iter<'_, K, V> {}

impl<'a, K, V> IntoIterator for &'a Table<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for Table<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Table<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut table = Self::default();
        table.extend(entries);
        table
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<K: Ord, V: PartialEq> PartialEq for Table<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.differences(other).next().is_none()
    }
}

impl<K: Ord, V: Eq> Eq for Table<K, V> {}

impl<K: Debug, V: Debug> Debug for Table<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Ord + Borrow<Q>, Q: Ord + ?Sized, V> Index<&Q> for Table<K, V> {
    type Output = V;

    /// # Panics
    /// If there is no such key.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("there is such a key")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Puts a value in, or takes one out.
    type Edit = (u16, Option<u8>);

    fn edit(table: &mut Table<u16, u8>, model: &mut BTreeMap<u16, u8>, (key, value): Edit) {
        match value {
            Some(value) => assert_eq!(table.insert(key, value), model.insert(key, value)),
            None => assert_eq!(table.remove(&key), model.remove(&key)),
        }
    }

    fn edits() -> impl Strategy<Value = Vec<Edit>> {
        vec((0..600_u16, any::<Option<u8>>()), 0..1_500)
    }

    proptest! {
        #[test]
        fn it_is_a_map_in_order_whose_copies_stay_as_they_were(first in edits(), then in edits()) {
            let (mut table, mut model) = (Table::default(), BTreeMap::new());
            for it in first {
                edit(&mut table, &mut model, it);
            }
            let (copy, past) = (table.clone(), model.clone());
            for it in then {
                edit(&mut table, &mut model, it);
            }
            for (table, model) in [(&table, &model), (&copy, &past)] {
                prop_assert!(table.iter().eq(model));
                prop_assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
                prop_assert!((0..600).all(|key| table.get(&key) == model.get(&key)));
                prop_assert!(table.chunks.iter().all(|it| !it.is_empty() && it.len() <= MOST));
            }
            let changed: Vec<u16> = (0..600).filter(|key| past.get(key) != model.get(key)).collect();
            prop_assert!(copy.differences(&table).copied().eq(changed.iter().copied()));
            prop_assert_eq!(copy == table, changed.is_empty());
            let made: Table<u16, u8> = model.into_iter().collect();
            prop_assert_eq!(&made, &table, "the same entries are the same, however they came in");
        }
    }

    #[test]
    fn a_change_of_a_copy_leaves_all_other_chunks_shared() {
        let mut table: Table<u32, u32> = (0..10_000).map(|it| (it, it)).collect();
        let copy = table.clone();
        table.insert(5_000, 0);
        let shared = table.chunks.iter().zip(&copy.chunks).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!((copy.chunks.len(), shared), (79, 78));
    }

    #[test]
    fn what_is_left_of_many_is_not_spread_over_many_chunks() {
        let mut table: Table<u32, ()> = (0..10_000).map(|it| (it, ())).collect();
        (0..10_000).filter(|it| it % 100 != 0).for_each(|it| assert!(table.remove(&it).is_some()));
        assert!(table.len() == 100 && table.chunks.len() <= 4, "{}", table.chunks.len());
    }
}
