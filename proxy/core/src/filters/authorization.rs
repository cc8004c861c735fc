//! A service that is asked about requests: what it is asked, and what its answer means.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, SET_COOKIE},
    request::Parts,
};
use proxy_config::model::{self, Absent, AuthorizationFailure, ClusterId, Cookies, Refusals, Sees};

use super::Edits;
use crate::{
    answer::Reason,
    facts::{Facts, Template},
    forward::{
        self, Extra, FORWARDED, Sender, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REQUEST_ID,
    },
};

/// Who is asked about the requests of a route.
#[derive(Debug)]
pub struct Authorization {
    /// As it came.
    model: model::Authorization,
    /// How long the whole question may take.
    pub timeout: Duration,
    method: Option<Method>,
    host: Option<HeaderValue>,
    target: Template,
    /// `None`: all.
    sees: Option<Box<[HeaderName]>>,
    request: Edits,
    passed_on: Box<[HeaderName]>,
    told: Box<[HeaderName]>,
    sign_in: Option<Template>,
}

/// What the service is asked about one request.
#[derive(Debug)]
pub struct Question {
    /// Without a body.
    pub parts: Parts,
    facts: Facts,
}

/// What becomes of the request.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It goes on.
    Pass(Grant),
    /// It does not.
    Refuse(Refusal),
}

/// What a request that goes on takes along.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// What takes the place of the request's own.
    headers: Vec<(HeaderName, Vec<HeaderValue>)>,
    cookies: Vec<HeaderValue>,
    always: bool,
}

/// What the client gets instead.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// Of the answer.
    pub status: StatusCode,
    /// Of the answer.
    pub headers: HeaderMap,
    /// Of the answer.
    pub text: Text,
}

/// Whose text an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// That of the reason.
    Ours,
    /// The service's.
    Theirs,
    /// None.
    Empty,
}

impl Authorization {
    /// Prepares it.
    #[must_use]
    pub fn new(model: &model::Authorization) -> Self {
        let names = |names: &[String]| {
            names.iter().filter_map(|it| HeaderName::from_bytes(it.as_bytes()).ok()).collect()
        };
        Self {
            timeout: Duration::from_millis(u64::from(model.timeout_ms)),
            method: model.method.as_ref().and_then(|it| Method::from_bytes(it.as_bytes()).ok()),
            host: model.host.as_ref().and_then(|it| HeaderValue::from_str(it).ok()),
            target: Template::new(&model.target),
            sees: match &model.sees {
                Sees::All => None,
                Sees::Only(only) => Some(names(only)),
            },
            request: Edits::new(&model.request_headers),
            passed_on: names(&model.passed_on),
            told: names(&model.told),
            sign_in: model.sign_in.as_ref().map(Template::new),
            model: model.clone(),
        }
    }

    /// Who is asked.
    #[must_use]
    pub fn cluster(&self) -> &ClusterId {
        &self.model.cluster
    }

