//! The loop against an API server, with a fleet of two proxies of which one does not acknowledge.

use operator_routes::{Compiler, ObjectName, Settings};
use proxy_config::model::{Epoch, Position};

use super::*;
use crate::{
    config_server::{fleet::ProxyId, metrics::Metrics, shared::Account, state::Hello},
    test_api::TestApi,
};

const EPOCH: Epoch = Epoch { created: 7, transitions: 1 };

/// Two proxies behind the Service; `prompt` acknowledges, `late` does not.
fn fleet() -> Arc<Shared> {
    let shared = Arc::new(Shared::new(Metrics::new(&prometheus::Registry::new()).unwrap()));
    let mut compiler = Compiler::new(Settings::default());
    compiler.compile();
    let pods = ["prompt", "late"].map(|pod| (pod.to_owned(), ObjectName::new("sluice", pod)));
    let endpoints = BTreeMap::from([(Scope::Fleet, BTreeMap::from(pods))]);
    shared.serve(EPOCH, compiler.compiled(), endpoints);
    for pod in ["prompt", "late"] {
        let id = ProxyId { pod: pod.to_owned(), boot: "b".to_owned() };
        let (account, name) = (Account::Fleet, ObjectName::new("sluice", pod));
        let session = shared.connect(&account, &Scope::Fleet, &id, &name, &Hello::default()).unwrap();
        let commit = shared.next_commit(&session).unwrap().unwrap();
        if pod == "prompt" {
            shared.acknowledge(&session, Position { epoch: EPOCH, seq: commit.position.seq });
        }
    }
    shared
}

/// Looks after the fleet for so long.
async fn look_after(api: &TestApi, shared: &Arc<Shared>, seconds: u64) {
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(api.client(), Arc::clone(shared), shutdown.clone()));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_acknowledge_is_evicted_and_its_pod_says_why() {
    let shared = fleet();
    let api = TestApi::default().answer(201, json!({"kind": "Status", "status": "Success"})).answer(
        201,
        json!({
            "metadata": {"name": "e"}, "involvedObject": {},
        }),
    );
    look_after(&api, &shared, 59).await;
    assert_eq!(api.lines(), Vec::<String>::new(), "it has a minute");
    look_after(&api, &shared, 62).await;
    let pods = "/api/v1/namespaces/sluice";
    assert_eq!(api.lines(), [format!("POST {pods}/pods/late/eviction"), format!("POST {pods}/events")]);
    let seen = api.seen();
    assert_eq!(seen[0].1["deleteOptions"]["preconditions"]["uid"], "late");
    let event = &seen[1].1;
    assert_eq!(event["involvedObject"]["uid"], "late");
    assert_eq!(event["reason"], "ProxyNotAcknowledging");
    let message =
        "The proxy has not acknowledged its configuration for 60 s while another proxy has; evicted";
    assert_eq!(event["message"], message);
    assert_eq!(shared.metrics.evicted.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_disruption_budget_is_respected_and_named_once() {
    let shared = fleet();
    let budget = "Cannot evict pod as it would violate the pod's disruption budget.";
    let created = json!({"metadata": {"name": "e"}, "involvedObject": {}});
    let api = TestApi::default().refuse(429, "TooManyRequests", budget).answer(201, created).refuse(
        429,
        "TooManyRequests",
        budget,
    );
    look_after(&api, &shared, 72).await;
    let seen = api.seen();
    let evictions = seen.iter().filter(|(line, _)| line.contains("/eviction")).count();
    assert_eq!((evictions, seen.len()), (2, 3), "{:?}", api.lines());
    let text = seen[1].1["message"].as_str().unwrap();
    assert!(text.ends_with(&format!("; not evicted: {budget}")), "{text}");
    assert_eq!(shared.metrics.evicted.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_hold_the_lease_evicts_nobody() {
    let (shared, api) = (fleet(), TestApi::default());
    shared.stand_by(None);
    look_after(&api, &shared, 100).await;
    assert_eq!(api.lines(), Vec::<String>::new());
}
