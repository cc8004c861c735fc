//! A store of one kind: what the watch has told, brought up to date by our own writes.
//!
//! The answer to a write is put into the store at once, and news that is older than what is there is ignored: a plan
//! is never made from a world that is older than what this process wrote. `resourceVersion`s are compared as
//! integers, as Kubernetes has it since 1.35 (and as every API server did before).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
};

use kube::{Resource, runtime::watcher::Event};
use operator_core::traffic::ObjectName;
use tokio::sync::watch;

use super::objects::{Index, key};

/// What a store asks of an object: what tells it from others, and how new it is.
pub(crate) trait Stored {
    /// Namespace and name.
    fn name(&self) -> ObjectName;
    /// `metadata.uid`.
    fn uid(&self) -> Option<&str>;
    /// `metadata.resourceVersion`.
    fn version(&self) -> Option<&str>;
}

impl<K: Resource> Stored for K {
    fn name(&self) -> ObjectName {
        key(self.meta())
    }

    fn uid(&self) -> Option<&str> {
        self.meta().uid.as_deref()
    }

    fn version(&self) -> Option<&str> {
        self.meta().resource_version.as_deref()
    }
}

/// All objects of one kind, found by name and by [`Index`].
#[derive(Debug)]
pub(crate) struct Store<K> {
    inner: RwLock<Inner<K>>,
    /// How many lists have been complete.
    lists: watch::Sender<u64>,
    index: fn(&K) -> Vec<Index>,
}

/// One object before and after; both are never absent.
#[derive(Clone, Debug)]
pub(crate) struct Change<K> {
    /// What was known before.
    pub old: Option<Arc<K>>,
    /// What is known now.
    pub new: Option<Arc<K>>,
}

#[derive(Debug)]
struct Inner<K> {
    objects: BTreeMap<ObjectName, Arc<K>>,
    indexed: BTreeMap<Index, BTreeSet<ObjectName>>,
    /// The list under way, which replaces everything once it is complete.
    listing: Option<Listing<K>>,
    /// The namespaces that lists have from now on; `None`: all.
    limit: Limit,
    /// The namespaces that the last list had.
    covered: Limit,
    /// Objects that we have deleted and whose end the watch has not told yet, by uid.
    deleted: BTreeSet<String>,
}

/// Some namespaces; `None`: all.
type Limit = Option<Arc<BTreeSet<String>>>;

#[derive(Debug)]
struct Listing<K> {
    objects: BTreeMap<ObjectName, Arc<K>>,
    /// Written by us since the list began: it may not have them.
    written: BTreeSet<ObjectName>,
}

impl<K: Stored> Store<K> {
    /// An empty store that is not complete.
    pub(crate) fn new(index: fn(&K) -> Vec<Index>) -> Self {
        let inner = Inner {
            objects: BTreeMap::new(),
            indexed: BTreeMap::new(),
            listing: None,
            limit: None,
            covered: None,
            deleted: BTreeSet::new(),
        };
        Self { inner: RwLock::new(inner), lists: watch::Sender::new(0), index }
    }

    /// The object of that name.
    pub(crate) fn get(&self, name: &ObjectName) -> Option<Arc<K>> {
        self.read(|inner| inner.objects.get(name).cloned())
    }

    /// The objects under an index.
    pub(crate) fn find(&self, index: &Index) -> Vec<Arc<K>> {
        self.read(|inner| {
            let names = inner.indexed.get(index).into_iter().flatten();
            names.filter_map(|it| inner.objects.get(it).cloned()).collect()
        })
    }

    /// The objects of a namespace whose names begin with `prefix`.
    pub(crate) fn with_prefix(&self, namespace: &str, prefix: &str) -> Vec<Arc<K>> {
        let from = ObjectName::new(namespace, prefix);
        self.read(|inner| {
            let following = inner.objects.range(from..);
            let matching =
                following.take_while(|(it, _)| it.namespace == namespace && it.name.starts_with(prefix));
            matching.map(|(_, object)| object.clone()).collect()
        })
    }

