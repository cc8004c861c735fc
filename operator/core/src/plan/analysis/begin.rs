//! A run that begins.

use std::collections::BTreeMap;

use crds::analysis::AnalysisRunSpec;
use crds::contract::{
    INSTANCE_ID_LABEL, POD_TEMPLATE_HASH_LABEL, REVISION_ANNOTATION, ROLLOUT_TYPE_LABEL,
    RUN_FINGERPRINT_ANNOTATION, STEP_INDEX_LABEL,
};
use crds::rollout::status::AnalysisRunStatusRef;
use serde_json::{Value, json};

use super::super::draft::Draft;
use super::super::revision::owner_reference;
use super::super::scene::Scene;
use super::current;
use crate::analysis::{Facts, Role, merge, templates};
use crate::effect::Effect;
use crate::hash;
use crate::spec::Analysis;
use crate::why::Why;
use crate::world::AnalysisRun;

/// Creates a run and makes it the current one of its role; or finds the one that was created by a plan whose status was
/// never recorded.
pub(super) fn begin(scene: &Scene<'_>, revision: i64, role: Role, analysis: &Analysis, draft: &mut Draft) {
    let made = match make(scene, analysis) {
        Ok(made) => made,
        Err(problem) => {
            let message = format!("{}: {problem}", role.path());
            draft.because(Why::AnalysisBlocked { message: message.clone() });
            draft.analysis_blocked.get_or_insert(message);
            current::leave(role, draft);
            return;
        }
    };
    let found = scene.world.analysis.runs.iter().find(|(_, run)| is_it(scene, run, role, &made));
    let name = if let Some((name, _)) = found {
        name.clone()
    } else {
        let name = free_name(scene, role.run_name(&scene.spec.name, &scene.hash, revision));
        let manifest = manifest(scene, revision, role, analysis, &name, &made);
        draft.afterwards(Effect::CreateAnalysisRun { name: name.clone(), manifest });
        name
    };
    let (status, message) = found.map_or((None, None), |(_, run)| (run.phase, run.message.clone()));
    draft.because(Why::StartingAnalysis { run: name.clone() });
    *current::slot(&mut draft.status, role) = Some(AnalysisRunStatusRef { name, status, message });
}

/// What a run is made of.
struct Made {
    spec: Value,
    fingerprint: String,
}

fn make(scene: &Scene<'_>, analysis: &Analysis) -> Result<Made, String> {
    let found = templates::find(&analysis.templates, &scene.world.analysis.templates);
    let found = found.map_err(|missing| missing.why)?;
    let stable = scene.before.stable_rs.as_deref().unwrap_or_default();
    let facts = Facts { rollout: &scene.world.rollout, latest: &scene.hash, stable };
    let spec: AnalysisRunSpec = merge::run(analysis, &found, &facts)?;
    let spec = serde_json::to_value(spec).map_err(|error| error.to_string())?;
    Ok(Made { fingerprint: hash::run_fingerprint(&spec), spec })
}

/// A run that does the same for the same version and has not ended. One that was told to end is none: with Argo a retry
/// in that moment takes it for good.
fn is_it(scene: &Scene<'_>, run: &AnalysisRun, role: Role, made: &Made) -> bool {
    run.owned
        && !run.deleting
        && !run.terminate
        && !run.is_completed()
        && run.role == Some(role)
        && run.hash.as_deref() == Some(scene.hash.as_str())
        && run.fingerprint.as_deref() == Some(made.fingerprint.as_str())
}

/// The name, with the lowest number behind it that makes it free.
fn free_name(scene: &Scene<'_>, name: String) -> String {
    let taken = &scene.world.analysis.runs;
    if !taken.contains_key(&name) {
        return name;
    }
    let numbered = (1..=taken.len()).map(|number| format!("{name}.{number}"));
    // Of one more names than there are runs, one is free.
    numbered.into_iter().find(|it| !taken.contains_key(it)).unwrap_or(name)
}

fn manifest(
    scene: &Scene<'_>,
    revision: i64,
    role: Role,
    analysis: &Analysis,
    name: &str,
    made: &Made,
) -> Value {
    let mut annotations = BTreeMap::from([(REVISION_ANNOTATION.to_owned(), revision.to_string())]);
    annotations.extend(analysis.annotations.clone());
    annotations.insert(RUN_FINGERPRINT_ANNOTATION.to_owned(), made.fingerprint.clone());
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {
            "name": name,
            "namespace": scene.world.rollout.metadata.namespace,
            "labels": labels(scene, role, analysis),
            "annotations": annotations,
            "ownerReferences": [owner_reference(scene.world)],
        },
        "spec": made.spec,
    })
}

/// Ours, then what the analysis adds, then the labels that the Rollout selects its pods by; later ones win, as in Argo.
fn labels(scene: &Scene<'_>, role: Role, analysis: &Analysis) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        (POD_TEMPLATE_HASH_LABEL.to_owned(), scene.hash.clone()),
        (ROLLOUT_TYPE_LABEL.to_owned(), role.label().to_owned()),
    ]);
    if let Role::Step(index) = role {
        labels.insert(STEP_INDEX_LABEL.to_owned(), index.to_string());
    }
    let own = scene.world.rollout.metadata.labels.as_ref();
    if let Some(instance) = own.and_then(|labels| labels.get(INSTANCE_ID_LABEL)) {
        labels.insert(INSTANCE_ID_LABEL.to_owned(), instance.clone());
    }
    labels.extend(analysis.labels.clone());
    labels.extend(scene.spec.selector.written().match_labels.clone().unwrap_or_default());
    labels
}
