//! Breadth-first search: states with fewer surprises first, then with fewer moves.
//!
//! Everything that can be reached with `n` surprises is explored before anything that takes one more, so a trace has
//! the fewest surprises that lead to its violation, and of those the fewest moves. Kept of a state are its fingerprint,
//! how it was reached (8 bytes), and itself until its surprises are explored.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use super::ends::{End, Ends, Start};
use super::invariants::Violation;
use super::model::{Model, Planner, Strategy};
use super::moves::{Move, user};
use super::scene::Scene;
use super::state::State;

/// How much is explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) strategy: Strategy,
    pub(crate) start: Start,
    /// Surprises on a path.
    pub(crate) surprises: usize,
    /// States after which the search ends.
    pub(crate) states: usize,
    /// Of so many states one is followed to its end.
    pub(crate) ends: usize,
    /// Kinds of violations after which the search ends.
    pub(crate) violations: usize,
}

/// What a search did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    /// States that were followed to their end.
    pub(crate) ends: usize,
    /// States that were followed to their end after an abort.
    pub(crate) aborts: usize,
    /// Crashes whose end was compared.
    pub(crate) crashes: usize,
    /// States by the number of surprises they take, complete unless it is the last.
    pub(crate) layers: Vec<usize>,
}

/// A violation and the moves that lead to it.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) strategy: Strategy,
    pub(crate) start: Start,
    pub(crate) violation: Violation,
    pub(crate) moves: Vec<Move>,
}

/// How a state was reached.
#[derive(Clone, Copy, Debug)]
struct Origin {
    parent: u32,
    it: Move,
}

/// A state to be explored.
struct Item {
    index: u32,
    depth: u16,
    state: State,
}

pub(crate) struct Search {
    pub(crate) model: Model,
    ends: Ends,
    bounds: Bounds,
    visited: HashSet<u64, BuildHasherDefault<Fingerprint>>,
    origins: Vec<Origin>,
    queue: VecDeque<Item>,
    found: Vec<Trace>,
    report: Report,
}

impl Search {
    pub(crate) fn new(planner: Planner, bounds: Bounds) -> Self {
        Self {
            model: Model::new(bounds.strategy, planner),
            ends: Ends::default(),
            bounds,
            visited: HashSet::default(),
            origins: Vec::new(),
            queue: VecDeque::new(),
            found: Vec::new(),
            report: Report::default(),
        }
    }

    /// Explores everything within the bounds. The error is the shortest trace to every kind of violation, as far as the
    /// search came.
    pub(crate) fn run(&mut self) -> Result<Report, Vec<Trace>> {
        let start = self.bounds.start.state(&mut self.model);
        self.visited.insert(start.fingerprint());
        self.origins.push(Origin { parent: 0, it: Move::Tick });
        self.queue.push_back(Item { index: 0, depth: 0, state: start });
        let mut seeds = VecDeque::new();
        for layer in 0..=self.bounds.surprises {
            let before = self.visited.len();
            seeds = self.layer(seeds, layer < self.bounds.surprises);
            self.report.layers.push(self.visited.len() - before);
            if self.over() {
                break;
            }
        }
        self.report.states = self.visited.len();
        if self.found.is_empty() { Ok(self.report.clone()) } else { Err(std::mem::take(&mut self.found)) }
    }

