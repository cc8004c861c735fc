use operator_core::{
    effect::LabelChange,
    experiment::Pods,
    gateway_route::WeightChange,
    key::{self, Kind},
};

use super::*;

const TARGET: &str = "app-5d8";

fn target() -> Target {
    Target { name: TARGET.to_owned(), uid: "u1".to_owned(), resource_version: "42".to_owned() }
}

fn mapping_resource() -> ApiResource {
    ApiResource {
        group: "getambassador.io".to_owned(),
        version: "v3alpha1".to_owned(),
        api_version: "getambassador.io/v3alpha1".to_owned(),
        kind: "Mapping".to_owned(),
        plural: "mappings".to_owned(),
    }
}

/// Method, path, content type and body of an effect's request.
fn sent(effect: &Effect, annotated: bool) -> (String, String, Value) {
    let mappings = mapping_resource();
    let scope = Scope {
        namespace: "web",
        mappings: Some(&mappings),
        rollout_version: "43",
        annotated,
        pod_templates: &[json!({"spec": {"of": "the ReplicaSet"}})],
    };
    let call = request(effect, &scope).unwrap().unwrap();
    let (head, body) = call.request.into_parts();
    let kind = head.headers.get(http::header::CONTENT_TYPE).map_or("", |it| it.to_str().unwrap());
    let line = format!("{} {}", head.method, head.uri);
    (line, kind.to_owned(), serde_json::from_slice(&body).unwrap())
}

fn check(effect: &Effect, line: &str, kind: &str, body: Value) {
    assert_eq!(sent(effect, true), (line.to_owned(), kind.to_owned(), body));
}

const PODS: &str = "/api/v1/namespaces/web/pods";
const SETS: &str = "/apis/apps/v1/namespaces/web/replicasets";
const MAPPINGS: &str = "/apis/getambassador.io/v3alpha1/namespaces/web/mappings";
const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/web/ingresses";
const RUNS: &str = "/apis/argoproj.io/v1alpha1/namespaces/web/analysisruns";
const EXPERIMENTS: &str = "/apis/argoproj.io/v1alpha1/namespaces/web/experiments";
const MANAGER: &str = "fieldManager=sluice-operator";

#[test]
fn weights_of_a_route_are_tested_before_they_are_set() {
    let change = |backend: &str, service: &str, from: Option<i64>, to: i64| WeightChange {
        backend: format!("/spec/rules/0/backendRefs/{backend}"),
        service: service.to_owned(),
        from,
        to,
    };
    let label = LabelChange { key: "a.org/canary".to_owned(), from: None, to: Some("yes".to_owned()) };
    let target = Target { name: key::of(Kind::HttpRoute, "web"), ..target() };
    let weights = vec![change("0", "stable", None, 70), change("1", "canary", Some(0), 30)];
    let effect = |label, labelled| Effect::SetRouteWeights {
        target: target.clone(),
        weights: weights.clone(),
        label,
        labelled,
    };
    let backend = |index: i32, field: &str| format!("/spec/rules/0/backendRefs/{index}/{field}");
    let mut body = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": "u1"}),
        json!({"op": "test", "path": backend(0, "name"), "value": "stable"}),
        json!({"op": "add", "path": backend(0, "weight"), "value": 70}),
        json!({"op": "test", "path": backend(1, "name"), "value": "canary"}),
        json!({"op": "test", "path": backend(1, "weight"), "value": 0}),
        json!({"op": "add", "path": backend(1, "weight"), "value": 30}),
    ];
    let line = format!("PATCH /apis/gateway.networking.k8s.io/v1/namespaces/web/httproutes/web?&{MANAGER}");
    let kind = "application/json-patch+json";
    check(&effect(None, true), &line, kind, json!(body));
    body.push(json!({"op": "add", "path": "/metadata/labels", "value": {"a.org/canary": "yes"}}));
    check(&effect(Some(label.clone()), false), &line, kind, json!(body));
    body.pop();
    body.push(json!({"op": "add", "path": "/metadata/labels/a.org~1canary", "value": "yes"}));
    check(&effect(Some(label), true), &line, kind, json!(body));
}

