//! Keeps the compiled result in step with the objects, recomputing only what a change touches.
//!
//! Computed are, each from what it names and no more:
//!
//! - a *backend* (a cluster and what it was made of) from one Service with its slices and pods, and for TLS from a
//!   context with its Secrets,
//! - a *group* (a route with its split) from the Mappings of one match and their backends,
//! - a *host* from one Host, the Listeners, and its context and Secrets; hosts and groups know nothing of each other,
//! - a *place* (the route of rules of Ingresses, with its split) from the Ingresses that have such a rule,
//! - a *way for connections* from the TCPMappings of one port and server name,
//! - a *Gateway* from its class, its ListenerSets, Secrets and grants; it has a configuration of its own, or one with
//!   other Gateways of its class, of which the older go first,
//! - what a *route* of the Gateway API contributes to a Gateway, from both and the route's backends.
//!
//! What is looked up by what has no order to keep is hashed: such a map is never asked in what order it has things.
//!
//! A change marks what it touches; a Service passes the mark on to its groups only if a backend changed. The Module
//! touches every Mapping.

mod backend;
mod certificates;
mod connections;
mod documents;
mod entrances;
mod entries;
mod gateway;
mod group;
mod ingress;
mod mirror;
mod pending;
mod settings;
mod stand_ins;
mod stores;
mod uses;
mod verdict;
mod wants;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::Hash,
    mem,
    sync::Arc,
};

use foldhash::{HashMap, HashSet};
use proxy_config::model::{Certificate, HostId, Share, Version};

pub use self::settings::{EMISSARY_CONTROLLER, INGRESS_ANNOTATIONS, INGRESS_CONTROLLER, Settings};
use self::{
    backend::BackendKey,
    pending::Pending,
    stand_ins::StandIns,
    stores::Stores,
    uses::{Backends, Used, User},
    wants::{Wanted, Wants},
};
use crate::{
    compiled::{Compiled, Delta, Leaving, Subject},
    dialect::{
        Carrier,
        documents::{Concerned, DocumentName},
    },
    ingress::{Place, defaults::Defaults},
    mapping::MatchKey,
    object::{EmissaryObject, ObjectChange, ObjectName},
    tcp::TcpKey,
};

/// The objects and what they compile to.
#[derive(Debug)]
pub struct Compiler {
    settings: Settings,
    stores: Stores,
    /// The Mappings of each match.
    groups: HashMap<Arc<MatchKey>, HashSet<ObjectName>>,
    /// The Mappings with `shadow`, which are in no group, and the groups whose requests each copies.
    shadows: BTreeMap<ObjectName, BTreeSet<Arc<MatchKey>>>,
    /// Mappings that do not say for which hosts they are.
    unnamed: BTreeSet<ObjectName>,
    stand_ins: StandIns,
    /// The TCPMappings of each port and server name.
    connections: BTreeMap<TcpKey, BTreeSet<ObjectName>>,
    /// The Ingresses that have a rule of each place.
    places: BTreeMap<Arc<Place>, BTreeSet<ObjectName>>,
    /// What is to be said of rules of Ingresses.
    words: BTreeMap<Arc<Place>, BTreeMap<ObjectName, ingress::Word>>,
    /// What is wrong with the names that Ingresses have certificates for.
    ingress_tls: BTreeMap<ObjectName, Vec<String>>,
    /// The backends that each group, place, way for connections or route uses.
    uses: HashMap<User, Box<[BackendKey]>>,
    backends: HashMap<BackendKey, Box<Used>>,
    /// The used backends of each Service.
    service_backends: HashMap<ObjectName, Vec<BackendKey>>,
    /// The used backends that originate TLS.
    tls_backends: BTreeSet<BackendKey>,
    certificates: certificates::Shown,
    /// The certificate of each host.
    host_certificates: BTreeMap<HostId, Arc<Certificate>>,
    gateways: gateway::Derived,
    wants: Wants,
    touched: Touched,
    compiled: Compiled,
}

/// What has to be looked at again.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a kind of which all objects are looked at")]
struct Touched {
    documents: Concerned,
    carriers: BTreeSet<Carrier>,
    unreadable: BTreeSet<Subject>,
    /// Mappings that are in no group; in no order, and one may be there more than once.
    mappings: Vec<ObjectName>,
    shadows: bool,
    /// The ConfigMap with what holds for all Ingresses.
    defaults: bool,
    /// In no order; one may be there more than once.
    groups: Vec<Arc<MatchKey>>,
    /// Which Hosts there are makes a difference for each.
    all_groups: bool,
    ingresses: BTreeSet<ObjectName>,
    places: BTreeSet<Arc<Place>>,
    /// Ingresses whose verdict may be another one.
    judged: BTreeSet<ObjectName>,
    connections: BTreeSet<TcpKey>,
    services: BTreeSet<ObjectName>,
    secrets: bool,
    /// Listeners, Hosts, their contexts.
    entrances: bool,
    revisions: BTreeSet<Version>,
    pods: BTreeSet<ObjectName>,
    gateway: gateway::Touched,
}

