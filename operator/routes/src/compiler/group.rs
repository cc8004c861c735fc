//! Mappings with equal match make one route.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proxy_config::model::{
    Action, Arm, ArmId, Filters, HostRewrite, PathMatch, Refusal, Route, RouteId, Share, Split, SplitId,
};

use super::{
    backend::{Backend, BackendKey, Problem},
    mirror::{self, Shadow},
    stores::{StoredMapping, Stores},
    verdict,
};
use crate::{
    compiled::{ObjectKind, ObjectVersion, Served, ServedArm, SplitReport, Status, rejected_split},
    mapping::{Mapping, MatchKey, PathKind},
    object::{ObjectName, ResolverKind},
    order,
    weights::{Claim, Shares, Written, divide},
};

/// The id of the arm that gets what nobody may take. No Mapping's: those have a slash.
const NOBODY: &str = "nobody";

pub(super) const TLS_NOT_SERVED: &str = "TLS to the upstream is not served yet: use `http://`, without `tls`";

/// One member of a group that has passed.
pub(super) struct Member<'a> {
    pub(super) name: &'a ObjectName,
    stored: &'a StoredMapping,
    pub(super) mapping: &'a Mapping,
    pub(super) backend: BackendKey,
}

/// A member that has not, and why.
pub(super) struct Rejected<'a> {
    pub(super) name: &'a ObjectName,
    stored: &'a StoredMapping,
    reason: String,
}

/// What a group contributes.
pub(super) struct Output {
    pub(super) route: Option<Route>,
    pub(super) splits: BTreeMap<SplitId, SplitReport>,
    pub(super) statuses: BTreeMap<ObjectName, Status>,
}

