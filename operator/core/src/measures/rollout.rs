//! Gauges of Rollouts.

use crds::{
    Rollout,
    rollout::{RolloutSpec, RolloutStatus, TrafficRouting, status::GuardVerdict},
};

use super::{Gauge, Sample, flag};
use crate::{
    conditions::{Kind, reason},
    spec::DEFAULT_REPLICAS,
};

/// The phase of the metrics: not `status.phase`, but other words that follow from the conditions alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Completed,
    Progressing,
    Paused,
    Timeout,
    Error,
    Abort,
    InvalidSpec,
}

impl Phase {
    /// The phases of `rollout_phase`, which knows no invalid spec: all of them are 0 then.
    const DEPRECATED: [Self; 6] =
        [Self::Abort, Self::Completed, Self::Error, Self::Paused, Self::Progressing, Self::Timeout];

    /// An `InvalidSpec` condition counts whatever its status is, as for `status.phase`.
    fn of(status: &RolloutStatus) -> Self {
        let condition = |kind: Kind| status.conditions.iter().find(|it| it.kind == kind.as_str());
        if condition(Kind::InvalidSpec).is_some() {
            return Self::InvalidSpec;
        }
        match condition(Kind::Progressing).map(|it| it.reason.as_str()) {
            Some(reason::NEW_REPLICA_SET_AVAILABLE) => Self::Completed,
            Some(reason::PAUSED) => Self::Paused,
            Some(reason::REPLICA_SET_CREATE_ERROR) => Self::Error,
            Some(reason::TIMED_OUT) => Self::Timeout,
            Some(reason::ABORTED) => Self::Abort,
            Some(_) | None => Self::Progressing,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::Timeout => "Timeout",
            Self::Error => "Error",
            Self::Abort => "Abort",
            Self::InvalidSpec => "InvalidSpec",
        }
    }
}

/// Shows a Rollout.
pub fn of_rollout(rollout: &Rollout, show: &mut impl FnMut(Sample<'_>)) {
    let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
    let name = rollout.metadata.name.as_deref().unwrap_or_default();
    let nothing = RolloutStatus::default();
    let status = rollout.status.as_ref().unwrap_or(&nothing);
    let (strategy, phase) = (strategy(&rollout.spec), Phase::of(status));
    show(Sample {
        gauge: Gauge::RolloutInfo,
        labels: &[
            ("name", name),
            ("namespace", namespace),
            ("phase", phase.as_str()),
            ("strategy", strategy),
            ("traffic_router", router(&rollout.spec)),
        ],
        value: 1,
    });
    let (available, all) = (i64::from(status.available_replicas), i64::from(status.replicas));
    for (gauge, value) in [
        (Gauge::RolloutReplicasAvailable, available),
        (Gauge::RolloutReplicasDesired, rollout.spec.replicas.unwrap_or(DEFAULT_REPLICAS).into()),
        (Gauge::RolloutReplicasUnavailable, all - available),
        (Gauge::RolloutReplicasUpdated, status.updated_replicas.into()),
    ] {
        show(Sample { gauge, labels: &[("name", name), ("namespace", namespace)], value });
    }
    for word in Phase::DEPRECATED {
        show(Sample {
            gauge: Gauge::RolloutPhase,
            labels: &[
                ("name", name),
                ("namespace", namespace),
                ("phase", word.as_str()),
                ("strategy", strategy),
            ],
            value: flag(word == phase),
        });
    }
    if let Some(guard) = &status.canary.guard {
        let verdict = match guard.verdict {
            GuardVerdict::Continue => "CONTINUE",
            GuardVerdict::Pass => "PASS",
            GuardVerdict::Fail => "FAIL",
        };
        let labels = [("name", name), ("namespace", namespace), ("verdict", verdict)];
        show(Sample { gauge: Gauge::RolloutGuard, labels: &labels, value: 1 });
    }
}

/// Shows a Rollout of which no more than its name is known.
pub fn of_unreadable_rollout(namespace: &str, name: &str, show: &mut impl FnMut(Sample<'_>)) {
    let labels = [
        ("name", name),
        ("namespace", namespace),
        ("phase", Phase::InvalidSpec.as_str()),
        ("strategy", ""),
        ("traffic_router", ""),
    ];
    show(Sample { gauge: Gauge::RolloutInfo, labels: &labels, value: 1 });
}

fn strategy(spec: &RolloutSpec) -> &'static str {
    match (&spec.strategy.blue_green, &spec.strategy.canary) {
        (Some(_), _) => "blueGreen",
        (None, Some(_)) => "canary",
        (None, None) => "none",
    }
}

/// Who splits the traffic; empty if nobody does, or one whom Argo does not name here: Traefik, APISIX, a plugin. Of
/// several, the last in Argo's order.
fn router(spec: &RolloutSpec) -> &'static str {
    let (None, Some(canary)) = (&spec.strategy.blue_green, &spec.strategy.canary) else { return "" };
    let Some(routing) = &canary.traffic_routing else { return "" };
    let TrafficRouting { alb, ambassador, app_mesh, istio, nginx, smi, .. } = routing;
    let named = [
        (app_mesh.is_some(), "AppMesh"),
        (smi.is_some(), "SMI"),
        (nginx.is_some(), "Nginx"),
        (istio.is_some(), "Istio"),
        (ambassador.is_some(), "Ambassador"),
        (alb.is_some(), "ALB"),
    ];
    named.into_iter().find(|(is, _)| *is).map_or("", |(_, name)| name)
}
