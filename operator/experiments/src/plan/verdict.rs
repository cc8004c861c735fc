//! What the Experiment has come to, from its templates and its analyses.

use crds::analysis::AnalysisPhase;
use crds::experiment::TemplatePhase;

use super::Scene;
use super::draft::Draft;
use super::scene::required_are_good;

/// While its time has not begun.
const AWAITING: &str = "Waiting until every proxy serves the weights";

/// A phase and why.
type Verdict = (AnalysisPhase, Option<String>);

/// Concludes. A verdict stays; an Experiment that is seen for the first time is only taken note of.
pub(super) fn conclude(scene: &Scene<'_>, draft: &mut Draft) {
    let (phase, message) = match scene.before.phase {
        None => (AnalysisPhase::Pending, scene.before.message.clone()),
        Some(AnalysisPhase::Pending | AnalysisPhase::Running) => {
            let templates = of_templates(scene, draft);
            if templates.0 == AnalysisPhase::Running && draft.status.available_at.is_none() {
                if scene.awaits_weights() {
                    draft.status.phase = Some(AnalysisPhase::Running);
                    draft.status.message = Some(AWAITING.to_owned());
                    return;
                }
                draft.status.available_at = Some(scene.start());
            }
            decide(scene, templates, of_analyses(scene, draft), draft)
        }
        Some(
            AnalysisPhase::Successful
            | AnalysisPhase::Failed
            | AnalysisPhase::Error
            | AnalysisPhase::Inconclusive,
        ) => return,
    };
    draft.status.phase = Some(phase);
    draft.status.message = message;
}

fn decide(scene: &Scene<'_>, templates: Verdict, analyses: Verdict, draft: &Draft) -> Verdict {
    if templates.0.is_completed() {
        // Where nothing has to be waited for, the time was what it was about.
        let waits = scene.spec.analyses.iter().any(|it| it.required_for_completion);
        let judged = analyses.0.is_completed() || waits;
        return if templates.0 == AnalysisPhase::Successful && judged { analyses } else { templates };
    }
    let bad = analyses.0.is_completed() && analyses.0 != AnalysisPhase::Successful;
    if bad || required_are_good(scene.spec, &draft.status) { analyses } else { templates }
}

/// The worst of the templates.
fn of_templates(scene: &Scene<'_>, draft: &Draft) -> Verdict {
    let mut worst = (TemplatePhase::Successful, None);
    for template in &scene.spec.templates {
        let status = draft.status.template_statuses.iter().find(|it| it.name == template.name);
        let phase = status.and_then(|it| it.status).unwrap_or(TemplatePhase::Progressing);
        if badness_of_template(phase) > badness_of_template(worst.0) {
            worst = (phase, status.and_then(|it| it.message.clone()));
        }
    }
    let phase = match worst.0 {
        TemplatePhase::Successful => AnalysisPhase::Successful,
        TemplatePhase::Running => AnalysisPhase::Running,
        TemplatePhase::Progressing => AnalysisPhase::Pending,
        TemplatePhase::Error => AnalysisPhase::Error,
        TemplatePhase::Failed => AnalysisPhase::Failed,
    };
    (phase, worst.1)
}

/// The worst of the analyses; good if there are none.
fn of_analyses(scene: &Scene<'_>, draft: &Draft) -> Verdict {
    let mut worst = (AnalysisPhase::Successful, None);
    for analysis in &scene.spec.analyses {
        let status = draft.status.analysis_runs.iter().find(|it| it.name == analysis.name);
        let Some((status, phase)) = status.and_then(|it| Some((it, it.phase?))) else { continue };
        if phase.badness() > worst.0.badness() {
            worst = (phase, status.message.clone());
        }
    }
    match worst.0 {
        AnalysisPhase::Successful if required_are_good(scene.spec, &draft.status) => {
            (AnalysisPhase::Successful, Some("Required AnalysisRuns completed".to_owned()))
        }
        // The Experiment is on its way, whether its runs are or not.
        AnalysisPhase::Pending => (AnalysisPhase::Running, worst.1),
        AnalysisPhase::Successful
        | AnalysisPhase::Running
        | AnalysisPhase::Inconclusive
        | AnalysisPhase::Error
        | AnalysisPhase::Failed => worst,
    }
}

const fn badness_of_template(phase: TemplatePhase) -> u8 {
    match phase {
        TemplatePhase::Successful => 0,
        TemplatePhase::Running => 1,
        TemplatePhase::Progressing => 2,
        TemplatePhase::Error => 3,
        TemplatePhase::Failed => 4,
    }
}
