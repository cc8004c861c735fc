//! The objects, and who refers to whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use foldhash::HashMap;
use proxy_config::model::{Draining, HostMatch, Version};

use crate::{
    compat::Compat,
    compiled::Rule,
    dialect::{Document, DocumentKind, Documents, documents::DocumentName},
    edge::{Selects, host::Host, listener::Listener, selector::Selector, tls_context::TlsContext},
    ingress::{Ingress, defaults::Defaults},
    mapping::Mapping,
    module::Module,
    object::{
        EndpointSlice, IngressClass, IngressObject, ObjectName, Pod, ResolverKind, RolloutServices,
        SecretObject, Service,
    },
    tcp::TcpMapping,
};

/// Every object that the compiler was told of.
#[derive(Debug, Default)]
pub(super) struct Stores {
    pub(super) compat: Compat,
    pub(super) documents: Documents,
    pub(super) module: Module,
    pub(super) mappings: HashMap<ObjectName, StoredMapping>,
    pub(super) tcp_mappings: BTreeMap<ObjectName, Read<TcpMapping>>,
    pub(super) listeners: BTreeMap<ObjectName, Read<Listener>>,
    pub(super) hosts: BTreeMap<ObjectName, Read<Host>>,
    pub(super) tls_contexts: BTreeMap<ObjectName, Read<TlsContext>>,
    pub(super) ingress_objects: BTreeMap<ObjectName, IngressObject>,
    /// What is read of those that are ours, or why nothing could be.
    pub(super) ingresses: BTreeMap<ObjectName, Result<Ingress, String>>,
    /// Those of Emissary's class that are Mappings and Hosts: what they are made of, and the Services whose ports they name.
    pub(super) emissary_ingresses: BTreeMap<ObjectName, (Vec<DocumentName>, BTreeSet<ObjectName>)>,
    pub(super) ingress_classes: BTreeMap<Arc<str>, IngressClass>,
    pub(super) ingress_defaults: Defaults,
    pub(super) gateway: super::gateway::Objects,
    /// How many Hosts have the same selector.
    selectors: BTreeMap<Selector, usize>,
    secrets: BTreeMap<ObjectName, SecretObject>,
    services: BTreeMap<ObjectName, Box<Service>>,
    /// By Service, then by the slice's own name.
    slices: BTreeMap<(ObjectName, Arc<str>), Box<EndpointSlice>>,
    /// The Service of each slice, in its namespace, which may change with its label.
    slice_services: BTreeMap<ObjectName, Arc<str>>,
    pods: BTreeMap<ObjectName, Pod>,
    /// How many pods each revision has.
    revisions: BTreeMap<Version, usize>,
    /// The Services whose slices name a pod, with how many of them do.
    pod_services: BTreeMap<ObjectName, BTreeMap<ObjectName, usize>>,
    rollouts: BTreeMap<ObjectName, RolloutServices>,
    /// How many Rollouts name a Service.
    managed: BTreeMap<ObjectName, usize>,
}

/// A document that counts, and what was read from it or why nothing could be.
#[derive(Debug)]
pub(super) struct Read<T> {
    pub(super) document: Arc<Document>,
    /// Its place in Emissary's order.
    pub(super) load_key: String,
    pub(super) value: Result<T, String>,
}

/// A Mapping, read.
pub(super) type StoredMapping = Read<Box<Mapping>>;

impl<T> Read<T> {
    pub(super) fn new(document: &Arc<Document>, value: Result<T, String>) -> Self {
        Self { document: Arc::clone(document), load_key: document.load_key(), value }
    }

    /// Whether a Rollout owns it.
    pub(super) fn owned(&self) -> bool {
        self.document.owned_by_rollout
    }
}

impl Stores {
    pub(super) fn new(compat: Compat) -> Self {
        Self { compat, ..Self::default() }
    }

    /// What a Mapping that names `resolver` means. The names that Emissary has built in need no object.
    pub(super) fn resolver(&self, resolver: Option<&str>) -> Option<ResolverKind> {
        match resolver {
            None | Some("kubernetes-service") => Some(ResolverKind::Service),
            Some("endpoint" | "kubernetes-endpoint") => Some(ResolverKind::Endpoint),
            Some("consul" | "consul-endpoint") => Some(ResolverKind::Consul),
            Some(name) => [ResolverKind::Service, ResolverKind::Endpoint, ResolverKind::Consul]
                .into_iter()
                .find(|kind| self.documents.has_name(DocumentKind::Resolver(*kind), name)),
        }
    }

    /// A Mapping that can be served.
    pub(super) fn valid(&self, name: &ObjectName) -> Option<(&StoredMapping, &Mapping)> {
        let stored = self.mappings.get(name)?;
        Some((stored, stored.value.as_ref().ok()?))
    }

    /// The TLS context that is meant by `name` or `name.namespace`.
    pub(super) fn tls_context(
        &self,
        text: &str,
        namespace: &Arc<str>,
    ) -> Option<(&ObjectName, &Result<TlsContext, String>)> {
        let own = ObjectName::new(namespace.clone(), text);
        let of =
            |name: &ObjectName| self.tls_contexts.get_key_value(name).map(|(name, read)| (name, &read.value));
        of(&own).or_else(|| {
            let (name, namespace) = text.rsplit_once('.')?;
            of(&ObjectName::new(namespace, name))
        })
    }

