//! The statuses that were recorded so far, each once, in canonical form.
//!
//! Left out is what no decision reads: `duration`, when conditions were last touched, the proxies' names in the
//! message about the weight. What is left out is the same in every state, so that recording it anew changes nothing.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use crds::rollout::RolloutStatus;

use super::state::{OLDEST, StatusId};

/// Seconds in a tick.
const TICK: i64 = 10;

/// The conditions whose transition time is the engine's memory of "since when".
const VERIFIED: [&str; 2] = ["WeightVerified", "ActiveServiceVerified"];

/// The condition whose update time the progress deadline counts from.
const PROGRESSING: &str = "Progressing";

#[derive(Debug, Default)]
pub(crate) struct Statuses {
    all: Vec<Kept>,
    ids: HashMap<Vec<u8>, StatusId>,
}

#[derive(Debug)]
struct Kept {
    status: RolloutStatus,
    /// The same status a tick later, once it was asked for.
    later: Option<StatusId>,
}

impl Statuses {
    pub(crate) fn get(&self, id: StatusId) -> &RolloutStatus {
        &self.all[id.0 as usize].status
    }

    /// Keeps a status that is perhaps the one that was held before.
    pub(crate) fn keep_after(&mut self, held: StatusId, status: RolloutStatus) -> StatusId {
        let status = canonical(status);
        if *self.get(held) == status { held } else { self.keep(status) }
    }

    /// Keeps a status.
    pub(crate) fn keep(&mut self, status: RolloutStatus) -> StatusId {
        let status = canonical(status);
        let key = serde_json::to_vec(&status).expect("a status is JSON");
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = StatusId(u32::try_from(self.all.len()).expect("few statuses"));
        self.all.push(Kept { status, later: None });
        self.ids.insert(key, id);
        id
    }

    /// The status when a tick has passed.
    pub(crate) fn later(&mut self, id: StatusId) -> StatusId {
        if let Some(later) = self.all[id.0 as usize].later {
            return later;
        }
        let mut status = self.get(id).clone();
        for time in times(&mut status) {
            *time -= TimeDelta::seconds(TICK);
        }
        let later = self.keep(status);
        self.all[id.0 as usize].later = Some(later);
        later
    }
}

/// The moment at which the clock stands.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_893_456_000, 0).expect("a time")
}

/// Ticks from now as a time.
pub(crate) fn time(ticks: i8) -> DateTime<Utc> {
    now() + TimeDelta::seconds(TICK * i64::from(ticks))
}

/// A time as ticks from now.
pub(crate) fn ticks(time: DateTime<Utc>) -> i8 {
    let seconds = (time - now()).num_seconds();
    assert_eq!(seconds % TICK, 0, "every time of the fixture is a multiple of a tick");
    i8::try_from(seconds / TICK).unwrap_or(i8::MIN).max(-OLDEST)
}

fn canonical(mut status: RolloutStatus) -> RolloutStatus {
    let oldest = time(-OLDEST);
    status.duration = None;
    status.observed_generation = None;
    status.aborted_at = status.aborted_at.map(|_| oldest);
    for condition in &mut status.conditions {
        if VERIFIED.contains(&condition.kind.as_str()) {
            condition.last_update_time = condition.last_transition_time;
            if condition.status != "Unknown" {
                condition.message = String::new();
            }
        } else {
            condition.last_transition_time = Some(oldest);
            if condition.kind != PROGRESSING {
                condition.last_update_time = Some(oldest);
            }
        }
    }
    for time in times(&mut status) {
        *time = (*time).max(oldest);
    }
    status
}

/// Every time of a status that a decision reads.
fn times(status: &mut RolloutStatus) -> impl Iterator<Item = &mut DateTime<Utc>> {
    let pauses = status.pause_conditions.iter_mut().map(|pause| &mut pause.start_time);
    let conditions = status.conditions.iter_mut().flat_map(|condition| {
        condition.last_update_time.iter_mut().chain(&mut condition.last_transition_time)
    });
    pauses.chain(conditions)
}
