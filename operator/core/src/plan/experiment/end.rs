//! Experiments that nobody waits for: told to end, and deleted when there are too many.

use std::cmp::Reverse;

use super::super::analysis::{History, counts};
use super::super::draft::Draft;
use super::super::scene::Scene;
use crate::effect::{Effect, Target};

/// Ends every Experiment that is not current, and all of them where they have no say. Of finished ones as many are kept
/// as `spec.analysis` says, but none whose version is gone.
pub(in crate::plan) fn end(scene: &Scene<'_>, draft: &mut Draft) {
    if draft.status.stable_rs != scene.before.stable_rs {
        // What follows from a promotion is done once it is recorded.
        return;
    }
    let counts = counts(scene, draft);
    let named = [&draft.status, &scene.before].map(|status| status.canary.current_experiment.clone());
    let [current, recorded] = &named;
    let mut experiments: Vec<_> =
        scene.world.experiments.iter().filter(|(_, it)| it.owned && !it.deleting).collect();
    experiments.sort_by_key(|(name, it)| (Reverse(it.created), *name));
    let mut history = History::new(scene);
    for (name, experiment) in experiments {
        let is = |noted: &Option<String>| noted.as_ref() == Some(name);
        let keeps =
            is(current) || is(recorded) || history.keeps(scene, experiment.hash.as_deref(), experiment.phase);
        let target = Target {
            name: name.clone(),
            uid: experiment.uid.clone(),
            resource_version: experiment.resource_version.clone(),
        };
        if !keeps {
            draft.afterwards(Effect::DeleteExperiment { target });
        } else if !(experiment.terminate || experiment.is_completed() || counts && is(current)) {
            draft.afterwards(Effect::TerminateExperiment { target });
        }
    }
}