    pub(super) fn secret(&self, name: &ObjectName) -> Option<&SecretObject> {
        self.secrets.get(name)
    }

    pub(super) fn set_secret(&mut self, name: ObjectName, secret: Option<SecretObject>) {
        match secret {
            Some(secret) => drop(self.secrets.insert(name, secret)),
            None => drop(self.secrets.remove(&name)),
        }
    }

    /// The selectors of Hosts.
    pub(super) fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.selectors.keys()
    }

    /// Whether there is a Listener that can be read. One that cannot must not close the ports that are open without it.
    pub(super) fn has_listeners(&self) -> bool {
        self.listeners.values().any(|read| read.value.is_ok())
    }

    /// Whether there is a Host that can be served. One that cannot must not take away what there is without it.
    pub(super) fn has_hosts(&self) -> bool {
        self.hosts.values().any(|read| read.value.is_ok())
    }

    /// Whether there is one without a selector, which has the routes that say for which hosts they are.
    pub(super) fn has_plain_hosts(&self) -> bool {
        self.hosts.values().any(|read| read.value.as_ref().is_ok_and(|host| host.selector.is_none()))
    }

    /// The classes of hosts that have a route; without Hosts they are not told apart. None: no host has it.
    pub(super) fn classes(&self, rule: &Rule) -> Vec<String> {
        if !self.has_hosts() && self.compat == Compat::Ideal {
            return Vec::new();
        }
        let named = (rule.named || rule.everywhere).then(|| Selects::Named.class());
        let selectors = self.selectors().filter(|it| rule.everywhere || it.selects(&rule.labels));
        let labels = selectors.map(|it| Selects::Labels(it.clone()).class());
        named.into_iter().chain(labels).collect()
    }

    /// The names of the Hosts that select by these labels.
    pub(super) fn selecting_hosts(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> impl Iterator<Item = &HostMatch> {
        let valid = self.hosts.values().filter_map(|read| read.value.as_ref().ok());
        valid
            .filter(|host| host.selector.as_ref().is_some_and(|selector| selector.selects(labels)))
            .map(|host| &host.name)
    }

    /// Takes what is read of a Host, or forgets it. Returns whether hosts are told apart by something else now.
    pub(super) fn set_host(&mut self, name: &ObjectName, host: Option<Read<Host>>) -> bool {
        fn selector(read: Option<&Read<Host>>) -> Option<&Selector> {
            read.and_then(|read| read.value.as_ref().ok()).and_then(|host| host.selector.as_ref())
        }
        let had = (self.has_hosts(), self.has_plain_hosts());
        let before = self.hosts.remove(name);
        let (old, new) = (selector(before.as_ref()), selector(host.as_ref()));
        if let Some(new) = new {
            *self.selectors.entry(new.clone()).or_default() += 1;
        }
        if let Some(old) = old {
            subtract(&mut self.selectors, old);
        }
        let same_selector = old == new;
        if let Some(host) = host {
            self.hosts.insert(name.clone(), host);
        }
        had != (self.has_hosts(), self.has_plain_hosts()) || !same_selector
    }

    pub(super) fn service(&self, name: &ObjectName) -> Option<&Service> {
        self.services.get(name).map(|it| &**it)
    }

    /// The name of a Service, in the allocations of the one that has it if there is one.
    pub(super) fn shared(&self, service: ObjectName) -> ObjectName {
        self.services.get_key_value(&service).map(|(known, _)| known.clone()).unwrap_or(service)
    }

    pub(super) fn slices(&self, service: &ObjectName) -> impl Iterator<Item = (&Arc<str>, &EndpointSlice)> {
        let first = (service.clone(), Arc::from(""));
        let from = self.slices.range(first..).map(|((service, name), slice)| (service, name, slice));
        from.take_while(move |(of, ..)| *of == service).map(|(_, name, slice)| (name, &**slice))
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

    pub(super) fn set_service(&mut self, name: ObjectName, service: Option<Service>) {
        match service {
            Some(mut service) => {
                service.ports.shrink_to_fit();
                self.services.insert(name, Box::new(service));
            }
            None => drop(self.services.remove(&name)),
        }
    }

    /// Returns the Services that have another set of endpoints now.
    pub(super) fn set_slice(&mut self, name: ObjectName, slice: Option<EndpointSlice>) -> Vec<ObjectName> {
        let mut touched = Vec::new();
        if let Some(service) = self.slice_services.remove(&name) {
            let service = name.sibling(service);
            let old = self.slices.remove(&(service.clone(), name.name.clone()));
            self.count_pods(&name, &service, old.as_deref().into_iter(), false);
            touched.push(service);
        }
        if let Some(mut slice) = slice {
            slice.endpoints.shrink_to_fit();
            let service = name.sibling(slice.service.clone());
            self.count_pods(&name, &service, [&slice].into_iter(), true);
            self.slice_services.insert(name.clone(), slice.service.clone());
            self.slices.insert((service.clone(), name.name), Box::new(slice));
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
