//! One request of a client of HTTP/2 and its response.

use std::{borrow::Cow, rc::Rc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONNECTION, HOST, SET_COOKIE},
    request::Parts,
    uri::PathAndQuery,
};
use hyper::body::{Body as _, Incoming};
use proxy_core::{
    admission::Instead,
    answer::Reason,
    forward, grpc, path,
    router::RequestHead,
    snapshot::{Arm, HostRewrite, Mirror},
};
use tokio::time::Instant;

use super::{
    attempt::{Answered, Unanswered, attempt},
    websocket::{self, Opening},
};
use crate::{
    access::Record,
    clock,
    worker::{
        Worker,
        body::{Download, Limits, Progress, Upload},
        deadlines::Overdue,
        entry::Entry,
        filter::{self, Access, Filtering},
        mirror,
        own::{self, Draft},
        pending::{Known, Pending},
        pin::Pin,
        place::{Placed, draw, lower_case, mirrors, place},
        tries::Tries,
    },
};

/// Answers a request: from an endpoint of the arm that it is drawn for, or by ourselves with the reason.
pub(super) async fn answer(
    worker: &Rc<Worker>,
    entry: &Entry,
    mut request: Request<Incoming>,
) -> Response<Download> {
    let mut pin = worker.pin();
    websocket::translate(&mut request, &worker.random);
    let is_grpc = grpc::is_grpc(request.headers());
    let (parts, incoming) = request.into_parts();
    let mut record = worker.access_log().map(|log| {
        let authority = parts.uri.authority().map_or("", |it| it.as_str());
        Record::begin(log, entry.sender.address, clock::now(), authority, &parts)
    });
    let mut known = Known::default();
    let found = loop {
        match find(worker, &pin, entry, &parts, &mut known) {
            Ok(found) => break Ok(found),
            Err(Stopped::Instead(instead)) => break Err(instead),
            Err(Stopped::Pending(pending)) => {
                let waiting = pending.begin(worker);
                drop(pin);
                // Its state need not be part of every request's.
                let more = Box::pin(waiting.end(worker, known)).await;
                pin = worker.pin();
                let Some(more) = more else { break Err(Instead::Because(Reason::Unauthorized)) };
                known = more;
            }
        }
    };
    let mut response = match found {
        Ok(found) => {
            if let Some(record) = &mut record {
                record.routed(&found.placed.rule.route.id);
            }
            act(worker, entry, found, parts, incoming, &mut record).await
        }
        Err(Instead::Because(reason)) => respond(own::refuse(worker, reason), None),
        Err(Instead::Redirect(status, location)) => respond(own::redirect(status, location), None),
    };
    if let Some(record) = &mut record {
        record.answered(response.status(), response.headers());
    }
    response.body_mut().log(record);
    if is_grpc {
        speak_grpc(&mut response);
    }
    // Its connections end by a frame of their own.
    response.headers_mut().remove(CONNECTION);
    response
}

/// What was found out about a request.
struct Found<'a> {
    placed: Placed<'a>,
    /// Who gets a copy.
    mirrors: Vec<&'a Mirror>,
    /// In normal form, if that is another than its own.
    path: Option<String>,
    access: Access,
}

/// Why a request has no rule.
enum Stopped {
    Instead(Instead),
    /// Not before this is known.
    Pending(Pending),
}

