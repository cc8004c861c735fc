//! Which rule takes a request, and what keeps it from being asked for: its host, then its rule, may want it over TLS.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use proxy_config::model::{HostId, Insecure, Listener, ToHttps};

use crate::{
    answer::Reason,
    forward::{self, Sender},
    rewrite::{Asked, Redirect},
    router::RequestHead,
    snapshot::{Rule, Snapshot},
};

/// What must stay reachable in the clear, or no certificate could be had (RFC 8555 §8.3).
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";

/// How a request came in.
#[derive(Clone, Copy, Debug)]
pub struct Entered<'a> {
    /// Where.
    pub listener: &'a Listener,
    /// From whom.
    pub sender: &'a Sender,
    /// The host whose certificate the client was shown, if it was one.
    pub shown: Option<&'a HostId>,
}

/// What a client gets before any rule is asked.
#[derive(Debug)]
pub enum Instead {
    /// An answer of ours.
    Because(Reason),
    /// It should come again, there.
    Redirect(StatusCode, HeaderValue),
}

impl Snapshot {
    /// The rule that takes a request, if the request may be answered as it came.
    pub fn admit(
        &self,
        entered: &Entered<'_>,
        head: &RequestHead<'_>,
        asked: &Asked<'_>,
    ) -> Result<&Arc<Rule>, Instead> {
        let Entered { listener, sender, shown } = *entered;
        let host = self.host(head.host(), &listener.id);
        if let Some(host) = host {
            // A host that validates clients must not be reached through one that does not.
            let validates = host.tls.as_ref().is_some_and(|it| it.client.is_some());
            if shown.is_some_and(|shown| *shown != host.id) && (listener.reject_misdirected || validates) {
                return Err(Instead::Because(Reason::Misdirected));
            }
        }
        let rule = self.find_at(host, head).ok_or(Instead::Because(Reason::NoRoute))?;
        if head.path.starts_with(ACME_CHALLENGE) {
            return Ok(rule);
        }
        let insecure = host.map_or(Insecure::Route, |host| host.insecure);
        let to_https = match (insecure, rule.route.to_https) {
            (Insecure::Route, None) => return Ok(rule),
            (Insecure::Route, Some(to_https)) => Some(to_https),
            (Insecure::Redirect(port), _) => {
                Some(ToHttps { status: StatusCode::MOVED_PERMANENTLY.as_u16(), port })
            }
            (Insecure::Reject, _) => None,
        };
        if forward::is_secure(listener.security, sender, head.headers) {
            return Ok(rule);
        }
        let Some(to_https) = to_https else { return Err(Instead::Because(Reason::Insecure)) };
        let redirect = Redirect::to_https(to_https);
        let location = redirect.location(asked).ok_or(Instead::Because(Reason::BadRequest))?;
        Err(Instead::Redirect(redirect.status, location))
    }
}
