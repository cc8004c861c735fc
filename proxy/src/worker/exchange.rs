//! One request and its response.

use std::{borrow::Cow, cell::Cell, net::IpAddr, rc::Rc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE},
    request::Parts,
    uri::PathAndQuery,
};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use proxy_core::{
    answer::{REASON_HEADER, Reason},
    counters::FirstTry,
    forward, path,
    router::RequestHead,
    snapshot::{Action, Arm, Mirror, Refusal, Rule},
};
use tokio::time::Instant;

use super::{
    Worker,
    attempt::{self, Answered, Tries, Unanswered},
    body::{Download, Progress},
    downstream::{Turn, UnderWay},
    mirror,
    pin::Pin,
    tunnel::{self, Ends, Protocol},
};
use crate::{clock, shared::Phase};

/// Answers a request: from an endpoint of the arm that it is drawn for, or by ourselves with the reason.
pub(super) async fn answer(
    worker: &Rc<Worker>,
    client: IpAddr,
    request: Request<Incoming>,
    turn: &Turn,
) -> Response<Download> {
    let under_way = turn.begin();
    let pin = worker.pin();
    let mut response = match place(&pin, &request) {
        Ok(Placed { rule, path, mirrors }) => match &rule.action {
            Action::Split(split) => match split.draw() {
                Some(arm) => {
                    let target = Target { rule, arm, path, mirrors };
                    forward_to(worker, target, client, request, under_way).await
                }
                None => refuse(worker, Reason::NoEndpoints),
            },
            Action::Refuse(refusal) => refuse_as_configured(refusal),
        },
        Err(reason) => refuse(worker, reason),
    };
    if worker.phase.get() >= Phase::Leaving && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The rule that takes a request, and its path in normal form if that is another.
struct Placed<'a> {
    rule: &'a Rule,
    path: Option<String>,
    /// Who gets a copy.
    mirrors: Vec<&'a Mirror>,
}

/// Where a request goes.
struct Target<'a> {
    rule: &'a Rule,
    arm: &'a Arm,
    path: Option<String>,
    mirrors: Vec<&'a Mirror>,
}

fn place<'a>(pin: &'a Pin, request: &Request<Incoming>) -> Result<Placed<'a>, Reason> {
    forward::check(request.headers(), request.version()).map_err(|_| Reason::BadRequest)?;
    if request.method() == Method::CONNECT {
        return Err(Reason::ConnectMethod);
    }
    let uri = request.uri();
    let host = request.headers().get(HOST).map(HeaderValue::to_str).transpose();
    let host = host.map_err(|_| Reason::BadRequest)?.unwrap_or_default();
    if !uri.authority().is_none_or(|it| forward::is_host(it.as_str().as_bytes())) {
        return Err(Reason::BadRequest);
    }
    // The authority of an absolute target replaces the Host header (RFC 9112 §3.2.2).
    let mut authority = Cow::Borrowed(uri.authority().map_or(host, |it| it.as_str()));
    if authority.bytes().any(|it| it.is_ascii_uppercase()) {
        authority = authority.to_ascii_lowercase().into();
    }
    let path = path::normalize(uri.path());
    let head = RequestHead {
        authority: &authority,
        path: &path,
        query: uri.query(),
        method: request.method(),
        headers: request.headers(),
    };
    let rule = pin.snapshot.find(&head).ok_or(Reason::NoRoute)?;
    let mirrors = match &rule.action {
        // Without mirrors this allocates nothing.
        Action::Split(split) => split.mirrors.iter().filter(|mirror| mirror.takes(&head)).collect(),
        Action::Refuse(_) => Vec::new(),
    };
    let path = match path {
        Cow::Borrowed(_) => None,
        Cow::Owned(path) => Some(path),
    };
    Ok(Placed { rule, path, mirrors })
}

