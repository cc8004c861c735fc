//! The language of the scenario scripts: one command a line, `#` begins a comment.
//!
//! | command | what it does |
//! |---|---|
//! | `apply FILE` | applies a manifest of `tests/scenarios/manifests` |
//! | `set image IMAGE` | changes the image; pods of image `bad` never become ready |
//! | `scale N` | changes `spec.replicas` |
//! | `patch KIND NAME JSON` | merge-patches `rollout`, `mapping`, `ingress`, `httproute`, `service` or `deployment` |
//! | `delete KIND NAME` | deletes `mapping`, `ingress`, `httproute`, `service`, `template`, `replicaset` (by image), `deployment` (without a name) |
//! | `analysis PHASE`, `analysis PHASE RUN` | every AnalysisRun without a verdict gets this phase, or one of them; `{v1}` in its name is the hash of image `v1` |
//! | `delete analysisrun RUN` | somebody deletes a run |
//! | `experiment PHASE`, `experiment PHASE NAME`, `delete experiment NAME` | the same of Experiments |
//! | `rehash IMAGE HASH` | everything is as if another hash function had named the version, without marks of ours |
//! | `resteps HASH` | the status holds this hash of the steps, of another hash function |
//! | `abort`, `retry`, `promote`, `promote --full`, `pause`, `unpause` | what the kubectl plugin patches |
//! | `resume` | takes the pauses of the engine away and nothing else |
//! | `proxy add NAME [late]`, `proxy remove NAME` | a proxy joins or leaves; a late one acknowledges only on `ack` |
//! | `proxy NAME late`, `proxy NAME prompt`, `ack NAME` | when a proxy acknowledges |
//! | `dataplane ready|unreachable|none` | what the operator knows of the proxies |
//! | `requests IMAGE N` | sets the requests under way to the pods of an image |
//! | `answers IMAGE N bad M` | requests to an image begin now and end soon, `in bucket B` of the latencies; `hanging`: they do not end; `by TEXT`: by the split with this in its name |
//! | `operator restarts`, `counts begin anew` | the operator has what the status has; the config server has no counts |
//! | `restart`, `restart in 30s` | asks for younger pods |
//! | `evictions refused|allowed` | what a disruption budget says |
//! | `replicasets stall|go on` | whether the ReplicaSet controller does anything |
//! | `fail pods IMAGE`, `heal pods IMAGE` | pods become unready, or ready again |
//! | `rival NAME service|mapping NAME [younger]` | another Rollout, older or younger, claims an object |
//! | `tick 30s` | lets time pass; everything else happens at one moment |
//! | `show` | prints ReplicaSets, Services, Mappings and status |
//! | `show pods` | prints every pod with its age and metadata |

use chrono::{SubsecRound as _, TimeDelta};
use crds::analysis::AnalysisPhase;
use crds::rollout::PauseCondition;
use operator_core::ingress;
use operator_core::key::{self, Kind};
use operator_core::world::{Claim, Rival};
use serde_json::{Value, json};

use super::Simulator;
use super::cluster::start;
use super::data_plane::{Answers, Mode};
use super::gateway::{self, route_text};
use super::transcript::ingress_text;

