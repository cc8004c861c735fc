//! Gateways on a real cluster with Sluice and the kinds of Gateway API installed.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use integration_tests::{
    ask::{Answer, Question, ask_pod},
    cluster::{Cluster, Kind, RolloutView},
    story::{CANARY_SERVICE, CanaryRoute, ROLLOUT, Settings, Story},
};
use kube::api::{DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(90);
/// The ports of the proxies that stand for the ports 80 and 443 of a Gateway.
const HTTP: u16 = 64_512 + 80;
const HTTPS: u16 = 64_512 + 443;
/// The host of the example's route.
const HOST: &str = "www.example.com";

/// The route of the example with a Rollout.
const ROUTE: &str = "someapp";

/// The YAML of the example in this order: nothing is waited for but what a user would wait for.
fn example() -> anyhow::Result<String> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../examples/gateway-api"].iter().collect();
    let texts =
        ["backends.yaml", "gateway.yaml", "route.yaml"].map(|file| fs::read_to_string(folder.join(file)));
    Ok(texts
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .context("failed to read the example")?
        .join("\n---\n"))
}

/// `status` of a condition of the Gateway, if it is about the newest generation.
fn condition<'a>(gateway: &'a DynamicObject, kind: &str) -> Option<&'a str> {
    let conditions = gateway.data["status"]["conditions"].as_array()?;
    let condition = conditions.iter().find(|it| it["type"] == kind)?;
    (condition["observedGeneration"].as_i64() == gateway.metadata.generation)
        .then(|| condition["status"].as_str())?
}

/// Waits until the Gateway is programmed, and gives it.
async fn programmed(cluster: &Cluster, name: &str) -> anyhow::Result<DynamicObject> {
    let programmed = || async {
        let gateway = cluster.get(Kind::Gateway, name).await?;
        Ok(gateway.filter(|gateway| condition(gateway, "Programmed") == Some("True")))
    };
    cluster.until(&format!("Gateway {name} is programmed"), LIMIT, programmed).await
}

fn labels(gateway: &str) -> String {
    format!("gateway.networking.k8s.io/gateway-name={gateway}")
}

/// Asks the first proxy of a Gateway.
async fn ask(
    cluster: &Cluster,
    gateway: &str,
    authority: Option<&str>,
    host: &str,
    path: &str,
) -> anyhow::Result<Answer> {
    let port = if authority.is_some() { HTTPS } else { HTTP };
    let question = Question { authority, method: "GET", host, path, authorization: None };
    ask_pod(cluster, &labels(gateway), port, question).await
}

/// Asks until the answer is right.
async fn answered(
    cluster: &Cluster,
    authority: Option<&str>,
    host: &str,
    path: &str,
    status: u16,
    text: &str,
) -> anyhow::Result<()> {
    let right = || async {
        let answer = ask(cluster, "eg", authority, host, path).await;
        Ok(answer.is_ok_and(|it| it.status == status && it.body.contains(text)).then_some(()))
    };
    cluster.until(&format!("{host}{path} is answered with {status} {text:?}"), LIMIT, right).await
}

/// The names of the pods of a Gateway's proxies.
async fn proxies(cluster: &Cluster, gateway: &str) -> anyhow::Result<Vec<String>> {
    let pods = cluster.pods(&labels(gateway)).await?;
    let mut names: Vec<String> = pods.into_iter().filter_map(|pod| pod.metadata.name).collect();
    names.sort();
    Ok(names)
}

