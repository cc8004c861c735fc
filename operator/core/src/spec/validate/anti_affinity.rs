//! `antiAffinity` of both strategies.

use crds::rollout::AntiAffinity;

use super::Checked;
use crate::spec::Invalid;

const FIELD: &str = "spec.strategy.antiAffinity";

pub(super) fn validate(written: Option<&AntiAffinity>) -> Checked {
    let Some(written) = written else { return Ok(()) };
    let preferred = written.preferred_during_scheduling_ignored_during_execution;
    let required = written.required_during_scheduling_ignored_during_execution;
    if preferred.is_some() == required.is_some() {
        let set = format!(
            "antiAffinity.PreferredDuringSchedulingIgnoredDuringExecution: {} \
             antiAffinity.RequiredDuringSchedulingIgnoredDuringExecution: {}",
            preferred.is_some(),
            required.is_some()
        );
        return Err(Invalid::value(FIELD, &set, "AntiAffinity must have exactly one strategy listed"));
    }
    match preferred {
        Some(preferred) if !(1..=100).contains(&preferred.weight) => {
            let why = "AntiAffinity weight must be between 1-100";
            Err(Invalid::value(format!("{FIELD}.weight"), &preferred.weight, why))
        }
        Some(_) | None => Ok(()),
    }
}
