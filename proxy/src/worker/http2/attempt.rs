//! Sending a request to an arm by hyper: one try after the other.

use std::{rc::Rc, time::Duration};

use http::{HeaderValue, Request, Response, header::HOST};
use proxy_config::model::Address;
use proxy_core::{
    answer::Reason,
    retry::{Failure, Replay},
    snapshot::{Arm, HostRewrite},
};

use crate::worker::{
    Worker,
    body::{Progress, Upload},
    pool::InFlight,
    reply::{Failed, Reply, ask, copy},
    tries::Tries,
    upstream::set_host,
};

/// What the upstream answered, and what the rest of the exchange needs.
pub(super) struct Answered {
    pub(super) response: Response<Reply>,
    pub(super) in_flight: InFlight,
}

/// Why there is no response to forward.
pub(super) enum Unanswered {
    /// The client is told.
    Because(Reason),
    /// The client broke off its own request: it cannot be told and nothing is wrong here.
    ClientGone,
}

/// Tries until there is a response head or a reason to give up.
pub(super) async fn attempt(
    worker: &Rc<Worker>,
    arm: &Arm,
    tries: &mut Tries<'_>,
    mut request: Box<Request<Upload>>,
    progress: &Rc<Progress>,
) -> Result<Answered, Unanswered> {
    loop {
        let in_flight = tries.next().map_err(Unanswered::Because)?;
        let method = request.method().clone();
        // A policy may want any request again; without one only a connection from the pool makes that likely.
        let spare = tries.policy().and_then(|_| copy(&request, progress));
        let limit = tries.policy().and_then(|it| it.per_try);
        let trying = once(worker, arm, tries.may_reuse(), request, in_flight);
        let outcome = match limit {
            None => trying.await,
            Some(limit) => {
                let late = Failed { failure: Failure::Late, request: None };
                // Its state need not be part of every request's.
                Box::pin(tokio::time::timeout(limit, trying)).await.unwrap_or(Err(late))
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
    mut request: Box<Request<Upload>>,
    in_flight: InFlight,
) -> Result<Answered, Failed> {
    match (&arm.transform.host, &in_flight.endpoint.address) {
        (HostRewrite::Endpoint, Address::Name { host, .. }) => {
            if let Ok(host) = HeaderValue::from_str(host) {
                request.headers_mut().insert(HOST, host);
            }
        }
        (_, address) if !request.headers().contains_key(HOST) => set_host(&mut request, address),
        (HostRewrite::Keep | HostRewrite::Literal(_) | HostRewrite::Endpoint, _) => {}
    }
    let response = ask(worker, &arm.cluster, &in_flight, may_reuse, request).await?;
    Ok(Answered { response, in_flight })
}
