//! Who may use the routes of an Ingress, once its Secret and the service that is asked are known.

use std::sync::Arc;

use proxy_config::{
    model::{Access, Authorization},
    validate::validate_access,
};

use super::Claimant;
use crate::{
    compiler::{Backends, Compiler, backend::BackendKey, stores::Stores},
    ingress::{Place, Target, is_exempt},
};

/// Who may use the routes of an Ingress.
#[expect(clippy::large_enum_variant, reason = "one at a time, while a place is compiled")]
pub(super) enum Guarded {
    /// Whom this lets in; and what its owner should know.
    By(Option<Access>, Option<String>),
    /// Nobody, because of this.
    Closed(String),
}

impl Guarded {
    /// That of an Ingress, for one of its rules.
    pub(super) fn new(claimant: &Claimant<'_>, backends: Backends<'_>, stores: &Stores) -> Self {
        let guard = &claimant.ingress.guard;
        let secret = guard.passwords.as_ref().map(|it| claimant.name.sibling(it.secret.as_str()));
        let secret = secret.and_then(|it| stores.secret(&it));
        let authorization = authorization(claimant, backends);
        let access = authorization.and_then(|authorization| guard.access(secret, authorization));
        match access {
            Ok((access, told)) => match access.iter().flat_map(validate_access).next() {
                Some(fault) => Self::Closed(fault.to_string()),
                None => Self::By(access, told),
            },
            Err(reason) => Self::Closed(reason),
        }
    }
}

/// Who is asked, or why nobody can be.
fn authorization(claimant: &Claimant<'_>, backends: Backends<'_>) -> Result<Option<Authorization>, String> {
    let Some(asked) = claimant.authorization() else { return Ok(None) };
    let (key, host) = asked?;
    let backend = &backends[&key];
    if let Some(problem) = &backend.problem {
        return Err(format!("nobody can be asked about them: {}", problem.text));
    }
    let asked = claimant.ingress.guard.authorization.as_ref();
    Ok(asked.map(|it| it.compile(backend.cluster.id.clone(), host)))
}

impl Claimant<'_> {
    /// Who is asked about the requests of its rule, and by which name; an error says why nobody can be. A canary has what its main
    /// Ingress says, and who is sent elsewhere gets nothing that is protected.
    fn authorization(&self) -> Option<Result<(BackendKey, String), String>> {
        let asked = self.ingress.guard.authorization.as_ref()?;
        let place = &self.rule.place;
        let is_asked = self.ingress.canary.is_none()
            && matches!(self.rule.target, Target::Service(..))
            && !is_exempt(place);
        let namespace = &self.name.namespace;
        let server = || asked.server(place, namespace);
        is_asked
            .then(|| server().map(|(server, host)| (BackendKey::of_authorization(&server, namespace), host)))
    }

    /// Who is asked about the requests of its rule.
    pub(super) fn authorized_by(&self) -> Option<BackendKey> {
        self.authorization()?.ok().map(|(key, _)| key)
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
