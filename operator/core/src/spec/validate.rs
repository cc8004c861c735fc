//! Argo's validation of a spec: the same rules, order, paths and words (`pkg/apis/rollouts/validation`).
//!
//! Only the first error is ever shown, so validation stops there. Errors inside the pod template (other than labels
//! that the selector does not match) are left to the API server, which reports them when the ReplicaSet is created.
//! Rules about fields of [`super::unsupported`] come with the issues that bring these fields.

use crds::rollout::{CanaryStep, CanaryStrategy, Confirm, Rollout, RolloutSpec, TrafficRouting};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    Amount, DEFAULT_PROGRESS_DEADLINE_SECONDS, DEFAULT_REPLICAS, DEFAULT_REVISION_HISTORY_LIMIT, Invalid,
    Selector,
};
use crate::duration;

const NEGATIVE: &str = "must be greater than or equal to 0";
const ONE_OF: &str =
    "Step must have one of the following set: experiment, setWeight, setCanaryScale, plugin or pause";

/// The first error of a spec, by Argo's rules.
pub fn validate(rollout: &Rollout) -> Result<(), Invalid> {
    let spec = &rollout.spec;
    not_negative("spec.replicas", spec.replicas.unwrap_or(DEFAULT_REPLICAS))?;
    let selector = Selector::parse(spec.selector.as_ref())?;
    template(spec, &selector)?;
    not_negative("spec.minReadySeconds", spec.min_ready_seconds)?;
    not_negative(
        "spec.revisionHistoryLimit",
        spec.revision_history_limit.unwrap_or(DEFAULT_REVISION_HISTORY_LIMIT),
    )?;
    let deadline = spec.progress_deadline_seconds.unwrap_or(DEFAULT_PROGRESS_DEADLINE_SECONDS);
    not_negative("spec.progressDeadlineSeconds", deadline)?;
    if deadline <= spec.min_ready_seconds {
        return Err(Invalid::value(
            "spec.progressDeadlineSeconds",
            &deadline,
            "must be greater than minReadySeconds",
        ));
    }
    let strategy = &spec.strategy;
    if strategy.blue_green.is_some() && strategy.canary.is_some() {
        let both = "blueGreen: true canary: true";
        return Err(Invalid::value("spec.strategy.strategy", both, "Multiple Strategies can not be listed"));
    }
    if strategy.blue_green.is_some() { Ok(()) } else { validate_canary(canary(spec)?) }
}

/// The canary strategy, or that there is none.
pub(super) fn canary(spec: &RolloutSpec) -> Result<&CanaryStrategy, Invalid> {
    spec.strategy.canary.as_ref().ok_or_else(|| {
        let why = "Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'";
        Invalid::required("spec.strategy.strategy", why)
    })
}

/// One of the two Services is missing although traffic is routed.
pub(super) fn service_missing(field: &str) -> Invalid {
    let why = "Canary service and Stable service must to be set to use Traffic Routing";
    Invalid::value(format!("spec.strategy.{field}"), "", why)
}

/// A weight that is not a share.
pub(super) fn weight_out_of_range(index: usize, weight: i32, most: i32) -> Invalid {
    let why = format!("SetWeight needs to be between 0 and {most}");
    Invalid::value(format!("spec.strategy.steps[{index}].setWeight"), &weight, why)
}

/// A pause that is unreadable or negative; `seconds` as in [`duration::pause`].
pub(super) fn pause_unreadable(index: usize, seconds: i32) -> Invalid {
    let field = format!("spec.strategy.steps[{index}].pause.duration");
    Invalid::value(field, &seconds, "Duration needs to be greater than 0")
}

fn not_negative(field: impl Into<String>, number: i32) -> Result<(), Invalid> {
    if number < 0 { Err(Invalid::value(field, &number, NEGATIVE)) } else { Ok(()) }
}

fn template(spec: &RolloutSpec, selector: &Selector) -> Result<(), Invalid> {
    let template = spec.template.as_ref().filter(|template| !template.is_empty());
    if spec.workload_ref.is_some() {
        return match template {
            Some(_) => Err(Invalid::internal(
                "spec.template",
                "template must be empty for workload reference rollout",
            )),
            None => Ok(()),
        };
    }
    let labels = template.map(crds::rollout::PodTemplate::labels).unwrap_or_default();
    if selector.matches(&labels) {
        return Ok(());
    }
    let shown = (!labels.is_empty()).then_some(labels);
    Err(Invalid::value(
        "spec.template.metadata.labels",
        &shown,
        "`selector` does not match template `labels`",
    ))
}

