//! What happened, in lines that a reviewer can read: one a change, times as seconds since the start.

use std::fmt::Write as _;

use crds::analysis::AnalysisPhase;
use crds::rollout::{RolloutPhase, RolloutStatus, WeightDestination};
use operator_core::effect::{Changes, Effect, EventKind};
use operator_core::key;
use operator_core::why::Why;
use serde_json::Value;

use super::cluster::{Cluster, start};
use super::gateway::{self, changes_text, route_text};

#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    text: String,
    /// The last reason written, to write each once.
    why: String,
    /// The last time written.
    time: String,
}

impl Transcript {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn command(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        writeln!(self.text, "> {line}").expect("a String takes text");
        self.time.clear();
    }

    pub(crate) fn line(&mut self, cluster: &Cluster, line: &str) {
        let seconds = (cluster.now - start()).num_seconds();
        let time = format!("{:>2}:{:02}", seconds / 60, seconds % 60);
        let shown = if time == self.time { "" } else { &time };
        writeln!(self.text, "{shown:>5}  {}", cluster.readable(line)).expect("a String takes text");
        self.time = time;
    }

    pub(crate) fn why(&mut self, cluster: &Cluster, why: &Why) {
        let text = why.to_string();
        if text != self.why {
            self.line(cluster, &format!("why     {text}"));
            self.why = text;
        }
    }

    pub(crate) fn effect(&mut self, cluster: &Cluster, effect: &Effect) {
        self.line(cluster, &describe(effect));
    }

    pub(crate) fn refused(&mut self, cluster: &Cluster, effect: &Effect) {
        self.line(cluster, &format!("{} refused", describe(effect)));
    }

    pub(crate) fn status(&mut self, cluster: &Cluster, before: &RolloutStatus, after: &RolloutStatus) {
        let (before, after) = (summary(before), summary(after));
        if before != after {
            self.line(cluster, &format!("status  {after}"));
        }
    }
}

fn describe(effect: &Effect) -> String {
    match effect {
        Effect::CreateReplicaSet { name, manifest } => {
            let affinity = manifest.pointer("/spec/template/spec/affinity");
            let affinity = affinity.map(|it| format!(" with affinity {it}")).unwrap_or_default();
            format!("create  ReplicaSet {name}{affinity}")
        }
        Effect::AdoptReplicaSet { target, .. } => format!("adopt   ReplicaSet {}", target.name),
        Effect::ScaleReplicaSet { target, from, to, .. } => format!("scale   {} {from} -> {to}", target.name),
        Effect::AnnotateReplicaSet { target, annotations } => {
            format!("note    {}{}", target.name, changes(annotations))
        }
        Effect::SetEphemeralMetadata { target, labels, annotations, applied } => {
            let applied = applied.as_deref().unwrap_or("nothing");
            let (labels, annotations) = (changes(labels), changes(annotations));
            format!("mark    ReplicaSet {}{labels}{annotations}; applied: {applied}", target.name)
        }
        Effect::ChangePod { target, labels, annotations } => {
            format!("mark    pod {}{}{}", target.name, changes(labels), changes(annotations))
        }
        Effect::EvictPod { target } => format!("evict   {}", target.name),
        Effect::ScaleWorkload { kind, target, from, to } => {
            format!("scale   {} {} {from} -> {to}", kind.kind(), target.name)
        }
        Effect::DeleteReplicaSet { target } => format!("delete  ReplicaSet {}", target.name),
        Effect::SetServiceSelector { target, from, to, .. } => {
            format!("switch  Service {} {} -> {to}", target.name, from.as_deref().unwrap_or("(none)"))
        }
        Effect::CreateMapping { name, manifest } if manifest["kind"] == "Ingress" => {
            format!("create  {} {}", key::show(name), ingress_text(manifest))
        }
        Effect::UpdateMapping { target, manifest } if manifest["kind"] == "Ingress" => {
            format!("update  {} {}", key::show(&target.name), ingress_text(manifest))
        }
        Effect::CreateMapping { name, manifest } if gateway::key_of(manifest).is_some() => {
            format!("create  {} {}", key::show(name), route_text(manifest))
        }
        Effect::UpdateMapping { target, manifest } if gateway::key_of(manifest).is_some() => {
            format!("update  {} {}", key::show(&target.name), route_text(manifest))
        }
        Effect::SetRouteWeights { target, weights, label, .. } => {
            format!("weigh   {} {}", key::show(&target.name), changes_text(weights, label.as_ref()))
        }
        Effect::CreateMapping { name, manifest } => {
            format!(
                "create  Mapping {name} weight {} to {}",
                manifest["spec"]["weight"], manifest["spec"]["service"]
            )
        }
        Effect::UpdateMapping { target, manifest } => {
            format!("update  Mapping {} weight {}", target.name, manifest["spec"]["weight"])
        }
        Effect::DeleteMapping { target } => format!("delete  {}", key::show(&target.name)),
        Effect::CreateAnalysisRun { name, manifest } => {
            let args = manifest["spec"].get("args").map(|it| format!(" with {it}")).unwrap_or_default();
            format!("create  AnalysisRun {name}{args}")
        }
        Effect::TerminateAnalysisRun { target } => format!("end     AnalysisRun {}", target.name),
        Effect::DeleteAnalysisRun { target } => format!("delete  AnalysisRun {}", target.name),
        Effect::CreateExperiment { name, blueprint } => {
            let sets: Vec<&str> = blueprint.replica_sets().map(|it| it.name.as_str()).collect();
            let spec = &blueprint.manifest(&[])["spec"];
            let analyses = spec.get("analyses").map(|it| format!(" judged by {it}")).unwrap_or_default();
            format!("create  Experiment {name} with the pods of {}{analyses}", sets.join(", "))
        }
        Effect::BeginExperiment { target } => format!("begin   Experiment {}", target.name),
        Effect::TerminateExperiment { target } => format!("end     Experiment {}", target.name),
        Effect::DeleteExperiment { target } => format!("delete  Experiment {}", target.name),
        Effect::CreateService { name, .. } => format!("create  Service {name}"),
        Effect::DeleteService { target } => format!("delete  Service {}", target.name),
        Effect::SetRolloutRevision { to, .. } => format!("note    Rollout revision {to}"),
        Effect::SetWorkloadGeneration { to, .. } => {
            let generation = to.map_or_else(|| "-".to_owned(), |to| format!(" {to}"));
            format!("note    Rollout workload-generation{generation}")
        }
        Effect::DefaultReplicas { .. } => "note    Rollout replicas 1".to_owned(),
        Effect::Event(event) => {
            let kind = match event.kind {
                EventKind::Normal => "event ",
                EventKind::Warning => "WARN  ",
            };
            format!("{kind}  {}: {}", event.reason, event.message)
        }
    }
}

