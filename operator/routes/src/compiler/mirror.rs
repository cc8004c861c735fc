//! Mappings with `shadow`: they have no share in any route and get copies of the requests of others.
//!
//! In Emissary a shadow copies the requests of the Mappings with the same match, and does nothing without them. Here
//! it may also ask for more than they do (a method, a longer path, headers): then it copies those of their requests
//! for which that holds too. A shadow that asks for less copies nothing.

use proxy_config::model::{ArmId, Mirror, MirrorId, NamedMatch, PathMatch, Share, TextMatch};

use super::{
    Backends,
    backend::BackendKey,
    group::{self, Member},
    stores::{StoredMapping, Stores},
};
use crate::{
    compat::Compat,
    compiled::ServedArm,
    mapping::{Mapping, MatchKey, PathKind},
    object::ObjectName,
    weights::Written,
};

/// A shadow that copies requests of a group.
pub(super) struct Shadow<'a> {
    pub(super) name: &'a ObjectName,
    pub(super) stored: &'a StoredMapping,
    mapping: &'a Mapping,
    pub(super) backend: BackendKey,
    beyond: Beyond,
}

/// What a shadow asks of a request beyond the match of a group.
struct Beyond {
    path: Option<PathMatch>,
    method: Option<TextMatch>,
    headers: Vec<NamedMatch>,
    query: Vec<NamedMatch>,
}

/// Whether a shadow may copy requests of a group, as far as this does not depend on how the prefixes are meant.
pub(super) fn may_copy(group: &MatchKey, shadow: &MatchKey) -> bool {
    let holds = |all: &[NamedMatch], some: &[NamedMatch]| some.iter().all(|it| all.contains(it));
    group.host == shadow.host
        && group.selected_by == shadow.selected_by
        && (group.method.is_none() || group.method == shadow.method)
        && holds(&shadow.headers, &group.headers)
        && holds(&shadow.query, &group.query)
}

/// Those of `shadows` that copy requests of the group whose members are `members`.
pub(super) fn of_group<'a>(
    stores: &'a Stores,
    key: &MatchKey,
    members: &[Member<'_>],
    shadows: impl Iterator<Item = (&'a ObjectName, &'a StoredMapping, &'a Mapping)>,
) -> Vec<Shadow<'a>> {
    let Some(first) = members.first() else { return Vec::new() };
    let shadows: Vec<_> = shadows.collect();
    let names = || shadows.iter().map(|(name, ..)| *name);
    let shadow = |(name, stored, mapping): &(&'a ObjectName, &'a StoredMapping, &'a Mapping)| {
        let beyond = beyond(key, first.mapping.path, mapping)?;
        if rival(stores, names(), name).is_some() || !is_emissarys(stores, key, first, mapping) {
            return None;
        }
        let backend = backend(stores, name, mapping).ok()?;
        Some(Shadow { name, stored, mapping, backend, beyond })
    };
    shadows.iter().filter_map(shadow).collect()
}

/// Whether Emissary would copy as well, where it is followed to the letter: the same match, and its core fields agree.
fn is_emissarys(stores: &Stores, group: &MatchKey, first: &Member<'_>, shadow: &Mapping) -> bool {
    match stores.compat {
        Compat::Ideal => true,
        Compat::Strict => *shadow.key == *group && group::disagreement(first.mapping, shadow).is_none(),
    }
}

/// Where the copies go, or why nowhere.
pub(super) fn backend(stores: &Stores, name: &ObjectName, mapping: &Mapping) -> Result<BackendKey, String> {
    let pods = group::asks_for_pods(stores, mapping)?;
    Ok(BackendKey::of(&mapping.service, &mapping.connection, &name.namespace, pods))
}

/// The shadow that takes the place of `name`: of those that people have written with one match only the first in load
/// order copies, as in Emissary. Those of Rollouts stand beside it.
pub(super) fn rival<'a>(
    stores: &'a Stores,
    shadows: impl Iterator<Item = &'a ObjectName>,
    name: &ObjectName,
) -> Option<&'a ObjectName> {
    let (own, mapping) = stores.valid(name)?;
    let before = |other: &ObjectName| {
        stores.valid(other).is_some_and(|(stored, theirs)| {
            let earlier = (&stored.load_key, other) < (&own.load_key, name);
            !own.owned() && !stored.owned() && theirs.key == mapping.key && earlier
        })
    };
    let mut shadows = shadows;
    shadows.find(|other| before(other))
}

/// The mirrors of the group's split. A shadow whose Service cannot serve has none: nobody would get its copies.
pub(super) fn mirrors(shadows: &[Shadow<'_>], backends: Backends<'_>) -> Vec<Mirror> {
    let mirror = |Shadow { name, mapping, backend, beyond, .. }: &Shadow<'_>| Mirror {
        id: MirrorId::new(name.to_string()),
        share: share(mapping),
        cluster: backends[backend].cluster.id.clone(),
        path: beyond.path.clone(),
        case: beyond.path.as_ref().and(mapping.case).unwrap_or_default(),
        method: beyond.method.clone(),
        headers: beyond.headers.clone(),
        query: beyond.query.clone(),
    };
    let mut mirrors: Vec<Mirror> = shadows.iter().filter(|it| it.arrives(backends)).map(mirror).collect();
    mirrors.sort_by(|a, b| a.id.cmp(&b.id));
    mirrors
}