async fn forward_to(
    worker: &Rc<Worker>,
    target: Target<'_>,
    client: IpAddr,
    mut request: Request<Incoming>,
    under_way: UnderWay,
) -> Response<Download> {
    let arm = target.arm;
    let offered = forward::upgrade(request.headers());
    let client_side = offered.as_ref().map(|_| hyper::upgrade::on(&mut request));
    let (mut parts, incoming) = request.into_parts();
    if rewrite_target(&mut parts, &target).is_err() {
        return refuse(worker, Reason::BadRequest);
    }
    prepare(&mut parts.headers, worker, arm, client, offered.as_ref());
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
    let mut tries = Tries::new(worker, arm);
    let deadline = arm.timeout.map(|it| start + it);
    let outcome = tokio::select! {
        biased;
        outcome = tries.run(request, &progress) => outcome,
        reason = expire(deadline, arm.idle_timeout, &progress) => Err(Unanswered::Because(reason)),
    };
    match outcome {
        Ok(answered) => {
            let status = answered.response.status();
            arm.counters(tries.placed()).count_answer(status);
            match client_side {
                Some(client_side) if status == StatusCode::SWITCHING_PROTOCOLS => {
                    switch_protocols(worker, answered, client_side, progress, arm.idle_timeout)
                }
                Some(_) | None => pass_on(answered, progress, arm.idle_timeout),
            }
        }
        Err(Unanswered::Because(reason)) => {
            if matches!(reason, Reason::Timeout | Reason::IdleTimeout) {
                tries.count_first(FirstTry::Bad);
            }
            arm.counters(tries.placed()).count_answer(reason.status());
            refuse(worker, reason)
        }
        // It cannot be delivered; hyper closes the connection after it.
        Err(Unanswered::ClientGone) => refuse(worker, Reason::BadRequest),
    }
}

/// The target that the upstream sees: origin form, normal path, rewritten as the arm says.
fn rewrite_target(parts: &mut Parts, target: &Target<'_>) -> Result<(), http::Error> {
    if let Some(authority) = parts.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str())?;
        parts.headers.insert(HOST, host);
    }
    let normal = target.path.as_deref().unwrap_or_else(|| parts.uri.path());
    let rewritten = path::rewrite(normal, &target.rule.route, &target.arm.rewrite);
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

fn prepare(
    headers: &mut HeaderMap,
    worker: &Worker,
    arm: &Arm,
    client: IpAddr,
    upgrade: Option<&HeaderValue>,
) {
    forward::prepare_request(headers, client, || {
        HeaderValue::from_str(&worker.random.uuid()).unwrap_or_else(|_| HeaderValue::from_static("none"))
    });
    if let Some(host) = &arm.host_rewrite {
        headers.insert(HOST, host.clone());
    }
    offer_upgrade(headers, upgrade);
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

fn pass_on(answered: Answered, progress: Rc<Progress>, idle: Option<Duration>) -> Response<Download> {
    let Answered { response, in_flight, connection } = answered;
    let (mut parts, incoming) = response.into_parts();
    forward::prepare_response(&mut parts.headers);
    if in_flight.endpoint.is_overdue(clock::now) {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    parts.version = Version::HTTP_11;
    Response::from_parts(parts, Download::upstream(incoming, progress, in_flight, connection, idle))
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

fn refuse(worker: &Worker, reason: Reason) -> Response<Download> {
    worker.shared.count_reason(reason);
    own_answer(reason.status(), HeaderValue::from_static(reason.as_str()), reason.text())
}

fn refuse_as_configured(refusal: &Refusal) -> Response<Download> {
    refusal.refused.add();
    let reason = HeaderValue::from_str(&refusal.refused.reason);
    let reason = reason.unwrap_or_else(|_| HeaderValue::from_static("refused"));
    own_answer(refusal.status, reason, "sluice: this route cannot be served as it is written\n")
}

fn own_answer(status: StatusCode, reason: HeaderValue, text: &'static str) -> Response<Download> {
    let mut response = Response::new(Download::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(REASON_HEADER, reason);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
