//! Analyses: when a run begins, what its verdict means, and when it ends (reference §2.19).
//!
//! A Rollout creates `AnalysisRuns` and reads their phases; measuring is the work of the runs' own controller. The
//! status names the current run of each role; every other run of the Rollout is told to end.
//!
//! | file | idea |
//! |---|---|
//! | `current` | the runs that the status names, and whether they count |
//! | `verdict` | what a run that has ended does to the update |
//! | `begin` | a run that is created, or found again |
//! | `end` | runs that nobody waits for, and those past the limits of history |
//! | `blocked` | a run that cannot be created |

mod begin;
mod blocked;
mod current;
mod end;
mod verdict;

use crds::analysis::AnalysisPhase;
use crds::rollout::status::AnalysisRunStatusRef;

pub(super) use self::blocked::record;
pub(super) use self::current::{counts, forget_canary, forget_promotions, leave};
pub(super) use self::end::{History, end};
pub(super) use self::verdict::{halts, judge};
use super::draft::Draft;
use super::scene::Scene;
use crate::analysis::Role;
use crate::spec::Analysis;
use crate::why::Why;

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was good.
    Successful,
    /// It has no verdict yet, or one that waits for the user.
    Pending,
}

/// Sees to it that a run goes on beside the steps, which do not wait for its end. False if it has to begin first.
pub(super) fn goes_on(
    scene: &Scene<'_>,
    revision: i64,
    role: Role,
    analysis: &Analysis,
    draft: &mut Draft,
) -> bool {
    let resumed = |noted: AnalysisRunStatusRef| noted.status == Some(AnalysisPhase::Inconclusive);
    let begins = current::held(scene, revision, role, draft).is_none_or(resumed);
    if begins {
        begin::begin(scene, revision, role, analysis, draft);
    }
    !begins
}

/// An inconclusive run holds everything.
pub(super) fn hold(draft: &mut Draft) {
    let inconclusive = current::inconclusive(&draft.status).map(str::to_owned);
    draft.because(match inconclusive {
        Some(run) => Why::Inconclusive { run },
        None => Why::Paused { until: None },
    });
}

/// Sees to it that there is a run of this role for the new version. A run that was inconclusive makes way for another
/// one when the user has resumed.
pub(super) fn run(
    scene: &Scene<'_>,
    revision: i64,
    role: Role,
    analysis: &Analysis,
    draft: &mut Draft,
) -> Standing {
    let Some(noted) = current::held(scene, revision, role, draft) else {
        begin::begin(scene, revision, role, analysis, draft);
        return Standing::Pending;
    };
    match noted.status {
        Some(AnalysisPhase::Successful) => return Standing::Successful,
        Some(AnalysisPhase::Inconclusive) if !halts(draft) => {
            begin::begin(scene, revision, role, analysis, draft);
        }
        Some(AnalysisPhase::Inconclusive) => draft.because(Why::Inconclusive { run: noted.name }),
        phase => draft.because(Why::WaitingForAnalysis { run: noted.name, phase }),
    }
    Standing::Pending
}
