//! Sending a request to an arm: picking endpoints, connecting, trying again.

use std::rc::Rc;

use http::{HeaderValue, Method, Request, Response, StatusCode, header::HOST, request::Parts};
use hyper::body::{Body as _, Incoming};
use proxy_config::model::Address;
use proxy_core::{
    answer::Reason,
    balance::Affinity,
    counters::FirstTry,
    endpoint::EndpointId,
    outlier::Outcome,
    retry::{self, Connection, Failure, Next, Policy, Replay},
    snapshot::{Arm, HostRewrite},
};
use tracing::debug;

use super::{
    Worker,
    body::{Progress, Upload},
    pool::InFlight,
    upstream::{Sender, connect, is_refused},
};
use crate::{clock, shared::count};

/// What the upstream answered, and what the rest of the exchange needs.
pub(super) struct Answered {
    pub(super) response: Response<Incoming>,
    pub(super) in_flight: InFlight,
    pub(super) connection: Sender,
}

/// Why there is no response to forward.
pub(super) enum Unanswered {
    /// The client is told.
    Because(Reason),
    /// The client broke off its own request: it cannot be told and nothing is wrong here.
    ClientGone,
}

/// The state of one request's tries. The first try's outcome is counted once, when it is known.
pub(super) struct Tries<'a> {
    worker: &'a Rc<Worker>,
    arm: &'a Arm,
    made: u32,
    first_is_counted: bool,
    /// What the route wants to be tried again.
    policy: Option<&'a Policy>,
    /// What of the request decides its endpoint.
    affinity: Affinity,
    /// Endpoints that could not be connected to.
    unreachable: Vec<EndpointId>,
    /// Endpoints that failed in another way: others are better.
    avoided: Vec<EndpointId>,
    /// Whether pooled connections are not to be trusted any more.
    fresh: bool,
    /// Where the last try went.
    placed: Option<std::sync::Arc<proxy_core::endpoint::Endpoint>>,
}

/// A try that got no response head.
struct Failed {
    failure: Failure,
    /// The request, if it can be sent again.
    request: Option<Request<Upload>>,
}

impl<'a> Tries<'a> {
    pub(super) fn new(
        worker: &'a Rc<Worker>,
        arm: &'a Arm,
        policy: Option<&'a Policy>,
        affinity: Affinity,
    ) -> Self {
        Self {
            worker,
            arm,
            made: 0,
            first_is_counted: false,
            policy,
            affinity,
            unreachable: Vec::new(),
            avoided: Vec::new(),
            fresh: false,
            placed: None,
        }
    }

    /// Where the last try went; the answer is counted for its version.
    pub(super) fn placed(&self) -> Option<&proxy_core::endpoint::Endpoint> {
        self.placed.as_deref()
    }

    /// The outcome of a try is known. Only that of the first is counted.
    pub(super) fn count_first(&mut self, outcome: FirstTry) {
        if !std::mem::replace(&mut self.first_is_counted, true) {
            self.arm.counters(self.placed()).count_first_try(outcome);
        }
    }

    /// Tries until there is a response head or a reason to give up.
    pub(super) async fn run(
        &mut self,
        mut request: Request<Upload>,
        progress: &Rc<Progress>,
    ) -> Result<Answered, Unanswered> {
        loop {
            let Some(in_flight) = self.pick() else {
                // Endpoints that were tried and failed are a connect failure; none at all is another matter.
                let reason = if self.made == 0 { Reason::NoEndpoints } else { Reason::ConnectFailed };
                self.count_first(FirstTry::Bad);
                return Err(Unanswered::Because(reason));
            };
            self.made += 1;
            let method = request.method().clone();
            // A policy may want any request again; without one only a connection from the pool makes that likely.
            let spare = self.policy.and_then(|_| copy(&request, progress));
            let outcome = self.within(request, in_flight, progress).await;
            let failed = match outcome {
                Ok(answered) => {
                    let status = answered.response.status();
                    self.note(Outcome::Answered(status));
                    self.count_first(if status.is_server_error() { FirstTry::Bad } else { FirstTry::Good });
                    let again = self.policy.is_some_and(|it| it.retries_status(status, self.made));
                    match spare.filter(|_| again) {
                        Some(spare) => {
                            drop(answered);
                            self.avoid().await;
                            request = spare;
                            count(&self.worker.shared.retries);
                            continue;
                        }
                        None => return Ok(answered),
                    }
                }
                Err(_) if progress.client_failed.get() => return Err(Unanswered::ClientGone),
                Err(failed) => Failed { request: failed.request.or(spare), ..failed },
            };
            self.note(Outcome::Failed);
            self.count_first(FirstTry::Bad);
            request = self.again(failed, &method).await.map_err(Unanswered::Because)?;
            count(&self.worker.shared.retries);
        }
    }

