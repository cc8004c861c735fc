//! Weights, and which one is in force at a step.
//!
//! The rules are Argo's (`utils/replicaset/canary.go`, reference §2.7 and §2.11): the weight of the last `setWeight`
//! at or before the current step, everything once the steps are done, nothing after an abort. A `setCanaryScale` in
//! force decides the number of pods instead, never the traffic.

use crds::rollout::RolloutStatus;

use crate::spec::{Analysis, Background, Canary, CanaryScale, ManagedRoute, Step};

/// What the weights of a Rollout are parts of: 100, or its `maxTrafficWeight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total(u16);

impl Total {
    /// Weights are in percent.
    pub const PERCENT: Self = Self(100);

    /// `None` unless each part is a whole number of 1/10 000, by which the proxies divide requests.
    #[must_use]
    pub fn new(parts: i32) -> Option<Self> {
        u16::try_from(parts).ok().filter(|parts| WHOLE.checked_rem(*parts) == Some(0)).map(Self)
    }

    /// How many parts it has, 1 to 10 000.
    #[must_use]
    pub fn parts(self) -> i32 {
        i32::from(self.0)
    }
}

/// Everything, in what a [`Weight`] is counted in.
const WHOLE: u16 = 10_000;

/// A share of the traffic or of the pods, from nothing to everything. Exact: it is counted in 1/10 000, as the shares of
/// the proxies are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

impl Weight {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Everything.
    pub const FULL: Self = Self(WHOLE);

    /// So many parts of a total; `None` below 0 and above the total.
    #[must_use]
    pub fn new(parts: i32, of: Total) -> Option<Self> {
        let parts = u16::try_from(parts).ok().filter(|parts| *parts <= of.0)?;
        Some(Self(parts * (WHOLE / of.0)))
    }

    /// From percent; below 0 is 0 and above 100 is 100. For values that others wrote.
    #[must_use]
    pub fn of_percent(percent: i32) -> Self {
        Self::new(percent.clamp(0, 100), Total::PERCENT).unwrap_or_default()
    }

    /// From a share in 1/10 000; more than all is all.
    #[must_use]
    pub fn of_share(share: u32) -> Self {
        u16::try_from(share).map_or(Self::FULL, Self).min(Self::FULL)
    }

    /// What a count is of the sum of two, rounded up, so that nothing small is taken for nothing. Negative counts are 0,
    /// and of nothing the share is nothing.
    #[must_use]
    pub fn of_counts(counted: i64, others: i64) -> Self {
        let (counted, others) = (i128::from(counted.max(0)), i128::from(others.max(0)));
        let both = counted + others;
        let share = (i128::from(WHOLE) * counted + both - 1).checked_div(both).unwrap_or(0);
        Self(u16::try_from(share).unwrap_or(WHOLE))
    }

    /// In parts of a total, rounded up.
    #[must_use]
    pub fn parts(self, of: Total) -> i32 {
        (i32::from(self.0) * of.parts() + i32::from(WHOLE) - 1) / i32::from(WHOLE)
    }

    /// In percent, 0 to 100, rounded up.
    #[must_use]
    pub fn percent(self) -> i32 {
        self.parts(Total::PERCENT)
    }

    /// In 1/10 000.
    #[must_use]
    pub fn share(self) -> u32 {
        self.0.into()
    }

    /// What is left of everything.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(WHOLE - self.0)
    }

    /// This share of a number of pods, rounded up. Negative numbers count as 0.
    #[must_use]
    pub fn of_pods(self, pods: i32) -> i32 {
        let pods = (i64::from(pods.max(0)) * i64::from(self.0) + i64::from(WHOLE) - 1) / i64::from(WHOLE);
        i32::try_from(pods).unwrap_or(i32::MAX)
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
/// none), everything when the steps are done, 0 after an abort.
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
        let weight = |percent| Step::SetWeight(Weight::of_percent(percent));
        let canary = canary(vec![Step::Pause(None), weight(20), Step::Pause(None), weight(60)]);
        let percents: Vec<i32> = (0..6).map(|step| set_weight(&canary, &at(step)).percent()).collect();
        assert_eq!(percents, [0, 20, 20, 60, 100, 100]);
        assert_eq!(set_weight(&canary, &Position { aborted: true, ..at(3) }), Weight::ZERO);
    }

    #[test]
    fn a_canary_scale_holds_until_it_is_to_match_the_weight() {
        let scale = |scale| Step::SetCanaryScale(scale);
        let weight = Weight::of_percent(50);
        let canary = canary(vec![
            scale(CanaryScale::Pods(3)),
            Step::SetWeight(weight),
            scale(CanaryScale::MatchTrafficWeight),
            scale(CanaryScale::Weight(Weight::of_percent(10))),
        ]);
        let sizes: Vec<CanarySize> = (0..5).map(|step| canary_size(&canary, &at(step))).collect();
        assert_eq!(
            sizes,
            [
                CanarySize::Pods(3),
                CanarySize::Pods(3),
                CanarySize::Weight(weight),
                CanarySize::Weight(Weight::of_percent(10)),
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
        assert_eq!(Weight::of_percent(1).of_pods(10), 1);
        assert_eq!(Weight::of_percent(50).of_pods(5), 3);
        assert_eq!(Weight::FULL.of_pods(i32::MAX), i32::MAX);
        assert_eq!(Weight::FULL.of_pods(-1), 0);
    }

    #[test]
    fn a_weight_is_a_part_of_its_total() {
        let thousand = Total::new(1000).unwrap();
        let one = Weight::new(1, thousand).unwrap();
        assert_eq!((one.share(), one.parts(thousand), one.percent()), (10, 1, 1));
        assert_eq!((one.of_pods(10), one.of_pods(1001)), (1, 2));
        assert_eq!(Weight::new(500, thousand), Some(Weight::of_percent(50)));
        assert_eq!(Weight::new(1000, thousand), Some(Weight::FULL));
        assert_eq!(Weight::of_percent(30).rest().parts(thousand), 700);
        assert_eq!([-1, 1001].map(|parts| Weight::new(parts, thousand)), [None, None]);
        assert_eq!([-100, 0, 300, 20_000, 100_000].map(Total::new), [None; 5]);
    }

    #[test]
    fn counts_of_others_are_never_too_large_for_a_weight() {
        let shares = [(1, 2), (0, 7), (0, 0), (-5, 5), (1, i64::MAX), (i64::MAX, 1)];
        let shares = shares.map(|(counted, others)| Weight::of_counts(counted, others).share());
        assert_eq!(shares, [3334, 0, 0, 0, 1, 10_000]);
    }
}