/// The rule for a request, and whether it may use it.
fn find<'p>(
    worker: &Worker,
    pin: &'p Pin,
    entry: &Entry,
    request: &Parts,
    known: &mut Known,
) -> Result<Found<'p>, Stopped> {
    let because = |reason| Stopped::Instead(Instead::Because(reason));
    let bad = || because(Reason::BadRequest);
    forward::check(&request.headers, request.version).map_err(|_| bad())?;
    if request.method == Method::CONNECT {
        return Err(because(Reason::ConnectMethod));
    }
    let uri = &request.uri;
    let host = request.headers.get(HOST).map(HeaderValue::to_str).transpose();
    let host = host.map_err(|_| bad())?.unwrap_or_default();
    if !uri.authority().is_none_or(|it| forward::is_host(it.as_str().as_bytes())) {
        return Err(bad());
    }
    // `:authority` replaces the Host header (RFC 9113 §8.3.1).
    let said = uri.authority().map_or(host, |it| it.as_str());
    let authority = lower_case(said);
    let path = path::normalize(uri.path());
    let head = RequestHead {
        listener: &entry.listener.id,
        authority: &authority,
        path: &path,
        query: uri.query(),
        method: &request.method,
        headers: &request.headers,
    };
    let placed = place(pin, entry, &head).map_err(Stopped::Instead)?;
    let access = filter::access(worker, entry, placed.rule, known, said, || Some(Cow::Borrowed(request)));
    let access = access.map_err(Stopped::Pending)?;
    let mirrors = if access.is_granted() { mirrors(placed.rule, &head) } else { Vec::new() };
    let path = match path {
        Cow::Borrowed(_) => None,
        Cow::Owned(path) => Some(path),
    };
    Ok(Found { placed, mirrors, path, access })
}

/// Does what the rule asks.
async fn act(
    worker: &Rc<Worker>,
    entry: &Entry,
    found: Found<'_>,
    request: Parts,
    incoming: Incoming,
    record: &mut Option<Box<Record>>,
) -> Response<Download> {
    let Found { placed, mirrors, path, access } = found;
    let rule = placed.rule;
    let arm = if access.is_granted() { draw(rule) } else { None };
    let said = request.headers.get(HOST).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let said = request.uri.authority().map_or(said, |it| it.as_str());
    let mut filtering = Filtering::begin(worker, entry, rule, arm, &request, said, access);
    let under_way = filtering.under_way();
    if let Some(own) = filtering.instead(worker, &request) {
        return respond(own, None);
    }
    let (mut draft, body) = match arm {
        Some(arm) => {
            let target = Target { arm, path, mirrors };
            match forward_to(worker, entry, target, &filtering, request, incoming, record).await {
                Ok((draft, body)) => (draft, Some(body)),
                Err(reason) => (own::refuse(worker, reason), None),
            }
        }
        None => (own::without_arm(worker, &rule.action, placed.location), None),
    };
    filtering.end(arm, &mut draft);
    let mut response = respond(draft, body);
    response.body_mut().hold(under_way);
    response
}

