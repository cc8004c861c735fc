//! Routes of which a client gets so much and no more, over both protocols.

use std::convert::Infallible;

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Body, Frame},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proxy_config::model::{ClientLimits, Rate};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::support::{
    Directory, Proxy,
    client::{Client, Reply},
    configs::{cluster, listener_with, route_changed},
    eventually,
    operator::Operator,
    upstream::Pod,
};

#[derive(Clone, Copy, Debug)]
enum Version {
    Http1,
    Http2,
}

/// A proxy behind another one that is trusted, with a pod.
struct Fixture {
    _operator: Operator,
    _directory: Directory,
    proxy: Proxy,
    pod: Pod,
}

impl Fixture {
    async fn start(limits: Option<ClientLimits>, max_body_bytes: Option<u64>) -> Self {
        let (mut operator, directory, pod) =
            (Operator::start().await, Directory::new(), Pod::start("a").await);
        let proxy = Proxy::start(&operator, &directory);
        let route = route_changed("/", &[("a", 10_000)], |route| {
            route.filters.clients = limits.map(Box::new);
            route.filters.max_body_bytes = max_body_bytes;
        });
        let port = listener_with(operator.http_port, |listener| listener.trusted_hops = 1);
        operator.configure(vec![port, cluster("a", &[(pod.address, "h1")]), route]).await;
        Self { _operator: operator, _directory: directory, proxy, pod }
    }

    /// The answer to a request of a client at this address.
    async fn ask<B>(&self, version: Version, client: &str, path: &str, body: B) -> Reply
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static,
    {
        let request = |uri: String| Request::post(uri).header("x-forwarded-for", client);
        let body = BoxBody::new(body);
        match version {
            Version::Http1 => {
                let request = request(path.to_owned()).header("host", "example.org").body(body).unwrap();
                let mut client = Client::connect(self.proxy.http).await.unwrap();
                Reply::read(client.send(request).await.unwrap()).await.unwrap()
            }
            Version::Http2 => {
                let request = request(format!("http://example.org{path}")).body(body).unwrap();
                let io = TokioIo::new(TcpStream::connect(self.proxy.http).await.unwrap());
                let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
                tokio::spawn(async move { drop(connection.await) });
                Reply::read(sender.send_request(request).await.unwrap()).await.unwrap()
            }
        }
    }

    async fn get(&self, version: Version, client: &str, path: &str) -> (u16, String) {
        let reply = self.ask(version, client, path, Empty::new()).await;
        (reply.status, reply.header("x-sluice-reason").to_owned())
    }
}

fn refused() -> (u16, String) {
    (429, "rate_limited".to_owned())
}

fn taken() -> (u16, String) {
    (200, String::new())
}

#[tokio::test]
async fn who_asks_too_often_is_refused_and_others_are_not() {
    let rates = vec![Rate { requests: 1, per_ms: 3_600_000, burst: 2 }];
    let exempt = vec!["192.0.2.0/24".parse().unwrap()];
    let limits = ClientLimits { id: "a".to_owned(), rates, at_once: None, exempt };
    let fixture = Fixture::start(Some(limits), None).await;
    // Both protocols are counted together.
    for version in [Version::Http1, Version::Http2, Version::Http1] {
        assert_eq!(fixture.get(version, "198.18.0.1", "/").await, taken());
    }
    for version in [Version::Http1, Version::Http2] {
        assert_eq!(fixture.get(version, "198.18.0.1", "/").await, refused(), "{version:?}");
        assert_eq!(fixture.get(version, "198.18.0.2", "/").await, taken(), "{version:?}");
    }
    assert_eq!(fixture.pod.seen(), 5);
    for _ in 0..5 {
        assert_eq!(fixture.get(Version::Http1, "192.0.2.1", "/").await, taken());
    }
}

#[tokio::test]
async fn what_is_under_way_counts_until_it_is_over() {
    let limits = ClientLimits { id: "a".to_owned(), at_once: Some(1), ..ClientLimits::default() };
    for version in [Version::Http1, Version::Http2] {
        let fixture = std::sync::Arc::new(Fixture::start(Some(limits.clone()), None).await);
        let held: JoinHandle<_> = tokio::spawn({
            let fixture = std::sync::Arc::clone(&fixture);
            async move { fixture.get(version, "198.18.0.1", "/hold").await }
        });
        eventually("the pod has it", async || fixture.pod.seen() == 1).await;
        for other in [Version::Http1, Version::Http2] {
            assert_eq!(fixture.get(other, "198.18.0.1", "/").await, refused(), "{version:?}");
            assert_eq!(fixture.get(other, "198.18.0.2", "/").await, taken(), "{version:?}");
        }
        fixture.pod.release();
        assert_eq!(held.await.unwrap(), taken());
        // What the client has read to its end is over.
        assert_eq!(fixture.get(version, "198.18.0.1", "/").await, taken(), "{version:?}");
    }
}

#[tokio::test]
async fn a_longer_body_than_the_route_takes_is_refused_however_it_comes() {
    let fixture = Fixture::start(None, Some(8)).await;
    let too_large = (413, "body_too_large".to_owned());
    let in_pieces = |pieces: &[&'static str]| {
        let frames: Vec<_> =
            pieces.iter().map(|it| Ok(Frame::data(Bytes::from_static(it.as_bytes())))).collect();
        StreamBody::new(tokio_stream::iter(frames))
    };
    for version in [Version::Http1, Version::Http2] {
        let whole = Full::new(Bytes::from_static(b"12345678"));
        let reply = fixture.ask(version, "198.18.0.1", "/echo", whole).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "12345678"), "{version:?}");
        let reply = fixture.ask(version, "198.18.0.1", "/echo", in_pieces(&["1234", "5678"])).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, "12345678"), "{version:?}");
        let seen = fixture.pod.seen();
        let whole = Full::new(Bytes::from_static(b"123456789"));
        let reply = fixture.ask(version, "198.18.0.1", "/", whole).await;
        assert_eq!((reply.status, reply.header("x-sluice-reason").to_owned()), too_large, "{version:?}");
        assert_eq!(fixture.pod.seen(), seen, "it did not get this far");
        let reply = fixture.ask(version, "198.18.0.1", "/", in_pieces(&["1234", "5678", "9"])).await;
        assert_eq!((reply.status, reply.header("x-sluice-reason").to_owned()), too_large, "{version:?}");
    }
}
