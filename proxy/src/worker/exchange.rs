//! One request and its response.

mod filter;
mod own;
mod place;

use std::{cell::Cell, rc::Rc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, HOST, SET_COOKIE, UPGRADE},
    request::Parts,
    uri::PathAndQuery,
};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use proxy_core::{
    admission::Instead,
    answer::Reason,
    counters::FirstTry,
    forward, grpc,
    snapshot::{Action, Arm, HostRewrite, Mirror},
};
use tokio::time::Instant;

use self::{
    filter::Filtering,
    place::{Placed, place},
};
use super::{
    Worker,
    attempt::{self, Answered, Tries, Unanswered},
    body::{Download, Limits, Progress},
    downstream::{Turn, UnderWay},
    entry::Entry,
    mirror,
    tunnel::{self, Ends, Protocol},
};
use crate::{clock, shared::Phase};

/// Answers a request: from an endpoint of the arm that it is drawn for, or by ourselves with the reason.
pub(super) async fn answer(
    worker: &Rc<Worker>,
    entry: &Entry,
    request: Request<Incoming>,
    turn: &Turn,
) -> Response<Download> {
    let under_way = turn.begin();
    let pin = worker.pin();
    let version = request.version();
    let is_grpc = grpc::is_grpc(request.headers());
    let mut response = match place(&pin, entry, &request) {
        Ok(placed) => act(worker, entry, placed, request, under_way).await,
        Err(Instead::Because(reason)) => own::refuse(worker, reason),
        Err(Instead::Redirect(status, location)) => own::redirect(status, location),
    };
    if is_grpc {
        own::speak_grpc(&mut response);
    }
    if version == Version::HTTP_2 {
        // Its connections end by a frame of their own.
        response.headers_mut().remove(CONNECTION);
    } else if worker.phase.get() >= Phase::Leaving && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Does what the rule asks.
async fn act(
    worker: &Rc<Worker>,
    entry: &Entry,
    placed: Placed<'_>,
    mut request: Request<Incoming>,
    under_way: UnderWay,
) -> Response<Download> {
    let Placed { rule, path, location, mirrors } = placed;
    let arm = match &rule.action {
        Action::Split(split) => split.draw(),
        Action::Refuse(_) | Action::Redirect(_) => None,
    };
    let filtering = Filtering::begin(worker, entry, rule, arm, &mut request);
    if let Some(response) = filtering.instead(worker, &request) {
        return response;
    }
    let mut response = match (&rule.action, arm) {
        (Action::Split(_), Some(arm)) => {
            let target = Target { arm, path, mirrors };
            forward_to(worker, entry, target, &filtering, request, under_way).await
        }
        (Action::Split(_), None) => own::refuse(worker, Reason::NoEndpoints),
        (Action::Refuse(refusal), _) => own::refuse_as_configured(refusal),
        (Action::Redirect(redirect), _) => match location {
            Some(location) => own::redirect(redirect.status, location),
            None => own::refuse(worker, Reason::BadRequest),
        },
    };
    filtering.end(arm, &mut response);
    response
}

/// Where a request goes.
struct Target<'a> {
    arm: &'a Arm,
    path: Option<String>,
    mirrors: Vec<&'a Mirror>,
}

async fn forward_to(
    worker: &Rc<Worker>,
    entry: &Entry,
    target: Target<'_>,
    filtering: &Filtering<'_>,
    mut request: Request<Incoming>,
    under_way: UnderWay,
) -> Response<Download> {
    let arm = target.arm;
    let offered = forward::upgrade(request.headers());
    let client_side = offered.as_ref().map(|_| hyper::upgrade::on(&mut request));
    let (mut parts, incoming) = request.into_parts();
    if rewrite_target(&mut parts, &target).is_err() {
        return own::refuse(worker, Reason::BadRequest);
    }
    prepare(&mut parts.headers, worker, entry, arm, filtering);
    offer_upgrade(&mut parts.headers, offered.as_ref());
    let balancer = &arm.cluster.balancer;
    let affinity = balancer.affinity(&parts.headers, entry.sender.address.ip(), || worker.random.next());
    let cookie = affinity.cookie.clone();
    let start = Instant::now();
    let progress = Rc::new(Progress {
        uploaded: Cell::new(false),
        client_failed: Cell::new(false),
        last: Cell::new(start),
        _under_way: Some(under_way),
    });
    let mut request = attempt::request(parts, incoming, &progress);
    // What an upgrade leads to cannot be copied, and its head alone would mean another request.
    if offered.is_none() {
        mirror::start(worker, &target.mirrors, &mut request, arm.timeout);
    }
    let policy = filtering.filters().and_then(|it| it.retry.as_ref());
    let mut tries = Tries::new(worker, arm, policy, affinity);
    let until = arm.total_timeout.map(|it| start + it);
    let deadline = arm.timeout.map(|it| start + it).into_iter().chain(until).min();
    let limits = Limits::new(arm.idle_timeout, until);
    let outcome = tokio::select! {
        biased;
        outcome = tries.run(request, &progress) => outcome,
        reason = expire(deadline, arm.idle_timeout, &progress) => Err(Unanswered::Because(reason)),
    };
    match outcome {
        Ok(mut answered) => {
            answered.response.headers_mut().extend(cookie.map(|it| (SET_COOKIE, it)));
            let status = answered.response.status();
            arm.counters(tries.placed()).count_answer(status);
            match client_side {
                Some(client_side) if status == StatusCode::SWITCHING_PROTOCOLS => {
                    switch_protocols(worker, answered, client_side, progress, arm.idle_timeout)
                }
                Some(_) | None => pass_on(answered, progress, limits),
            }
        }
        Err(Unanswered::Because(reason)) => {
            if matches!(reason, Reason::Timeout | Reason::IdleTimeout) {
                tries.count_first(FirstTry::Bad);
            }
            arm.counters(tries.placed()).count_answer(reason.status());
            own::refuse(worker, reason)
        }
        // It cannot be delivered; hyper closes the connection after it.
        Err(Unanswered::ClientGone) => own::refuse(worker, Reason::BadRequest),
    }
}