    /// How a try ended, for the endpoint's record where its cluster keeps one.
    fn note(&self, outcome: Outcome) {
        let Some((outliers, endpoint)) = self.arm.cluster.outliers.as_ref().zip(self.placed()) else {
            return;
        };
        if outliers.note(endpoint, self.arm.cluster.balancer.endpoints(), outcome, clock::now()) {
            count(&self.worker.shared.ejections);
            debug!(address = ?endpoint.address, "an endpoint that fails is left out for a time");
        }
    }

    /// One try, for as long as the policy lets each take.
    async fn within(
        &mut self,
        request: Request<Upload>,
        in_flight: InFlight,
        progress: &Rc<Progress>,
    ) -> Result<Answered, Failed> {
        let Some(limit) = self.policy.and_then(|it| it.per_try) else {
            return self.once(request, in_flight, progress).await;
        };
        let outcome = tokio::time::timeout(limit, self.once(request, in_flight, progress)).await;
        outcome.unwrap_or(Err(Failed { failure: Failure::Late, request: None }))
    }

    /// The last endpoint failed: others are better for a while, and all of them after one.
    async fn avoid(&mut self) {
        self.avoided.extend(self.placed().map(|it| it.id));
        if let Some(policy) = self.policy {
            tokio::time::sleep(policy.wait(self.made, self.worker.random.next())).await;
        }
    }

    /// Decides an endpoint by the snapshot of this moment, and counts the request there.
    fn pick(&mut self) -> Option<InFlight> {
        let random = self.worker.random.next();
        let picked = if self.made == 0 {
            let cluster = &self.arm.cluster;
            let pick = |tried: &[_]| cluster.balancer.pick(&self.affinity, tried, random);
            // With everybody left out there is nobody better.
            let better = cluster
                .outliers
                .as_ref()
                .and_then(|outliers| pick(&outliers.left_out(cluster.balancer.endpoints(), clock::now())));
            better.or_else(|| pick(&[])).cloned()
        } else {
            let now = self.worker.pin();
            let cluster = now.snapshot.cluster(&self.arm.cluster.id).unwrap_or(&self.arm.cluster);
            let mut failed: Vec<_> = self.unreachable.iter().chain(&self.avoided).copied().collect();
            if let Some(outliers) = &cluster.outliers {
                failed.extend(outliers.left_out(cluster.balancer.endpoints(), clock::now()));
            }
            let pick = |tried: &[_]| cluster.balancer.pick(&self.affinity, tried, random);
            pick(&failed).or_else(|| pick(&self.unreachable)).cloned()
        };
        let in_flight = picked.as_ref().map(|it| InFlight::new(it, self.worker));
        if picked.is_some() {
            self.placed = picked;
        }
        in_flight
    }

