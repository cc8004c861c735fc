//! Experiments of steps: when one begins, what its verdict means, and when it ends.
//!
//! A Rollout creates an Experiment and reads its phase; running it is the work of the Experiment's own controller. The
//! status names the current one; every other Experiment of the Rollout is told to end.
//!
//! | file | idea |
//! |---|---|
//! | `begin` | an Experiment that is created, or found again |
//! | `verdict` | what one that has ended does to the update |
//! | `end` | those that nobody waits for, and those past the limits of history |

mod begin;
mod end;
mod verdict;

use crds::analysis::AnalysisPhase;
use crds::rollout::{PauseReason, RolloutStatus};

pub(super) use self::end::end;
pub(super) use self::verdict::judge;
use super::analysis::Standing;
use super::draft::Draft;
use super::pause;
use super::scene::Scene;
use crate::spec;
use crate::why::Why;
use crate::world::{Experiment, ReplicaSet};

/// The step that starts an Experiment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The newest version.
    pub(super) new: &'a ReplicaSet,
    /// Its revision.
    pub(super) revision: i64,
    /// Index of the step.
    pub(super) step: usize,
}

/// Sees to it that there is an Experiment for the step.
pub(super) fn run(
    scene: &Scene<'_>,
    place: Place<'_>,
    experiment: &spec::Experiment,
    draft: &mut Draft,
) -> Standing {
    let held = current(scene, &draft.status);
    let Some((name, held)) = held.filter(|(_, it)| is_about(scene, it, place.step)) else {
        begin::begin(scene, place, experiment, draft);
        return Standing::Pending;
    };
    match held.phase {
        Some(AnalysisPhase::Successful) => return Standing::Successful,
        Some(AnalysisPhase::Inconclusive) => {
            draft.because(Why::InconclusiveExperiment { experiment: name.clone() });
        }
        phase => draft.because(Why::WaitingForExperiment { experiment: name.clone(), phase }),
    }
    Standing::Pending
}

/// Forgets the current Experiment, which then ends, and a pause for its sake.
pub(super) fn leave(draft: &mut Draft) {
    draft.status.canary.current_experiment = None;
    if draft.status.pause_conditions.iter().any(|it| it.reason == PauseReason::InconclusiveExperiment) {
        pause::leave(PauseReason::InconclusiveExperiment, draft);
    }
}

/// The Experiment that the status names. One that somebody has deleted is none: it is made anew.
fn current<'w>(scene: &Scene<'w>, status: &RolloutStatus) -> Option<(&'w String, &'w Experiment)> {
    let name = status.canary.current_experiment.as_ref()?;
    let found = scene.world.experiments.get_key_value(name);
    found.filter(|(_, it)| it.owned && !it.deleting)
}

/// The current Experiment while it runs, with its name; `None` while it begins or ends.
pub(super) fn running<'w>(scene: &Scene<'w>) -> Option<(&'w str, &'w Experiment)> {
    let (name, experiment) = current(scene, &scene.before)?;
    let step = scene.before.current_step_index.and_then(|index| usize::try_from(index).ok())?;
    let runs = experiment.phase == Some(AnalysisPhase::Running) && !experiment.terminate;
    (runs && is_about(scene, experiment, step)).then_some((name.as_str(), experiment))
}

/// It was made for that step of the newest version.
fn is_about(scene: &Scene<'_>, experiment: &Experiment, step: usize) -> bool {
    experiment.hash.as_deref() == Some(scene.hash.as_str())
        && experiment.step.is_none_or(|made_by| made_by == step)
}
