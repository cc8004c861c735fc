//! The objects of the Gateway API, and who refers to whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::gateway::{
    GROUP, GatewayClassSpec, GatewayKind, GatewaySpec, ListenerSetSpec, RouteKind, read_spec,
    reference::ParentReference,
};

use super::policies::Policies;
use crate::{
    gateway::{
        GatewayObject, GatewayObjectName, Presence, Supply,
        grants::Grants,
        objects::{Read, Route, RouteRules},
    },
    object::ObjectName,
    recent::Recent,
    scope::Scope,
};

/// Names a route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) struct RouteName {
    pub(in super::super) kind: RouteKind,
    pub(in super::super) name: ObjectName,
}

/// Every object of the Gateway API that the compiler was told of.
#[derive(Debug, Default)]
pub(in super::super) struct Objects {
    pub(super) classes: BTreeMap<Arc<str>, Read<GatewayClassSpec>>,
    pub(super) gateways: BTreeMap<ObjectName, Read<GatewaySpec>>,
    pub(super) sets: BTreeMap<ObjectName, Read<ListenerSetSpec>>,
    pub(super) routes: BTreeMap<RouteName, Box<Read<Route>>>,
    pub(in super::super) grants: Grants,
    pub(in super::super) policies: Policies,
    /// `metadata.labels` of Namespaces.
    pub(super) namespaces: BTreeMap<Arc<str>, BTreeMap<String, String>>,
    pub(in super::super) config_maps: BTreeMap<ObjectName, BTreeMap<String, String>>,
    pub(super) supplies: BTreeMap<ObjectName, Supply>,
    /// How far the proxies of each scope are.
    pub(super) proxies: BTreeMap<Scope, Presence>,
    /// The Gateways of each class.
    pub(super) of_class: BTreeMap<Arc<str>, BTreeSet<ObjectName>>,
    /// The ListenerSets of each Gateway.
    pub(super) of_gateway: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    /// The parents that routes have named lately.
    references: Recent<ParentReference>,
    /// The routes that name each parent.
    pub(super) of_parent: BTreeMap<Parent, BTreeSet<RouteName>>,
    /// The routes that take the place of each.
    pub(super) stand_ins: BTreeMap<RouteName, BTreeSet<RouteName>>,
    /// The routes that refer to something in each namespace that is not theirs.
    pub(super) abroad: BTreeMap<Arc<str>, BTreeSet<RouteName>>,
}

/// What a route attaches to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Parent {
    Gateway(ObjectName),
    ListenerSet(ObjectName),
}

/// What has to be looked at again.
#[derive(Debug, Default)]
pub(in super::super) struct Touched {
    pub(super) classes: BTreeSet<Arc<str>>,
    pub(super) gateways: BTreeSet<ObjectName>,
    pub(super) sets: BTreeSet<ObjectName>,
    pub(in super::super) routes: BTreeSet<RouteName>,
    /// Gateways of which something else holds, though their listeners may be the same.
    pub(super) judged: BTreeSet<ObjectName>,
    /// Proxies that may serve other Gateways now.
    pub(super) scopes: BTreeSet<Scope>,
    pub(in super::super) policies: BTreeSet<ObjectName>,
}

impl RouteName {
    /// The route that it names as the one whose place it takes.
    fn base(&self, read: &Read<Route>) -> Option<Self> {
        let name = self.name.sibling(Arc::clone(read.stands_in_for.as_ref()?));
        Some(Self { kind: self.kind, name })
    }
}

impl Parent {
    /// What a reference means; `None` if it is of no kind that has listeners.
    pub(super) fn of(reference: &ParentReference, namespace: &Arc<str>) -> Option<Self> {
        let namespace = reference.namespace.as_deref().filter(|it| !it.is_empty()).unwrap_or(namespace);
        let name = ObjectName::new(namespace, reference.name.as_str());
        match (reference.group(), reference.kind()) {
            (GROUP, "Gateway") => Some(Self::Gateway(name)),
            (GROUP, "ListenerSet") => Some(Self::ListenerSet(name)),
            _ => None,
        }
    }
}

