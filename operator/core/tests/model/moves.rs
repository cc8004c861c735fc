//! What can happen next.
//!
//! A move is *free* if it is what should happen, and a *surprise* if a user, a fault or bad luck makes it. A search is
//! bounded by the number of surprises on a path; whatever follows from them is explored to the end.

use super::execute::bump;
use super::model::{Model, Strategy};
use super::state::{Fleet, Image, OLDEST, Objects, Proxy, Server, State, Store, View, Whose};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// The operator observes, plans, executes and records.
    Pass,
    /// The operator dies in a pass, after so many effects and before it records.
    Crash(u8),
    /// The operator's caches lag from now on.
    Lag(Store),
    /// They do no more.
    CatchUp,
    /// A second operator makes its plan and loses the lease.
    OtherPlans,
    /// It carries it out all the same.
    OtherActs,
    /// Ten seconds in which nothing else happens.
    Tick,
    PodUp(Image),
    PodDown(Image),
    /// Somebody deletes a ReplicaSet.
    SetGone(Image),
    RequestStarts(Image),
    RequestsEnd(Image),
    Acknowledge(u8),
    /// A proxy acknowledges nothing for now.
    Stuck(u8),
    Unstuck(u8),
    /// The operator no longer knows what a proxy serves.
    Forgotten(u8),
    Joins,
    Leaves(u8),
    Server(Server),
    SetImage(Image),
    Scale(u8),
    Pause(bool),
    Abort,
    Retry,
    Promote,
    PromoteFull,
    /// Somebody deletes the canary Mapping.
    DeleteMapping,
    /// Somebody sets its weight.
    SetWeight(u8),
    /// Somebody replaces the canary Service, so that it selects all pods.
    ResetService,
}

/// What users do to the Rollout and to the canary's route.
pub(crate) fn users(moves: &mut Vec<Move>, model: &Model, objects: &Objects) {
    let status = model.status(objects);
    let rollout = &objects.rollout;
    moves.extend(Image::ALL.into_iter().filter(|image| *image != rollout.image).map(Move::SetImage));
    moves.extend([0, 1, 2, 3].into_iter().filter(|size| *size != rollout.replicas).map(Move::Scale));
    moves.push(Move::Pause(!rollout.paused));
    moves.push(if status.abort { Move::Retry } else { Move::Abort });
    // Without steps there are only pauses to end.
    if model.strategy == Strategy::Canary || !status.pause_conditions.is_empty() {
        moves.push(Move::Promote);
    }
    moves.push(Move::PromoteFull);
    if let Some(mapping) = objects.mapping {
        moves.push(Move::DeleteMapping);
        moves
            .extend([0, 50, 100].into_iter().filter(|weight| *weight != mapping.weight).map(Move::SetWeight));
    }
    if objects.canary.image.is_some() {
        moves.push(Move::ResetService);
    }
}

/// What the kubectl plugin and editors write to the Rollout.
pub(crate) fn user(model: &mut Model, objects: &mut Objects, it: Move) {
    let mut status = model.status(objects).clone();
    let rollout = &mut objects.rollout;
    match it {
        Move::SetImage(image) => (rollout.image, rollout.observed) = (image, false),
        Move::Scale(replicas) => (rollout.replicas, rollout.observed) = (replicas, false),
        Move::Pause(paused) => (rollout.paused, rollout.observed) = (paused, false),
        Move::Abort => status.abort = true,
        Move::Retry => status.abort = false,
        Move::PromoteFull => status.promote_full = true,
        Move::Promote if !status.pause_conditions.is_empty() => status.pause_conditions.clear(),
        Move::Promote => {
            let next = (status.current_step_index.unwrap_or(0) + 1).min(2);
            status.current_step_index = Some(next);
        }
        other => unreachable!("{other:?} is not about the Rollout"),
    }
    rollout.status = model.statuses.keep(status);
    rollout.version = bump(rollout.version);
}

/// Pods, proxies, requests, caches, and people who write to the canary's route.
pub(crate) fn world_moves(state: &mut State, it: Move) {
    let State { objects, fleet, view } = state;
    let set = |objects: &mut Objects, image: Image, by: i8| {
        if let Some(set) = &mut objects.sets[image.index()] {
            set.available = set.available.saturating_add_signed(by);
            set.version = bump(set.version);
        }
    };
    match it {
        Move::Lag(store) => {
            *view = Some(Box::new(View { whose: Whose::Cache(store), objects: *objects, fleet: *fleet }));
        }
        Move::OtherPlans => {
            *view = Some(Box::new(View { whose: Whose::Other, objects: *objects, fleet: *fleet }));
        }
        Move::CatchUp => *view = None,
        Move::PodUp(image) => set(objects, image, 1),
        Move::PodDown(image) => set(objects, image, -1),
        Move::SetGone(image) => objects.sets[image.index()] = None,
        Move::RequestStarts(image) => fleet.requests[image.index()] = true,
        Move::RequestsEnd(image) => fleet.requests[image.index()] = false,
        Move::Acknowledge(number) => state.acknowledge(usize::from(number)),
        Move::Stuck(number) => change(fleet, number, |proxy| proxy.stuck = true),
        Move::Unstuck(number) => change(fleet, number, |proxy| proxy.stuck = false),
        Move::Forgotten(number) => change(fleet, number, |proxy| proxy.known = false),
        Move::Leaves(number) => fleet.proxies[usize::from(number)] = None,
        Move::Joins => {
            let newcomer = Proxy { known: false, stuck: false, served: None, sent: None };
            if let Some(place) = fleet.proxies.iter_mut().find(|place| place.is_none()) {
                *place = Some(newcomer);
            }
        }
        Move::Server(server) => fleet.server = server,
        Move::DeleteMapping => objects.mapping = None,
        Move::SetWeight(weight) => {
            if let Some(mapping) = &mut objects.mapping {
                (mapping.weight, mapping.version) = (weight, bump(mapping.version));
            }
        }
        Move::ResetService => {
            (objects.canary.image, objects.canary.version) = (None, bump(objects.canary.version));
        }
        other => unreachable!("{other:?} is not a move of the world"),
    }
}

fn change(fleet: &mut Fleet, number: u8, change: impl FnOnce(&mut Proxy)) {
    if let Some(proxy) = fleet.proxies.get_mut(usize::from(number)).and_then(Option::as_mut) {
        change(proxy);
    }
}

impl State {
    /// After a move: new routes are on their way, and the state is in its one form.
    pub(crate) fn settled(mut self) -> Self {
        for image in Image::ALL {
            // Requests end with the last pod.
            self.fleet.requests[image.index()] &= self.objects.available(image) > 0;
        }
        self.send();
        self.canonical()
    }

    /// Everything is a tick older.
    pub(crate) fn pass_time(&mut self, model: &mut Model) {
        let age = |objects: &mut Objects, model: &mut Model| {
            objects.rollout.status = model.statuses.later(objects.rollout.status);
            for set in objects.sets.iter_mut().flatten() {
                set.deadline = set.deadline.map(|deadline| (deadline - 1).max(-OLDEST));
            }
        };
        age(&mut self.objects, model);
        if let Some(view) = &mut self.view {
            age(&mut view.objects, model);
        }
    }
}
