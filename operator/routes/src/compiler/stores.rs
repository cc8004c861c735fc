//! The objects, and who refers to whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proxy_config::model::{Draining, Version};

use crate::{
    mapping::{Mapping, Parsed},
    object::{EndpointSlice, ObjectName, Pod, ResolverKind, RolloutServices, Service},
};

/// Every object that the compiler was told of.
#[derive(Debug, Default)]
pub(super) struct Stores {
    pub(super) mappings: BTreeMap<ObjectName, StoredMapping>,
    resolvers: BTreeMap<ObjectName, ResolverKind>,
    services: BTreeMap<ObjectName, Service>,
    /// By Service, then by the slice's own name.
    slices: BTreeMap<ObjectName, BTreeMap<Arc<str>, EndpointSlice>>,
    /// The Service of each slice, which may change with its label.
    slice_services: BTreeMap<ObjectName, ObjectName>,
    pods: BTreeMap<ObjectName, Pod>,
    /// How many pods each revision has.
    revisions: BTreeMap<Version, usize>,
    /// The Services whose slices name a pod, with how many of them do.
    pod_services: BTreeMap<ObjectName, BTreeMap<ObjectName, usize>>,
    rollouts: BTreeMap<ObjectName, RolloutServices>,
    /// How many Rollouts name a Service.
    managed: BTreeMap<ObjectName, usize>,
}

/// A Mapping, read.
#[derive(Debug)]
pub(super) struct StoredMapping {
    pub(super) resource_version: Arc<str>,
    pub(super) owned: bool,
    pub(super) parsed: Parsed,
}

impl Stores {
    /// What a Mapping that names `resolver` means. The names that Emissary has built in need no object.
    pub(super) fn resolver(&self, resolver: Option<&str>) -> Option<ResolverKind> {
        match resolver {
            None | Some("kubernetes-service") => Some(ResolverKind::Service),
            Some("endpoint" | "kubernetes-endpoint") => Some(ResolverKind::Endpoint),
            Some("consul" | "consul-endpoint") => Some(ResolverKind::Consul),
            Some(name) => {
                (self.resolvers.iter()).find(|(resolver, _)| *resolver.name == *name).map(|(_, kind)| *kind)
            }
        }
    }

    /// A Mapping that can be served.
    pub(super) fn valid(&self, name: &ObjectName) -> Option<(&StoredMapping, &Mapping)> {
        let stored = self.mappings.get(name)?;
        match &stored.parsed {
            Parsed::Valid(mapping) => Some((stored, &**mapping)),
            Parsed::Foreign | Parsed::Invalid(_) => None,
        }
    }

    pub(super) fn service(&self, name: &ObjectName) -> Option<&Service> {
        self.services.get(name)
    }

    pub(super) fn slices(&self, service: &ObjectName) -> impl Iterator<Item = (&Arc<str>, &EndpointSlice)> {
        self.slices.get(service).into_iter().flatten()
    }

    /// The revision's hash of a pod; empty if it has none or is not known.
    pub(super) fn hash(&self, pod: &ObjectName) -> Arc<str> {
        self.pods.get(pod).map_or_else(|| "".into(), |pod| pod.hash.clone())
    }

    /// How a pod that was chosen to go ends; `None` for any other.
    pub(super) fn leaving(&self, pod: &ObjectName) -> Option<Draining> {
        self.pods.get(pod)?.leaving
    }

    /// The Services whose endpoints have this pod.
    pub(super) fn services_of(&self, pod: &ObjectName) -> impl Iterator<Item = &ObjectName> {
        self.pod_services.get(pod).into_iter().flat_map(BTreeMap::keys)
    }

    /// The revision of a pod, if it is known.
    pub(super) fn version(&self, pod: &ObjectName) -> Option<Version> {
        let hash = self.pods.get(pod)?.hash.clone();
        Some(Version { namespace: pod.namespace.clone(), hash })
    }

    /// Whether there is a pod of this revision.
    pub(super) fn has_pods(&self, version: &Version) -> bool {
        self.revisions.contains_key(version)
    }

    /// Whether a Rollout with traffic routing moves this Service.
    pub(super) fn is_managed(&self, service: &ObjectName) -> bool {
        self.managed.contains_key(service)
    }

