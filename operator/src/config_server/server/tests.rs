//! The server on a real socket with TLS, and a real client. Only the API server's verdict on tokens is replaced.

use std::collections::BTreeMap;

use chrono::DateTime;
use operator_routes::{
    Compiled, Compiler, ObjectChange, Scope, Settings,
    dialect::{DocumentKind, documents::DocumentName},
    gateway::Demand,
    object::EmissaryObject,
};
use proxy_config::{
    CONFIG_AUDIENCE, CONTRACT, SERVER_NAME, TRAFFIC_AUDIENCE,
    model::{CertificateId, Change, Config, Epoch},
    wire::{
        config::{Ack, Commit, FromProxy, Hello, ToProxy, config_client::ConfigClient, from_proxy, to_proxy},
        traffic::{WatchRequest, traffic_client::TrafficClient},
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Streaming,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use super::*;
use crate::{
    certificates::Authority,
    config_server::{
        authentication::{Caller, Rejection},
        metrics::Metrics,
    },
};

const EPOCH: Epoch = Epoch { created: 7, transitions: 1 };

/// Takes `proxy` and `controller` for what they say, each for its audience, and others for ServiceAccounts of the
/// namespace `shop`, if they are called like those of Gateways and classes.
struct Tokens;

impl Authenticate for Tokens {
    async fn authenticate(&self, token: &str, audience: &str) -> Result<Caller, Rejection> {
        let pod = Some(("uid-1".to_owned(), "proxy-1".to_owned()));
        match (token, audience) {
            ("proxy", CONFIG_AUDIENCE) | ("controller", TRAFFIC_AUDIENCE) => {
                Ok(Caller { service_account: ObjectName::new("sluice", token), pod })
            }
            (gateway, CONFIG_AUDIENCE) if gateway.ends_with("-sluice") || gateway.ends_with("-proxies") => {
                let pod = Some((format!("uid of {gateway}"), gateway.to_owned()));
                Ok(Caller { service_account: ObjectName::new("shop", gateway), pod })
            }
            _ => Err(Rejection::Refused("it is not valid".to_owned())),
        }
    }
}

struct World {
    shared: Arc<Shared>,
    channel: Channel,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<Result<(), ServeError>>,
}

impl World {
    async fn start() -> Self {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let authority = Authority::generate(now).unwrap();
        let names = vec![SERVER_NAME.to_owned()];
        let certificate = Arc::new(ServingCertificate::new(&authority, names, crate::clock::now()).unwrap());
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::new(Metrics::new(&prometheus::Registry::new()).unwrap()));
        let admission = Admission {
            authenticator: Arc::new(Tokens),
            proxies: ObjectName::new("sluice", "proxy"),
            watchers: ObjectName::new("sluice", "controller"),
        };
        let shutdown = CancellationToken::new();
        let server =
            tokio::spawn(serve(listener, certificate, admission, Arc::clone(&shared), shutdown.clone()));
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(authority.certificate_pem()))
            .domain_name(SERVER_NAME);
        let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
        Self { shared, channel: endpoint.connect().await.unwrap(), shutdown, server }
    }

    /// Opens a proxy's stream with a hello.
    async fn stream(&self, token: &str, hello: Hello) -> Result<Peer, Status> {
        let (up, stream) = mpsc::channel(16);
        up.send(FromProxy { message: Some(from_proxy::Message::Hello(hello)) }).await.unwrap();
        let request = authorized(ReceiverStream::new(stream), token);
        let down = ConfigClient::new(self.channel.clone()).stream(request).await?.into_inner();
        Ok(Peer { up, down })
    }

    fn serve(&self) {
        self.shared.serve(EPOCH, &compiled(), BTreeMap::new());
    }
}

struct Peer {
    up: mpsc::Sender<FromProxy>,
    down: Streaming<ToProxy>,
}

impl Peer {
    async fn next(&mut self) -> Option<to_proxy::Message> {
        self.down.message().await.unwrap().and_then(|message| message.message)
    }

    /// The changes of the next commit, and the commit.
    async fn commit(&mut self) -> (usize, Commit) {
        let mut changes = 0;
        loop {
            match self.next().await {
                Some(to_proxy::Message::Change(_)) => changes += 1,
                Some(to_proxy::Message::Commit(commit)) => return (changes, commit),
                other => panic!("a commit was expected, not {other:?}"),
            }
        }
    }

    async fn acknowledge(&self, commit: &Commit) {
        let ack = from_proxy::Message::Ack(Ack { position: commit.position });
        self.up.send(FromProxy { message: Some(ack) }).await.unwrap();
    }
}

