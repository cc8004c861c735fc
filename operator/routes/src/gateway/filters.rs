//! What the filters of a rule or of a backend mean for the proxies.

use std::fmt::Write as _;

use crds::gateway::{
    filter::{CorsSpec, Filter, HeaderModifier, HeaderSpec, PathModifier, RequestRedirect, UrlRewrite},
    http_route::{RetrySpec, Timeouts},
    reference::BackendReference,
};
use proxy_config::model::{
    Cors, Edit, HeaderEdit, HostRewrite, OriginMatch, RedirectTo, Retry, RetryOn, Rewrite, Scheme, Share,
    Value,
};

use crate::duration::milliseconds;

/// How often something is tried again where the route asks for it and does not say how often.
const ATTEMPTS: u32 = 1;
/// How long the answer about a page holds where nothing is said, in seconds.
const MAX_AGE_S: u32 = 5;

/// All filters of a rule or a backend, taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    pub(crate) request_headers: Vec<HeaderEdit>,
    pub(crate) response_headers: Vec<HeaderEdit>,
    pub(crate) host_rewrite: HostRewrite,
    pub(crate) rewrite: Rewrite,
    pub(crate) redirect: Option<RequestRedirect>,
    pub(crate) mirrors: Vec<Copies>,
    pub(crate) cors: Option<Cors>,
}

/// Who gets copies of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copies {
    pub(crate) backend: BackendReference,
    pub(crate) share: Share,
}

/// Why filters cannot be served: their rule answers with 500, for nothing may pass as if they were not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// `UnsupportedValue`: why.
    Value(String),
    /// `IncompatibleFilters`: why.
    Incompatible(String),
    /// `InvalidKind`, of what it refers to: why.
    Kind(String),
}

/// How long requests of a rule may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) timeout_ms: Option<u32>,
    pub(crate) total_timeout_ms: Option<u32>,
}

impl Effects {
    /// Those of filters in their order. Of a backend: `redirect`, mirrors and CORS have no place there.
    pub(crate) fn of(filters: &[Filter], of_backend: bool) -> Result<Self, Unusable> {
        let mut effects = Self::default();
        for filter in filters {
            match filter {
                Filter::RequestHeaderModifier(modifier) => effects.request_headers.extend(edits(modifier)),
                Filter::ResponseHeaderModifier(modifier) => effects.response_headers.extend(edits(modifier)),
                Filter::UrlRewrite(UrlRewrite { hostname, path }) => {
                    if let Some(hostname) = hostname {
                        effects.host_rewrite = HostRewrite::Literal(hostname.to_ascii_lowercase());
                    }
                    if let Some(path) = path {
                        effects.rewrite = rewrite(path)?;
                    }
                }
                Filter::RequestRedirect(_) | Filter::RequestMirror(_) | Filter::Cors(_) if of_backend => {
                    return Err(Unusable::Value("filter of a backend that is for whole rules".to_owned()));
                }
                Filter::RequestRedirect(redirect) => effects.redirect = Some(redirect.clone()),
                Filter::RequestMirror(mirror) => {
                    let (part, whole) = match (mirror.percent, mirror.fraction) {
                        (_, Some(fraction)) => (fraction.numerator, fraction.denominator),
                        (Some(percent), None) => (percent, 100),
                        (None, None) => (1, 1),
                    };
                    let parts = u64::from(part) * u64::from(Share::WHOLE.parts()) / u64::from(whole.max(1));
                    let share = u32::try_from(parts).ok().and_then(Share::of_10000).unwrap_or(Share::WHOLE);
                    effects.mirrors.push(Copies { backend: mirror.backend_ref.clone(), share });
                }
                Filter::Cors(spec) => effects.cors = Some(cors(spec)),
                Filter::ExtensionRef(name) => {
                    return Err(Unusable::Kind(format!("filter `{name}` is of a kind that is not served")));
                }
                Filter::Unknown(kind) => {
                    return Err(Unusable::Value(format!("filters of type `{kind}` are not served")));
                }
            }
        }
        let rewrites = effects.rewrite != Rewrite::None || effects.host_rewrite != HostRewrite::Keep;
        if effects.redirect.is_some() && rewrites {
            let message = "a redirect and a rewrite in one rule cannot both be done".to_owned();
            return Err(Unusable::Incompatible(message));
        }
        Ok(effects)
    }
}

