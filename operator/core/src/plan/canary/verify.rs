//! Whether what is written is served: `status.canary.weights.verified`, the condition `WeightVerified`, and the
//! answers that raise, promote, abort and scale-down wait for.
//!
//! | the data plane | `verified` | what a change waits for |
//! |---|---|---|
//! | tells what it serves | true or false | every counted proxy |
//! | does not answer | false | until it answers; an abort writes at once |
//! | not configured | unset | `settleSeconds` after the last change of a weight or selector |
//!
//! The condition is also the memory of "since when": its `lastTransitionTime` moves when its status or reason does.

use chrono::{DateTime, Utc};
use crds::rollout::{RolloutCondition, TrafficWeights, WeightDestination};

use super::super::draft::Draft;
use super::super::fleet::{Blind, progress, waiting};
use super::Scene;
use super::drift::CHANGED;
use super::routed::Routed;
use super::trials;
use crate::conditions::put;
use crate::traffic::{Fold, Poll};
use crate::weight::Weight;
use crate::why::Why;

/// Type of the condition.
pub(super) const CONDITION: &str = "WeightVerified";
/// Every counted proxy serves the weight.
pub(super) const SERVED: &str = "WeightServed";
/// The weight is written, and some counted proxy does not serve it yet.
pub(super) const NOT_SERVED: &str = "WeightNotServed";
/// The same for longer than `warnAfterSeconds`; also the reason of the Warning event.
pub(super) const NOT_SERVED_FOR_LONG: &str = "WeightNotVerified";
/// What the proxies serve is not known.
pub(super) const UNKNOWN: &str = "DataPlaneUnknown";
/// Nobody reports back; the last change is given time.
pub(super) const SETTLING: &str = "Settling";
/// Nobody reports back; the last change has had its time.
pub(super) const SETTLED: &str = "Settled";

/// Whether the route as this world has it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Confirmation {
    /// It is, or has had its time.
    Confirmed,
    /// Not yet.
    Pending(Why),
}

impl Confirmation {
    pub(super) fn of(result: Result<(), Why>) -> Self {
        match result {
            Ok(()) => Self::Confirmed,
            Err(why) => Self::Pending(why),
        }
    }
}

impl Routed<'_> {
    /// Whether the written weights are served by everybody.
    pub(super) fn weight_confirmed(&self, scene: &Scene<'_>) -> Confirmation {
        let written = self.written();
        let weight = self.parts(written);
        if !self.all_have(written) {
            return Confirmation::Pending(Why::Weighting { weight });
        }
        let what = format!("weight {weight}");
        let canary = Confirmation::of(self.ask(scene, |fold| {
            if written > Weight::ZERO && fold.counted() == 0 {
                return Err(Why::NoProxy);
            }
            waiting(&serving(fold, written), &what, |progress| Why::WaitingForWeight { progress })
        }));
        match canary {
            Confirmation::Confirmed => trials::confirmed(scene, self),
            Confirmation::Pending(_) => canary,
        }
    }

    /// Whether the canary arm holds exactly the new version everywhere, ready to carry a raised weight. Never true
    /// without a proxy.
    pub(super) fn canary_arm_confirmed(&self, scene: &Scene<'_>, hash: &str, need: i32) -> Confirmation {
        let what = format!("{need} or more pods of {hash} in the canary arm and no others");
        Confirmation::of(self.ask(scene, |fold| {
            if fold.counted() == 0 {
                return Err(Why::NoProxy);
            }
            waiting(&fold.canary_arm_holds(hash, need), &what, |progress| Why::WaitingForCanaryArm {
                progress,
            })
        }))
    }

    /// Whether the stable arm holds exactly this version everywhere, ready to carry all traffic.
    pub(super) fn stable_arm_confirmed(&self, scene: &Scene<'_>, hash: &str, need: i32) -> Confirmation {
        let what = format!("{need} or more pods of {hash} in the stable arm and no others");
        Confirmation::of(self.ask(scene, |fold| {
            let stable = fold.service_holds(&self.routing.stable_service, hash, need);
            waiting(&stable, &what, |progress| Why::WaitingForStableArm { progress })
        }))
    }

    pub(super) fn ask(
        &self,
        scene: &Scene<'_>,
        question: impl FnOnce(&Fold<'_>) -> Result<(), Why>,
    ) -> Result<(), Why> {
        match self.fold() {
            Ok(fold) => question(&fold),
            Err(Blind::Unknown(reason)) => Err(Why::DataPlaneUnknown { reason: reason.to_owned() }),
            Err(Blind::NotConfigured) => match self.settles_at(scene) {
                until if until <= scene.now() => Ok(()),
                until => Err(Why::Settling { until }),
            },
        }
    }

    /// When the route as it is written has had its time.
    fn settles_at(&self, scene: &Scene<'_>) -> DateTime<Utc> {
        let since = held(scene)
            .filter(|condition| [SETTLING, SETTLED].contains(&condition.reason.as_str()))
            .filter(|condition| condition.message.starts_with(&self.subject()))
            .and_then(|condition| condition.last_transition_time);
        since.unwrap_or_else(|| scene.start()) + self.routing.confirm.settle
    }
}

