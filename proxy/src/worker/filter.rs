//! What a route does to requests and responses besides its action. A route without filters costs one look.

mod access;

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, WWW_AUTHENTICATE},
    request::Parts,
};
use proxy_core::{
    answer::Reason,
    clients::UnderWay,
    facts::Facts,
    filters::{Cors, Filters, Grant},
    forward,
    snapshot::{Arm, Rule},
};

pub(super) use self::access::{Access, Answer, access};
use super::{
    Worker,
    entry::Entry,
    own::{self, Draft},
};

/// The filters of a route for one exchange.
pub(super) struct Filtering<'a> {
    filters: Option<&'a Filters>,
    /// The policy for pages of other origins, and the origin if it may use the route.
    page: Option<(&'a Cors, Option<HeaderValue>)>,
    facts: Option<Box<Facts>>,
    access: Access,
}

impl<'a> Filtering<'a> {
    /// Whether anything is done to requests that `rule` takes and `arm` gets.
    pub(super) fn is_needed(rule: &Rule, arm: Option<&Arm>) -> bool {
        let edits = |it: &Arm| !(it.transform.request.is_empty() && it.transform.response.is_empty());
        rule.filters.is_some() || arm.is_some_and(edits)
    }

    /// Begins with a request, as the client sent it, that `rule` takes and, if it is sent somewhere, `arm`.
    pub(super) fn begin(
        worker: &Worker,
        entry: &Entry,
        rule: &'a Rule,
        arm: Option<&Arm>,
        request: &Parts,
        authority: &str,
        access: Access,
    ) -> Self {
        let filters = rule.filters.as_deref();
        let cors = filters.and_then(|it| it.cors.as_deref());
        let page = cors.map(|cors| (cors, cors.origin(&request.headers)));
        let facts = rule.refers(arm).then(|| Box::new(facts(worker, entry, request, authority)));
        Self { filters, page, facts, access }
    }

    /// What the client gets instead of the route's action, if so.
    pub(super) fn instead(&self, worker: &Worker, request: &Parts) -> Option<Draft> {
        let filters = self.filters?;
        match self.access {
            Access::AddressRefused => return Some(self.refuse(worker, Reason::AddressRefused)),
            Access::RateLimited => return Some(self.refuse(worker, Reason::RateLimited)),
            Access::Granted(..) | Access::Unauthorized(_) | Access::Refused(_) | Access::Unasked => {}
        }
        if let Some((cors, _)) = self.page
            && let Some(headers) = cors.preflight(&request.method, &request.headers)
        {
            let mut response = own::empty(StatusCode::OK);
            response.headers_mut().extend(headers);
            filters.response.apply(response.headers_mut(), self.facts(), Some(StatusCode::OK));
            return Some(response);
        }
        if let Access::Unauthorized(challenge) = &self.access {
            let mut response = self.refuse(worker, Reason::Unauthorized);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge.clone());
            return Some(response);
        }
        if let Access::Refused(answer) = &self.access {
            let mut response = own::refuse_as_said(worker, answer);
            self.end(None, &mut response);
            return Some(response);
        }
        if matches!(self.access, Access::Unasked) {
            return Some(self.refuse(worker, Reason::AuthorizationFailed));
        }
        let length = || request.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse::<u64>().ok();
        if let Some(most) = filters.max_body_bytes
            && length().is_some_and(|length| length > most)
        {
            return Some(self.refuse(worker, Reason::BodyTooLarge));
        }
        let offered = forward::upgrade(&request.headers)?;
        if filters.allows_upgrade(&offered) {
            return None;
        }
        Some(self.refuse(worker, Reason::UpgradeRefused))
    }

    fn refuse(&self, worker: &Worker, reason: Reason) -> Draft {
        let mut response = own::refuse(worker, reason);
        self.end(None, &mut response);
        response
    }

    /// What its client has under way by it, for whoever knows when it is over.
    pub(super) fn under_way(&mut self) -> Option<UnderWay> {
        match &mut self.access {
            Access::Granted(under_way, _) => under_way.take(),
            Access::AddressRefused
            | Access::RateLimited
            | Access::Unauthorized(_)
            | Access::Refused(_)
            | Access::Unasked => None,
        }
    }

    /// What the service that was asked adds.
    fn grant(&self) -> Option<&Grant> {
        match &self.access {
            Access::Granted(_, grant) => grant.as_ref(),
            Access::AddressRefused
            | Access::RateLimited
            | Access::Unauthorized(_)
            | Access::Refused(_)
            | Access::Unasked => None,
        }
    }

    /// How long the body of the request may be.
    pub(super) fn max_body_bytes(&self) -> Option<u64> {
        self.filters.and_then(|it| it.max_body_bytes)
    }

    /// The filters themselves.
    pub(super) fn filters(&self) -> Option<&'a Filters> {
        self.filters
    }

    /// What texts refer to, if any does.
    pub(super) fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// Whether it has anything to do with the headers that the upstream sees.
    pub(super) fn changes_request(&self, arm: &Arm) -> bool {
        self.filters.is_some_and(|it| !it.request.is_empty())
            || !arm.transform.request.is_empty()
            || self.grant().is_some()
    }

    /// Changes the headers that the upstream sees.
    pub(super) fn change_request(&self, arm: &Arm, headers: &mut HeaderMap) {
        if let Some(grant) = self.grant() {
            grant.apply(headers);
        }
        if let Some(filters) = self.filters {
            filters.request.apply(headers, self.facts(), None);
        }
        arm.transform.request.apply(headers, self.facts(), None);
    }

    /// Ends with the response that the client gets.
    pub(super) fn end(&self, arm: Option<&Arm>, response: &mut Draft) {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        if let Some(error) = self.filters.and_then(|it| it.errors.get(status)) {
            let body = error.body(self.facts());
            let headers = response.headers_mut();
            // They are of the body that is thrown away.
            for name in [CONTENT_ENCODING, CONTENT_LENGTH, ETAG] {
                headers.remove(name);
            }
            headers.insert(CONTENT_TYPE, error.content_type.clone());
            *response.body_mut() = Some(body.into());
        }
        let headers = response.headers_mut();
        if let Some(grant) = self.grant() {
            grant.mark(status, headers);
        }
        if let Some(arm) = arm {
            arm.transform.response.apply(headers, self.facts(), Some(status));
        }
        if let Some(filters) = self.filters {
            filters.response.apply(headers, self.facts(), Some(status));
        }
        if let Some((cors, origin)) = &self.page {
            cors.mark(origin.clone(), headers);
        }
    }
}

fn facts(worker: &Worker, entry: &Entry, request: &Parts, authority: &str) -> Facts {
    // The same id in every text of the exchange and at the upstream.
    let mut headers = request.headers.clone();
    let id = headers.entry(forward::X_REQUEST_ID).or_insert_with(|| worker.request_id()).clone();
    Facts {
        client: entry.sender.address,
        scheme: entry.sender.scheme,
        version: request.version,
        method: request.method.clone(),
        authority: authority.to_owned(),
        path: request.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned(),
        request_id: Some(id),
        headers,
    }
}