/// Where requests of a listener are sent. Its proxies know another port than clients do: the port is always said.
pub(crate) fn redirect_to(spec: &RequestRedirect, listener_port: u16) -> Result<RedirectTo, Unusable> {
    let scheme = match spec.scheme.as_deref() {
        None => None,
        Some("http") => Some(Scheme::Http),
        Some("https") => Some(Scheme::Https),
        Some(other) => return Err(Unusable::Value(format!("`scheme: {other}` is no scheme of HTTP"))),
    };
    let port = spec.port.or_else(|| scheme.map(Scheme::default_port)).unwrap_or(listener_port);
    Ok(RedirectTo {
        status: spec.status_code.unwrap_or(302),
        scheme,
        host: spec.hostname.as_deref().map(str::to_ascii_lowercase),
        port: Some(port),
        path: spec.path.as_ref().map_or(Ok(Rewrite::None), rewrite)?,
    })
}

/// Whether the port of the listener is in the answer.
pub(crate) fn depends_on_port(spec: &RequestRedirect) -> bool {
    spec.port.is_none() && spec.scheme.is_none()
}

/// How long requests may take, and how long each try.
pub(crate) fn limits(timeouts: Option<&Timeouts>, retried: bool) -> Result<(Limits, Option<u32>), Unusable> {
    let read = |field: &str, text: Option<&String>| match text {
        None => Ok(None),
        Some(text) => match milliseconds(text) {
            // It never ends.
            Ok(0) => Ok(None),
            Ok(time) => Ok(Some(time)),
            Err(reason) => Err(Unusable::Value(format!("`timeouts.{field}`: {reason}"))),
        },
    };
    let absent = Timeouts::default();
    let timeouts = timeouts.unwrap_or(&absent);
    let request = read("request", timeouts.request.as_ref())?;
    let each = read("backendRequest", timeouts.backend_request.as_ref())?;
    // Without a retry there is one try.
    let timeout_ms = if retried { request } else { request.into_iter().chain(each).min() };
    Ok((Limits { timeout_ms, total_timeout_ms: request }, each.filter(|_| retried)))
}

/// What is tried again. Connections that fail are, whatever the route says.
pub(crate) fn retry(spec: &RetrySpec, per_try_timeout_ms: Option<u32>) -> Result<Option<Retry>, Unusable> {
    let backoff_ms = match &spec.backoff {
        None => Retry::BACKOFF_MS,
        Some(text) => {
            milliseconds(text).map_err(|reason| Unusable::Value(format!("`retry.backoff`: {reason}")))?
        }
    };
    let retries = spec.attempts.unwrap_or(ATTEMPTS).min(Retry::MOST);
    let mut statuses = spec.codes.clone();
    statuses.sort_unstable();
    statuses.dedup();
    Ok((retries > 0).then(|| Retry {
        on: vec![RetryOn::Reset, RetryOn::ConnectFailure],
        statuses,
        retries,
        per_try_timeout_ms,
        backoff_ms,
    }))
}

fn edits(modifier: &HeaderModifier) -> impl Iterator<Item = HeaderEdit> {
    let one = |spec: &HeaderSpec, edit: fn(Value) -> Edit| HeaderEdit {
        name: spec.name.to_ascii_lowercase(),
        edit: edit(Value::text(spec.value.clone())),
    };
    let set = modifier.set.iter().map(move |it| one(it, Edit::Set));
    let add = modifier.add.iter().map(move |it| one(it, Edit::Add));
    let remove = modifier.remove.iter();
    let remove = remove.map(|name| HeaderEdit { name: name.to_ascii_lowercase(), edit: Edit::Remove });
    set.chain(add).chain(remove)
}

fn rewrite(path: &PathModifier) -> Result<Rewrite, Unusable> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match path.kind.as_str() {
        "ReplaceFullPath" => Ok(Rewrite::Full(rooted(&text(&path.replace_full_path)))),
        "ReplacePrefixMatch" => Ok(Rewrite::Prefix(rooted(&text(&path.replace_prefix_match)))),
        other => Err(Unusable::Value(format!("`path.type: {other}` is not known"))),
    }
}

/// A path begins with a slash, also where none was written.
fn rooted(text: &str) -> String {
    if text.starts_with('/') { text.to_owned() } else { format!("/{text}") }
}

fn cors(spec: &CorsSpec) -> Cors {
    let origin = |text: &String| match text.as_str() {
        "*" => OriginMatch::Any,
        text if text.contains('*') => OriginMatch::Regex(origin_pattern(text)),
        text => OriginMatch::Exact(text.to_owned()),
    };
    Cors {
        origins: spec.allow_origins.iter().map(origin).collect(),
        methods: spec.allow_methods.clone(),
        headers: spec.allow_headers.clone(),
        exposed_headers: spec.expose_headers.clone(),
        credentials: spec.allow_credentials.unwrap_or(false),
        max_age_s: Some(spec.max_age.unwrap_or(MAX_AGE_S)),
        answers_refused: true,
    }
}

