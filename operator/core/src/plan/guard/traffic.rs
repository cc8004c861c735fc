//! Which of the proxies' counts compare the versions.
//!
//! Those of splits that draw a version for each request: whoever comes by another way (a header route for testers, a
//! route of the stable version alone) is another public, and a comparison with it would say nothing of the versions.

use std::collections::{BTreeMap, BTreeSet};

use operator_judge::cohorts::{ArmName, Cohorts, Report};
use operator_judge::counts::{Arm, Sample};

use super::super::scene::Scene;
use crate::spec::{MappingRouting, Routing, Strategy};
use crate::traffic::{Cohort, Facts, Split};

/// What the judge looks at.
pub(super) fn cohorts<'a>(scene: &'a Scene<'_>, facts: &Facts) -> Cohorts<'a> {
    let stable = scene.stable.map_or("", |it| it.hash.as_str());
    let mut cohorts = Cohorts::new(&scene.hash, stable);
    let draws = |split: &Split| Draws::of(scene, split, (&scene.hash, stable));
    let draws: BTreeMap<&str, Draws> =
        facts.splits.iter().filter_map(|split| Some((split.id.as_str(), draws(split)?))).collect();
    for cohort in &facts.cohorts {
        let Some(draws) = draws.get(cohort.split.as_str()) else { continue };
        if let Some((arm, version)) = draws.place(cohort, &scene.hash, stable) {
            let Cohort { second, requests, bad, shares, .. } = *cohort;
            let sample =
                Sample { arm: Arm { requests, bad: bad.min(requests) }, latency: cohort.ended.clone() };
            let shares = draws.are_two().then_some(shares);
            cohorts.report(Report { second, arm, version, sample, shares });
        }
    }
    cohorts
}

/// How a split draws between the versions.
enum Draws {
    /// Each has arms of its own.
    Arms {
        roles: BTreeMap<String, ArmName>,
        /// How many arms have requests.
        carrying: usize,
    },
    /// They share arms, and endpoints are drawn.
    Endpoints,
}

impl Draws {
    /// `None` if requests by it go to one version alone, as far as any proxy may serve it.
    fn of(scene: &Scene<'_>, split: &Split, (canary, stable): (&str, &str)) -> Option<Self> {
        let contents = split.views.iter().filter_map(|view| view.served.as_ref()).chain(&split.compiled);
        let arms = contents.flat_map(|served| &served.arms).filter(|arm| arm.share > 0);
        let Some(routing) = routing(scene) else {
            let holds = |hash: &str| arms.clone().any(|arm| arm.endpoints.contains_key(hash));
            return (holds(canary) && holds(stable)).then_some(Self::Endpoints);
        };
        let namespace = scene.world.rollout.metadata.namespace.as_deref().unwrap_or_default();
        let role = |service: &str| match service {
            name if name == routing.canary_service => Some(ArmName::Canary),
            name if name == routing.stable_service => Some(ArmName::Stable),
            _ => None,
        };
        let ours = arms.clone().filter(|arm| arm.service.namespace == namespace);
        let roles: BTreeMap<String, ArmName> =
            ours.filter_map(|arm| Some((arm.id.clone(), role(&arm.service.name)?))).collect();
        let carrying = arms.map(|arm| &arm.id).collect::<BTreeSet<_>>().len();
        let has = |name| roles.values().any(|role| *role == name);
        (has(ArmName::Canary) && has(ArmName::Stable)).then_some(Self::Arms { roles, carrying })
    }

    /// Whose requests these are, and which version got them.
    fn place<'c>(
        &self,
        cohort: &'c Cohort,
        canary: &str,
        stable: &str,
    ) -> Option<(ArmName, Option<&'c str>)> {
        let version = Some(cohort.hash.as_str()).filter(|hash| !hash.is_empty());
        match self {
            Self::Arms { roles, .. } => Some((*roles.get(&cohort.arm)?, version)),
            Self::Endpoints => match version? {
                hash if hash == canary => Some((ArmName::Canary, version)),
                hash if hash == stable => Some((ArmName::Stable, version)),
                _ => None,
            },
        }
    }

    /// A request that one arm does not get is the other's.
    fn are_two(&self) -> bool {
        match self {
            Self::Arms { roles, carrying } => *carrying == 2 && roles.len() == 2,
            Self::Endpoints => false,
        }
    }
}

fn routing<'a>(scene: &'a Scene<'_>) -> Option<&'a MappingRouting> {
    match &scene.spec.strategy {
        Strategy::Canary(canary) => match &canary.routing {
            Routing::Mappings(routing) => Some(routing),
            Routing::Replicas { .. } => None,
        },
        Strategy::BlueGreen(_) => None,
    }
}
