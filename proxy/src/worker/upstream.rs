//! Connections to endpoints: made in the clear or with TLS; and those that hyper speaks HTTP/2 on, for many requests at a
//! time.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderValue, Request, Response, Uri,
    header::{CONNECTION, HOST, TE, UPGRADE},
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http2},
};
use hyper_util::rt::TokioIo;
use proxy_config::model::{Address, UpstreamProtocol};
use proxy_core::{
    breaker::{Full, Limit},
    endpoint::Endpoint,
    grpc,
    retry::{self, Failure},
    snapshot::Cluster,
};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::{
    Worker,
    body::Upload,
    local::Local,
    permits::{self, Permit, Way},
    stream::Stream,
    websocket,
};
use crate::{
    keepalive::keepalive,
    shared::count,
    tls::{self, Table},
};

/// How many requests one HTTP/2 connection carries before another is made; servers rarely allow fewer.
const STREAMS: usize = 100;
/// How much of answers may be under way in one stream, and in all of one connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How long a new connection may take to say whether it offers `WebSocket`, and how often it is asked: hyper does not tell
/// when the endpoint's first SETTINGS have come.
const SETTINGS: Duration = Duration::from_millis(250);
const SETTINGS_ASKED: Duration = Duration::from_millis(1);

/// The sending half of a connection to an endpoint that speaks HTTP/2, for one of those that share it.
#[derive(Debug)]
pub(super) struct Sender {
    requests: http2::SendRequest<Upload>,
    scheme: Scheme,
    /// The connection, which counts its sharers.
    shared: Rc<Shared>,
}

/// What the senders on one connection have in common.
#[derive(Debug)]
struct Shared {
    /// It knows what the endpoint offers. Its own task has it as well.
    connection: Rc<RefCell<Connection>>,
    /// The endpoint has answered something, so its SETTINGS have come (RFC 9113 §3.4).
    heard: Cell<bool>,
}

/// A connection of hyper's, which does nothing unless it is polled.
type Connection = http2::Connection<TokioIo<Stream>, Upload, Local>;

impl Sender {
    /// Whether the other side has closed.
    pub(super) fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Another sender on the same connection, if it has room for one more request.
    pub(super) fn share(&self) -> Option<Self> {
        let Self { requests, scheme, shared } = self;
        if !requests.is_ready() || Rc::strong_count(shared) > STREAMS {
            return None;
        }
        Some(Self { requests: requests.clone(), scheme: scheme.clone(), shared: Rc::clone(shared) })
    }

    /// Whether both send on one connection.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.shared, &other.shared)
    }

    /// Whether it is the only sender of its connection.
    pub(super) fn is_alone(&self) -> bool {
        Rc::strong_count(&self.shared) == 1
    }

    /// Resolves when it is known whether the endpoint takes a `WebSocket` (RFC 8441 §3), or has not said so for too long.
    pub(super) async fn settled(&self) {
        let known = async {
            while !(self.takes_websockets() || self.shared.heard.get() || self.is_closed()) {
                tokio::time::sleep(SETTINGS_ASKED).await;
            }
        };
        let _ = tokio::time::timeout(SETTINGS, known).await;
    }

    fn takes_websockets(&self) -> bool {
        self.shared.connection.borrow().is_extended_connect_protocol_enabled()
    }

    /// Sends a request of HTTP/1 form, and returns an answer of that form. What was not begun comes back.
    pub(super) async fn send(
        &mut self,
        mut request: Box<Request<Upload>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        to_http2(&mut request, &self.scheme);
        let key = self.takes_websockets().then(|| websocket::ask(&mut request)).flatten();
        let mut response = self.requests.try_send_request(*request).await?;
        self.shared.heard.set(true);
        if let Some(key) = key {
            websocket::answered(&mut response, &key);
        }
        Ok(response)
    }
}

/// What an error of hyper's is for the request that was given to this connection.
pub(super) fn failure(error: &hyper::Error, connection: retry::Connection) -> Failure {
    if error.is_parse() {
        Failure::Protocol
    } else if is_refused(error) {
        Failure::Refused
    } else {
        Failure::Broken(connection)
    }
}

/// Whether the endpoint says that it has not looked at the request (RFC 9113 §8.7).
fn is_refused(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        source = error.source();
    }
    false
}

