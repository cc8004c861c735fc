//! A thousand runs at once stay within their intervals.

use std::{collections::BTreeMap, convert::Infallible, sync::Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::rollouts::{Workers, Worklist};

/// How many.
const RUNS: usize = 1000;

/// An API server that keeps runs: a merge patch is merged, and everything else is refused.
#[derive(Clone, Default)]
struct Keeper {
    runs: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl Keeper {
    fn client(&self) -> kube::Client {
        let keeper = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let keeper = keeper.clone();
            async move {
                let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
                let patch = request.into_body().collect().await.unwrap().to_bytes();
                let patch: Value = serde_json::from_slice(&patch).unwrap_or_default();
                let mut runs = keeper.runs.lock().unwrap();
                let (status, answer) = match runs.get_mut(&name) {
                    Some(run) => {
                        merge(run, &patch);
                        let version: u64 =
                            run["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
                        run["metadata"]["resourceVersion"] = json!((version + 1).to_string());
                        (200, run.clone())
                    }
                    None => (500, json!({})),
                };
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        kube::Client::new(service, "default")
    }
}

fn merge(into: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut into[name.as_str()], value);
        }
    }
}

/// A server that takes a while over each of its answers.
async fn slow_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper::service::service_fn(|_: Request<Incoming>| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"1"))))
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(
                async move { drop(connection.serve_connection(TokioIo::new(stream), service).await) },
            );
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_runs_stay_within_their_intervals() {
    let url = slow_server().await;
    let keeper = Keeper::default();
    let controller = Arc::new(controller(keeper.client()));
    let list = Arc::new(Worklist::default());
    let spec = json!({"metrics": [{
        "name": "m", "interval": "5s", "count": 3, "successCondition": "result == 1", "provider": {"web": {"url": url}},
    }]});
    let mut all = BTreeSet::new();
    for number in 0..RUNS {
        let mut run = object("1", &spec, &json!({}));
        run["metadata"]["name"] = json!(format!("run-{number}"));
        run["metadata"]["uid"] = json!(format!("u-{number}"));
        keeper.runs.lock().unwrap().insert(format!("run-{number}"), run.clone());
        watched(&controller, run);
        all.insert(ObjectName::new("web", format!("run-{number}")));
    }
    let until = Instant::now() + Duration::from_mins(10);
    let (_tenure, held) = watch::channel(Tenure::Held { epoch: Epoch { created: 0, transitions: 0 }, until });
    let resync = Duration::from_mins(15);
    let workers = Workers { controller, list: list.clone(), tenure: held, most: 4096, resync };
    let stop = CancellationToken::new();
    list.add(all);
    let working = tokio::spawn(workers.run(stop.clone()));

    let over =
        || keeper.runs.lock().unwrap().values().filter(|it| it["status"]["phase"] == "Successful").count();
    let begun = Instant::now();
    while over() < RUNS && begun.elapsed() < Duration::from_mins(2) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.cancel();
    working.await.unwrap();
    assert_eq!(over(), RUNS);

    let mut latest = Duration::ZERO;
    for run in keeper.runs.lock().unwrap().values() {
        let status: AnalysisRunStatus = serde_json::from_value(run["status"].clone()).unwrap();
        let measurements = &status.metric_results[0].measurements;
        assert_eq!(measurements.len(), 3);
        for pair in measurements.windows(2) {
            let gap = pair[1].started_at.unwrap() - pair[0].finished_at.unwrap();
            assert!(gap.num_seconds() >= 5, "measured {gap} after the one before");
            latest = latest.max(gap.to_std().unwrap());
        }
    }
    // Times have whole seconds; the machine may be busy with other tests.
    assert!(latest <= Duration::from_secs(9), "one was measured {latest:?} after the one before");
}