    async fn once(
        &mut self,
        mut request: Request<Upload>,
        in_flight: InFlight,
        progress: &Rc<Progress>,
    ) -> Result<Answered, Failed> {
        let pooled =
            if self.fresh { None } else { self.worker.pool.borrow_mut().take(in_flight.endpoint.id) };
        let (mut connection, kind) = match pooled {
            Some(connection) => (connection, Connection::Pooled),
            None => match connect(self.worker, &self.arm.cluster, &in_flight.endpoint).await {
                Ok(connection) => (connection, Connection::Fresh),
                Err(error) => {
                    debug!(address = ?in_flight.endpoint.address, %error, "failed to connect to an endpoint");
                    count(&self.worker.shared.connect_failures);
                    return Err(Failed { failure: Failure::Connect, request: Some(request) });
                }
            },
        };
        match (&self.arm.transform.host, &in_flight.endpoint.address) {
            (HostRewrite::Endpoint, Address::Name { host, .. }) => {
                request.headers_mut().extend(HeaderValue::from_str(host).ok().map(|it| (HOST, it)));
            }
            (_, address) if !request.headers().contains_key(HOST) => set_host(&mut request, address),
            (HostRewrite::Keep | HostRewrite::Literal(_) | HostRewrite::Endpoint, _) => {}
        }
        let offered = request.headers().contains_key(http::header::UPGRADE);
        let spare = spare_copy(&request, kind, progress);
        match connection.send(request).await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS && !offered => {
                Err(Failed { failure: Failure::Protocol, request: None })
            }
            Ok(response) => Ok(Answered { response, in_flight, connection }),
            Err(mut error) => {
                if let Some(request) = error.take_message() {
                    return Err(Failed { failure: Failure::Unsent, request: Some(request) });
                }
                debug!(address = ?in_flight.endpoint.address, error = %error.error(), "exchange failed");
                let failure = if error.error().is_parse() {
                    Failure::Protocol
                } else if is_refused(error.error()) {
                    Failure::Refused
                } else {
                    Failure::Broken(kind)
                };
                Err(Failed { failure, request: spare })
            }
        }
    }

    /// The request to send again, or why it is not.
    async fn again(&mut self, failed: Failed, method: &Method) -> Result<Request<Upload>, Reason> {
        let Failed { failure, request } = failed;
        let replay = if request.is_some() { Replay::Possible } else { Replay::Impossible };
        match (retry::next(failure, method, replay, self.made, self.policy), request) {
            (Next::GiveUp(reason), _) => Err(reason),
            (Next::AnotherEndpoint, Some(request)) => {
                if failure == Failure::Connect {
                    self.unreachable.extend(self.placed().map(|it| it.id));
                } else {
                    self.avoid().await;
                }
                Ok(request)
            }
            (Next::FreshConnection, Some(request)) => {
                self.fresh = true;
                Ok(request)
            }
            (Next::AnotherEndpoint | Next::FreshConnection, None) => Err(Reason::UpstreamReset),
        }
    }
}

/// A copy of the request for the case that the pooled connection turns out to be closed, where
/// [`retry::next`] would send it again.
fn spare_copy(
    request: &Request<Upload>,
    kind: Connection,
    progress: &Rc<Progress>,
) -> Option<Request<Upload>> {
    let useful = kind == Connection::Pooled && retry::is_idempotent(request.method());
    if useful { copy(request, progress) } else { None }
}

/// The request again, if it has no body: one that is on its way is not kept.
fn copy(request: &Request<Upload>, progress: &Rc<Progress>) -> Option<Request<Upload>> {
    if !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Upload::new(None, progress));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// The head for the upstream and the body behind it.
pub(super) fn request(parts: Parts, incoming: Incoming, progress: &Rc<Progress>) -> Request<Upload> {
    let mut request = Request::from_parts(parts, Upload::new(Some(incoming), progress));
    *request.version_mut() = http::Version::HTTP_11;
    request
}

/// HTTP/1.0 clients may leave the host out; the upstream wants one.
pub(super) fn set_host(request: &mut Request<Upload>, address: &Address) {
    let host = match address {
        Address::Socket(address) => address.to_string(),
        Address::Name { host, port } => format!("{host}:{port}"),
    };
    if let Ok(host) = HeaderValue::from_str(&host) {
        request.headers_mut().insert(HOST, host);
    }
}
