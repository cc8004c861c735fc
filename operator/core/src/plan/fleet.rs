//! What the proxies serve of a Rollout's routes, asked in one place for all strategies.

use super::scene::Scene;
use crate::spec::Confirm;
use crate::traffic::{Fold, Poll, Route, Traffic};
use crate::why::Why;
use crate::world::World;

/// The proxies, as far as one Rollout is concerned.
#[derive(Debug)]
pub(super) struct Fleet<'w> {
    traffic: &'w Traffic,
    route: Route,
    /// When a change counts as served, and how long requests get to end.
    pub(super) confirm: Confirm,
}

impl<'w> Fleet<'w> {
    pub(super) fn new(world: &'w World, route: Route, confirm: Confirm) -> Self {
        Self { traffic: &world.traffic, route, confirm }
    }

    /// The proxies where only what they send to the Rollout's pods matters.
    pub(super) fn of_pods(scene: &Scene<'w>) -> Self {
        Self::new(scene.world, Route::default(), scene.spec.strategy.confirm())
    }

    /// The fold; `Err` where nobody is asked.
    pub(super) fn fold(&self) -> Result<Fold<'_>, Blind<'w>> {
        match self.traffic {
            Traffic::NotConfigured => Err(Blind::NotConfigured),
            Traffic::Unknown { reason } => Err(Blind::Unknown(reason)),
            Traffic::Ready(facts) => Ok(Fold::new(facts, &self.route)),
        }
    }
}

/// Why the proxies cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blind<'w> {
    /// There is no traffic server: time is given instead.
    NotConfigured,
    /// There is one that does not answer: whatever needs an answer holds.
    Unknown(&'w str),
}

/// How far a poll is, as a sentence: `2 of 3 proxies serve weight 20; waiting for sluice/proxy-x`.
pub(super) fn progress(poll: &Poll, what: &str) -> String {
    if let Some(problem) = &poll.problem {
        return problem.clone();
    }
    let counted = match poll.counted {
        1 => "1 proxy serves".to_owned(),
        counted => format!("{counted} proxies serve"),
    };
    let waiting = match poll.waiting.as_slice() {
        [] => String::new(),
        [pod] => format!("; waiting for {pod}"),
        [pod, rest @ ..] => format!("; waiting for {pod} and {} more", rest.len()),
    };
    format!("{} of {counted} {what}{waiting}", poll.agreeing)
}

/// What to wait for while a poll is not unanimous.
pub(super) fn waiting(poll: &Poll, what: &str, why: impl FnOnce(String) -> Why) -> Result<(), Why> {
    if poll.unanimous() { Ok(()) } else { Err(why(progress(poll, what))) }
}
