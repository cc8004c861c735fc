//! `canary.guard`: a judge compares the new version with the stable one on the proxies' own counters, and the update is
//! aborted the moment the judge is sure.
//!
//! The judge may be asked at any moment without being wrong more often (see the crate `operator-judge`), so there is no
//! interval to wait for: each look takes in the seconds that have become complete since the last one. Its evidence goes
//! from plan to plan; the status has it as of some seconds ago, which is what a restart goes on from: seconds are known
//! for a while, and none is taken twice.
//!
//! | file | idea |
//! |---|---|
//! | `traffic` | which of the proxies' counts compare the versions |
//! | `gate` | whether the last step may end |
//! | `power` | what can be found at this traffic |

mod gate;
mod power;
mod traffic;

use chrono::TimeDelta;
use crds::rollout::status::{GuardCount, GuardStatus, GuardVerdict};
use operator_judge::Judge;
use operator_judge::cohorts::Cohort;
use operator_judge::counts::{Arm, Counts, Second};
use operator_judge::settings::Settings;
use operator_judge::verdict::{Outcome, Verdict};

pub(super) use self::gate::{Gate, is_held, opens, release};
use super::analysis;
use super::commands;
use super::draft::Draft;
use super::scene::Scene;
use crate::conditions::{self, Kind, Truth};
use crate::spec::{Guard, Strategy};
use crate::traffic::{Facts, Traffic};
use crate::weight::Position;
use crate::why::Why;

/// How old what the status says may be.
const SAVED_EVERY: Second = 15;

/// Reasons of the condition, and of the events.
const FAILED: &str = "GuardFailed";
const PASSED: &str = "GuardPassed";
const CONTINUES: &str = "GuardContinues";
const BLIND: &str = "GuardBlind";
const SPLIT: &str = "GuardSplit";
const POWER: &str = "GuardPower";
const NO_DATA: &str = "GuardNoData";

/// Where no data plane reports back.
const NO_COUNTS: &str = "nobody counts the requests: a guard needs Sluice's proxies";

/// Takes in what came since the last look. True if the canary is condemned: then the abort is recorded before anything
/// is done about it.
pub(super) fn judge(scene: &Scene<'_>, draft: &mut Draft) -> bool {
    let Some(guard) = guard(scene) else {
        draft.status.canary.guard = None;
        conditions::remove(&mut draft.status, Kind::Guard);
        return false;
    };
    if !analysis::counts(scene, draft) {
        release(draft);
        return false;
    }
    let facts = match &scene.world.traffic {
        Traffic::Ready(facts) => facts,
        // Nothing is known for now; what came meanwhile is told later.
        Traffic::Unknown { .. } => {
            draft.gate = Gate::Unknown;
            return false;
        }
        Traffic::NotConfigured => {
            be_blind(scene, guard, draft);
            return gate::ends(scene, draft);
        }
    };
    let now = scene.now().timestamp();
    let saved = look(scene, guard, facts, draft).save();
    // As it is written down, so that whoever reads it says the same.
    let Ok(judge) = Judge::restore(saved.clone()) else { return false };
    let said = judge.verdict(now);
    draft.gate = Gate::of(guard, &judge, &said);
    let recorded = draft.status.canary.guard.as_ref();
    let foretold = recorded.is_some_and(|it| it.foretold);
    let held_since = recorded.and_then(|it| it.held_since);
    // Where the last step is done there are no pauses left.
    let power = power::of(scene, &Position::of(&draft.status), &judge);
    let power = power.filter(|_| !foretold && held_since.is_none());
    let known = GuardStatus {
        pod_hash: scene.hash.clone(),
        verdict: verdict(&said),
        message: message(scene, guard, &judge, &said),
        at: now,
        judge: serde_json::to_string(&saved).unwrap_or_default(),
        foretold: foretold || power.is_some(),
        held_since,
        ..counted(&judge)
    };
    draft.guard = Some(known.clone());
    draft.wake_at(scene.now() + TimeDelta::seconds(1));
    if let Some(power) = power {
        draft.normal(POWER, power.to_string());
    }
    let saved = draft.status.canary.guard.as_ref().filter(|it| it.pod_hash == scene.hash);
    let before = saved.map(|it| it.verdict);
    let is_news = saved.is_none_or(|it| is_news(it, &known));
    is_news && say(scene, known, (before, said.split.is_broken()), draft) || gate::ends(scene, draft)
}

/// Without a data plane that reports back nothing is ever known.
fn be_blind(scene: &Scene<'_>, guard: &Guard, draft: &mut Draft) {
    draft.gate = Gate::without_data(guard);
    let held_since = draft.status.canary.guard.as_ref().and_then(|it| it.held_since);
    draft.status.canary.guard = Some(GuardStatus {
        pod_hash: scene.hash.clone(),
        message: NO_COUNTS.to_owned(),
        held_since,
        ..GuardStatus::default()
    });
    conditions::set(&mut draft.status, Kind::Guard, Truth::Unknown, BLIND, NO_COUNTS, scene.start());
}

