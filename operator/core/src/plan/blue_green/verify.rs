//! Whether the switch of the active Service is served: the condition `ActiveServiceVerified`, and one Warning when the
//! proxies take too long.
//!
//! The condition is also the memory of "since when". Where no data plane reports back there is none.

use crds::rollout::{RolloutCondition, RolloutStatus};

use super::super::draft::Draft;
use super::super::fleet::{Blind, progress};
use super::Scene;
use crate::conditions::{self, Kind, Truth};
use crate::why::Why;
use crate::world::ReplicaSet;

/// Every counted proxy leads to the new version alone.
const SERVED: &str = "ActiveServiceServed";
/// Some counted proxy does not yet.
const NOT_SERVED: &str = "ActiveServiceNotServed";
/// The same for longer than `warnAfterSeconds`; also the reason of the Warning event.
const NOT_SERVED_FOR_LONG: &str = "ActiveServiceNotVerified";
/// What the proxies serve is not known.
const UNKNOWN: &str = "DataPlaneUnknown";

/// Whether every proxy sends what comes for the active Service to all pods of this version and to no others. Records
/// the answer. Where nobody can be asked, the switch counts at once, and the old version's delay gives it time.
pub(super) fn is_served(scene: &Scene<'_>, set: &ReplicaSet, draft: &mut Draft) -> bool {
    let need = scene.spec.replicas;
    let fold = match scene.fleet.fold() {
        Ok(fold) => fold,
        Err(Blind::NotConfigured) => {
            conditions::remove(&mut draft.status, Kind::ActiveServiceVerified);
            return true;
        }
        Err(Blind::Unknown(reason)) => {
            record(scene, Truth::False, UNKNOWN, reason, draft);
            draft.because(Why::DataPlaneUnknown { reason: reason.to_owned() });
            return false;
        }
    };
    let poll = fold.service_holds(&scene.blue_green.active_service, &set.hash, need);
    let text =
        progress(&poll, &format!("{need} or more pods of {} on the active Service and no others", set.hash));
    if poll.unanimous() {
        record(scene, Truth::True, SERVED, &text, draft);
        return true;
    }
    let reason = warn_when_late(scene, &text, draft);
    record(scene, Truth::False, reason, &text, draft);
    draft.because(Why::WaitingForActiveService { progress: text });
    false
}

/// The switch that was not served has been taken back.
pub(super) fn forget_unserved(draft: &mut Draft) {
    if unserved(&draft.status).is_some() {
        conditions::remove(&mut draft.status, Kind::ActiveServiceVerified);
    }
}

/// After `warnAfterSeconds`, names what is missing, once. Returns the reason of the condition.
fn warn_when_late(scene: &Scene<'_>, text: &str, draft: &mut Draft) -> &'static str {
    let held = unserved(&scene.before);
    let since = held.and_then(|held| held.last_transition_time).unwrap_or_else(|| scene.start());
    let late = since + scene.fleet.confirm.warn_after;
    let warned = held.is_some_and(|held| held.reason == NOT_SERVED_FOR_LONG);
    if scene.now() < late && !warned {
        draft.wake_at(late);
        return NOT_SERVED;
    }
    if !warned {
        draft.warning(NOT_SERVED_FOR_LONG, text.to_owned());
    }
    NOT_SERVED_FOR_LONG
}

fn record(scene: &Scene<'_>, truth: Truth, reason: &str, message: &str, draft: &mut Draft) {
    conditions::set(&mut draft.status, Kind::ActiveServiceVerified, truth, reason, message, scene.start());
}

fn unserved(status: &RolloutStatus) -> Option<&RolloutCondition> {
    conditions::get(status, Kind::ActiveServiceVerified).filter(|held| held.status == Truth::False.as_str())
}