fn authorized<T>(message: T, token: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn hello() -> Hello {
    Hello { contract: CONTRACT, boot_id: "boot-1".to_owned(), ..Hello::default() }
}

fn mapping(weight: u8) -> ObjectChange {
    let spec =
        serde_json::json!({"prefix": "/", "service": "198.18.0.1", "timeout_ms": 1000 + u32::from(weight)});
    let name = DocumentName { kind: DocumentKind::Mapping, name: ObjectName::new("shop", "echo") };
    ObjectChange::Emissary(name, Some(EmissaryObject::new("1", spec)))
}

fn compiler() -> Compiler {
    let mut compiler = Compiler::new(Settings::default());
    compiler.apply(mapping(0));
    compiler.compile();
    compiler
}

fn compiled() -> Compiled {
    compiler().compiled().clone()
}

#[tokio::test]
async fn a_proxy_is_served_and_a_watcher_sees_what_it_serves() {
    let world = World::start().await;
    world.serve();
    let mut proxy = world.stream("proxy", hello()).await.unwrap();
    let (changes, commit) = proxy.commit().await;
    assert_eq!((changes, commit.full), (3, true), "a listener, a route and its cluster");
    proxy.acknowledge(&commit).await;

    let request = authorized(WatchRequest {}, "controller");
    let mut watch = TrafficClient::new(world.channel.clone()).watch(request).await.unwrap().into_inner();
    // The acknowledgement and the watch race; either way the watcher learns of it.
    loop {
        let update = watch.message().await.unwrap().unwrap();
        let views = update.splits.into_iter().flat_map(|split| split.views);
        if views.flat_map(|view| view.proxies).any(|proxy| proxy == "uid-1/boot-1") {
            break;
        }
    }

    let mut compiler = compiler();
    compiler.apply(mapping(1));
    world.shared.publish(&compiler.compile());
    let (changes, commit) = proxy.commit().await;
    assert_eq!((changes, commit.full), (1, false));
    assert_eq!(commit.position.unwrap().seq, 2);
}

#[tokio::test]
async fn who_has_no_right_token_is_turned_away() {
    let world = World::start().await;
    world.serve();
    let unknown = world.stream("nobody", hello()).await.err().map(|status| status.code());
    assert_eq!(unknown, Some(Code::Unauthenticated));
    let other_audience = world.stream("controller", hello()).await.err().map(|status| status.code());
    assert_eq!(other_audience, Some(Code::Unauthenticated));
    let mut traffic = TrafficClient::new(world.channel.clone());
    let no_token = traffic.watch(WatchRequest {}).await.unwrap_err();
    assert_eq!(no_token.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn another_contract_or_scope_is_refused_with_a_sentence() {
    let world = World::start().await;
    world.serve();
    let mut newer = world.stream("proxy", Hello { contract: 99, ..hello() }).await.unwrap();
    let status = newer.down.message().await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::FailedPrecondition, "contract 99 is not spoken here, 1 is")
    );
    let mut scoped = world.stream("proxy", Hello { scope: "gateway".to_owned(), ..hello() }).await.unwrap();
    assert_eq!(scoped.down.message().await.unwrap_err().code(), Code::InvalidArgument);
}

/// Two Gateways, `east` and `west`, with a certificate each.
fn of_gateways() -> Compiled {
    let mut compiled = compiled();
    for gateway in ["east", "west"] {
        let mut config = Config::default();
        config.apply(Change::Certificate(Arc::new(proxy_config::model::Certificate {
            id: CertificateId::new(gateway),
            chain: "chain".into(),
            key: proxy_config::model::Secret("key".to_owned()),
        })));
        let scope = Scope::Gateway(ObjectName::new("shop", gateway));
        compiled.gateways.insert(scope.clone(), config);
        compiled.demands.insert(scope, Arc::new(demand()));
    }
    compiled
}

fn demand() -> Demand {
    Demand { uid: "1".into(), generation: 1, class: "sluice".into(), ..Demand::default() }
}

#[tokio::test]
async fn a_gateways_proxy_gets_its_certificates_and_no_other_token_does() {
    let world = World::start().await;
    world.shared.serve(EPOCH, &of_gateways(), BTreeMap::new());
    let features = vec!["tls".to_owned()];
    let scope = |text: &str| Hello { scope: text.to_owned(), features: features.clone(), ..hello() };
    let mut east = world.stream("east-sluice", scope("gateway/shop/east")).await.unwrap();
    let Some(to_proxy::Message::Change(change)) = east.next().await else { panic!("no change") };
    assert!(format!("{change:?}").contains("east") && !format!("{change:?}").contains("west"));
    let (changes, commit) = east.commit().await;
    assert_eq!((changes, commit.full), (0, true), "and nothing else");

    let cases = [
        ("another Gateway's", "east-sluice", "gateway/shop/west"),
        ("the fleet's", "east-sluice", ""),
        ("a Gateway's for the fleet", "proxy", "gateway/shop/east"),
        ("of a Gateway that is not there", "north-sluice", "gateway/shop/north"),
        ("of one that is not there for one that is", "north-sluice", "gateway/shop/east"),
    ];
    for (case, token, asked) in cases {
        let mut peer = world.stream(token, scope(asked)).await.unwrap();
        let refused = peer.down.message().await.map_err(|status| status.code());
        assert_eq!(refused.unwrap_err(), Code::PermissionDenied, "{case}");
    }
}

#[tokio::test]
async fn the_proxies_of_a_class_get_what_its_gateways_have_and_no_other_token_does() {
    let world = World::start().await;
    let mut compiled = of_gateways();
    let scope = Scope::Class(ObjectName::new("shop", "edge"));
    let config = compiled.gateways[&Scope::Gateway(ObjectName::new("shop", "west"))].clone();
    compiled.gateways.insert(scope.clone(), config);
    compiled.demands.insert(scope, Arc::new(Demand { class: "edge".into(), ..demand() }));
    world.shared.serve(EPOCH, &compiled, BTreeMap::new());
    let asks = |scope: &str| Hello { scope: scope.to_owned(), features: vec!["tls".to_owned()], ..hello() };
    let mut shared = world.stream("edge-proxies", asks("class/shop/edge")).await.unwrap();
    let Some(to_proxy::Message::Change(change)) = shared.next().await else { panic!("no change") };
    assert!(format!("{change:?}").contains("west"));

    let cases = [
        ("a Gateway's for the class", "east-sluice", "class/shop/edge"),
        ("the class's for a Gateway", "edge-proxies", "gateway/shop/west"),
        ("the class's for the fleet", "edge-proxies", ""),
        ("of a class that is not there", "other-proxies", "class/shop/other"),
        ("of one that is not there for one that is", "other-proxies", "class/shop/edge"),
        ("of a class of that name elsewhere", "edge-proxies", "class/other/edge"),
    ];
    for (case, token, asked) in cases {
        let mut peer = world.stream(token, asks(asked)).await.unwrap();
        let refused = peer.down.message().await.map_err(|status| status.code());
        assert_eq!(refused.unwrap_err(), Code::PermissionDenied, "{case}");
    }
}

#[tokio::test]
async fn a_standby_names_the_holder() {
    let world = World::start().await;
    world.shared.stand_by(Some("198.18.0.9:8443".to_owned()));
    let mut proxy = world.stream("proxy", hello()).await.unwrap();
    let Some(to_proxy::Message::Redirect(redirect)) = proxy.next().await else { panic!("no redirect") };
    assert_eq!(redirect.address, "198.18.0.9:8443");
    assert_eq!(proxy.next().await, None, "the stream ends after it");
    let request = authorized(WatchRequest {}, "controller");
    let status = TrafficClient::new(world.channel.clone()).watch(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.metadata().get(crate::config_server::HOLDER_METADATA).unwrap(), "198.18.0.9:8443");
}

#[tokio::test]
async fn nothing_is_said_before_all_objects_are_known_and_nothing_after_the_lease_is_lost() {
    let world = World::start().await;
    world.shared.prepare();
    let mut proxy = world.stream("proxy", hello()).await.unwrap();
    let request = authorized(WatchRequest {}, "controller");
    let mut watch = TrafficClient::new(world.channel.clone()).watch(request).await.unwrap().into_inner();
    world.serve();
    let (_, commit) = proxy.commit().await;
    assert_eq!(commit.position.unwrap().seq, 1, "the first thing said is complete");
    assert!(watch.message().await.unwrap().unwrap().complete);

    world.shared.stand_by(None);
    assert!(matches!(proxy.next().await, Some(to_proxy::Message::Redirect(_))));
    assert_eq!(proxy.next().await, None);
    loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the watch ended without a word"),
            Err(status) => break assert_eq!(status.code(), Code::Unavailable),
        }
    }
}

#[tokio::test]
async fn the_server_ends_with_its_streams_open() {
    let world = World::start().await;
    world.serve();
    let mut proxy = world.stream("proxy", hello()).await.unwrap();
    proxy.commit().await;
    world.shutdown.cancel();
    assert!(world.server.await.unwrap().is_ok());
}