/// Weights are recorded once there is a stable version. A Rollout at rest is not asked about again: proxies come and
/// go, and its route has no canary arm.
pub(super) fn record_weights(scene: &Scene<'_>, writing: Option<Weight>, draft: &mut Draft) {
    let Some(routed) = scene.routed.as_ref().filter(|_| draft.status.stable_rs.is_some()) else {
        draft.status.canary.weights = None;
        draft.status.conditions.retain(|condition| condition.kind != CONDITION);
        return;
    };
    let promoted = draft.status.stable_rs.as_deref() == Some(scene.hash.as_str());
    let at_rest = promoted && !routed.any_exists() && scene.before.stable_rs == draft.status.stable_rs;
    let recorded = scene.before.canary.weights.as_ref().is_some_and(|weights| {
        weights.verified != Some(false)
            && weights.canary.weight == 0
            && [&weights.canary, &weights.stable]
                .into_iter()
                .all(|it| it.pod_template_hash == draft.status.stable_rs)
    });
    if !(at_rest && recorded) {
        record(scene, routed, writing, draft);
    }
}

/// Records what is known of the route: `status.canary.weights`, the condition, and one Warning when the proxies take
/// too long. `writing` is the weight that this plan writes, if it writes one.
fn record(scene: &Scene<'_>, routed: &Routed<'_>, writing: Option<Weight>, draft: &mut Draft) {
    let overwritten = draft.overwritten.take();
    // What is recorded is what was written here, not by somebody else.
    let ours = written_before(scene).filter(|_| overwritten.is_some());
    let written = writing.or(ours).unwrap_or_else(|| routed.written());
    let moved = written_before(scene) != Some(written);
    let (verified, wanted) = match (writing, routed.fold()) {
        (_, Err(Blind::NotConfigured)) => (None, settling(scene, routed, draft)),
        (_, Err(Blind::Unknown(reason))) => (Some(false), condition("False", UNKNOWN, reason)),
        (Some(weight), Ok(_)) => (
            Some(false),
            condition("False", NOT_SERVED, &format!("weight {} is being written", routed.parts(weight))),
        ),
        (None, Ok(_)) if let Some(message) = &overwritten => {
            (Some(false), condition("False", CHANGED, message))
        }
        (None, Ok(fold)) => {
            let poll = serving(&fold, written);
            let text = progress(&poll, &format!("weight {}", routed.parts(written)));
            match routed.weight_confirmed(scene) {
                Confirmation::Confirmed => (Some(true), condition("True", SERVED, &text)),
                Confirmation::Pending(Why::NoProxy) => {
                    (Some(false), condition("False", NOT_SERVED, &Why::NoProxy.to_string()))
                }
                Confirmation::Pending(why) => {
                    // The canary's weight may be served, and that of an Experiment not.
                    let text = if poll.unanimous() { why.to_string() } else { text };
                    let wanted = condition("False", NOT_SERVED, &text);
                    (Some(false), warn_when_late(scene, routed, moved, wanted, draft))
                }
            }
        }
    };
    draft.status.canary.weights = Some(weights(scene, routed, written, verified));
    store(scene, draft, moved, wanted);
}