impl Simulator {
    /// Runs a whole script; `manifest` reads a file of the manifests folder.
    pub(crate) fn run_script(&mut self, script: &str, manifest: impl Fn(&str) -> String) {
        for line in script.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            self.transcript.command(line);
            self.run(line, &manifest);
        }
    }

    /// Requests to an image begin now.
    fn answers(&mut self, image: &str, (requests, bad): (&str, &str), rest: &[&str]) {
        let count = |text: &str| u64::try_from(number(text)).expect("a count");
        let soon = Answers::soon(count(requests), count(bad));
        let bucket = |text: &str| Some(usize::try_from(number(text)).expect("a bucket"));
        let (answers, by) = match rest {
            [] => (soon, ""),
            ["in", "bucket", which] => (Answers { bucket: bucket(which), ..soon }, ""),
            ["hanging"] => (Answers { bucket: None, ..soon }, ""),
            ["by", split] => (soon, *split),
            _ => panic!("no such answers: {rest:?}"),
        };
        let (hash, now) = (self.cluster.hash_of(image), self.cluster.now.timestamp());
        self.cluster.data_plane.count(now, &hash, by, &answers);
    }

    /// Another Rollout claims an object.
    fn rival(&mut self, rollout: &str, kind: &str, name: &str, age: &[&str]) {
        let hours = if age == ["younger"] { -1 } else { 1 };
        let name = name.to_owned();
        let claim = if kind == "service" { Claim::Service(name) } else { Claim::Mapping(name) };
        let created = start() - TimeDelta::hours(hours);
        self.cluster.rivals.push(Rival { rollout: rollout.to_owned(), created, claim });
    }

    fn run(&mut self, line: &str, manifest: &impl Fn(&str) -> String) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["tick", time] = words[..] {
            self.tick(duration(time));
            return;
        }
        if words == ["show"] {
            self.show();
            return;
        }
        if words == ["show", "pods"] {
            self.show_pods();
            return;
        }
        self.invariants.user_acted();
        match words[..] {
            ["apply", file] => self.apply(&manifest(file)),
            ["set", "image", image] => self.set_image(image),
            ["scale", replicas] => self.patch_spec(&json!({"replicas": number(replicas)})),
            ["pause"] => self.patch_spec(&json!({"paused": true})),
            ["unpause"] => self.patch_spec(&json!({"paused": false})),
            ["patch", kind, name, ..] => {
                let patch = line.split_once('{').expect("a JSON object").1;
                let patch = serde_json::from_str(&format!("{{{patch}")).expect("a JSON object");
                self.cluster.patch(kind, name, &patch);
            }
            ["delete", kind, ref name @ ..] => self.delete(kind, name),
            ["analysis", phase] => self.cluster.judge_runs(phase),
            ["analysis", phase, name] => {
                let name = self.cluster.hashed(name);
                self.cluster.judge_run(&name, phase);
            }
            ["experiment", phase] => self.cluster.judge_experiments(phase),
            ["experiment", phase, name] => {
                let name = self.cluster.hashed(name);
                self.cluster.judge_experiment(&name, phase);
            }
            ["rehash", image, hash] => self.cluster.rehash(image, hash),
            ["resteps", hash] => self.cluster.patch_status(&json!({"currentStepHash": hash})),
            ["abort"] => self.cluster.patch_status(&json!({"abort": true})),
            ["retry"] => self.cluster.patch_status(&json!({"abort": false})),
            ["promote"] => self.promote(),
            ["resume"] => self.cluster.patch_status(&json!({"pauseConditions": null})),
            ["promote", "--full"] => self.cluster.patch_status(&json!({"promoteFull": true})),
            ["proxy", "add", name] => self.cluster.data_plane.add(name, true),
            ["proxy", "add", name, "late"] => self.cluster.data_plane.add(name, false),
            ["proxy", "remove", name] => {
                self.cluster.data_plane.proxies.remove(name).expect("a proxy");
            }
            ["proxy", name, how @ ("late" | "prompt")] => {
                self.cluster.data_plane.proxies.get_mut(name).expect("a proxy").prompt = how == "prompt";
            }
            ["ack", name] => self.cluster.data_plane.acknowledge(name),
            ["dataplane", "ready"] => self.cluster.data_plane.mode = Mode::Ready,
            ["dataplane", "unreachable"] => self.cluster.data_plane.mode = Mode::Unreachable,
            ["dataplane", "none"] => self.cluster.data_plane.mode = Mode::NotConfigured,
            ["requests", image, count] => {
                let hash = self.cluster.hash_of(image);
                self.cluster
                    .data_plane
                    .in_flight
                    .insert(hash, u64::try_from(number(count)).expect("a count"));
            }
            // Requests that begin now, and what comes of them.
            ["answers", image, requests, "bad", bad, ref rest @ ..] => {
                self.answers(image, (requests, bad), rest);
            }
            // The operator loses what it remembers, or another config server has seen nothing yet.
            ["operator", "restarts"] => self.cluster.guard = None,
            ["counts", "begin", "anew"] => self.cluster.data_plane.cohorts.clear(),
            ["restart"] => self.restart(TimeDelta::zero()),
            ["restart", "in", time] => self.restart(duration(time)),
            ["replicasets", "stall"] => self.cluster.replica_sets_stall = true,
            ["replicasets", "go", "on"] => self.cluster.replica_sets_stall = false,
            ["evictions", verdict @ ("refused" | "allowed")] => {
                self.cluster.evictions_refused = verdict == "refused";
            }
            ["fail", "pods", image] => drop(self.cluster.bad_images.insert(image.to_owned())),
            ["heal", "pods", image] => {
                assert!(self.cluster.bad_images.remove(image), "{image} was not failing");
            }
            ["rival", rollout, kind @ ("service" | "mapping"), name, ref age @ ..] => {
                self.rival(rollout, kind, name, age);
            }
            ["rival", "leaves"] => self.cluster.rivals.clear(),
            _ => panic!("no such command: {line}"),
        }
        self.settle();
    }

    fn delete(&mut self, kind: &str, name: &[&str]) {
        let cluster = &mut self.cluster;
        match (kind, name) {
            ("mapping", [name]) => drop(cluster.mappings.remove(*name).expect("a Mapping")),
            ("ingress", [name]) => drop(cluster.mappings.remove(&ingress::key(name)).expect("an Ingress")),
            ("httproute", [name]) => {
                drop(cluster.mappings.remove(&key::of(Kind::HttpRoute, name)).expect("an HTTPRoute"));
            }
            ("service", [name]) => drop(cluster.services.remove(*name).expect("a Service")),
            ("replicaset", [image]) => {
                let hash = cluster.hash_of(image);
                cluster.replica_sets.retain(|_, set| set.hash != hash);
            }
            ("template", [name]) => drop(cluster.templates.remove(*name).expect("a template")),
            ("analysisrun", [name]) => {
                let name = cluster.hashed(name);
                cluster.analysis_runs.remove(&name).expect("an AnalysisRun");
            }
            ("experiment", [name]) => {
                let name = cluster.hashed(name);
                cluster.experiments.remove(&name).expect("an Experiment");
            }
            ("deployment", []) => cluster.workload = None,
            _ => panic!("nothing can be deleted as {kind} {name:?}"),
        }
    }

    /// Applies all documents of a YAML text.
    pub(crate) fn apply(&mut self, yaml: &str) {
        let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("readable YAML");
        for document in documents {
            self.cluster.apply(document);
        }
    }

    pub(crate) fn set_image(&mut self, image: &str) {
        let template = self.cluster.rollout().spec.template.clone().expect("a template");
        let mut containers = template.0["spec"]["containers"].clone();
        containers[0]["image"] = json!(image);
        self.patch_spec(&json!({"template": {"spec": {"containers": containers}}}));
    }

    pub(crate) fn patch_spec(&mut self, patch: &Value) {
        let name = self.cluster.rollout().metadata.name.clone().expect("a name");
        self.cluster.patch("rollout", &name, &json!({"spec": patch}));
    }

    /// What `kubectl argo rollouts promote` patches (reference §5.2).
    pub(crate) fn promote(&mut self) {
        if self.cluster.rollout().spec.paused {
            self.patch_spec(&json!({"paused": false}));
        }
        let rollout = self.cluster.rollout();
        let status = rollout.status.clone().unwrap_or_default();
        let steps = rollout.spec.strategy.canary.as_ref().map_or(0, |canary| canary.steps.len());
        let step = status.canary.current_step_analysis_run_status.as_ref();
        let inconclusive = step.is_some_and(|run| run.status == Some(AnalysisPhase::Inconclusive));
        if !status.pause_conditions.is_empty() && status.controller_pause && inconclusive {
            let next = status.current_step_index.unwrap_or(0) + 1;
            let patch = json!({"pauseConditions": null, "controllerPause": false, "currentStepIndex": next});
            self.cluster.patch_status(&patch);
        } else if !status.pause_conditions.is_empty() {
            self.cluster.patch_status(&json!({"pauseConditions": null}));
        } else if steps > 0 {
            let last = i32::try_from(steps).expect("few steps");
            let next = (status.current_step_index.unwrap_or(0) + 1).min(last);
            self.cluster.patch_status(&json!({"pauseConditions": null, "currentStepIndex": next}));
        }
    }

    /// What `kubectl argo rollouts restart` patches.
    pub(crate) fn restart(&mut self, later: TimeDelta) {
        self.patch_spec(&json!({"restartAt": self.cluster.now.trunc_subsecs(0) + later}));
    }

    fn show_pods(&mut self) {
        let cluster = self.cluster.clone();
        for pod in cluster.replica_sets.values().flat_map(|set| &set.pods) {
            let entries = pod.metadata.labels.iter().chain(&pod.metadata.annotations);
            let metadata: Vec<String> = entries.map(|(key, value)| format!(" {key}={value}")).collect();
            let metadata = metadata.concat();
            let age = (cluster.now - pod.created).num_seconds();
            self.transcript.line(&cluster, &format!("        {} {age} s old:{metadata}", pod.name));
        }
    }

    fn show(&mut self) {
        let cluster = self.cluster.clone();
        for set in cluster.replica_sets.values() {
            let status = set.status(&cluster);
            let revision =
                set.annotations.get(crds::contract::REVISION_ANNOTATION).map_or("?", String::as_str);
            let line = format!(
                "        {} revision {revision}: {} wanted, {} pods, {} ready, {} available",
                set.name, set.replicas, status.replicas, status.ready, status.available
            );
            self.transcript.line(&cluster, &line);
        }
        for (name, service) in &cluster.services {
            let hash = service.pointer("/spec/selector/rollouts-pod-template-hash").and_then(Value::as_str);
            self.transcript.line(&cluster, &format!("        Service {name}: {}", hash.unwrap_or("(all)")));
        }
        for (name, mapping) in &cluster.mappings {
            let spec = &mapping["spec"];
            let line = if gateway::key_of(mapping).is_some() {
                format!("        {}: {}", key::show(name), route_text(mapping))
            } else if mapping["kind"] == "Ingress" {
                format!("        {}: {}", key::show(name), ingress_text(mapping))
            } else {
                format!("        Mapping {name}: {} weight {}", spec["service"], spec["weight"])
            };
            self.transcript.line(&cluster, &line);
        }
        for (name, run) in &cluster.analysis_runs {
            let phase = run["status"]["phase"].as_str().unwrap_or("not started");
            let ending = if run["spec"]["terminate"] == true { ", told to end" } else { "" };
            self.transcript.line(&cluster, &format!("        AnalysisRun {name}: {phase}{ending}"));
        }
        for (name, experiment) in &cluster.experiments {
            let phase = experiment["status"]["phase"].as_str().unwrap_or("not started");
            let ending = if experiment["spec"]["terminate"] == true { ", told to end" } else { "" };
            self.transcript.line(&cluster, &format!("        Experiment {name}: {phase}{ending}"));
        }
        if let Some(workload) = &cluster.workload {
            let (name, replicas) = (&workload["metadata"]["name"], &workload["spec"]["replicas"]);
            self.transcript.line(&cluster, &format!("        Deployment {name}: {replicas} wanted"));
        }
        let status = cluster.rollout().status.clone().unwrap_or_default();
        for condition in &status.conditions {
            let line = format!(
                "        {}={} {}: {}",
                condition.kind, condition.status, condition.reason, condition.message
            );
            self.transcript.line(&cluster, &line);
        }
        for PauseCondition { reason, start_time } in &status.pause_conditions {
            let since = (*start_time - start()).num_seconds();
            self.transcript.line(&cluster, &format!("        paused since {since} s: {}", reason.as_str()));
        }
    }
}

/// `90s` or `5m`.
fn duration(text: &str) -> TimeDelta {
    let (count, unit) = text.split_at(text.len() - 1);
    let count = i64::from(number(count));
    match unit {
        "s" => TimeDelta::seconds(count),
        "m" => TimeDelta::minutes(count),
        _ => panic!("no such duration: {text}"),
    }
}

fn number(text: &str) -> i32 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}
