//! A canary with traffic routing: the stable version stays complete, the canary is as large as its share of the
//! traffic, rounded up.

use super::Counts;
use crate::spec::Canary;
use crate::weight::{CanarySize, Position, Weight, canary_size};

/// The wanted counts, given `spec.replicas`.
///
/// A number of pods of `setCanaryScale` holds as it is; a share is at least `minPodsPerReplicaSet` once it is more
/// than nothing, and never more than `spec.replicas`.
#[must_use]
pub fn counts(replicas: i32, canary: &Canary, position: &Position) -> Counts {
    let pods = match canary_size(canary, position) {
        CanarySize::Pods(pods) => pods,
        CanarySize::Weight(weight) => share(replicas, canary, weight),
    };
    Counts { canary: pods, stable: replicas }
}

/// The pods for a share of `spec.replicas`.
fn share(replicas: i32, canary: &Canary, weight: Weight) -> i32 {
    match weight.of_pods(replicas) {
        0 => 0,
        pods => pods.max(canary.min_pods).min(replicas),
    }
}
