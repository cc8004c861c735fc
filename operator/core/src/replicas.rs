//! How many pods the canary and the stable ReplicaSet should have now, and whether they have them.
//!
//! Argo's arithmetic (`utils/replicaset/canary.go`, reference §2.6 and §2.7): [`basic`] without traffic routing, where
//! pods are the traffic, and [`routed`] with it.

pub mod basic;
pub mod routed;

use crds::rollout::{ReplicaProgressThreshold, ThresholdKind};

use crate::spec::Canary;
use crate::weight::Position;
use crate::world::ReplicaSet;

/// Two of the counts of a ReplicaSet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// `spec.replicas`: pods it was told to have.
    pub replicas: i32,
    /// `status.availableReplicas`: pods that are ready for `minReadySeconds`.
    pub available: i32,
}

impl From<&ReplicaSet> for Size {
    fn from(replica_set: &ReplicaSet) -> Self {
        Self { replicas: replica_set.replicas, available: replica_set.status.available }
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
        routed::counts(replicas, canary, position)
    } else {
        basic::counts(replicas, canary, position, sizes)
    }
}

/// The ReplicaSets have the wanted sizes and enough of the canary is available: a `setWeight` or `setCanaryScale`
/// step has done its part. A basic canary also waits until no pod of an older version is available.
///
/// Pods of the stable version need not be available.
#[must_use]
pub fn at_desired(replicas: i32, canary: &Canary, position: &Position, sizes: &Sizes) -> bool {
    let wanted = wanted(replicas, canary, position, sizes);
    let canary_there = sizes.canary.is_some_and(|size| {
        size.replicas == wanted.canary
            && (size.available >= wanted.canary || enough(canary.threshold, size.available, wanted.canary))
    });
    let stable_there = sizes.stable.is_none_or(|size| size.replicas == wanted.stable);
    let older_gone = canary.routing.is_routed() || sizes.older.iter().all(|size| size.available == 0);
    canary_there && stable_there && older_gone
}

/// Enough of the wanted pods are available, as `replicaProgressThreshold` counts. Without a threshold: all.
#[must_use]
pub fn enough(threshold: Option<ReplicaProgressThreshold>, available: i32, wanted: i32) -> bool {
    let needed = match threshold {
        None => i64::from(wanted),
        Some(ReplicaProgressThreshold { kind: ThresholdKind::Pods, value }) => i64::from(value),
        Some(ReplicaProgressThreshold { kind: ThresholdKind::Percent, value }) => {
            (i64::from(wanted) * i64::from(value) + 99) / 100
        }
    };
    i64::from(available) >= needed
}