impl Objects {
    /// Takes one object. Returns the Services whose backends may be others now.
    pub(in super::super) fn set(
        &mut self,
        id: &GatewayObjectName,
        object: Option<&GatewayObject>,
        touched: &mut Touched,
    ) -> BTreeSet<ObjectName> {
        let name = &id.name;
        match id.kind {
            GatewayKind::GatewayClass => {
                let class = &name.name;
                put(&mut self.classes, class, object.map(Read::new));
                touched.gateways.extend(self.of_class.get(class).into_iter().flatten().cloned());
                touched.classes.insert(class.clone());
            }
            GatewayKind::Gateway => self.set_gateway(name, object.map(Read::new), touched),
            GatewayKind::ListenerSet => self.set_listener_set(name, object.map(Read::new), touched),
            GatewayKind::ReferenceGrant => {
                // One that cannot be read permits nothing.
                self.grants.set(name, object.and_then(|object| read_spec(&object.spec).ok()));
                touched.routes.extend(self.abroad.get(&name.namespace).into_iter().flatten().cloned());
                touched.gateways.extend(self.gateways.keys().cloned());
            }
            GatewayKind::BackendTlsPolicy => {
                let before = self.policies.services(name);
                let services = self.policies.set(name, object.map(Read::new));
                // Another one may count now.
                for service in before.iter().chain(&services) {
                    touched.policies.extend(self.policies.for_service(service).cloned());
                }
                touched.policies.insert(name.clone());
                return services;
            }
            GatewayKind::Route(kind) => {
                let route = RouteName { kind, name: name.clone() };
                let read = object.map(|object| Read::route(kind, object, &mut self.references));
                self.set_route(&route, read);
                touched.routes.extend(self.stand_ins.get(&route).into_iter().flatten().cloned());
                touched.routes.insert(route);
            }
        }
        BTreeSet::new()
    }

    fn set_gateway(&mut self, name: &ObjectName, gateway: Option<Read<GatewaySpec>>, touched: &mut Touched) {
        let class = |read: &Read<GatewaySpec>| {
            read.spec.as_ref().ok().map(|spec| Arc::from(spec.gateway_class_name.as_str()))
        };
        let now = gateway.as_ref().and_then(class);
        let before = put(&mut self.gateways, name, gateway).as_ref().and_then(class);
        if before != now {
            if let Some(before) = before {
                take(&mut self.of_class, &before, name);
                touched.classes.insert(before);
            }
            if let Some(now) = now {
                self.of_class.entry(now.clone()).or_default().insert(name.clone());
                touched.classes.insert(now);
            }
        }
        touched.sets.extend(self.of_gateway.get(name).into_iter().flatten().cloned());
        touched.gateways.insert(name.clone());
    }

    fn set_listener_set(
        &mut self,
        name: &ObjectName,
        set: Option<Read<ListenerSetSpec>>,
        touched: &mut Touched,
    ) {
        let now = set.as_ref().and_then(|set| gateway_of(name, set));
        let before = put(&mut self.sets, name, set).and_then(|set| gateway_of(name, &set));
        if before != now {
            if let Some(before) = &before {
                take(&mut self.of_gateway, before, name);
            }
            if let Some(now) = &now {
                self.of_gateway.entry(now.clone()).or_default().insert(name.clone());
            }
        }
        touched.gateways.extend(before.into_iter().chain(now));
        touched.sets.insert(name.clone());
        let routes = self.of_parent.get(&Parent::ListenerSet(name.clone()));
        touched.routes.extend(routes.into_iter().flatten().cloned());
    }

    fn set_route(&mut self, route: &RouteName, read: Option<Read<Route>>) {
        let parents = |read: &Read<Route>| -> BTreeSet<Parent> {
            let parents = read.parents().iter();
            parents.filter_map(|parent| Parent::of(parent, &route.name.namespace)).collect()
        };
        let foreign = |read: &Read<Route>| abroad(read, &route.name.namespace);
        if let Some(before) = self.routes.get(route) {
            for parent in parents(before) {
                take(&mut self.of_parent, &parent, route);
            }
            for namespace in foreign(before) {
                take(&mut self.abroad, &namespace, route);
            }
            if let Some(base) = route.base(before) {
                take(&mut self.stand_ins, &base, route);
            }
        }
        if let Some(now) = &read {
            for parent in parents(now) {
                self.of_parent.entry(parent).or_default().insert(route.clone());
            }
            for namespace in foreign(now) {
                self.abroad.entry(namespace).or_default().insert(route.clone());
            }
            if let Some(base) = route.base(now) {
                self.stand_ins.entry(base).or_default().insert(route.clone());
            }
        }
        put(&mut self.routes, route, read.map(Box::new));
    }

    /// The route whose place a route takes, with its age; `None`: it stands for itself.
    pub(super) fn base_of(&self, route: &RouteName, read: &Read<Route>) -> Option<(&ObjectName, i64)> {
        let (base, found) = self.routes.get_key_value(&route.base(read)?)?;
        Some((&base.name, found.created))
    }