async fn patch_listeners(cluster: &Cluster, gateway: &str, patch: Value) -> anyhow::Result<()> {
    let patch: json_patch::Patch = serde_json::from_value(patch).context("failed to make the patch")?;
    let gateways = cluster.dynamic(Kind::Gateway);
    let patched = gateways.patch(gateway, &PatchParams::default(), &Patch::<()>::Json(patch)).await;
    patched.map(drop).context("failed to patch the Gateway")
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice and Gateway API: cargo xtask test"]
async fn the_example_does_what_it_says() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-gateway-api").await?;
    let begun = Instant::now();
    cluster.apply(&example()?).await?;
    let gateway = programmed(&cluster, "eg").await?;
    println!("from the first object to a Gateway that is programmed: {:.1} s", begun.elapsed().as_secs_f64());
    let address = gateway.data["status"]["addresses"][0]["value"].as_str().unwrap_or_default();
    ensure!(!address.is_empty(), "a Gateway that is programmed has an address: {:#}", gateway.data["status"]);

    answered(&cluster, None, HOST, "/get", 200, "backend").await?;
    answered(&cluster, None, HOST, "/get/headers", 200, "added-header: foo").await?;
    answered(&cluster, None, "other.example.com", "/get", 404, "").await?;
    answered(&cluster, None, HOST, "/getaway", 404, "").await?;
    let mut second = 0;
    for _ in 0..100 {
        second += u32::from(ask(&cluster, "eg", None, HOST, "/get").await?.body.starts_with("backend-2 "));
    }
    ensure!((18..=22).contains(&second), "{second} of 100 requests went to backend-2");

    let before = proxies(&cluster, "eg").await?;
    let issued = rcgen::generate_simple_self_signed([HOST.to_owned()]).context("failed to sign")?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "example-cert"},
        "stringData": {"tls.crt": issued.cert.pem(), "tls.key": issued.signing_key.serialize_pem()},
    });
    cluster.apply(&secret.to_string()).await?;
    let listener = json!({
        "name": "https", "protocol": "HTTPS", "port": 443,
        "tls": {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "group": "", "name": "example-cert"}]},
    });
    patch_listeners(&cluster, "eg", json!([{"op": "add", "path": "/spec/listeners/-", "value": listener}]))
        .await?;
    programmed(&cluster, "eg").await?;
    answered(&cluster, Some(&issued.cert.pem()), HOST, "/get", 200, "backend").await?;
    ensure!(proxies(&cluster, "eg").await? == before, "a listener restarts no proxy");
    cluster.remove().await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice and Gateway API: cargo xtask test"]
async fn what_is_made_for_a_gateway_is_kept_scaled_by_others_and_gone_with_it() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-gateways").await?;
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/gateway-api/gateway.yaml"))?;
    cluster.apply(&text).await?;
    programmed(&cluster, "eg").await?;
    let made = [
        (Kind::Deployment, "eg-sluice"),
        (Kind::Service, "eg-sluice"),
        (Kind::PodDisruptionBudget, "eg-sluice"),
    ];
    for (kind, name) in made {
        let object =
            cluster.get(kind, name).await?.with_context(|| format!("there is no {kind:?} {name}"))?;
        let owners = object.metadata.owner_references.unwrap_or_default();
        ensure!(owners.iter().any(|owner| owner.kind == "Gateway"), "{kind:?} {name} belongs to the Gateway");
    }

    // Somebody scales, and the Gateway is edited: the number stays.
    cluster.merge(Kind::Deployment, "eg-sluice", &json!({"spec": {"replicas": 3}})).await?;
    let listener = json!({"name": "more", "protocol": "HTTP", "port": 8080});
    patch_listeners(&cluster, "eg", json!([{"op": "add", "path": "/spec/listeners/-", "value": listener}]))
        .await?;
    let opened = || async {
        let service = cluster.get(Kind::Service, "eg-sluice").await?.context("the Service is gone")?;
        let ports = service.data["spec"]["ports"].as_array().cloned().unwrap_or_default();
        Ok(ports.iter().any(|port| port["port"] == 8080).then_some(()))
    };
    cluster.until("the Service has the new port", LIMIT, opened).await?;
    let deployment = cluster.get(Kind::Deployment, "eg-sluice").await?.context("the Deployment is gone")?;
    ensure!(deployment.data["spec"]["replicas"] == 3, "{:#}", deployment.data["spec"]["replicas"]);

    // Somebody deletes what is needed: it comes back.
    cluster.delete(Kind::Service, "eg-sluice").await?;
    let back = || async { Ok(cluster.get(Kind::Service, "eg-sluice").await?.map(drop)) };
    cluster.until("the Service is back", LIMIT, back).await?;
    programmed(&cluster, "eg").await?;

    cluster.delete(Kind::Gateway, "eg").await?;
    let gone = || async { Ok(cluster.get(Kind::Deployment, "eg-sluice").await?.is_none().then_some(())) };
    cluster.until("the proxies are gone with their Gateway", LIMIT, gone).await?;
    cluster.remove().await
}

