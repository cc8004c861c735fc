//! `canary.guard`: a judge compares the new version with the stable one on the proxies' own counters, and the update is
//! aborted the moment the judge is sure.
//!
//! The judge may be asked at any moment without being wrong more often (see the crate `operator-judge`), so there is no
//! interval to wait for: each look takes in the seconds that have become complete since the last one. Its evidence goes
//! from plan to plan; the status has it as of some seconds ago, which is what a restart goes on from: seconds are known
//! for a while, and none is taken twice.

mod traffic;

use chrono::TimeDelta;
use crds::rollout::status::{GuardCount, GuardStatus, GuardVerdict};
use operator_judge::Judge;
use operator_judge::cohorts::Cohort;
use operator_judge::counts::{Arm, Counts, Second};
use operator_judge::settings::Settings;
use operator_judge::verdict::Outcome;

use super::analysis;
use super::commands;
use super::draft::Draft;
use super::scene::Scene;
use crate::conditions::{self, Kind, Truth};
use crate::spec::Strategy;
use crate::traffic::Traffic;
use crate::why::Why;

/// How old what the status says may be.
const SAVED_EVERY: Second = 15;

/// Reasons of the condition, and of the events.
const FAILED: &str = "GuardFailed";
const PASSED: &str = "GuardPassed";
const CONTINUES: &str = "GuardContinues";
const BLIND: &str = "GuardBlind";

/// Where no data plane reports back.
const NO_COUNTS: &str = "nobody counts the requests: a guard needs Sluice's proxies";

/// Takes in what came since the last look. True if the canary is condemned: then the abort is recorded before anything
/// is done about it.
pub(super) fn judge(scene: &Scene<'_>, draft: &mut Draft) -> bool {
    let Some(settings) = settings(scene) else {
        draft.status.canary.guard = None;
        conditions::remove(&mut draft.status, Kind::Guard);
        return false;
    };
    if !analysis::counts(scene, draft) {
        return false;
    }
    let facts = match &scene.world.traffic {
        Traffic::Ready(facts) => facts,
        // Nothing is known for now; what came meanwhile is told later.
        Traffic::Unknown { .. } => return false,
        Traffic::NotConfigured => {
            conditions::set(&mut draft.status, Kind::Guard, Truth::Unknown, BLIND, NO_COUNTS, scene.start());
            return false;
        }
    };
    let now = scene.now().timestamp();
    let held = held(scene, draft).and_then(|it| restore(it, settings));
    let mut judge = held.unwrap_or_else(|| Judge::since(settings.clone(), now));
    for cohort in traffic::cohorts(scene, facts).complete(judge.judged_until(), now) {
        match cohort {
            Cohort::Pure(tick) => judge.take(&tick),
            Cohort::Mixed(second) => judge.drop(second),
        }
    }
    let said = judge.verdict(now);
    let verdict = match said.outcome {
        Outcome::Fail(_) => GuardVerdict::Fail,
        Outcome::Pass => GuardVerdict::Pass,
        Outcome::Continue(_) => GuardVerdict::Continue,
    };
    let Counts { canary, stable } = judge.compared();
    let known = GuardStatus {
        pod_hash: scene.hash.clone(),
        verdict,
        message: said.to_string(),
        at: now,
        canary: count(canary),
        stable: count(stable),
        judge: serde_json::to_string(&judge.save()).unwrap_or_default(),
    };
    draft.guard = Some(known.clone());
    draft.wake_at(scene.now() + TimeDelta::seconds(1));
    let saved = draft.status.canary.guard.as_ref().filter(|it| it.pod_hash == scene.hash);
    let before = saved.map(|it| it.verdict);
    if saved.is_some_and(|it| !is_news(it, &known)) {
        return false;
    }
    let message = known.message.clone();
    draft.status.canary.guard = Some(known);
    let (truth, reason) = match verdict {
        GuardVerdict::Fail => (Truth::False, FAILED),
        GuardVerdict::Pass => (Truth::True, PASSED),
        GuardVerdict::Continue => (Truth::Unknown, CONTINUES),
    };
    conditions::set(&mut draft.status, Kind::Guard, truth, reason, &message, scene.start());
    match verdict {
        GuardVerdict::Fail => {
            commands::abort(scene, draft);
            draft.warning(FAILED, message.clone());
            draft.abort_reason = Some(format!("Guard {message}"));
            draft.because(Why::Aborted);
            true
        }
        GuardVerdict::Pass if before != Some(GuardVerdict::Pass) => {
            draft.normal(PASSED, message);
            false
        }
        GuardVerdict::Pass | GuardVerdict::Continue => false,
    }
}

/// What is to be watched; `None` without a guard, and while there is no canary beside a stable version.
fn settings<'w>(scene: &Scene<'w>) -> Option<&'w Settings> {
    let Strategy::Canary(canary) = &scene.spec.strategy else { return None };
    let stable = scene.stable?;
    canary.guard.as_ref().filter(|_| scene.new.is_some() && stable.hash != scene.hash)
}

/// Whether the status has to say it: at once if the verdict is another, and else what has changed, now and then.
fn is_news(saved: &GuardStatus, known: &GuardStatus) -> bool {
    let changed = saved.message != known.message || saved.judge != known.judge;
    saved.verdict != known.verdict || changed && known.at - saved.at >= SAVED_EVERY
}

fn count(arm: Arm) -> GuardCount {
    let Arm { requests, bad } = arm;
    GuardCount { requests, bad }
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
