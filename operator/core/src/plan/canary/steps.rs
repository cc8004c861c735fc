//! One step after the other, then the promotion.

use chrono::TimeDelta;
use crds::rollout::PauseReason;

use super::super::analysis::{self, Standing};
use super::super::draft::Draft;
use super::super::experiment::{self, Place};
use super::super::guard;
use super::super::pause::{self, Pause};
use super::super::promotion;
use super::super::window;
use super::Scene;
use super::managed;
use super::replica_sets::sizes;
use super::services;
use super::traffic;
use super::trials;
use super::verify::Confirmation;
use crate::analysis::Role;
use crate::replicas;
use crate::spec::Step;
use crate::step_text::step_text;
use crate::weight::{self, Position, Weight};
use crate::why::Why;
use crate::world::ReplicaSet;

/// Moves traffic to what the current step asks for, and the index on when the world shows it. Returns the weight that
/// the plan writes, if it writes one.
pub(super) fn advance(
    scene: &Scene<'_>,
    new: &ReplicaSet,
    revision: i64,
    draft: &mut Draft,
) -> Option<Weight> {
    let position = Position::of(&draft.status);
    let target = weight::set_weight(scene.canary, &position);
    let writing =
        scene.routed.as_ref().and_then(|routed| traffic::to_canary(scene, routed, new, target, draft));
    services::follow(scene, draft);
    if scene.spec.paused {
        draft.because(Why::UserPaused);
        return writing;
    }
    if !measured_beside(scene, revision, &position, draft) {
        return writing;
    }
    let step = weight::current_step(scene.canary, &position);
    if !matches!(step, Some(Step::Analysis(_))) {
        analysis::leave(Role::Step(position.step), draft);
    }
    if !matches!(step, Some(Step::Experiment(_))) {
        experiment::leave(draft);
    }
    if !matches!(step, Some(Step::Pause(_))) {
        pause::leave(PauseReason::CanaryPauseStep, draft);
    }
    if !is_last(scene, position.step) {
        guard::release(draft);
    } else if guard::is_held(draft) {
        complete(scene, position.step, draft);
        return writing;
    }
    match step {
        Some(Step::SetWeight(_)) => {
            if weighted(scene, target, draft) && sized(scene, draft) {
                complete(scene, position.step, draft);
            }
        }
        Some(Step::SetCanaryScale(_)) => {
            if sized(scene, draft) {
                complete(scene, position.step, draft);
            }
        }
        Some(Step::SetRoute(_)) => {
            if managed_routes_served(scene, draft) {
                complete(scene, position.step, draft);
            }
        }
        Some(Step::Analysis(analysis)) => {
            let standing = analysis::run(scene, revision, Role::Step(position.step), analysis, draft);
            if standing == Standing::Successful {
                complete(scene, position.step, draft);
            }
        }
        Some(Step::Experiment(experiment)) => {
            let place = Place { new, revision, step: position.step };
            trials::keep(scene, experiment, draft);
            let standing = experiment::run(scene, place, experiment, draft);
            if standing == Standing::Successful && trials::gone(scene, draft) {
                complete(scene, position.step, draft);
            }
        }
        Some(Step::Pause(duration)) => pause(scene, position.step, *duration, draft),
        None => {
            if full(scene, new, draft) && weighted(scene, target, draft) {
                promotion::commit(scene, revision, &reason(scene, draft), draft);
            }
        }
    }
    writing
}

/// Sees to the analysis beside the steps. False while the update must not go on: somebody has to decide about a run that
/// is inconclusive, or one has to begin first.
fn measured_beside(scene: &Scene<'_>, revision: i64, position: &Position, draft: &mut Draft) -> bool {
    if analysis::halts(draft) {
        analysis::hold(draft);
        return false;
    }
    match weight::background(scene.canary, position).filter(|_| analysis::counts(scene, draft)) {
        None => {
            analysis::leave(Role::Background, draft);
            true
        }
        Some(background) => analysis::goes_on(scene, revision, Role::Background, background, draft),
    }
}

fn is_last(scene: &Scene<'_>, step: usize) -> bool {
    step + 1 == scene.steps()
}

