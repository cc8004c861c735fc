//! The language of the scenario scripts: one command a line, `#` begins a comment.
//!
//! | command | what it does |
//! |---|---|
//! | `apply FILE` | applies a manifest of `tests/scenarios/manifests` |
//! | `patch JSON` | replaces fields of the Experiment's spec |
//! | `terminate`, `retry` | what the kubectl plugin patches |
//! | `analysis PHASE`, `analysis PHASE RUN` | every AnalysisRun without a verdict gets this phase, or one of them |
//! | `delete template NAME`, `delete analysisrun NAME`, `delete replicaset NAME` | somebody deletes an object |
//! | `fail pods IMAGE`, `heal pods IMAGE` | pods become unready, or ready again |
//! | `proxies none|unknown|idle`, `proxies send to TEMPLATE` | what the operator knows of the proxies |
//! | `weights served` | what a Rollout says when every proxy serves them |
//! | `forbid KIND WHY` | the API server creates no such objects, and says why |
//! | `tick 30s` | lets time pass; everything else happens at one moment |
//! | `show` | prints ReplicaSets, Services, AnalysisRuns and conditions |

use std::fmt::Write as _;

use chrono::TimeDelta;
use crds::contract::{WEIGHTS_ANNOTATION, WEIGHTS_SERVED};
use serde_json::{Value, json};

use super::Simulator;
use super::cluster::Proxies;

impl Simulator {
    /// Runs a whole script; `manifest` reads a file of the manifests folder.
    pub(crate) fn run_script(&mut self, script: &str, manifest: impl Fn(&str) -> String) {
        for line in script.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if !self.transcript.is_empty() {
                self.transcript.push('\n');
            }
            writeln!(self.transcript, "> {line}").expect("a String takes it");
            self.time.clear();
            self.run(line, &manifest);
        }
    }

    fn run(&mut self, line: &str, manifest: &impl Fn(&str) -> String) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["tick", time] => return self.tick(duration(time)),
            ["show"] => return self.show(),
            ["apply", file] => self.apply(&manifest(file)),
            ["patch", ..] => {
                let patch: Value = serde_json::from_str(&line["patch ".len()..]).expect("a JSON object");
                self.cluster.patch(&json!({"spec": patch}));
            }
            ["terminate"] => self.cluster.patch(&json!({"spec": {"terminate": true}})),
            ["retry"] => self.cluster.patch(&json!({"status": null})),
            ["analysis", phase] => {
                let names: Vec<String> =
                    self.cluster.runs.keys().filter(|it| !self.cluster.is_completed(it)).cloned().collect();
                for name in &names {
                    self.cluster.judge(name, phase);
                }
            }
            ["analysis", phase, name] => self.cluster.judge(name, phase),
            ["delete", "template", name] => drop(self.cluster.templates.remove(name).expect("a template")),
            ["delete", "analysisrun", name] => drop(self.cluster.runs.remove(name).expect("a run")),
            ["delete", "replicaset", name] => drop(self.cluster.replica_sets.remove(name).expect("a set")),
            ["fail", "pods", image] => drop(self.cluster.bad_images.insert(image.to_owned())),
            ["heal", "pods", image] => drop(self.cluster.bad_images.remove(image)),
            ["proxies", "none"] => self.cluster.proxies = Proxies::NotConfigured,
            ["proxies", "unknown"] => self.cluster.proxies = Proxies::Unknown,
            ["proxies", "idle"] => self.cluster.proxies = Proxies::Idle,
            ["proxies", "send", "to", template] => self.cluster.proxies = Proxies::Send(template.to_owned()),
            ["weights", "served"] => {
                let annotations = json!({WEIGHTS_ANNOTATION: WEIGHTS_SERVED});
                self.cluster.patch(&json!({"metadata": {"annotations": annotations}}));
            }
            ["forbid", kind, ref why @ ..] => {
                self.cluster.forbidden.insert(kind.to_owned(), why.join(" "));
            }
            _ => panic!("no such command: {line}"),
        }
        self.settle();
    }

    /// Applies all documents of a YAML text.
    pub(crate) fn apply(&mut self, yaml: &str) {
        let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("readable YAML");
        for document in documents {
            self.cluster.apply(document);
        }
    }

    fn show(&mut self) {
        let cluster = self.cluster.clone();
        for (name, set) in &cluster.replica_sets {
            let counts = cluster.counts(name);
            let wanted = &set["spec"]["replicas"];
            self.line(&format!(
                "        {name}: {wanted} wanted, {} pods, {} available",
                counts.replicas, counts.available
            ));
        }
        for name in cluster.services.keys() {
            self.line(&format!("        Service {name}"));
        }
        for (name, run) in &cluster.runs {
            let phase = run["status"]["phase"].as_str().unwrap_or("not started");
            let ending = if run["spec"]["terminate"] == true { ", told to end" } else { "" };
            self.line(&format!("        AnalysisRun {name}: {phase}{ending}"));
        }
        for condition in cluster.status().conditions {
            self.line(&format!(
                "        {}={} {}: {}",
                condition.kind, condition.status, condition.reason, condition.message
            ));
        }
    }
}

/// `90s` or `5m`.
fn duration(text: &str) -> TimeDelta {
    let (count, unit) = text.split_at(text.len() - 1);
    let count: i64 = count.parse().expect("a number");
    match unit {
        "s" => TimeDelta::seconds(count),
        "m" => TimeDelta::minutes(count),
        _ => panic!("no such duration: {text}"),
    }
}
