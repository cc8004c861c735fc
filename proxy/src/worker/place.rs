//! Which rule takes a request, and what keeps it from being asked for.

use std::borrow::Cow;

use http::HeaderValue;
use proxy_core::{
    admission::{Entered, Instead},
    answer::Reason,
    rewrite::Asked,
    router::RequestHead,
    snapshot::{Action, Arm, Mirror, Rule},
};

use super::{entry::Entry, pin::Pin};

/// The rule that takes a request, and what it is told of it.
pub(super) struct Placed<'a> {
    pub(super) rule: &'a Rule,
    /// Where the client is sent, if the rule is a redirect.
    pub(super) location: Option<HeaderValue>,
}

/// Who gets a copy of a request that a rule sends on. Each draws, so that this is asked once.
pub(super) fn mirrors<'a>(rule: &'a Rule, head: &RequestHead<'_>) -> Vec<&'a Mirror> {
    match &rule.action {
        // Without mirrors this allocates nothing.
        Action::Split(split) => split.mirrors.iter().filter(|it| it.takes(head)).collect(),
        Action::Refuse(_) | Action::Redirect(_) => Vec::new(),
    }
}

/// Where a rule sends its next request; `None`: nowhere.
pub(super) fn draw(rule: &Rule) -> Option<&Arm> {
    match &rule.action {
        Action::Split(split) => split.draw(),
        Action::Refuse(_) | Action::Redirect(_) => None,
    }
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
    let shown = entry.host.as_ref().map(|it| &it.id);
    let entered = Entered { listener: &entry.listener, sender: &entry.sender, shown };
    let rule = pin.snapshot.admit(&entered, head, &asked)?;
    let location = match &rule.action {
        Action::Redirect(redirect) => Some(redirect.location(&asked).ok_or_else(bad)?),
        Action::Split(_) | Action::Refuse(_) => None,
    };
    Ok(Placed { rule, location })
}