fn validate_canary(canary: &CanaryStrategy) -> Result<(), Invalid> {
    surge(canary)?;
    let stable = canary.stable_service.as_deref().unwrap_or_default();
    if !stable.is_empty() && canary.canary_service.as_deref() == Some(stable) {
        let why = "This rollout uses the same service for the stable and canary services, but two different services \
                   are required.";
        return Err(Invalid::value("spec.strategy.stableService", stable, why));
    }
    match &canary.traffic_routing {
        Some(routing) => traffic_routing(canary, routing)?,
        None => {
            if let Some(seconds) = canary.scale_down_delay_seconds {
                let why = "Canary scaleDownDelaySeconds can only be used with traffic routing";
                return Err(Invalid::value("spec.strategy.scaleDownDelaySeconds", &seconds, why));
            }
        }
    }
    canary.steps.iter().enumerate().try_for_each(|(index, it)| step(canary, index, it))
}

fn surge(canary: &CanaryStrategy) -> Result<(), Invalid> {
    let is_zero = |written: Option<&IntOrString>| match written.map_or(Some(Amount::DEFAULT), Amount::parse) {
        None | Some(Amount::Pods(0) | Amount::Percent(0)) => true,
        Some(Amount::Pods(_) | Amount::Percent(_)) => false,
    };
    let surge = canary.max_surge.as_ref();
    if is_zero(surge) && is_zero(canary.max_unavailable.as_ref()) {
        let why = "MaxSurge and MaxUnavailable both can not be zero";
        return Err(Invalid::value("spec.strategy.maxSurge", &surge, why));
    }
    Ok(())
}

fn traffic_routing(canary: &CanaryStrategy, routing: &TrafficRouting) -> Result<(), Invalid> {
    let needs_services = routing.ambassador.is_some()
        || routing.nginx.is_some()
        || [&routing.alb, &routing.smi, &routing.app_mesh, &routing.traefik, &routing.apisix]
            .iter()
            .any(|router| router.is_some());
    if needs_services {
        for (field, service) in
            [("stableService", &canary.stable_service), ("canaryService", &canary.canary_service)]
        {
            service.as_deref().filter(|name| !name.is_empty()).ok_or_else(|| service_missing(field))?;
        }
    }
    if routing.max_traffic_weight.is_some() && routing.nginx.is_none() && routing.plugins.is_empty() {
        let why = "Canary maxTrafficWeight in traffic routing only supported in Nginx and Plugins";
        return Err(Invalid::value(
            "spec.strategy.trafficRouting.maxTrafficWeight",
            &routing.max_traffic_weight,
            why,
        ));
    }
    let Confirm { settle_seconds, warn_after_seconds, drain_deadline_seconds } =
        routing.confirm.unwrap_or_default();
    let field = |name: &str| format!("spec.strategy.trafficRouting.confirm.{name}");
    not_negative(field("settleSeconds"), settle_seconds.unwrap_or_default())?;
    not_negative(field("warnAfterSeconds"), warn_after_seconds.unwrap_or_default())?;
    not_negative(field("drainDeadlineSeconds"), drain_deadline_seconds.unwrap_or_default())
}

fn step(canary: &CanaryStrategy, index: usize, step: &CanaryStep) -> Result<(), Invalid> {
    let field = format!("spec.strategy.steps[{index}]");
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
    let most = canary.traffic_routing.as_ref().and_then(|routing| routing.max_traffic_weight).unwrap_or(100);
    if let Some(weight) = step.set_weight.filter(|weight| !(0..=most).contains(weight)) {
        return Err(weight_out_of_range(index, weight, most));
    }
    if let Some(Err(seconds)) = step.pause.as_ref().and_then(|it| it.duration.as_ref()).map(duration::pause) {
        return Err(pause_unreadable(index, seconds));
    }
    if step.set_canary_scale.is_some() && canary.traffic_routing.is_none() {
        let why = "SetCanaryScale requires TrafficRouting to be set";
        return Err(Invalid::required("spec.strategy.trafficRouting", why));
    }
    Ok(())
}
