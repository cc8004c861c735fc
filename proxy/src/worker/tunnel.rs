//! Two connections that have left HTTP, for example for WebSocket.

mod side;

use std::{cell::Cell, future::poll_fn, pin::pin, rc::Rc, task::Poll, time::Duration};

use hyper::upgrade::OnUpgrade;
use proxy_core::websocket::{GOING_AWAY_TO_CLIENT, GOING_AWAY_TO_SERVER};
use tokio::time::Instant;
use tracing::debug;

pub(super) use self::side::Protocol;
use self::side::Side;
use super::{Worker, body::Progress, exchange::expire, pool::InFlight};

/// How long a tunnel that has to end waits for the frames under way to end first.
const FRAMES: Duration = Duration::from_secs(2);
/// How long both sides may take to be told.
const FAREWELL: Duration = Duration::from_secs(6);

/// Both sides of a tunnel before they have switched.
pub(super) struct Ends {
    pub(super) protocol: Protocol,
    pub(super) client: OnUpgrade,
    pub(super) upstream: OnUpgrade,
}

/// Copies in both directions until both are closed, nothing has moved for the idle timeout, or the endpoint drains
/// and its time is over. The request is in flight for as long.
pub(super) async fn run(
    worker: Rc<Worker>,
    ends: Ends,
    in_flight: InFlight,
    progress: Rc<Progress>,
    idle: Option<Duration>,
) {
    let Ends { protocol, client, upstream } = ends;
    let (client, upstream) = match futures::future::try_join(client, upstream).await {
        Ok(both) => both,
        Err(error) => return debug!(%error, "failed to switch protocols"),
    };
    progress.last.set(Instant::now());
    let ending = Rc::<Cell<bool>>::default();
    let side = |upgraded| Side::new(upgraded, &progress, protocol, &ending);
    let (mut client, mut upstream) = (side(client), side(upstream));
    let written = [client.written(), upstream.written()];
    let bell = worker.tunnels.borrow_mut().enter(&in_flight.endpoint);
    let overdue = {
        let mut copy = pin!(tokio::io::copy_bidirectional(&mut client, &mut upstream));
        let overdue = tokio::select! {
            ended = copy.as_mut() => {
                if let Err(error) = ended {
                    debug!(%error, "tunnel ended");
                }
                false
            }
            reason = expire(None, idle, &progress) => {
                debug!(reason = reason.as_str(), "tunnel ended");
                false
            }
            () = bell.notified() => true,
        };
        if overdue {
            debug!(pod = &*in_flight.endpoint.pod, "the time of a draining pod is over, its tunnel ends");
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