impl Compiler {
    /// Without any object.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let stores = Stores::new(settings.compat);
        Self {
            settings,
            stores,
            groups: HashMap::default(),
            shadows: BTreeMap::new(),
            unnamed: BTreeSet::new(),
            stand_ins: StandIns::default(),
            connections: BTreeMap::new(),
            places: BTreeMap::new(),
            words: BTreeMap::new(),
            ingress_tls: BTreeMap::new(),
            uses: HashMap::default(),
            backends: HashMap::default(),
            service_backends: HashMap::default(),
            tls_backends: BTreeSet::new(),
            certificates: certificates::Shown::new(),
            host_certificates: BTreeMap::new(),
            gateways: gateway::Derived::default(),
            wants: Wants::default(),
            touched: Touched { entrances: true, ..Touched::default() },
            compiled: Compiled::default(),
        }
    }

    /// The result as of the last [`Compiler::compile`].
    #[must_use]
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// Takes one changed object. Nothing is computed before [`Compiler::compile`].
    pub fn apply(&mut self, change: ObjectChange) {
        let ambassador_id = &self.settings.ambassador_id;
        match change {
            ObjectChange::Emissary(name, object) => {
                let document = object.map(|object| EmissaryObject::into_document(object, &name));
                let concerned = self.stores.documents.set_object(&name, document, ambassador_id);
                self.touched.documents.merge(concerned);
            }
            ObjectChange::Annotation(carrier, annotation) => {
                let before = self.stores.documents.unreadable(&carrier);
                let before = before.into_iter().flat_map(BTreeMap::keys);
                let before = before.map(|number| Subject::Unreadable(carrier.clone(), *number));
                self.touched.unreadable.extend(before);
                let compat = self.settings.compat;
                let concerned = self.stores.documents.set_annotation(
                    &carrier,
                    annotation.as_ref(),
                    ambassador_id,
                    compat,
                );
                self.touched.documents.merge(concerned);
                self.touched.carriers.insert(carrier);
            }
            ObjectChange::Secret(name, secret) => {
                self.stores.set_secret(name.clone(), secret);
                self.touched.secrets = true;
                self.touch_wanters(&Wanted::Secret(name));
            }
            ObjectChange::Service(name, service) => {
                self.stores.set_service(name.clone(), service);
                self.touch_ingresses_of(&name);
                self.touched.services.insert(name);
            }
            ObjectChange::EndpointSlice(name, slice) => {
                let services = self.stores.set_slice(name, slice);
                self.touched.services.extend(services);
            }
            ObjectChange::Pod(name, pod) => {
                self.touched.revisions.extend(self.stores.version(&name));
                let services = self.stores.set_pod(name.clone(), pod);
                self.touched.revisions.extend(self.stores.version(&name));
                self.touched.services.extend(services);
                self.touched.pods.insert(name);
            }
            ObjectChange::Rollout(name, rollout) => {
                let services = self.stores.set_rollout(&name, rollout);
                self.touched.services.extend(services);
            }
            ObjectChange::Ingress(name, ingress) => {
                match ingress {
                    Some(ingress) => drop(self.stores.ingress_objects.insert(name.clone(), ingress)),
                    None => drop(self.stores.ingress_objects.remove(&name)),
                }
                self.touched.ingresses.insert(name);
            }
            ObjectChange::IngressClass(name, class) => {
                let before = match class.clone() {
                    Some(class) => self.stores.ingress_classes.insert(name, class),
                    None => self.stores.ingress_classes.remove(&name),
                };
                if before != class {
                    self.touch_ingresses();
                }
            }
            ObjectChange::IngressDefaults(data) => {
                let defaults = data.as_ref().map(Defaults::parse).unwrap_or_default();
                if defaults != self.stores.ingress_defaults {
                    self.stores.ingress_defaults = defaults;
                    self.touch_ingresses();
                }
                self.touched.defaults = true;
            }
            ObjectChange::Gateway(id, object) => {
                let touched = &mut self.touched.gateway;
                let services = self.stores.gateway.set(&id, object.as_ref(), touched);
                self.touched.services.extend(services);
            }
            ObjectChange::Supply(name, supply) => {
                self.stores.gateway.set_supply(&name, supply, &mut self.touched.gateway);
            }
            ObjectChange::Proxies(scope, presence) => {
                self.stores.gateway.set_proxies(&scope, presence, &mut self.touched.gateway);
            }
            ObjectChange::Namespace(name, labels) => {
                self.stores.gateway.set_namespace(&name, labels, &mut self.touched.gateway);
            }
            ObjectChange::ConfigMap(name, data) => {
                match data {
                    Some(data) => drop(self.stores.gateway.config_maps.insert(name.clone(), data)),
                    None => drop(self.stores.gateway.config_maps.remove(&name)),
                }
                self.touch_wanters(&Wanted::ConfigMap(name));
            }
        }
    }

    fn touch_ingresses(&mut self) {
        self.touched.ingresses.extend(self.stores.ingress_objects.keys().cloned());
    }

    /// Computes what the changes since the last call touch.
    pub fn compile(&mut self) -> Delta {
        let mut pending = Pending::default();
        self.read_emissary_ingresses();
        self.read_documents(&mut pending);
        self.read_ingresses(&mut pending);
        let Touched {
            documents: _,
            carriers: _,
            unreadable: _,
            mut mappings,
            shadows,
            mut groups,
            all_groups,
            ingresses: _,
            mut places,
            judged: ingresses,
            defaults,
            mut connections,
            services,
            secrets,
            entrances,
            revisions,
            pods,
            gateway,
        } = mem::take(&mut self.touched);
        self.touched.gateway = gateway;
        self.serve_gateways(&mut pending);
        mappings.sort_unstable();
        mappings.dedup();
        for name in &mappings {
            self.compile_alone(name, &mut pending);
        }
        let mut stale: BTreeSet<BackendKey> = services
            .iter()
            .filter_map(|service| self.service_backends.get(service))
            .flatten()
            .cloned()
            .collect();
        if secrets || entrances {
            stale.extend(self.tls_backends.iter().cloned());
        }
        for user in self.refresh_backends(&stale, &mut pending) {
            match user {
                User::Group(key) => groups.push(key),
                User::Place(place) => drop(places.insert(place)),
                User::Connections(key) => drop(connections.insert(key)),
                User::Route(it) => drop(self.touched.gateway.routes.insert(it.route.clone())),
            }
        }
        if all_groups {
            groups.extend(self.groups.keys().cloned());
        }
        groups.sort_unstable();
        groups.dedup();
        make_room(&mut self.uses, groups.len());
        make_room(&mut self.backends, groups.len());
        // A shadow may take the place of another, or give it up.
        let mut judged: BTreeSet<ObjectName> =
            if shadows { self.shadows.keys().cloned().collect() } else { BTreeSet::new() };
        for key in &groups {
            self.compile_group(key, &mut judged, &mut pending);
        }
        for name in &judged {
            self.judge_shadow(name, &mut pending);
        }
        if secrets {
            places.extend(self.places_with_passwords());
        }
        for place in &places {
            self.compile_place(place, &mut pending);
        }
        let entered = secrets || entrances || !connections.is_empty();
        if entered {
            self.compile_entrances(&mut pending);
            // The listeners of their ports may be others now.
            connections.extend(self.connections.keys().cloned());
        }
        let mut ingresses: BTreeSet<ObjectName> =
            ingresses.into_iter().chain(mem::take(&mut self.touched.judged)).collect();
        if entered {
            ingresses.extend(self.stores.ingresses.keys().cloned());
        }
        for name in &ingresses {
            self.judge_ingress(name, &mut pending);
        }
        if defaults {
            self.judge_ingress_defaults(&mut pending);
        }
        for key in &connections {
            self.compile_connections(key, &mut pending);
        }
        self.compile_routes(&mut pending);
        self.judge_gateways(&mut pending);
        for version in revisions {
            let there = self.stores.has_pods(&version);
            pending.pods.insert(version, there);
        }
        let needed = mem::take(&mut pending.needed);
        for pod in pods.into_iter().chain(needed) {
            let leaving = self.leaving(&pod);
            pending.leaving.insert(pod, leaving);
        }
        pending.settle(&mut self.compiled)
    }

    /// What a pod that was chosen to go still gets; `None` for any other.
    fn leaving(&self, pod: &ObjectName) -> Option<Leaving> {
        self.stores.leaving(pod)?;
        let hash = self.stores.hash(pod);
        let keys = self.stores.services_of(pod).filter_map(|service| self.service_backends.get(service));
        let mut backends = keys.flatten().filter_map(|key| self.backends.get(key));
        let needed = backends.any(|used| used.backend.needed.contains(pod));
        Some(Leaving { hash, needed })
    }

    fn judge_ingress_defaults(&self, pending: &mut Pending) {
        let remarks = &self.stores.ingress_defaults.remarks;
        let status = (!remarks.is_empty()).then(|| verdict::running(remarks.join("; ")));
        pending.statuses.insert(Subject::IngressDefaults, status);
    }

    /// The verdict on a shadow, once it is known whose requests it copies.
    fn judge_shadow(&mut self, name: &ObjectName, pending: &mut Pending) {
        let Some((stored, mapping)) = self.stores.valid(name) else { return };
        let copies = self.shadows.get(name).is_some_and(|groups| !groups.is_empty());
        let backend = mirror::backend(&self.stores, name, mapping);
        let compiled = backend.as_ref().ok().and_then(|key| self.backends.get(key)).map(|it| &it.backend);
        let reason = match &backend {
            Err(reason) => Some(reason.clone()),
            Ok(_) if !copies => Some(match mirror::rival(&self.stores, self.shadows.keys(), name) {
                Some(rival) => format!("Mapping `{rival}` copies the same requests already"),
                None => "there is no other Mapping whose requests it could copy".to_owned(),
            }),
            Ok(_) => {
                let problem = compiled.and_then(|backend| backend.problem.as_ref());
                problem.map(|problem| format!("no request is copied: {}", problem.text))
            }
        };
        let report = reason.as_ref().map(|reason| group::rejected_report(name, stored, reason));
        self.stand_ins.set(name, report, pending);
        let remark = compiled.and_then(|backend| backend.remark.as_ref());
        let remarks: Vec<&str> = remark.into_iter().chain(&mapping.remarks).map(String::as_str).collect();
        let status = reason.map_or_else(|| verdict::running(remarks.join("; ")), verdict::inactive);
        pending.statuses.insert(subject(stored), Some(status));
    }

    fn compile_group(
        &mut self,
        key: &Arc<MatchKey>,
        judged: &mut BTreeSet<ObjectName>,
        pending: &mut Pending,
    ) {
        let members = self.groups.get(key).into_iter().flatten();
        let valid = |name| self.stores.valid(name).map(|(stored, mapping)| (name, stored, mapping));
        let (admitted, rejected) = group::admit(&self.stores, members.filter_map(valid));
        let shadows = self.shadows.keys().filter_map(valid);
        let shadows = mirror::of_group(&self.stores, key, &admitted, shadows);
        let mut wanted: BTreeSet<BackendKey> = admitted.iter().map(|member| member.backend.clone()).collect();
        wanted.extend(shadows.iter().map(|shadow| shadow.backend.clone()));
        let shares = group::shares(&admitted, self.settings.compat);
        if !admitted.is_empty() && shares.unclaimed > Share::ZERO {
            wanted.insert(BackendKey::nobody());
        }
        let made = self.make(&wanted);
        let backends = Backends { known: &self.backends, made: &made };
        let names = group::Names::of(key);
        let output =
            group::compile((key, &names), &shares, &admitted, &rejected, &shadows, backends, &self.stores);
        let copying: BTreeSet<ObjectName> = shadows.iter().map(|shadow| shadow.name.clone()).collect();
        let (route, rule) = output.route.unzip();
        pending.rules.insert(names.route.clone(), rule.map(Arc::new));
        pending.fleet.routes.insert(names.route, route);
        pending.splits.insert(names.split, output.split.map(Arc::new));
        for member in &admitted {
            self.stand_ins.set(member.name, None, pending);
        }
        for (name, report) in output.stand_ins {
            self.stand_ins.set(&name, Some(report), pending);
        }
        pending.statuses.extend(output.statuses.into_iter().map(|(name, status)| (name, Some(status))));
        self.set_copying(key, &copying, judged);
        self.set_uses(&User::Group(Arc::clone(key)), wanted, made, pending);
    }

    /// Records which shadows copy requests of a group. Those that do or did are judged again.
    fn set_copying(
        &mut self,
        key: &Arc<MatchKey>,
        copying: &BTreeSet<ObjectName>,
        judged: &mut BTreeSet<ObjectName>,
    ) {
        for (name, copied) in &mut self.shadows {
            let did = copied.remove(key);
            let does = copying.contains(name);
            if does {
                copied.insert(Arc::clone(key));
            }
            if did || does {
                judged.insert(name.clone());
            }
        }
    }
}

/// So that a map does not grow in steps, where so many keys are to be in it, known ones or new ones.
fn make_room<K: Eq + Hash, V>(map: &mut HashMap<K, V>, keys: usize) {
    map.reserve(keys.saturating_sub(map.len()));
}

/// What the verdict on a Mapping is about.
fn subject<T>(read: &stores::Read<T>) -> Subject {
    let document = &read.document;
    let name = DocumentName { kind: document.kind, name: document.name.clone() };
    Subject::Document(name, document.origin.clone())
}

#[cfg(test)]
mod tests;
