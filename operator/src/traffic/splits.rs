//! All splits that the proxies may serve, of which a Rollout asks for a few: kept small, and found by what they send to.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use operator_core::traffic::{ObjectName, Served, Split};
use prost::Message as _;
use proxy_config::wire::traffic as wire;

use super::{
    convert::{self, Malformed},
    store::Touched,
};
use crate::rollouts::Reach;

/// The splits by their ids.
#[derive(Debug, Default)]
pub(super) struct Splits {
    kept: BTreeMap<Arc<str>, Kept>,
    by_service: Index,
    by_mapping: Index,
}

/// A split as it came: that takes a tenth of the memory of its tree, and most routes belong to no Rollout.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    bytes: Box<[u8]>,
    /// All proxies serve what is compiled, as they do most of the time: it is not there twice.
    agreed: bool,
}

/// The splits that have to do with an object, by hashes of its namespace and its name: with thousands of splits the names
/// would be most of it. Two names with one hash have each other's splits too, so that who asks looks at what they are.
#[derive(Debug, Default)]
struct Index(BTreeSet<(u64, u64, Arc<str>)>);

impl Splits {
    /// A split is like this now.
    pub(super) fn put(
        &mut self,
        mut state: wire::SplitState,
        touched: &mut Touched,
    ) -> Result<(), Malformed> {
        let kept = Kept::of(&mut state);
        if self.kept.get(state.id.as_str()) == Some(&kept) {
            return Ok(());
        }
        let split = convert::split(state)?;
        self.remove(&split.id, touched);
        let id: Arc<str> = split.id.as_str().into();
        for (mapping, service) in arms(&split) {
            self.by_mapping.insert(mapping, &id);
            self.by_service.insert(service, &id);
            touched.mappings.insert(mapping.clone());
            touched.services.insert(service.clone());
        }
        self.kept.insert(id, kept);
        Ok(())
    }

    /// No proxy has a split any more.
    pub(super) fn remove(&mut self, id: &str, touched: &mut Touched) {
        let Some((id, kept)) = self.kept.remove_entry(id) else { return };
        for (mapping, service) in arms(&kept.read()) {
            self.by_mapping.remove(mapping, &id);
            self.by_service.remove(service, &id);
            touched.mappings.insert(mapping.clone());
            touched.services.insert(service.clone());
        }
    }

    /// Those that reach the Services or come from the Mappings of a Rollout, in the order of their ids.
    pub(super) fn of(&self, reach: &Reach) -> Vec<Split> {
        let services = reach.services.iter().flat_map(|it| self.by_service.of(it));
        let mappings = reach.mappings.iter().flat_map(|it| self.by_mapping.of(it));
        let ids: BTreeSet<&Arc<str>> = services.chain(mappings).collect();
        let splits = ids.into_iter().filter_map(|id| self.kept.get(id)).map(Kept::read);
        let meant = |split: &Split| {
            arms(split).any(|(mapping, service)| {
                reach.mappings.contains(mapping) || reach.services.contains(service)
            })
        };
        splits.filter(meant).collect()
    }

    /// Whether some arm holds one of these versions of a namespace, given by their hashes.
    pub(super) fn hold(&self, namespace: &str, versions: &[&str]) -> bool {
        let splits = self.by_service.within(namespace).filter_map(|id| self.kept.get(id));
        splits.map(Kept::read).any(|split| {
            let mut arms = contents(&split).flat_map(|served| &served.arms);
            arms.any(|arm| {
                arm.service.namespace == namespace
                    && versions.iter().any(|hash| arm.endpoints.contains_key(*hash))
            })
        })
    }
}

impl Kept {
    /// The state is the same afterwards.
    fn of(state: &mut wire::SplitState) -> Self {
        let agreed = matches!(&state.views[..], [view] if view.served == state.compiled);
        let compiled = if agreed { state.compiled.take() } else { None };
        let bytes = state.encode_to_vec().into_boxed_slice();
        if agreed {
            state.compiled = compiled;
        }
        Self { bytes, agreed }
    }

    fn read(&self) -> Split {
        // It was read before it was kept.
        let mut state = wire::SplitState::decode(&*self.bytes).expect("what was encoded can be decoded");
        if self.agreed {
            state.compiled = state.views.first().and_then(|view| view.served.clone());
        }
        convert::split(state).expect("what was read can be read again")
    }
}

impl Index {
    /// The splits of an object.
    fn of(&self, name: &ObjectName) -> impl Iterator<Item = &Arc<str>> {
        let (namespace, name) = (hash(&name.namespace), hash(&name.name));
        let from = self.0.range((namespace, name, Arc::default())..);
        from.take_while(move |it| (it.0, it.1) == (namespace, name)).map(|(.., id)| id)
    }

    /// The splits of the objects of a namespace; one of several objects comes several times.
    fn within(&self, namespace: &str) -> impl Iterator<Item = &Arc<str>> {
        let namespace = hash(namespace);
        let from = self.0.range((namespace, 0, Arc::default())..);
        from.take_while(move |it| it.0 == namespace).map(|(.., id)| id)
    }

    fn insert(&mut self, name: &ObjectName, id: &Arc<str>) {
        self.0.insert((hash(&name.namespace), hash(&name.name), Arc::clone(id)));
    }

    fn remove(&mut self, name: &ObjectName, id: &Arc<str>) {
        self.0.remove(&(hash(&name.namespace), hash(&name.name), Arc::clone(id)));
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Mapping and Service of every arm that anyone may serve.
fn arms(split: &Split) -> impl Iterator<Item = (&ObjectName, &ObjectName)> {
    contents(split).flat_map(|it| &it.arms).map(|arm| (&arm.mapping, &arm.service))
}

/// All that anyone may serve.
fn contents(split: &Split) -> impl Iterator<Item = &Served> {
    split.views.iter().filter_map(|it| it.served.as_ref()).chain(&split.compiled)
}