#[test]
fn a_canary_ingress_is_written_under_its_name() {
    let manifest = json!({"kind": "Ingress", "metadata": {"name": "a"}});
    let create = Effect::CreateMapping { name: key::of(Kind::Ingress, "a"), manifest: manifest.clone() };
    check(&create, &format!("POST {INGRESSES}?&{MANAGER}"), "application/json", manifest.clone());
    let target = Target { name: key::of(Kind::Ingress, "a"), ..target() };
    let update = Effect::UpdateMapping { target: target.clone(), manifest: manifest.clone() };
    check(&update, &format!("PUT {INGRESSES}/a?&{MANAGER}"), "application/json", manifest);
    let (line, _, body) = sent(&Effect::DeleteMapping { target }, true);
    assert_eq!(line, format!("DELETE {INGRESSES}/a?"));
    assert_eq!(body["preconditions"], json!({"uid": "u1", "resourceVersion": "42"}));
}

#[test]
fn a_replica_set_is_created_as_the_plan_says() {
    let manifest = json!({"kind": "ReplicaSet", "spec": {"replicas": 0}});
    let effect = Effect::CreateReplicaSet { name: TARGET.to_owned(), manifest: manifest.clone() };
    check(&effect, &format!("POST {SETS}?&{MANAGER}"), "application/json", manifest);
}

#[test]
fn adopting_keeps_other_owners_and_is_refused_for_another_version() {
    let owner = json!({"kind": "Rollout", "uid": "r"});
    check(
        &Effect::AdoptReplicaSet { target: target(), owner: owner.clone() },
        &format!("PATCH {SETS}/app-5d8?&{MANAGER}"),
        "application/strategic-merge-patch+json",
        json!({"metadata": {"uid": "u1", "resourceVersion": "42", "ownerReferences": [owner]}}),
    );
}

#[test]
fn scaling_tests_what_the_plan_saw() {
    let annotations = BTreeMap::from([
        ("rollout.argoproj.io/desired-replicas".to_owned(), Some("5".to_owned())),
        ("scale-down-deadline".to_owned(), None),
    ]);
    let effect = Effect::ScaleReplicaSet { target: target(), from: 2, to: 5, annotations };
    let (desired, deadline) = (
        "/metadata/annotations/rollout.argoproj.io~1desired-replicas",
        "/metadata/annotations/scale-down-deadline",
    );
    let body = json!([
        {"op": "test", "path": "/metadata/uid", "value": "u1"},
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "replace", "path": "/spec/replicas", "value": 5},
        {"op": "add", "path": desired, "value": "5"},
        {"op": "add", "path": deadline, "value": ""},
        {"op": "remove", "path": deadline},
    ]);
    check(&effect, &format!("PATCH {SETS}/app-5d8?&{MANAGER}"), "application/json-patch+json", body);

    let (_, _, bare) = sent(&effect, false);
    assert_eq!(bare[3], json!({"op": "test", "path": "/metadata/annotations", "value": null}));
    assert_eq!(bare[4], json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
}

#[test]
fn annotating_removes_with_null() {
    let annotations = BTreeMap::from([("a".to_owned(), Some("1".to_owned())), ("b".to_owned(), None)]);
    check(
        &Effect::AnnotateReplicaSet { target: target(), annotations },
        &format!("PATCH {SETS}/app-5d8?&{MANAGER}"),
        "application/merge-patch+json",
        json!({"metadata": {"uid": "u1", "annotations": {"a": "1", "b": null}}}),
    );
}

