//! Against an API server with a script.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::{
    events,
    lease::Epoch,
    telemetry::{Metrics, RolloutCounts},
    test_api::TestApi,
};

const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A definition of Rollouts with a canary's fields, and nothing else of the spec.
fn definition(version: &str, canary: &Value) -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let canary =
        json!({"type": "object", "properties": canary, "x-kubernetes-preserve-unknown-fields": true});
    let strategy = json!({"type": "object", "properties": {"blueGreen": open, "canary": canary}});
    let spec = json!({
        "type": "object", "properties": {"strategy": strategy}, "x-kubernetes-preserve-unknown-fields": true,
    });
    json!({
        "metadata": {
            "name": SHARED[0], "uid": "d", "resourceVersion": version,
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "large"},
        },
        "spec": {"versions": [{
            "name": "v1alpha1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": open}}},
        }]},
    })
}

/// By which traffic routing has nothing of our own.
fn argos(version: &str) -> Definition {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let names = ["ambassador", "managedRoutes", "maxTrafficWeight", "plugins", "nginx"];
    let names = names.into_iter().chain(["alb", "apisix", "appMesh", "istio", "smi", "traefik"]);
    let properties: serde_json::Map<_, _> = names.map(|it| (it.to_owned(), open.clone())).collect();
    read(definition(version, &json!({"trafficRouting": {"type": "object", "properties": properties}})))
}

fn read(definition: Value) -> Definition {
    serde_json::from_value(definition).unwrap()
}

fn held() -> Tenure {
    let until = Instant::now() + Duration::from_secs(10);
    Tenure::Held { epoch: Epoch { created: 0, transitions: 0 }, until }
}

struct Bench {
    watcher: Watcher,
    metrics: Metrics,
    tenure: watch::Sender<Tenure>,
    writer: events::Writer,
}

/// Events go to an API server of their own: what is asked of `api` is about definitions.
fn bench(api: &TestApi, events: &TestApi) -> Bench {
    let metrics = Metrics::default();
    let (recorder, writer) =
        events::recorder(events.client(), &metrics.registry, RolloutCounts::default()).unwrap();
    let (tell, tenure) = watch::channel(held());
    let watcher = Watcher::new(api.client(), &metrics.registry, Some(recorder), tenure).unwrap();
    Bench { watcher, metrics, tenure: tell, writer }
}

fn shown(metrics: &Metrics) -> Vec<String> {
    let text = metrics.text().unwrap();
    text.lines().filter(|it| it.starts_with("sluice_definition")).map(str::to_owned).collect()
}

/// Type, reason and subject of the events that were written.
fn written(events: &TestApi) -> Vec<[String; 3]> {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let event =
        |event: &Value| [&event["type"], &event["reason"], &event["involvedObject"]["name"]].map(text);
    events.seen().iter().map(|(_, body)| event(body)).collect()
}

#[test]
fn of_a_definition_only_what_it_drops_is_kept() {
    let Definition { metadata, pruned } = argos("7");
    let routing = "spec.strategy.canary.trafficRouting";
    assert_eq!(pruned, [format!("{routing}.confirm"), format!("{routing}.gatewayAPI")]);
    assert_eq!(metadata.annotations, None);
    assert_eq!(read(definition("8", &json!({}))).pruned, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_state_is_told_once_by_who_holds_the_lease() {
    let events = TestApi::default();
    let Bench { watcher: Watcher { mut teller, .. }, metrics, tenure, writer } =
        bench(&TestApi::default(), &events);
    let repaired = read(definition("9", &json!({})));

    tenure.send_replace(Tenure::Unknown);
    teller.tell(0, SHARED[0], Some(&argos("7")));
    assert_eq!(shown(&metrics), [r#"sluice_definition_pruned_fields{definition="rollouts.argoproj.io"} 2"#]);
    tenure.send_replace(held());
    for version in ["7", "8"] {
        teller.tell(0, SHARED[0], Some(&argos(version)));
    }
    teller.tell(1, SHARED[1], None);
    teller.tell(0, SHARED[0], Some(&repaired));
    assert_eq!(shown(&metrics), [r#"sluice_definition_pruned_fields{definition="rollouts.argoproj.io"} 0"#]);
    teller.tell(0, SHARED[0], None);
    assert_eq!(shown(&metrics), Vec::<String>::new());

    drop(teller);
    writer.run().await;
    let told = |kind: &str, reason: &str| [kind, reason, SHARED[0]].map(str::to_owned);
    assert_eq!(written(&events), [told("Warning", "FieldsPruned"), told("Normal", "FieldsKept")]);
}

#[tokio::test(start_paused = true)]
async fn each_definition_is_watched_alone() {
    let list = |items: Value| json!({"metadata": {"resourceVersion": "9"}, "items": items});
    let mut api = TestApi::default().answer(200, definition("7", &json!({"guard": {"type": "object"}})));
    api = api.answer(200, list(json!([definition("7", &json!({"guard": {"type": "object"}}))])));
    for _ in &SHARED[1..] {
        api = api.answer(200, list(json!([])));
    }
    let events = TestApi::default();
    let Bench { watcher, writer, tenure: _tenure, .. } = bench(&api, &events);
    let stop = CancellationToken::new();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.cancel();
    };
    tokio::join!(watcher.run(&stop), stopping);
    writer.run().await;

    let asked: Vec<String> = api.seen().into_iter().map(|(line, _)| line).collect();
    assert_eq!(api.lines()[0], format!("GET {PATH}/{}", SHARED[0]));
    for name in SHARED {
        let alone = format!("GET {PATH}?&fieldSelector=metadata.name%3D{name}");
        assert!(asked.iter().any(|line| line.starts_with(&alone)), "{name}: {asked:#?}");
    }
    assert!(asked[1..].iter().all(|line| line.contains("fieldSelector=metadata.name")), "{asked:#?}");
    assert_eq!(written(&events), [["Warning", "FieldsPruned", SHARED[0]].map(str::to_owned)]);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_look_nothing_is_watched_until_there_is() {
    let refusal = "customresourcedefinitions.apiextensions.k8s.io is forbidden";
    let api = TestApi::default().refuse(403, "Forbidden", refusal).refuse(403, "Forbidden", refusal);
    let api = api.answer(200, definition("7", &json!({})));
    let definitions: Api<Definition> = Api::all(api.client());
    let begun = Instant::now();
    until_allowed(&definitions).await;
    assert_eq!(begun.elapsed(), 2 * REFUSED);
    assert_eq!(api.seen().len(), 3);
}
