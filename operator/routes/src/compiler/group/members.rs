//! Which Mappings with equal match are in one route, and what each gets of its requests.

use proxy_config::model::ArmId;

use super::super::{
    backend::BackendKey,
    stores::{StoredMapping, Stores},
};
use crate::{
    compat::Compat,
    mapping::Mapping,
    object::{ObjectName, ResolverKind},
    weights::{Claim, Shares, divide},
};

/// One member of a group that has passed.
pub(in crate::compiler) struct Member<'a> {
    pub(in crate::compiler) name: &'a ObjectName,
    pub(super) stored: &'a StoredMapping,
    pub(in crate::compiler) mapping: &'a Mapping,
    pub(in crate::compiler) backend: BackendKey,
    pub(super) arm: ArmId,
}

/// A member that has not, and why.
pub(in crate::compiler) struct Rejected<'a> {
    pub(in crate::compiler) name: &'a ObjectName,
    pub(super) stored: &'a StoredMapping,
    pub(super) reason: String,
}

/// Sorts the members of a group into those that make its route and those that cannot. The first decides how the
/// prefix is meant; a canary never comes before what a person wrote.
pub(in crate::compiler) fn admit<'a>(
    stores: &'a Stores,
    members: impl Iterator<Item = (&'a ObjectName, &'a StoredMapping, &'a Mapping)>,
) -> (Vec<Member<'a>>, Vec<Rejected<'a>>) {
    let mut sorted: Vec<_> = members.collect();
    let canary = |stored: &StoredMapping| stores.compat == Compat::Ideal && stored.owned();
    sorted.sort_by_key(|(name, stored, _)| (canary(stored), stored.load_key.as_str(), *name));
    let (mut admitted, mut rejected) = (Vec::<Member<'_>>::new(), Vec::new());
    for (name, stored, mapping) in sorted {
        let agrees = admitted.first().map_or(Ok(()), |first| agree(first, mapping, stores.compat));
        let backend = match asks_for_pods(stores, mapping).and_then(|pods| agrees.map(|()| pods)) {
            Ok(_) if mapping.redirect.is_some() => BackendKey::nobody(),
            Ok(pods) => BackendKey::of(&mapping.service, &mapping.connection, &name.namespace, pods),
            Err(reason) => {
                rejected.push(Rejected { name, stored, reason });
                continue;
            }
        };
        admitted.push(Member { name, stored, mapping, backend, arm: ArmId::new(name.to_string()) });
    }
    (admitted, rejected)
}

/// Whether a Mapping can be in the group of `first`, or why not.
fn agree(first: &Member<'_>, mapping: &Mapping, compat: Compat) -> Result<(), String> {
    let other = first.name;
    match (&first.mapping.redirect, &mapping.redirect) {
        (Some(_), Some(_)) => {
            return Err(format!("Mapping `{other}` redirects requests with the same match already"));
        }
        (Some(_), None) => {
            return Err(format!("Mapping `{other}` with the same match redirects its requests"));
        }
        (None, Some(_)) => {
            return Err(format!(
                "it is a `host_redirect`, and Mapping `{other}` with the same match is none"
            ));
        }
        (None, None) => {}
    }
    match compat {
        Compat::Ideal if first.mapping.path != mapping.path => Err(format!(
            "it is a `{}` and Mapping `{other}` with the same match is a `{}`",
            mapping.path.field(),
            first.mapping.path.field(),
        )),
        Compat::Ideal => Ok(()),
        Compat::Strict => disagreement(first.mapping, mapping).map_or(Ok(()), |field| {
            Err(format!("its `{field}` is not that of Mapping `{other}` with the same match"))
        }),
    }
}

/// The core field that a newcomer has and the first one has not, or has otherwise (emissary.md §2.1).
pub(in crate::compiler) fn disagreement(first: &Mapping, mapping: &Mapping) -> Option<&'static str> {
    let differs = |of_mapping: &&(&'static str, serde_json::Value)| !first.core.contains(of_mapping);
    mapping.core.iter().find(differs).map(|(field, _)| *field)
}

/// Whether the Mapping's resolver asks for pods, or why it asks for nothing that is there.
pub(in crate::compiler) fn asks_for_pods(stores: &Stores, mapping: &Mapping) -> Result<bool, String> {
    let resolver = mapping.resolver.as_deref();
    match stores.resolver(resolver) {
        Some(ResolverKind::Service) if mapping.core.iter().any(|(field, _)| *field == "load_balancer") => {
            Err("`load_balancer` has no effect without pods to choose from: write `resolver: endpoint`"
                .to_owned())
        }
        Some(ResolverKind::Service) => Ok(false),
        Some(ResolverKind::Endpoint) => Ok(true),
        Some(ResolverKind::Consul) => {
            Err("Consul is not asked for endpoints: use a Kubernetes Service and `resolver: endpoint`"
                .to_owned())
        }
        None => Err(format!("resolver `{}` does not exist", resolver.unwrap_or_default())),
    }
}

/// What each member of a group gets of its requests.
pub(in crate::compiler) fn shares(members: &[Member<'_>], compat: Compat) -> Shares {
    divide(&claims(members), compat)
}

pub(super) fn claims(members: &[Member<'_>]) -> Vec<Claim> {
    let claim = |it: &Member<'_>| Claim {
        written: it.mapping.weight,
        owned: it.stored.owned(),
        above_all: it.mapping.above_all,
    };
    members.iter().map(claim).collect()
}