    /// All objects.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.read(|inner| inner.objects.values().cloned().collect())
    }

    /// Waits until the store has been filled once.
    pub(crate) async fn completed(&self) {
        let mut lists = self.lists.subscribe();
        // The sender lives as long as `self`.
        let _ = lists.wait_for(|it| *it > 0).await;
    }

    /// From the next list on the store has the objects of these namespaces alone.
    pub(crate) fn limit(&self, namespaces: Limit) {
        self.write(|inner| inner.limit = namespaces);
    }

    /// Whether the store has what there is in a namespace. One that was never filled has nothing to wait for.
    pub(crate) fn covers(&self, namespace: &str) -> bool {
        let lists = *self.lists.borrow();
        self.has(lists, namespace)
    }

    /// Waits until it has.
    pub(crate) async fn covered(&self, namespace: &str) {
        let mut lists = self.lists.subscribe();
        // The sender lives as long as `self`.
        let _ = lists.wait_for(|lists| self.has(*lists, namespace)).await;
    }

    fn has(&self, lists: u64, namespace: &str) -> bool {
        lists == 0 || self.read(|inner| inner.covered.as_ref().is_none_or(|it| it.contains(namespace)))
    }

    /// Says that there is nothing to fill the store with: the kind is not served.
    pub(crate) fn complete_empty(&self) -> Vec<Change<K>> {
        let mut changes = self.apply(Event::Init);
        changes.extend(self.apply(Event::InitDone));
        changes
    }

    /// Takes news from the watch, and returns what it has changed.
    pub(crate) fn apply(&self, event: Event<K>) -> Vec<Change<K>> {
        let (changes, done) = self.write(|inner| match event {
            Event::Init => {
                inner.listing = Some(Listing { objects: BTreeMap::new(), written: BTreeSet::new() });
                (Vec::new(), false)
            }
            Event::InitApply(object) => {
                if let Some(listing) = &mut inner.listing {
                    listing.objects.insert(object.name(), Arc::new(object));
                }
                (Vec::new(), false)
            }
            Event::InitDone => {
                inner.covered.clone_from(&inner.limit);
                (inner.take_listing(self.index), true)
            }
            Event::Apply(object) => (inner.take(object, self.index), false),
            Event::Delete(object) => (inner.lose(&object, self.index), false),
        });
        if done {
            self.lists.send_modify(|it| *it += 1);
        }
        changes
    }

    /// Takes the answer to one of our own writes.
    pub(crate) fn written(&self, object: K) -> Vec<Change<K>> {
        self.write(|inner| {
            if let Some(listing) = &mut inner.listing {
                listing.written.insert(object.name());
            }
            inner.take(object, self.index)
        })
    }

    /// Takes note that one of our own deletes was accepted. An object with finalizers stays until the watch has told
    /// its end; it is in `deleted` so that it does not come back meanwhile.
    pub(crate) fn erased(&self, name: &ObjectName, uid: &str) -> Vec<Change<K>> {
        self.write(|inner| {
            let current = inner.objects.get(name).filter(|it| it.uid() == Some(uid)).cloned();
            let Some(current) = current else { return Vec::new() };
            inner.deleted.insert(uid.to_owned());
            inner.set(name, None, self.index);
            vec![Change { old: Some(current), new: None }]
        })
    }

    /// Drops an object that is of no interest any more.
    pub(crate) fn forget(&self, name: &ObjectName) {
        self.write(|inner| inner.set(name, None, self.index));
    }

    fn read<T>(&self, look: impl FnOnce(&Inner<K>) -> T) -> T {
        look(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Inner<K>) -> T) -> T {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K: Stored> Inner<K> {
    fn take(&mut self, object: K, index: fn(&K) -> Vec<Index>) -> Vec<Change<K>> {
        let name = object.name();
        let erased = object.uid().is_some_and(|it| self.deleted.contains(it));
        let old = self.objects.get(&name).cloned();
        if erased || old.as_ref().is_some_and(|it| !newer(&object, it.as_ref())) {
            return Vec::new();
        }
        let new = Arc::new(object);
        self.set(&name, Some(&new), index);
        vec![Change { old, new: Some(new) }]
    }

    fn lose(&mut self, gone: &K, index: fn(&K) -> Vec<Index>) -> Vec<Change<K>> {
        if let Some(uid) = gone.uid() {
            self.deleted.remove(uid);
        }
        let name = gone.name();
        // Another object may have taken the name already.
        let current = self.objects.get(&name).filter(|it| it.uid() == gone.uid()).cloned();
        let Some(old) = current else { return Vec::new() };
        self.set(&name, None, index);
        vec![Change { old: Some(old), new: None }]
    }

    fn take_listing(&mut self, index: fn(&K) -> Vec<Index>) -> Vec<Change<K>> {
        let Some(mut listing) = self.listing.take() else { return Vec::new() };
        for name in &listing.written {
            let Some(ours) = self.objects.get(name) else { continue };
            if listing.objects.get(name).is_none_or(|it| newer(ours.as_ref(), it.as_ref())) {
                listing.objects.insert(name.clone(), ours.clone());
            }
        }
        let listed: BTreeSet<&str> = listing.objects.values().filter_map(|it| it.uid()).collect();
        self.deleted.retain(|uid| listed.contains(uid.as_str()));
        listing.objects.retain(|_, it| it.uid().is_none_or(|uid| !self.deleted.contains(uid)));

        let mut changes = Vec::new();
        let gone: Vec<ObjectName> =
            self.objects.keys().filter(|it| !listing.objects.contains_key(it)).cloned().collect();
        for name in gone {
            let old = self.objects.get(&name).cloned();
            self.set(&name, None, index);
            changes.push(Change { old, new: None });
        }
        for (name, new) in listing.objects {
            let old = self.objects.get(&name).cloned();
            if old.as_ref().is_some_and(|it| it.version() == new.version()) {
                continue;
            }
            self.set(&name, Some(&new), index);
            changes.push(Change { old, new: Some(new) });
        }
        changes
    }

    fn set(&mut self, name: &ObjectName, object: Option<&Arc<K>>, index: fn(&K) -> Vec<Index>) {
        let old = match object {
            Some(new) => self.objects.insert(name.clone(), Arc::clone(new)),
            None => self.objects.remove(name),
        };
        for entry in old.iter().flat_map(|it| index(it)) {
            if let Some(names) = self.indexed.get_mut(&entry) {
                names.remove(name);
                if names.is_empty() {
                    self.indexed.remove(&entry);
                }
            }
        }
        for entry in object.into_iter().flat_map(|it| index(it)) {
            self.indexed.entry(entry).or_default().insert(name.clone());
        }
    }
}

/// Whether `candidate` is of a later write than `current`. Versions that are no numbers cannot be compared; then news
/// is news unless it is the same.
fn newer<K: Stored>(candidate: &K, current: &K) -> bool {
    match (number(candidate), number(current)) {
        (Some(candidate), Some(current)) => candidate > current,
        _ => candidate.version() != current.version(),
    }
}

fn number<K: Stored>(object: &K) -> Option<u64> {
    object.version()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::rollouts::objects::{ReplicaSet, index_replica_set};

    fn set(name: &str, uid: &str, version: u64, replicas: i32) -> ReplicaSet {
        ReplicaSet::deserialize(json!({
            "metadata": {
                "namespace": "web", "name": name, "uid": uid, "resourceVersion": version.to_string(),
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Rollout", "name": "app", "uid": "owner", "controller": true},
                ],
            },
            "spec": {"replicas": replicas},
        }))
        .unwrap()
    }

    fn store() -> Store<ReplicaSet> {
        Store::new(index_replica_set)
    }

    fn shown(store: &Store<ReplicaSet>) -> Vec<(String, i32)> {
        let owned = store.find(&Index::Controller("owner".to_owned()));
        owned.iter().map(|it| (key(&it.metadata).name, it.spec.replicas.unwrap_or_default())).collect()
    }

    fn list(store: &Store<ReplicaSet>, objects: Vec<ReplicaSet>) -> usize {
        store.apply(Event::Init);
        for object in objects {
            store.apply(Event::InitApply(object));
        }
        store.apply(Event::InitDone).len()
    }

    #[test]
    fn a_list_replaces_what_was_there_and_tells_what_changed() {
        let store = store();
        assert_eq!(list(&store, vec![set("a", "1", 1, 1), set("b", "2", 2, 1)]), 2);
        assert_eq!(list(&store, vec![set("b", "2", 2, 1), set("c", "3", 3, 1)]), 2);
        assert_eq!(shown(&store), [("b".to_owned(), 1), ("c".to_owned(), 1)]);
    }

    #[test]
    fn news_older_than_our_own_write_is_ignored() {
        let store = store();
        list(&store, vec![set("a", "1", 1, 1)]);
        assert_eq!(store.written(set("a", "1", 5, 3)).len(), 1);
        assert!(store.apply(Event::Apply(set("a", "1", 3, 2))).is_empty());
        assert!(store.apply(Event::Apply(set("a", "1", 5, 3))).is_empty());
        assert_eq!(shown(&store), [("a".to_owned(), 3)]);
        assert_eq!(store.apply(Event::Apply(set("a", "1", 6, 4))).len(), 1);
    }

    #[test]
    fn what_we_deleted_does_not_come_back_before_its_end_is_told() {
        let store = store();
        list(&store, vec![set("a", "1", 1, 1)]);
        let name = ObjectName::new("web", "a");
        assert_eq!(store.erased(&name, "1").len(), 1);
        assert!(store.apply(Event::Apply(set("a", "1", 2, 1))).is_empty());
        assert!(store.apply(Event::Delete(set("a", "1", 3, 1))).is_empty());
        assert_eq!(store.apply(Event::Apply(set("a", "2", 4, 1))).len(), 1);
    }

    #[test]
    fn what_we_created_during_a_list_survives_it() {
        let store = store();
        store.apply(Event::Init);
        store.apply(Event::InitApply(set("a", "1", 1, 1)));
        store.written(set("b", "2", 9, 1));
        store.apply(Event::InitDone);
        assert_eq!(shown(&store).len(), 2);
    }

    #[test]
    fn the_end_of_a_former_object_leaves_its_successor() {
        let store = store();
        list(&store, vec![set("a", "2", 9, 1)]);
        assert!(store.apply(Event::Delete(set("a", "1", 8, 1))).is_empty());
        assert_eq!(shown(&store).len(), 1);
    }

    #[test]
    fn names_are_found_by_their_beginning() {
        let store = store();
        list(&store, vec![set("app", "0", 1, 1), set("app-x", "1", 1, 1), set("apq", "2", 1, 1)]);
        assert_eq!(store.with_prefix("web", "app-").len(), 1);
        assert_eq!(store.with_prefix("other", "app-").len(), 0);
    }
}
