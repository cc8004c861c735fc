//! Two connections that have left HTTP, for example for WebSocket.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tracing::debug;

use super::{body::Progress, exchange::expire, pool::InFlight};

/// Copies in both directions until both are closed, or nothing has moved for the idle timeout. The request is
/// in flight for as long.
pub(super) async fn run(
    client: OnUpgrade,
    upstream: OnUpgrade,
    in_flight: InFlight,
    progress: Rc<Progress>,
    idle: Option<Duration>,
) {
    let (client, upstream) = match futures::future::try_join(client, upstream).await {
        Ok(both) => both,
        Err(error) => return debug!(%error, "failed to switch protocols"),
    };
    progress.last.set(Instant::now());
    let side = |upgraded| Side { upgraded: TokioIo::new(upgraded), progress: Rc::clone(&progress) };
    let (mut client, mut upstream) = (side(client), side(upstream));
    tokio::select! {
        ended = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {
            if let Err(error) = ended {
                debug!(%error, "tunnel ended");
            }
        }
        reason = expire(None, idle, &progress) => debug!(reason = reason.as_str(), "tunnel ended"),
    }
    drop(in_flight);
}

/// One side, which notes when something arrives on it.
struct Side {
    upgraded: TokioIo<Upgraded>,
    progress: Rc<Progress>,
}

impl AsyncRead for Side {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.upgraded).poll_read(context, buffer))?;
        self.progress.last.set(Instant::now());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Side {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.upgraded).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.upgraded).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.upgraded).poll_shutdown(context)
    }
}
