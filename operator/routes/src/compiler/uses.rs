//! Who uses which backends: they are made for the first, compiled anew for all, and dropped with the last. A scope has
//! those that somebody in it uses.

use std::{collections::BTreeSet, mem, sync::Arc};

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
    users: Users,
}

/// The users of a backend. Most have one.
#[derive(Debug, Default)]
enum Users {
    #[default]
    Nobody,
    One(User),
    /// By scope; there are few, and none is without users.
    Many(Vec<(Scope, HashSet<User>)>),
}

/// Backends that are made for somebody, before he is known to use them.
pub(super) type Made = HashMap<BackendKey, Backend>;

impl User {
    /// Whose proxies need the backends.
    fn scope(&self) -> &Scope {
        match self {
            Self::Group(_) | Self::Place(_) | Self::Connections(_) => &Scope::Fleet,
            Self::Route(contributor) => &contributor.scope,
        }
    }
}

impl Used {
    pub(super) fn by_nobody(backend: Backend) -> Self {
        Self { backend, users: Users::Nobody }
    }

    pub(super) fn users(&self) -> impl Iterator<Item = &User> {
        let (one, many) = match &self.users {
            Users::Nobody => (None, &[][..]),
            Users::One(user) => (Some(user), &[][..]),
            Users::Many(many) => (None, &many[..]),
        };
        one.into_iter().chain(many.iter().flat_map(|(_, of_scope)| of_scope))
    }

    pub(super) fn is_used_in(&self, scope: &Scope) -> bool {
        match &self.users {
            Users::Nobody => false,
            Users::One(user) => user.scope() == scope,
            Users::Many(many) => many.iter().any(|(it, _)| it == scope),
        }
    }

    /// The scopes that it is used in, each once.
    fn scopes(&self) -> impl Iterator<Item = &Scope> {
        let (one, many) = match &self.users {
            Users::Nobody => (None, &[][..]),
            Users::One(user) => (Some(user.scope()), &[][..]),
            Users::Many(many) => (None, &many[..]),
        };
        one.into_iter().chain(many.iter().map(|(scope, _)| scope))
    }

    /// Returns whether the user is new.
    fn add(&mut self, user: &User) -> bool {
        match mem::take(&mut self.users) {
            Users::Nobody => {
                self.users = Users::One(user.clone());
                true
            }
            Users::One(known) if known == *user => {
                self.users = Users::One(known);
                false
            }
            Users::One(known) => {
                let mut many = Vec::new();
                insert(&mut many, &known);
                insert(&mut many, user);
                self.users = Users::Many(many);
                true
            }
            Users::Many(mut many) => {
                let new = insert(&mut many, user);
                self.users = Users::Many(many);
                new
            }
        }
    }

    fn remove(&mut self, user: &User) {
        match &mut self.users {
            Users::One(known) if known == user => self.users = Users::Nobody,
            Users::Nobody | Users::One(_) => {}
            Users::Many(many) => {
                for (_, of_scope) in many.iter_mut().filter(|(it, _)| it == user.scope()) {
                    of_scope.remove(user);
                }
                many.retain(|(_, of_scope)| !of_scope.is_empty());
                if many.is_empty() {
                    self.users = Users::Nobody;
                }
            }
        }
    }
}

/// Returns whether the user is new.
fn insert(many: &mut Vec<(Scope, HashSet<User>)>, user: &User) -> bool {
    if let Some((_, of_scope)) = many.iter_mut().find(|(it, _)| it == user.scope()) {
        return of_scope.insert(user.clone());
    }
    many.push((user.scope().clone(), [user.clone()].into_iter().collect()));
    true
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
            for scope in used.scopes() {
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
            if !known.is_used_in(scope) {
                pending.replace_backend(scope, None, Some(&known.backend));
                let certificate = known.backend.certificate.as_ref();
                certificates::replace(&mut self.certificates, scope, None, certificate, pending);
            }
            if known.add(user) {
                self.touch_policies(key);
            }
        }
        let before = self.uses.get(user).into_iter().flatten();
        let gone: Vec<BackendKey> = before.filter(|key| !wanted.contains(key)).cloned().collect();
        if wanted.is_empty() {
            self.uses.remove(user);
        } else {
            self.uses.insert(user.clone(), wanted.into_iter().collect());
        }
        for key in &gone {
            let Some(known) = self.backends.get_mut(key) else { continue };
            known.remove(user);
            if !known.is_used_in(scope) {
                pending.replace_backend(scope, Some(&known.backend), None);
                let certificate = known.backend.certificate.as_ref();
                certificates::replace(&mut self.certificates, scope, certificate, None, pending);
            }
            let unused = matches!(known.users, Users::Nobody);
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
            let of_service = self.service_backends.entry(service.clone()).or_default();
            // Most have one.
            of_service.reserve_exact(1);
            of_service.push(key.clone());
        }
        if key.originates_tls() {
            self.tls_backends.insert(key.clone());
        }
        self.backends.insert(key.clone(), Box::new(Used::by_nobody(backend)));
    }

    fn drop_backend(&mut self, backend: &BackendKey) {
        self.backends.remove(backend);
        self.tls_backends.remove(backend);
        if let Some(service) = backend.service()
            && let Some(backends) = self.service_backends.get_mut(service)
        {
            backends.retain(|it| it != backend);
            if backends.is_empty() {
                self.service_backends.remove(service);
            }
        }
    }
}

/// Backends that are used already, and those that are made for somebody who asks now.
#[derive(Clone, Copy)]
pub(super) struct Backends<'a> {
    pub(super) known: &'a HashMap<BackendKey, Box<Used>>,
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
