//! A canary with traffic routing: the canary is as large as its share of the traffic, rounded up. The stable version
//! stays complete, or with `dynamicStableScale` shrinks as traffic leaves it.

use super::{Carried, Counts};
use crate::spec::Canary;
use crate::weight::{CanarySize, Position, Weight, canary_size, managed_routes};

/// The wanted counts, given `spec.replicas` and what may be sent to each version now.
///
/// A number of pods of `setCanaryScale` holds as it is; a share is at least `minPodsPerReplicaSet` once it is more
/// than nothing, and never more than `spec.replicas`. While a managed route sends requests to the canary, it has a pod
/// whatever its share is; Argo leaves those requests without one.
///
/// With `dynamicStableScale` the stable version has the pods for the larger of what the step leaves to it and what it
/// may still be sent. After an abort the canary is treated so, too: pods go after the traffic has gone.
#[must_use]
pub fn counts(replicas: i32, canary: &Canary, position: &Position, carried: Carried) -> Counts {
    let size = canary_size(canary, position);
    let pods = match size {
        CanarySize::Pods(pods) => pods,
        CanarySize::Weight(weight) => floored(replicas, canary, weight.of_pods(replicas)),
    };
    let pods = if managed_routes(canary, position).is_empty() {
        pods
    } else {
        pods.max(floored(replicas, canary, replicas.min(1)))
    };
    if !canary.dynamic_stable_scale {
        return Counts { canary: pods, stable: replicas };
    }
    // A canary that has a size of its own takes no share from the stable version.
    let left = match size {
        CanarySize::Pods(_) => Weight::FULL,
        CanarySize::Weight(weight) => weight.rest(),
    };
    let stable = left.of_pods(replicas).max(carried.stable.of_pods(replicas));
    let pods = if position.aborted { pods.max(carried.canary.of_pods(replicas)) } else { pods };
    Counts { canary: floored(replicas, canary, pods), stable: floored(replicas, canary, stable) }
}

/// `minPodsPerReplicaSet`, which never asks for more than `spec.replicas`.
fn floored(replicas: i32, canary: &Canary, pods: i32) -> i32 {
    match pods {
        0 => 0,
        pods => pods.max(canary.min_pods.min(replicas)),
    }
}
