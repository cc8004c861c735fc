//! A canary without traffic routing: the share of pods is the share of the traffic, so pods are moved from one
//! version to the other within `maxSurge` and `maxUnavailable`.
//!
//! One call is one move: scale up within the surge (stable first), then scale down what availability allows. The next
//! call, with new counts, goes on from there.

use super::{Counts, Size, Sizes};
use crate::spec::Canary;
use crate::weight::{Position, Weight, set_weight};

/// A weight of everything, in 1/10 000.
const WHOLE: i64 = 10_000;

/// How far the total may go, in pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `maxSurge` resolved: how many more than `spec.replicas` may exist.
    pub surge: i32,
    /// `maxUnavailable` resolved: how many fewer than `spec.replicas` may be available. Never more than
    /// `spec.replicas`; 1 if both came to 0, because nothing could move then.
    pub unavailable: i32,
}

impl Limits {
    /// Shares of `spec.replicas`: the surge rounded up, the other down.
    #[must_use]
    pub fn of(canary: &Canary, replicas: i32) -> Self {
        let surge = canary.max_surge.rounded_up(replicas);
        let unavailable = match canary.max_unavailable.rounded_down(replicas) {
            0 if surge == 0 => 1,
            pods => pods,
        };
        Self { surge, unavailable: unavailable.min(replicas) }
    }
}

/// The wanted counts, given `spec.replicas`: the next move towards the weight in force.
#[must_use]
pub fn counts(replicas: i32, canary: &Canary, position: &Position, sizes: &Sizes) -> Counts {
    let limits = Limits::of(canary, replicas);
    let weight = if position.full { Weight::FULL } else { set_weight(canary, position) };
    let goal = match sizes.stable {
        Some(_) => approximate(replicas, weight, limits.surge),
        None => Counts { canary: replicas, stable: 0 },
    };
    let bounds = Bounds {
        most: i64::from(replicas) + i64::from(limits.surge),
        least_available: i64::from(replicas) - i64::from(limits.unavailable),
    };
    let (mut canary_pods, mut stable_pods) = scale_up(sizes, goal, bounds.most);
    if sizes.older.iter().all(|size| size.replicas <= 0) {
        (canary_pods, stable_pods) = scale_down(sizes, goal, canary_pods, stable_pods, bounds);
    }
    let pods = |count: i64| i32::try_from(count.max(0)).unwrap_or(i32::MAX);
    Counts { canary: pods(canary_pods), stable: pods(stable_pods) }
}

/// The whole numbers of pods nearest to a weight. With a surge, one pod more may come nearer. Between 0 and 100
/// neither version may be left without a pod, unless a single pod is all there is. Of equally near ones the larger
/// canary.
fn approximate(replicas: i32, weight: Weight, surge: i32) -> Counts {
    if replicas <= 0 {
        return Counts { canary: 0, stable: 0 };
    }
    let total = i64::from(replicas);
    let share = total * i64::from(weight.share());
    let (floor, ceil) = (share / WHOLE, (share + WHOLE - 1) / WHOLE);
    let one_sided = weight == Weight::ZERO || weight == Weight::FULL || (replicas == 1 && surge == 0);

    let mut candidates = Vec::new();
    if ceil < total || one_sided {
        candidates.push((ceil, total));
    }
    if floor > 0 || one_sided {
        candidates.push((floor, total));
    }
    if surge > 0 {
        candidates.push((ceil, total + 1));
        if floor > 0 || one_sided {
            candidates.push((floor, total + 1));
        }
    }
    // |canary/of - weight|, compared as fractions of the same denominator; the first of equals wins.
    let distance = |(canary, of): (i64, i64)| {
        let other = if of == total { total + 1 } else { total };
        (canary * WHOLE - of * i64::from(weight.share())).abs() * other
    };
    let (canary, of) = candidates.into_iter().min_by_key(|it| distance(*it)).unwrap_or((0, total));
    let pods = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
    Counts { canary: pods(canary), stable: pods(of - canary) }
}