/// What says whether Gateways of the class have proxies of their `own` or `shared` ones.
fn parameters(proxies: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"proxies": proxies},
    })
}

/// A class whose Gateways share proxies, and two of them for different hosts on the same port.
fn sharing(namespace: &str) -> String {
    let gateway = |name: &str, host: &str| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": name},
            "spec": {"gatewayClassName": "it-shared", "listeners": [
                {"name": "http", "protocol": "HTTP", "port": 80, "hostname": host},
            ]},
        })
    };
    let route = |name: &str, backend: &str| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name},
            "spec": {"parentRefs": [{"name": name}], "rules": [{"backendRefs": [{"name": backend, "port": 3000}]}]},
        })
    };
    let class = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "it-shared"},
        "spec": {
            "controllerName": "sluice.dev/gateway-controller",
            "parametersRef": {"group": "", "kind": "ConfigMap", "name": "shared", "namespace": namespace},
        },
    });
    let objects = [
        parameters("shared"),
        class,
        gateway("one", "one.example.com"),
        gateway("two", "two.example.com"),
        route("one", "backend"),
        route("two", "backend-2"),
    ];
    objects.map(|object| object.to_string()).join("\n---\n")
}

/// Asks the first of the proxies that the Gateways of the class share.
async fn ask_shared(cluster: &Cluster, host: &str) -> anyhow::Result<Answer> {
    let labels =
        "app.kubernetes.io/component=gateway-class,gateway.networking.k8s.io/gateway-class-name=it-shared";
    let question = Question { authority: None, method: "GET", host, path: "/get", authorization: None };
    ask_pod(cluster, labels, HTTP, question).await
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice and Gateway API: cargo xtask test"]
async fn gateways_of_a_class_share_one_set_of_proxies_until_the_last_is_gone() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-gateways-shared").await?;
    let backends =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/gateway-api/backends.yaml"))?;
    cluster.apply(&backends).await?;
    cluster.apply(&sharing("it-gateways-shared")).await?;
    let address = |gateway: &DynamicObject| gateway.data["status"]["addresses"][0]["value"].clone();
    let (one, two) = (programmed(&cluster, "one").await?, programmed(&cluster, "two").await?);
    ensure!(
        address(&one) == address(&two) && address(&one).is_string(),
        "{} {}",
        address(&one),
        address(&two)
    );
    for name in ["one-it-shared", "two-it-shared"] {
        ensure!(cluster.get(Kind::Deployment, name).await?.is_none(), "{name} is made for nobody");
    }
    let served = |host: &'static str, text: &'static str| {
        let cluster = &cluster;
        move || async move {
            let answer = ask_shared(cluster, host).await;
            Ok(answer.is_ok_and(|it| it.status == 200 && it.body.starts_with(text)).then_some(()))
        }
    };
    cluster.until("the first Gateway is served", LIMIT, served("one.example.com", "backend ")).await?;
    cluster.until("the second Gateway is served", LIMIT, served("two.example.com", "backend-2 ")).await?;

    // One goes: the other is served by the same pods.
    let labels = "gateway.networking.k8s.io/gateway-class-name=it-shared";
    let pods = || async {
        let pods = cluster.pods(labels).await?;
        let mut names: Vec<String> = pods.into_iter().filter_map(|pod| pod.metadata.name).collect();
        names.sort();
        anyhow::Ok(names)
    };
    let before = pods().await?;
    cluster.delete(Kind::Gateway, "one").await?;
    let left = || async {
        let answer = ask_shared(&cluster, "one.example.com").await?;
        Ok((answer.status == 404).then_some(()))
    };
    cluster.until("the Gateway that is gone is served no more", LIMIT, left).await?;
    let answer = ask_shared(&cluster, "two.example.com").await?;
    ensure!(answer.status == 200 && answer.body.starts_with("backend-2 "), "{answer:?}");
    ensure!(pods().await? == before, "a Gateway that goes restarts no proxy");

    // The class changes its mind: the Gateway moves to proxies of its own, and back.
    let gone = |name: &'static str| {
        let cluster = &cluster;
        move || async move { Ok(cluster.get(Kind::Deployment, name).await?.is_none().then_some(())) }
    };
    let moved = |from: Value| {
        let cluster = &cluster;
        move || {
            let from = from.clone();
            async move {
                let gateway = programmed(cluster, "two").await?;
                let now = gateway.data["status"]["addresses"][0]["value"].clone();
                Ok((now.is_string() && now != from).then_some(now))
            }
        }
    };
    cluster.apply(&parameters("own").to_string()).await?;
    let own = cluster.until("the Gateway has an address of its own", LIMIT, moved(address(&two))).await?;
    cluster.until("the shared proxies are gone", LIMIT, gone("it-shared-proxies")).await?;
    let served_alone = || async {
        let answer = ask(&cluster, "two", None, "two.example.com", "/get").await;
        Ok(answer.is_ok_and(|it| it.status == 200 && it.body.starts_with("backend-2 ")).then_some(()))
    };
    cluster.until("its own proxies serve it", LIMIT, served_alone).await?;

    cluster.apply(&parameters("shared").to_string()).await?;
    cluster.until("the Gateway has the shared address", LIMIT, moved(own)).await?;
    cluster.until("the shared proxies serve it", LIMIT, served("two.example.com", "backend-2 ")).await?;
    cluster.until("its own proxies are gone", LIMIT, gone("two-it-shared")).await?;

    cluster.delete(Kind::Gateway, "two").await?;
    cluster.until("the proxies are gone with the last Gateway", LIMIT, gone("it-shared-proxies")).await?;
    let class = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "GatewayClass");
    cluster.delete_of_all(&class, "it-shared").await?;
    cluster.remove().await
}

