//! A connection that speaks HTTP/1.

use std::{cell::Cell, convert::Infallible, pin::pin, rc::Rc};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use proxy_core::answer::Reason;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tracing::debug;

use super::{IDLE, MAX_HEAD};
use crate::{
    shared::{Phase, count},
    worker::{
        Worker,
        downstream::{Answering, Downstream, Turn},
        entry::Entry,
        exchange,
    },
};

/// Serves requests until either side closes, the connection has been idle for too long, or the process drains.
pub(super) async fn serve<S>(worker: &Rc<Worker>, stream: S, entry: &Entry)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let last_request = Cell::new(Instant::now());
    let turn = Turn::default();
    let service = service_fn(|request| {
        last_request.set(Instant::now());
        let turn = &turn;
        async move {
            let response = exchange::answer(worker, entry, request, turn).await;
            let answering = |body| Answering { body, _under_way: turn.begin() };
            Ok::<_, Infallible>(response.map(answering))
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Downstream::new(stream, turn.clone())), service)
            .with_upgrades()
    );
    let mut phases = worker.phases.clone();
    let mut drain = pin!(async { phases.wait_for(|it| *it == Phase::Draining).await.is_ok() });
    let mut ending = false;
    loop {
        let idle_at = last_request.get() + IDLE;
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // What cannot be read is answered by hyper, without a reason in its head.
                    if error.is_parse_too_large() {
                        worker.shared.count_reason(Reason::HeadTooLarge);
                    } else if error.is_parse() {
                        worker.shared.count_reason(Reason::BadRequest);
                    }
                    if is_timeout(&error) {
                        count(&worker.shared.stalled);
                    }
                    debug!(client = %entry.sender.address, %error, "connection ended");
                }
                return;
            }
            // Resolves when the process starts to drain, or when nobody can say so any more.
            _ = drain.as_mut(), if !ending => ending = true,
            () = tokio::time::sleep_until(idle_at), if !ending => ending = last_request.get() + IDLE <= Instant::now(),
        }
        if ending {
            // A response under way is finished first.
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// Whether the client stood still for too long, as [`Downstream`] says.
fn is_timeout(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    let source = error.source().and_then(|it| it.downcast_ref::<std::io::Error>());
    source.is_some_and(|it| it.kind() == std::io::ErrorKind::TimedOut)
}
