//! Weights, and which one is in force at a step.
//!
//! The rules are Argo's (`utils/replicaset/canary.go`, reference §2.7 and §2.11): the weight of the last `setWeight`
//! at or before the current step, everything once the steps are done, nothing after an abort. A `setCanaryScale` in
//! force decides the number of pods instead, never the traffic.

use std::fmt;

use crds::rollout::RolloutStatus;

use crate::spec::{Analysis, Background, Canary, CanaryScale, ManagedRoute, Step};

/// A share of the traffic or of the pods, in percent. Never more than 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u8);

impl Weight {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Everything.
    pub const FULL: Self = Self(100);

    /// From percent, 0 to 100.
    #[must_use]
    pub fn new(percent: i32) -> Option<Self> {
        u8::try_from(percent).ok().filter(|percent| *percent <= Self::FULL.0).map(Self)
    }

    /// From percent; below 0 is 0 and above 100 is 100. For values that others wrote.
    #[must_use]
    pub fn clamped(percent: i32) -> Self {
        Self::new(percent.clamp(0, 100)).unwrap_or_default()
    }

    /// From a share in 1/10 000; a part of a percent counts as one.
    #[must_use]
    pub fn of_share(share: u32) -> Self {
        Self::clamped(i32::try_from(share.div_ceil(100)).unwrap_or(i32::MAX))
    }

    /// Percent, 0 to 100.
    #[must_use]
    pub fn percent(self) -> i32 {
        i32::from(self.0)
    }

    /// What is left of everything.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(Self::FULL.0 - self.0)
    }

    /// This share of a number of pods, rounded up. Negative numbers count as 0.
    #[must_use]
    pub fn of_pods(self, pods: i32) -> i32 {
        let hundredths = i64::from(pods.max(0)) * i64::from(self.0);
        i32::try_from((hundredths + 99) / 100).unwrap_or(i32::MAX)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a Rollout stands among its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Index of the current step; the number of steps (or more) means that all are done.
    pub step: usize,
    /// The update was aborted.
    pub aborted: bool,
    /// No step decides: nothing was ever stable, the newest version is the stable one, or the user asked for full
    /// promotion.
    pub full: bool,
}

impl Position {
    /// As a status says. A missing or negative step index is 0.
    #[must_use]
    pub fn of(status: &RolloutStatus) -> Self {
        let stable = status.stable_rs.as_deref().unwrap_or_default();
        let current = status.current_pod_hash.as_deref().unwrap_or_default();
        Self {
            step: status.current_step_index.and_then(|index| usize::try_from(index).ok()).unwrap_or_default(),
            aborted: status.abort,
            full: status.promote_full || stable.is_empty() || stable == current,
        }
    }
}

/// What decides the number of canary pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanarySize {
    /// A share of `spec.replicas`.
    Weight(Weight),
    /// A number of pods, whatever `spec.replicas` is.
    Pods(i32),
}

/// The current step; `None` without steps or when all are done.
#[must_use]
pub fn current_step<'a>(canary: &'a Canary, position: &Position) -> Option<&'a Step> {
    canary.steps.get(position.step)
}

/// The traffic weight that the steps ask for: of the last `setWeight` at or before the current step (0 if there is
/// none), 100 when the steps are done, 0 after an abort.
#[must_use]
pub fn set_weight(canary: &Canary, position: &Position) -> Weight {
    if position.aborted {
        return Weight::ZERO;
    }
    if current_step(canary, position).is_none() {
        return Weight::FULL;
    }
    until(canary, position)
        .find_map(|step| match step {
            Step::SetWeight(weight) => Some(*weight),
            Step::Pause(_)
            | Step::SetCanaryScale(_)
            | Step::SetRoute(_)
            | Step::Analysis(_)
            | Step::Experiment(_) => None,
        })
        .unwrap_or(Weight::ZERO)
}

/// The `setCanaryScale` in force: the last one at or before the current step, unless it says `matchTrafficWeight`.
///
/// Only with traffic routing. After an abort it holds only with `abortScaleDownDelaySeconds: 0`, which means that the
/// canary is kept as it is.
#[must_use]
pub fn canary_scale(canary: &Canary, position: &Position) -> Option<CanaryScale> {
    if !canary.routing.is_routed() || (position.aborted && canary.abort_scale_down_delay.is_some()) {
        return None;
    }
    current_step(canary, position)?;
    until(canary, position)
        .find_map(|step| match step {
            Step::SetCanaryScale(scale) => Some(*scale),
            Step::SetWeight(_)
            | Step::Pause(_)
            | Step::SetRoute(_)
            | Step::Analysis(_)
            | Step::Experiment(_) => None,
        })
        .filter(|scale| *scale != CanaryScale::MatchTrafficWeight)
}

