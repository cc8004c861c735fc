//! Whether a client may use a route.

use std::{borrow::Cow, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, request::Parts};
use proxy_config::model::{Scheme, Security};
use proxy_core::{
    clients::{TooMany, UnderWay},
    filters::{Authorization, Grant, Question, Refusal, Shown, Verdict},
    forward,
    snapshot::{Action, Rule},
};

use super::facts;
use crate::{
    clock,
    worker::{
        Worker,
        entry::Entry,
        pending::{Known, Pending, Said},
    },
};

/// Whether a client may use a route.
pub(in crate::worker) enum Access {
    /// For as long as this is kept, if its requests are counted; and with what the service that was asked adds.
    Granted(Option<UnderWay>, Option<Grant>),
    /// It is not where it should be.
    AddressRefused,
    /// It asks too often, or has as much under way as it may.
    RateLimited,
    /// It must show a name with its password, and is asked so.
    Unauthorized(HeaderValue),
    /// The service that was asked does not let it in.
    Refused(Box<Answer>),
    /// The service was not asked: the request is a question of a browser, which is answered here.
    Unasked,
}

impl Access {
    /// Whether it may use it. Only then an arm and copies are drawn: those of who is refused would be missing elsewhere.
    pub(in crate::worker) fn is_granted(&self) -> bool {
        match self {
            Self::Granted(..) => true,
            Self::AddressRefused
            | Self::RateLimited
            | Self::Unauthorized(_)
            | Self::Refused(_)
            | Self::Unasked => false,
        }
    }
}

/// What a client gets whose request a service refuses.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Answer {
    pub(in crate::worker) refusal: Refusal,
    /// The service's.
    pub(in crate::worker) text: Bytes,
}

/// Whether a client may use a route, as far as that is `known`; or what has to be found out first. A request is counted once,
/// when that is known. `request` is asked for only where it depends on it, and `authority` is the host that it is for.
pub(in crate::worker) fn access<'a>(
    worker: &Worker,
    entry: &Entry,
    rule: &Rule,
    known: &mut Known,
    authority: &str,
    request: impl FnOnce() -> Option<Cow<'a, Parts>>,
) -> Result<Access, Pending> {
    let filters = rule.filters.as_deref();
    let access = filters.and_then(|it| it.access.as_deref());
    if access.is_none() && rule.clients.is_none() {
        return Ok(Access::Granted(None, None));
    }
    let Some(request) = request() else { return Ok(Access::Unasked) };
    let headers = &request.headers;
    let client = forward::client(&entry.sender, headers);
    if access.is_some_and(|it| !it.takes(client, entry.sender.address.ip())) {
        return Ok(Access::AddressRefused);
    }
    let refuses = || rule.clients.as_ref().is_some_and(|it| it.refuses(client, clock::now()));
    let shown = access.and_then(|it| it.login.as_ref()).map(|login| (login, login.shown(headers)));
    if let Some((_, Shown::Unknown(verification))) = shown {
        // To compare takes long: not for who is refused anyway.
        return if refuses() { Ok(Access::RateLimited) } else { Err(Pending::Password(verification)) };
    }
    let is_wrong = matches!(shown, Some((_, Shown::Wrong)));
    let asked = access.and_then(|it| it.authorization.as_ref());
    // Who is sent elsewhere gets nothing of what is protected.
    let asked = asked.filter(|_| !is_wrong && matches!(rule.action, Action::Split(_)));
    let cors = filters.and_then(|it| it.cors.as_ref());
    let is_preflight = || cors.is_some_and(|it| it.preflight(&request.method, headers).is_some());
    let mut said = None;
    if let Some(authorization) = asked.filter(|_| !is_preflight()) {
        said = known.said.take().filter(|it| it.by.is_same(authorization));
        if said.is_none() {
            if refuses() {
                return Ok(Access::RateLimited);
            }
            match question(worker, entry, authorization, &request, authority) {
                Ok(question) => return Err(Pending::Question(Arc::clone(authorization), question)),
                Err(verdict) => {
                    let by = Arc::clone(authorization);
                    said = Some(Box::new(Said { by, verdict, text: Bytes::new() }));
                }
            }
        }
    }
    let under_way = match rule.clients.as_ref().map(|it| it.take(client, clock::now())) {
        Some(Err(TooMany)) => return Ok(Access::RateLimited),
        Some(Ok(under_way)) => under_way,
        None => None,
    };
    Ok(match (shown, said.map(|it| *it)) {
        (Some((login, Shown::Wrong)), _) => Access::Unauthorized(login.challenge.clone()),
        (_, Some(Said { verdict: Verdict::Pass(grant), .. })) => Access::Granted(under_way, Some(grant)),
        (_, Some(Said { verdict: Verdict::Refuse(refusal), text, .. })) => {
            Access::Refused(Box::new(Answer { refusal, text }))
        }
        (_, None) if asked.is_some() => Access::Unasked,
        (Some((_, Shown::Right | Shown::Unknown(_))) | None, None) => Access::Granted(under_way, None),
    })
}

/// What is asked about a request; or, if it cannot be asked, what becomes of the request. Its client is where trusted proxies
/// say, and speaks what they say.
fn question(
    worker: &Worker,
    entry: &Entry,
    authorization: &Authorization,
    request: &Parts,
    authority: &str,
) -> Result<Box<Question>, Verdict> {
    let Entry { sender, .. } = entry;
    let mut facts = facts(worker, entry, request, authority);
    facts.client = SocketAddr::new(forward::client(sender, &facts.headers), sender.address.port());
    let is_secure = forward::is_secure(Security::ForwardedProto, sender, &facts.headers);
    facts.scheme = if is_secure { Scheme::Https } else { Scheme::Http };
    let unasked = authorization.failed(&facts);
    authorization.question(facts, sender, entry.extra(worker)).map(Box::new).ok_or(unasked)
}
