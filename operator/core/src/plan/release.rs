//! Lets ReplicaSets go that are no longer wanted, once nothing can reach them (design §2.2, scale down).
//!
//! Three things must be true of a ReplicaSet with traffic routing: no Service selects it and no counted proxy can
//! send it a new request; its scale-down delay, which begins then, is over; and its last request has ended, or
//! `drainDeadlineSeconds` have passed. The delay is the annotation `scale-down-deadline`, as Argo writes it.

use chrono::{DateTime, TimeDelta, Utc};
use crds::contract::SCALE_DOWN_DEADLINE_ANNOTATION;
use crds::go_json::rfc3339_seconds;

use super::draft::Draft;
use super::replica_sets::resize;
use super::routed::{Blind, Routed};
use super::scene::Scene;
use super::verify::Confirmation;
use crate::traffic::Load;
use crate::why::Why;
use crate::world::{ReplicaSet, Service};

/// The canary of an aborted update.
pub(super) fn after_abort(scene: &Scene<'_>, new: &ReplicaSet, draft: &mut Draft) {
    if let Some(delay) = scene.spec.canary.abort_scale_down_delay {
        release(scene, new, delay, draft);
    }
}

/// All ReplicaSets that are neither new nor stable. Those of before the last promotion wait for
/// `scaleDownDelaySeconds`; one that an update superseded does not.
pub(super) fn others(scene: &Scene<'_>, draft: &mut Draft) {
    let promoted = draft.status.stable_rs.as_deref() == Some(scene.hash.as_str());
    let limit = scene.spec.canary.scale_down_delay_revision_limit.unwrap_or(usize::MAX);
    for (index, set) in scene.others.iter().filter(|set| set.replicas > 0).enumerate() {
        if draft.status.stable_rs.is_none() && set.status.available > 0 {
            // Nothing was promoted yet: whatever works is what the Services send to.
            continue;
        }
        let waits = promoted || set.annotations.scale_down_deadline.is_some();
        let delay =
            if waits && index < limit { scene.spec.canary.scale_down_delay } else { TimeDelta::zero() };
        release(scene, set, delay, draft);
    }
}

fn release(scene: &Scene<'_>, set: &ReplicaSet, delay: TimeDelta, draft: &mut Draft) {
    let Some(routed) = scene.routed.as_ref().filter(|_| set.replicas > 0) else { return };
    let load = match reach(scene, routed, set, draft) {
        Reach::Nothing(load) => load,
        Reach::Possible => {
            draft.because(Why::StillRouted { replica_set: set.name.clone() });
            if set.annotations.scale_down_deadline.is_some() {
                draft.annotate(set, SCALE_DOWN_DEADLINE_ANNOTATION, None);
            }
            return;
        }
        Reach::Unknown => {
            draft.because(Why::StillRouted { replica_set: set.name.clone() });
            return;
        }
    };
    let ended = load.in_flight == 0 && load.settled;
    let Some(deadline) = deadline(scene, set, delay) else {
        if delay > TimeDelta::zero() || !ended {
            let until = scene.start() + delay;
            draft.annotate(set, SCALE_DOWN_DEADLINE_ANNOTATION, Some(rfc3339_seconds(until)));
            draft.because(Why::ScaleDownDelay { replica_set: set.name.clone(), until });
        } else {
            resize(scene, set, 0, draft);
        }
        return;
    };
    if scene.now() < deadline {
        draft.wake_at(deadline);
        draft.because(Why::ScaleDownDelay { replica_set: set.name.clone(), until: deadline });
        return;
    }
    let until = deadline.max(deadline - delay + routed.routing.confirm.drain_deadline);
    if !ended && scene.now() < until {
        draft.wake_at(until);
        draft.because(Why::Draining { replica_set: set.name.clone(), in_flight: load.in_flight, until });
        return;
    }
    resize(scene, set, 0, draft);
}

/// When the delay is over; `None` while it has not begun. Without a delay an older deadline does not count.
fn deadline(scene: &Scene<'_>, set: &ReplicaSet, delay: TimeDelta) -> Option<DateTime<Utc>> {
    let written = set.annotations.scale_down_deadline?;
    Some(if delay.is_zero() { written.min(scene.stamp()) } else { written })
}

/// Whether a ReplicaSet can get a new request.
enum Reach {
    /// A Service selects it, or a proxy may route to it: its delay has not begun.
    Possible,
    /// A proxy has not told what it serves, or nobody has: a delay that began goes on, but nothing goes.
    Unknown,
    /// It cannot; this is what is still under way.
    Nothing(Load),
}

fn reach(scene: &Scene<'_>, routed: &Routed<'_>, set: &ReplicaSet, draft: &Draft) -> Reach {
    let selects = |service: Option<&Service>| service.and_then(Service::hash) == Some(set.hash.as_str());
    if selects(routed.stable_service) || selects(routed.canary_service) {
        return Reach::Possible;
    }
    match routed.fold() {
        Ok(fold) => match fold.load(&set.hash) {
            Some(load) if !load.routable => Reach::Nothing(load),
            Some(_) => Reach::Possible,
            None => Reach::Unknown,
        },
        Err(Blind::Unknown(_)) => Reach::Unknown,
        Err(Blind::NotConfigured) => match routed.weight_confirmed(scene) {
            Confirmation::Confirmed if !draft.writes_route() => Reach::Nothing(Load::NONE),
            Confirmation::Confirmed | Confirmation::Pending(_) => Reach::Possible,
        },
    }
}
