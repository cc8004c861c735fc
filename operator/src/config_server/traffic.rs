//! The service `Traffic`: what the proxies serve, for the rollout controllers.

use std::sync::Arc;

use operator_routes::ObjectName;
use proxy_config::{
    TRAFFIC_AUDIENCE,
    wire::traffic::{Update, WatchRequest, traffic_server::Traffic},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, metadata::MetadataValue};
use tracing::debug;

use super::{
    authentication::{Authenticate, admit},
    shared::{NotServing, Shared, Watch},
};

/// In the metadata of a refusal: where the lease is held.
pub const HOLDER_METADATA: &str = "sluice-holder";
/// How many updates wait for the socket; what changes meanwhile becomes one.
const QUEUE: usize = 4;

/// The service.
pub(super) struct TrafficWatch<A> {
    pub(super) shared: Arc<Shared>,
    pub(super) authenticator: Arc<A>,
    /// The `ServiceAccount` of the rollout controllers.
    pub(super) expected: ObjectName,
    pub(super) shutdown: CancellationToken,
}

#[tonic::async_trait]
impl<A: Authenticate> Traffic for TrafficWatch<A> {
    type WatchStream = ReceiverStream<Result<Update, Status>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        admit(&*self.authenticator, request.metadata(), TRAFFIC_AUDIENCE, &self.expected).await?;
        if let Err(NotServing::Elsewhere(holder)) =
            self.shared.watch().map(|watch| self.shared.unwatch(watch))
        {
            return Err(elsewhere(holder));
        }
        let (outbound, stream) = mpsc::channel(QUEUE);
        let shared = Arc::clone(&self.shared);
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            if let Some(Err(status)) = shutdown.run_until_cancelled(tell(&shared, &outbound)).await {
                debug!(%status, "a watch of the traffic ended");
                // The watcher may be gone already.
                let _ = outbound.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Sends everything, then what changes, until the watcher goes or the lease is lost.
async fn tell(shared: &Shared, outbound: &mpsc::Sender<Result<Update, Status>>) -> Result<(), Status> {
    let mut bell = shared.listen();
    let watch = loop {
        bell.mark_unchanged();
        match shared.watch() {
            Ok(watch) => break Ended { shared, watch },
            Err(NotServing::Elsewhere(holder)) => return Err(elsewhere(holder)),
            Err(NotServing::Preparing) => {}
        }
        tokio::select! {
            _ = bell.changed() => {}
            () = outbound.closed() => return Ok(()),
        }
    };
    loop {
        bell.mark_unchanged();
        match shared.next_update(watch.watch) {
            Ok(Some(update)) => {
                if outbound.send(Ok(update)).await.is_err() {
                    return Ok(());
                }
                continue;
            }
            Ok(None) => {}
            Err(NotServing::Elsewhere(holder)) => return Err(elsewhere(holder)),
            Err(NotServing::Preparing) => return Err(elsewhere(None)),
        }
        tokio::select! {
            _ = bell.changed() => {}
            () = outbound.closed() => return Ok(()),
        }
    }
}

/// Ends the watch however its task ends.
struct Ended<'a> {
    shared: &'a Shared,
    watch: Watch,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.shared.unwatch(self.watch);
    }
}

fn elsewhere(holder: Option<String>) -> Status {
    let mut status = Status::unavailable("this replica does not hold the lease `sluice-routes`");
    if let Some(holder) = holder.and_then(|holder| MetadataValue::try_from(holder).ok()) {
        status.metadata_mut().insert(HOLDER_METADATA, holder);
    }
    status
}
