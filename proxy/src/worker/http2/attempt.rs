//! Sending a request to an arm by hyper: one try after the other.

use std::{rc::Rc, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, header::HOST};
use hyper::body::{Body as _, Incoming};
use proxy_config::model::Address;
use proxy_core::{
    answer::Reason,
    retry::{self, Connection, Failure, Replay},
    snapshot::{Arm, HostRewrite},
};
use tracing::debug;

use crate::{
    shared::count,
    worker::{
        Worker,
        body::{Progress, Upload},
        pool::InFlight,
        tries::Tries,
        upstream::{Sender, connect, failure, set_host},
    },
};

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

/// A try that got no response head.
struct Failed {
    failure: Failure,
    /// The request, if it can be sent again.
    request: Option<Request<Upload>>,
}

/// Tries until there is a response head or a reason to give up.
pub(super) async fn attempt(
    worker: &Rc<Worker>,
    arm: &Arm,
    tries: &mut Tries<'_>,
    mut request: Request<Upload>,
    progress: &Rc<Progress>,
) -> Result<Answered, Unanswered> {
    loop {
        let in_flight = tries.next().map_err(Unanswered::Because)?;
        let method = request.method().clone();
        // A policy may want any request again; without one only a connection from the pool makes that likely.
        let spare = tries.policy().and_then(|_| copy(&request, progress));
        let limit = tries.policy().and_then(|it| it.per_try);
        let trying = once(worker, arm, tries.may_reuse(), request, in_flight, progress);
        let outcome = match limit {
            None => trying.await,
            Some(limit) => {
                let late = Failed { failure: Failure::Late, request: None };
                tokio::time::timeout(limit, trying).await.unwrap_or(Err(late))
            }
        };
        let (wait, again) = match outcome {
            Ok(answered) => {
                let status = answered.response.status();
                tries.answered(status);
                match spare.filter(|_| tries.discards(status)) {
                    Some(spare) => (tries.discarded(), Some(spare)),
                    None => return Ok(answered),
                }
            }
            Err(_) if progress.client_failed.get() => return Err(Unanswered::ClientGone),
            Err(Failed { failure, request }) => {
                let again = request.or(spare);
                let replay = if again.is_some() { Replay::Possible } else { Replay::Impossible };
                (tries.failed(failure, &method, replay).map_err(Unanswered::Because)?, again)
            }
        };
        request = again.ok_or(Unanswered::Because(Reason::UpstreamReset))?;
        if wait > Duration::ZERO {
            tokio::time::sleep(wait).await;
        }
    }
}

async fn once(
    worker: &Rc<Worker>,
    arm: &Arm,
    may_reuse: bool,
    mut request: Request<Upload>,
    in_flight: InFlight,
    progress: &Rc<Progress>,
) -> Result<Answered, Failed> {
    let pooled = if may_reuse { worker.pool.borrow_mut().take(in_flight.endpoint.id) } else { None };
    let (mut connection, kind) = match pooled {
        Some(connection) => (connection, Connection::Pooled),
        None => match connect(worker, &arm.cluster, &in_flight.endpoint).await {
            Ok(connection) => (connection, Connection::Fresh),
            Err(error) => {
                debug!(address = ?in_flight.endpoint.address, %error, "failed to connect to an endpoint");
                count(&worker.shared.connect_failures);
                return Err(Failed { failure: Failure::Connect, request: Some(request) });
            }
        },
    };
    match (&arm.transform.host, &in_flight.endpoint.address) {
        (HostRewrite::Endpoint, Address::Name { host, .. }) => {
            if let Ok(host) = HeaderValue::from_str(host) {
                request.headers_mut().insert(HOST, host);
            }
        }
        (_, address) if !request.headers().contains_key(HOST) => set_host(&mut request, address),
        (HostRewrite::Keep | HostRewrite::Literal(_) | HostRewrite::Endpoint, _) => {}
    }
    // In case the pooled connection turns out to be closed, where `retry::next` would send it again.
    let useful = kind == Connection::Pooled && retry::is_idempotent(request.method());
    let spare = if useful { copy(&request, progress) } else { None };
    match connection.send(request).await {
        // Nothing else is offered.
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            Err(Failed { failure: Failure::Protocol, request: None })
        }
        Ok(response) => Ok(Answered { response, in_flight, connection }),
        Err(mut error) => {
            if let Some(request) = error.take_message() {
                return Err(Failed { failure: Failure::Unsent, request: Some(request) });
            }
            debug!(address = ?in_flight.endpoint.address, error = %error.error(), "exchange failed");
            Err(Failed { failure: failure(error.error(), kind), request: spare })
        }
    }
}

/// The request again, if it has no body: one that is on its way is not kept.
fn copy(request: &Request<Upload>, progress: &Rc<Progress>) -> Option<Request<Upload>> {
    if !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(Upload::nothing(progress));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}
