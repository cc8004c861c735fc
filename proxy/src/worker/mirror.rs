//! Sends copies of a request. Nothing of the request itself waits for them or depends on them.

use std::{future::poll_fn, rc::Rc, sync::Arc, time::Duration};

use http::{Request, header::HOST, request::Parts};
use hyper::body::SizeHint;
use proxy_core::{
    balance::Affinity,
    forward,
    retry::Failure,
    snapshot::{Cluster, Copied, Mirror, MirrorCounters},
};

use super::{
    Worker,
    body::{Progress, Upload},
    copy::{self, Tee},
    pool::InFlight,
    quota::Taken,
    reply::{Failed, ask},
    upstream::set_host,
};
use crate::clock;

/// How many copies one thread has under way. A mirror that is slower than its requests come would collect them
/// without end (Envoy's default of a cluster is 1024 requests over all threads).
pub(super) const MOST: u32 = 256;
/// How long a copy may take where its request may take for ever.
const LIMIT: Duration = Duration::from_mins(1);

/// Sends copies of the request with this head and a body of this size to `mirrors`. What comes of the body is to be
/// copied to where the result says. They count as requests of their endpoints from here on, before the request leaves
/// its snapshot: whoever waits for the end of a pod's requests waits for them as well.
pub(super) fn start(
    worker: &Rc<Worker>,
    mirrors: &[&Mirror],
    head: &Parts,
    size: SizeHint,
    timeout: Option<Duration>,
) -> Vec<Tee> {
    let mut tees = Vec::new();
    for mirror in mirrors {
        let Some(place) = worker.copies.take() else {
            mirror.counters.count(Copied::Dropped);
            continue;
        };
        // A copy is of no client: it goes to any endpoint.
        let random = worker.random.next();
        let picked = mirror.cluster.pick(&Affinity::default(), &[], &[], random, clock::now);
        let Some(endpoint) = picked else {
            mirror.counters.count(Copied::Failed);
            continue;
        };
        let Ok(in_flight) = InFlight::new(&mirror.cluster, endpoint, worker) else {
            mirror.counters.count(Copied::Dropped);
            continue;
        };
        let progress = Rc::new(Progress::default());
        let body = if size.exact() == Some(0) {
            Upload::nothing(&progress)
        } else {
            let (tee, copy) = copy::pipe(size);
            tees.push(tee);
            Upload::fed(copy, &progress)
        };
        let sending = Sending {
            request: request(head, body),
            in_flight,
            cluster: Arc::clone(&mirror.cluster),
            counters: Arc::clone(&mirror.counters),
            worker: Rc::clone(worker),
            _place: place,
        };
        tokio::task::spawn_local(sending.run(timeout.unwrap_or(LIMIT)));
    }
    tees
}

/// No mirror gets a copy of a request that cannot be copied.
pub(super) fn drop_all(mirrors: &[&Mirror]) {
    for mirror in mirrors {
        mirror.counters.count(Copied::Dropped);
    }
}

/// One copy on its way.
struct Sending {
    request: Box<Request<Upload>>,
    in_flight: InFlight,
    cluster: Arc<Cluster>,
    counters: Arc<MirrorCounters>,
    worker: Rc<Worker>,
    _place: Taken,
}

/// The request with a body that follows that of the original. Its host says that it is a copy, as Envoy's does.
fn request(head: &Parts, body: Upload) -> Box<Request<Upload>> {
    let mut request = Box::new(Request::new(body));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.headers_mut() = head.headers.clone();
    if let Some(host) = request.headers().get(HOST).and_then(forward::shadow_host) {
        request.headers_mut().insert(HOST, host);
    }
    request
}

impl Sending {
    async fn run(self, limit: Duration) {
        let Self { request, in_flight, cluster, counters, worker, _place } = self;
        let progress = request.body().progress();
        let broken = request.body().watch();
        let exchange = exchange(&worker, &cluster, &in_flight, request, &progress);
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
    mut request: Box<Request<Upload>>,
    progress: &Progress,
) -> Copied {
    if !request.headers().contains_key(HOST) {
        set_host(&mut request, &in_flight.endpoint.address);
    }
    let mut may_reuse = true;
    loop {
        let mut reply = match ask(worker, cluster, in_flight, may_reuse, request).await {
            Ok(response) => response.into_body(),
            // A connection from the pool that was closed before anything was written is no fault of the mirror.
            Err(Failed { failure: Failure::Unsent, request: Some(unsent) }) if may_reuse => {
                may_reuse = false;
                request = unsent;
                continue;
            }
            Err(Failed { failure: Failure::Full, .. }) => return Copied::Dropped,
            Err(_) => return Copied::Failed,
        };
        while let Some(frame) = poll_fn(|context| reply.poll_frame(context)).await {
            if frame.is_err() {
                return Copied::Failed;
            }
        }
        if progress.uploaded.get() {
            reply.keep(in_flight);
        }
        return Copied::Answered;
    }
}
