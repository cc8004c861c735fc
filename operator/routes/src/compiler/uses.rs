//! Who uses which backends: they are made for the first, compiled anew for all, and dropped with the last.

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
                users.extend(self.users.get(key).into_iter().flatten().cloned());
                pending.replace_backend(Some(before), Some(&backend));
                certificates::replace(
                    &mut self.certificates,
                    before.certificate.as_ref(),
                    backend.certificate.as_ref(),
                    pending,
                );
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
            pending.replace_backend(None, Some(&backend));
            certificates::replace(&mut self.certificates, None, backend.certificate.as_ref(), pending);
            if let Some(service) = key.service() {
                self.service_backends.entry(service.clone()).or_default().insert(key.clone());
            }
            if key.originates_tls() {
                self.tls_backends.insert(key.clone());
            }
            self.backends.insert(key, backend);
        }
        for backend in wanted {
            self.users.entry(backend.clone()).or_default().insert(user.clone());
        }
        let before = if wanted.is_empty() {
            self.uses.remove(user)
        } else {
            self.uses.insert(user.clone(), wanted.clone())
        };
        for backend in before.unwrap_or_default().difference(wanted) {
            let Some(users) = self.users.get_mut(backend) else { continue };
            users.remove(user);
            if users.is_empty() {
                self.users.remove(backend);
                self.drop_backend(backend, pending);
            }
        }
    }

    fn drop_backend(&mut self, backend: &BackendKey, pending: &mut Pending) {
        if let Some(compiled) = self.backends.remove(backend) {
            pending.replace_backend(Some(&compiled), None);
            certificates::replace(&mut self.certificates, compiled.certificate.as_ref(), None, pending);
        }
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
