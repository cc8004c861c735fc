//! Mappings with equal match make one route.

mod members;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use litemap::LiteMap;
use proxy_config::{
    model::{
        Action, Arm, ArmId, Case, Change, ClusterId, Edit, Filters, HeaderEdit, HostMatch, HostRewrite,
        PathMatch, Rank, Refusal, Rewrite, Route, RouteId, Share, Split, SplitId, Upgrades,
    },
    validate::validate_change,
};

use self::members::claims;
pub(super) use self::members::{Member, Rejected, admit, asks_for_pods, disagreement, shares};
use super::{
    Backends,
    backend::{Backend, BackendKey},
    mirror::{self, Shadow},
    stores::{StoredMapping, Stores},
    subject, verdict,
};
use crate::{
    compat::Compat,
    compiled::{ObjectKind, ObjectVersion, Rule, Served, ServedArm, SplitReport, Status, Subject},
    hostname,
    mapping::{Mapping, MatchKey, PathKind},
    object::ObjectName,
    order,
    scope::Scope,
    weights::{Shares, Written, drawing_order},
};

/// The id of the arm that gets what nobody may take. No Mapping's: those have a slash.
const NOBODY: &str = "nobody";

/// What the route of a group and its split are called.
pub(super) struct Names {
    pub(super) route: RouteId,
    pub(super) split: SplitId,
}

impl Names {
    pub(super) fn of(key: &MatchKey) -> Self {
        let id = order::id(key);
        Self { route: RouteId::new(id.as_str()), split: SplitId::new(id) }
    }
}

/// What a group contributes.
#[derive(Default)]
pub(super) struct Output {
    pub(super) route: Option<(Arc<Route>, Rule)>,
    pub(super) split: Option<SplitReport>,
    /// What stands for the members that are not in the route.
    pub(super) stand_ins: Vec<(ObjectName, SplitReport)>,
    pub(super) statuses: Vec<(Subject, Status)>,
}