/// Sorts the members of a group into those that make its route and those that cannot. The first decides how the
/// prefix is meant; a canary never comes before what a person wrote.
pub(super) fn admit<'a>(
    stores: &'a Stores,
    members: impl Iterator<Item = (&'a ObjectName, &'a StoredMapping, &'a Mapping)>,
) -> (Vec<Member<'a>>, Vec<Rejected<'a>>) {
    let mut sorted: Vec<_> = members.collect();
    // Emissary's load order is by the text `name.namespace`.
    sorted
        .sort_by_cached_key(|(name, stored, _)| (stored.owned, format!("{}.{}", name.name, name.namespace)));
    let (mut admitted, mut rejected) = (Vec::<Member<'_>>::new(), Vec::new());
    for (name, stored, mapping) in sorted {
        let pods = asks_for_pods(stores, mapping);
        let agrees = match admitted.first() {
            Some(first) if first.mapping.path != mapping.path => Err(format!(
                "it is a `{}` and Mapping `{}` with the same match is a `{}`",
                mapping.path.field(),
                first.name,
                first.mapping.path.field(),
            )),
            _ => Ok(()),
        };
        match pods.and_then(|pods| agrees.map(|()| pods)) {
            Ok(_) if mapping.service.tls => {
                admitted.push(Member { name, stored, mapping, backend: BackendKey::nobody() });
            }
            Ok(pods) => {
                let backend = BackendKey::of(mapping, pods);
                admitted.push(Member { name, stored, mapping, backend });
            }
            Err(reason) => rejected.push(Rejected { name, stored, reason }),
        }
    }
    (admitted, rejected)
}

/// Whether the Mapping's resolver asks for pods, or why it asks for nothing that is there.
pub(super) fn asks_for_pods(stores: &Stores, mapping: &Mapping) -> Result<bool, String> {
    match (stores.resolver(mapping.resolver.as_deref()), mapping.resolver.as_deref()) {
        (Some(ResolverKind::Service), _) => Ok(false),
        (Some(ResolverKind::Endpoint), _) => Ok(true),
        (Some(ResolverKind::Consul), _) => Err("a Consul resolver is not served yet".to_owned()),
        (None, name) => Err(format!("resolver `{}` does not exist", name.unwrap_or_default())),
    }
}

/// The route of the group, with `backends` compiled for every member and for [`BackendKey::nobody`].
pub(super) fn compile(
    key: &MatchKey,
    members: &[Member<'_>],
    rejected: &[Rejected<'_>],
    shadows: &[Shadow<'_>],
    backends: &BTreeMap<BackendKey, Backend>,
) -> Output {
    let mut output = Output { route: None, splits: BTreeMap::new(), statuses: BTreeMap::new() };
    for Rejected { name, stored, reason } in rejected {
        output.statuses.insert((*name).clone(), verdict::inactive(reason.clone()));
        output.splits.insert(rejected_split(name), rejected_report(name, stored, reason));
    }
    let Some(first) = members.first() else { return output };
    let claims: Vec<Claim> =
        members.iter().map(|it| Claim { written: it.mapping.weight, owned: it.stored.owned }).collect();
    let shares = divide(&claims);
    let case = members.iter().find_map(|member| member.mapping.case);
    let problems: Vec<Option<Problem>> = members.iter().map(|it| problem(it, backends)).collect();

    let id = order::id(key);
    let split = SplitId::new(id.clone());
    let action = match problems.iter().flatten().next() {
        Some(problem) if problems.iter().all(Option::is_some) => {
            Action::Refuse(Refusal { status: 503, reason: problem.code.to_owned() })
        }
        _ => Action::Split(Split {
            id: split.clone(),
            arms: arms(members, &shares, backends),
            mirrors: mirror::mirrors(shadows, backends),
        }),
    };
    output.route = Some(Route {
        id: RouteId::new(id),
        rank: order::rank(key),
        host: key.host.clone(),
        path: path(first.mapping.path, &key.prefix),
        case: case.unwrap_or_default(),
        method: key.method.clone(),
        headers: key.headers.clone(),
        query: key.query.clone(),
        listeners: Vec::new(),
        filters: Filters::default(),
        action,
    });
    let mut sentences: BTreeSet<String> =
        problems.iter().flatten().map(|problem| problem.text.clone()).collect();
    if shares.unclaimed > Share::ZERO {
        sentences.insert(verdict::unclaimed(shares.unclaimed));
    }
    let problem = (!sentences.is_empty()).then(|| sentences.into_iter().collect::<Vec<_>>().join("; "));
    output.splits.insert(split, SplitReport { served: served(members, &shares, shadows, backends), problem });
    for (member, problem) in members.iter().zip(&problems) {
        let remark = backends[&member.backend].remark.as_deref();
        let status = verdict::of_member(member, problem.as_ref(), remark, &shares, case, members);
        output.statuses.insert(member.name.clone(), status);
    }
    output
}

/// What stands for a Mapping that is in no route.
pub(super) fn rejected_report(name: &ObjectName, stored: &StoredMapping, reason: &str) -> SplitReport {
    let arm = ServedArm {
        mapping: name.clone(),
        service: None,
        written: None,
        share: Share::ZERO,
        endpoints: BTreeMap::new(),
    };
    let served = Served { arms: vec![arm], mirrors: Vec::new(), versions: vec![version(name, stored)] };
    SplitReport { served, problem: Some(reason.to_owned()) }
}

/// How the text of `prefix` becomes a match.
pub(super) fn path(kind: PathKind, prefix: &str) -> PathMatch {
    let prefix = prefix.to_owned();
    match kind {
        PathKind::Prefix => PathMatch::Prefix(prefix),
        PathKind::Exact => PathMatch::Exact(prefix),
        PathKind::Regex => PathMatch::Regex(prefix),
    }
}

/// The arm of a Mapping.
pub(super) fn arm(name: &ObjectName, mapping: &Mapping, share: Share, backend: &Backend) -> Arm {
    Arm {
        id: ArmId::new(name.to_string()),
        share,
        cluster: backend.cluster.id.clone(),
        rewrite: mapping.rewrite.clone(),
        host_rewrite: mapping.host_rewrite.clone().map_or(HostRewrite::Keep, HostRewrite::Literal),
        timeout_ms: mapping.timeout_ms,
        idle_timeout_ms: mapping.idle_timeout_ms,
        total_timeout_ms: None,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    }
}

fn arms(members: &[Member<'_>], shares: &Shares, backends: &BTreeMap<BackendKey, Backend>) -> Vec<Arm> {
    let of_member = |(member, share): (&Member<'_>, &Share)| {
        arm(member.name, member.mapping, *share, &backends[&member.backend])
    };
    let mut arms: Vec<Arm> = members.iter().zip(&shares.shares).map(of_member).collect();
    if shares.unclaimed > Share::ZERO {
        arms.push(Arm {
            id: ArmId::new(NOBODY),
            share: shares.unclaimed,
            cluster: backends[&BackendKey::nobody()].cluster.id.clone(),
            rewrite: proxy_config::model::Rewrite::None,
            host_rewrite: HostRewrite::Keep,
            timeout_ms: None,
            idle_timeout_ms: None,
            total_timeout_ms: None,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
        });
    }
    arms.sort_by(|a, b| a.id.cmp(&b.id));
    arms
}

fn served(
    members: &[Member<'_>],
    shares: &Shares,
    shadows: &[Shadow<'_>],
    backends: &BTreeMap<BackendKey, Backend>,
) -> Served {
    let mut arms = Vec::with_capacity(members.len());
    let mut versions = BTreeSet::new();
    for (member, share) in members.iter().zip(&shares.shares) {
        let backend = &backends[&member.backend];
        versions.insert(version(member.name, member.stored));
        versions.extend(backend.versions.iter().cloned());
        arms.push(served_arm(member.name, member.mapping, *share, backend));
    }
    for shadow in shadows.iter().filter(|shadow| shadow.arrives(backends)) {
        versions.insert(version(shadow.name, shadow.stored));
        versions.extend(backends[&shadow.backend].versions.iter().cloned());
    }
    arms.sort_by(|a, b| a.mapping.cmp(&b.mapping));
    let mirrors = mirror::served(shadows, backends);
    Served { arms, mirrors, versions: versions.into_iter().collect() }
}

/// What is said of a Mapping with this share.
pub(super) fn served_arm(name: &ObjectName, mapping: &Mapping, share: Share, backend: &Backend) -> ServedArm {
    ServedArm {
        mapping: name.clone(),
        service: backend.service.clone(),
        written: match mapping.weight {
            Written::Nothing => None,
            Written::Parts(parts) => Some(u8::try_from((parts + 50) / 100).unwrap_or(100)),
        },
        share,
        endpoints: backend.ready.clone(),
    }
}

fn problem(member: &Member<'_>, backends: &BTreeMap<BackendKey, Backend>) -> Option<Problem> {
    if member.mapping.service.tls {
        return Some(Problem { code: "upstream_tls_not_served", text: TLS_NOT_SERVED.to_owned() });
    }
    backends[&member.backend].problem.clone()
}

fn version(name: &ObjectName, stored: &StoredMapping) -> ObjectVersion {
    let resource_version = Arc::clone(&stored.resource_version);
    ObjectVersion { kind: ObjectKind::Mapping, object: name.clone(), resource_version }
}
