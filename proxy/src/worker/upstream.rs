//! Connections to endpoints: made in the clear or with TLS; those that hyper speaks on, for one request at a time or for
//! many.

use std::{io, net::SocketAddr, rc::Rc, sync::Arc};

use http::{
    HeaderValue, Request, Response, Uri,
    header::{CONNECTION, HOST, TE, UPGRADE},
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::TokioIo;
use proxy_config::model::{Address, UpstreamProtocol};
use proxy_core::{
    endpoint::Endpoint,
    grpc,
    retry::{self, Failure},
    snapshot::Cluster,
};
use tokio::net::TcpStream;

use super::{Worker, body::Upload, local::Local, stream::Stream};
use crate::{shared::count, tls};

/// How many requests one HTTP/2 connection carries before another is made; servers rarely allow fewer.
const STREAMS: usize = 100;
/// How much of answers may be under way in one stream, and in all of one connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The sending half of a connection to an endpoint.
#[derive(Debug)]
pub(super) enum Sender {
    Http1(http1::SendRequest<Upload>),
    Http2(Http2),
}

/// One of those that share a connection.
#[derive(Debug)]
pub(super) struct Http2 {
    sender: http2::SendRequest<Upload>,
    scheme: Scheme,
    /// Counts the sharers.
    sharers: Rc<()>,
}

impl Sender {
    /// Whether a request can be sent now.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(http2) => http2.sender.is_ready(),
        }
    }

    /// Whether the other side has closed.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(http2) => http2.sender.is_closed(),
        }
    }

    /// Another sender on the same connection, if it carries several requests and has room for one more.
    pub(super) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(http2) => {
                let Http2 { sender, scheme, sharers } = http2;
                if !http2.sender.is_ready() || Rc::strong_count(sharers) > STREAMS {
                    return None;
                }
                let (sender, scheme, sharers) = (sender.clone(), scheme.clone(), Rc::clone(sharers));
                Some(Self::Http2(Http2 { sender, scheme, sharers }))
            }
        }
    }

    /// Whether both send on one connection.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http2(a), Self::Http2(b)) => Rc::ptr_eq(&a.sharers, &b.sharers),
            (Self::Http1(_) | Self::Http2(_), _) => false,
        }
    }

    /// Whether it is the only sender of its connection.
    pub(super) fn is_alone(&self) -> bool {
        match self {
            Self::Http1(_) => true,
            Self::Http2(http2) => Rc::strong_count(&http2.sharers) == 1,
        }
    }

    /// Sends a request of HTTP/1 form. What was not begun comes back.
    pub(super) async fn send(
        &mut self,
        mut request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(http2) => {
                to_http2(&mut request, &http2.scheme);
                http2.sender.try_send_request(request).await
            }
        }
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

/// Makes a connection to an endpoint and begins to speak its protocol there. One that can be shared is in the pool as
/// well.
pub(super) async fn connect(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    endpoint: &Arc<Endpoint>,
) -> io::Result<Sender> {
    let opening =
        async { handshake(open(worker, cluster, &endpoint.address).await?, cluster.protocol).await };
    let sender = tokio::time::timeout(cluster.connect_timeout, opening).await??;
    count(&worker.shared.connects);
    if let Some(shared) = sender.share() {
        worker.pool.borrow_mut().give(endpoint, shared);
    }
    Ok(sender)
}

/// Makes a connection to an endpoint whose bytes are the caller's business.
pub(super) async fn connect_stream(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    address: &Address,
) -> io::Result<Stream> {
    let stream = tokio::time::timeout(cluster.connect_timeout, open(worker, cluster, address)).await??;
    count(&worker.shared.connects);
    Ok(stream)
}

async fn open(worker: &Worker, cluster: &Cluster, address: &Address) -> io::Result<Stream> {
    let stream = dial(address).await?;
    stream.set_nodelay(true)?;
    if !cluster.tls {
        return Ok(Stream::Plain(stream));
    }
    let table = worker.tls();
    let connector = table.connector(&cluster.id);
    let connector = connector.ok_or_else(|| io::Error::other("the cluster's TLS cannot be used"))?;
    let stream = connector.connect(stream).await?;
    let agreed = stream.get_ref().1.alpn_protocol();
    if cluster.protocol == UpstreamProtocol::Http2 && agreed != Some(tls::HTTP2) {
        return Err(io::Error::other("the endpoint does not speak HTTP/2"));
    }
    Ok(Stream::Secure(Box::new(stream)))
}

async fn dial(address: &Address) -> io::Result<TcpStream> {
    match address {
        Address::Socket(address) => TcpStream::connect::<SocketAddr>(*address).await,
        Address::Name { host, port } => TcpStream::connect((host.as_str(), *port)).await,
    }
}

async fn handshake(stream: Stream, protocol: UpstreamProtocol) -> io::Result<Sender> {
    let scheme = match &stream {
        Stream::Plain(_) => Scheme::HTTP,
        Stream::Secure(_) => Scheme::HTTPS,
    };
    let io = TokioIo::new(stream);
    // Whoever has the sender sees the errors of the connection too.
    match protocol {
        UpstreamProtocol::Http1 => {
            let (sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
            tokio::task::spawn_local(async move { drop(connection.await) });
            Ok(Sender::Http1(sender))
        }
        UpstreamProtocol::Http2 => {
            let mut builder = http2::Builder::new(Local);
            builder
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW);
            let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
            tokio::task::spawn_local(async move { drop(connection.await) });
            Ok(Sender::Http2(Http2 { sender, scheme, sharers: Rc::new(()) }))
        }
    }
}

/// A request may be without a host; the upstream wants one.
pub(super) fn set_host(request: &mut Request<Upload>, address: &Address) {
    if let Ok(host) = HeaderValue::from_str(&authority(address)) {
        request.headers_mut().insert(HOST, host);
    }
}

/// An endpoint's address as a host.
pub(super) fn authority(address: &Address) -> String {
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
