//! Ingresses on a real cluster with Sluice installed: a Rollout that moves their weights, and what their owners see.

use std::time::Duration;

use anyhow::Context as _;
use integration_tests::{
    ask::{Question, ask},
    cluster::{Cluster, Kind},
    story::{CanaryRoute, ROLLOUT, Settings, Story},
};

const LIMIT: Duration = Duration::from_secs(90);
/// The Ingress that the user writes, and the one that Sluice makes beside it.
const INGRESS: &str = "someapp";
const CANARY: &str = "someapp-someapp-canary";

/// The quickstart with an Ingress in the place of its Mapping.
fn with_ingress(path: &str) -> Settings {
    let ingress = format!(
        "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {INGRESS}
  annotations: {{nginx.ingress.kubernetes.io/rewrite-target: /}}
spec:
  ingressClassName: sluice
  rules:
    - http:
        paths:
          - {{path: {path}, pathType: Prefix, backend: {{service: {{name: someapp-stable, port: {{number: 80}}}}}}}}
"
    );
    let routing = "        nginx:\n          stableIngress: someapp\n";
    let canary = CanaryRoute::Beside(Kind::Ingress, CANARY);
    Settings { path: path.to_owned(), ..Settings::quickstart(6).routed_by(routing, &ingress, canary) }
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn requests_move_through_an_ingress_exactly_as_the_steps_say() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-ingress").await?;
    let mut story = Story::begin(cluster.clone(), with_ingress("/it-ingress")).await?;

    story.update().await?;
    story.reach(30).await?;
    let canary = cluster.get(Kind::Ingress, CANARY).await?.context("there is no canary Ingress")?;
    let annotations = canary.metadata.annotations.unwrap_or_default();
    let weight = annotations.get("nginx.ingress.kubernetes.io/canary-weight").map(String::as_str);
    assert_eq!(weight, Some("30"));
    let backend = "/spec/rules/0/http/paths/0/backend/service/name";
    assert_eq!(canary.data.pointer(backend).and_then(|it| it.as_str()), Some("someapp-canary"));
    let owners = canary.metadata.owner_references.unwrap_or_default();
    assert_eq!(owners.first().map(|owner| owner.kind.as_str()), Some("Rollout"));
    story.complete().await?;

    let events = cluster.events(ROLLOUT).await?;
    for text in ["CreatingCanaryIngress Creating canary ingress", "to desiredWeight '60'"] {
        assert!(events.iter().any(|event| event.contains(text)), "{text:?} is not among {events:#?}");
    }
    let report = story.end().await?;
    assert_eq!(report.problems(), Vec::<String>::new(), "{report:#?}");
    let seen: Vec<u32> = report.stages.iter().map(|stage| stage.weight).collect();
    assert!([30, 60].iter().all(|weight| seen.contains(weight)), "{seen:?}");
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn the_owner_of_an_ingress_sees_what_is_served_and_what_is_not() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-ingress-events").await?;
    cluster
        .apply(
            "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: good}
spec:
  ingressClassName: sluice
  rules:
    - host: good.it-ingress-events.example.org
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: bad}
spec:
  ingressClassName: sluice
  rules:
    - host: bad.it-ingress-events.example.org
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: absent, port: {number: 80}}}}
          - {path: /bucket, pathType: Prefix, backend: {resource: {apiGroup: example.org, kind: Bucket, name: b}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
",
        )
        .await?;
    for (name, texts) in [
        ("good", vec!["RouteServed served: good.it-ingress-events.example.org/"]),
        (
            "bad",
            vec![
                "RouteInactive",
                "Service `absent` does not exist",
                "a backend of kind Bucket cannot be reached",
            ],
        ),
    ] {
        let told = || async {
            let events = cluster.events(name).await?;
            Ok(texts.iter().all(|text| events.iter().any(|event| event.contains(text))).then_some(()))
        };
        cluster.until(&format!("the events of Ingress {name} say {texts:?}"), LIMIT, told).await?;
    }
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice: cargo xtask test"]
async fn an_ingress_is_for_those_who_know_a_password() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-ingress-passwords").await?;
    let ingress = |name: &str, more: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  annotations:
    nginx.ingress.kubernetes.io/permanent-redirect: https://example.org/
    {more}
spec:
  ingressClassName: sluice
  rules:
    - host: {name}.it-ingress-passwords.example.org
      http:
        paths:
          - {{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}
---
"
        )
    };
    // The file is that of `htpasswd -nb ann 'tea time'`, by bcrypt.
    let secret = "apiVersion: v1
kind: Secret
metadata: {name: staff}
stringData:
  auth: |
    ann:$2y$05$c4WoMPo3SXsafkva.HHa6uMcEUMVZBSx/d1lciHVZr6iprB8uzFXa
";
    let passwords = "nginx.ingress.kubernetes.io/auth-type: basic
    nginx.ingress.kubernetes.io/auth-secret: staff";
    let elsewhere = "nginx.ingress.kubernetes.io/whitelist-source-range: 192.0.2.0/24";
    let objects = [ingress("staff", passwords), ingress("elsewhere", elsewhere), secret.to_owned()];
    cluster.apply(&objects.concat()).await?;
    let system = cluster.elsewhere("sluice-system");
    // ann:tea time, and ann:coffee time.
    let (right, wrong) = ("Basic YW5uOnRlYSB0aW1l", "Basic YW5uOmNvZmZlZSB0aW1l");
    let table = [
        ("staff", None, 401),
        ("staff", Some(wrong), 401),
        ("staff", Some(right), 301),
        ("elsewhere", None, 403),
    ];
    for (name, authorization, status) in table {
        let host = format!("{name}.it-ingress-passwords.example.org");
        let question = Question { authority: None, method: "GET", host: &host, path: "/", authorization };
        let answered = || async {
            let answer = ask(&system, question).await;
            Ok(answer.is_ok_and(|answer| answer.status == status).then_some(()))
        };
        cluster.until(&format!("{host} answers {authorization:?} with {status}"), LIMIT, answered).await?;
    }
    cluster.remove().await
}
