//! Keeps the compiled result in step with the objects, recomputing only what a change touches.
//!
//! Two kinds of things are computed: a *backend* (a cluster and what it was made of) from one Service with its slices
//! and pods, and a *group* (a route with its split) from the Mappings of one match and their backends. A change marks
//! the Services and groups that it touches; a Service passes the mark on to its groups only if a backend changed.

mod backend;
mod group;
mod mirror;
mod pending;
mod stores;
mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use proxy_config::{
    model::{Action, Change, Filters, Listener, ListenerId, Route, RouteId, Share, Split, SplitId, Version},
    validate::validate_change,
};

use self::{
    backend::{Backend, BackendKey},
    pending::Pending,
    stores::{StoredMapping, Stores},
};
use crate::{
    compiled::{Compiled, Delta, Leaving, SplitReport, Status, rejected_split},
    mapping::{Mapping, MatchKey, Parsed, parse},
    object::{MappingObject, ObjectChange, ObjectName},
    order,
};

/// What does not come from objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Mappings are used if their `ambassador_id` names this instance.
    pub ambassador_id: String,
    /// The port on which the proxies take cleartext HTTP.
    pub listener_port: u16,
}

/// The objects and what they compile to.
#[derive(Debug)]
pub struct Compiler {
    settings: Settings,
    stores: Stores,
    /// The Mappings of each match.
    groups: BTreeMap<Arc<MatchKey>, BTreeSet<ObjectName>>,
    /// The Mappings with `shadow`, which are in no group, and the groups whose requests each copies.
    shadows: BTreeMap<ObjectName, BTreeSet<Arc<MatchKey>>>,
    /// The backends that each group uses.
    uses: BTreeMap<Arc<MatchKey>, BTreeSet<BackendKey>>,
    /// The groups that use each backend.
    users: BTreeMap<BackendKey, BTreeSet<Arc<MatchKey>>>,
    /// The used backends of each Service.
    service_backends: BTreeMap<ObjectName, BTreeSet<BackendKey>>,
    backends: BTreeMap<BackendKey, Backend>,
    touched: Touched,
    compiled: Compiled,
}

/// What has to be looked at again.
#[derive(Debug, Default)]
struct Touched {
    listener: bool,
    mappings: BTreeSet<ObjectName>,
    shadows: bool,
    groups: BTreeSet<Arc<MatchKey>>,
    services: BTreeSet<ObjectName>,
    revisions: BTreeSet<Version>,
    pods: BTreeSet<ObjectName>,
}

impl Compiler {
    /// Without any object.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            stores: Stores::default(),
            groups: BTreeMap::new(),
            shadows: BTreeMap::new(),
            uses: BTreeMap::new(),
            users: BTreeMap::new(),
            service_backends: BTreeMap::new(),
            backends: BTreeMap::new(),
            touched: Touched { listener: true, ..Touched::default() },
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
        match change {
            ObjectChange::Mapping(name, mapping) => self.set_mapping(name, mapping),
            ObjectChange::Resolver(name, resolver) => {
                let text = name.name.clone();
                if self.stores.set_resolver(name, resolver) {
                    self.touch_resolver(&text);
                }
            }
            ObjectChange::Service(name, service) => {
                self.stores.set_service(name.clone(), service);
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
        }
    }

