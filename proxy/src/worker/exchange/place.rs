//! Which rule takes a request, and what keeps it from being asked for.

use std::borrow::Cow;

use http::{HeaderValue, Method, Request, header::HOST};
use hyper::body::Incoming;
use proxy_core::{
    admission::{Entered, Instead},
    answer::Reason,
    forward, path,
    rewrite::Asked,
    router::RequestHead,
    snapshot::{Action, Mirror, Rule},
};

use crate::worker::{entry::Entry, pin::Pin};

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
    let shown = entry.host.as_ref().map(|it| &it.id);
    let entered = Entered { listener: &entry.listener, sender: &entry.sender, shown };
    let rule = pin.snapshot.admit(&entered, &head, &asked)?;
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
