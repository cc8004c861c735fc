//! Filters of routes, in both directions.

use super::{ConvertError, each, kept, known, narrow, positive, present, required, value::edits};
use crate::{
    model::{Cors, ErrorResponse, Filters, OriginMatch, Retry, RetryOn, Upgrades},
    wire::config as wire,
};

/// What an error response is where nothing is said.
const TEXT: &str = "text/plain";

// === inward ===

impl TryFrom<wire::Filters> for Filters {
    type Error = ConvertError;

    fn try_from(filters: wire::Filters) -> Result<Self, ConvertError> {
        let wire::Filters {
            request_headers,
            response_headers,
            cors,
            retry,
            errors,
            upgrades,
            access,
            clients,
            max_body_bytes,
        } = filters;
        Ok(Self {
            request_headers: edits(request_headers)?,
            response_headers: edits(response_headers)?,
            cors: boxed(cors)?,
            retry: boxed(retry)?,
            errors: each(errors, TryInto::try_into)?,
            upgrades: upgrades.map_or(Upgrades::Any, |it| Upgrades::Only(it.protocols)),
            access: boxed(access)?,
            clients: boxed(clients)?,
            max_body_bytes,
        })
    }
}

fn boxed<From, To>(from: Option<From>) -> Result<Option<Box<To>>, ConvertError>
where
    To: TryFrom<From, Error = ConvertError>,
{
    Ok(from.map(TryInto::try_into).transpose()?.map(Box::new))
}

impl TryFrom<wire::Cors> for Cors {
    type Error = ConvertError;

    fn try_from(cors: wire::Cors) -> Result<Self, ConvertError> {
        use wire::origin_match::Match;
        let wire::Cors {
            origins,
            methods,
            headers,
            exposed_headers,
            credentials,
            max_age_s,
            answers_refused,
        } = cors;
        let origin = |origin: wire::OriginMatch| {
            Ok(match required(origin.r#match, || "origin".to_owned(), "match")? {
                Match::Any(_) => OriginMatch::Any,
                Match::Exact(text) => OriginMatch::Exact(text),
                Match::Regex(text) => OriginMatch::Regex(text),
            })
        };
        Ok(Self {
            origins: each(origins, origin)?,
            methods: kept(methods),
            headers: kept(headers),
            exposed_headers: kept(exposed_headers),
            credentials,
            max_age_s: positive(max_age_s),
            answers_refused,
        })
    }
}

impl TryFrom<wire::Retry> for Retry {
    type Error = ConvertError;

    fn try_from(retry: wire::Retry) -> Result<Self, ConvertError> {
        let wire::Retry { on, statuses, retries, per_try_timeout_ms, backoff_ms } = retry;
        let message = || "retry".to_owned();
        let condition = |on| match known(on, message, "condition")? {
            wire::RetryOn::Unspecified => {
                Err(ConvertError::Missing { message: message(), field: "condition" })
            }
            wire::RetryOn::ServerError => Ok(RetryOn::ServerError),
            wire::RetryOn::GatewayError => Ok(RetryOn::GatewayError),
            wire::RetryOn::Reset => Ok(RetryOn::Reset),
            wire::RetryOn::ConnectFailure => Ok(RetryOn::ConnectFailure),
            wire::RetryOn::RefusedStream => Ok(RetryOn::RefusedStream),
            wire::RetryOn::Conflict => Ok(RetryOn::Conflict),
        };
        Ok(Self {
            on: each(on, condition)?,
            statuses: each(statuses, |it| narrow(it, message, "status"))?,
            retries,
            per_try_timeout_ms: positive(per_try_timeout_ms),
            backoff_ms: positive(backoff_ms).unwrap_or(Self::BACKOFF_MS),
        })
    }
}

impl TryFrom<wire::ErrorResponse> for ErrorResponse {
    type Error = ConvertError;

    fn try_from(error: wire::ErrorResponse) -> Result<Self, ConvertError> {
        let wire::ErrorResponse { status, body, content_type } = error;
        Ok(Self {
            status: narrow(status, || "error response".to_owned(), "status")?,
            body: body.map(TryInto::try_into).transpose()?.unwrap_or_default(),
            content_type: present(content_type).unwrap_or_else(|| TEXT.to_owned()),
        })
    }
}

// === outward ===

impl From<&Filters> for wire::Filters {
    fn from(filters: &Filters) -> Self {
        let Filters {
            request_headers,
            response_headers,
            cors,
            retry,
            errors,
            upgrades,
            access,
            clients,
            max_body_bytes,
        } = filters;
        Self {
            request_headers: request_headers.iter().map(Into::into).collect(),
            response_headers: response_headers.iter().map(Into::into).collect(),
            cors: cors.as_deref().map(Into::into),
            retry: retry.as_deref().map(Into::into),
            errors: errors.iter().map(Into::into).collect(),
            upgrades: match upgrades {
                Upgrades::Any => None,
                Upgrades::Only(protocols) => Some(wire::Upgrades { protocols: protocols.clone() }),
            },
            access: access.as_deref().map(Into::into),
            clients: clients.as_deref().map(Into::into),
            max_body_bytes: *max_body_bytes,
        }
    }
}

impl From<&Cors> for wire::Cors {
    fn from(cors: &Cors) -> Self {
        use wire::origin_match::Match;
        let Cors { origins, methods, headers, exposed_headers, credentials, max_age_s, answers_refused } =
            cors;
        let origin = |origin: &OriginMatch| wire::OriginMatch {
            r#match: Some(match origin {
                OriginMatch::Any => Match::Any(true),
                OriginMatch::Exact(text) => Match::Exact(text.clone()),
                OriginMatch::Regex(text) => Match::Regex(text.clone()),
            }),
        };
        Self {
            origins: origins.iter().map(origin).collect(),
            methods: methods.clone(),
            headers: headers.clone(),
            exposed_headers: exposed_headers.clone(),
            credentials: *credentials,
            max_age_s: max_age_s.unwrap_or_default(),
            answers_refused: *answers_refused,
        }
    }
}

impl From<&Retry> for wire::Retry {
    fn from(retry: &Retry) -> Self {
        let Retry { on, statuses, retries, per_try_timeout_ms, backoff_ms } = retry;
        let condition = |on: &RetryOn| match on {
            RetryOn::ServerError => wire::RetryOn::ServerError,
            RetryOn::GatewayError => wire::RetryOn::GatewayError,
            RetryOn::Reset => wire::RetryOn::Reset,
            RetryOn::ConnectFailure => wire::RetryOn::ConnectFailure,
            RetryOn::RefusedStream => wire::RetryOn::RefusedStream,
            RetryOn::Conflict => wire::RetryOn::Conflict,
        };
        Self {
            on: on.iter().map(|it| condition(it).into()).collect(),
            statuses: statuses.iter().copied().map(u32::from).collect(),
            retries: *retries,
            per_try_timeout_ms: per_try_timeout_ms.unwrap_or_default(),
            backoff_ms: *backoff_ms,
        }
    }
}

impl From<&ErrorResponse> for wire::ErrorResponse {
    fn from(error: &ErrorResponse) -> Self {
        let ErrorResponse { status, body, content_type } = error;
        Self { status: u32::from(*status), body: Some(body.into()), content_type: content_type.clone() }
    }
}
