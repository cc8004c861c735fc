//! Which arm of a split takes a request.
//!
//! A split with two arms keeps one position on a line that is cut into units, with one *point* in every unit.
//! A request takes the next `w` of a unit and is drawn for the arm of share `w` if a point lies in what it
//! took. One unit is used up per `1/w` requests, so one request in `1/w` is drawn, whatever the weights were
//! before: the position is kept across commits and weight changes.
//!
//! The points are not at one place of their units, or a client that sends every second request the same way
//! would be in step with them: the point of unit `j` is `fold(jα + βu)` with `fold` the triangle wave of
//! period 2 onto [0, 1], `α = (√5−1)/20`, `β = ½−α` and `u` a hash of seed and `j`. Neighbours are so never
//! less than half a unit apart: a request that takes at most half a unit meets at most one point. Above one
//! half the *other* arm is drawn with `1−w`.
//!
//! **Bound**: in any window of consecutive requests, each arm of a split of two is less than 2 requests off
//! its share. More arms are drawn in a cascade of such splits, the first against all others, then the second
//! against the rest: with `k` arms each is less than `2(k−1)` off. A weight change adds nothing on one side of
//! one half and less than 2 when it crosses it. Arms of share 0 and 1 are exact.

mod points;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use proxy_config::model::Share;

pub(crate) use self::points::mix;
use crate::padded::Padded;

/// How many parts of a unit one 1/10000 is. A unit is a multiple of 10000, so that two arms share exactly.
const PARTS: u64 = 1 << 16;
/// One unit of the line.
const UNIT: u64 = 10_000 * PARTS;

/// The line of one draw, arm against the arms after it, and how far it is used up. Shared by all threads, kept
/// across commits.
#[derive(Debug)]
pub struct Line(Padded<Position>);

/// Both are read by every draw.
#[derive(Debug)]
struct Position {
    taken: AtomicU64,
    seed: u64,
}

/// The arms of one split, ready to be drawn.
#[derive(Debug)]
pub struct Draw {
    stages: Box<[Stage]>,
    /// The arm that takes what no stage took.
    last: usize,
}

/// One step of the cascade.
#[derive(Debug)]
struct Stage {
    line: Arc<Line>,
    /// What a request takes: the share of the rarer side among those that come here, at most half a unit.
    width: u64,
    /// The arm of this stage.
    arm: usize,
    /// Whether a point means this arm, or all the others.
    point: Means,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    ThisArm,
    TheOthers,
}

// === impl Line ===

impl Line {
    /// A line used up to a random place. `random` is the only randomness there will ever be in it.
    #[must_use]
    pub fn new(random: u64) -> Self {
        let seed = mix(random);
        Self(Padded(Position { taken: AtomicU64::new(mix(seed) % (UNIT * 4096)), seed }))
    }

    /// Takes the next `width` and says whether a point lies in it.
    fn take(&self, width: u64) -> bool {
        let Self(Padded(Position { taken, seed })) = self;
        points::any_within(*seed, taken.fetch_add(width, Ordering::Relaxed), width)
    }
}

// === impl Draw ===

impl Draw {
    /// Prepares the draw among arms of these shares. `line` gives the line of the arm with that index; it is
    /// asked only for arms that have requests and are not the last such.
    ///
    /// Shares that do not sum to the whole cannot come here from a validated configuration; whatever they are,
    /// some arm is drawn. Without arms, index 0 is.
    pub fn new(shares: &[Share], mut line: impl FnMut(usize) -> Arc<Line>) -> Self {
        let mut rest: u64 = shares.iter().map(|share| u64::from(share.parts())).sum();
        let mut stages = Vec::new();
        let mut last = 0;
        for (arm, share) in shares.iter().enumerate().filter(|(_, share)| **share != Share::ZERO) {
            let parts = u64::from(share.parts());
            last = arm;
            if parts == rest {
                break;
            }
            let (point, rarer) =
                if parts * 2 <= rest { (Means::ThisArm, parts) } else { (Means::TheOthers, rest - parts) };
            stages.push(Stage { line: line(arm), width: UNIT * rarer / rest, arm, point });
            rest -= parts;
        }
        Self { stages: stages.into(), last }
    }

    /// The index of the arm that takes the next request.
    #[must_use = "a draw that is not followed is a request that the split counts and nobody gets"]
    pub fn draw(&self) -> usize {
        for stage in &self.stages {
            let point = stage.line.take(stage.width);
            if point == (stage.point == Means::ThisArm) {
                return stage.arm;
            }
        }
        self.last
    }
}

#[cfg(test)]
mod tests;
