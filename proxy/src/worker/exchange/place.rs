//! Which rule takes a request, and what keeps it from being asked for.

use std::borrow::Cow;

use http::{HeaderValue, Method, Request, StatusCode, header::HOST};
use hyper::body::Incoming;
use proxy_config::model::Insecure;
use proxy_core::{
    answer::Reason,
    forward, path,
    rewrite::{Asked, Redirect},
    router::RequestHead,
    snapshot::{Action, Mirror, Rule},
};

use crate::worker::{entry::Entry, pin::Pin};

/// What must stay reachable in the clear, or no certificate could be had (RFC 8555 §8.3).
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";

/// The rule that takes a request, and what it is told of it.
pub(super) struct Placed<'a> {
    pub(super) rule: &'a Rule,
    /// The path in normal form, if that is another than the request's.
    pub(super) path: Option<String>,
    /// Where the client is sent, if the rule is a redirect.
    pub(super) location: Option<HeaderValue>,
    /// Who gets a copy.
    pub(super) mirrors: Vec<&'a Mirror>,
}

/// What a client gets before any rule is asked.
pub(super) enum Instead {
    Because(Reason),
    Redirect(StatusCode, HeaderValue),
}

pub(super) fn place<'a>(
    pin: &'a Pin,
    entry: &Entry,
    request: &Request<Incoming>,
) -> Result<Placed<'a>, Instead> {
    let bad = || Instead::Because(Reason::BadRequest);
    forward::check(request.headers(), request.version()).map_err(|_| bad())?;
    if request.method() == Method::CONNECT {
        return Err(Instead::Because(Reason::ConnectMethod));
    }
    let uri = request.uri();
    let host = request.headers().get(HOST).map(HeaderValue::to_str).transpose();
    let host = host.map_err(|_| bad())?.unwrap_or_default();
    if !uri.authority().is_none_or(|it| forward::is_host(it.as_str().as_bytes())) {
        return Err(bad());
    }
    // The authority of an absolute target replaces the Host header (RFC 9112 §3.2.2).
    let mut authority = Cow::Borrowed(uri.authority().map_or(host, |it| it.as_str()));
    if authority.bytes().any(|it| it.is_ascii_uppercase()) {
        authority = authority.to_ascii_lowercase().into();
    }
    let path = path::normalize(uri.path());
    let head = RequestHead {
        listener: &entry.listener.id,
        authority: &authority,
        path: &path,
        query: uri.query(),
        method: request.method(),
        headers: request.headers(),
    };
    let asked = Asked { scheme: entry.sender.scheme, authority: &authority, path: &path, query: uri.query() };
    admit(pin, entry, &head, &asked)?;
    let rule = pin.snapshot.find(&head).ok_or(Instead::Because(Reason::NoRoute))?;
    let (mirrors, location) = match &rule.action {
        // Without mirrors this allocates nothing.
        Action::Split(split) => (split.mirrors.iter().filter(|it| it.takes(&head)).collect(), None),
        Action::Redirect(redirect) => (Vec::new(), Some(redirect.location(&asked).ok_or_else(bad)?)),
        Action::Refuse(_) => (Vec::new(), None),
    };
    let path = match path {
        Cow::Borrowed(_) => None,
        Cow::Owned(path) => Some(path),
    };
    Ok(Placed { rule, path, location, mirrors })
}

/// Whether the host lets the request in as it came.
fn admit(pin: &Pin, entry: &Entry, head: &RequestHead<'_>, asked: &Asked<'_>) -> Result<(), Instead> {
    let Some(host) = pin.snapshot.host(head.host(), &entry.listener.id) else { return Ok(()) };
    // A host that validates clients must not be reached through one that does not.
    let validates = host.tls.as_ref().is_some_and(|it| it.client.is_some());
    let is_other = entry.host.as_ref().is_some_and(|shown| shown.id != host.id);
    if is_other && (entry.listener.reject_misdirected || validates) {
        return Err(Instead::Because(Reason::Misdirected));
    }
    if host.insecure == Insecure::Route
        || forward::is_secure(entry.listener.security, &entry.sender, head.headers)
    {
        return Ok(());
    }
    match host.insecure {
        Insecure::Redirect(_) if head.path.starts_with(ACME_CHALLENGE) => Ok(()),
        Insecure::Redirect(port) => {
            let redirect = Redirect::to_https(port);
            let location = redirect.location(asked).ok_or(Instead::Because(Reason::BadRequest))?;
            Err(Instead::Redirect(redirect.status, location))
        }
        Insecure::Reject => Err(Instead::Because(Reason::Insecure)),
        Insecure::Route => Ok(()),
    }
}
