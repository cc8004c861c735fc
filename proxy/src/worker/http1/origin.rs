//! Where an answer comes from.

use std::task::{Context, Poll};

use proxy_http1::Persistence;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    bridge::Bridge,
    peer::Peer,
    pool::Upstream,
    transfer::{Broken, Transfer},
};
use crate::worker::{Worker, pool::InFlight, websocket::Opened};

/// The upstream's side of an exchange, once its head has come.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and nothing is allocated for it"
)]
pub(super) enum Origin {
    /// A connection that has this exchange only.
    Http1 {
        upstream: Upstream,
        download: Transfer,
        /// Whether it takes another request after it.
        persistence: Persistence,
    },
    /// A stream of one that hyper has.
    Http2(Box<Bridge>),
    /// Such a stream that is a `WebSocket` now: nothing of it is HTTP any more.
    Opened(Box<Opened>),
}

impl Origin {
    /// Moves the rest of the request on.
    pub(super) fn poll_upload<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        upload: &mut Transfer,
        client: &mut Peer<S>,
        scratch: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        match self {
            Self::Http1 { upstream, .. } => upload.poll(client, upstream, scratch, context),
            Self::Http2(bridge) => bridge.poll_upload(upload, client, scratch, context),
            Self::Opened(_) => Poll::Ready(Ok(())),
        }
    }

    /// Moves the response on.
    pub(super) fn poll_download<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut Peer<S>,
        scratch: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        match self {
            Self::Http1 { upstream, download, .. } => download.poll(upstream, client, scratch, context),
            Self::Http2(bridge) => bridge.poll_download(client, context),
            Self::Opened(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether something of the response has come since this was asked last.
    pub(super) fn has_moved(&mut self) -> bool {
        match self {
            Self::Http1 { download, .. } => download.has_moved(),
            Self::Http2(bridge) => bridge.has_moved(),
            Self::Opened(_) => false,
        }
    }

    /// The exchange is over in both directions: keeps the connection if it takes another.
    pub(super) fn keep(self, worker: &Worker, in_flight: &InFlight) {
        match self {
            Self::Http1 { upstream, persistence: Persistence::KeepAlive, .. } => {
                worker.http1.borrow_mut().give(&in_flight.endpoint, upstream);
            }
            Self::Http1 { persistence: Persistence::Close, .. } | Self::Opened(_) => {}
            Self::Http2(bridge) => in_flight.give_back(bridge.into_sender()),
        }
    }
}
