//! Who gets the requests of a rule: the Services behind its references, and what is wrong with them.

use std::{collections::BTreeMap, sync::Arc};

use crds::gateway::reference::BackendReference;
use proxy_config::model::{Arm, ArmId, HostRewrite, Mirror, MirrorId, Rewrite, Share, Split, SplitId};

use super::{
    super::{
        Backends,
        backend::{Backend, BackendKey},
        stores::Stores,
    },
    objects::RouteName,
    references,
};
use crate::{
    compiled::{ObjectVersion, Served as ServedSplit, ServedArm, SplitReport, route_key},
    gateway::{
        filters::{Copies, Effects, Limits},
        grants::Referrer,
        listener::Fault,
        weights::shares,
    },
    object::ObjectName,
    scope::Scope,
};

/// One reference of a rule, resolved.
pub(super) struct Member {
    /// Its name within the split.
    id: String,
    weight: u32,
    /// The Service, if it is one.
    service: Option<ObjectName>,
    pub(super) key: BackendKey,
    /// Why it cannot be sent to, as far as the reference itself says.
    pub(super) fault: Option<Fault>,
    effects: Effects,
}

/// What a reference means.
pub(super) struct Target<'a> {
    pub(super) route: &'a RouteName,
    /// What backends with TLS are shown.
    pub(super) shown: Option<&'a ObjectName>,
    /// Whether backends speak HTTP/2 whatever they say.
    pub(super) http2: bool,
}

/// The split of a rule, or why all of its requests are refused.
pub(super) enum Divided {
    Split(Split, Box<SplitReport>),
    /// There is nobody whom they could go to.
    Nobody,
}

impl Target<'_> {
    /// The backend behind a reference, or why there is none.
    pub(super) fn resolve(
        &self,
        stores: &Stores,
        reference: &BackendReference,
    ) -> Result<(ObjectName, BackendKey), Fault> {
        if (reference.group(), reference.kind()) != ("", "Service") {
            let message = format!(
                "`{}` is of kind `{}`, and only a Service is sent to",
                reference.name,
                reference.kind()
            );
            return Err(Fault::new("InvalidKind", message));
        }
        let own = &self.route.name.namespace;
        let namespace = reference.namespace.as_deref().filter(|it| !it.is_empty()).unwrap_or(own);
        let service = stores.shared(ObjectName::new(namespace, reference.name.as_str()));
        let from = Referrer { kind: self.route.kind.as_str(), namespace: own };
        references::permitted(stores, from, "Service", &service)?;
        let Some(port) = reference.port else {
            return Err(Fault::new("BackendNotFound", format!("`port` of Service `{service}` is missing")));
        };
        let key = BackendKey::of_route(&service, port, self.http2, self.shown);
        Ok((service, key))
    }

    /// What a reference with a weight means.
    pub(super) fn member(
        &self,
        stores: &Stores,
        reference: &BackendReference,
        weight: Option<u32>,
        effects: Result<Effects, Fault>,
    ) -> Member {
        let weight = weight.unwrap_or(1);
        let resolved = self.resolve(stores, reference);
        let id = match &resolved {
            Ok((service, _)) => format!("{service}:{}", reference.port.unwrap_or_default()),
            Err(_) => format!("{} {}", reference.kind(), reference.name),
        };
        match (resolved, effects) {
            (Ok((service, key)), Ok(effects)) => {
                Member { id, weight, service: Some(service), key, fault: None, effects }
            }
            (Ok((service, _)), Err(fault)) => Member {
                id,
                weight,
                service: Some(service),
                key: BackendKey::absent(),
                fault: Some(fault),
                effects: Effects::default(),
            },
            (Err(fault), _) => Member {
                id,
                weight,
                service: None,
                key: BackendKey::absent(),
                fault: Some(fault),
                effects: Effects::default(),
            },
        }
    }
}

impl Member {
    /// Why it cannot be sent to.
    pub(super) fn unresolved(&self, backends: Backends<'_>) -> Option<Fault> {
        self.fault.clone().or_else(|| absent(&backends[&self.key]))
    }

    /// The backend that its requests go to: one that is not there answers for itself.
    fn backend<'a>(&self, backends: Backends<'a>) -> &'a Backend {
        let backend = backends.get(&self.key);
        if absent(backend).is_some() { backends.get(&BackendKey::absent()) } else { backend }
    }
}

/// Why a backend is none.
pub(super) fn absent(backend: &Backend) -> Option<Fault> {
    let problem = backend.problem.as_ref()?;
    ["no_service", "no_port"]
        .contains(&problem.code)
        .then(|| Fault::new("BackendNotFound", problem.text.as_str()))
}

/// What the arms of a rule have in common.
pub(super) struct Common<'a> {
    pub(super) id: SplitId,
    pub(super) route: &'a RouteName,
    pub(super) scope: &'a Scope,
    pub(super) version: ObjectVersion,
    pub(super) effects: &'a Effects,
    pub(super) limits: Limits,
    pub(super) mirrors: Vec<Mirror>,
}

