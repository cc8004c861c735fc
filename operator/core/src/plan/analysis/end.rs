//! Runs that nobody waits for: told to end, and deleted when there are too many.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

use crds::analysis::AnalysisPhase;

use super::super::draft::Draft;
use super::super::scene::Scene;
use super::current;
use crate::effect::{Effect, Target};
use crate::world::AnalysisRun;

/// Ends every run that is not current, and all of them where analyses have no say. Of finished ones as many are kept as
/// `spec.analysis` says, but none whose version is gone.
pub(in crate::plan) fn end(scene: &Scene<'_>, draft: &mut Draft) {
    if draft.status.stable_rs != scene.before.stable_rs {
        // What follows from a promotion is done once it is recorded.
        return;
    }
    let names = |status| current::all(status).map(|noted| noted.name.clone()).collect::<BTreeSet<_>>();
    let (current, recorded) = (names(&draft.status), names(&scene.before));
    let counts = current::counts(scene, draft);
    let mut runs: Vec<_> =
        scene.world.analysis.runs.iter().filter(|(_, it)| it.owned && !it.deleting).collect();
    runs.sort_by_key(|(name, run)| (Reverse(run.created), *name));
    let mut history = History::new(scene);
    for (name, run) in runs {
        let is_current = current.contains(name);
        let keeps =
            is_current || recorded.contains(name) || history.keeps(scene, run.hash.as_deref(), run.phase);
        let target = Target {
            name: name.clone(),
            uid: run.uid.clone(),
            resource_version: run.resource_version.clone(),
        };
        if !keeps {
            draft.afterwards(Effect::DeleteAnalysisRun { target });
        } else if goes_on(run) && !(counts && is_current) {
            draft.afterwards(Effect::TerminateAnalysisRun { target });
        }
    }
}

/// It has no verdict, and nobody has told it to end.
fn goes_on(run: &AnalysisRun) -> bool {
    !run.terminate && !run.is_completed()
}

/// How many more finished runs, or Experiments, are kept, newest first.
pub(in crate::plan) struct History {
    successful: Range<usize>,
    unsuccessful: Range<usize>,
}

impl History {
    pub(in crate::plan) fn new(scene: &Scene<'_>) -> Self {
        let limits = scene.spec.run_history;
        Self { successful: 0..limits.successful, unsuccessful: 0..limits.unsuccessful }
    }

    /// Whether the next one is kept, by the version that it was about and its phase.
    pub(in crate::plan) fn keeps(
        &mut self,
        scene: &Scene<'_>,
        hash: Option<&str>,
        phase: Option<AnalysisPhase>,
    ) -> bool {
        has_version(scene, hash)
            && match phase {
                Some(AnalysisPhase::Successful) => self.successful.next().is_some(),
                Some(AnalysisPhase::Failed | AnalysisPhase::Error | AnalysisPhase::Inconclusive) => {
                    self.unsuccessful.next().is_some()
                }
                Some(AnalysisPhase::Pending | AnalysisPhase::Running) | None => true,
            }
    }
}

/// There is a ReplicaSet of that version.
fn has_version(scene: &Scene<'_>, hash: Option<&str>) -> bool {
    scene.all().any(|set| !set.deleting && hash == Some(set.hash.as_str()))
}
