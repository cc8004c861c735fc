//! An effect that the API server does not allow: the template or analysis that asked for it ends as an error, and the
//! Experiment with it, as in Argo. What may pass by itself is tried again, and does not come here.

use crds::experiment::{ExperimentAnalysisRunStatus, ExperimentTemplate, TemplatePhase, TemplateStatus};
use operator_core::effect::Effect;

use super::draft::Draft;
use super::{Plan, Scene, analysis, conditions, template, verdict};
use crate::world::World;

/// The plan that records a refusal; `why` are the words of the API server. `None` where there is nothing to end: then it
/// is tried again.
#[must_use]
pub fn refused(world: &World, effect: &Effect, why: &str) -> Option<Plan> {
    let scene = Scene::new(world);
    let mut draft = Draft::new(&scene);
    match effect {
        Effect::CreateReplicaSet { name, .. } => {
            let template = of_replica_set(&scene, name)?;
            let message = format!("Failed to create ReplicaSet for template '{template}': {why}");
            end_template(&scene, template, message, &mut draft)?;
        }
        Effect::ScaleReplicaSet { target, to, .. } => {
            let template = of_replica_set(&scene, &target.name)?;
            let message = format!(
                "Unable to scale ReplicaSet for template '{template}' to desired replica count '{to}': {why}"
            );
            end_template(&scene, template, message, &mut draft)?;
        }
        Effect::CreateService { name, .. } => {
            let of_template = |it: &&ExperimentTemplate| {
                let own = it.service.as_ref().and_then(|service| service.name.as_ref());
                it.service.is_some()
                    && own.map_or_else(|| scene.replica_set_name(&it.name) == *name, |own| own == name)
            };
            let template = scene.spec.templates.iter().find(of_template)?.name.as_str();
            let message = format!("Failed to create Service {name} for template '{template}': {why}");
            end_template(&scene, template, message, &mut draft)?;
        }
        Effect::CreateAnalysisRun { name, .. } => {
            let of_run = |analysis: &&str| {
                let base = analysis::run_name(&scene, analysis);
                name.strip_prefix(&base).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let analysis = scene.spec.analyses.iter().map(|it| it.name.as_str()).find(of_run)?;
            let message = format!("Failed to create AnalysisRun for analysis '{analysis}': {why}");
            end_analysis(&scene, analysis, message, &mut draft);
        }
        Effect::AdoptReplicaSet { .. }
        | Effect::AnnotateReplicaSet { .. }
        | Effect::SetEphemeralMetadata { .. }
        | Effect::ChangePod { .. }
        | Effect::EvictPod { .. }
        | Effect::ScaleWorkload { .. }
        | Effect::DeleteReplicaSet { .. }
        | Effect::SetServiceSelector { .. }
        | Effect::CreateMapping { .. }
        | Effect::UpdateMapping { .. }
        | Effect::DeleteMapping { .. }
        | Effect::SetRouteWeights { .. }
        | Effect::TerminateAnalysisRun { .. }
        | Effect::DeleteAnalysisRun { .. }
        | Effect::CreateExperiment { .. }
        | Effect::BeginExperiment { .. }
        | Effect::TerminateExperiment { .. }
        | Effect::DeleteExperiment { .. }
        | Effect::DeleteService { .. }
        | Effect::SetRolloutRevision { .. }
        | Effect::SetWorkloadGeneration { .. }
        | Effect::DefaultReplicas { .. }
        | Effect::Event(_) => return None,
    }
    verdict::conclude(&scene, &mut draft);
    conditions::record(&scene, &mut draft);
    Some(draft.finish(&scene))
}

/// The template of a ReplicaSet by its name.
fn of_replica_set<'w>(scene: &Scene<'w>, name: &str) -> Option<&'w str> {
    let templates = scene.spec.templates.iter().map(|it| it.name.as_str());
    templates.into_iter().find(|it| scene.replica_set_name(it) == name)
}

/// `None` for one that has ended already: its verdict stays.
fn end_template(scene: &Scene<'_>, name: &str, message: String, draft: &mut Draft) -> Option<()> {
    let held = scene.before.template_statuses.iter().find(|it| it.name == name).cloned();
    let before =
        held.unwrap_or_else(|| TemplateStatus { name: name.to_owned(), ..TemplateStatus::default() });
    if before.status.is_some_and(TemplatePhase::is_completed) {
        return None;
    }
    let mut status = before.clone();
    template::fail(&mut status, message);
    template::tell(&before, &status, draft);
    draft.note_template(status);
    Some(())
}

fn end_analysis(scene: &Scene<'_>, name: &str, message: String, draft: &mut Draft) {
    let held = scene.before.analysis_runs.iter().find(|it| it.name == name).cloned();
    let before = held.unwrap_or_else(|| ExperimentAnalysisRunStatus {
        name: name.to_owned(),
        ..ExperimentAnalysisRunStatus::default()
    });
    let mut status = before.clone();
    analysis::fail(&mut status, message);
    analysis::tell(&before, &status, draft);
    draft.note_analysis(status);
}
