//! How the current runs stand, and what that does to the update: a run that failed or could not measure aborts it, an
//! inconclusive one pauses it until the user resumes or aborts.

use crds::analysis::AnalysisPhase;
use crds::rollout::{PauseCondition, PauseReason};

use super::super::commands;
use super::super::draft::Draft;
use super::super::scene::Scene;
use super::current::{self, SLOTS};
use crate::analysis::Role;
use crate::why::Why;
use crate::world::AnalysisRun;

/// Records how the current runs stand. True if a verdict stops the update: then it is recorded before anything is done
/// about it, so that no write that keeps failing can keep it from being told.
pub(in crate::plan) fn judge(scene: &Scene<'_>, draft: &mut Draft) -> bool {
    let counts = current::counts(scene, draft);
    let mut stops = false;
    for role in SLOTS {
        let Some(noted) = current::slot(&mut draft.status, role) else { continue };
        let Some(run) = current::own(scene, &noted.name) else { continue };
        let before = std::mem::replace(&mut noted.status, run.phase);
        noted.message.clone_from(&run.message);
        let name = noted.name.clone();
        if counts && run.phase != before {
            tell(role, &name, before, run, draft);
            stops |= act(scene, role, &name, run, draft);
        }
    }
    stops
}

/// An inconclusive run holds the update until the user resumes.
pub(in crate::plan) fn halts(draft: &Draft) -> bool {
    draft.status.pause_conditions.iter().any(|it| it.reason == PauseReason::InconclusiveAnalysisRun)
}

/// The event of another phase, in Argo's words.
fn tell(role: Role, name: &str, before: Option<AnalysisPhase>, run: &AnalysisRun, draft: &mut Draft) {
    let Some(phase) = run.phase else { return };
    let message = format!(
        "{} Analysis Run '{name}' Status New: '{}' Previous: '{}'",
        role.label(),
        phase.as_str(),
        before.map_or("", AnalysisPhase::as_str)
    );
    let reason = format!("AnalysisRun{}", phase.as_str());
    match phase {
        AnalysisPhase::Failed | AnalysisPhase::Error => draft.warning(&reason, message),
        AnalysisPhase::Pending
        | AnalysisPhase::Running
        | AnalysisPhase::Successful
        | AnalysisPhase::Inconclusive => draft.normal(&reason, message),
    }
}

/// What a new verdict does to the update. True if it stops it.
fn act(scene: &Scene<'_>, role: Role, name: &str, run: &AnalysisRun, draft: &mut Draft) -> bool {
    match run.phase {
        Some(AnalysisPhase::Failed | AnalysisPhase::Error) => {
            // Of two runs the first one says why.
            if !draft.status.abort {
                commands::abort(scene, draft);
                draft.abort_reason = Some(reason(role, run.message.as_deref()));
            }
            draft.because(Why::Aborted);
            true
        }
        Some(AnalysisPhase::Inconclusive) if !draft.status.abort => {
            if !halts(draft) {
                draft.status.pause_conditions.push(PauseCondition {
                    reason: PauseReason::InconclusiveAnalysisRun,
                    start_time: scene.start(),
                });
            }
            draft.status.controller_pause = true;
            draft.because(Why::Inconclusive { run: name.to_owned() });
            true
        }
        Some(
            AnalysisPhase::Pending
            | AnalysisPhase::Running
            | AnalysisPhase::Successful
            | AnalysisPhase::Inconclusive,
        )
        | None => false,
    }
}

/// Why the update is aborted, in Argo's words.
fn reason(role: Role, message: Option<&str>) -> String {
    let what = match role {
        Role::Background => "Background analysis phase error/failed",
        Role::Step(_) => "Step-based analysis phase error/failed",
        Role::PrePromotion => "Pre-promotion analysis phase error/failed",
        Role::PostPromotion => "Post-promotion analysis phase error/failed",
    };
    match message {
        Some(message) => format!("{what}: {message}"),
        None => what.to_owned(),
    }
}
