//! `canary.guard`: a judge compares the new version with the stable one on the proxies' own counters, and the update is
//! aborted the moment the judge is sure.
//!
//! The judge may be asked at any moment without being wrong more often (see the crate `operator-judge`), so there is no
//! interval to wait for: each look takes the requests since the last one in. Its evidence goes from plan to plan; the
//! status has it as of some seconds ago, which is what a restart goes on from. Seconds are those in which first tries
//! ended: of a version that hangs nothing is known before its requests time out.

use chrono::TimeDelta;
use crds::rollout::status::{GuardCount, GuardStatus, GuardVerdict};
use operator_judge::Judge;
use operator_judge::counts::{Arm, Sample, Second, Tick};
use operator_judge::settings::Settings;
use operator_judge::verdict::Outcome;

use super::analysis;
use super::commands;
use super::draft::Draft;
use super::scene::Scene;
use crate::conditions::{self, Kind, Truth};
use crate::spec::Strategy;
use crate::traffic::{Counts, Facts, Traffic};
use crate::why::Why;

/// How old what the status says may be.
const SAVED_EVERY: Second = 15;

/// Requests of one version wait so long for some of the other, so that the same minute is compared.
const COMPARED_WITHIN: Second = 60;

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
    let (canary, stable) = match &scene.world.traffic {
        Traffic::Ready(facts) => sums(scene, facts),
        // Nothing is known for now; the sums tell later what came meanwhile.
        Traffic::Unknown { .. } => return false,
        Traffic::NotConfigured => {
            conditions::set(&mut draft.status, Kind::Guard, Truth::Unknown, BLIND, NO_COUNTS, scene.start());
            return false;
        }
    };
    let now = scene.now().timestamp();
    let held = held(scene, draft);
    let mut judge = held.and_then(|it| restore(it, settings)).unwrap_or_else(|| Judge::new(settings.clone()));
    let mut base = (now, canary, stable);
    match held.map(|held| (held, since(held, canary, stable, now))) {
        Some((held, Since::TooLittle)) => base = (held.at, held.canary, held.stable),
        Some((_, Since::Tick(tick))) => judge.take(&tick),
        Some((_, Since::Unknown)) | None => {}
    }
    let (at, canary, stable) = base;
    let said = judge.verdict(now);
    let verdict = match said.outcome {
        Outcome::Fail(_) => GuardVerdict::Fail,
        Outcome::Pass => GuardVerdict::Pass,
        Outcome::Continue(_) => GuardVerdict::Continue,
    };
    let known = GuardStatus {
        pod_hash: scene.hash.clone(),
        verdict,
        message: said.to_string(),
        at,
        canary,
        stable,
        judge: serde_json::to_string(&judge.save()).unwrap_or_default(),
    };
    draft.guard = Some(known.clone());
    draft.wake_at(scene.now() + TimeDelta::seconds(1));
    let saved = draft.status.canary.guard.as_ref().filter(|it| it.pod_hash == scene.hash);
    let before = saved.map(|it| it.verdict);
    if saved.is_some_and(|it| it.verdict == verdict && at - it.at < SAVED_EVERY) {
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

/// The sums of the new and the stable version.
fn sums(scene: &Scene<'_>, facts: &Facts) -> (GuardCount, GuardCount) {
    let of = |hash: &str| {
        let Counts { requests, bad } = facts.counts.get(hash).copied().unwrap_or_default();
        GuardCount { requests, bad }
    };
    (of(&scene.hash), scene.stable.map(|stable| of(&stable.hash)).unwrap_or_default())
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
    (judge.settings() == settings).then_some(judge)
}

/// What came since the last look that counted.
enum Since {
    /// Nothing yet that could be compared.
    TooLittle,
    /// Requests of both.
    Tick(Tick),
    /// Sums began anew, with another traffic server, or for long there was nothing to compare: what came in between is
    /// left out.
    Unknown,
}

fn since(held: &GuardStatus, canary: GuardCount, stable: GuardCount, now: Second) -> Since {
    let more = |now: GuardCount, then: GuardCount| {
        let requests = now.requests.checked_sub(then.requests)?;
        let bad = now.bad.checked_sub(then.bad)?;
        Some(Sample { arm: Arm { requests, bad: bad.min(requests) }, latency: Vec::new() })
    };
    let Some((canary, stable)) = more(canary, held.canary).zip(more(stable, held.stable)) else {
        return Since::Unknown;
    };
    if now <= held.at {
        return Since::TooLittle;
    }
    if canary.arm.requests == 0 || stable.arm.requests == 0 {
        return if now - held.at < COMPARED_WITHIN { Since::TooLittle } else { Since::Unknown };
    }
    Since::Tick(Tick { second: now, canary, stable, canary_share: None })
}