/// Divides the requests of a rule.
pub(super) fn divide(common: Common<'_>, members: &[Member], backends: Backends<'_>) -> Divided {
    let weights: Vec<u32> = members.iter().map(|it| it.weight).collect();
    let Some(shares) = shares(&weights) else { return Divided::Nobody };
    let carrying = members.iter().zip(&shares).filter(|(_, share)| **share > Share::ZERO);
    if carrying.clone().all(|(member, _)| member.unresolved(backends).is_some()) {
        return Divided::Nobody;
    }
    // There are as many of these as rules, and each is kept: they take no more room than they need.
    let mut arms = Vec::with_capacity(members.len());
    let mut served = Vec::with_capacity(members.len());
    let of_backends = members.iter().map(|it| backends.get(&it.key).versions.len()).sum::<usize>();
    let mut versions = Vec::with_capacity(1 + of_backends);
    versions.push(common.version);
    let mut problems = Vec::new();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (member, share) in members.iter().zip(shares) {
        let backend = member.backend(backends);
        let count = names.entry(member.id.as_str()).or_default();
        *count += 1;
        let id =
            if *count == 1 { ArmId::new(&*member.id) } else { ArmId::new(format!("{} #{count}", member.id)) };
        arms.push(arm(id.clone(), share, backend, member, common.effects, common.limits));
        let own = backends.get(&member.key);
        versions.extend(own.versions.iter().cloned());
        problems.extend(member.unresolved(backends).map(|fault| fault.message));
        problems.extend(own.problem.as_ref().filter(|_| absent(own).is_none()).map(|it| it.text.clone()));
        served.push(ServedArm {
            id,
            mapping: route_key(common.route.kind, &common.route.name),
            service: member.service.clone(),
            written: u8::try_from(member.weight).ok().filter(|weight| *weight <= 100),
            share,
            endpoints: backend.ready.clone(),
        });
    }
    arms.sort_by(|a, b| a.id.cmp(&b.id));
    served.sort_by(|a, b| a.service.cmp(&b.service));
    versions.sort();
    versions.dedup();
    problems.sort();
    problems.dedup();
    let report = SplitReport {
        scope: common.scope.clone(),
        served: ServedSplit { arms: served, mirrors: Vec::new(), versions },
        problem: (!problems.is_empty()).then(|| problems.join("; ")),
    };
    Divided::Split(Split { id: common.id, arms, mirrors: common.mirrors }, Box::new(report))
}

/// A mirror of a rule, with who gets its copies or why nobody does.
pub(super) type Copied = (Copies, Result<(ObjectName, BackendKey), Fault>);

/// Who gets copies, of those that are there.
pub(super) fn mirrors(copies: &[Copied], backends: Backends<'_>) -> (Vec<Mirror>, Option<Fault>) {
    let (mut mirrors, mut unresolved) = (Vec::new(), None);
    for (index, (copy, resolved)) in copies.iter().enumerate() {
        let found = match resolved {
            Err(fault) => Err(fault.clone()),
            Ok((service, key)) => match absent(&backends[key]) {
                Some(fault) => Err(fault),
                None => Ok((service, &backends[key].cluster.id)),
            },
        };
        match found {
            Err(fault) => drop(unresolved.get_or_insert(fault)),
            Ok((service, cluster)) => mirrors.push(Mirror {
                id: MirrorId::new(format!("{index:02} {service}")),
                share: copy.share,
                cluster: cluster.clone(),
                path: None,
                case: proxy_config::model::Case::Counts,
                method: None,
                headers: Vec::new(),
                query: Vec::new(),
            }),
        }
    }
    (mirrors, unresolved)
}

/// An arm of a rule: what a backend says of host and path goes before what the rule says.
fn arm(id: ArmId, share: Share, backend: &Backend, member: &Member, rule: &Effects, limits: Limits) -> Arm {
    let Effects { request_headers, response_headers, host_rewrite, rewrite, .. } = &member.effects;
    let own_rewrite = if *rewrite == Rewrite::None { &rule.rewrite } else { rewrite };
    let own_host = if *host_rewrite == HostRewrite::Keep { &rule.host_rewrite } else { host_rewrite };
    Arm {
        id,
        share,
        cluster: backend.cluster.id.clone(),
        rewrite: own_rewrite.clone(),
        host_rewrite: own_host.clone(),
        timeout_ms: limits.timeout_ms,
        idle_timeout_ms: None,
        total_timeout_ms: limits.total_timeout_ms,
        request_headers: request_headers.clone(),
        response_headers: response_headers.clone(),
    }
}

/// The version of a route.
pub(super) fn version(route: &RouteName, resource_version: &Arc<str>) -> ObjectVersion {
    ObjectVersion {
        kind: crate::compiled::ObjectKind::Route(route.kind),
        object: route.name.clone(),
        resource_version: Arc::clone(resource_version),
    }
}
