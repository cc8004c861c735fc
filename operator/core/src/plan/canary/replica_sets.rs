//! Sizes of the ReplicaSets of the update, by the strategy's arithmetic.

use super::super::draft::Draft;
use super::super::fleet::Blind;
use super::super::release::{self, Delay, Ways};
use super::super::scaling::{resize, size_changed};
use super::Scene;
use super::routed::Routed;
use super::verify::Confirmation;
use crate::replicas::{self, Size, Sizes};
use crate::weight::Position;
use crate::world::ReplicaSet;

/// Scales every ReplicaSet to what the position asks for. Goes last: traffic moves before pods do.
pub(super) fn scale(scene: &Scene<'_>, position: &Position, draft: &mut Draft) {
    if scene.spec.paused && !size_changed(scene) {
        return;
    }
    let wanted = replicas::wanted(scene.spec.replicas, scene.canary, position, &sizes(scene));
    match &scene.routed {
        Some(routed) => scale_routed(scene, routed, wanted, draft),
        None => scale_basic(scene, wanted, draft),
    }
}

/// The sizes that the arithmetic works with.
pub(super) fn sizes(scene: &Scene<'_>) -> Sizes {
    let stable = scene.stable.filter(|stable| scene.new.is_none_or(|new| new.name != stable.name));
    Sizes {
        canary: scene.new.map(Size::from),
        stable: stable.map(Size::from),
        older: scene.others.iter().map(|set| Size::from(*set)).collect(),
    }
}

fn scale_routed(scene: &Scene<'_>, routed: &Routed<'_>, wanted: replicas::Counts, draft: &mut Draft) {
    let ways = Ways {
        fleet: &routed.fleet,
        services: [routed.stable_service, routed.canary_service],
        settled: routed.weight_confirmed(scene) == Confirmation::Confirmed && !draft.writes_route(),
    };
    if let Some(stable) = scene.stable {
        resize(scene, stable, scene.spec.replicas, draft);
    }
    let distinct = scene.new.filter(|new| scene.stable.is_none_or(|stable| stable.name != new.name));
    if let Some(new) = distinct {
        if draft.status.abort && scene.stable.is_some() {
            if let Some(delay) = scene.canary.abort_scale_down_delay {
                release::release(scene, &ways, new, delay, draft);
            }
        } else {
            let floor = new.replicas.min(carrying(scene, routed, new));
            resize(scene, new, wanted.canary.max(floor), draft);
        }
    }
    let delay =
        Delay { time: scene.canary.scale_down_delay, limit: scene.canary.scale_down_delay_revision_limit };
    release::others(scene, &ways, delay, draft);
}

/// Pods that the canary needs for what proxies may send it now, however small it should become.
fn carrying(scene: &Scene<'_>, routed: &Routed<'_>, new: &ReplicaSet) -> i32 {
    if routed.canary_hash() != Some(new.hash.as_str()) {
        return 0;
    }
    let pods = |share: i64| {
        let pods = (i64::from(scene.spec.replicas) * share + 9_999) / 10_000;
        i32::try_from(pods).unwrap_or(i32::MAX)
    };
    match routed.fold() {
        Ok(fold) => pods(i64::from(fold.largest_canary_share())),
        Err(Blind::NotConfigured) => pods(i64::from(routed.written()) * 100),
        Err(Blind::Unknown(_)) => i32::MAX,
    }
}

fn scale_basic(scene: &Scene<'_>, wanted: replicas::Counts, draft: &mut Draft) {
    let distinct_stable = scene.stable.filter(|stable| scene.new.is_none_or(|new| new.name != stable.name));
    if let Some(stable) = distinct_stable {
        resize(scene, stable, wanted.stable, draft);
    }
    if let Some(new) = scene.new {
        resize(scene, new, wanted.canary, draft);
    }
    shrink_older(scene, draft);
}

/// Older versions go as far as `maxUnavailable` allows: pods that are not available first, then the oldest version.
fn shrink_older(scene: &Scene<'_>, draft: &mut Draft) {
    let limits = replicas::basic::Limits::of(scene.canary, scene.spec.replicas);
    let available: i32 = scene.all().map(|set| set.status.available.min(set.replicas)).sum();
    let mut spare = (available - (scene.spec.replicas - limits.unavailable)).max(0);
    for set in scene.others.iter().rev().filter(|set| set.replicas > 0) {
        let kept = (set.status.available.min(set.replicas) - spare).max(0);
        spare -= set.status.available.min(set.replicas) - kept;
        resize(scene, set, kept, draft);
    }
}
