//! Observe, plan, execute, record, until nothing changes; and the passing of time.

use chrono::{DateTime, TimeDelta, Utc};
use operator_core::plan::{Plan, Wake, plan};

use super::cluster::Cluster;
use super::execute::Outcome;
use super::invariants::{Invariants, check_plan};
use super::transcript::Transcript;

/// Passes within one moment after which the engine is said not to settle.
const PASSES: usize = 60;

#[derive(Clone, Debug)]
pub(crate) struct Simulator {
    pub(crate) cluster: Cluster,
    pub(crate) transcript: Transcript,
    pub(crate) invariants: Invariants,
    /// The operator stops after this many further effects or status writes, as if it were killed.
    pub(crate) crash_after: Option<usize>,
    wake: Wake,
}

/// What one pass did.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) plan: Plan,
    /// An effect was carried out or the status was written.
    pub(crate) changed: bool,
    /// The operator was killed on the way.
    pub(crate) crashed: bool,
}

impl Simulator {
    pub(crate) fn new() -> Self {
        Self {
            cluster: Cluster::new(),
            transcript: Transcript::default(),
            invariants: Invariants::default(),
            crash_after: None,
            wake: Wake::OnChange,
        }
    }

    /// Runs the operator until the world stands still at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..PASSES {
            self.cluster.run_replica_sets();
            self.cluster.run_data_plane();
            self.cluster.run_analyses();
            self.cluster.run_experiments();
            if self.cluster.rollout.is_none() {
                return;
            }
            let pass = self.pass();
            if pass.crashed {
                return;
            }
            if !pass.changed {
                self.wake = pass.plan.wake;
                self.transcript.why(&self.cluster, &pass.plan.why);
                return;
            }
        }
        panic!("the engine did not settle in {PASSES} passes:\n{}", self.transcript.text());
    }

    /// One pass. A crash leaves what was done so far.
    pub(crate) fn pass(&mut self) -> Pass {
        let world = self.cluster.observe();
        let plan = plan(&world);
        assert_eq!(plan, operator_core::plan::plan(&world), "the same world gives the same plan");
        check_plan(&self.cluster, &plan);
        self.cluster.guard.clone_from(&plan.guard);
        let mut pass = Pass { changed: false, crashed: false, plan };
        for effect in &pass.plan.effects {
            if self.crashes() {
                return Pass { crashed: true, ..pass };
            }
            self.invariants.check(&self.cluster, effect);
            match self.cluster.execute(effect) {
                Ok(Outcome::Done) => self.transcript.effect(&self.cluster, effect),
                Ok(Outcome::NotNow) => {
                    self.transcript.refused(&self.cluster, effect);
                    continue;
                }
                Err(refused) => {
                    panic!("preconditions hold in a world that nobody else changes: {effect:?}: {refused:?}")
                }
            }
            pass.changed = true;
            self.cluster.run_data_plane();
        }
        if self.cluster.rollout().status.clone().unwrap_or_default() != pass.plan.status {
            if self.crashes() {
                return Pass { crashed: true, ..pass };
            }
            self.record(&pass.plan);
            pass.changed = true;
        }
        pass
    }

    /// Lets time pass, and the operator act whenever something happens.
    pub(crate) fn tick(&mut self, by: TimeDelta) {
        let end = self.cluster.now + by;
        self.settle();
        while let Some(next) = self.next_moment().filter(|next| *next <= end) {
            self.cluster.now = next;
            self.settle();
        }
        self.cluster.now = end;
        self.settle();
    }

    fn next_moment(&self) -> Option<DateTime<Utc>> {
        let wake = match self.wake {
            Wake::At(moment) => {
                assert!(moment > self.cluster.now, "a wake-up lies in the future");
                Some(moment)
            }
            Wake::OnChange => None,
        };
        wake.into_iter().chain(self.cluster.next_pod_change()).min()
    }

    fn record(&mut self, plan: &Plan) {
        // Through JSON, as the API server stores it.
        let status = serde_json::to_value(&plan.status).expect("a status is JSON");
        let stored = serde_json::from_value(status).expect("a readable status");
        let version = self.cluster.next_version();
        let rollout = self.cluster.rollout.as_mut().expect("a Rollout");
        let before = rollout.status.replace(stored).unwrap_or_default();
        rollout.metadata.resource_version = Some(version);
        assert_eq!(rollout.status.as_ref(), Some(&plan.status), "a status reads back as it was written");
        self.transcript.status(&self.cluster, &before, &plan.status);
    }

    fn crashes(&mut self) -> bool {
        match &mut self.crash_after {
            Some(0) => {
                // What was only remembered is gone.
                self.cluster.guard = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}
