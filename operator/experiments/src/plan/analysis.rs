//! One analysis: its run begins once all pods are available, is followed, and told to end with the Experiment.

use crds::analysis::AnalysisPhase;
use crds::experiment::{ExperimentAnalysis, ExperimentAnalysisRunStatus};
use crds::rollout::AnalysisTemplateRef;
use operator_core::analysis::{merge, templates};
use operator_core::effect::{Effect, EventKind, Target};
use operator_core::hash;
use operator_core::world::{AnalysisRun, Lookup};

use super::draft::Draft;
use super::{Scene, manifest};
use crate::arguments;

pub(super) fn act(scene: &Scene<'_>, analysis: &ExperimentAnalysis, draft: &mut Draft) {
    let held = scene.before.analysis_runs.iter().find(|it| it.name == analysis.name).cloned();
    let before = held.unwrap_or_else(|| ExperimentAnalysisRunStatus {
        name: analysis.name.clone(),
        ..ExperimentAnalysisRunStatus::default()
    });
    let mut status = before.clone();
    if scene.before.available_at.is_none() {
        // Nothing begins yet; what could not begin is told at once.
        if let Err(why) = exists(scene, analysis) {
            let kind = if analysis.cluster_scope { "ClusterAnalysisTemplate" } else { "AnalysisTemplate" };
            let message = format!("{kind} verification failed for analysis '{}': {why}", analysis.name);
            fail(&mut status, message);
        }
    } else if status.analysis_run.is_empty() {
        if !scene.terminating {
            begin(scene, analysis, &mut status, draft);
        }
    } else if !status.phase.is_some_and(AnalysisPhase::is_completed) {
        follow(scene, analysis, &mut status, draft);
    }
    tell(&before, &status, draft);
    draft.note_analysis(status);
}

/// Ends runs that the status does not name: of a try before this one, or of an analysis that the spec no longer has.
pub(super) fn end_others(scene: &Scene<'_>, draft: &mut Draft) {
    for (name, run) in &scene.world.runs {
        let goes_on = run.owned && !run.deleting && !run.terminate && !run.is_completed();
        if goes_on && draft.status.analysis_runs.iter().all(|it| it.analysis_run != *name) {
            draft.effect(Effect::TerminateAnalysisRun { target: target(name, run) });
        }
    }
}

/// A change of how an analysis stands.
pub(super) fn tell(
    before: &ExperimentAnalysisRunStatus,
    after: &ExperimentAnalysisRunStatus,
    draft: &mut Draft,
) {
    let Some(phase) = after.phase.filter(|phase| Some(*phase) != before.phase) else { return };
    let kind = match phase {
        AnalysisPhase::Failed | AnalysisPhase::Error | AnalysisPhase::Inconclusive => EventKind::Warning,
        AnalysisPhase::Pending | AnalysisPhase::Running | AnalysisPhase::Successful => EventKind::Normal,
    };
    let from = before.phase.map_or("", AnalysisPhase::as_str);
    let reason = after.message.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
    let message =
        format!("AnalysisRun '{}' transitioned from {from} -> {}{reason}", after.name, phase.as_str());
    draft.tell_rollout(kind, format!("AnalysisRun{}", phase.as_str()), message);
}

/// Ends an analysis that cannot be.
pub(super) fn fail(status: &mut ExperimentAnalysisRunStatus, message: String) {
    status.phase = Some(AnalysisPhase::Error);
    status.message = Some(message);
}

/// Name of the first run of an analysis.
pub(super) fn run_name(scene: &Scene<'_>, analysis: &str) -> String {
    format!("{}-{analysis}", scene.name)
}