/// Why there is no connection to an endpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unmade {
    /// It cannot be made.
    #[error("failed to connect")]
    Failed(#[from] io::Error),
    /// Its cluster has as many as it may have.
    #[error(transparent)]
    Full(#[from] Full),
}

impl Unmade {
    /// What that is for a request, which is counted.
    pub(super) fn failure(&self, worker: &Worker) -> Failure {
        match self {
            Self::Failed(_) => {
                count(&worker.shared.connect_failures);
                Failure::Connect
            }
            Self::Full(full) => {
                worker.shared.count_full(*full);
                Failure::Full
            }
        }
    }
}

/// Makes a connection to an endpoint and begins to speak HTTP/2 there. It is in the pool as well. Where the cluster has as many as it may have, it waits for one that becomes idle, if `may_reuse`.
pub(super) async fn connect(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    endpoint: &Arc<Endpoint>,
    may_reuse: bool,
) -> Result<(Sender, retry::Connection), Unmade> {
    let _pending = cluster.breaker.take(Limit::Pending)?;
    let idle = || if may_reuse { worker.pool.borrow_mut().take(endpoint.id) } else { None };
    let permit = match permits::wait(worker, cluster, idle).await {
        Way::Pooled(sender) => return Ok((sender, retry::Connection::Pooled)),
        Way::Connect(permit) => permit,
    };
    let opening = async {
        let stream = open(&worker.tls(), cluster, &endpoint.address).await?;
        handshake(stream.with(permit)).await
    };
    let sender = in_time(cluster, opening).await?;
    count(&worker.shared.connects);
    if let Some(shared) = sender.share() {
        worker.pool.borrow_mut().give(endpoint, shared);
    }
    Ok((sender, retry::Connection::Fresh))
}

/// Makes a connection to an endpoint whose bytes are the caller's business, with the right to have it.
pub(super) async fn connect_stream(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    address: &Address,
    permit: Option<Permit>,
) -> io::Result<Stream> {
    let stream = in_time(cluster, open(&worker.tls(), cluster, address)).await?;
    count(&worker.shared.connects);
    Ok(stream.with(permit))
}

async fn in_time<T>(cluster: &Cluster, opening: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(cluster.connect_timeout, opening).await?
}

/// Makes a connection as the cluster says, however long that takes.
pub(crate) async fn open(tls: &Table, cluster: &Cluster, address: &Address) -> io::Result<Stream> {
    let stream = dial(address).await?;
    stream.set_nodelay(true)?;
    if !cluster.tls {
        return Ok(Stream::plain(stream));
    }
    let connector = tls.connector(&cluster.id);
    let connector = connector.ok_or_else(|| io::Error::other("the cluster's TLS cannot be used"))?;
    let stream = connector.connect(stream).await?;
    let agreed = stream.get_ref().1.alpn_protocol();
    if cluster.protocol == UpstreamProtocol::Http2 && agreed != Some(tls::HTTP2) {
        return Err(io::Error::other("the endpoint does not speak HTTP/2"));
    }
    Ok(Stream::secure(stream))
}

async fn dial(address: &Address) -> io::Result<TcpStream> {
    let stream = match address {
        Address::Socket(address) => TcpStream::connect::<SocketAddr>(*address).await?,
        Address::Name { host, port } => TcpStream::connect((host.as_str(), *port)).await?,
    };
    // Without it all goes on as well, until the endpoint's node is gone.
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive());
    Ok(stream)
}

async fn handshake(stream: Stream) -> io::Result<Sender> {
    let scheme = if stream.is_secure() { Scheme::HTTPS } else { Scheme::HTTP };
    let mut builder = http2::Builder::new(Local);
    builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    let (requests, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = Rc::new(RefCell::new(connection));
    let polled = Rc::clone(&connection);
    // Whoever has the sender sees the errors of the connection too.
    tokio::task::spawn_local(async move {
        drop(poll_fn(|context| Pin::new(&mut *polled.borrow_mut()).poll(context)).await);
    });
    Ok(Sender { requests, scheme, shared: Rc::new(Shared { connection, heard: Cell::new(false) }) })
}

/// A request may be without a host; the upstream wants one.
pub(super) fn set_host(request: &mut Request<Upload>, address: &Address) {
    if let Ok(host) = HeaderValue::from_str(&authority(address)) {
        request.headers_mut().insert(HOST, host);
    }
}

/// An endpoint's address as a host.
pub(crate) fn authority(address: &Address) -> String {
    match address {
        Address::Socket(address) => address.to_string(),
        Address::Name { host, port } => format!("{host}:{port}"),
    }
}

/// The host moves into the target (RFC 9113 §8.3.1), and what belongs to one HTTP/1 connection goes.
fn to_http2(request: &mut Request<Upload>, scheme: &Scheme) {
    let host = request.headers_mut().remove(HOST);
    // What was sent before and came back is in this form already.
    if request.uri().authority().is_none() {
        let authority = host.and_then(|it| Authority::try_from(it.as_bytes()).ok());
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(scheme.clone());
        parts.authority = authority.or_else(|| Some(Authority::from_static("localhost")));
        parts.path_and_query =
            request.uri().path_and_query().cloned().or_else(|| Some(PathAndQuery::from_static("/")));
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request.headers_mut().remove(CONNECTION);
    request.headers_mut().remove(UPGRADE);
    if grpc::is_grpc(request.headers()) {
        // Servers of gRPC ask for it.
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    }
    *request.version_mut() = http::Version::HTTP_2;
}
