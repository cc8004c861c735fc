//! Against an API server that notes what it is asked.

use std::sync::Arc;

use operator_gateways::{Installation, wanted};
use operator_routes::Scope;
use serde_json::{Value, json};

use super::*;
use crate::test_api::TestApi;

fn gateway() -> ObjectName {
    ObjectName::new("shop", "web")
}

fn demand() -> Demand {
    Demand {
        uid: "uid-1".into(),
        generation: 1,
        class: "sluice".into(),
        class_parameters: None,
        parameters: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        addresses: Vec::new(),
        ports: std::collections::BTreeSet::new(),
        members: BTreeMap::new(),
    }
}

fn objects() -> Vec<Object> {
    let installation = Installation {
        config_server: "sluice-operator.sluice.svc:8443".to_owned(),
        authority: "PEM".to_owned(),
        image: "sluice-proxy:1".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        log_level: "info".to_owned(),
        drain_delay: 5,
        drain_timeout: 30,
    };
    wanted(&Scope::Gateway(gateway()), &demand(), &Parameters::default(), &installation)
}

fn deployment() -> Object {
    objects().into_iter().find(|it| it.kind == Kind::Deployment).unwrap()
}

/// A Deployment as the API server has it.
fn there(owner: &str, replicas: i32, applied: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "web-sluice", "namespace": "shop", "resourceVersion": "7", "uid": "d",
            "annotations": {APPLIED_ANNOTATION: applied},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Gateway", "name": "web", "uid": owner}],
        },
        "spec": {"replicas": replicas},
    })
}

/// What is written over a Deployment.
async fn written(there: Value) -> Result<Value, ApplyError> {
    let api = TestApi::default().answer(200, there.clone()).answer(200, there);
    apply_one(&api.client(), &demand(), &Parameters::default(), deployment()).await?;
    Ok(api.seen().pop().unwrap().1)
}

#[tokio::test]
async fn who_scales_the_proxies_is_left_alone_and_everything_else_is_kept() {
    let own = written(there("uid-1", 2, "2")).await.unwrap();
    assert_eq!((&own["spec"]["replicas"], &own["metadata"]["resourceVersion"]), (&json!(2), &json!("7")));
    let scaled = written(there("uid-1", 5, "2")).await.unwrap();
    assert!(scaled["spec"]["replicas"].is_null());
    assert!(scaled["spec"]["template"].is_object());
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_not_written_over() {
    let error = written(there("uid-2", 2, "2")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Deployment shop/web-sluice is there and does not belong to the Gateway or its class: rename the one or the other"
    );
}

#[tokio::test]
async fn what_is_as_it_was_written_is_not_written_again() {
    let empty = json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []});
    let gone =
        |api: TestApi| api.refuse(404, "NotFound", "there is none").answer(201, there("uid-1", 2, "2"));
    let mut api = TestApi::default();
    for _ in objects() {
        api = gone(api);
    }
    // Without a port there is no Service, and none is looked for.
    for _ in 1..Kind::ALL.len() {
        api = api.answer(200, empty.clone());
    }
    let (client, mut made) = (api.client(), Made::default());
    let (demand, parameters) = (demand(), Parameters::default());
    let names = Names::of(&gateway(), &demand.class);
    apply(&client, &names, &demand, &parameters, objects(), &mut made).await.unwrap();
    let asked = api.lines().len();
    assert_eq!(asked, objects().len() * 2 + Kind::ALL.len() - 1, "{:#?}", api.lines());
    apply(&client, &names, &demand, &parameters, objects(), &mut made).await.unwrap();
    assert_eq!(api.lines().len(), asked);
}

#[tokio::test]
async fn proxies_are_taken_away_only_where_another_controller_has_the_gateway() {
    let ours: Arc<[String]> = Arc::new(["sluice.dev/gateway-controller".to_owned()]);
    let class = |controller: &str| {
        let types = ("gateway.networking.k8s.io/v1", "GatewayClass");
        json!({"apiVersion": types.0, "kind": types.1, "metadata": {"name": "c"}, "spec": {"controllerName": controller}})
    };
    let here = |uid: &str| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "web", "namespace": "shop", "uid": uid}, "spec": {"gatewayClassName": "c"},
        })
    };
    let gone = || TestApi::default().refuse(404, "NotFound", "there is none");
    let cases = [
        ("the Gateway is gone", gone(), false),
        ("another one has its name", TestApi::default().answer(200, here("uid-2")), false),
        (
            "its class is gone",
            TestApi::default().answer(200, here("uid-1")).refuse(404, "NotFound", "there is none"),
            false,
        ),
        ("it is ours", TestApi::default().answer(200, here("uid-1")).answer(200, class(&ours[0])), false),
        ("it is not", TestApi::default().answer(200, here("uid-1")).answer(200, class("other/one")), true),
    ];
    for (case, api, expected) in cases {
        let found = has_another_controller(&api.client(), &ours, &gateway(), "uid-1").await.unwrap();
        assert_eq!(found, expected, "{case}");
    }
}

#[tokio::test]
async fn what_a_class_shares_is_taken_away_by_its_own_labels_and_uid() {
    let names = Names::of_class(&ObjectName::new("shop", "edge"));
    let object = |kind: &str, uid: &str, name: &str| {
        json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": {
                "name": name, "namespace": "shop", "uid": name,
                "ownerReferences": [{"apiVersion": "v1", "kind": "GatewayClass", "name": "edge", "uid": uid}],
            },
        })
    };
    let list =
        |items: Vec<Value>| json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items});
    let mut api = TestApi::default();
    for kind in Kind::ALL.into_iter().rev() {
        let name = kind.resource().2;
        let ours = object(name, "uid-1", "edge-proxies");
        api = api.answer(200, list(vec![ours.clone(), object(name, "uid-2", "other")])).answer(200, ours);
    }
    assert_eq!(withdraw(&api.client(), &names, "uid-1").await.unwrap(), Kind::ALL.len());
    let lines = api.lines();
    assert!(lines.iter().all(|line| !line.contains("other")), "{lines:#?}");
    let asked = api.seen()[0].0.clone();
    assert!(asked.contains("gateway-class"), "{asked}");
}
