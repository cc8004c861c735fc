//! What happens to requests and responses of a route besides its action, ready to be done.

mod access;
mod authorization;
mod cors;
mod edits;
mod errors;

use http::HeaderValue;
use proxy_config::{
    model::{self, Upgrades},
    pattern::PatternError,
};

pub use self::{
    access::{Access, Login, Shown, Verification},
    authorization::{Authorization, Grant, Question, Refusal, Text, Verdict},
    cors::Cors,
    edits::Edits,
    errors::{ErrorText, ErrorTexts},
};
use crate::retry::Policy;

/// The filters of one route. A route without any has no such value; what few of the others have lies elsewhere.
#[derive(Debug)]
pub struct Filters {
    /// What happens to the headers of requests, before what the arm does.
    pub request: Edits,
    /// What happens to the headers of responses, after what the arm does.
    pub response: Edits,
    /// Whose pages may use the route.
    pub cors: Option<Box<Cors>>,
    /// What is tried again.
    pub retry: Option<Box<Policy>>,
    /// Other texts for some statuses.
    pub errors: ErrorTexts,
    upgrades: Upgrades,
    /// Who may use the route.
    pub access: Option<Box<Access>>,
    /// How long the body of a request may be.
    pub max_body_bytes: Option<u64>,
}

impl Filters {
    /// `None` if there is nothing to do.
    pub fn new(filters: &model::Filters) -> Result<Option<Self>, PatternError> {
        if *filters == model::Filters::default() {
            return Ok(None);
        }
        let model::Filters {
            request_headers,
            response_headers,
            cors,
            retry,
            errors,
            upgrades,
            access,
            // Counted by the rule: counts outlive it.
            clients: _,
            max_body_bytes,
        } = filters;
        Ok(Some(Self {
            request: Edits::new(request_headers),
            response: Edits::new(response_headers),
            cors: cors.as_deref().map(Cors::new).transpose()?.map(Box::new),
            retry: retry.as_ref().map(|it| Box::new(Policy::new(it))),
            errors: ErrorTexts::new(errors),
            upgrades: upgrades.clone(),
            access: access.as_ref().map(|it| Box::new(Access::new(it))),
            max_body_bytes: *max_body_bytes,
        }))
    }

    /// Whether something refers to the request.
    #[must_use]
    pub fn refers(&self) -> bool {
        self.request.refers() || self.response.refers() || self.errors.refers()
    }

    /// Whether requests may switch to one of the protocols that are offered.
    #[must_use]
    pub fn allows_upgrade(&self, offered: &HeaderValue) -> bool {
        match &self.upgrades {
            Upgrades::Any => true,
            Upgrades::Only(allowed) => {
                let offered = offered.to_str().unwrap_or_default();
                offered
                    .split(',')
                    .any(|it| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(it.trim())))
            }
        }
    }
}