/// A star stands for any number of labels.
fn origin_pattern(text: &str) -> String {
    let mut pattern = "(?i)".to_owned();
    for it in text.chars() {
        match it {
            '*' => pattern.push_str("[^/:]+"),
            it if it.is_ascii_alphanumeric() || "/:-_".contains(it) => pattern.push(it),
            it => {
                let _ = write!(pattern, "\\x{{{:x}}}", u32::from(it));
            }
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn effects(filters: Json) -> Result<Effects, Unusable> {
        Effects::of(&serde_json::from_value::<Vec<Filter>>(filters).unwrap(), false)
    }

    #[test]
    fn a_redirect_says_the_port_that_clients_know() {
        let table = [
            (json!({}), 80, (None, 80)),
            (json!({}), 8080, (None, 8080)),
            (json!({"hostname": "A.io"}), 8443, (None, 8443)),
            (json!({"scheme": "https"}), 80, (Some(Scheme::Https), 443)),
            (json!({"scheme": "http"}), 443, (Some(Scheme::Http), 80)),
            (json!({"scheme": "http", "port": 8080}), 443, (Some(Scheme::Http), 8080)),
            (json!({"port": 8083}), 80, (None, 8083)),
        ];
        for (spec, listener, (scheme, port)) in table {
            let redirect = redirect_to(&serde_json::from_value(spec.clone()).unwrap(), listener).unwrap();
            assert_eq!(
                (redirect.scheme, redirect.port, redirect.status),
                (scheme, Some(port), 302),
                "{spec}"
            );
        }
    }

    #[test]
    fn parts_of_copied_requests_are_read() {
        let share = |mirror: Json| {
            let filter = json!([{"type": "RequestMirror", "requestMirror": mirror}]);
            effects(filter).unwrap().mirrors[0].share.parts()
        };
        let to = json!({"name": "a", "port": 80});
        assert_eq!(share(json!({"backendRef": to})), 10_000);
        assert_eq!(share(json!({"backendRef": to, "percent": 20})), 2_000);
        assert_eq!(share(json!({"backendRef": to, "fraction": {"numerator": 1, "denominator": 3}})), 3_333);
        assert_eq!(share(json!({"backendRef": to, "fraction": {"numerator": 50}})), 5_000);
    }

    #[test]
    fn origins_have_stars_of_any_depth() {
        let Effects { cors: Some(cors), .. } = effects(json!([{"type": "CORS", "cors": {
            "allowOrigins": ["https://*.bar.com", "*", "https://foo.com"],
        }}]))
        .unwrap() else {
            panic!("there is a policy")
        };
        let expected = [
            OriginMatch::Regex(r"(?i)https://[^/:]+\x{2e}bar\x{2e}com".into()),
            OriginMatch::Any,
            OriginMatch::Exact("https://foo.com".into()),
        ];
        assert_eq!(cors.origins, expected);
        assert_eq!(cors.max_age_s, Some(5));
    }

    #[test]
    fn what_cannot_be_done_is_never_left_out() {
        assert!(matches!(effects(json!([{"type": "ExtensionRef"}])), Err(Unusable::Kind(_))));
        assert!(matches!(effects(json!([{"type": "ExternalAuth"}])), Err(Unusable::Value(_))));
        let both = json!([
            {"type": "RequestRedirect", "requestRedirect": {}},
            {"type": "URLRewrite", "urlRewrite": {"hostname": "a"}},
        ]);
        assert!(matches!(effects(both), Err(Unusable::Incompatible(_))));
    }

    #[test]
    fn timeouts_are_of_the_whole_and_of_each_try() {
        let read = |timeouts: Json, retried| {
            limits(Some(&serde_json::from_value(timeouts).unwrap()), retried)
                .map(|(limits, each)| (limits.timeout_ms, limits.total_timeout_ms, each))
        };
        assert_eq!(read(json!({"request": "500ms"}), false), Ok((Some(500), Some(500), None)));
        assert_eq!(read(json!({"request": "0s"}), false), Ok((None, None, None)));
        assert_eq!(read(json!({"backendRequest": "500ms"}), false), Ok((Some(500), None, None)));
        let both = json!({"request": "1s", "backendRequest": "300ms"});
        assert_eq!(read(both.clone(), false), Ok((Some(300), Some(1000), None)));
        assert_eq!(read(both, true), Ok((Some(1000), Some(1000), Some(300))));
        assert!(read(json!({"request": "soon"}), false).is_err());
    }
}
