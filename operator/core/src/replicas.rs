//! How many pods the canary and the stable ReplicaSet should have now, and whether they have them.
//!
//! Argo's arithmetic (`utils/replicaset/canary.go`, reference §2.6 and §2.7): [`basic`] without traffic routing, where
//! pods are the traffic, and [`routed`] with it.

pub mod basic;
pub mod routed;

use crds::rollout::{ReplicaProgressThreshold, ThresholdKind};

use crate::spec::Canary;
use crate::weight::{Position, Weight};
use crate::world::ReplicaSet;

/// Three of the counts of a ReplicaSet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// `spec.replicas`: pods it was told to have.
    pub replicas: i32,
    /// `status.replicas`: pods that exist.
    pub created: i32,
    /// Pods that are ready for `minReadySeconds` and stay ([`ReplicaSet::lasting`]).
    pub available: i32,
}

impl From<&ReplicaSet> for Size {
    fn from(replica_set: &ReplicaSet) -> Self {
        Self {
            replicas: replica_set.replicas,
            created: replica_set.status.replicas,
            available: replica_set.lasting(),
        }
    }
}

/// The ReplicaSets of a Rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// That of the newest template; `None` before it is created.
    pub canary: Option<Size>,
    /// The stable one; `None` while nothing was ever stable, and when it is the same as the canary.
    pub stable: Option<Size>,
    /// All others.
    pub older: Vec<Size>,
    /// What may be sent to each of them. Nothing without traffic routing.
    pub carried: Carried,
}

/// The largest share of the requests that some proxy may send to each version now, whatever was written since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// To the newest template.
    pub canary: Weight,
    /// To the stable version.
    pub stable: Weight,
}

/// How many pods there should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Of the newest template.
    pub canary: i32,
    /// Of the stable version, if it is another one.
    pub stable: i32,
}

/// The wanted counts, given `spec.replicas`.
#[must_use]
pub fn wanted(replicas: i32, canary: &Canary, position: &Position, sizes: &Sizes) -> Counts {
    if canary.routing.is_routed() {
        routed::counts(replicas, canary, position, sizes.carried)
    } else {
        basic::counts(replicas, canary, position, sizes)
    }
}

/// The ReplicaSets have the wanted sizes and the canary is available: a `setWeight` or `setCanaryScale` step has done
/// its part. Pods of the stable version must exist but need not be available (with `dynamicStableScale` they are not
/// looked at). A basic canary also waits until no pod
/// of an older version is available.
///
/// Never, if there is no stable version beside the canary: then no step is in force (`dynamicStableScale` apart).
#[must_use]
pub fn at_desired(replicas: i32, canary: &Canary, position: &Position, sizes: &Sizes) -> bool {
    let wanted = wanted(replicas, canary, position, sizes);
    let canary_there = sizes.canary.is_some_and(|size| canary_there(canary.threshold, size, wanted.canary));
    // With `dynamicStableScale` the stable version follows the traffic in its own time.
    let stable_there = canary.dynamic_stable_scale
        || sizes.stable.is_some_and(|size| size.replicas == wanted.stable && size.created == wanted.stable);
    let older_gone = canary.routing.is_routed() || sizes.older.iter().all(|size| size.available == 0);
    canary_there && stable_there && older_gone
}

/// `replicaProgressThreshold`, if it is set, is all that counts, whatever the ReplicaSet was told.
fn canary_there(threshold: Option<ReplicaProgressThreshold>, size: Size, wanted: i32) -> bool {
    match in_force(threshold) {
        None => size.replicas == wanted && size.available == wanted,
        Some(_) => enough(threshold, size.available, wanted),
    }
}

/// Enough of the wanted pods are available, as `replicaProgressThreshold` counts: a number, or a share of the wanted
/// ones, rounded up. Without a threshold: all.
#[must_use]
pub fn enough(threshold: Option<ReplicaProgressThreshold>, available: i32, wanted: i32) -> bool {
    let (available, wanted) = (i64::from(available), i64::from(wanted));
    match in_force(threshold) {
        None => available >= wanted,
        Some((ThresholdKind::Pods, pods)) => available >= pods,
        Some((ThresholdKind::Percent, percent)) => available >= (wanted * percent + 99) / 100,
    }
}

/// A negative threshold is none, as in Argo.
fn in_force(threshold: Option<ReplicaProgressThreshold>) -> Option<(ThresholdKind, i64)> {
    threshold.filter(|it| it.value >= 0).map(|it| (it.kind, i64::from(it.value)))
}
