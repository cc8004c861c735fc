//! Who uses which backends: they are made for the first, compiled anew for all, and dropped with the last. A scope has
//! those that somebody in it uses.

use std::{collections::BTreeSet, sync::Arc};

use foldhash::{HashMap, HashSet};

use super::{
    Compiler, Pending,
    backend::{Backend, BackendKey},
    certificates, gateway,
};
use crate::{ingress::Place, mapping::MatchKey, object::ObjectName, scope::Scope, tcp::TcpKey};

/// Who uses backends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum User {
    Group(Arc<MatchKey>),
    Place(Arc<Place>),
    Connections(TcpKey),
    Route(Arc<Contributor>),
}

/// A route of the Gateway API, for one Gateway that these proxies serve.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Contributor {
    pub(super) scope: Scope,
    pub(super) gateway: ObjectName,
    pub(super) route: gateway::RouteName,
}

/// A backend and its users.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) backend: Backend,
    /// By scope; there are few, and none is without users.
    users: Vec<(Scope, HashSet<User>)>,
}

/// Backends that are made for somebody, before he is known to use them.
pub(super) type Made = HashMap<BackendKey, Backend>;

impl User {
    /// Whose proxies need the backends.
    fn scope(&self) -> Scope {
        match self {
            Self::Group(_) | Self::Place(_) | Self::Connections(_) => Scope::Fleet,
            Self::Route(contributor) => contributor.scope.clone(),
        }
    }
}

impl Used {
    pub(super) fn by_nobody(backend: Backend) -> Self {
        Self { backend, users: Vec::new() }
    }

    pub(super) fn users(&self) -> impl Iterator<Item = &User> {
        self.users.iter().flat_map(|(_, of_scope)| of_scope)
    }

    pub(super) fn is_used_in(&self, scope: &Scope) -> bool {
        self.users.iter().any(|(it, _)| it == scope)
    }

    /// Returns whether the user is new.
    fn add(&mut self, scope: &Scope, user: &User) -> bool {
        if let Some((_, of_scope)) = self.users.iter_mut().find(|(it, _)| it == scope) {
            return of_scope.insert(user.clone());
        }
        self.users.push((scope.clone(), [user.clone()].into_iter().collect()));
        true
    }

    fn remove(&mut self, scope: &Scope, user: &User) {
        for (_, of_scope) in self.users.iter_mut().filter(|(it, _)| it == scope) {
            of_scope.remove(user);
        }
        self.users.retain(|(_, of_scope)| !of_scope.is_empty());
    }
}

impl Compiler {
    /// Compiles those that nobody uses yet.
    pub(super) fn make(&self, wanted: &BTreeSet<BackendKey>) -> Made {
        let missing = wanted.iter().filter(|backend| !self.backends.contains_key(*backend));
        missing.map(|backend| (backend.clone(), backend.compile(&self.stores))).collect()
    }

    /// Compiles backends anew and returns who uses those that changed, in no order.
    pub(super) fn refresh_backends(
        &mut self,
        stale: &BTreeSet<BackendKey>,
        pending: &mut Pending,
    ) -> Vec<User> {
        let mut users = Vec::new();
        for key in stale {
            let backend = key.compile(&self.stores);
            let Some(used) = self.backends.get_mut(key) else { continue };
            if used.backend == backend {
                continue;
            }
            users.extend(used.users().cloned());
            for (scope, _) in &used.users {
                pending.replace_backend(scope, Some(&used.backend), Some(&backend));
                let (before, now) = (used.backend.certificate.as_ref(), backend.certificate.as_ref());
                certificates::replace(&mut self.certificates, scope, before, now, pending);
            }
            used.backend = backend;
        }
        users
    }

    /// Records which backends somebody uses, takes those that were `made` for it, and drops those that nobody uses any
    /// more.
    pub(super) fn set_uses(
        &mut self,
        user: &User,
        wanted: BTreeSet<BackendKey>,
        mut made: Made,
        pending: &mut Pending,
    ) {
        let scope = user.scope();
        for key in &wanted {
            if let Some(new) = made.remove(key) {
                self.add_backend(key, new);
            }
            let Some(known) = self.backends.get_mut(key) else { continue };
            if !known.is_used_in(&scope) {
                pending.replace_backend(&scope, None, Some(&known.backend));
                let certificate = known.backend.certificate.as_ref();
                certificates::replace(&mut self.certificates, &scope, None, certificate, pending);
            }
            if known.add(&scope, user) {
                self.touch_policies(key);
            }
        }
        let before = self.uses.get(user).into_iter().flatten();
        let gone: Vec<BackendKey> = before.filter(|key| !wanted.contains(key)).cloned().collect();
        if wanted.is_empty() {
            self.uses.remove(user);
        } else {
            self.uses.insert(user.clone(), wanted);
        }
        for key in &gone {
            let Some(known) = self.backends.get_mut(key) else { continue };
            known.remove(&scope, user);
            if !known.is_used_in(&scope) {
                pending.replace_backend(&scope, Some(&known.backend), None);
                let certificate = known.backend.certificate.as_ref();
                certificates::replace(&mut self.certificates, &scope, certificate, None, pending);
            }
            let unused = known.users.is_empty();
            self.touch_policies(key);
            if unused {
                self.drop_backend(key);
            }
        }
    }

    /// Other Gateways may have routes to a backend now, which its policies name.
    fn touch_policies(&mut self, key: &BackendKey) {
        let policies = key.service().into_iter().flat_map(|it| self.stores.gateway.policies.for_service(it));
        self.touched.gateway.policies.extend(policies.cloned());
    }

    fn add_backend(&mut self, key: &BackendKey, backend: Backend) {
        if let Some(service) = key.service() {
            self.service_backends.entry(service.clone()).or_default().insert(key.clone());
        }
        if key.originates_tls() {
            self.tls_backends.insert(key.clone());
        }
        self.backends.insert(key.clone(), Used::by_nobody(backend));
    }

    fn drop_backend(&mut self, backend: &BackendKey) {
        self.backends.remove(backend);
        self.tls_backends.remove(backend);
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

/// Backends that are used already, and those that are made for somebody who asks now.
#[derive(Clone, Copy)]
pub(super) struct Backends<'a> {
    pub(super) known: &'a HashMap<BackendKey, Used>,
    pub(super) made: &'a Made,
}

impl<'a> Backends<'a> {
    pub(super) fn get(self, key: &BackendKey) -> &'a Backend {
        self.made.get(key).unwrap_or_else(|| &self.known[key].backend)
    }
}

impl std::ops::Index<&BackendKey> for Backends<'_> {
    type Output = Backend;

    fn index(&self, key: &BackendKey) -> &Backend {
        self.get(key)
    }
}
