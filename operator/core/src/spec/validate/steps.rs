//! `spec.strategy.canary.steps[]`.

use crds::rollout::{CanaryStep, CanaryStrategy, ExperimentStep};

use super::{Checked, analysis, routes};
use crate::duration;
use crate::spec::Invalid;

const ONE_OF: &str =
    "Step must have one of the following set: experiment, setWeight, setCanaryScale, plugin or pause";

/// A weight that is not a share.
pub(in crate::spec) fn weight_out_of_range(index: usize, weight: i32, most: i32) -> Invalid {
    let why = format!("SetWeight needs to be between 0 and {most}");
    Invalid::value(format!("{}.setWeight", field_of(index)), &weight, why)
}

/// A pause that is unreadable or negative; `seconds` as in [`duration::pause`].
pub(in crate::spec) fn pause_unreadable(index: usize, seconds: i32) -> Invalid {
    let field = format!("{}.pause.duration", field_of(index));
    Invalid::value(field, &seconds, "Duration needs to be greater than 0")
}

pub(super) fn validate(canary: &CanaryStrategy, index: usize, step: &CanaryStep) -> Checked {
    let field = field_of(index);
    has_one_kind(&field, step)?;
    let routing = canary.traffic_routing.as_ref();
    let most = routing.and_then(|routing| routing.max_traffic_weight).unwrap_or(100);
    if let Some(weight) = step.set_weight.filter(|weight| !(0..=most).contains(weight)) {
        return Err(weight_out_of_range(index, weight, most));
    }
    if let Some(Err(seconds)) = step.pause.as_ref().and_then(|it| it.duration.as_ref()).map(duration::pause) {
        return Err(pause_unreadable(index, seconds));
    }
    if step.set_canary_scale.is_some() && routing.is_none() {
        let why = "SetCanaryScale requires TrafficRouting to be set";
        return Err(Invalid::required("spec.strategy.trafficRouting", why));
    }
    routes::validate(&field, step, routing)?;
    if let Some(step) = &step.experiment {
        experiment(&format!("{field}.experiment"), step, canary)?;
    }
    analysis::arguments(&field, step)
}

fn field_of(index: usize) -> String {
    format!("spec.strategy.steps[{index}]")
}

/// At most one of the four kinds that Argo tells apart here, and at least one of all.
fn has_one_kind(field: &str, step: &CanaryStep) -> Checked {
    let [experiment, pause, weight, analysis] =
        [step.experiment.is_some(), step.pause.is_some(), step.set_weight.is_some(), step.analysis.is_some()];
    if [experiment, pause, weight, analysis].iter().filter(|set| **set).count() > 1 {
        let set = format!(
            "step.Experiment: {experiment} step.Pause: {pause} step.SetWeight: {weight} step.Analysis: {analysis}"
        );
        return Err(Invalid::value(field, &set, ONE_OF));
    }
    if *step == CanaryStep::default() {
        let missing = "step.Experiment: true step.Pause: true step.SetWeight: true step.Analysis: true \
                       step.SetCanaryScale: true step.SetHeaderRoute: true step.SetMirrorRoute: true step.Plugin: true";
        return Err(Invalid::value(field, missing, ONE_OF));
    }
    Ok(())
}

/// Only some routers can give an Experiment traffic of its own.
fn experiment(field: &str, step: &ExperimentStep, canary: &CanaryStrategy) -> Checked {
    let why = match &canary.traffic_routing {
        None => "Experiment template weight cannot be set unless TrafficRouting is enabled",
        Some(it) if it.alb.is_none() && it.smi.is_none() && it.istio.is_none() && it.plugins.is_empty() => {
            "Experiment template weight is only available for TrafficRouting with SMI, ALB, Istio and Plugins at this \
             time"
        }
        Some(_) => return Ok(()),
    };
    let weighted = step.templates.iter().enumerate().find_map(|(index, it)| Some((index, it.weight?)));
    match weighted {
        Some((index, weight)) => {
            Err(Invalid::value(format!("{field}.templates[{index}].weight"), &weight, why))
        }
        None => Ok(()),
    }
}
