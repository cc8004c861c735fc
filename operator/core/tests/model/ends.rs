//! Where a state ends if nothing more goes wrong: the liveness half of the invariants.
//!
//! From any state there is one *fair continuation*: what was in the way goes away, and then, again and again, the
//! operator acts while it has something to do, proxies acknowledge, pods come up, requests end, and time passes. It is
//! deterministic and soon at rest, and the ends of all states on its way are known with it.

use std::collections::HashMap;
use std::fmt;

use crds::rollout::RolloutPhase;

use super::invariants::Violation;
use super::model::{Model, Strategy};
use super::moves::{Move, user};
use super::scene::Scene;
use super::state::{Image, PerImage, Server, State};

/// Moves within which a fair continuation is at rest.
const PATIENCE: usize = 400;

/// A Rollout at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    strategy: Strategy,
    pub(crate) phase: Option<RolloutPhase>,
    pub(crate) image: Image,
    pub(crate) stable: Option<Image>,
    pub(crate) step: Option<i32>,
    pub(crate) aborted: bool,
    pub(crate) paused: bool,
    /// The weight that some proxy serves.
    pub(crate) weight: u8,
    pub(crate) mapping: bool,
    pub(crate) sizes: PerImage<u8>,
    pub(crate) selected: (Option<Image>, Option<Image>),
}

#[derive(Debug, Default)]
pub(crate) struct Ends {
    known: HashMap<u64, End>,
}

/// A violation on the way to an end, and the moves that lead to it.
type Stray = (Vec<Move>, Violation);

impl Ends {
    /// The end of a state.
    pub(crate) fn of(&mut self, model: &mut Model, state: &State) -> Result<End, Stray> {
        let mut way = Vec::new();
        let known = &self.known;
        let (last, moves) = walk(model, state, |state| {
            let fingerprint = state.fingerprint();
            way.push(fingerprint);
            known.contains_key(&fingerprint)
        })?;
        let end = match self.known.get(&last.fingerprint()) {
            Some(end) => end.clone(),
            None => End::of(model, &last),
        };
        if let Err(violation) = end.check() {
            return Err((moves, violation));
        }
        self.known.extend(way.into_iter().map(|fingerprint| (fingerprint, end.clone())));
        Ok(end)
    }
}

/// Where a search begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The Rollout was just applied.
    Deploy,
    /// v1 is deployed and at rest, and the user has just asked for v2.
    Update,
}

impl Start {
    pub(crate) fn state(self, model: &mut Model) -> State {
        let empty = model.empty();
        match self {
            Self::Deploy => empty,
            Self::Update => {
                let rest = walk(model, &empty, |_| false).map(|(rest, _)| rest);
                let mut state = rest.unwrap_or_else(|(_, violation)| panic!("the first deploy: {violation}"));
                user(model, &mut state.objects, Move::SetImage(Image::V2));
                state.settled()
            }
        }
    }
}

/// Follows the fair continuation until it is at rest, or until it is known how it goes on.
fn walk(
    model: &mut Model,
    from: &State,
    mut known: impl FnMut(&State) -> bool,
) -> Result<(State, Vec<Move>), Stray> {
    let mut moves = Vec::new();
    let mut current = from.clone();
    while !known(&current) {
        let scene = Scene::of(model, &current);
        let it = fair(&scene, &current);
        let next = match scene.make(model, &current, it) {
            Ok(next) => next,
            Err(violation) => {
                moves.push(it);
                return Err((moves, violation));
            }
        };
        if next == current {
            break;
        }
        moves.push(it);
        if moves.len() > PATIENCE {
            let text = format!("still not at rest after {PATIENCE} moves: {}", scene.why());
            return Err((moves, Violation::new("I11", text)));
        }
        current = next;
    }
    Ok((current, moves))
}

/// The next move of the fair continuation. Time is last: it passes once nothing else happens.
fn fair(scene: &Scene, state: &State) -> Move {
    let obstacle = |it: &Move| matches!(it, Move::CatchUp | Move::Server(Server::Up) | Move::Unstuck(_));
    // A second operator that lost its lease never acts.
    let moves: Vec<Move> = scene.free(state).into_iter().filter(|it| *it != Move::OtherActs).collect();
    let first = moves.iter().find(|it| obstacle(it)).or_else(|| moves.first());
    first.copied().unwrap_or(Move::Tick)
}

impl End {
    fn of(model: &Model, state: &State) -> Self {
        let objects = &state.objects;
        let status = model.status(objects);
        Self {
            strategy: model.strategy,
            phase: status.phase,
            image: objects.rollout.image,
            stable: model.stable(objects),
            step: status.current_step_index,
            aborted: status.abort,
            paused: objects.rollout.paused,
            weight: state.fleet.contents().map(super::state::Content::weight).max().unwrap_or(0),
            mapping: objects.mapping.is_some(),
            sizes: objects.sets.map(|set| set.map_or(0, |set| set.replicas)),
            selected: (objects.stable.image, objects.canary.image),
        }
    }

    /// I11.
    fn check(&self) -> Result<(), Violation> {
        let allowed = match self.phase {
            Some(RolloutPhase::Healthy) => self.stable == Some(self.image) && self.is_back() && !self.mapping,
            Some(RolloutPhase::Degraded) => self.is_back() || self.stable_gone(),
            // Only users end a pause of theirs.
            Some(RolloutPhase::Paused) => self.paused,
            Some(RolloutPhase::Progressing) | None => false,
        };
        if allowed { Ok(()) } else { Err(Violation::new("I11", format!("left alone, it ends {self}"))) }
    }

    /// I3: nobody sends anything to the canary, and it is not promoted. `stable` is the version to go back to.
    pub(crate) fn check_aborted(&self, stable: Option<Image>) -> Result<(), Violation> {
        // With nothing to go back to, traffic stays where it works.
        if self.stable == stable && (self.is_back() || self.stable_gone()) {
            return Ok(());
        }
        Err(Violation::new("I3", format!("after an abort it ends {self}")))
    }

    /// Requests meet nothing but the stable version, if there is one.
    fn is_back(&self) -> bool {
        match self.strategy {
            Strategy::Canary => self.weight == 0,
            Strategy::BlueGreen => self.stable.is_none() || self.selected.0 == self.stable,
        }
    }

    fn stable_gone(&self) -> bool {
        self.stable.is_some_and(|stable| stable != self.image && self.sizes[stable.index()] == 0)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = self.phase.map_or("without a phase", RolloutPhase::as_str);
        let name = |image: Option<Image>| image.map_or_else(|| "-".to_owned(), |image| image.to_string());
        write!(f, "{phase} with weight {}, wants {}, stable {}", self.weight, self.image, name(self.stable))?;
        let [one, two, three] = self.sizes;
        write!(
            f,
            ", pods {one} {two} {three}, Services {} {}",
            name(self.selected.0),
            name(self.selected.1)
        )?;
        let flags = [(self.mapping, "a canary Mapping"), (self.aborted, "aborted"), (self.paused, "paused")];
        flags.into_iter().filter(|(set, _)| *set).try_for_each(|(_, word)| write!(f, ", {word}"))?;
        self.step.map_or(Ok(()), |step| write!(f, ", step {step}"))
    }
}