    /// Takes the labels of a Namespace.
    pub(in super::super) fn set_namespace(
        &mut self,
        name: &Arc<str>,
        labels: Option<BTreeMap<String, String>>,
        touched: &mut Touched,
    ) {
        let now = labels.clone();
        if put(&mut self.namespaces, name, labels) == now {
            return;
        }
        let routes = self.routes.keys().filter(|route| route.name.namespace == *name);
        touched.routes.extend(routes.cloned());
        let sets = self.sets.iter().filter(|(set, _)| set.namespace == *name);
        for (set, read) in sets {
            touched.gateways.extend(gateway_of(set, read));
        }
    }

    /// Takes what there is of a Gateway's proxies.
    pub(in super::super) fn set_supply(
        &mut self,
        name: &ObjectName,
        supply: Option<Supply>,
        touched: &mut Touched,
    ) {
        put(&mut self.supplies, name, supply);
        touched.judged.insert(name.clone());
    }

    /// Takes how far the proxies of a scope are.
    pub(in super::super) fn set_proxies(
        &mut self,
        scope: &Scope,
        presence: Option<Presence>,
        touched: &mut Touched,
    ) {
        if put(&mut self.proxies, scope, presence) == presence {
            return;
        }
        match scope {
            Scope::Fleet => {}
            Scope::Gateway(name) => drop(touched.gateways.insert(name.clone())),
            Scope::Class(class) => touched.gateways.extend(self.of_class(&class.name).cloned()),
        }
    }

    /// The Gateways of a class.
    pub(super) fn of_class(&self, class: &Arc<str>) -> impl Iterator<Item = &ObjectName> {
        self.of_class.get(class).into_iter().flatten()
    }

    /// When a Gateway was made: what several cannot have the oldest keeps.
    pub(super) fn age(&self, gateway: &ObjectName) -> Option<i64> {
        self.gateways.get(gateway).map(|read| read.created)
    }

    /// The labels of a Namespace.
    pub(super) fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        self.namespaces.get(namespace).cloned().unwrap_or_default()
    }

    /// The routes that name a Gateway or one of its ListenerSets.
    pub(super) fn routes_of(&self, gateway: &ObjectName) -> BTreeSet<RouteName> {
        let sets = self.of_gateway.get(gateway).into_iter().flatten().cloned().map(Parent::ListenerSet);
        let parents = sets.chain([Parent::Gateway(gateway.clone())]);
        parents.filter_map(|parent| self.of_parent.get(&parent)).flatten().cloned().collect()
    }
}

/// The Gateway that a ListenerSet is for.
pub(super) fn gateway_of(name: &ObjectName, set: &Read<ListenerSetSpec>) -> Option<ObjectName> {
    match Parent::of(&set.spec.as_ref().ok()?.parent_ref, &name.namespace)? {
        Parent::Gateway(gateway) => Some(gateway),
        Parent::ListenerSet(_) => None,
    }
}

/// The namespaces, other than its own, that a route's backends are in.
fn abroad(read: &Read<Route>, own: &Arc<str>) -> BTreeSet<Arc<str>> {
    use crds::gateway::filter::Filter;
    let mirror = |filter: &Filter| match filter {
        Filter::RequestMirror(mirror) => mirror.backend_ref.namespace.clone(),
        _ => None,
    };
    let Ok(route) = &read.spec else { return BTreeSet::new() };
    let mut found: Vec<String> = Vec::new();
    match &route.rules.read() {
        RouteRules::Http(spec) => {
            for rule in &spec.rules {
                found.extend(rule.backend_refs.iter().filter_map(|it| it.backend.namespace.clone()));
                found.extend(rule.filters.iter().filter_map(mirror));
            }
        }
        RouteRules::Grpc(spec) => {
            for rule in &spec.rules {
                found.extend(rule.backend_refs.iter().filter_map(|it| it.backend.namespace.clone()));
                found.extend(rule.filters.iter().filter_map(mirror));
            }
        }
        RouteRules::Stream(spec) => {
            let backends = spec.rules.iter().flat_map(|rule| &rule.backend_refs);
            found.extend(backends.filter_map(|it| it.backend.namespace.clone()));
        }
        RouteRules::Unreadable => {}
    }
    found.into_iter().filter(|namespace| **namespace != **own).map(Arc::from).collect()
}

/// Puts a value in the place of another, or takes it out, and returns what was there.
pub(super) fn put<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, key: &K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key.clone(), value),
        None => map.remove(key),
    }
}

/// Takes a member out of a set of the map; an empty set goes.
pub(super) fn take<K: Ord, V: Ord>(map: &mut BTreeMap<K, BTreeSet<V>>, key: &K, member: &V) {
    if let Some(members) = map.get_mut(key) {
        members.remove(member);
        if members.is_empty() {
            map.remove(key);
        }
    }
}
