//! How the current Experiment stands, and what that does to the update: one that failed or could not be judged aborts it,
//! an inconclusive one pauses it until the user resumes or aborts.

use crds::analysis::AnalysisPhase;
use crds::rollout::{PauseCondition, PauseReason};

use super::super::analysis::counts;
use super::super::commands;
use super::super::draft::Draft;
use super::super::scene::Scene;
use super::current;
use crate::why::Why;

/// True if a verdict stops the update: then it is recorded before anything is done about it, so that no write that keeps
/// failing can keep it from being told.
pub(in crate::plan) fn judge(scene: &Scene<'_>, draft: &mut Draft) -> bool {
    if !counts(scene, draft) {
        return false;
    }
    let Some((name, experiment)) = current(scene, &draft.status) else { return false };
    match experiment.phase {
        Some(AnalysisPhase::Failed | AnalysisPhase::Error) => {
            commands::abort(scene, draft);
            draft.status.canary.current_experiment = None;
            draft.abort_reason = Some(reason(experiment.message.as_deref()));
            draft.because(Why::Aborted);
            true
        }
        Some(AnalysisPhase::Inconclusive) => pause(scene, name, draft),
        Some(AnalysisPhase::Pending | AnalysisPhase::Running | AnalysisPhase::Successful) | None => false,
    }
}

/// Holds the update, once. Where the user has resumed, another Experiment is made.
fn pause(scene: &Scene<'_>, name: &str, draft: &mut Draft) -> bool {
    let status = &mut draft.status;
    if status.pause_conditions.iter().any(|it| it.reason == PauseReason::InconclusiveExperiment) {
        return false;
    }
    if status.controller_pause {
        status.controller_pause = false;
        status.canary.current_experiment = None;
        return false;
    }
    let reason = PauseReason::InconclusiveExperiment;
    status.pause_conditions.push(PauseCondition { reason, start_time: scene.start() });
    status.controller_pause = true;
    draft.because(Why::InconclusiveExperiment { experiment: name.to_owned() });
    true
}

/// Why the update is aborted, in Argo's words and with those of the Experiment.
fn reason(message: Option<&str>) -> String {
    let what = "Experiment analysis phase is error/failed";
    match message {
        Some(message) => format!("{what}: {message}"),
        None => what.to_owned(),
    }
}