#[test]
fn the_pods_of_a_role_are_marked_in_the_template_and_the_annotation() {
    let effect = Effect::SetEphemeralMetadata {
        target: target(),
        labels: BTreeMap::from([("role".to_owned(), Some("canary".to_owned())), ("old".to_owned(), None)]),
        annotations: BTreeMap::new(),
        applied: Some(r#"{"labels":{"role":"canary"}}"#.to_owned()),
    };
    let applied = json!({"rollout.argoproj.io/ephemeral-metadata": r#"{"labels":{"role":"canary"}}"#});
    check(
        &effect,
        &format!("PATCH {SETS}/app-5d8?&{MANAGER}"),
        "application/merge-patch+json",
        json!({
            "metadata": {"uid": "u1", "annotations": applied},
            "spec": {"template": {"metadata": {"labels": {"role": "canary", "old": null}, "annotations": {}}}},
        }),
    );
}

#[test]
fn a_pod_is_marked_and_evicted_by_its_uid() {
    let (labels, annotations) = (
        BTreeMap::from([("role".to_owned(), None)]),
        BTreeMap::from([("a".to_owned(), Some("1".to_owned()))]),
    );
    check(
        &Effect::ChangePod { target: target(), labels, annotations },
        &format!("PATCH {PODS}/app-5d8?&{MANAGER}"),
        "application/merge-patch+json",
        json!({"metadata": {"uid": "u1", "labels": {"role": null}, "annotations": {"a": "1"}}}),
    );
    check(
        &Effect::EvictPod { target: target() },
        &format!("POST {PODS}/app-5d8/eviction?&{MANAGER}"),
        "application/json",
        json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": "app-5d8", "namespace": "web"},
            "deleteOptions": {"preconditions": {"uid": "u1"}},
        }),
    );
}

#[test]
fn a_workload_is_scaled_as_a_replica_set_is() {
    let body = json!([
        {"op": "test", "path": "/metadata/uid", "value": "u1"},
        {"op": "test", "path": "/spec/replicas", "value": 5},
        {"op": "replace", "path": "/spec/replicas", "value": 2},
    ]);
    let scale = Effect::ScaleWorkload { kind: WorkloadKind::Deployment, target: target(), from: 5, to: 2 };
    let line = format!("PATCH /apis/apps/v1/namespaces/web/deployments/app-5d8?&{MANAGER}");
    check(&scale, &line, "application/json-patch+json", body);
}

#[test]
fn workloads_are_read_by_kind_and_name() {
    for (kind, path) in [
        (WorkloadKind::Deployment, "/apis/apps/v1/namespaces/web/deployments/app"),
        (WorkloadKind::ReplicaSet, "/apis/apps/v1/namespaces/web/replicasets/app"),
        (WorkloadKind::PodTemplate, "/api/v1/namespaces/web/podtemplates/app"),
    ] {
        let request = get_workload(kind, &ObjectName::new("web", "app")).unwrap();
        assert_eq!(request.uri().path(), path);
    }
}

#[test]
fn deleting_names_uid_and_version() {
    let body = json!({
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u1", "resourceVersion": "42"},
    });
    let set = Effect::DeleteReplicaSet { target: target() };
    check(&set, &format!("DELETE {SETS}/app-5d8?"), "application/json", body.clone());
    let mapping = Effect::DeleteMapping { target: target() };
    check(&mapping, &format!("DELETE {MAPPINGS}/app-5d8?"), "application/json", body);
}

#[test]
fn a_run_is_created_told_to_end_and_deleted() {
    let manifest = json!({"kind": "AnalysisRun", "spec": {"metrics": []}});
    let create = Effect::CreateAnalysisRun { name: TARGET.to_owned(), manifest: manifest.clone() };
    check(&create, &format!("POST {RUNS}?&{MANAGER}"), "application/json", manifest);
    check(
        &Effect::TerminateAnalysisRun { target: target() },
        &format!("PATCH {RUNS}/app-5d8?&{MANAGER}"),
        "application/merge-patch+json",
        json!({"metadata": {"uid": "u1"}, "spec": {"terminate": true}}),
    );
    let body = json!({
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u1", "resourceVersion": "42"},
    });
    let delete = Effect::DeleteAnalysisRun { target: target() };
    check(&delete, &format!("DELETE {RUNS}/app-5d8?"), "application/json", body);
}

#[test]
fn an_experiment_is_created_with_pod_templates_told_to_begin_and_to_end_and_deleted() {
    let pods = Pods { replica_set: target(), labels: BTreeMap::new(), annotations: BTreeMap::new() };
    let manifest = json!({"kind": "Experiment", "spec": {"templates": [{"name": "a"}]}});
    let blueprint = Box::new(Blueprint::new(manifest, vec![pods]));
    let template = json!({"name": "a", "template": {"spec": {"of": "the ReplicaSet"}}});
    check(
        &Effect::CreateExperiment { name: TARGET.to_owned(), blueprint },
        &format!("POST {EXPERIMENTS}?&{MANAGER}"),
        "application/json",
        json!({"kind": "Experiment", "spec": {"templates": [template]}}),
    );
    check(
        &Effect::BeginExperiment { target: target() },
        &format!("PATCH {EXPERIMENTS}/app-5d8?&{MANAGER}"),
        "application/merge-patch+json",
        json!({"metadata": {"uid": "u1", "annotations": {"sluice.dev/weights": "served"}}}),
    );
    check(
        &Effect::TerminateExperiment { target: target() },
        &format!("PATCH {EXPERIMENTS}/app-5d8?&{MANAGER}"),
        "application/merge-patch+json",
        json!({"metadata": {"uid": "u1"}, "spec": {"terminate": true}}),
    );
    let body = json!({
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u1", "resourceVersion": "42"},
    });
    let delete = Effect::DeleteExperiment { target: target() };
    check(&delete, &format!("DELETE {EXPERIMENTS}/app-5d8?"), "application/json", body);
}

#[test]
fn a_service_of_an_experiment_is_created_and_deleted() {
    let manifest = json!({"kind": "Service", "spec": {"ports": []}});
    let create = Effect::CreateService { name: TARGET.to_owned(), manifest: manifest.clone() };
    let services = "/api/v1/namespaces/web/services";
    check(&create, &format!("POST {services}?&{MANAGER}"), "application/json", manifest);
    let body = json!({
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u1", "resourceVersion": "42"},
    });
    let delete = Effect::DeleteService { target: target() };
    check(&delete, &format!("DELETE {services}/app-5d8?"), "application/json", body);
}

#[test]
fn a_service_is_switched_at_the_version_the_plan_saw() {
    let switch = |managed_by: Option<&str>| Effect::SetServiceSelector {
        target: target(),
        from: None,
        to: "abc".to_owned(),
        managed_by: managed_by.map(str::to_owned),
    };
    let line = format!("PATCH /api/v1/namespaces/web/services/app-5d8?&{MANAGER}");
    let mut body = json!({
        "metadata": {"uid": "u1", "resourceVersion": "42"},
        "spec": {"selector": {"rollouts-pod-template-hash": "abc"}},
    });
    check(&switch(None), &line, "application/merge-patch+json", body.clone());
    body["metadata"]["annotations"] = json!({"argo-rollouts.argoproj.io/managed-by-rollouts": "app"});
    check(&switch(Some("app")), &line, "application/merge-patch+json", body);
}

#[test]
fn mappings_are_posted_and_put_because_argos_role_grants_no_patch() {
    let manifest = json!({"kind": "Mapping", "metadata": {"resourceVersion": "42"}});
    let create = Effect::CreateMapping { name: TARGET.to_owned(), manifest: manifest.clone() };
    check(&create, &format!("POST {MAPPINGS}?&{MANAGER}"), "application/json", manifest.clone());
    let update = Effect::UpdateMapping { target: target(), manifest: manifest.clone() };
    check(&update, &format!("PUT {MAPPINGS}/app-5d8?&{MANAGER}"), "application/json", manifest);
}

#[test]
fn the_rollout_is_patched_at_the_version_of_our_own_last_write() {
    let path = "PATCH /apis/argoproj.io/v1alpha1/namespaces/web/rollouts/app-5d8";
    let guard = json!({"uid": "u1", "resourceVersion": "43"});
    let mut body = json!({"metadata": guard.clone()});
    body["metadata"]["annotations"] = json!({"rollout.argoproj.io/revision": "3"});
    check(
        &Effect::SetRolloutRevision { target: target(), from: None, to: 3 },
        &format!("{path}?&{MANAGER}"),
        "application/merge-patch+json",
        body.clone(),
    );
    body["metadata"]["annotations"] = json!({"rollout.argoproj.io/workload-generation": null});
    check(
        &Effect::SetWorkloadGeneration { target: target(), to: None },
        &format!("{path}?&{MANAGER}"),
        "application/merge-patch+json",
        body,
    );
    check(
        &Effect::DefaultReplicas { target: target() },
        &format!("{path}?&{MANAGER}"),
        "application/merge-patch+json",
        json!({"metadata": guard, "spec": {"replicas": 1}}),
    );
}

#[test]
fn without_mappings_served_the_effect_fails_with_a_reason() {
    let scope =
        Scope { namespace: "web", mappings: None, rollout_version: "1", annotated: true, pod_templates: &[] };
    let effect = Effect::DeleteMapping { target: target() };
    assert!(matches!(request(&effect, &scope), Err(Error::NoMappings)));
}
