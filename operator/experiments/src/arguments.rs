//! What the values of an analysis' arguments may refer to: the Experiment and its ReplicaSets.

use crds::analysis::Argument;
use crds::duration;
use crds::go_json::rfc3339_seconds;

use crate::plan::Scene;

/// Arguments with everything that they refer to filled in. What comes from a Secret is filled in when it is measured.
///
/// # Errors
///
/// In Argo's words what cannot be filled in.
pub(crate) fn resolve(scene: &Scene<'_>, arguments: &[Argument]) -> Result<Vec<Argument>, String> {
    arguments
        .iter()
        .map(|argument| {
            let value = argument.value.as_deref().map(|text| fill(scene, text)).transpose()?;
            Ok(Argument { value, ..argument.clone() })
        })
        .collect()
}

fn fill(scene: &Scene<'_>, text: &str) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (tag, after) = after
            .split_once("}}")
            .ok_or_else(|| format!("Cannot find end tag=\"}}}}\" in the template starting from {after:?}"))?;
        filled.push_str(before);
        let value = value(scene, tag.trim()).ok_or_else(|| format!("failed to resolve {{{{{tag}}}}}"))?;
        filled.push_str(&value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn value(scene: &Scene<'_>, tag: &str) -> Option<String> {
    let available_at = scene.before.available_at;
    match tag {
        "experiment.availableAt" => available_at.map(rfc3339_seconds),
        "experiment.finishedAt" => {
            let duration = duration::parse(scene.spec.duration.as_deref()?).ok()?;
            Some(rfc3339_seconds(available_at? + duration))
        }
        tag => {
            let tag = tag.strip_prefix("templates.")?;
            if let Some(template) = tag.strip_suffix(".podTemplateHash") {
                scene.replica_set(template).map(|set| set.hash.clone())
            } else {
                scene.replica_set(tag.strip_suffix(".replicaset.name")?).map(|set| set.name.clone())
            }
        }
    }
}
