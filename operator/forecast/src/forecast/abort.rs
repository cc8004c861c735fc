//! What an abort costs.

use serde::Serialize;

use super::seconds;
use crate::rehearsal::Rehearsal;

/// Moments after which an abort is said to have no end.
const MOMENTS: usize = 2_000;

/// What an abort costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Abort {
    /// Seconds until no request goes to the new version; `None` if some still do after all that happens by itself.
    pub takes: Option<i64>,
    /// What the new version gets until then, in seconds of all traffic.
    pub exposed_seconds: f64,
    /// Pods of the old version that have to be started for it.
    pub pods_to_start: u32,
}

/// Plays an abort at this moment. `None` if the update is past the point from which it goes back.
pub(super) fn cost(at: &Rehearsal, old: &str) -> Option<Abort> {
    let mut rehearsal = at.clone();
    let status = rehearsal.cluster.rollout.status.as_ref();
    if status.is_some_and(|status| status.stable_rs.as_deref() != Some(old)) {
        return None;
    }
    let started = rehearsal.cluster.now;
    let created = |rehearsal: &Rehearsal| -> u32 {
        let sets = rehearsal.cluster.sets.values().filter(|set| set.hash == old);
        sets.map(|set| set.created_pods).sum()
    };
    let share = |rehearsal: &Rehearsal| -> f64 {
        let new = rehearsal.cluster.sets.values().filter(|set| set.hash != old);
        new.map(|set| rehearsal.cluster.share_of(&set.hash)).sum()
    };
    let before = created(&rehearsal);
    let (mut exposed, mut takes) = (0.0, None);
    rehearsal.abort();
    for _ in 0..MOMENTS {
        rehearsal.settle(|_, _| {});
        if share(&rehearsal) <= 0.0 {
            takes = Some((rehearsal.cluster.now - started).num_seconds());
            break;
        }
        let Some(next) = rehearsal.next() else { break };
        exposed += seconds(next - rehearsal.cluster.now) * share(&rehearsal);
        rehearsal.cluster.now = next;
    }
    Some(Abort { takes, exposed_seconds: exposed, pods_to_start: created(&rehearsal) - before })
}