/// `status.canary.weights`: what is written, and to whom.
fn weights(
    scene: &Scene<'_>,
    routed: &Routed<'_>,
    written: Weight,
    verified: Option<bool>,
) -> TrafficWeights {
    let parts = routed.parts(written);
    let destination = |weight: i32, service: &str, hash: Option<String>| WeightDestination {
        weight,
        service_name: Some(service.to_owned()),
        pod_template_hash: hash,
    };
    let additional = trials::destinations(routed);
    let rest = routed.routing.total().parts() - parts - additional.iter().map(|it| it.weight).sum::<i32>();
    TrafficWeights {
        canary: destination(parts, &routed.routing.canary_service, Some(scene.hash.clone())),
        stable: destination(rest, &routed.routing.stable_service, scene.before.stable_rs.clone()),
        additional,
        verified,
    }
}

/// After `warnAfterSeconds`, names what is missing, once.
fn warn_when_late(
    scene: &Scene<'_>,
    routed: &Routed<'_>,
    moved: bool,
    mut wanted: RolloutCondition,
    draft: &mut Draft,
) -> RolloutCondition {
    let waiting =
        held(scene).filter(|it| !moved && [NOT_SERVED, NOT_SERVED_FOR_LONG].contains(&it.reason.as_str()));
    let since = waiting.and_then(|it| it.last_transition_time).unwrap_or_else(|| scene.start());
    let late = since + routed.routing.confirm.warn_after;
    let warned = waiting.is_some_and(|it| it.reason == NOT_SERVED_FOR_LONG);
    if scene.now() < late && !warned {
        draft.wake_at(late);
        return wanted;
    }
    NOT_SERVED_FOR_LONG.clone_into(&mut wanted.reason);
    if !warned {
        draft.warning(NOT_SERVED_FOR_LONG, wanted.message.clone());
    }
    wanted
}

fn settling(scene: &Scene<'_>, routed: &Routed<'_>, draft: &mut Draft) -> RolloutCondition {
    let until = routed.settles_at(scene);
    let seconds = routed.routing.confirm.settle.num_seconds();
    let message =
        format!("{}; no data plane reports back, so each change is given {seconds} s", routed.subject());
    if until <= scene.now() {
        return condition("Unknown", SETTLED, &message);
    }
    draft.wake_at(until);
    condition("Unknown", SETTLING, &message)
}

/// Keeps `lastTransitionTime` while the condition is about the same.
fn store(scene: &Scene<'_>, draft: &mut Draft, moved: bool, wanted: RolloutCondition) {
    let start = scene.start();
    let conditions = &mut draft.status.conditions;
    let held = conditions.iter().find(|condition| condition.kind == CONDITION);
    let same = held.filter(|held| {
        let same_subject = match wanted.status.as_str() {
            "Unknown" => held.message == wanted.message,
            _ => !moved && (held.reason == CHANGED) == (wanted.reason == CHANGED),
        };
        held.status == wanted.status && same_subject
    });
    let since = same.and_then(|held| held.last_transition_time).unwrap_or(start);
    put(conditions, wanted, since, start);
}

/// The condition as it was recorded last.
pub(super) fn held<'s>(scene: &'s Scene<'_>) -> Option<&'s RolloutCondition> {
    scene.before.conditions.iter().find(|condition| condition.kind == CONDITION)
}

fn written_before(scene: &Scene<'_>) -> Option<Weight> {
    scene.before.canary.weights.as_ref().map(canarys)
}

/// The canary's weight as recorded. What both have together is what it was a part of then.
pub(super) fn canarys(weights: &TrafficWeights) -> Weight {
    Weight::of_counts(weights.canary.weight.into(), weights.stable.weight.into())
}

/// Whether every proxy serves the canary's weight.
fn serving(fold: &Fold<'_>, weight: Weight) -> Poll {
    if weight == Weight::ZERO { fold.weight_zero() } else { fold.weight_served(weight) }
}

fn condition(status: &str, reason: &str, message: &str) -> RolloutCondition {
    RolloutCondition {
        kind: CONDITION.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        ..RolloutCondition::default()
    }
}
