//! The current runs: those that the status names.

use crds::analysis::AnalysisPhase;
use crds::rollout::RolloutStatus;
use crds::rollout::status::AnalysisRunStatusRef;

use super::super::draft::Draft;
use super::super::scene::Scene;
use super::super::window;
use crate::analysis::Role;
use crate::world::AnalysisRun;

/// Whether analyses have a say now: while an update goes its way. A full promotion and a rollback within the window
/// skip them, and an abort does not wait for them.
pub(in crate::plan) fn counts(scene: &Scene<'_>, draft: &Draft) -> bool {
    let status = &draft.status;
    let updating = status.stable_rs.as_deref().is_some_and(|stable| stable != scene.hash);
    updating && !status.abort && !status.promote_full && !window::is_rollback(scene)
}

/// Where the status names the run of a role.
pub(super) fn slot(status: &mut RolloutStatus, role: Role) -> &mut Option<AnalysisRunStatusRef> {
    match role {
        Role::PrePromotion => &mut status.blue_green.pre_promotion_analysis_run_status,
        Role::PostPromotion => &mut status.blue_green.post_promotion_analysis_run_status,
        Role::Step(_) => &mut status.canary.current_step_analysis_run_status,
        Role::Background => &mut status.canary.current_background_analysis_run_status,
    }
}

/// The roles of the current runs, in the order in which Argo tells of them.
pub(super) const SLOTS: [Role; 4] =
    [Role::PostPromotion, Role::PrePromotion, Role::Step(0), Role::Background];

/// What the status knows of the current runs.
pub(super) fn all(status: &RolloutStatus) -> impl Iterator<Item = &AnalysisRunStatusRef> {
    let (canary, blue_green) = (&status.canary, &status.blue_green);
    let slots = [
        &blue_green.post_promotion_analysis_run_status,
        &blue_green.pre_promotion_analysis_run_status,
        &canary.current_step_analysis_run_status,
        &canary.current_background_analysis_run_status,
    ];
    slots.into_iter().flatten()
}

/// The name of a current run that is inconclusive.
pub(super) fn inconclusive(status: &RolloutStatus) -> Option<&str> {
    let found = all(status).find(|noted| noted.status == Some(AnalysisPhase::Inconclusive));
    found.map(|noted| noted.name.as_str())
}

/// What the status knows of the current run of a role. A run of another step is none; neither is one that somebody has
/// deleted before it had a verdict: it is made anew. A verdict stays though its run is gone.
pub(super) fn held(
    scene: &Scene<'_>,
    revision: i64,
    role: Role,
    draft: &mut Draft,
) -> Option<AnalysisRunStatusRef> {
    let noted = slot(&mut draft.status, role).clone()?;
    let belongs = match own(scene, &noted.name) {
        Some(run) => !matches!(role, Role::Step(_)) || run.role == Some(role),
        None => {
            noted.status.is_some_and(AnalysisPhase::is_completed)
                && is_name(scene, revision, role, &noted.name)
        }
    };
    belongs.then_some(noted)
}

/// A run of this Rollout.
pub(super) fn own<'w>(scene: &Scene<'w>, name: &str) -> Option<&'w AnalysisRun> {
    scene.world.analysis.runs.get(name).filter(|run| run.owned)
}

/// Forgets the current run of a role, which then ends.
pub(in crate::plan) fn leave(role: Role, draft: &mut Draft) {
    *slot(&mut draft.status, role) = None;
}

/// Forgets the runs of a canary, and its Experiment.
pub(in crate::plan) fn forget_canary(status: &mut RolloutStatus) {
    status.canary.current_step_analysis_run_status = None;
    status.canary.current_background_analysis_run_status = None;
    status.canary.current_experiment = None;
}

/// Forgets the runs of blue-green.
pub(in crate::plan) fn forget_promotions(status: &mut RolloutStatus) {
    status.blue_green.pre_promotion_analysis_run_status = None;
    status.blue_green.post_promotion_analysis_run_status = None;
}

/// A name that this Rollout gives to a run of that role, with or without a number behind it.
fn is_name(scene: &Scene<'_>, revision: i64, role: Role, name: &str) -> bool {
    let first = role.run_name(&scene.spec.name, &scene.hash, revision);
    name.strip_prefix(&first).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
