//! One try of a request that hyper has read, or of a copy, at an endpoint; and the body of what that answers.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use proxy_config::model::UpstreamProtocol;
use proxy_core::{
    forward,
    retry::{self, Connection, Failure},
    snapshot::Cluster,
};
use tokio_util::either::Either;
use tracing::debug;

use super::{
    Worker,
    body::{BodyError, Progress, Upload},
    http1::{self, Rest},
    pool::InFlight,
    stream::Stream,
    tunnel::Prefixed,
    upstream::{Sender, connect, failure},
    websocket::{self, Opened},
};

/// The body of a response on its way from an endpoint.
#[derive(Debug)]
pub(super) enum Reply {
    /// On a connection that has this exchange only.
    Http1(Box<Rest>),
    /// In a stream of one that hyper has.
    Http2(Incoming, Sender),
    /// Such a stream that is a `WebSocket` now.
    Opened(Box<Opened>),
}

/// Marks a request that offers the endpoint to speak `WebSocket` from then on. No other may be answered with 101.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer;

/// A try that got no response head.
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// The request, if it can be sent again.
    pub(super) request: Option<Box<Request<Upload>>>,
}

/// Sends a request to an endpoint of the cluster, on a connection from the pool if that may be. It is boxed because every
/// future on its way would have room for it twice.
pub(super) async fn ask(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    in_flight: &InFlight,
    may_reuse: bool,
    request: Box<Request<Upload>>,
) -> Result<Response<Reply>, Failed> {
    match cluster.protocol {
        UpstreamProtocol::Http1 => {
            let connecting = http1::connection(worker, cluster, &in_flight.endpoint, may_reuse);
            let (upstream, connection) = match connecting.await {
                Ok(connected) => connected,
                Err(error) => {
                    debug!(address = ?in_flight.endpoint.address, %error, "failed to connect to an endpoint");
                    return Err(Failed { failure: error.failure(worker), request: Some(request) });
                }
            };
            let response = http1::fetch(worker, upstream, connection, request).await?;
            Ok(response.map(|rest| Reply::Http1(Box::new(rest))))
        }
        UpstreamProtocol::Http2 => ask_http2(worker, cluster, in_flight, may_reuse, request).await,
    }
}

async fn ask_http2(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    in_flight: &InFlight,
    may_reuse: bool,
    request: Box<Request<Upload>>,
) -> Result<Response<Reply>, Failed> {
    let endpoint = &in_flight.endpoint;
    let pooled = if may_reuse { worker.pool.borrow_mut().take(endpoint.id) } else { None };
    let (mut sender, connection) = match pooled {
        Some(sender) => (sender, Connection::Pooled),
        // It is rare, and its state need not be part of every request's.
        None => match Box::pin(connect(worker, cluster, endpoint, may_reuse)).await {
            Ok(connected) => connected,
            Err(error) => {
                debug!(address = ?endpoint.address, %error, "failed to connect to an endpoint");
                return Err(Failed { failure: error.failure(worker), request: Some(request) });
            }
        },
    };
    // In case the pooled connection turns out to be closed, where `retry::next` would send it again.
    let useful = connection == Connection::Pooled && retry::is_idempotent(request.method());
    let spare = if useful { copy(&request, &request.body().progress()) } else { None };
    if request.extensions().get::<Offer>().is_some() {
        sender.settled().await;
    }
    match sender.send(request).await {
        Ok(mut response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let opened = websocket::open(&mut response).await;
            let opened = opened.ok_or(Failed { failure: Failure::Protocol, request: None })?;
            forward::prepare_response(response.headers_mut());
            Ok(response.map(|_| Reply::Opened(Box::new(opened))))
        }
        Ok(mut response) => {
            forward::prepare_response(response.headers_mut());
            Ok(response.map(|incoming| Reply::Http2(incoming, sender)))
        }
        Err(mut error) => {
            if let Some(request) = error.take_message() {
                return Err(Failed { failure: Failure::Unsent, request: Some(Box::new(request)) });
            }
            debug!(address = ?endpoint.address, error = %error.error(), "exchange failed");
            Err(Failed { failure: failure(error.error(), connection), request: spare })
        }
    }
}

/// The request again, if it has no body: one that is on its way is not kept.
pub(super) fn copy(request: &Request<Upload>, progress: &Rc<Progress>) -> Option<Box<Request<Upload>>> {
    if !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Box::new(Request::new(Upload::nothing(progress)));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    if request.extensions().get::<Offer>().is_some() {
        copy.extensions_mut().insert(Offer);
    }
    Some(copy)
}

impl Reply {
    /// The next piece of it, as [`hyper::body::Body::poll_frame`].
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Http1(rest) => rest.poll_frame(context),
            Self::Http2(incoming, _) => {
                Pin::new(incoming).poll_frame(context).map(|it| it.map(|it| it.map_err(BodyError::Read)))
            }
            Self::Opened(_) => Poll::Ready(None),
        }
    }

    /// Whether there is nothing more.
    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(rest) => rest.is_end_stream(),
            Self::Http2(incoming, _) => incoming.is_end_stream(),
            Self::Opened(_) => true,
        }
    }

    /// What is known of its size before it comes.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(rest) => rest.size_hint(),
            Self::Http2(incoming, _) => incoming.size_hint(),
            Self::Opened(_) => SizeHint::with_exact(0),
        }
    }

    /// The bytes behind an answer that switches to another protocol.
    pub(super) fn into_stream(self) -> Option<Either<Prefixed<Stream>, Opened>> {
        match self {
            Self::Http1(rest) => Some(Either::Left(rest.into_stream())),
            Self::Http2(..) => None,
            Self::Opened(opened) => Some(Either::Right(*opened)),
        }
    }

    /// The exchange is over in both directions: keeps the connection if it takes another.
    pub(super) fn keep(self, in_flight: &InFlight) {
        match self {
            Self::Http1(rest) => rest.keep(in_flight),
            Self::Http2(_, sender) => in_flight.give_back(sender),
            Self::Opened(_) => {}
        }
    }
}