    /// One more surprise: from every seed, then everything that follows, in the order of depth. Returns the seeds of
    /// the next layer.
    fn layer(&mut self, mut seeds: VecDeque<Item>, keep: bool) -> VecDeque<Item> {
        let mut explored = VecDeque::new();
        while !self.over() {
            let seed_first = match (seeds.front(), self.queue.front()) {
                (Some(seed), Some(item)) => seed.depth <= item.depth,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            if seed_first {
                let Some(seed) = seeds.pop_front() else { break };
                let scene = Scene::of(&mut self.model, &seed.state);
                let moves = scene.surprises(&self.model, &seed.state);
                self.follow(&seed, &scene, &moves);
            } else {
                let Some(item) = self.queue.pop_front() else { break };
                let scene = Scene::of(&mut self.model, &item.state);
                let moves = scene.free(&item.state);
                self.follow(&item, &scene, &moves);
                let checked = self.check_end(&item);
                self.note(checked);
                if keep {
                    explored.push_back(item);
                }
            }
        }
        explored
    }

    fn over(&self) -> bool {
        self.visited.len() >= self.bounds.states || self.found.len() >= self.bounds.violations
    }

    /// Keeps the first trace to a violation. The search goes on around it.
    fn note(&mut self, result: Result<(), Trace>) {
        if let Err(trace) = result
            && !self.found.iter().any(|found| found.violation == trace.violation)
        {
            self.found.push(trace);
        }
    }

    fn follow(&mut self, from: &Item, scene: &Scene, moves: &[Move]) {
        for it in moves.iter().copied() {
            self.report.transitions += 1;
            let next = match scene.make(&mut self.model, &from.state, it) {
                Ok(next) => next,
                Err(violation) => {
                    let trace = self.trace(from.index, &[it], violation);
                    self.note(Err(trace));
                    continue;
                }
            };
            if matches!(it, Move::Crash(_)) {
                let checked = self.check_crash(from, scene, &next, it);
                self.note(checked);
            }
            if self.visited.insert(next.fingerprint()) {
                let index = u32::try_from(self.origins.len()).expect("fewer than 2^32 states");
                self.origins.push(Origin { parent: from.index, it });
                self.queue.push_back(Item { index, depth: from.depth + 1, state: next });
            }
        }
    }

    /// I3 and I11.
    fn check_end(&mut self, item: &Item) -> Result<(), Trace> {
        if !(item.index as usize).is_multiple_of(self.bounds.ends) {
            return Ok(());
        }
        self.report.ends += 1;
        self.end(item.index, &[], &item.state)?;
        let status = self.model.status(&item.state.objects);
        let current = status.current_pod_hash.as_deref().and_then(|hash| self.model.image_of(hash));
        // A second abort is no command, and one of a version that nobody has seen yet goes with the version before it.
        if status.abort || current != Some(item.state.objects.rollout.image) {
            return Ok(());
        }
        self.report.aborts += 1;
        let mut aborted = item.state.clone();
        user(&mut self.model, &mut aborted.objects, Move::Abort);
        let aborted = aborted.settled();
        let end = self.end(item.index, &[Move::Abort], &aborted)?;
        let stable = self.model.stable(&item.state.objects);
        // The first version, and one that is promoted already, cannot be aborted.
        if stable.is_none() || stable == Some(end.image) {
            return Ok(());
        }
        end.check_aborted(stable).map_err(|it| self.trace(item.index, &[Move::Abort], it))
    }

    /// I8.
    fn check_crash(&mut self, from: &Item, scene: &Scene, crashed: &State, it: Move) -> Result<(), Trace> {
        let Ok(passed) = scene.passed.clone() else { return Ok(()) };
        if !(self.report.transitions).is_multiple_of(self.bounds.ends) {
            return Ok(());
        }
        self.report.crashes += 1;
        let calm = self.end(from.index, &[Move::Pass], &passed)?;
        let restarted = self.end(from.index, &[it], crashed)?;
        if calm == restarted {
            return Ok(());
        }
        let text = format!("after a crash it ends {restarted}, and otherwise {calm}");
        Err(self.trace(from.index, &[it], Violation::new("I8", text)))
    }

    fn end(&mut self, index: u32, moves: &[Move], state: &State) -> Result<End, Trace> {
        self.ends.of(&mut self.model, state).map_err(|(way, violation)| {
            let moves: Vec<Move> = moves.iter().copied().chain(way).collect();
            self.trace(index, &moves, violation)
        })
    }

    fn trace(&self, mut index: u32, last: &[Move], violation: Violation) -> Trace {
        let mut moves: Vec<Move> = last.iter().rev().copied().collect();
        while index > 0 {
            let Origin { parent, it } = self.origins[index as usize];
            moves.push(it);
            index = parent;
        }
        moves.reverse();
        let Bounds { strategy, start, .. } = self.bounds;
        Trace { strategy, start, violation, moves }
    }
}

/// A fingerprint is its own hash.
#[derive(Default)]
struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        unreachable!("a fingerprint is a u64, not {bytes:?}")
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}
