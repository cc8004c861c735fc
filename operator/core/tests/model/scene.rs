//! A state, and everything that can follow from it.

use crds::rollout::RolloutStatus;
use operator_core::plan::Wake;

use super::execute::{Until, carry_out};
use super::invariants::{Actor, Decision, Violation, check_plan};
use super::model::Model;
use super::moves::{Move, user, users, world_moves};
use super::state::{Fleet, Image, Objects, Proxy, Server, State, Store, Whose};
use super::statuses::time;

/// A state, and what the operator would do in it.
pub(crate) struct Scene {
    decision: Decision,
    /// A pass from here; the same state if there is nothing to do.
    pub(crate) passed: Result<State, Violation>,
}

impl Decision {
    fn of(model: &Model, (objects, fleet): (Objects, Fleet), actor: Actor) -> Self {
        let world = model.world(&objects, &fleet);
        let plan = model.plan(&world);
        Self { actor, seen: objects, world, plan }
    }
}

impl Scene {
    pub(crate) fn of(model: &mut Model, state: &State) -> Self {
        let decision = Decision::of(model, state.seen(), Actor::Operator);
        let plan = &decision.plan;
        let mut passed = state.clone();
        let result = check_plan(&decision.world, plan)
            .and_then(|()| carry_out(model, &mut passed, &decision, Until::End));
        let passed = result.map(|()| passed.settled());
        let passed = passed.and_then(|passed| {
            if passed == *state && !plan.effects.is_empty() && state.view.is_none() {
                return Err(Violation::new("I11", format!("nothing changes, and again {:?}", plan.effects)));
            }
            Ok(passed)
        });
        Self { decision, passed }
    }

    /// The operator has nothing to do.
    fn quiet(&self, state: &State) -> bool {
        self.passed.as_ref() == Ok(state)
    }

    /// The moves that should happen.
    pub(crate) fn free(&self, state: &State) -> Vec<Move> {
        let mut moves = Vec::new();
        let quiet = self.quiet(state);
        if !quiet {
            moves.push(Move::Pass);
        }
        let mut waiting = false;
        for (number, proxy) in (0..).zip(&state.fleet.proxies) {
            match proxy {
                Some(Proxy { stuck: true, .. }) => moves.push(Move::Unstuck(number)),
                Some(Proxy { sent: Some(_), .. }) => {
                    waiting = true;
                    moves.push(Move::Acknowledge(number));
                }
                Some(_) | None => {}
            }
        }
        for image in Image::ALL {
            if state.objects.sets[image.index()].is_some_and(|set| set.available < set.replicas) {
                moves.push(Move::PodUp(image));
            }
            if state.fleet.requests[image.index()] {
                moves.push(Move::RequestsEnd(image));
            }
        }
        if state.fleet.server != Server::Up {
            moves.push(Move::Server(Server::Up));
        }
        match state.view.as_ref().map(|view| view.whose) {
            Some(Whose::Cache(_)) => moves.push(Move::CatchUp),
            Some(Whose::Other) => moves.push(Move::OtherActs),
            None => {}
        }
        if quiet && !waiting {
            moves.push(Move::Tick);
        }
        moves
    }

    /// The moves that nobody waits for.
    pub(crate) fn surprises(&self, model: &Model, state: &State) -> Vec<Move> {
        let State { objects, fleet, view } = state;
        let mut moves = Vec::new();
        if !self.free(state).contains(&Move::Tick) {
            moves.push(Move::Tick);
        }
        let effects = u8::try_from(self.decision.plan.effects.len()).expect("few effects");
        moves.extend((1..=effects).map(Move::Crash));
        if view.is_none() {
            moves.push(Move::OtherPlans);
            let stores = [Store::Rollout, Store::ReplicaSets, Store::Proxies, Store::All];
            moves.extend(stores.map(Move::Lag));
        }
        for image in Image::ALL {
            let Some(set) = objects.sets[image.index()] else { continue };
            if set.available > 0 {
                moves.push(Move::PodDown(image));
            }
            if set.replicas > 0 {
                moves.push(Move::SetGone(image));
            }
            if !fleet.requests[image.index()] && fleet.routes_to(image) {
                moves.push(Move::RequestStarts(image));
            }
        }
        for (number, proxy) in (0..).zip(&fleet.proxies) {
            let Some(proxy) = proxy else { continue };
            if !proxy.stuck {
                moves.push(Move::Stuck(number));
            }
            if proxy.known {
                moves.push(Move::Forgotten(number));
            }
            moves.push(Move::Leaves(number));
        }
        if fleet.proxies.contains(&None) {
            moves.push(Move::Joins);
        }
        if fleet.server == Server::Up {
            moves.extend([Move::Server(Server::Behind), Move::Server(Server::Unreachable)]);
        }
        users(&mut moves, model, objects);
        moves
    }

