//! Pods.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A pod that speaks HTTP. What it does is in the path: `/hold…` answers when the pod is released,
/// `/status/503…` with that status, `/echo…` with the request's body as it comes, and everything else with the
/// request's head as text.
pub(crate) struct Pod {
    pub(crate) address: SocketAddr,
    requests: Arc<Requests>,
    released: watch::Sender<bool>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Requests {
    seen: AtomicU32,
    answered: AtomicU32,
}

/// A pod of which a test writes every byte.
pub(crate) struct RawPod {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Pod {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Requests>::default();
        let (released, gate) = watch::channel(false);
        let count = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (count, gate) = (Arc::clone(&count), gate.clone());
                tokio::spawn(async move {
                    let service = service_fn(async |request| {
                        count.seen.fetch_add(1, Ordering::SeqCst);
                        let response = answer(name, gate.clone(), request).await;
                        count.answered.fetch_add(1, Ordering::SeqCst);
                        response
                    });
                    // A proxy may break off; what it does then is the test's business.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, requests, released, task }
    }

    /// Answers everything that is held.
    pub(crate) fn release(&self) {
        self.released.send_replace(true);
    }

    /// How many requests it got.
    pub(crate) fn seen(&self) -> u32 {
        self.requests.seen.load(Ordering::SeqCst)
    }

    /// How many it has answered.
    pub(crate) fn answered(&self) -> u32 {
        self.requests.answered.load(Ordering::SeqCst)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    name: &'static str,
    mut gate: watch::Receiver<bool>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, hyper::Error> {
    let path = request.uri().path().to_owned();
    let mut response = if path.starts_with("/echo") {
        Response::new(request.into_body().boxed())
    } else {
        let mut text = format!("{} {}\n", request.method(), request.uri());
        for (header, value) in request.headers() {
            writeln!(text, "{header}: {}", value.to_str().unwrap()).unwrap();
        }
        request.into_body().collect().await?;
        Response::new(Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed())
    };
    if path.starts_with("/hold") {
        // The pod may go away before it is released.
        let _ = gate.wait_for(|it| *it).await;
    }
    if let Some(status) = path.strip_prefix("/status/") {
        *response.status_mut() = StatusCode::from_bytes(&status.as_bytes()[..3]).unwrap();
    }
    response.headers_mut().insert("x-pod", name.parse().unwrap());
    Ok(response)
}

impl RawPod {
    /// Gives every connection to `script`, with its number from 0.
    pub(crate) async fn start<F>(script: impl Fn(TcpStream, u32) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(script(stream, count.fetch_add(1, Ordering::Relaxed)));
            }
        });
        Self { address, connections, task }
    }
}

impl Drop for RawPod {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one request head.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    use tokio::io::AsyncReadExt as _;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// An address that refuses connections.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap()
}
