//! Sends copies of a request. Nothing of the request itself waits for them or depends on them.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use http::{Request, header::HOST};
use http_body_util::BodyExt as _;
use proxy_core::{
    balance::Affinity,
    forward,
    snapshot::{Cluster, Copied, Mirror, MirrorCounters},
};
use tokio::time::Instant;

use super::{
    Worker,
    attempt::set_host,
    body::{Progress, Upload},
    pool::InFlight,
    upstream::connect,
};

/// How many copies one thread has under way. A mirror that is slower than its requests come would collect them
/// without end (Envoy's default of a cluster is 1024 requests over all threads).
const MOST: u32 = 256;
/// How long a copy may take where its request may take for ever.
const LIMIT: Duration = Duration::from_mins(1);

/// Sends copies of `request` to `mirrors`. They count as requests of their endpoints from here on, before the
/// request leaves its snapshot: whoever waits for the end of a pod's requests waits for them as well.
pub(super) fn start(
    worker: &Rc<Worker>,
    mirrors: &[&Mirror],
    request: &mut Request<Upload>,
    timeout: Option<Duration>,
) {
    for mirror in mirrors {
        let Some(place) = Place::take(worker) else {
            mirror.counters.count(Copied::Dropped);
            continue;
        };
        // A copy is of no client: it goes to any endpoint.
        let picked = mirror.cluster.balancer.pick(&Affinity::default(), &[], worker.random.next());
        let Some(endpoint) = picked else {
            mirror.counters.count(Copied::Failed);
            continue;
        };
        let sending = Sending {
            request: copy(request),
            in_flight: InFlight::new(endpoint, worker),
            cluster: Arc::clone(&mirror.cluster),
            counters: Arc::clone(&mirror.counters),
            place,
        };
        tokio::task::spawn_local(sending.run(timeout.unwrap_or(LIMIT)));
    }
}

/// One copy on its way.
struct Sending {
    request: Request<Upload>,
    in_flight: InFlight,
    cluster: Arc<Cluster>,
    counters: Arc<MirrorCounters>,
    place: Place,
}

/// One of the copies that a thread may have under way.
struct Place(Rc<Worker>);

/// The request with a body that follows that of the original. Its host says that it is a copy, as Envoy's does.
fn copy(request: &mut Request<Upload>) -> Request<Upload> {
    let progress = Rc::new(Progress::apart());
    let mut copy = Request::new(request.body_mut().copy(&progress));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    if let Some(host) = copy.headers().get(HOST).and_then(forward::shadow_host) {
        copy.headers_mut().insert(HOST, host);
    }
    copy
}

impl Sending {
    async fn run(self, limit: Duration) {
        let Self { request, in_flight, cluster, counters, place } = self;
        let progress = request.body().progress();
        let broken = request.body().watch();
        let exchange = exchange(&place.0, &cluster, &in_flight, request, &progress);
        // While the mirror reads nothing, nobody reads the copy either, and only this sees that it broke off.
        let broken = async {
            match broken {
                Some(broken) => broken.happens().await,
                None => std::future::pending().await,
            }
        };
        let copied = tokio::select! {
            copied = tokio::time::timeout(limit, exchange) => copied.unwrap_or(Copied::Dropped),
            () = broken => Copied::Dropped,
        };
        counters.count(if progress.client_failed.get() { Copied::Dropped } else { copied });
    }
}

/// Sends the copy and reads what comes back to its end.
async fn exchange(
    worker: &Rc<Worker>,
    cluster: &Cluster,
    in_flight: &InFlight,
    mut request: Request<Upload>,
    progress: &Progress,
) -> Copied {
    if !request.headers().contains_key(HOST) {
        set_host(&mut request, &in_flight.endpoint.address);
    }
    let mut pooled = worker.pool.borrow_mut().take(in_flight.endpoint.id);
    loop {
        let fresh = pooled.is_none();
        let mut connection = match pooled.take() {
            Some(connection) => connection,
            None => match connect(worker, cluster, &in_flight.endpoint).await {
                Ok(connection) => connection,
                Err(_) => return Copied::Failed,
            },
        };
        let mut body = match connection.send(request).await {
            Ok(response) => response.into_body(),
            // A connection from the pool that was closed before anything was written is no fault of the mirror.
            Err(mut error) => match error.take_message() {
                Some(unsent) if !fresh => {
                    request = unsent;
                    continue;
                }
                Some(_) | None => return Copied::Failed,
            },
        };
        while let Some(frame) = body.frame().await {
            if frame.is_err() {
                return Copied::Failed;
            }
        }
        if progress.uploaded.get() {
            in_flight.give_back(connection);
        }
        return Copied::Answered;
    }
}

impl Place {
    fn take(worker: &Rc<Worker>) -> Option<Self> {
        let taken = worker.copies.get();
        if taken >= MOST {
            return None;
        }
        worker.copies.set(taken + 1);
        Some(Self(Rc::clone(worker)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.copies.set(self.0.copies.get() - 1);
    }
}

impl Progress {
    /// Of an exchange that no client waits for.
    fn apart() -> Self {
        Self {
            uploaded: Cell::new(false),
            client_failed: Cell::new(false),
            last: Cell::new(Instant::now()),
            _under_way: None,
        }
    }
}
