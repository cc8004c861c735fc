//! `spec.strategy.canary.steps[]`.

use chrono::TimeDelta;
use crds::rollout::{CanaryStep, SetCanaryScale};

use super::{Analysis, Experiment, Invalid, ManagedRoute, unsupported, validate};
use crate::analysis::Role;
use crate::duration;
use crate::weight::{Total, Weight};

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The canary gets this share of the traffic.
    SetWeight(Weight),
    /// Wait for this time; `None`: until the user promotes.
    Pause(Option<TimeDelta>),
    /// The canary gets a size of its own.
    SetCanaryScale(CanaryScale),
    /// Requests that match get a route of their own, or lose it.
    SetRoute(ManagedRoute),
    /// Run an analysis, and go on when it was successful.
    Analysis(Box<Analysis>),
    /// Run an Experiment, and go on when it was successful.
    Experiment(Box<Experiment>),
}

/// How many pods the canary has, apart from its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryScale {
    /// This many.
    Pods(i32),
    /// This share of `spec.replicas`.
    Weight(Weight),
    /// As many as the traffic weight asks for, as if there had been no `setCanaryScale`.
    MatchTrafficWeight,
}

impl Step {
    /// `total`: what weights are parts of.
    pub(super) fn read(index: usize, step: &CanaryStep, total: Total) -> Result<Self, Invalid> {
        if let Some(weight) = step.set_weight {
            return Weight::new(weight, total)
                .map(Self::SetWeight)
                .ok_or_else(|| validate::weight_out_of_range(index, weight, total.parts()));
        }
        if let Some(pause) = &step.pause {
            let Some(written) = &pause.duration else { return Ok(Self::Pause(None)) };
            return duration::pause(written)
                .map(|time| Self::Pause(Some(time)))
                .map_err(|seconds| validate::pause_unreadable(index, seconds));
        }
        if let Some(scale) = &step.set_canary_scale {
            return CanaryScale::read(index, scale, total).map(Self::SetCanaryScale);
        }
        if let Some(route) = &step.set_header_route {
            return Ok(Self::SetRoute(ManagedRoute::headers(route)));
        }
        if let Some(route) = &step.set_mirror_route {
            return Ok(Self::SetRoute(ManagedRoute::mirror(route)));
        }
        if let Some(analysis) = &step.analysis {
            return Analysis::read(&Role::Step(index).path(), analysis)
                .map(|it| Self::Analysis(Box::new(it)));
        }
        if let Some(experiment) = &step.experiment {
            let field = format!("spec.strategy.canary.steps[{index}].experiment");
            return Experiment::read(&field, experiment).map(|it| Self::Experiment(Box::new(it)));
        }
        Err(unsupported::step(index))
    }
}

impl CanaryScale {
    /// `replicas` goes before `weight`, as in Argo; `{}` leaves the traffic weight in force.
    fn read(index: usize, scale: &SetCanaryScale, total: Total) -> Result<Self, Invalid> {
        let field = |name: &str| format!("spec.strategy.steps[{index}].setCanaryScale.{name}");
        match (scale.match_traffic_weight, scale.replicas, scale.weight) {
            (true, _, _) | (false, None, None) => Ok(Self::MatchTrafficWeight),
            (false, Some(pods), _) if pods < 0 => {
                Err(Invalid::value(field("replicas"), &pods, "must be greater than or equal to 0"))
            }
            (false, Some(pods), _) => Ok(Self::Pods(pods)),
            (false, None, Some(weight)) => Weight::new(weight, total).map(Self::Weight).ok_or_else(|| {
                let why = format!("SetCanaryScale weight needs to be between 0 and {}", total.parts());
                Invalid::value(field("weight"), &weight, why)
            }),
        }
    }
}