/// The target that the upstream sees: origin form, normal path, rewritten as the arm says.
fn rewrite_target(parts: &mut Parts, target: &Target<'_>) -> Result<(), http::Error> {
    if let Some(authority) = parts.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str())?;
        parts.headers.insert(HOST, host);
    }
    let normal = target.path.as_deref().unwrap_or_else(|| parts.uri.path());
    let rewritten = target.arm.transform.rewrite.apply(normal);
    let path = rewritten.as_deref().unwrap_or(normal);
    if parts.uri.authority().is_none() && path == parts.uri.path() {
        return Ok(());
    }
    let path = match parts.uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}"))?,
        None => PathAndQuery::try_from(path)?,
    };
    parts.uri = Uri::from(path);
    Ok(())
}

/// The headers that the upstream sees, but for an offer to switch.
fn prepare(headers: &mut HeaderMap, worker: &Worker, entry: &Entry, arm: &Arm, filtering: &Filtering<'_>) {
    forward::prepare_request(headers, &entry.sender, || worker.request_id());
    match &arm.transform.host {
        HostRewrite::Keep => forward::keep_host(headers, &entry.sender, false),
        HostRewrite::Literal(host) => {
            forward::keep_host(headers, &entry.sender, true);
            headers.insert(HOST, host.clone());
        }
        HostRewrite::Endpoint => forward::keep_host(headers, &entry.sender, true),
    }
    if let Some(filters) = filtering.filters() {
        filters.request.apply(headers, filtering.facts(), None);
    }
    arm.transform.request.apply(headers, filtering.facts(), None);
}

fn offer_upgrade(headers: &mut HeaderMap, protocol: Option<&HeaderValue>) {
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
}

/// Resolves at the deadline, or when nothing has moved for the idle timeout.
pub(super) async fn expire(deadline: Option<Instant>, idle: Option<Duration>, progress: &Progress) -> Reason {
    loop {
        let idle_at = idle.map(|it| progress.last.get() + it);
        let Some(at) = [deadline, idle_at].into_iter().flatten().min() else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(at).await;
        if Some(at) == deadline {
            return Reason::Timeout;
        }
        if idle.is_some_and(|it| progress.last.get() + it <= at) {
            return Reason::IdleTimeout;
        }
    }
}

fn pass_on(answered: Answered, progress: Rc<Progress>, limits: Option<Limits>) -> Response<Download> {
    let Answered { response, in_flight, connection } = answered;
    let (mut parts, incoming) = response.into_parts();
    forward::prepare_response(&mut parts.headers);
    if in_flight.endpoint.is_overdue(clock::now) {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    parts.version = Version::HTTP_11;
    Response::from_parts(parts, Download::upstream(incoming, progress, in_flight, connection, limits))
}

fn switch_protocols(
    worker: &Rc<Worker>,
    answered: Answered,
    client_side: OnUpgrade,
    progress: Rc<Progress>,
    idle: Option<Duration>,
) -> Response<Download> {
    let Answered { mut response, in_flight, connection: _ } = answered;
    let upstream_side = hyper::upgrade::on(&mut response);
    let offered = response.headers().get(UPGRADE).cloned();
    let protocol = match &offered {
        Some(protocol) if protocol.as_bytes().eq_ignore_ascii_case(b"websocket") => Protocol::WebSocket,
        Some(_) | None => Protocol::Other,
    };
    let ends = Ends { protocol, client: client_side, upstream: upstream_side };
    worker.tasks.spawn_local(tunnel::run(Rc::clone(worker), ends, in_flight, progress, idle));
    let (mut parts, _) = response.into_parts();
    forward::remove_hop_by_hop(&mut parts.headers);
    offer_upgrade(&mut parts.headers, offered.as_ref());
    Response::from_parts(parts, Download::Text(None))
}