/// ` key=value` for what is set, ` key-` for what is removed.
fn changes(changes: &Changes) -> String {
    let words = changes.iter().map(|(key, value)| match value {
        Some(value) => format!(" {key}={value}"),
        None => format!(" {key}-"),
    });
    words.collect()
}

/// The part of a status that tells the story.
fn summary(status: &RolloutStatus) -> String {
    let mut text = status.phase.map_or("-", RolloutPhase::as_str).to_owned();
    if let Some(message) = &status.message {
        write!(text, " ({message})").expect("a String takes text");
    }
    if let Some(step) = status.current_step_index {
        write!(text, " step {step}").expect("a String takes text");
    }
    if let Some(weights) = &status.canary.weights {
        let verified = match weights.verified {
            Some(true) => " verified",
            Some(false) => " not verified",
            None => "",
        };
        write!(text, " weight {}", weights.canary.weight).expect("a String takes text");
        for WeightDestination { weight, service_name, .. } in &weights.additional {
            write!(text, " and {weight} to {}", service_name.as_deref().unwrap_or("?"))
                .expect("a String takes text");
        }
        text.push_str(verified);
    }
    let (canary, blue_green) = (&status.canary, &status.blue_green);
    for (role, noted) in [
        ("pre", &blue_green.pre_promotion_analysis_run_status),
        ("post", &blue_green.post_promotion_analysis_run_status),
        ("step", &canary.current_step_analysis_run_status),
        ("background", &canary.current_background_analysis_run_status),
    ] {
        if let Some(noted) = noted {
            let phase = noted.status.map_or("not started", AnalysisPhase::as_str);
            write!(text, " {role} analysis {} {phase}", noted.name).expect("a String takes text");
        }
    }
    for (role, selector) in
        [("preview", &blue_green.preview_selector), ("active", &blue_green.active_selector)]
    {
        if let Some(selector) = selector {
            write!(text, " {role} {selector}").expect("a String takes text");
        }
    }
    if let Some(experiment) = &canary.current_experiment {
        write!(text, " experiment {experiment}").expect("a String takes text");
    }
    if let Some(stable) = &status.stable_rs {
        write!(text, " stable {stable}").expect("a String takes text");
    }
    if status.abort {
        text.push_str(" aborted");
    }
    text
}

/// What matters of an Ingress: its annotations, and where its paths lead.
pub(crate) fn ingress_text(ingress: &Value) -> String {
    let annotations = ingress["metadata"]["annotations"].as_object().into_iter().flatten();
    let short =
        annotations.map(|(name, value)| format!("{}={value}", name.rsplit('/').next().unwrap_or(name)));
    let rules = ingress["spec"]["rules"].as_array().into_iter().flatten();
    let paths = rules.flat_map(|rule| {
        let host = rule["host"].as_str().unwrap_or("*").to_owned();
        let paths = rule["http"]["paths"].as_array().into_iter().flatten();
        paths.map(move |path| {
            format!(
                "{host}{} -> {}",
                path["path"].as_str().unwrap_or("/"),
                path["backend"]["service"]["name"]
            )
        })
    });
    short.chain(paths).collect::<Vec<_>>().join(", ")
}
