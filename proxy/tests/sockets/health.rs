//! Pods that are asked whether they can take requests.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_config::model::{
    Change, Cluster, Edit, GrpcQuestion, HeaderEdit, HealthCheck, HttpQuestion, Question, UpstreamProtocol,
    Value,
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, task::JoinHandle};

use crate::support::{
    Directory, Proxy,
    client::{self, Reply},
    configs::{cluster, route},
    eventually,
    operator::{Link, Operator},
    upstream::{RawPod, read_head},
};

/// A pod whose health a test sets, as a status; 0 is none: it closes the connection.
struct Checked {
    pod: RawPod,
    health: Arc<AtomicU32>,
    /// The heads of the questions.
    questions: Arc<Mutex<Vec<String>>>,
}

impl Checked {
    async fn start(name: &'static str, health: u32) -> Self {
        let health = Arc::new(AtomicU32::new(health));
        let questions = Arc::<Mutex<Vec<String>>>::default();
        let (status, heads) = (Arc::clone(&health), Arc::clone(&questions));
        let pod = RawPod::start(move |mut stream, _| {
            let (status, heads) = (Arc::clone(&status), Arc::clone(&heads));
            async move {
                while let Some(head) = read_head(&mut stream).await {
                    let status = if head.starts_with("GET /health") {
                        heads.lock().unwrap().push(head);
                        status.load(Ordering::SeqCst)
                    } else {
                        200
                    };
                    if status == 0 {
                        return;
                    }
                    let answer = format!("HTTP/1.1 {status} \r\nx-pod: {name}\r\ncontent-length: 0\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            }
        });
        Self { pod: pod.await, health, questions }
    }

    fn is(&self, status: u32) {
        self.health.store(status, Ordering::SeqCst);
    }
}

fn http(statuses: &[(u16, u16)]) -> Question {
    Question::Http(HttpQuestion {
        path: "/health?all".into(),
        host: Some("checks.example".into()),
        request_headers: vec![HeaderEdit { name: "x-check".into(), edit: Edit::Set(Value::text("1")) }],
        statuses: statuses.to_vec(),
    })
}

fn check(question: Question) -> HealthCheck {
    HealthCheck { interval_ms: 10, timeout_ms: 5_000, unhealthy_threshold: 2, healthy_threshold: 2, question }
}

fn asked(pods: &[SocketAddr], protocol: UpstreamProtocol, checks: &[HealthCheck]) -> Change {
    let pods: Vec<_> = pods.iter().map(|it| (*it, "h1")).collect();
    let Change::Cluster(plain) = cluster("a", &pods) else { panic!("a cluster") };
    Change::Cluster(Arc::new(Cluster { protocol, checks: checks.to_vec(), ..Cluster::clone(&plain) }))
}

async fn before(cluster: Change) -> (Operator, Directory, Proxy, Link) {
    let (mut operator, directory) = (Operator::start().await, Directory::new());
    let proxy = Proxy::start(&operator, &directory);
    let link = operator.configure(vec![cluster, route(&[("a", 10_000)])]).await;
    (operator, directory, proxy, link)
}

/// Waits until so many pods fail their checks.
async fn unhealthy(proxy: &Proxy, count: u32) {
    let what = format!("{count} pods are unhealthy");
    eventually(&what, async || {
        (proxy.metric("sluice_proxy_endpoints_unhealthy").await - f64::from(count)).abs() < 0.1
    })
    .await;
}

/// Which pods answer, in order of their names.
async fn answering(proxy: &Proxy) -> String {
    let mut pods = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let reply: Reply = client::get(proxy.http, "/").await;
        assert_eq!(reply.status, 200);
        pods.insert(reply.header("x-pod").to_owned());
    }
    pods.into_iter().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_pod_that_does_not_pass_its_check_gets_nothing_until_it_does() {
    let (one, other) = (Checked::start("one", 204).await, Checked::start("other", 200).await);
    let checks = [check(http(&[(200, 200), (202, 299)]))];
    let pods = [one.pod.address, other.pod.address];
    let (_operator, _directory, proxy, mut link) =
        before(asked(&pods, UpstreamProtocol::Http1, &checks)).await;
    unhealthy(&proxy, 0).await;
    assert_eq!(answering(&proxy).await, "one other");
    for bad in [500, 0, 301] {
        one.is(bad);
        unhealthy(&proxy, 1).await;
        assert_eq!(answering(&proxy).await, "other", "{bad}");
        one.is(204);
        unhealthy(&proxy, 0).await;
        assert_eq!(answering(&proxy).await, "one other");
    }
    let heads = one.questions.lock().unwrap().clone();
    for expected in ["GET /health?all HTTP/1.1\r\n", "host: checks.example\r\n", "x-check: 1\r\n"] {
        assert!(heads[0].contains(expected), "{}", heads[0]);
    }
    // Checks are no requests.
    link.report(|it| it.arms.iter().any(|it| (it.requests, it.bad) == (280, 0))).await;
    assert!(proxy.metric("sluice_proxy_health_checks_total{outcome=\"bad\"}").await > 5.5);
}

#[tokio::test]
async fn with_all_of_them_unhealthy_all_get_requests() {
    let (one, other) = (Checked::start("one", 500).await, Checked::start("other", 500).await);
    let pods = [one.pod.address, other.pod.address];
    let checks = [check(http(&[(200, 200)]))];
    let (_operator, _directory, proxy, _link) = before(asked(&pods, UpstreamProtocol::Http1, &checks)).await;
    unhealthy(&proxy, 2).await;
    assert_eq!(answering(&proxy).await, "one other");
    other.is(200);
    unhealthy(&proxy, 1).await;
    assert_eq!(answering(&proxy).await, "other");
}

#[tokio::test]
async fn every_check_counts_and_one_that_is_gone_does_not() {
    let (one, other) = (Checked::start("one", 201).await, Checked::start("other", 200).await);
    let pods = [one.pod.address, other.pod.address];
    let (lenient, strict) = (check(http(&[(200, 299)])), check(http(&[(200, 200)])));
    let with = |checks: &[HealthCheck]| asked(&pods, UpstreamProtocol::Http1, checks);
    let (_operator, _directory, proxy, mut link) = before(with(std::slice::from_ref(&lenient))).await;
    unhealthy(&proxy, 0).await;
    link.commit(vec![with(&[lenient.clone(), strict])]).await;
    unhealthy(&proxy, 1).await;
    assert_eq!(answering(&proxy).await, "other");
    link.commit(vec![with(&[lenient])]).await;
    unhealthy(&proxy, 0).await;
    link.commit(vec![with(&[])]).await;
    let asked = one.questions.lock().unwrap().len() + other.questions.lock().unwrap().len();
    assert_eq!(answering(&proxy).await, "one other");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let now = one.questions.lock().unwrap().len() + other.questions.lock().unwrap().len();
    // Those that were under way.
    assert!(now <= asked + 2, "nobody is asked any more: {asked} {now}");
}

#[tokio::test]
async fn a_pod_is_asked_once_however_many_threads_there_are() {
    let pod = Checked::start("one", 200).await;
    let slow = HealthCheck { interval_ms: 3_600_000, ..check(http(&[(200, 200)])) };
    let (_operator, _directory, proxy, mut link) =
        before(asked(&[pod.pod.address], UpstreamProtocol::Http1, std::slice::from_ref(&slow))).await;
    eventually("it is asked", async || pod.questions.lock().unwrap().len() == 1).await;
    // Another pod of the cluster is news; this one is not asked anew for it.
    let other = Checked::start("other", 200).await;
    let both = [pod.pod.address, other.pod.address];
    link.commit(vec![asked(&both, UpstreamProtocol::Http1, &[slow])]).await;
    eventually("the new one is asked", async || other.questions.lock().unwrap().len() == 1).await;
    assert_eq!(answering(&proxy).await, "one other");
    assert_eq!(pod.questions.lock().unwrap().len(), 1);
}

/// A server of gRPC's health service, whose status a test sets; everything else it answers with its name.
async fn grpc_pod(name: &'static str, serving: Arc<AtomicU32>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let serving = Arc::clone(&serving);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(|request: Request<Incoming>| {
                    let serving = Arc::clone(&serving);
                    async move {
                        let mut trailers = HeaderMap::new();
                        let mut frames = Vec::new();
                        if request.uri().path() == "/grpc.health.v1.Health/Check" {
                            let body = request.into_body().collect().await.unwrap().to_bytes();
                            // Field 1, four bytes of text.
                            assert_eq!(&*body, b"\0\0\0\0\x06\x0a\x04cart");
                            let status = u8::try_from(serving.load(Ordering::SeqCst)).unwrap();
                            frames.push(Ok(Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]))));
                            trailers.insert("grpc-status", HeaderValue::from_static("0"));
                        }
                        frames.push(Ok::<_, Infallible>(Frame::trailers(trailers)));
                        let body = StreamBody::new(futures::stream::iter(frames));
                        Ok::<_, Infallible>(Response::builder().header("x-pod", name).body(body).unwrap())
                    }
                });
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (address, task)
}

#[tokio::test]
async fn grpc_has_a_service_of_its_own_for_it() {
    let (serving, other_serving) = (Arc::new(AtomicU32::new(1)), Arc::new(AtomicU32::new(1)));
    let (one, first) = grpc_pod("one", Arc::clone(&serving)).await;
    let (other, second) = grpc_pod("other", Arc::clone(&other_serving)).await;
    let question = Question::Grpc(GrpcQuestion { service: "cart".into(), authority: None });
    let cluster = asked(&[one, other], UpstreamProtocol::Http2, &[check(question)]);
    let (_operator, _directory, proxy, _link) = before(cluster).await;
    eventually("both are asked", async || {
        proxy.metric("sluice_proxy_health_checks_total{outcome=\"good\"}").await > 3.5
    })
    .await;
    assert_eq!(answering(&proxy).await, "one other");
    // NOT_SERVING.
    serving.store(2, Ordering::SeqCst);
    unhealthy(&proxy, 1).await;
    assert_eq!(answering(&proxy).await, "other");
    serving.store(1, Ordering::SeqCst);
    unhealthy(&proxy, 0).await;
    assert_eq!(answering(&proxy).await, "one other");
    first.abort();
    second.abort();
}