/// The quickstart with the HTTPRoute of `examples/gateway-canary` in the place of its Mapping.
fn with_http_route(namespace: &str) -> anyhow::Result<Settings> {
    let route = of_canary("route.yaml")?;
    let routing = "        gatewayAPI:\n          httpRoute: someapp\n";
    let settings = Settings::quickstart(6).routed_by(routing, &route, CanaryRoute::Inside(ROUTE));
    Ok(Settings { proxy: format!("{namespace}/edge-sluice"), ..settings })
}

/// What a GitOps tool that ignores weights sees of the route.
async fn but_for_weights(cluster: &Cluster) -> anyhow::Result<Value> {
    let route = cluster.get(Kind::HttpRoute, ROUTE).await?.context("the HTTPRoute is gone")?;
    let mut seen = json!({
        "spec": route.data["spec"],
        "labels": route.metadata.labels,
        "annotations": route.metadata.annotations,
    });
    for rule in seen["spec"]["rules"].as_array_mut().into_iter().flatten() {
        for backend in rule["backendRefs"].as_array_mut().into_iter().flatten() {
            backend["weight"] = json!("ignored");
        }
    }
    Ok(seen)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with Sluice and Gateway API: cargo xtask test"]
async fn requests_move_through_an_http_route_exactly_as_the_steps_say() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-gateway-canary").await?;
    cluster.apply(&of_canary("gateway.yaml")?).await?;
    programmed(&cluster, "edge").await?;
    let mut story = Story::begin(cluster.clone(), with_http_route("it-gateway-canary")?).await?;
    let before = but_for_weights(&cluster).await?;

    story.update().await?;
    for weight in [30, 60] {
        story.reach(weight).await?;
        ensure!(but_for_weights(&cluster).await? == before, "only weights change, at {weight} too");
    }
    story.complete().await?;
    ensure!(but_for_weights(&cluster).await? == before, "only weights changed");

    let route = cluster.get(Kind::HttpRoute, ROUTE).await?.context("the HTTPRoute is gone")?;
    let backends = route.data["spec"]["rules"][0]["backendRefs"].as_array().cloned().unwrap_or_default();
    for backend in backends {
        let weight = if backend["name"] == CANARY_SERVICE { 0 } else { 100 };
        ensure!(backend["weight"] == weight, "{backend}");
    }
    let events = cluster.events(ROLLOUT).await?;
    ensure!(events.iter().any(|event| event.contains("Traffic weight updated from 30 to 60")), "{events:#?}");
    let report = story.end().await?;
    ensure!(report.problems().is_empty(), "{report:#?}");
    let seen: Vec<u32> = report.stages.iter().map(|stage| stage.weight).collect();
    ensure!([30, 60].iter().all(|weight| seen.contains(weight)), "{seen:?}");
    cluster.remove().await
}

