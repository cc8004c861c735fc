//! Who may use the routes of an Ingress, once its Secret is known.

use std::sync::Arc;

use proxy_config::model::Access;

use crate::{
    compiler::{Compiler, stores::Stores},
    ingress::{Ingress, Place},
    object::ObjectName,
};

/// Who may use the routes of an Ingress.
pub(super) enum Guarded {
    /// Whom this lets in; and what its owner should know.
    By(Option<Access>, Option<String>),
    /// Nobody, because of this.
    Closed(String),
}

impl Guarded {
    /// That of an Ingress of this name.
    pub(super) fn new(name: &ObjectName, ingress: &Ingress, stores: &Stores) -> Self {
        let guard = &ingress.guard;
        let secret = guard.passwords.as_ref().map(|it| name.sibling(it.secret.as_str()));
        match guard.access(secret.and_then(|it| stores.secret(&it))) {
            Ok((access, told)) => Self::By(access, told),
            Err(reason) => Self::Closed(reason),
        }
    }
}

impl Compiler {
    /// The places of Ingresses whose passwords are in a Secret.
    pub(in crate::compiler) fn places_with_passwords(&self) -> impl Iterator<Item = Arc<Place>> {
        let ingresses = self.stores.ingresses.values().filter_map(|read| read.as_ref().ok());
        let guarded = ingresses.filter(|ingress| ingress.guard.passwords.is_some());
        guarded.flat_map(|ingress| &ingress.rules).map(|rule| Arc::clone(&rule.place))
    }
}