    /// Computes what the changes since the last call touch.
    pub fn compile(&mut self) -> Delta {
        let Touched { listener, mappings, shadows, mut groups, services, revisions, pods } =
            mem::take(&mut self.touched);
        let mut pending = Pending::default();
        if listener {
            let id = ListenerId::new("http");
            pending.listener = Some(Arc::new(Listener::http(id, self.settings.listener_port)));
        }
        for name in &mappings {
            self.compile_alone(name, &mut pending);
        }
        for service in &services {
            self.refresh_backends(service, &mut groups, &mut pending);
        }
        // A shadow may take the place of another, or give it up.
        let mut judged: BTreeSet<ObjectName> =
            if shadows { self.shadows.keys().cloned().collect() } else { BTreeSet::new() };
        for key in &groups {
            self.compile_group(key, &mut judged, &mut pending);
        }
        for name in &judged {
            self.judge_shadow(name, &mut pending);
        }
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

    fn set_mapping(&mut self, name: ObjectName, mapping: Option<MappingObject>) {
        let before = match mapping {
            None => self.stores.mappings.remove(&name),
            Some(mapping) => {
                let parsed = self.read(&name, &mapping);
                if let Parsed::Valid(mapping) = &parsed {
                    if mapping.shadow {
                        self.shadows.entry(name.clone()).or_default();
                        self.touch_copied(&mapping.key);
                    } else {
                        let key = Arc::new(mapping.key.clone());
                        self.groups.entry(Arc::clone(&key)).or_default().insert(name.clone());
                        self.touched.groups.insert(key);
                    }
                }
                let MappingObject { resource_version, owned_by_rollout: owned, spec: _ } = mapping;
                self.stores.mappings.insert(name.clone(), StoredMapping { resource_version, owned, parsed })
            }
        };
        if let Some(StoredMapping { parsed: Parsed::Valid(before), .. }) = before {
            let now = self.stores.valid(&name).map(|(_, now)| (now.shadow, now.key == before.key));
            if before.shadow {
                if now.is_none_or(|(shadow, _)| !shadow) {
                    self.touched.groups.extend(self.shadows.remove(&name).unwrap_or_default());
                }
                self.touch_copied(&before.key);
            } else if now != Some((false, true)) {
                self.leave_group(&name, &before.key);
            }
        }
        self.touched.mappings.insert(name);
    }

    fn leave_group(&mut self, name: &ObjectName, key: &MatchKey) {
        let Some((key, _)) = self.groups.get_key_value(key) else { return };
        let key = Arc::clone(key);
        if let Some(members) = self.groups.get_mut(&key) {
            members.remove(name);
            if members.is_empty() {
                self.groups.remove(&key);
            }
        }
        self.touched.groups.insert(key);
    }

    /// Marks the groups whose requests a shadow with this match may copy.
    fn touch_copied(&mut self, shadow: &MatchKey) {
        self.touched.shadows = true;
        let copied = self.groups.keys().filter(|group| mirror::may_copy(group, shadow));
        self.touched.groups.extend(copied.cloned());
    }

    /// Reads a Mapping and tries it as a route of its own: what the proxy would refuse is refused here, alone.
    fn read(&self, name: &ObjectName, object: &MappingObject) -> Parsed {
        let parsed = parse(&object.spec, &name.namespace, &self.settings.ambassador_id);
        let Parsed::Valid(mapping) = &parsed else { return parsed };
        let route = alone(name, mapping, &BackendKey::nobody().compile(&self.stores));
        match validate_change(&Change::Route(Arc::new(route))).into_iter().next() {
            Some(problem) => Parsed::Invalid(problem.fault.to_string()),
            None => parsed,
        }
    }

    fn touch_resolver(&mut self, resolver: &str) {
        let mut copied = Vec::new();
        for (name, stored) in &self.stores.mappings {
            if let Parsed::Valid(mapping) = &stored.parsed
                && mapping.resolver.as_deref() == Some(resolver)
            {
                if mapping.shadow {
                    self.touched.mappings.insert(name.clone());
                    copied.push(mapping.key.clone());
                } else {
                    self.touched.groups.insert(Arc::new(mapping.key.clone()));
                }
            }
        }
        for key in &copied {
            self.touch_copied(key);
        }
    }

    /// The verdict on a Mapping that is in no group; that of others comes from their group.
    fn compile_alone(&self, name: &ObjectName, pending: &mut Pending) {
        let (status, report): (Option<Status>, Option<SplitReport>) = match self.stores.mappings.get(name) {
            Some(stored) => match &stored.parsed {
                Parsed::Invalid(reason) => {
                    let report = group::rejected_report(name, stored, reason);
                    (Some(verdict::inactive(reason.clone())), Some(report))
                }
                Parsed::Foreign | Parsed::Valid(_) => (None, None),
            },
            None => (None, None),
        };
        pending.statuses.insert(name.clone(), status);
        pending.splits.insert(rejected_split(name), report);
    }

    fn refresh_backends(
        &mut self,
        service: &ObjectName,
        groups: &mut BTreeSet<Arc<MatchKey>>,
        pending: &mut Pending,
    ) {
        for key in self.service_backends.get(service).into_iter().flatten() {
            let backend = key.compile(&self.stores);
            let Some(before) = self.backends.get_mut(key) else { continue };
            if *before != backend {
                groups.extend(self.users.get(key).into_iter().flatten().cloned());
                pending.replace_backend(Some(before), Some(&backend));
                *before = backend;
            }
        }
    }

    /// What a pod that was chosen to go still gets; `None` for any other.
    fn leaving(&self, pod: &ObjectName) -> Option<Leaving> {
        self.stores.leaving(pod)?;
        let hash = self.stores.hash(pod);
        let keys = self.stores.services_of(pod).filter_map(|service| self.service_backends.get(service));
        let mut backends = keys.flatten().filter_map(|key| self.backends.get(key));
        let needed = backends.any(|backend| backend.needed.contains(pod));
        Some(Leaving { hash, needed })
    }

    /// The verdict on a shadow, once it is known whose requests it copies.
    fn judge_shadow(&self, name: &ObjectName, pending: &mut Pending) {
        let Some((stored, mapping)) = self.stores.valid(name) else { return };
        let copies = self.shadows.get(name).is_some_and(|groups| !groups.is_empty());
        let backend = mirror::backend(&self.stores, mapping);
        let compiled = backend.as_ref().ok().and_then(|backend| self.backends.get(backend));
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
        pending.splits.insert(rejected_split(name), report);
        let remark = compiled.and_then(|backend| backend.remark.as_ref());
        let remarks: Vec<&str> = remark.into_iter().chain(&mapping.remarks).map(String::as_str).collect();
        let status = reason.map_or_else(|| verdict::running(remarks.join("; ")), verdict::inactive);
        pending.statuses.insert(name.clone(), Some(status));
    }

    fn compile_group(
        &mut self,
        key: &Arc<MatchKey>,
        judged: &mut BTreeSet<ObjectName>,
        pending: &mut Pending,
    ) {
        let id = order::id(key);
        let names = self.groups.get(key).into_iter().flatten();
        let valid = |name| self.stores.valid(name).map(|(stored, mapping)| (name, stored, mapping));
        let (admitted, rejected) = group::admit(&self.stores, names.filter_map(valid));
        let shadows = self.shadows.keys().filter_map(valid);
        let shadows = mirror::of_group(&self.stores, key, &admitted, shadows);
        let mut wanted: BTreeSet<BackendKey> = admitted.iter().map(|member| member.backend.clone()).collect();
        wanted.extend(shadows.iter().map(|shadow| shadow.backend.clone()));
        if !admitted.is_empty() {
            wanted.insert(BackendKey::nobody());
        }
        for backend in &wanted {
            if !self.backends.contains_key(backend) {
                let compiled = backend.compile(&self.stores);
                pending.replace_backend(None, Some(&compiled));
                self.backends.insert(backend.clone(), compiled);
                if let Some(service) = backend.service() {
                    self.service_backends.entry(service.clone()).or_default().insert(backend.clone());
                }
            }
        }
        let output = group::compile(key, &admitted, &rejected, &shadows, &self.backends);
        for name in rejected.iter().map(|it| it.name) {
            pending.splits.insert(rejected_split(name), None);
        }
        for name in admitted.iter().map(|it| it.name) {
            pending.splits.insert(rejected_split(name), None);
        }
        pending.routes.insert(RouteId::new(id.clone()), None);
        pending.splits.insert(SplitId::new(id), None);
        if let Some(route) = output.route {
            pending.routes.insert(route.id.clone(), Some(Arc::new(route)));
        }
        pending.splits.extend(output.splits.into_iter().map(|(id, report)| (id, Some(report))));
        pending.statuses.extend(output.statuses.into_iter().map(|(name, status)| (name, Some(status))));
        let copying: BTreeSet<ObjectName> = shadows.iter().map(|shadow| shadow.name.clone()).collect();
        self.set_copying(key, &copying, judged);
        self.set_uses(key, &wanted, pending);
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

    /// Records which backends a group uses and drops those that nobody uses any more.
    fn set_uses(&mut self, key: &Arc<MatchKey>, wanted: &BTreeSet<BackendKey>, pending: &mut Pending) {
        for backend in wanted {
            self.users.entry(backend.clone()).or_default().insert(Arc::clone(key));
        }
        let before = if wanted.is_empty() {
            self.uses.remove(key)
        } else {
            self.uses.insert(Arc::clone(key), wanted.clone())
        };
        for backend in before.unwrap_or_default().difference(wanted) {
            let Some(users) = self.users.get_mut(backend) else { continue };
            users.remove(key);
            if !users.is_empty() {
                continue;
            }
            self.users.remove(backend);
            if let Some(compiled) = self.backends.remove(backend) {
                pending.replace_backend(Some(&compiled), None);
            }
            if let Some(service) = backend.service()
                && let Some(backends) = self.service_backends.get_mut(service)
            {
                backends.remove(backend);
                if backends.is_empty() {
                    self.service_backends.remove(service);
                }
            }
        }
    }
}

/// The route that a Mapping would make if it were the only one.
fn alone(name: &ObjectName, mapping: &Mapping, backend: &Backend) -> Route {
    let id = order::id(&mapping.key);
    let arms = vec![group::arm(name, mapping, Share::WHOLE, backend)];
    Route {
        id: RouteId::new(id.clone()),
        rank: order::rank(&mapping.key),
        host: mapping.key.host.clone(),
        path: group::path(mapping.path, &mapping.key.prefix),
        case: mapping.case.unwrap_or_default(),
        method: mapping.key.method.clone(),
        headers: mapping.key.headers.clone(),
        query: mapping.key.query.clone(),
        listeners: Vec::new(),
        filters: Filters::default(),
        action: Action::Split(Split { id: SplitId::new(id), arms, mirrors: Vec::new() }),
    }
}