/// A file of `examples/gateway-canary`.
fn of_canary(file: &str) -> anyhow::Result<String> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../examples/gateway-canary"].iter().collect();
    fs::read_to_string(folder.join(file)).with_context(|| format!("failed to read {file}"))
}

/// Whom 200 requests reach: pods of the Experiment, and all pods of the new version.
async fn two_hundred(cluster: &Cluster) -> anyhow::Result<(u32, u32)> {
    let (mut trial, mut new) = (0, 0);
    for _ in 0..200 {
        let answer = ask(cluster, "edge", None, HOST, "/someapp").await?;
        ensure!(answer.status == 200, "{answer:?}");
        trial += u32::from(answer.body.contains("-trial-"));
        new += u32::from(answer.body.starts_with("v2 "));
    }
    Ok((trial, new))
}

#[tokio::test]
#[ignore = "needs a cluster with Sluice and Gateway API: cargo xtask test"]
async fn pods_of_an_experiment_get_their_share_of_an_http_route() -> anyhow::Result<()> {
    let cluster = Cluster::fresh_namespace("it-gateway-experiment").await?;
    cluster.apply(&of_canary("gateway.yaml")?).await?;
    programmed(&cluster, "edge").await?;
    for file in ["services.yaml", "route.yaml", "rollout.yaml"] {
        cluster.apply(&of_canary(file)?).await?;
    }
    cluster.until_rollout(ROUTE, "healthy", LIMIT, RolloutView::healthy).await?;
    let before = but_for_weights(&cluster).await?;

    let template = json!({"name": "trial", "specRef": "canary", "weight": 10});
    let experiment = json!({"scaleDownDelaySeconds": 0, "templates": [template]});
    let steps = json!([{"setWeight": 20}, {"experiment": experiment}, {"setWeight": 50}]);
    let canary = json!({"steps": steps, "trafficRouting": {"managedRoutes": null}});
    cluster.merge(Kind::Rollout, ROUTE, &json!({"spec": {"strategy": {"canary": canary}}})).await?;
    cluster.set_image(ROUTE, "v2").await?;
    let current = || async {
        let rollout = cluster.get(Kind::Rollout, ROUTE).await?.context("the Rollout is gone")?;
        let canary = &rollout.data["status"]["canary"];
        let weights = &canary["weights"];
        let served = weights["verified"] == true && weights["additional"][0]["weight"] == 10;
        Ok(canary["currentExperiment"].as_str().filter(|_| served).map(str::to_owned))
    };
    let experiment = cluster.until("every proxy serves the Experiment", LIMIT, current).await?;
    let (trial, new) = two_hundred(&cluster).await?;
    ensure!((18..=22).contains(&trial), "{trial} of 200 requests reached the pods of the Experiment");
    ensure!((56..=64).contains(&new), "{new} of 200 requests reached the new version");
    ensure!(but_for_weights(&cluster).await? == before, "only weights change in the user's route");

    // It is taken back before its pods go: nobody notices.
    cluster.merge(Kind::Experiment, &experiment, &json!({"spec": {"terminate": true}})).await?;
    let over = || async {
        let answer = ask(&cluster, "edge", None, HOST, "/someapp").await?;
        ensure!(answer.status == 200, "{answer:?}");
        let set = cluster.get(Kind::ReplicaSet, &format!("{experiment}-trial")).await?;
        let pods =
            set.context("the ReplicaSet of the Experiment is kept")?.data["status"]["replicas"].as_i64();
        Ok((pods.unwrap_or_default() == 0).then_some(()))
    };
    cluster.until("the pods of the Experiment are gone", LIMIT, over).await?;
    let stand_in = cluster.get(Kind::HttpRoute, &format!("{ROUTE}-experiment")).await?;
    ensure!(stand_in.is_none(), "the route that stood in is gone");
    cluster.until_rollout(ROUTE, "healthy with v2", LIMIT, RolloutView::healthy).await?;
    ensure!(but_for_weights(&cluster).await? == before, "only weights changed in the user's route");
    cluster.remove().await
}