    /// Carries out a move. The state is the scene's.
    pub(crate) fn make(&self, model: &mut Model, state: &State, it: Move) -> Result<State, Violation> {
        let mut next = state.clone();
        match it {
            Move::Pass => return self.passed.clone(),
            Move::Crash(effects) => {
                let until = Until::Effects(usize::from(effects));
                carry_out(model, &mut next, &self.decision, until)?;
            }
            Move::OtherActs => {
                if let Some(view) = next.view.take() {
                    let late = Decision::of(model, (view.objects, view.fleet), Actor::Other);
                    carry_out(model, &mut next, &late, Until::End)?;
                }
            }
            Move::Tick => {
                next.pass_time(model);
                self.check_wake(model, state, &next)?;
            }
            Move::SetImage(_)
            | Move::Scale(_)
            | Move::Pause(_)
            | Move::Abort
            | Move::Retry
            | Move::Promote
            | Move::PromoteFull => user(model, &mut next.objects, it),
            Move::Lag(_)
            | Move::CatchUp
            | Move::OtherPlans
            | Move::PodUp(_)
            | Move::PodDown(_)
            | Move::SetGone(_)
            | Move::RequestStarts(_)
            | Move::RequestsEnd(_)
            | Move::Acknowledge(_)
            | Move::Stuck(_)
            | Move::Unstuck(_)
            | Move::Forgotten(_)
            | Move::Joins
            | Move::Leaves(_)
            | Move::Server(_)
            | Move::DeleteMapping
            | Move::SetWeight(_)
            | Move::ResetService => world_moves(&mut next, it),
        }
        Ok(next.settled())
    }

    /// I11, the other half: an operator that has nothing to do and is not woken has nothing to do later either.
    fn check_wake(&self, model: &mut Model, state: &State, next: &State) -> Result<(), Violation> {
        let woken = matches!(self.decision.plan.wake, Wake::At(moment) if moment <= time(1));
        let later = next.clone().settled();
        if woken || later == *state || !self.quiet(state) {
            return Ok(());
        }
        let scene = Self::of(model, &later);
        if scene.quiet(&later) {
            return Ok(());
        }
        let text = format!(
            "nobody wakes the operator, and ten seconds later it has something to do: {}",
            scene.changes()
        );
        Err(Violation::new("I11", text))
    }

    /// What the operator changes here.
    fn changes(&self) -> String {
        let Decision { world, plan, .. } = &self.decision;
        let before = world.rollout.status.clone().unwrap_or_default();
        format!("{:?}{}", plan.effects, difference(&before, &plan.status))
    }

    /// Why the operator does what it does here.
    pub(crate) fn why(&self) -> String {
        self.decision.plan.why.to_string()
    }
}

/// Every line of the status that a plan changes.
fn difference(before: &RolloutStatus, after: &RolloutStatus) -> String {
    let [before, after] = [before, after].map(|status| format!("{status:#?}"));
    let lines = |text: &str, of: &str, sign: &str| -> String {
        let other: Vec<&str> = of.lines().collect();
        let only = text.lines().filter(|line| !other.contains(line));
        only.map(|line| format!("\n    {sign} {}", line.trim())).collect::<Vec<_>>().concat()
    };
    lines(&before, &after, "-") + &lines(&after, &before, "+")
}

impl State {
    /// What the operator sees.
    fn seen(&self) -> (Objects, Fleet) {
        let (mut objects, mut fleet) = (self.objects, self.fleet);
        let Some(view) = &self.view else { return (objects, fleet) };
        match view.whose {
            Whose::Cache(Store::Rollout) => objects.rollout = view.objects.rollout,
            Whose::Cache(Store::ReplicaSets) => objects.sets = view.objects.sets,
            Whose::Cache(Store::Proxies) => fleet = view.fleet,
            Whose::Cache(Store::All) => (objects, fleet) = (view.objects, view.fleet),
            Whose::Other => {}
        }
        (objects, fleet)
    }
}