/// The route of the group, whose members have these `shares`. `backends` are compiled for every member, and for
/// [`BackendKey::nobody`] where some requests are nobody's.
pub(super) fn compile(
    (key, names): (&MatchKey, &Names),
    shares: &Shares,
    members: &[Member<'_>],
    rejected: &[Rejected<'_>],
    shadows: &[Shadow<'_>],
    backends: Backends<'_>,
    stores: &Stores,
) -> Output {
    let mut output = Output::default();
    for Rejected { name, stored, reason } in rejected {
        output.statuses.push((subject(stored), verdict::inactive(reason.clone())));
        output.stand_ins.push(((*name).clone(), rejected_report(name, stored, reason)));
    }
    let Some(first) = members.first() else { return output };
    let of_members: Vec<&Backend> = members.iter().map(|it| backends.get(&it.backend)).collect();
    let problems = || of_members.iter().map(|it| it.problem.as_ref());
    let action = match (&first.mapping.redirect, problems().flatten().next()) {
        (Some(redirect), _) => Action::Redirect(redirect.clone()),
        (None, Some(problem)) if problems().all(|problem| problem.is_some()) => {
            Action::Refuse(Refusal { status: 503, reason: problem.code.to_owned() })
        }
        (None, _) => {
            let mut arms = arms(members, shares, &of_members, stores.compat);
            if shares.unclaimed > Share::ZERO {
                arms.push(of_nobody(shares.unclaimed, backends));
            }
            arms.sort_by(|a, b| a.id.cmp(&b.id));
            Action::Split(Split {
                id: names.split.clone(),
                arms,
                mirrors: mirror::mirrors(shadows, backends),
            })
        }
    };
    let mut route = route((key, &names.route), members, action, stores);
    let case = route.case;
    let rule = rule(key, members, stores.compat);
    let mut unserved = verdict::hostless(&rule, stores);
    if unserved.is_none() {
        narrow(&mut route, &rule, stores);
        route.classes = stores.classes(&rule);
        let (taken, refused) = as_taken(route);
        output.route = taken.map(|route| (route, rule));
        unserved = refused;
    }
    let mut sentences: BTreeSet<String> = problems().flatten().map(|problem| problem.text.clone()).collect();
    sentences.extend(unserved.clone());
    if shares.unclaimed > Share::ZERO {
        sentences.insert(verdict::unclaimed(shares.unclaimed, stores.compat));
    }
    let problem = (!sentences.is_empty()).then(|| sentences.into_iter().collect::<Vec<_>>().join("; "));
    let served = served(members, shares, &of_members, (shadows, backends));
    output.split = Some(SplitReport { scope: Scope::Fleet, served, problem });
    let group =
        verdict::Group { members, shares, case, unserved: unserved.as_deref(), compat: stores.compat };
    for (member, backend) in members.iter().zip(&of_members) {
        let status = verdict::of_member(member, backend, &group);
        output.statuses.push((subject(member.stored), status));
    }
    output
}

/// The route as proxies take it, and why it is another one. A fault that its readers have let through must not keep
/// everything else from the proxies: then it refuses its requests, or is left out if its match is what is wrong.
fn as_taken(route: Route) -> (Option<Arc<Route>>, Option<String>) {
    let fault = |route: &Arc<Route>| {
        let problems = validate_change(&Change::Route(Arc::clone(route)));
        problems.into_iter().next().map(|problem| problem.fault)
    };
    let route = Arc::new(route);
    let Some(found) = fault(&route) else { return (Some(route), None) };
    let action = Action::Refuse(Refusal { status: 503, reason: "invalid_route".to_owned() });
    let filters = Filters { access: route.filters.access.clone(), ..Filters::default() };
    let refusing = Arc::new(Route { action, filters, ..Route::clone(&route) });
    let refusing = fault(&refusing).is_none().then_some(refusing);
    let fate = if refusing.is_some() { "requests are answered with 503" } else { "it has no route" };
    (refusing, Some(format!("{fate}: the proxies would not take it as it is read: {found}")))
}

/// The route that a Mapping would make if it were the only one, without its name and its place among others.
pub(super) fn alone(mapping: &Mapping, stores: &Stores) -> Route {
    let action = match &mapping.redirect {
        Some(redirect) => Action::Redirect(redirect.clone()),
        None => Action::Split(Split {
            id: SplitId::new(NOBODY),
            arms: vec![arm(ArmId::new(NOBODY), mapping, Share::WHOLE, ClusterId::new(NOBODY))],
            mirrors: Vec::new(),
        }),
    };
    let filters = Filters {
        cors: mapping.cors.clone().map(Box::new),
        retry: mapping.retry.clone().map(Box::new),
        errors: mapping.errors.clone(),
        upgrades: mapping.upgrades.clone().map_or(Upgrades::Any, Upgrades::Only),
        ..Filters::default()
    };
    let name = (RouteId::new(NOBODY), Rank(Vec::new()));
    let mut route = bare(&mapping.key, name, mapping.path, action, stores);
    route.case = mapping.case.unwrap_or_default();
    route.filters = filters;
    route
}

fn route((key, id): (&MatchKey, &RouteId), members: &[Member<'_>], action: Action, stores: &Stores) -> Route {
    let path = members.first().map_or(PathKind::Prefix, |first| first.mapping.path);
    let name = (id.clone(), order::rank(key, id.as_str()));
    let mut route = bare(key, name, path, action, stores);
    route.filters.access = stores.module.access.clone().map(Box::new);
    let mut mappings = members.iter().map(|member| member.mapping);
    match stores.compat {
        // Whoever says something first says it for all: a canary has what its stable Mapping has.
        Compat::Ideal => {
            route.case = mappings.find_map(|it| it.case).unwrap_or_default();
            let mut mappings = members.iter().map(|member| member.mapping);
            route.filters.cors = mappings.clone().find_map(|it| it.cors.clone()).map(Box::new);
            route.filters.retry = mappings.clone().find_map(|it| it.retry.clone()).map(Box::new);
            route.filters.errors =
                mappings.clone().map(|it| &it.errors).find(|it| !it.is_empty()).cloned().unwrap_or_default();
            route.filters.upgrades =
                mappings.find_map(|it| it.upgrades.clone()).map_or(Upgrades::Any, Upgrades::Only);
            if matches!(route.action, Action::Redirect(_)) {
                let own = members.first().map(|first| first.mapping.response_headers.clone());
                route.filters.response_headers = own.unwrap_or_default();
            }
        }
        // Whoever says something last says it for all; headers of all are put together.
        Compat::Strict => {
            let mappings: Vec<&Mapping> = mappings.collect();
            let last = || mappings.iter().rev();
            route.case = last().find_map(|it| it.case).unwrap_or_default();
            route.filters.cors = last().find_map(|it| it.cors.clone()).map(Box::new);
            route.filters.retry = last().find_map(|it| it.retry.clone()).map(Box::new);
            route.filters.upgrades =
                Upgrades::Only(last().find_map(|it| it.upgrades.clone()).unwrap_or_default());
            if matches!(route.action, Action::Redirect(_)) {
                // Its redirects do not look at the query.
                route.query.clear();
            }
            route.filters.request_headers = merged(&mappings, |it| &it.request_headers);
            route.filters.response_headers = merged(&mappings, |it| &it.response_headers);
        }
    }
    route
}

/// A route that does not say for which hosts it is, and that one Host selects, is for the name of that Host.
fn narrow(route: &mut Route, rule: &Rule, stores: &Stores) {
    if rule.named || route.host != HostMatch::Any {
        return;
    }
    let mut names = stores.selecting_hosts(&rule.labels);
    if let (Some(name), None) = (names.next(), names.next()) {
        route.host = to_the_letter(name, stores);
    }
}

fn to_the_letter(host: &HostMatch, stores: &Stores) -> HostMatch {
    if stores.compat == Compat::Strict && !stores.module.strips_port() {
        hostname::to_the_letter(host)
    } else {
        host.clone()
    }
}

/// A route with its match and its action alone.
fn bare(
    key: &MatchKey,
    (id, rank): (RouteId, Rank),
    path_kind: PathKind,
    action: Action,
    stores: &Stores,
) -> Route {
    Route {
        id,
        rank,
        host: to_the_letter(&key.host, stores),
        path: path(path_kind, &key.prefix),
        case: Case::default(),
        method: key.method.clone(),
        headers: key.headers.clone(),
        query: key.query.clone(),
        listeners: Vec::new(),
        classes: Vec::new(),
        to_https: None,
        filters: Filters::default(),
        action,
    }
}

/// Emissary's headers of a group: those that are added by name, the last one of a name; of those that are removed the
/// last list.
fn merged(mappings: &[&Mapping], edits: fn(&Mapping) -> &Vec<HeaderEdit>) -> Vec<HeaderEdit> {
    let removes = |edit: &&HeaderEdit| edit.edit == Edit::Remove;
    let mut lists =
        mappings.iter().rev().map(|it| edits(it).iter().filter(removes).cloned().collect::<Vec<_>>());
    let mut merged = lists.find(|list| !list.is_empty()).unwrap_or_default();
    let mut added = BTreeMap::new();
    for edit in mappings.iter().flat_map(|it| edits(it)).filter(|edit| !removes(edit)) {
        added.insert(edit.name.clone(), edit.clone());
    }
    merged.extend(added.into_values());
    merged
}

fn rule(key: &MatchKey, members: &[Member<'_>], compat: Compat) -> Rule {
    let named = members.iter().any(|member| member.mapping.named);
    let labels = members.iter().flat_map(|member| &member.stored.document.labels);
    let one_draw = compat == Compat::Strict && members.len() > 1;
    let claims = if one_draw { claims(members) } else { Vec::new() };
    let drawn = drawing_order(&claims);
    Rule {
        everywhere: named && matches!(key.host, HostMatch::Regex(_)),
        named,
        labels: labels.map(|(name, value)| (name.clone(), value.clone())).collect(),
        drawn: drawn.map(|index| members[index].arm.clone()).collect(),
    }
}

/// What stands for a Mapping that is in no route.
pub(super) fn rejected_report(name: &ObjectName, stored: &StoredMapping, reason: &str) -> SplitReport {
    let arm = ServedArm {
        id: ArmId::new(name.to_string()),
        mapping: name.clone(),
        service: None,
        written: None,
        share: Share::ZERO,
        endpoints: LiteMap::new(),
    };
    let served = Served { arms: vec![arm], mirrors: Vec::new(), versions: vec![version(name, stored)] };
    SplitReport { scope: Scope::Fleet, served, problem: Some(reason.to_owned()) }
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
fn arm(id: ArmId, mapping: &Mapping, share: Share, cluster: ClusterId) -> Arm {
    Arm {
        id,
        share,
        cluster,
        rewrite: mapping.rewrite.clone(),
        host_rewrite: mapping.host_rewrite.clone(),
        timeout_ms: mapping.timeout_ms,
        idle_timeout_ms: mapping.idle_timeout_ms,
        total_timeout_ms: None,
        request_headers: mapping.request_headers.clone(),
        response_headers: mapping.response_headers.clone(),
    }
}

fn arms(members: &[Member<'_>], shares: &Shares, backends: &[&Backend], compat: Compat) -> Vec<Arm> {
    let of_member = |((member, share), backend): ((&Member<'_>, &Share), &&Backend)| {
        arm(member.arm.clone(), member.mapping, *share, backend.cluster.id.clone())
    };
    let mut arms: Vec<Arm> = members.iter().zip(&shares.shares).zip(backends).map(of_member).collect();
    if compat == Compat::Strict {
        // The expression of the last member, or its absence, is that of all; who has one of its own loses `rewrite`.
        let last = members.last().map(|member| &member.mapping.rewrite);
        for arm in &mut arms {
            // Headers are those of the route there.
            arm.request_headers.clear();
            arm.response_headers.clear();
            match (last, &arm.rewrite) {
                (Some(regex @ Rewrite::Regex(_)), _) => arm.rewrite = regex.clone(),
                (_, Rewrite::Regex(_)) => arm.rewrite = Rewrite::None,
                (_, Rewrite::None | Rewrite::Prefix(_) | Rewrite::Full(_)) => {}
            }
        }
    }
    arms
}

/// The arm of requests that nobody may take.
fn of_nobody(share: Share, backends: Backends<'_>) -> Arm {
    Arm {
        id: ArmId::new(NOBODY),
        share,
        cluster: backends[&BackendKey::nobody()].cluster.id.clone(),
        rewrite: Rewrite::None,
        host_rewrite: HostRewrite::Keep,
        timeout_ms: None,
        idle_timeout_ms: None,
        total_timeout_ms: None,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    }
}

fn served(
    members: &[Member<'_>],
    shares: &Shares,
    of_members: &[&Backend],
    (shadows, backends): (&[Shadow<'_>], Backends<'_>),
) -> Served {
    let mut arms = Vec::with_capacity(members.len());
    let mut versions = Vec::with_capacity(members.len());
    for ((member, share), backend) in members.iter().zip(&shares.shares).zip(of_members) {
        versions.push(version(member.name, member.stored));
        versions.extend_from_slice(&backend.versions);
        arms.push(served_arm((&member.arm, member.name), member.mapping, *share, backend));
    }
    for shadow in shadows.iter().filter(|shadow| shadow.arrives(backends)) {
        versions.push(version(shadow.name, shadow.stored));
        versions.extend_from_slice(&backends[&shadow.backend].versions);
    }
    arms.sort_by(|a, b| a.mapping.cmp(&b.mapping));
    versions.sort_unstable();
    versions.dedup();
    Served { arms, mirrors: mirror::served(shadows, backends), versions }
}

/// What is said of a Mapping with this arm and share.
pub(super) fn served_arm(
    (id, name): (&ArmId, &ObjectName),
    mapping: &Mapping,
    share: Share,
    backend: &Backend,
) -> ServedArm {
    ServedArm {
        id: id.clone(),
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

fn version(name: &ObjectName, stored: &StoredMapping) -> ObjectVersion {
    let resource_version = Arc::clone(&stored.document.resource_version);
    ObjectVersion { kind: ObjectKind::Mapping, object: name.clone(), resource_version }
}
