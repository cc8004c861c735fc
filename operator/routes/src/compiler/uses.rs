//! Who uses which backends: they are made for the first, compiled anew for all, and dropped with the last. A scope has
//! those that somebody in it uses.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Compiler, Pending, User,
    backend::{Backend, BackendKey},
    certificates,
};

impl Compiler {
    /// Compiles those that nobody uses yet.
    pub(super) fn make(&self, wanted: &BTreeSet<BackendKey>) -> BTreeMap<BackendKey, Backend> {
        let missing = wanted.iter().filter(|backend| !self.backends.contains_key(*backend));
        missing.map(|backend| (backend.clone(), backend.compile(&self.stores))).collect()
    }

    /// Compiles backends anew and returns who uses those that changed.
    pub(super) fn refresh_backends(
        &mut self,
        stale: &BTreeSet<BackendKey>,
        pending: &mut Pending,
    ) -> BTreeSet<User> {
        let mut users = BTreeSet::new();
        for key in stale {
            let backend = key.compile(&self.stores);
            let Some(before) = self.backends.get_mut(key) else { continue };
            if *before != backend {
                for (scope, of_scope) in self.users.get(key).into_iter().flatten() {
                    users.extend(of_scope.iter().cloned());
                    pending.replace_backend(scope, Some(before), Some(&backend));
                    certificates::replace(
                        &mut self.certificates,
                        scope,
                        before.certificate.as_ref(),
                        backend.certificate.as_ref(),
                        pending,
                    );
                }
                *before = backend;
            }
        }
        users
    }

    /// Records which backends somebody uses, takes those that were `made` for it, and drops those that nobody uses any
    /// more.
    pub(super) fn set_uses(
        &mut self,
        user: &User,
        wanted: &BTreeSet<BackendKey>,
        made: BTreeMap<BackendKey, Backend>,
        pending: &mut Pending,
    ) {
        for (key, backend) in made {
            if let Some(service) = key.service() {
                self.service_backends.entry(service.clone()).or_default().insert(key.clone());
            }
            if key.originates_tls() {
                self.tls_backends.insert(key.clone());
            }
            self.backends.insert(key, backend);
        }
        let scope = user.scope();
        for key in wanted {
            let scopes = self.users.entry(key.clone()).or_default();
            let known = scopes.contains_key(&scope);
            if !scopes.entry(scope.clone()).or_default().insert(user.clone()) {
                continue;
            }
            self.touch_policies(key);
            if known {
                continue;
            }
            let Some(backend) = self.backends.get(key) else { continue };
            pending.replace_backend(&scope, None, Some(backend));
            let certificate = backend.certificate.as_ref();
            certificates::replace(&mut self.certificates, &scope, None, certificate, pending);
        }
        let before = if wanted.is_empty() {
            self.uses.remove(user)
        } else {
            self.uses.insert(user.clone(), wanted.clone())
        };
        for key in before.unwrap_or_default().difference(wanted) {
            let Some(scopes) = self.users.get_mut(key) else { continue };
            let Some(users) = scopes.get_mut(&scope) else { continue };
            users.remove(user);
            let deserted = users.is_empty();
            if deserted {
                scopes.remove(&scope);
            }
            let unused = scopes.is_empty();
            self.touch_policies(key);
            if !deserted {
                continue;
            }
            if let Some(backend) = self.backends.get(key) {
                pending.replace_backend(&scope, Some(backend), None);
                let certificate = backend.certificate.as_ref();
                certificates::replace(&mut self.certificates, &scope, certificate, None, pending);
            }
            if unused {
                self.users.remove(key);
                self.drop_backend(key);
            }
        }
    }

    /// Other Gateways may have routes to a backend now, which its policies name.
    fn touch_policies(&mut self, key: &BackendKey) {
        let policies = key.service().into_iter().flat_map(|it| self.stores.gateway.policies.for_service(it));
        self.touched.gateway.policies.extend(policies.cloned());
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
    pub(super) known: &'a BTreeMap<BackendKey, Backend>,
    pub(super) made: &'a BTreeMap<BackendKey, Backend>,
}

impl<'a> Backends<'a> {
    pub(super) fn get(self, key: &BackendKey) -> &'a Backend {
        self.made.get(key).unwrap_or_else(|| &self.known[key])
    }
}

impl std::ops::Index<&BackendKey> for Backends<'_> {
    type Output = Backend;

    fn index(&self, key: &BackendKey) -> &Backend {
        self.get(key)
    }
}
