//! The loop against an API server.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use super::*;
use crate::test_api::TestApi;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/sluice/leases/l";

fn claim(api: &TestApi) -> Claim {
    Claim {
        leases: Api::namespaced(api.client(), "sluice"),
        name: "l".to_owned(),
        identity: "me".to_owned(),
        address: Some("10.0.0.1:8443".to_owned()),
        terms: Terms {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        },
    }
}

fn lease(version: u64, holder: &str, transitions: i32) -> Value {
    json!({
        "metadata": {
            "namespace": "sluice", "name": "l", "resourceVersion": version.to_string(),
            "creationTimestamp": "2026-11-20T10:00:00Z",
            "annotations": {"sluice.dev/address": "10.0.0.9:8443"},
        },
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": transitions},
    })
}

/// Lets the loop do `turns` turns and releases.
async fn turns(api: &TestApi, turns: u32) -> Vec<Tenure> {
    let (tell, mut tenure) = watch::channel(Tenure::Unknown);
    let release = CancellationToken::new();
    let keeping = tokio::spawn(keep(claim(api), tell, release.clone()));
    let mut told = Vec::new();
    let end = Instant::now() + Duration::from_secs(2) * turns - Duration::from_secs(1);
    while tokio::time::timeout_at(end, tenure.changed()).await.is_ok_and(|it| it.is_ok()) {
        told.push(tenure.borrow_and_update().clone());
    }
    release.cancel();
    keeping.await.unwrap();
    told
}

/// What is logged on this thread while the guard lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt()
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        (log, tracing::subscriber::set_default(lines.finish()))
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn every_error_is_said_once_until_the_lease_is_held() {
    let (log, _guard) = Log::start();
    let forbidden = "leases \"l\" is forbidden";
    let api = TestApi::default()
        .answer(200, lease(1, "", 4))
        .refuse(403, "Forbidden", forbidden)
        .answer(200, lease(1, "", 4))
        .refuse(403, "Forbidden", forbidden)
        .answer(200, lease(1, "", 4))
        .refuse(404, "NotFound", "leases \"l\" not found")
        .refuse(403, "Forbidden", forbidden)
        .answer(200, lease(1, "", 4))
        .answer(200, lease(2, "me", 5))
        .refuse(403, "Forbidden", forbidden)
        .answer(200, lease(2, "me", 5))
        .answer(200, lease(3, "me", 5))
        .answer(200, lease(4, "", 5));
    turns(&api, 7).await;
    let failed = "WARN failed to take or renew the lease; trying again lease=\"l\"";
    assert_eq!(
        log.lines(),
        [
            format!("{failed} error=\"leases \\\"l\\\" is forbidden\""),
            format!("{failed} error=\"leases \\\"l\\\" not found\""),
            "INFO holding the lease lease=\"l\" transitions=5 from=\"\"".to_owned(),
            format!("{failed} error=\"leases \\\"l\\\" is forbidden\""),
            "INFO released the lease lease=\"l\"".to_owned(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_is_taken_renewed_and_given_back() {
    let api = TestApi::default()
        .answer(200, lease(1, "", 4))
        .answer(200, lease(2, "me", 5))
        .answer(200, lease(3, "me", 5))
        .answer(200, lease(4, "", 5));
    let begun = Instant::now();
    let told = turns(&api, 2).await;
    let put = format!("PUT {LEASE}");
    assert_eq!(api.lines(), [format!("GET {LEASE}"), put.clone(), put.clone(), put]);
    let epoch = Epoch { created: 1_795_168_800, transitions: 5 };
    let until = |seconds| begun + Duration::from_secs(seconds);
    assert_eq!(told, [10, 12].map(|it| Tenure::Held { epoch, until: until(it) }));
    let seen = api.seen();
    let (taken, given_back) = (&seen[1].1, &seen[3].1);
    assert_eq!(taken["spec"]["holderIdentity"], "me");
    assert_eq!(taken["spec"]["leaseTransitions"], 5);
    assert_eq!(taken["metadata"]["resourceVersion"], "1");
    assert_eq!(taken["metadata"]["annotations"]["sluice.dev/address"], "10.0.0.1:8443");
    assert_eq!(given_back["spec"]["holderIdentity"], "");
    assert_eq!(given_back["spec"]["leaseDurationSeconds"], 1);
}

#[tokio::test(start_paused = true)]
async fn of_two_takers_one_gives_way() {
    let api = TestApi::default()
        .answer(200, lease(1, "", 4))
        .refuse(409, "Conflict", "the object has been modified")
        .answer(200, lease(2, "other", 5));
    let told = turns(&api, 2).await;
    let address = Some("10.0.0.9:8443".to_owned());
    assert_eq!(told, [Tenure::Foreign { holder: "other".to_owned(), address }]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_not_there_is_created() {
    let api = TestApi::default()
        .refuse(404, "NotFound", "leases \"l\" not found")
        .answer(201, lease(1, "me", 0))
        .answer(200, lease(2, "", 0));
    let told = turns(&api, 1).await;
    assert!(matches!(&told[..], [Tenure::Held { epoch: Epoch { transitions: 0, .. }, .. }]), "{told:?}");
    assert_eq!(api.seen()[1].1["spec"]["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_stops_before_others_start() {
    // After the script every answer is 500.
    let api = TestApi::default().answer(200, lease(1, "", 0)).answer(200, lease(2, "me", 1));
    let told = turns(&api, 7).await;
    assert!(matches!(&told[..], [Tenure::Held { .. }, Tenure::Unknown]), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_does_not_renew_loses_the_lease_after_its_time() {
    let mut api = TestApi::default();
    // Read at 0, 2, … 14 and 16 s: expired then.
    for _ in 0..9 {
        api = api.answer(200, lease(1, "dead", 3));
    }
    let api = api.answer(200, lease(2, "me", 4)).answer(200, lease(3, "", 4));
    let told = turns(&api, 9).await;
    assert!(
        matches!(
            &told[..],
            [Tenure::Foreign { .. }, Tenure::Held { epoch: Epoch { transitions: 4, .. }, .. }]
        ),
        "{told:?}"
    );
}