/// Adds pods while the total is below `most`: to the stable version first.
fn scale_up(sizes: &Sizes, goal: Counts, most: i64) -> (i64, i64) {
    let now = |size: Option<Size>| size.map_or(0, |size| i64::from(size.replicas));
    let older: i64 = sizes.older.iter().map(|size| i64::from(size.replicas)).sum();
    let (canary, stable) = (now(sizes.canary), now(sizes.stable));
    let room = (most - older - canary - stable).max(0);
    let add = |size: Option<Size>, goal: i32, room: i64| match size {
        Some(size) => (i64::from(goal) - i64::from(size.replicas)).clamp(0, room),
        None => 0,
    };
    let to_stable = add(sizes.stable, goal.stable, room);
    let to_canary = add(sizes.canary, goal.canary, room - to_stable);
    (canary + to_canary, stable + to_stable)
}

/// Removes pods as long as enough stay available: of the stable version while the canary grows, of the canary while
/// it shrinks. Unavailable pods of the version that shrinks go freely.
fn scale_down(sizes: &Sizes, goal: Counts, canary_pods: i64, stable_pods: i64, bounds: Bounds) -> (i64, i64) {
    if sizes.canary.is_none_or(|size| goal.canary >= size.replicas) {
        let (stable_pods, canary_pods) =
            bounds.shrink((sizes.stable, stable_pods), goal.stable, (sizes.canary, canary_pods));
        (canary_pods, stable_pods)
    } else {
        bounds.shrink((sizes.canary, canary_pods), goal.canary, (sizes.stable, stable_pods))
    }
}

/// Available pods that are not about to go.
fn lasting(size: Option<Size>) -> i64 {
    size.map_or(0, |size| i64::from(size.available.min(size.replicas)))
}

/// What the total must keep to.
#[derive(Clone, Copy)]
struct Bounds {
    most: i64,
    least_available: i64,
}

impl Bounds {
    /// Shrinks one version (its size, its pods after scaling up) towards its goal and fits the other one in.
    fn shrink(self, (size, pods): (Option<Size>, i64), goal: i32, other: (Option<Size>, i64)) -> (i64, i64) {
        let unchanged = (pods, other.1);
        let Some(size) = size else { return unchanged };
        let spare = i64::from(size.replicas) + lasting(other.0) - self.least_available;
        if spare <= 0 {
            return unchanged;
        }
        let shrunk = i64::from(goal).max(i64::from(size.replicas) - spare);
        self.fit(size, if size.replicas > goal { shrunk } else { pods }, other)
    }

    /// Keeps the total within `most`, at the cost of the other version; and if the pods that remain available are
    /// too few, keeps as many available pods of the other version as needed, at the cost of the one that shrinks.
    fn fit(self, size: Size, pods: i64, (other, other_pods): (Option<Size>, i64)) -> (i64, i64) {
        let other_pods = other_pods - (pods + other_pods - self.most).clamp(0, other_pods);
        let Some(other) = other else { return (pods, other_pods) };
        let other_available = i64::from(other.available);
        let available = i64::from(size.available).min(pods) + other_available.min(other_pods);
        let missing = (self.least_available - available).max(0);
        let kept = other_pods.max(other_available.min(other_pods + missing));
        let pods = if kept > other_pods { pods.min(self.most - kept) } else { pods };
        (pods, kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_whole_pods_are_taken_and_nobody_is_left_out() {
        // replicas, weight, surge -> canary, stable
        let table = [
            (0, 50, 1, 0, 0),
            (10, 20, 0, 2, 8),
            (10, 25, 0, 3, 7),
            (10, 24, 1, 3, 8),
            (4, 33, 1, 2, 3),
            (10, 1, 0, 1, 9),
            (10, 99, 0, 9, 1),
            (1, 50, 0, 1, 0),
            (1, 50, 1, 1, 1),
            (5, 0, 1, 0, 5),
            (5, 100, 1, 5, 0),
            (i32::MAX, 100, 1, i32::MAX, 0),
        ];
        for (replicas, weight, surge, canary, stable) in table {
            let got = approximate(replicas, Weight::of_percent(weight), surge);
            assert_eq!(got, Counts { canary, stable }, "{replicas} pods, weight {weight}, surge {surge}");
        }
    }
}