/// What is said of them.
pub(super) fn served(shadows: &[Shadow<'_>], backends: Backends<'_>) -> Vec<ServedArm> {
    let arm = |it: &Shadow<'_>| {
        let id = ArmId::new(it.name.to_string());
        group::served_arm((&id, it.name), it.mapping, share(it.mapping), &backends[&it.backend])
    };
    let mut arms: Vec<ServedArm> = shadows.iter().filter(|it| it.arrives(backends)).map(arm).collect();
    arms.sort_by(|a, b| a.mapping.cmp(&b.mapping));
    arms
}

impl Shadow<'_> {
    /// Whether there is somebody who gets its copies.
    pub(super) fn arrives(&self, backends: Backends<'_>) -> bool {
        backends[&self.backend].problem.is_none()
    }
}

/// The weight of a shadow is the part that it copies: all where there is none.
fn share(mapping: &Mapping) -> Share {
    match mapping.weight {
        Written::Nothing => Share::WHOLE,
        Written::Parts(parts) => Share::of_10000(parts.into()).unwrap_or(Share::WHOLE),
    }
}

/// What `shadow` asks beyond the match of a group; `None` if it does not ask for all that the group does.
fn beyond(group: &MatchKey, path: PathKind, shadow: &Mapping) -> Option<Beyond> {
    let key = &shadow.key;
    if !may_copy(group, key) {
        return None;
    }
    let own = || Some(group::path(shadow.path, &key.prefix));
    let path = match (path, shadow.path) {
        (theirs, ours) if theirs == ours && group.prefix == key.prefix => None,
        (PathKind::Prefix, PathKind::Prefix | PathKind::Exact) if key.prefix.starts_with(&group.prefix) => {
            own()
        }
        // Whether an expression asks for more cannot be seen from it; the proxy lets only such requests pass.
        (PathKind::Prefix | PathKind::Exact, PathKind::Regex) => own(),
        (PathKind::Prefix | PathKind::Exact | PathKind::Regex, PathKind::Prefix | PathKind::Exact)
        | (PathKind::Regex, PathKind::Regex) => return None,
    };
    let more = |all: &[NamedMatch], known: &[NamedMatch]| -> Vec<NamedMatch> {
        all.iter().filter(|it| !known.contains(it)).cloned().collect()
    };
    Some(Beyond {
        path,
        method: key.method.clone().filter(|_| group.method.is_none()),
        headers: more(&key.headers, &group.headers),
        query: more(&key.query, &group.query),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        dialect::{ApiVersion, Document, DocumentKind, Origin},
        mapping::parse,
        module::Module,
    };

    fn mapping(more: &Value) -> Mapping {
        let mut spec = json!({"prefix": "/api/", "service": "a"});
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        let document = Document {
            kind: DocumentKind::Mapping,
            name: ObjectName::new("shop", "a"),
            version: ApiVersion::V2,
            origin: Origin::Object,
            labels: std::collections::BTreeMap::new(),
            resource_version: "1".into(),
            owned_by_rollout: false,
            spec: std::sync::Arc::new(spec),
        };
        parse(&document, &Module::default(), "sluice", Compat::Ideal).expect("the Mapping is valid")
    }

    #[test]
    fn a_shadow_copies_the_requests_of_who_asks_for_the_same_or_less() {
        // group, shadow, what the shadow asks beyond
        let table = [
            (json!({}), json!({}), Some("")),
            (json!({}), json!({"method": "GET"}), Some("method")),
            (json!({}), json!({"prefix": "/api/v1"}), Some("path")),
            (json!({}), json!({"prefix": "/api/v1", "prefix_exact": true}), Some("path")),
            (json!({}), json!({"prefix": "/api/v[0-9]", "prefix_regex": true}), Some("path")),
            (
                json!({}),
                json!({"headers": {"x": "1"}, "query_parameters": {"q": "1"}}),
                Some("headers query"),
            ),
            (json!({"headers": {"x": "1"}}), json!({"headers": {"x": "1", "y": true}}), Some("headers")),
            (json!({"method": "GET"}), json!({"method": "GET"}), Some("")),
            (json!({"method": "GET"}), json!({}), None),
            (json!({"method": "GET"}), json!({"method": "PUT"}), None),
            (json!({"headers": {"x": "1"}}), json!({}), None),
            (json!({}), json!({"prefix": "/"}), None),
            (json!({}), json!({"prefix": "/other/"}), None),
            (json!({}), json!({"hostname": "a.example.org"}), None),
            (json!({"prefix_exact": true}), json!({}), None),
            (json!({"prefix_regex": true}), json!({"prefix": "/api/v1"}), None),
        ];
        for (group, shadow, expected) in table {
            let (base, copy) = (mapping(&group), mapping(&shadow));
            let found = beyond(&base.key, base.path, &copy).map(|it| {
                let parts = [
                    (it.path.is_some(), "path"),
                    (it.method.is_some(), "method"),
                    (!it.headers.is_empty(), "headers"),
                    (!it.query.is_empty(), "query"),
                ];
                parts.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
            });
            assert_eq!(found.as_deref(), expected, "{group} {shadow}");
        }
    }
}
