//! Lets ReplicaSets go that are no longer wanted, once nothing can reach them (design §2.2, scale down).
//!
//! Three things must be true of a ReplicaSet: no Service selects it and no counted proxy can
//! send it a new request; its scale-down delay, which begins then, is over; and its last request has ended, or
//! `drainDeadlineSeconds` have passed. The delay is the annotation `scale-down-deadline`, as Argo writes it.

use chrono::{DateTime, TimeDelta, Utc};
use crds::contract::SCALE_DOWN_DEADLINE_ANNOTATION;
use crds::go_json::rfc3339_seconds;

use super::draft::Draft;
use super::fleet::{Blind, Fleet};
use super::scaling::resize;
use super::scene::Scene;
use crate::traffic::Load;
use crate::why::Why;
use crate::world::{ReplicaSet, Service};

/// The ways by which requests come to the pods of a Rollout.
#[derive(Debug)]
pub(super) struct Ways<'a> {
    /// The proxies.
    pub(super) fleet: &'a Fleet<'a>,
    /// The Rollout's Services, as far as they exist.
    pub(super) services: [Option<&'a Service>; 2],
    /// Where no data plane reports back: the last change of the route has had its time.
    pub(super) settled: bool,
}

/// How long an old version keeps running once nothing reaches it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    /// `scaleDownDelaySeconds`.
    pub(super) time: TimeDelta,
    /// The same for a version that does not wait for the delay.
    pub(super) least: TimeDelta,
    /// `scaleDownDelayRevisionLimit`: how many may wait at the same time; `None`: any number.
    pub(super) limit: Option<usize>,
}

/// All ReplicaSets that are neither new nor stable. Those of before the last promotion wait for their delay; one that
/// an update superseded does not, nor one without an available pod: there is nothing to go back to.
pub(super) fn others(scene: &Scene<'_>, ways: &Ways<'_>, delay: Delay, draft: &mut Draft) {
    let promoted = draft.status.stable_rs.as_deref() == Some(scene.hash.as_str());
    let limit = delay.limit.unwrap_or(usize::MAX);
    for (index, set) in scene.others.iter().filter(|set| set.replicas > 0).enumerate() {
        if draft.status.stable_rs.is_none() && set.lasting() > 0 {
            // Nothing was promoted yet: whatever works is what the Services send to.
            continue;
        }
        let waits = promoted || set.annotations.scale_down_deadline.is_some();
        let works = set.lasting() > 0;
        let kept = waits && works && index < limit;
        let time = if kept { delay.time.max(delay.least) } else { delay.least };
        release(scene, ways, set, time, draft);
    }
}

/// Scales one ReplicaSet to 0 as soon as that harms nobody.
pub(super) fn release(
    scene: &Scene<'_>,
    ways: &Ways<'_>,
    set: &ReplicaSet,
    delay: TimeDelta,
    draft: &mut Draft,
) {
    if set.replicas <= 0 {
        return;
    }
    let load = match ways.reach(set) {
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
    let until = deadline.max(deadline - delay + ways.fleet.confirm.drain_deadline);
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

impl Ways<'_> {
    fn reach(&self, set: &ReplicaSet) -> Reach {
        let hashes = self.services.into_iter().flatten().filter_map(Service::hash);
        if hashes.into_iter().any(|hash| hash == set.hash) {
            return Reach::Possible;
        }
        match self.fleet.fold() {
            Ok(fold) => match fold.load(&set.hash) {
                Some(load) if !load.routable => Reach::Nothing(load),
                Some(_) => Reach::Possible,
                None => Reach::Unknown,
            },
            Err(Blind::Unknown(_)) => Reach::Unknown,
            Err(Blind::NotConfigured) if self.settled => Reach::Nothing(Load::NONE),
            Err(Blind::NotConfigured) => Reach::Possible,
        }
    }
}