    /// Whether another one asks the same and understands the answers alike.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.model == other.model
    }

    /// Whether the text of an answer with this status may be for the client.
    #[must_use]
    pub fn wants_text(&self, status: StatusCode) -> bool {
        !status.is_success() && self.model.refusals == Refusals::Whole
    }

    /// What is asked about the request that `facts` are of. `None`: its target is none that can be sent.
    #[must_use]
    pub fn question(&self, facts: Facts, sender: &Sender, extra: Extra<'_>) -> Option<Question> {
        let mut headers = facts.headers.clone();
        if let Ok(host) = HeaderValue::from_str(&facts.authority) {
            headers.insert(HOST, host);
        }
        if sender.trusted_hops == 0 {
            remove_claims(&mut headers);
        }
        let id = || facts.request_id.clone().unwrap_or_else(|| HeaderValue::from_static("none"));
        forward::prepare_request(&mut headers, sender, extra, id);
        forward::keep_host(&mut headers, sender, true);
        headers.remove(CONTENT_LENGTH);
        if let Some(only) = &self.sees {
            let mut seen = HeaderMap::new();
            only.iter().for_each(|name| copy(&headers, name, &mut seen));
            headers = seen;
        }
        self.request.apply(&mut headers, Some(&facts), None);
        let host = self.host.clone().or_else(|| HeaderValue::from_str(&facts.authority).ok());
        headers.insert(HOST, host?);
        let target = self.target.render(Some(&facts), None);
        let method = self.method.as_ref().unwrap_or(&facts.method).clone();
        let mut parts =
            Request::builder().method(method).uri(target.as_slice()).body(()).ok()?.into_parts().0;
        parts.headers = headers;
        Some(Question { parts, facts })
    }

    /// What the service's answer means.
    #[must_use]
    pub fn verdict(&self, facts: &Facts, status: StatusCode, answer: &HeaderMap) -> Verdict {
        if status.is_success() {
            return Verdict::Pass(self.grant(facts, Some(answer)));
        }
        if status == StatusCode::UNAUTHORIZED
            && let Some(sign_in) = &self.sign_in
        {
            let Ok(location) = HeaderValue::from_bytes(&sign_in.render(Some(facts), None)) else {
                return self.failed(facts);
            };
            let mut headers = HeaderMap::from_iter([(LOCATION, location)]);
            if self.model.cookies != Cookies::Never {
                copy(answer, &SET_COOKIE, &mut headers);
            }
            let (reason, status, text) = (Reason::AuthorizationRefused, StatusCode::FOUND, Text::Empty);
            return Verdict::Refuse(Refusal { reason, status, headers, text });
        }
        let text = match self.model.refusals {
            Refusals::Status if ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status) => {
                return self.failed(facts);
            }
            Refusals::Status => Text::Ours,
            Refusals::Whole => Text::Theirs,
        };
        let mut headers = HeaderMap::new();
        self.told.iter().for_each(|name| copy(answer, name, &mut headers));
        if text == Text::Theirs {
            // What the text is, whoever may read it.
            for name in [CONTENT_TYPE, CONTENT_ENCODING] {
                copy(answer, &name, &mut headers);
            }
        }
        if self.model.cookies == Cookies::Always {
            copy(answer, &SET_COOKIE, &mut headers);
        }
        Verdict::Refuse(Refusal { reason: Reason::AuthorizationRefused, status, headers, text })
    }

    /// What becomes of the request without an answer.
    #[must_use]
    pub fn failed(&self, facts: &Facts) -> Verdict {
        match self.model.failure {
            AuthorizationFailure::Passed => Verdict::Pass(self.grant(facts, None)),
            AuthorizationFailure::Refused(status) => Verdict::Refuse(Refusal {
                reason: Reason::AuthorizationFailed,
                status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                headers: HeaderMap::new(),
                text: Text::Ours,
            }),
        }
    }

    /// Without an answer nobody has said what only the service may say: then it is taken away.
    fn grant(&self, facts: &Facts, answer: Option<&HeaderMap>) -> Grant {
        let values =
            |name: &HeaderName| answer.into_iter().flat_map(|it| it.get_all(name)).cloned().collect();
        let said = self.passed_on.iter().map(|name| (name.clone(), values(name)));
        let mut headers: Vec<(HeaderName, Vec<HeaderValue>)> = said.collect();
        if self.model.absent == Absent::Kept {
            headers.retain(|(_, values)| !values.is_empty());
        }
        // Both see the same request.
        headers.extend(facts.request_id.clone().map(|id| (X_REQUEST_ID, vec![id])));
        let cookies = match self.model.cookies {
            Cookies::Never => Vec::new(),
            Cookies::Good | Cookies::Always => values(&SET_COOKIE),
        };
        Grant { headers, cookies, always: self.model.cookies == Cookies::Always }
    }
}

impl Question {
    /// The request that it is about.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl Grant {
    /// Changes the headers that the endpoint sees.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, values) in &self.headers {
            headers.remove(name);
            for value in values {
                headers.append(name, value.clone());
            }
        }
    }

    /// Adds to a response for the client what it gets with this status.
    pub fn mark(&self, status: StatusCode, response: &mut HeaderMap) {
        let is_good = [200, 201, 204, 206, 301, 302, 303, 304, 307, 308].contains(&status.as_u16());
        if self.always || is_good {
            response.extend(self.cookies.iter().map(|cookie| (SET_COOKIE, cookie.clone())));
        }
    }
}

/// Takes away what only a trusted proxy may say of a client, so that the service does not take it for our word. The chain of
/// addresses stays: what we add to it is last.
fn remove_claims(headers: &mut HeaderMap) {
    let ours = [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO];
    let claims = headers.keys().filter(|it| it.as_str().starts_with("x-forwarded-") && !ours.contains(*it));
    for name in claims.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
    headers.remove(FORWARDED);
}

fn copy(from: &HeaderMap, name: &HeaderName, to: &mut HeaderMap) {
    if !to.contains_key(name) {
        to.extend(from.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    }
}

#[cfg(test)]
mod tests;