/// The judge with all that has become known.
fn look(scene: &Scene<'_>, guard: &Guard, facts: &Facts, draft: &Draft) -> Judge {
    let now = scene.now().timestamp();
    let held = held(scene, draft).and_then(|it| restore(it, &guard.settings));
    let mut judge = match held {
        Some(judge) if judge.has_compared() || has_pods(scene, guard) => judge,
        // What comes before there are enough pods is not looked at, also not later.
        Some(_) | None => Judge::since(guard.settings.clone(), now),
    };
    for cohort in traffic::cohorts(scene, facts).complete(judge.judged_until(), now) {
        match cohort {
            Cohort::Pure(tick) => judge.take(&tick),
            Cohort::Mixed(second) => judge.drop(second),
        }
    }
    judge
}

/// Records the verdict, given the last one and whether the split is broken. True if it condemns the canary.
fn say(
    scene: &Scene<'_>,
    known: GuardStatus,
    (before, is_broken): (Option<GuardVerdict>, bool),
    draft: &mut Draft,
) -> bool {
    let (verdict, message) = (known.verdict, known.message.clone());
    let held = known.held_since.is_some();
    draft.status.canary.guard = Some(known);
    let (truth, reason) = match verdict {
        GuardVerdict::Fail => (Truth::False, FAILED),
        GuardVerdict::Pass => (Truth::True, PASSED),
        GuardVerdict::Continue if is_broken => (Truth::Unknown, SPLIT),
        GuardVerdict::Continue if held => (Truth::Unknown, gate::HOLDS),
        GuardVerdict::Continue => (Truth::Unknown, CONTINUES),
    };
    let is_new = conditions::set(&mut draft.status, Kind::Guard, truth, reason, &message, scene.start());
    match verdict {
        GuardVerdict::Fail => {
            condemn(scene, FAILED, message, draft);
            true
        }
        GuardVerdict::Pass if before != Some(GuardVerdict::Pass) => {
            draft.normal(PASSED, message);
            false
        }
        GuardVerdict::Continue if is_new && reason == SPLIT => {
            draft.warning(SPLIT, message);
            false
        }
        GuardVerdict::Pass | GuardVerdict::Continue => false,
    }
}

/// Aborts the update.
fn condemn(scene: &Scene<'_>, reason: &str, message: String, draft: &mut Draft) {
    commands::abort(scene, draft);
    draft.abort_reason = Some(format!("Guard {message}"));
    draft.warning(reason, message);
    draft.because(Why::Aborted);
}

/// The guard; `None` without one, and while there is no canary beside a stable version.
fn guard<'w>(scene: &Scene<'w>) -> Option<&'w Guard> {
    let Strategy::Canary(canary) = &scene.spec.strategy else { return None };
    let stable = scene.stable?;
    canary.guard.as_ref().filter(|_| scene.new.is_some() && stable.hash != scene.hash)
}

fn verdict(said: &Verdict) -> GuardVerdict {
    match said.outcome {
        Outcome::Fail(_) => GuardVerdict::Fail,
        Outcome::Pass => GuardVerdict::Pass,
        Outcome::Continue(_) => GuardVerdict::Continue,
    }
}

fn message(scene: &Scene<'_>, guard: &Guard, judge: &Judge, said: &Verdict) -> String {
    if judge.has_compared() || has_pods(scene, guard) {
        return said.to_string();
    }
    let available = scene.new.map_or(0, |new| new.status.available);
    let wanted = guard.minimum_pods;
    format!("CONTINUE: the canary is judged once {wanted} of its pods are available, which {available} are")
}

fn has_pods(scene: &Scene<'_>, guard: &Guard) -> bool {
    scene.new.is_some_and(|new| new.status.available >= guard.minimum_pods)
}

/// Whether the status has to say it: at once if the verdict is another, and else what has changed, now and then.
fn is_news(saved: &GuardStatus, known: &GuardStatus) -> bool {
    let changed = saved.message != known.message || saved.judge != known.judge;
    saved.verdict != known.verdict
        || saved.foretold != known.foretold
        || changed && known.at - saved.at >= SAVED_EVERY
}

/// The counts that a verdict rests on.
fn counted(judge: &Judge) -> GuardStatus {
    let count = |Arm { requests, bad }| GuardCount { requests, bad };
    let Counts { canary, stable } = judge.compared();
    GuardStatus { canary: count(canary), stable: count(stable), ..GuardStatus::default() }
}

/// The newest that is known of this version.
fn held<'a>(scene: &'a Scene<'_>, draft: &'a Draft) -> Option<&'a GuardStatus> {
    let known = scene.world.guard.iter().chain(&scene.before.canary.guard);
    // What was forgotten, because the update began anew, stays so.
    let counts = draft.status.canary.guard.is_some();
    known.filter(|it| counts && it.pod_hash == scene.hash).max_by_key(|it| it.at)
}

/// The judge as it was left; `None` if it was asked for something else, or cannot be read: then evidence begins anew,
/// which costs time and no verdict.
fn restore(held: &GuardStatus, settings: &Settings) -> Option<Judge> {
    let judge = Judge::restore(serde_json::from_str(&held.judge).ok()?).ok()?;
    judge.settings().ask_the_same(settings).then_some(judge)
}
