//! What happens to requests and responses of a Mapping besides the way they take.

use proxy_config::model::{Cors, ErrorResponse, OriginMatch, Retry, RetryOn, Value as Template};
use serde_json::Value;

use super::{headers::template, parse::Reader};
use crate::{
    duration::milliseconds,
    fields::{Fields, kind},
};

/// Envoy's statuses for which an error page may be given.
const ERRORS: std::ops::RangeInclusive<u32> = 400..=599;

/// `retry_policy`. `retry_on` may be a list, or several words in one text.
pub(super) fn retry(reader: &Reader<'_>) -> Result<Option<Retry>, String> {
    let Some(policy) = reader.value("retry_policy") else { return Ok(None) };
    let policy = Fields::of(policy, "retry_policy")?;
    let within = |error: String| format!("in `retry_policy`: {error}");
    let words = policy.texts("retry_on").map_err(within)?.unwrap_or_default();
    let words =
        words.iter().flat_map(|words| words.split(',')).map(str::trim).filter(|word| !word.is_empty());
    let (mut on, mut statuses) = (Vec::new(), Vec::new());
    for word in words {
        on.push(match word {
            "5xx" => RetryOn::ServerError,
            "gateway-error" => RetryOn::GatewayError,
            "reset" | "reset-before-request" => RetryOn::Reset,
            "connect-failure" => RetryOn::ConnectFailure,
            "refused-stream" => RetryOn::RefusedStream,
            "retriable-4xx" => RetryOn::Conflict,
            "retriable-status-codes" => {
                statuses = statuses_of(&policy)?;
                continue;
            }
            other => {
                return Err(format!(
                    "`retry_policy.retry_on` is `{other}`, not 5xx, gateway-error, connect-failure, retriable-4xx, \
                     refused-stream, reset or retriable-status-codes"
                ));
            }
        });
    }
    on.sort_unstable();
    on.dedup();
    let retries = policy.number("num_retries", 0, u32::MAX).map_err(within)?.unwrap_or(1).min(Retry::MOST);
    let per_try = match policy.value("per_try_timeout") {
        None => None,
        Some(Value::String(text)) => Some(milliseconds(text).map_err(within)?),
        Some(other) => return Err(format!("`retry_policy.per_try_timeout` is {}, not a text", kind(other))),
    };
    if (on.is_empty() && statuses.is_empty()) || retries == 0 {
        return Ok(None);
    }
    Ok(Some(Retry {
        on,
        statuses,
        retries,
        per_try_timeout_ms: per_try.filter(|milliseconds| *milliseconds > 0),
        backoff_ms: Retry::BACKOFF_MS,
    }))
}

fn statuses_of(policy: &Fields<'_>) -> Result<Vec<u16>, String> {
    let Some(Value::Array(statuses)) = policy.value("retriable_status_codes") else { return Ok(Vec::new()) };
    let status = |value: &Value| {
        let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
        let status = status.filter(|status| ERRORS.contains(&u32::from(*status)));
        status.ok_or_else(|| format!("`retry_policy.retriable_status_codes` holds {value}, not 400 to 599"))
    };
    let mut statuses: Vec<u16> = statuses.iter().map(status).collect::<Result<_, _>>()?;
    statuses.sort_unstable();
    statuses.dedup();
    Ok(statuses)
}

/// `cors`. Lists may be written as one text with commas.
pub(super) fn cors(reader: &Reader<'_>) -> Result<Option<Cors>, String> {
    let Some(cors) = reader.value("cors") else { return Ok(None) };
    let cors = Fields::of(cors, "cors")?;
    let within = |error: String| format!("in `cors`: {error}");
    let list = |field| -> Result<Vec<String>, String> {
        let texts = cors.texts(field).map_err(within)?.unwrap_or_default();
        let words = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
        Ok(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
    };
    let origin = |text: String| match text.as_str() {
        "*" => OriginMatch::Any,
        _ => OriginMatch::Exact(text),
    };
    let max_age_s = match cors.value("max_age") {
        None => None,
        Some(Value::String(text)) => Some(
            text.trim()
                .parse()
                .map_err(|_| format!("`cors.max_age` is `{text}`, not a number of seconds"))?,
        ),
        Some(_) => cors.number("max_age", 0, u32::MAX).map_err(within)?,
    };
    Ok(Some(Cors {
        origins: list("origins")?.into_iter().map(origin).collect(),
        methods: list("methods")?,
        headers: list("headers")?,
        exposed_headers: list("exposed_headers")?,
        credentials: cors.flag("credentials").map_err(within)?.unwrap_or(false),
        max_age_s: max_age_s.filter(|seconds| *seconds > 0),
        answers_refused: false,
    }))
}

/// `allow_upgrade` and the older `use_websocket`; `None` if neither is written.
pub(super) fn upgrades(fields: &Fields<'_>) -> Result<Option<Vec<String>>, String> {
    let written = fields.texts("allow_upgrade")?;
    let websocket = fields.flag("use_websocket")? == Some(true);
    let websocket = websocket.then(|| "websocket".to_owned());
    if written.is_none() && websocket.is_none() {
        return Ok(None);
    }
    let mut protocols: Vec<String> =
        written.into_iter().flatten().map(|it| it.to_ascii_lowercase()).collect();
    protocols.extend(websocket);
    protocols.sort_unstable();
    protocols.dedup();
    Ok(Some(protocols))
}

/// `error_response_overrides`; none with `bypass_error_response_overrides`.
pub(super) fn errors(reader: &Reader<'_>, remarks: &mut Vec<String>) -> Result<Vec<ErrorResponse>, String> {
    const FIELD: &str = "error_response_overrides";
    if reader.fields.flag("bypass_error_response_overrides")? == Some(true) {
        return Ok(Vec::new());
    }
    let items = match reader.value(FIELD) {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(format!("`{FIELD}` is {}, not a list", kind(other))),
    };
    let within = |error: String| format!("in `{FIELD}`: {error}");
    let mut errors = Vec::new();
    for item in items {
        let item = Fields::of(item, FIELD)?;
        let status = item.number("on_status_code", *ERRORS.start(), *ERRORS.end()).map_err(within)?;
        let status = status.ok_or_else(|| format!("`{FIELD}.on_status_code` is missing"))?;
        let body = item.object("body").map_err(within)?;
        let content_type = body.text("content_type").map_err(within)?;
        let (text, default_type) =
            match (body.text("text_format").map_err(within)?, body.value("json_format")) {
                (Some(text), _) => (template(&text).map_err(within)?, "text/plain"),
                (None, Some(json)) => (json_template(json).map_err(within)?, "application/json"),
                (None, None) => {
                    remarks.push(format!(
                        "`{FIELD}` for {status} has no `text_format` or `json_format` and is not acted on"
                    ));
                    continue;
                }
            };
        errors.push(ErrorResponse {
            status: u16::try_from(status).unwrap_or_default(),
            body: text,
            content_type: content_type.unwrap_or_else(|| default_type.to_owned()),
        });
    }
    errors.sort_by_key(|error| error.status);
    errors.dedup_by_key(|error| error.status);
    Ok(errors)
}

fn json_template(json: &Value) -> Result<Template, String> {
    template(&json.to_string())
}
