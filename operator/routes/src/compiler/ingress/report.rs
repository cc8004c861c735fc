//! What is told of the split of a place to those that move weights.

use std::collections::BTreeSet;

use litemap::LiteMap;
use proxy_config::model::{ArmId, Share};

use super::{super::Backends, Claimant, members, mirror};
use crate::{
    compiled::{ObjectVersion, Served, ServedArm, SplitReport, ingress_key},
    ingress::Level,
    scope::Scope,
};

/// What a split is served with, for those that move weights.
pub(super) fn report(
    main: &Claimant<'_>,
    canary: Option<&Claimant<'_>>,
    level: Level,
    backends: Backends<'_>,
) -> SplitReport {
    let mut versions: BTreeSet<ObjectVersion> =
        [Some(main), canary].into_iter().flatten().map(Claimant::version).collect();
    let mut arms = Vec::new();
    let mut problems = BTreeSet::new();
    for (member, share, backend) in members(level, main, canary, backends) {
        versions.extend(backend.versions.iter().cloned());
        problems.extend(backend.problem.iter().map(|problem| problem.text.clone()));
        arms.push(ServedArm {
            id: ArmId::new(member.name.to_string()),
            mapping: ingress_key(member.name, level.as_str()),
            service: backend.service.clone(),
            written: None,
            share,
            endpoints: backend.ready.clone(),
        });
    }
    arms.sort_by(|a, b| a.mapping.cmp(&b.mapping));
    let mirrors = mirror(main, backends).map(|backend| {
        versions.extend(backend.versions.iter().cloned());
        ServedArm {
            id: ArmId::new(main.name.to_string()),
            mapping: ingress_key(main.name, level.as_str()),
            service: backend.service.clone(),
            written: None,
            share: Share::WHOLE,
            endpoints: backend.ready.clone(),
        }
    });
    let mirrors = mirrors.into_iter().collect();
    let problem = (!problems.is_empty()).then(|| problems.into_iter().collect::<Vec<_>>().join("; "));
    SplitReport {
        scope: Scope::Fleet,
        served: Served { arms, mirrors, versions: versions.into_iter().collect() },
        problem,
    }
}

/// What stands for a canary without anything that it is the canary of.
pub(super) fn unserved(canary: &Claimant<'_>) -> SplitReport {
    let arm = ServedArm {
        id: ArmId::new(canary.name.to_string()),
        mapping: ingress_key(canary.name, ""),
        service: None,
        written: None,
        share: Share::ZERO,
        endpoints: LiteMap::new(),
    };
    let served = Served { arms: vec![arm], mirrors: Vec::new(), versions: vec![canary.version()] };
    SplitReport {
        scope: Scope::Fleet,
        served,
        problem: Some("no Ingress without `canary` has this rule".to_owned()),
    }
}
