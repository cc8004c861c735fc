//! Two connections that have left HTTP, for example for WebSocket.

mod prefixed;
mod side;

use std::{cell::Cell, future::poll_fn, pin::pin, rc::Rc, task::Poll, time::Duration};

use proxy_core::websocket::{GOING_AWAY_TO_CLIENT, GOING_AWAY_TO_SERVER};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tracing::debug;

use self::side::Side;
pub(super) use self::{prefixed::Prefixed, side::Protocol};
use super::{Worker, pool::InFlight};

/// How long a tunnel that has to end waits for the frames under way to end first.
const FRAMES: Duration = Duration::from_secs(2);
/// How long both sides may take to be told.
const FAREWELL: Duration = Duration::from_secs(6);

/// Copies in both directions until both are closed, nothing has moved for the idle timeout, or the endpoint or the process
/// drains and its time is over. The request is in flight for as long.
pub(super) async fn run<C, U>(
    worker: Rc<Worker>,
    protocol: Protocol,
    client: C,
    upstream: U,
    in_flight: InFlight,
    idle: Option<Duration>,
) where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let last = Rc::new(Cell::new(Instant::now()));
    let ending = Rc::<Cell<bool>>::default();
    let mut client = Side::new(client, &last, protocol, &ending);
    let mut upstream = Side::new(upstream, &last, protocol, &ending);
    let written = [client.written(), upstream.written()];
    let bell = worker.deadlines.borrow_mut().enter(&in_flight.endpoint);
    let overdue = {
        let mut copy = pin!(tokio::io::copy_bidirectional(&mut client, &mut upstream));
        let overdue = tokio::select! {
            ended = copy.as_mut() => {
                if let Err(error) = ended {
                    debug!(%error, "tunnel ended");
                }
                false
            }
            () = stand_still(idle, &last) => {
                debug!("nothing moves in a tunnel");
                false
            }
            () = bell.notified() => true,
        };
        if overdue {
            debug!(
                pod = &*in_flight.endpoint.pod,
                "a tunnel has to end: the time of its pod or of the process is over"
            );
            ending.set(true);
            let between = poll_fn(|context| {
                let ended = copy.as_mut().poll(context).is_ready();
                if ended || written.iter().all(|it| it.is_between()) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            });
            // A frame that does not end is cut.
            let _ = tokio::time::timeout(FRAMES, between).await;
        }
        overdue
    };
    if overdue {
        let both =
            futures::future::join(client.leave(GOING_AWAY_TO_CLIENT), upstream.leave(GOING_AWAY_TO_SERVER));
        // Whoever is gone already, or does not listen, needs no farewell.
        let _ = tokio::time::timeout(FAREWELL, both).await;
    }
    drop(in_flight);
}

/// Resolves when nothing has moved for the idle timeout.
pub(super) async fn stand_still(idle: Option<Duration>, last: &Cell<Instant>) {
    let Some(idle) = idle else { return std::future::pending().await };
    while last.get() + idle > Instant::now() {
        tokio::time::sleep_until(last.get() + idle).await;
    }
}
