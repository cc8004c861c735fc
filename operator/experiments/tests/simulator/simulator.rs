//! A small cluster around the planner: a ReplicaSet controller, a runs' controller that does as the script says, and an
//! operator that observes, plans, executes and records. Time moves only by [`Simulator::tick`].

#![expect(clippy::panic, reason = "a script that cannot be read and a broken promise end the test")]

pub(crate) mod cluster;
pub(crate) mod script;

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use operator_core::effect::{Effect, EventKind};
use operator_core::plan::Wake;
use operator_experiments::plan::{Plan, plan, refused};

use self::cluster::{Cluster, Refused};

/// Passes within one moment after which the planner is said not to settle.
const PASSES: usize = 40;

#[derive(Clone, Debug)]
pub(crate) struct Simulator {
    pub(crate) cluster: Cluster,
    pub(crate) transcript: String,
    /// The operator stops after this many further effects or status writes, as if it were killed.
    pub(crate) crash_after: Option<usize>,
    time: String,
    wake: Wake,
}

impl Simulator {
    pub(crate) fn new() -> Self {
        Self {
            cluster: Cluster::new(),
            transcript: String::new(),
            crash_after: None,
            time: String::new(),
            wake: Wake::OnChange,
        }
    }

    /// Runs the operator until the world stands still at this moment.
    pub(crate) fn settle(&mut self) {
        for _ in 0..PASSES {
            self.cluster.run_controllers();
            match self.pass() {
                Pass::Settled | Pass::Crashed => return,
                Pass::Moved => {}
            }
        }
        panic!("the planner did not settle in {PASSES} passes:\n{}", self.transcript);
    }

    /// One pass. A crash leaves what was done so far.
    pub(crate) fn pass(&mut self) -> Pass {
        let Some(world) = self.cluster.observe() else { return Pass::Settled };
        let planned = plan(&world);
        assert_eq!(planned, plan(&world), "the same world gives the same plan");
        let mut moved = false;
        for effect in &planned.effects {
            if self.crashes() {
                return Pass::Crashed;
            }
            if let Effect::Event(event) = effect {
                self.line(&format!("event   {}: {}", event.reason, event.message));
                continue;
            }
            match self.cluster.execute(effect) {
                Ok(told) => self.line(&told),
                Err(Refused(why)) => {
                    let Some(ending) = refused(&world, effect, &why) else { panic!("{effect:?}: {why}") };
                    return self.record(&ending);
                }
            }
            moved = true;
        }
        match self.record(&planned) {
            Pass::Settled if moved => Pass::Moved,
            pass => pass,
        }
    }

    fn record(&mut self, plan: &Plan) -> Pass {
        self.wake = plan.wake;
        if !self.cluster.differs(&plan.status) {
            return Pass::Settled;
        }
        if self.crashes() {
            return Pass::Crashed;
        }
        let before = self.cluster.summary();
        self.cluster.record(&plan.status);
        for news in &plan.news {
            let kind = match news.event.kind {
                EventKind::Normal => "event ",
                EventKind::Warning => "WARN  ",
            };
            let also = if news.concerns_rollout { " (also to its Rollout)" } else { "" };
            self.line(&format!("{kind}  {}: {}{also}", news.event.reason, news.event.message));
        }
        let after = self.cluster.summary();
        if before != after {
            self.line(&format!("status  {after}"));
        }
        Pass::Moved
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
            Wake::At(moment) => Some(moment).filter(|moment| *moment > self.cluster.now),
            Wake::OnChange => None,
        };
        wake.into_iter().chain(self.cluster.next_pod_change()).min()
    }

    pub(crate) fn line(&mut self, line: &str) {
        let seconds = (self.cluster.now - cluster::start()).num_seconds();
        let time = format!("{:>2}:{:02}", seconds / 60, seconds % 60);
        let shown = if time == self.time { "" } else { &time };
        writeln!(self.transcript, "{shown:>5}  {}", self.cluster.readable(line)).expect("a String takes it");
        self.time = time;
    }

    fn crashes(&mut self) -> bool {
        match &mut self.crash_after {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

/// What one pass came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Nothing was to be done.
    Settled,
    /// An effect was carried out, or the status was written.
    Moved,
    /// The operator was killed on the way.
    Crashed,
}
