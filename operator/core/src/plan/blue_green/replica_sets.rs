//! Sizes of the versions, and how those that nobody wants go.

use chrono::TimeDelta;
use crds::contract::SCALE_DOWN_DEADLINE_ANNOTATION;
use crds::go_json::rfc3339_seconds;

use super::super::draft::Draft;
use super::super::fleet::Blind;
use super::super::quiesce;
use super::super::release::{self, Delay, Ways};
use super::super::scaling::{resize, resize_within_delay};
use super::Scene;
use super::services;
use crate::why::Why;
use crate::world::ReplicaSet;

/// What becomes of the new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum New {
    /// It has this many pods.
    Sized(i32),
    /// The update was aborted.
    Unwanted,
}

/// Scales every ReplicaSet. Goes last: traffic moves before pods do. Goes on during the user's pause, as in Argo.
pub(super) fn scale(scene: &Scene<'_>, new: &ReplicaSet, size: New, draft: &mut Draft) {
    // The stable version is complete until another one is; and whatever version has the requests.
    let other = scene.active().filter(|active| scene.stable.is_none_or(|stable| stable.hash != active.hash));
    let serving = scene.stable.into_iter().chain(other).filter(|set| set.hash != new.hash);
    for set in serving {
        resize_gently(scene, set, scene.spec.replicas, draft);
    }
    let ways = Ways {
        fleet: &scene.fleet,
        services: [scene.services.active, scene.services.preview],
        settled: !draft.writes_route(),
    };
    match (size, scene.stable) {
        // The deadline tells that the version still runs, until it has the requests again.
        (New::Sized(pods), _) if still_runs(scene, new) && !scene.is_active(new) => {
            let pods = quiesce::allowed(scene, &scene.fleet, new, pods, draft);
            resize_within_delay(scene, new, pods, draft);
        }
        (New::Sized(pods), _) => resize_gently(scene, new, pods, draft),
        (New::Unwanted, _) if scene.is_active(new) => resize_gently(scene, new, scene.spec.replicas, draft),
        (New::Unwanted, Some(stable)) => give_up(scene, &ways, new, stable, draft),
        (New::Unwanted, None) => {}
    }
    let delay = Delay {
        time: scene.blue_green.scale_down_delay,
        least: least(scene),
        limit: scene.blue_green.scale_down_delay_revision_limit,
    };
    release::others(scene, &ways, delay, draft);
}

/// Scales; pods that go have ended their requests before.
fn resize_gently(scene: &Scene<'_>, set: &ReplicaSet, to: i32, draft: &mut Draft) {
    let pods = quiesce::allowed(scene, &scene.fleet, set, to, draft);
    resize(scene, set, pods, draft);
}

/// A version that was active before the stable one and still runs, in its scale-down delay: going back to it takes no
/// pause (reference §2.12). One that an update superseded or that was aborted was never accepted, so it does not count.
pub(super) fn still_runs(scene: &Scene<'_>, new: &ReplicaSet) -> bool {
    let earlier = new.annotations.revision_history.as_deref().and_then(|it| it.rsplit(',').next());
    let earlier: Option<i64> = earlier.and_then(|revision| revision.trim().parse().ok());
    let stable = scene.stable.and_then(|stable| stable.annotations.revision);
    new.replicas > 0
        && new.annotations.scale_down_deadline.is_some()
        && earlier.zip(stable).is_some_and(|(earlier, stable)| earlier < stable)
}

/// What a plan waits for while a version has too few pods.
pub(super) fn wait_for_pods(set: &ReplicaSet, wanted: i32, draft: &mut Draft) {
    draft.because(Why::WaitingForPods { replica_set: set.name.clone(), available: set.lasting(), wanted });
}

/// After an abort the new version runs on for `abortScaleDownDelaySeconds` from the moment at which the stable version
/// has all requests, and people can look at it through the preview Service. Then that Service leaves it, for the
/// stable version (Argo lets it select pods that are going), and when nothing reaches it, it goes.
fn give_up(scene: &Scene<'_>, ways: &Ways<'_>, new: &ReplicaSet, stable: &ReplicaSet, draft: &mut Draft) {
    let Some(delay) = scene.blue_green.abort_scale_down_delay.filter(|_| new.replicas > 0) else { return };
    if scene.services.preview.is_none() {
        return release::release(scene, ways, new, delay.max(least(scene)), draft);
    }
    if scene.services.preview_hash() == Some(stable.hash.as_str()) {
        return release::release(scene, ways, new, least(scene), draft);
    }
    if !scene.is_active(stable) || stable.lasting() < scene.spec.replicas {
        return draft.because(Why::StillRouted { replica_set: new.name.clone() });
    }
    match new.annotations.scale_down_deadline {
        Some(deadline) if deadline <= scene.now() => {
            services::preview(scene, stable, draft);
            // What is left begins with this switch.
            draft.annotate(new, SCALE_DOWN_DEADLINE_ANNOTATION, None);
            draft.because(Why::RouteWritten);
        }
        held => {
            let until = held.unwrap_or_else(|| scene.start() + delay);
            if held.is_none() {
                let until = rfc3339_seconds(until);
                draft.annotate(new, SCALE_DOWN_DEADLINE_ANNOTATION, Some(until));
            }
            draft.wake_at(until);
            draft.because(Why::ScaleDownDelay { replica_set: new.name.clone(), until });
        }
    }
}

/// The shortest time between a switch and the end of the version it left: where no data plane reports back,
/// `settleSeconds`.
fn least(scene: &Scene<'_>) -> TimeDelta {
    match scene.fleet.fold() {
        Err(Blind::NotConfigured) => scene.fleet.confirm.settle,
        Err(Blind::Unknown(_)) | Ok(_) => TimeDelta::zero(),
    }
}
