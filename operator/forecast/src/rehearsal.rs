//! Observe, plan, execute, record, until nothing changes; and the passing of time.

use chrono::{DateTime, Utc};
use crds::rollout::RolloutPhase;
use operator_core::phase;
use operator_core::plan::{Plan, Wake, plan};
use operator_core::why::Why;

use crate::cluster::Cluster;

/// Passes within one moment after which the engine is said not to settle.
const PASSES: usize = 100;

/// The engine and its cluster.
#[derive(Clone, Debug)]
pub(crate) struct Rehearsal {
    pub(crate) cluster: Cluster,
    wake: Wake,
    /// Why the engine did what it did last.
    pub(crate) why: Why,
}

impl Rehearsal {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster, wake: Wake::OnChange, why: Why::UpToDate }
    }

    /// Runs the engine until the world stands still at this moment. `passed` sees the cluster before and after each
    /// pass that changed something.
    pub(crate) fn settle(&mut self, mut passed: impl FnMut(&Self, &Self)) {
        self.cluster.run_replica_sets();
        for _ in 0..PASSES {
            let before = self.clone();
            if !self.pass() {
                return;
            }
            passed(&before, self);
        }
    }

    /// One pass; false if there was nothing to do.
    fn pass(&mut self) -> bool {
        let Plan { effects, status, wake, why, guard: _ } = plan(&self.cluster.observe());
        for effect in &effects {
            self.cluster.execute(effect);
        }
        let recorded = self.cluster.rollout.status.clone().unwrap_or_default() != status;
        if recorded {
            self.cluster.rollout.status = Some(status);
            self.cluster.touch_rollout();
        }
        self.wake = wake;
        self.why = why;
        recorded || !effects.is_empty()
    }

    /// The next moment at which something happens by itself.
    pub(crate) fn next(&self) -> Option<DateTime<Utc>> {
        let wake = match self.wake {
            Wake::At(moment) => Some(moment).filter(|moment| *moment > self.cluster.now),
            Wake::OnChange => None,
        };
        wake.into_iter().chain(self.cluster.next_change()).min()
    }

    /// The phase that `get rollout` would show.
    pub(crate) fn phase(&self) -> RolloutPhase {
        phase::of(&self.cluster.rollout).0
    }

    /// The engine waits until the user promotes.
    pub(crate) fn waits_for_user(&self) -> bool {
        self.next().is_none()
            && self.cluster.rollout.status.as_ref().is_some_and(|status| !status.pause_conditions.is_empty())
    }

    /// What `promote` writes at a pause.
    pub(crate) fn promote(&mut self) {
        if let Some(status) = &mut self.cluster.rollout.status {
            status.pause_conditions.clear();
        }
        self.cluster.touch_rollout();
    }

    /// What `abort` writes.
    pub(crate) fn abort(&mut self) {
        self.cluster.rollout.status.get_or_insert_default().abort = true;
        self.cluster.touch_rollout();
    }
}