    /// Whether a resolver was known under this name before or is now, and differs.
    pub(super) fn set_resolver(&mut self, name: ObjectName, resolver: Option<ResolverKind>) -> bool {
        let before = match resolver {
            Some(kind) => self.resolvers.insert(name, kind),
            None => self.resolvers.remove(&name),
        };
        before != resolver
    }

    pub(super) fn set_service(&mut self, name: ObjectName, service: Option<Service>) {
        match service {
            Some(service) => drop(self.services.insert(name, service)),
            None => drop(self.services.remove(&name)),
        }
    }

    /// Returns the Services that have another set of endpoints now.
    pub(super) fn set_slice(&mut self, name: ObjectName, slice: Option<EndpointSlice>) -> Vec<ObjectName> {
        let mut touched = Vec::new();
        if let Some(service) = self.slice_services.remove(&name) {
            let old = self.slices.get_mut(&service).and_then(|slices| slices.remove(&name.name));
            if self.slices.get(&service).is_some_and(BTreeMap::is_empty) {
                self.slices.remove(&service);
            }
            self.count_pods(&name, &service, old.iter(), false);
            touched.push(service);
        }
        if let Some(slice) = slice {
            let service = name.sibling(slice.service.clone());
            self.count_pods(&name, &service, [&slice].into_iter(), true);
            self.slices.entry(service.clone()).or_default().insert(name.name.clone(), slice);
            self.slice_services.insert(name, service.clone());
            touched.push(service);
        }
        touched
    }

    /// Returns the Services whose endpoints have this pod.
    pub(super) fn set_pod(&mut self, name: ObjectName, pod: Option<Pod>) -> Vec<ObjectName> {
        let touched = self.pod_services.get(&name).map(|it| it.keys().cloned().collect());
        let same = self.pods.get(&name) == pod.as_ref();
        let version = |pod: &Pod| Version { namespace: name.namespace.clone(), hash: pod.hash.clone() };
        if let Some(pod) = &pod {
            *self.revisions.entry(version(pod)).or_default() += 1;
        }
        if let Some(before) = self.pods.get(&name).map(version) {
            subtract(&mut self.revisions, &before);
        }
        match pod {
            Some(pod) => drop(self.pods.insert(name, pod)),
            None => drop(self.pods.remove(&name)),
        }
        if same { Vec::new() } else { touched.unwrap_or_default() }
    }

    /// Returns the Services that are managed now and were not, or the other way round.
    pub(super) fn set_rollout(
        &mut self,
        name: &ObjectName,
        rollout: Option<RolloutServices>,
    ) -> Vec<ObjectName> {
        let new = rollout.clone().unwrap_or_default().0;
        let old = match rollout {
            Some(rollout) => self.rollouts.insert(name.clone(), rollout),
            None => self.rollouts.remove(name),
        };
        let old: BTreeSet<Arc<str>> = old.unwrap_or_default().0;
        let mut touched = Vec::new();
        for service in new.difference(&old) {
            let service = name.sibling(service.clone());
            let count = self.managed.entry(service.clone()).or_default();
            *count += 1;
            if *count == 1 {
                touched.push(service);
            }
        }
        for service in old.difference(&new) {
            let service = name.sibling(service.clone());
            if subtract(&mut self.managed, &service) {
                touched.push(service);
            }
        }
        touched
    }

    fn count_pods<'a>(
        &mut self,
        slice_name: &ObjectName,
        service: &ObjectName,
        slices: impl Iterator<Item = &'a EndpointSlice>,
        added: bool,
    ) {
        for pod in slices.flat_map(|slice| &slice.endpoints).filter_map(|endpoint| endpoint.pod.as_ref()) {
            let pod = slice_name.sibling(pod.clone());
            let services = self.pod_services.entry(pod.clone()).or_default();
            if added {
                *services.entry(service.clone()).or_default() += 1;
            } else {
                subtract(services, service);
            }
            if services.is_empty() {
                self.pod_services.remove(&pod);
            }
        }
    }
}

/// Counts down and says whether nothing is left.
fn subtract<K: Ord>(counts: &mut BTreeMap<K, usize>, name: &K) -> bool {
    match counts.get_mut(name) {
        Some(count) if *count > 1 => {
            *count -= 1;
            false
        }
        Some(_) => counts.remove(name).is_some(),
        None => false,
    }
}
