//! Which rule takes a request, and what keeps it from being asked for.

use std::borrow::Cow;

use http::{HeaderValue, StatusCode};
use proxy_config::model::Insecure;
use proxy_core::{
    answer::Reason,
    forward,
    rewrite::{Asked, Redirect},
    router::RequestHead,
    snapshot::{Action, Mirror, Rule},
};

use super::{entry::Entry, pin::Pin};

/// What must stay reachable in the clear, or no certificate could be had (RFC 8555 §8.3).
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";

/// The rule that takes a request, and what it is told of it.
pub(super) struct Placed<'a> {
    pub(super) rule: &'a Rule,
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

/// A host in lower case, as rules look at it.
pub(super) fn lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|it| it.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        Cow::Borrowed(host)
    }
}

/// Finds the rule for a request, unless its host does not let it in.
pub(super) fn place<'a>(pin: &'a Pin, entry: &Entry, head: &RequestHead<'_>) -> Result<Placed<'a>, Instead> {
    let bad = || Instead::Because(Reason::BadRequest);
    let RequestHead { authority, path, query, .. } = *head;
    let asked = Asked { scheme: entry.sender.scheme, authority, path, query };
    admit(pin, entry, head, &asked)?;
    let rule = pin.snapshot.find(head).ok_or(Instead::Because(Reason::NoRoute))?;
    let (mirrors, location) = match &rule.action {
        // Without mirrors this allocates nothing.
        Action::Split(split) => (split.mirrors.iter().filter(|it| it.takes(head)).collect(), None),
        Action::Redirect(redirect) => (Vec::new(), Some(redirect.location(&asked).ok_or_else(bad)?)),
        Action::Refuse(_) => (Vec::new(), None),
    };
    Ok(Placed { rule, location, mirrors })
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
