//! All splits that the proxies may serve, of which a Rollout asks for a few: kept small, and found by what they send to.

use std::{
    collections::{BTreeMap, BTreeSet},
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

/// The splits that have to do with an object.
#[derive(Debug, Default)]
struct Index(BTreeSet<(ObjectName, Arc<str>)>);

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
            self.by_mapping.0.insert((mapping.clone(), Arc::clone(&id)));
            self.by_service.0.insert((service.clone(), Arc::clone(&id)));
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
            self.by_mapping.0.remove(&(mapping.clone(), Arc::clone(&id)));
            self.by_service.0.remove(&(service.clone(), Arc::clone(&id)));
            touched.mappings.insert(mapping.clone());
            touched.services.insert(service.clone());
        }
    }

    /// Those that reach the Services or come from the Mappings of a Rollout, in the order of their ids.
    pub(super) fn of(&self, reach: &Reach) -> Vec<Split> {
        let services = reach.services.iter().flat_map(|it| self.by_service.of(it));
        let mappings = reach.mappings.iter().flat_map(|it| self.by_mapping.of(it));
        let ids: BTreeSet<&Arc<str>> = services.chain(mappings).collect();
        ids.into_iter().filter_map(|id| self.kept.get(id)).map(Kept::read).collect()
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
        self.from(name.clone()).take_while(move |(other, _)| other == name).map(|(_, id)| id)
    }

    /// The splits of the objects of a namespace; one of several objects comes several times.
    fn within(&self, namespace: &str) -> impl Iterator<Item = &Arc<str>> {
        let first = ObjectName::new(namespace, "");
        self.from(first).take_while(move |(name, _)| name.namespace == namespace).map(|(_, id)| id)
    }

    fn from(&self, first: ObjectName) -> impl Iterator<Item = &(ObjectName, Arc<str>)> {
        self.0.range((first, Arc::from(""))..)
    }
}

/// Mapping and Service of every arm that anyone may serve.
fn arms(split: &Split) -> impl Iterator<Item = (&ObjectName, &ObjectName)> {
    contents(split).flat_map(|it| &it.arms).map(|arm| (&arm.mapping, &arm.service))
}

/// All that anyone may serve.
fn contents(split: &Split) -> impl Iterator<Item = &Served> {
    split.views.iter().filter_map(|it| it.served.as_ref()).chain(&split.compiled)
}
