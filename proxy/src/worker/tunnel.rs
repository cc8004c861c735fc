//! Two connections that have left HTTP, for example for WebSocket.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tracing::debug;

use super::pool::InFlight;

/// Copies in both directions until both are closed. The request is in flight for as long.
pub(super) async fn run(client: OnUpgrade, upstream: OnUpgrade, in_flight: InFlight) {
    let (client, upstream) = match futures::future::try_join(client, upstream).await {
        Ok(both) => both,
        Err(error) => return debug!(%error, "failed to switch protocols"),
    };
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut upstream).await {
        debug!(%error, "tunnel ended");
    }
    drop(in_flight);
}
