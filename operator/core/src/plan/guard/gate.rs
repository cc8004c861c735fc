//! The last step ends when the guard lets the promotion come.
//!
//! What is held is the end of the last step, so that the weight stays where both versions have requests: after a
//! promotion there is nothing to compare any more.

use crds::rollout::{GuardNoData, GuardPromotion};
use operator_judge::Judge;
use operator_judge::verdict::Verdict;

use super::super::draft::Draft;
use super::super::scene::Scene;
use super::{NO_DATA, condemn};
use crate::conditions::{self, Kind, Truth};
use crate::spec::Guard;
use crate::why::Why;

/// Reason of the condition and the event while the guard holds the promotion.
pub(super) const HOLDS: &str = "GuardHolds";

/// What the guard says to a promotion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::plan) enum Gate {
    /// It may come, or nobody guards it.
    #[default]
    Open,
    /// It waits for evidence; `on_its_way`: which is expected.
    Held { on_its_way: bool },
    /// What the proxies counted is not known for now.
    Unknown,
    /// There is nothing that evidence could come from, and that ends the update.
    Aborted,
}

impl Gate {
    pub(super) fn of(guard: &Guard, judge: &Judge, said: &Verdict) -> Self {
        let held = Self::Held { on_its_way: said.is_on_its_way() };
        match guard.promote {
            _ if !judge.has_compared() => Self::without_data(guard),
            GuardPromotion::OnEvidence if !said.is_proven() => held,
            GuardPromotion::OnEvidence | GuardPromotion::OnNoRegression => Self::Open,
        }
    }

    /// Nothing could be compared.
    pub(super) fn without_data(guard: &Guard) -> Self {
        match guard.on_no_data {
            GuardNoData::Hold => Self::Held { on_its_way: false },
            GuardNoData::Abort => Self::Aborted,
            GuardNoData::Proceed => Self::Open,
        }
    }
}

/// Whether the last step may end, which is done but for that. If not, it is recorded and told that the guard holds it.
pub(in crate::plan) fn opens(scene: &Scene<'_>, draft: &mut Draft) -> bool {
    let on_its_way = match draft.gate {
        Gate::Open => return true,
        Gate::Held { on_its_way } => on_its_way,
        // A moment later it is known again, or the update is over.
        Gate::Unknown | Gate::Aborted => true,
    };
    draft.because(Why::HeldByGuard { on_its_way });
    let Some(guard) = &mut draft.status.canary.guard else { return false };
    if guard.held_since.is_none() {
        guard.held_since = Some(scene.start().timestamp());
        let message = guard.message.clone();
        conditions::set(&mut draft.status, Kind::Guard, Truth::Unknown, HOLDS, &message, scene.start());
        draft.normal(HOLDS, format!("The promotion waits for the guard: {message}"));
    }
    false
}

/// Aborts an update whose last step is done without data, if that is wanted; false if not. It is recorded before anything
/// is done about it.
pub(super) fn ends(scene: &Scene<'_>, draft: &mut Draft) -> bool {
    let ends = draft.gate == Gate::Aborted && is_held(draft);
    if ends {
        let now = scene.start();
        conditions::set(&mut draft.status, Kind::Guard, Truth::False, NO_DATA, NOTHING_COMPARED, now);
        condemn(scene, NO_DATA, NOTHING_COMPARED.to_owned(), draft);
    }
    ends
}

/// Whether the last step is done but for the guard.
pub(in crate::plan) fn is_held(draft: &Draft) -> bool {
    draft.status.canary.guard.as_ref().is_some_and(|it| it.held_since.is_some())
}

/// The promotion is not held any more.
pub(in crate::plan) fn release(draft: &mut Draft) {
    if let Some(guard) = &mut draft.status.canary.guard {
        guard.held_since = None;
    }
}

/// Why an update without data ends.
const NOTHING_COMPARED: &str =
    "FAIL: no requests of both versions could be compared before the promotion (onNoData: abort)";
