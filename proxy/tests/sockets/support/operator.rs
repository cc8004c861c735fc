//! A config server: the other end of the contract, over TLS, driven by a test.

use std::{net::SocketAddr, pin::Pin, sync::Mutex, time::Duration};

use futures::{Stream, StreamExt as _};
use proxy_config::{
    SERVER_NAME,
    model::{Change, Epoch, Position},
    wire::config::{
        self as wire, FromProxy, Hello, Nack, Report, ToProxy,
        config_server::{Config, ConfigServer},
        from_proxy, to_proxy,
    },
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle, time::Instant};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Identity, Server, ServerTlsConfig},
};

use super::{configs, free_port, within};

/// How long a report is waited for: what it is about may take the proxy a while on a machine that is busy.
const REPORTED: Duration = Duration::from_mins(1);

/// A config server.
pub(crate) struct Operator {
    pub(crate) address: SocketAddr,
    /// What signs its certificate, as PEM.
    pub(crate) ca: String,
    /// The port of the fixtures' listener.
    pub(crate) http_port: u16,
    streams: mpsc::UnboundedReceiver<Link>,
    server: JoinHandle<()>,
}

/// One stream of a proxy.
pub(crate) struct Link {
    pub(crate) hello: Hello,
    pub(crate) authorization: String,
    down: mpsc::UnboundedSender<Result<ToProxy, Status>>,
    up: Streaming<FromProxy>,
    /// The number of the last commit.
    seq: u64,
    epoch: Epoch,
}

/// What a proxy said about a commit.
#[derive(Debug)]
pub(crate) enum Said {
    Ack(Position),
    Nack(Nack),
}

/// What signs the certificates of one test's operators.
pub(crate) struct Authority {
    issuer: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self { issuer: rcgen::CertifiedIssuer::self_signed(parameters, key).unwrap() }
    }
}

impl Operator {
    pub(crate) async fn start() -> Self {
        Self::start_under(&Authority::new()).await
    }

    pub(crate) async fn start_under(authority: &Authority) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &authority.issuer).unwrap();
        let identity = Identity::from_pem(certificate.pem(), key.serialize_pem());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (opened, streams) = mpsc::unbounded_channel();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let server = Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .unwrap()
            .add_service(ConfigServer::new(Endpoint { opened: Mutex::new(opened) }))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async { server.await.unwrap() });
        let ca = authority.issuer.pem();
        Self { address, ca, http_port: free_port(), streams, server }
    }

    /// Waits for a proxy.
    pub(crate) async fn link(&mut self) -> Link {
        within(self.streams.recv()).await.unwrap()
    }

    /// Whether no proxy has come since the last one that was waited for.
    pub(crate) fn no_link(&mut self) -> bool {
        self.streams.try_recv().is_err()
    }

    /// Waits for a proxy, gives it this configuration and the fixtures' listener, and waits for its Ack.
    pub(crate) async fn configure(&mut self, changes: Vec<Change>) -> Link {
        let mut link = self.link().await;
        let mut changes = changes;
        if !changes.iter().any(|it| matches!(it, Change::Listener(_))) {
            changes.push(configs::listener(self.http_port));
        }
        link.commit_full(changes).await;
        link
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Link {
    /// Sends changes and waits until they are acknowledged.
    pub(crate) async fn commit(&mut self, changes: Vec<Change>) {
        self.send(changes, false);
        self.acknowledged().await;
    }

    /// The same for a whole configuration.
    pub(crate) async fn commit_full(&mut self, changes: Vec<Change>) {
        self.send(changes, true);
        self.acknowledged().await;
    }

    /// Sends a batch and does not wait.
    pub(crate) fn send(&mut self, changes: Vec<Change>, full: bool) {
        for change in changes {
            self.down.send(Ok(change.into())).unwrap();
        }
        self.seq += 1;
        let commit = wire::Commit { position: Some(self.position().into()), full };
        self.tell(to_proxy::Message::Commit(commit));
    }

    pub(crate) fn tell(&self, message: to_proxy::Message) {
        self.down.send(Ok(ToProxy { message: Some(message) })).unwrap();
    }

    /// Counts on from here.
    pub(crate) fn at(&mut self, transitions: i64, seq: u64) {
        self.epoch.transitions = transitions;
        self.seq = seq;
    }

    pub(crate) fn position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.seq }
    }

    /// Waits for the answer to the last commit, which must be an Ack of it.
    pub(crate) async fn acknowledged(&mut self) {
        match self.answer().await {
            Said::Ack(position) => assert_eq!(position, self.position()),
            Said::Nack(nack) => panic!("refused: {}", nack.reason),
        }
    }

    /// Waits for the answer to a commit.
    pub(crate) async fn answer(&mut self) -> Said {
        loop {
            match self.message().await.expect("the stream is open") {
                from_proxy::Message::Ack(ack) => {
                    return Said::Ack(ack.position.unwrap().try_into().unwrap());
                }
                from_proxy::Message::Nack(nack) => return Said::Nack(nack),
                from_proxy::Message::Report(_) => {}
                from_proxy::Message::Hello(hello) => panic!("a second hello: {hello:?}"),
            }
        }
    }

    /// Waits for a report that fits.
    pub(crate) async fn report(&mut self, mut fits: impl FnMut(&Report) -> bool) -> Report {
        let mut last = None;
        let end = Instant::now() + REPORTED;
        while Instant::now() < end {
            match self.message().await.expect("the stream is open") {
                from_proxy::Message::Report(report) if fits(&report) => return report,
                from_proxy::Message::Report(report) => last = Some(report),
                other => panic!("not a report: {other:?}"),
            }
        }
        panic!("waited in vain for a report; the last one: {last:?}")
    }

    /// Waits until the proxy has closed its half.
    pub(crate) async fn closed(&mut self) {
        while self.message().await.is_some() {}
    }

    async fn message(&mut self) -> Option<from_proxy::Message> {
        let message = within(self.up.next()).await?;
        Some(message.ok()?.message.expect("a message of this contract"))
    }
}

struct Endpoint {
    opened: Mutex<mpsc::UnboundedSender<Link>>,
}

#[tonic::async_trait]
impl Config for Endpoint {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<ToProxy, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<Streaming<FromProxy>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let authorization = request.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
        let mut up = request.into_inner();
        let first = up.message().await?.and_then(|it| it.message);
        let Some(from_proxy::Message::Hello(hello)) = first else { panic!("no hello first: {first:?}") };
        let (down, outbox) = mpsc::unbounded_channel();
        let epoch = Epoch { created: 1_000, transitions: 1 };
        let link = Link { hello, authorization, down, up, seq: 0, epoch };
        // A test that has seen enough listens no more.
        let _ = self.opened.lock().unwrap().send(link);
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(outbox))))
    }
}