/// What decides the number of canary pods now.
#[must_use]
pub fn canary_size(canary: &Canary, position: &Position) -> CanarySize {
    if position.full {
        return CanarySize::Weight(Weight::FULL);
    }
    match canary_scale(canary, position) {
        Some(CanaryScale::Pods(pods)) => CanarySize::Pods(pods),
        Some(CanaryScale::Weight(weight)) => CanarySize::Weight(weight),
        Some(CanaryScale::MatchTrafficWeight) | None => CanarySize::Weight(set_weight(canary, position)),
    }
}

/// The background analysis that runs at this position: none before its first step.
#[must_use]
pub fn background<'a>(canary: &'a Canary, position: &Position) -> Option<&'a Analysis> {
    let begun =
        |background: &&Background| canary.steps.is_empty() || position.step >= background.starting_step;
    canary.analysis.as_ref().filter(begun).map(|background| &background.analysis)
}

/// The managed routes that exist at this position: what the last step of each name at or before the current one says,
/// in the order of those steps. None after an abort, and none once no step decides.
#[must_use]
pub fn managed_routes<'a>(canary: &'a Canary, position: &Position) -> Vec<&'a ManagedRoute> {
    let mut routes: Vec<&ManagedRoute> = Vec::new();
    if position.aborted || position.full {
        return routes;
    }
    for step in until(canary, position) {
        if let Step::SetRoute(route) = step
            && !routes.iter().any(|later| later.name == route.name)
        {
            routes.push(route);
        }
    }
    routes.retain(|route| !route.conditions.is_empty());
    routes.reverse();
    routes
}

/// The steps from the current one backwards.
fn until<'a>(canary: &'a Canary, position: &Position) -> impl Iterator<Item = &'a Step> {
    canary.steps.iter().take(position.step.saturating_add(1)).rev()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::spec::{Amount, Confirm, MappingRouting, Routing};

    fn canary(steps: Vec<Step>) -> Canary {
        let second = TimeDelta::seconds(1);
        Canary {
            guard: None,
            analysis: None,
            steps,
            routing: Routing::Mappings(MappingRouting {
                names: vec!["shop".to_owned()],
                stable_service: "stable".to_owned(),
                canary_service: "canary".to_owned(),
                ping_pong: None,
                confirm: Confirm { settle: second, warn_after: second, drain_deadline: second },
                ingress: None,
                gateway: None,
            }),
            max_surge: Amount::DEFAULT,
            max_unavailable: Amount::DEFAULT,
            min_pods: 0,
            dynamic_stable_scale: false,
            threshold: None,
            canary_metadata: None,
            stable_metadata: None,
            anti_affinity: None,
            scale_down_delay: second,
            scale_down_delay_revision_limit: None,
            abort_scale_down_delay: Some(second),
        }
    }

    fn at(step: usize) -> Position {
        Position { step, aborted: false, full: false }
    }

    #[test]
    fn the_last_weight_up_to_the_step_holds() {
        let weight = |percent| Step::SetWeight(Weight::clamped(percent));
        let canary = canary(vec![Step::Pause(None), weight(20), Step::Pause(None), weight(60)]);
        let percents: Vec<i32> = (0..6).map(|step| set_weight(&canary, &at(step)).percent()).collect();
        assert_eq!(percents, [0, 20, 20, 60, 100, 100]);
        assert_eq!(set_weight(&canary, &Position { aborted: true, ..at(3) }), Weight::ZERO);
    }

    #[test]
    fn a_canary_scale_holds_until_it_is_to_match_the_weight() {
        let scale = |scale| Step::SetCanaryScale(scale);
        let weight = Weight::clamped(50);
        let canary = canary(vec![
            scale(CanaryScale::Pods(3)),
            Step::SetWeight(weight),
            scale(CanaryScale::MatchTrafficWeight),
            scale(CanaryScale::Weight(Weight::clamped(10))),
        ]);
        let sizes: Vec<CanarySize> = (0..5).map(|step| canary_size(&canary, &at(step))).collect();
        assert_eq!(
            sizes,
            [
                CanarySize::Pods(3),
                CanarySize::Pods(3),
                CanarySize::Weight(weight),
                CanarySize::Weight(Weight::clamped(10)),
                CanarySize::Weight(Weight::FULL),
            ]
        );
        assert_eq!(
            canary_size(&canary, &Position { aborted: true, ..at(0) }),
            CanarySize::Weight(Weight::ZERO)
        );
        assert_eq!(canary_size(&canary, &Position { full: true, ..at(0) }), CanarySize::Weight(Weight::FULL));
    }

    #[test]
    fn a_share_of_pods_is_rounded_up_and_never_overflows() {
        assert_eq!(Weight::clamped(1).of_pods(10), 1);
        assert_eq!(Weight::clamped(50).of_pods(5), 3);
        assert_eq!(Weight::FULL.of_pods(i32::MAX), i32::MAX);
        assert_eq!(Weight::FULL.of_pods(-1), 0);
        assert_eq!([Weight::new(-1), Weight::new(101)], [None, None]);
    }
}