/// A draft with its own body, or that of the upstream.
fn respond(draft: Draft, upstream: Option<Download>) -> Response<Download> {
    draft.map(|own| match (own, upstream) {
        (None, Some(body)) => body,
        (own, _) => Download::Text(own.filter(|it| !it.is_empty())),
    })
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
    mut parts: Parts,
    incoming: Incoming,
    record: &mut Option<Box<Record>>,
) -> Result<(Draft, Download), Reason> {
    let arm = target.arm;
    rewrite_target(&mut parts, &target).map_err(|_| Reason::BadRequest)?;
    prepare(&mut parts.headers, worker, entry, arm, filtering);
    let balancer = &arm.cluster.balancer;
    let affinity = balancer.affinity(&parts.headers, entry.sender.address.ip(), || worker.random.next());
    let progress = Rc::new(Progress::default());
    let start = progress.last.get();
    let tees = mirror::start(worker, &target.mirrors, &parts, incoming.size_hint(), arm.timeout);
    parts.version = Version::HTTP_11;
    let mut upload = Upload::of_client(incoming, &progress);
    upload.copy_to(tees);
    upload.limit(filtering.max_body_bytes());
    let opening = parts.extensions.remove::<Opening>();
    let request = Box::new(Request::from_parts(parts, upload));
    let policy = filtering.filters().and_then(|it| it.retry.as_deref());
    let mut tries = Tries::new(worker, arm, policy, &affinity, start);
    let until = arm.total_timeout.map(|it| start + it);
    let deadline = arm.timeout.map(|it| start + it).into_iter().chain(until).min();
    let limits = Limits::new(arm.idle_timeout, until);
    let outcome = tokio::select! {
        biased;
        outcome = attempt(worker, arm, &mut tries, request, &progress) => outcome,
        reason = expire(deadline, arm.idle_timeout, &progress) => Err(Unanswered::Because(reason)),
    };
    if let Some(record) = record {
        record.sent(arm, tries.placed(), tries.made());
    }
    let said_too_much = progress.too_large.get();
    match outcome {
        Ok(mut answered) => {
            arm.counters(tries.placed()).count_answer(answered.response.status());
            if let Some(cookie) = &affinity.cookie {
                answered.response.headers_mut().append(SET_COOKIE, HeaderValue::clone(cookie));
            }
            match opening {
                Some(opening) if answered.response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    let Answered { response, in_flight } = answered;
                    let idle = arm.idle_timeout;
                    let draft = websocket::accept(worker, opening, response.into_parts(), in_flight, idle);
                    Ok((draft.ok_or(Reason::UpstreamProtocol)?, Download::Text(None)))
                }
                // To the client any success would mean that it has what it asked for.
                Some(_) if answered.response.status().is_success() => Err(Reason::UpstreamProtocol),
                Some(_) | None => Ok(pass_on(worker, answered, progress, limits)),
            }
        }
        Err(Unanswered::Because(reason)) => {
            if matches!(reason, Reason::Timeout | Reason::IdleTimeout) {
                tries.expired();
            }
            arm.counters(tries.placed()).count_answer(reason.status());
            Err(reason)
        }
        Err(Unanswered::ClientGone) if said_too_much => {
            arm.counters(tries.placed()).count_answer(Reason::BodyTooLarge.status());
            Err(Reason::BodyTooLarge)
        }
        // It cannot be delivered.
        Err(Unanswered::ClientGone) => Err(Reason::BadRequest),
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

/// The headers that the upstream sees.
fn prepare(headers: &mut HeaderMap, worker: &Worker, entry: &Entry, arm: &Arm, filtering: &Filtering<'_>) {
    // Texts that refer to it have made it already.
    let made = filtering.facts().and_then(|it| it.request_id.clone());
    let extra = entry.extra(worker);
    forward::prepare_request(headers, &entry.sender, extra, || made.unwrap_or_else(|| worker.request_id()));
    match &arm.transform.host {
        HostRewrite::Keep => forward::keep_host(headers, &entry.sender, false),
        HostRewrite::Literal(host) => {
            forward::keep_host(headers, &entry.sender, true);
            headers.insert(HOST, host.clone());
        }
        HostRewrite::Endpoint => forward::keep_host(headers, &entry.sender, true),
    }
    filtering.change_request(arm, headers);
}

/// Resolves at the deadline, or when nothing has moved for the idle timeout.
async fn expire(deadline: Option<Instant>, idle: Option<Duration>, progress: &Progress) -> Reason {
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

fn pass_on(
    worker: &Worker,
    answered: Answered,
    progress: Rc<Progress>,
    limits: Option<Limits>,
) -> (Draft, Download) {
    let Answered { response, in_flight } = answered;
    let (mut parts, reply) = response.into_parts();
    let overdue = grpc::is_grpc(&parts.headers)
        .then(|| Overdue::of(worker.deadlines.borrow_mut().enter(&in_flight.endpoint)));
    parts.version = Version::HTTP_11;
    let body = Download::upstream(reply, progress, in_flight, limits, overdue);
    (Response::from_parts(parts, None), body)
}

/// Makes an answer of ours one that a gRPC client understands.
fn speak_grpc(response: &mut Response<Download>) {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return;
    }
    let Download::Text(text) = response.body_mut() else { return };
    let text = text.take().unwrap_or_default();
    grpc::answer(response.headers_mut(), status, &String::from_utf8_lossy(&text));
    *response.status_mut() = StatusCode::OK;
}