/// Why the new version is promoted, in Argo's words.
fn reason(scene: &Scene<'_>, draft: &Draft) -> String {
    if draft.status.promote_full {
        "Full promotion requested".to_owned()
    } else if window::is_rollback(scene) {
        "Rollback within window".to_owned()
    } else {
        format!("Completed all {} canary steps", scene.steps())
    }
}

/// The ReplicaSets have the sizes of the step, and enough of the canary is available.
fn sized(scene: &Scene<'_>, draft: &mut Draft) -> bool {
    let position = Position::of(&draft.status);
    let sizes = sizes(scene);
    if replicas::at_desired(scene.spec.replicas, scene.canary, &position, &sizes) {
        return true;
    }
    let wanted = replicas::wanted(scene.spec.replicas, scene.canary, &position, &sizes).canary;
    wait_for_pods(scene, wanted, draft);
    false
}

/// All pods of the new version are available, so that it can carry everything.
fn full(scene: &Scene<'_>, new: &ReplicaSet, draft: &mut Draft) -> bool {
    let wanted = scene.spec.replicas;
    let there = new.replicas >= wanted
        && (new.lasting() >= wanted || replicas::enough(scene.canary.threshold, new.lasting(), wanted));
    if !there {
        wait_for_pods(scene, wanted, draft);
    }
    there
}

/// The weight is written and served. A basic canary has none, only Services that may have to be switched first.
fn weighted(scene: &Scene<'_>, weight: Weight, draft: &mut Draft) -> bool {
    let Some(routed) = &scene.routed else { return !draft.writes_route() };
    let pointed = weight == Weight::ZERO || routed.canary_hash() == Some(scene.hash.as_str());
    if draft.writes_route() || !pointed || !routed.all_have(weight) {
        draft.because(Why::Weighting { weight: routed.parts(weight) });
        return false;
    }
    match routed.weight_confirmed(scene) {
        Confirmation::Confirmed => true,
        Confirmation::Pending(why) => {
            draft.because(why);
            false
        }
    }
}

/// The managed routes are written and served, and one that the step removes is gone.
fn managed_routes_served(scene: &Scene<'_>, draft: &mut Draft) -> bool {
    let Some(routed) = scene.routed.as_ref().filter(|_| !draft.writes_route()) else { return false };
    if routed.routes.is_empty()
        && routed.routing.with_managed_routes().next().is_some()
        && !weight::managed_routes(scene.canary, &Position::of(&draft.status)).is_empty()
    {
        wait_for_pods(scene, 1, draft);
        return false;
    }
    match managed::confirmed(scene, routed) {
        Confirmation::Confirmed => true,
        Confirmation::Pending(why) => {
            draft.because(why);
            false
        }
    }
}

fn wait_for_pods(scene: &Scene<'_>, wanted: i32, draft: &mut Draft) {
    if let Some(new) = scene.new.filter(|new| new.lasting() < wanted) {
        draft.because(Why::WaitingForPods {
            replica_set: new.name.clone(),
            available: new.lasting(),
            wanted,
        });
    }
}

fn pause(scene: &Scene<'_>, step: usize, duration: Option<TimeDelta>, draft: &mut Draft) {
    match pause::hold(scene, PauseReason::CanaryPauseStep, duration, draft) {
        Pause::Over => complete(scene, step, draft),
        Pause::Holds => {}
    }
}

/// The step is done. After the last one comes the promotion, which a guard may hold.
fn complete(scene: &Scene<'_>, step: usize, draft: &mut Draft) {
    if is_last(scene, step) && !guard::opens(scene, draft) {
        pause::leave(PauseReason::CanaryPauseStep, draft);
        return;
    }
    guard::release(draft);
    let of = scene.steps();
    let canary = scene.world.rollout.spec.strategy.canary.as_ref();
    let text = canary.and_then(|canary| canary.steps.get(step)).map(step_text).unwrap_or_default();
    draft.status.current_step_index = i32::try_from(step + 1).ok();
    pause::leave(PauseReason::CanaryPauseStep, draft);
    analysis::leave(Role::Step(step), draft);
    experiment::leave(draft);
    draft.normal("RolloutStepCompleted", format!("Rollout step {}/{of} completed ({text})", step + 1));
    draft.because(Why::StepCompleted { step: step + 1, of });
}