/// How the run stands. While the Experiment ends it is told to end, too, and its verdict still counts; Argo then looks at
/// it no more, so that an Experiment that waits for it may wait for ever.
fn follow(
    scene: &Scene<'_>,
    analysis: &ExperimentAnalysis,
    status: &mut ExperimentAnalysisRunStatus,
    draft: &mut Draft,
) {
    let name = &status.analysis_run;
    let Some(run) = scene.world.runs.get(name).filter(|run| run.owned) else {
        let message = format!("analysisrun.argoproj.io \"{name}\" not found");
        fail(status, message);
        return;
    };
    if scene.terminating && !run.is_completed() && !run.terminate {
        draft.effect(Effect::TerminateAnalysisRun { target: target(name, run) });
        draft.done("AnalysisRunTerminating", format!("Terminating {} ({name})", analysis.name));
    }
    status.phase = run.phase.or(status.phase);
    status.message.clone_from(&run.message);
}

/// Creates the run; or finds the one that was created by a plan whose status was never recorded.
fn begin(
    scene: &Scene<'_>,
    analysis: &ExperimentAnalysis,
    status: &mut ExperimentAnalysisRunStatus,
    draft: &mut Draft,
) {
    match make(scene, analysis) {
        Ok(Made { name, effect }) => {
            if let Some(effect) = effect {
                draft.effect(effect);
            }
            status.phase = Some(AnalysisPhase::Pending);
            status.analysis_run = name;
        }
        Err(why) => {
            let message = format!("Failed to create AnalysisRun for analysis '{}': {why}", analysis.name);
            fail(status, message);
        }
    }
}

/// A run, and how it comes to be if it is not there yet.
struct Made {
    name: String,
    effect: Option<Effect>,
}

fn make(scene: &Scene<'_>, analysis: &ExperimentAnalysis) -> Result<Made, String> {
    exists(scene, analysis)?;
    let named = [AnalysisTemplateRef {
        template_name: analysis.template_name.clone(),
        cluster_scope: Some(analysis.cluster_scope),
    }];
    let found = templates::find(&named, &scene.world.templates).map_err(|missing| missing.why)?;
    let given = arguments::resolve(scene, &analysis.args)?;
    let spec = &scene.spec;
    let spec = merge::of_experiment(&found, &given, &spec.dry_run, &spec.measurement_retention)?;
    let written = serde_json::to_value(&spec).map_err(|error| error.to_string())?;
    let fingerprint = hash::run_fingerprint(&written);
    let base = run_name(scene, &analysis.name);
    let is_it = |name: &str, run: &AnalysisRun| {
        let named = name.strip_prefix(&base).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let goes_on = !run.deleting && !run.terminate && !run.is_completed();
        named && run.owned && goes_on && run.fingerprint.as_deref() == Some(fingerprint.as_str())
    };
    if let Some((name, _)) = scene.world.runs.iter().find(|(name, run)| is_it(name, run)) {
        return Ok(Made { name: name.clone(), effect: None });
    }
    let name = free_name(scene, base);
    let manifest = manifest::run(scene, &name, &spec, &fingerprint);
    Ok(Made { effect: Some(Effect::CreateAnalysisRun { name: name.clone(), manifest }), name })
}

/// The name, with the lowest number behind it that makes it free.
fn free_name(scene: &Scene<'_>, base: String) -> String {
    let taken = &scene.world.runs;
    let numbered = (1..=taken.len()).map(|number| format!("{base}.{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    // Of one more names than there are runs, one is free.
    names.find(|name| !taken.contains_key(name)).unwrap_or(base)
}

/// Whether the template is there, in the words of Kubernetes.
fn exists(scene: &Scene<'_>, analysis: &ExperimentAnalysis) -> Result<(), String> {
    let templates = &scene.world.templates;
    let (kind, known) = if analysis.cluster_scope {
        ("clusteranalysistemplate", &templates.of_cluster)
    } else {
        ("analysistemplate", &templates.of_namespace)
    };
    match known.get(&analysis.template_name).and_then(Lookup::found) {
        Some(Ok(_)) => Ok(()),
        Some(Err(problem)) => {
            Err(format!("{kind}.argoproj.io \"{}\" cannot be read: {problem}", analysis.template_name))
        }
        None => Err(format!("{kind}.argoproj.io \"{}\" not found", analysis.template_name)),
    }
}

fn target(name: &str, run: &AnalysisRun) -> Target {
    Target { name: name.to_owned(), uid: run.uid.clone(), resource_version: run.resource_version.clone() }
}
