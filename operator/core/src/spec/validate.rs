//! Argo's validation of a spec: the same rules, order, paths and words (`pkg/apis/rollouts/validation`).
//!
//! Only the first error is ever shown, so validation stops there. Paths into a strategy lack its name, as in Argo.
//! Fields that this version does not act on are validated like all others; [`super::unsupported`] refuses them
//! afterwards.

mod analysis;
mod anti_affinity;
mod blue_green;
mod canary;
pub(crate) mod names;
mod routers;
mod routes;
mod steps;
mod template;

use crds::rollout::{CanaryStrategy, Rollout, RolloutSpec};

pub(super) use self::routers::service_missing;
pub(super) use self::steps::{pause_unreadable, weight_out_of_range};
use super::{
    DEFAULT_PROGRESS_DEADLINE_SECONDS, DEFAULT_REPLICAS, DEFAULT_REVISION_HISTORY_LIMIT, Invalid, Selector,
};

/// Nothing, or the first error.
type Checked = Result<(), Invalid>;

const NEGATIVE: &str = "must be greater than or equal to 0";

/// The first error of a spec, by Argo's rules.
pub fn validate(rollout: &Rollout) -> Result<(), Invalid> {
    let spec = &rollout.spec;
    not_negative("spec.replicas", spec.replicas.unwrap_or(DEFAULT_REPLICAS))?;
    pods(spec)?;
    not_negative("spec.minReadySeconds", spec.min_ready_seconds)?;
    not_negative("spec.revisionHistoryLimit", revision_history_limit(spec))?;
    let deadline = spec.progress_deadline_seconds.unwrap_or(DEFAULT_PROGRESS_DEADLINE_SECONDS);
    not_negative("spec.progressDeadlineSeconds", deadline)?;
    if deadline <= spec.min_ready_seconds {
        return Err(Invalid::value(
            "spec.progressDeadlineSeconds",
            &deadline,
            "must be greater than minReadySeconds",
        ));
    }
    match (&spec.strategy.blue_green, &spec.strategy.canary) {
        (Some(_), Some(_)) => {
            let both = "blueGreen: true canary: true";
            Err(Invalid::value("spec.strategy.strategy", both, "Multiple Strategies can not be listed"))
        }
        (Some(blue_green), None) => blue_green::validate(blue_green, revision_history_limit(spec)),
        (None, _) => canary::validate(canary(spec)?),
    }
}

/// The canary strategy, or that there is none.
pub(super) fn canary(spec: &RolloutSpec) -> Result<&CanaryStrategy, Invalid> {
    spec.strategy.canary.as_ref().ok_or_else(|| {
        let why = "Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'";
        Invalid::required("spec.strategy.strategy", why)
    })
}

/// Selector and template: of the Rollout itself, or of the workload it refers to.
fn pods(spec: &RolloutSpec) -> Checked {
    let template = spec.template.as_ref().filter(|template| !template.is_empty());
    match (&spec.workload_ref, template) {
        (None, template) => {
            let selector = Selector::parse(spec.selector.as_ref())?;
            template::validate(&template.cloned().unwrap_or_default().0, &selector)
        }
        (Some(_), None) => Ok(()),
        (Some(_), Some(_)) => {
            Err(Invalid::internal("spec.template", "template must be empty for workload reference rollout"))
        }
    }
}

fn revision_history_limit(spec: &RolloutSpec) -> i32 {
    spec.revision_history_limit.unwrap_or(DEFAULT_REVISION_HISTORY_LIMIT)
}

fn not_negative(field: impl Into<String>, number: i32) -> Checked {
    if number < 0 { Err(Invalid::value(field, &number, NEGATIVE)) } else { Ok(()) }
}
