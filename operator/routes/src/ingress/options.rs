//! What the annotations of an Ingress ask for, beside the canary.

use proxy_config::{
    model::{
        BalancePolicy, ClientLimits, Cors, Edit, HashCookie, HashKey, HeaderEdit, HostRewrite, OriginMatch,
        RedirectTo, RegexRewrite, Rewrite, Scheme, ToHttps, Value,
    },
    pattern::{Substitution, compile_search},
};

use super::{
    annotations::Annotations,
    defaults::{Defaults, SECONDS, seconds},
    limits,
    place::{Kind, Place},
};
use crate::{hostname, mapping::Connection, object::ObjectName};

/// What happens to the requests of an Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// `use-regex`, also by a `rewrite-target` with groups: paths that are not `Exact` are expressions.
    pub(crate) regex: bool,
    /// `rewrite-target`.
    pub(crate) rewrite: Option<String>,
    /// `permanent-redirect` or `temporal-redirect`: clients are sent elsewhere instead.
    pub(crate) redirect: Option<RedirectTo>,
    /// `app-root`.
    pub(crate) app_root: Option<String>,
    /// `server-alias`: more names for the first host.
    pub(crate) aliases: Vec<String>,
    /// `from-to-www-redirect`: the status with which `www.` before or from a host is sent to the host.
    pub(crate) www: Option<u16>,
    /// Where requests in the clear are sent, by hosts with TLS and by all.
    pub(crate) to_https: (Option<ToHttps>, Option<ToHttps>),
    /// `upstream-vhost`.
    pub(crate) host_rewrite: HostRewrite,
    /// `x-forwarded-prefix`.
    pub(crate) request_headers: Vec<HeaderEdit>,
    pub(crate) cors: Option<Cors>,
    pub(crate) connection: Connection,
    /// Whether endpoints are spoken to over TLS.
    pub(crate) upstream_tls: bool,
    pub(crate) idle_timeout_ms: u32,
    /// `limit-rps` and its kin.
    pub(crate) clients: Option<ClientLimits>,
    /// `proxy-body-size`.
    pub(crate) max_body_bytes: Option<u64>,
}

/// The port of `https`.
const HTTPS: u16 = 443;
/// How a browser's page may ask for a route where nothing else is written, as in ingress-nginx.
const CORS_METHODS: [&str; 6] = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"];
const CORS_HEADERS: [&str; 9] = [
    "DNT",
    "Keep-Alive",
    "User-Agent",
    "X-Requested-With",
    "If-Modified-Since",
    "Cache-Control",
    "Content-Type",
    "Range",
    "Authorization",
];
const CORS_MAX_AGE_S: u32 = 1_728_000;
/// The cookie of `affinity` where none is named, as in ingress-nginx.
const AFFINITY_COOKIE: &str = "INGRESSCOOKIE";

impl Options {
    /// Those of the Ingress of this name.
    pub(super) fn parse(
        annotations: &mut Annotations<'_>,
        defaults: &Defaults,
        name: &ObjectName,
    ) -> Result<Self, String> {
        let rewrite = annotations.text("rewrite-target").map(str::to_owned);
        if let Some(target) = rewrite.as_ref().filter(|target| !target.starts_with('/')) {
            return Err(format!("`rewrite-target` is `{target}`, which does not begin with a slash"));
        }
        let written = annotations.flag("use-regex")?.unwrap_or(false);
        let regex = written || rewrite.as_ref().is_some_and(|target| target.contains('$'));
        let (http2, upstream_tls) = match annotations.text("backend-protocol") {
            None => (false, false),
            Some(protocol) => match protocol.to_ascii_uppercase().as_str() {
                "HTTP" => (false, false),
                "HTTPS" => (false, true),
                "GRPC" => (true, false),
                "GRPCS" => (true, true),
                _ => {
                    return Err(format!(
                        "`backend-protocol` is `{protocol}`; HTTP, HTTPS, GRPC and GRPCS are spoken"
                    ));
                }
            },
        };
        let connect_timeout_ms = time(annotations, "proxy-connect-timeout")?;
        let read = time(annotations, "proxy-read-timeout")?;
        let send = time(annotations, "proxy-send-timeout")?;
        let connection = Connection {
            connect_timeout_ms: connect_timeout_ms.unwrap_or(defaults.connect_timeout_ms),
            http2,
            balance: affinity(annotations)?,
            ..Connection::default()
        };
        let host_rewrite = annotations.text("upstream-vhost").map(str::to_owned);
        let prefix = annotations.text("x-forwarded-prefix").map(|prefix| HeaderEdit {
            name: "x-forwarded-prefix".to_owned(),
            edit: Edit::Set(Value::text(prefix)),
        });
        Ok(Self {
            regex,
            rewrite,
            redirect: redirect(annotations)?,
            app_root: annotations.text("app-root").map(str::to_owned),
            aliases: annotations.list("server-alias").unwrap_or_default(),
            www: annotations
                .flag("from-to-www-redirect")?
                .unwrap_or(false)
                .then_some(defaults.redirect_status),
            to_https: to_https(annotations, defaults)?,
            host_rewrite: host_rewrite.map_or(HostRewrite::Keep, HostRewrite::Literal),
            request_headers: prefix.into_iter().collect(),
            cors: cors(annotations)?,
            connection,
            upstream_tls,
            idle_timeout_ms: read.into_iter().chain(send).max().unwrap_or(defaults.idle_timeout_ms),
            clients: limits::clients(annotations, name)?,
            max_body_bytes: limits::body(annotations, defaults)?,
        })
    }

    /// How the path of a place is changed on its way.
    pub(crate) fn rewrite_at(&self, place: &Place) -> Result<Rewrite, String> {
        let Some(target) = &self.rewrite else { return Ok(Rewrite::None) };
        if !target.contains('$') {
            return Ok(Rewrite::Full(target.clone()));
        }
        let pattern = match place.kind {
            Kind::Regex => format!("(?is)^(?:{}).*$", place.path),
            // Without an expression there are no groups.
            Kind::Root | Kind::Exact | Kind::Elements | Kind::Text | Kind::Rest => "(?s)^.*$".to_owned(),
        };
        let substitution = substitution(target)?;
        let compiled = compile_search(&pattern).map_err(|error| error.to_string())?;
        Substitution::parse(&substitution, &compiled)
            .map_err(|error| format!("`rewrite-target`: {error}"))?;
        Ok(Rewrite::Regex(RegexRewrite { pattern, substitution }))
    }
}

/// `$1` as `\1`.
fn substitution(target: &str) -> Result<String, String> {
    let mut text = String::with_capacity(target.len());
    let mut characters = target.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push_str("\\\\"),
            '$' => match characters.next() {
                Some(digit @ '0'..='9') => {
                    text.push('\\');
                    text.push(digit);
                }
                _ => {
                    return Err(format!(
                        "`rewrite-target` is `{target}`: of what begins with `$` only the groups $1 to $9 are known"
                    ));
                }
            },
            other => text.push(other),
        }
    }
    Ok(text)
}

fn time(annotations: &mut Annotations<'_>, name: &'static str) -> Result<Option<u32>, String> {
    let Some(text) = annotations.text(name) else { return Ok(None) };
    seconds(text).map(Some).ok_or_else(|| format!("`{name}` is `{text}`, not {SECONDS}"))
}

fn to_https(
    annotations: &mut Annotations<'_>,
    defaults: &Defaults,
) -> Result<(Option<ToHttps>, Option<ToHttps>), String> {
    let with_tls = annotations.flag("ssl-redirect")?.unwrap_or(defaults.ssl_redirect);
    let always = annotations.flag("force-ssl-redirect")?.unwrap_or(defaults.force_ssl_redirect);
    let to_https = ToHttps { status: defaults.redirect_status, port: HTTPS };
    Ok(((with_tls || always).then_some(to_https), always.then_some(to_https)))
}

/// `permanent-redirect` goes before `temporal-redirect`.
fn redirect(annotations: &mut Annotations<'_>) -> Result<Option<RedirectTo>, String> {
    let mut of = |name, code, standard| -> Result<Option<RedirectTo>, String> {
        let status = annotations.number(code, 301, 308)?.unwrap_or(standard);
        let Some(url) = annotations.text(name) else { return Ok(None) };
        let status = u16::try_from(status).unwrap_or(308);
        parse_redirect(url, status).map(Some).ok_or_else(|| {
            format!("`{name}` is `{url}`, which is no URL of the form https://host/path or /path")
        })
    };
    let permanent = of("permanent-redirect", "permanent-redirect-code", 301)?;
    let temporal = of("temporal-redirect", "temporal-redirect-code", 302)?;
    Ok(permanent.or(temporal))
}

/// `https://host:port/path`, or `/path` at the same host; with `$request_uri` at its end the path stays.
fn parse_redirect(url: &str, status: u16) -> Option<RedirectTo> {
    let (url, keeps_path) = match url.strip_suffix("$request_uri") {
        Some(url) => (url.strip_suffix('/').unwrap_or(url), true),
        None => (url, false),
    };
    let full = |path: &str| match path {
        "" if keeps_path => Rewrite::None,
        "" => Rewrite::Full("/".to_owned()),
        path => Rewrite::Full(path.to_owned()),
    };
    if url.starts_with('/') && !keeps_path {
        return Some(RedirectTo { status, scheme: None, host: None, port: None, path: full(url) });
    }
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = hostname::without_port(authority);
    let port = authority.get(host.len()..)?.strip_prefix(':');
    let port = match port {
        None => None,
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
    };
    let wrong = host.is_empty() || keeps_path && !path.is_empty();
    (!wrong).then(|| RedirectTo {
        status,
        scheme: Some(scheme),
        host: Some(host.to_ascii_lowercase()),
        port,
        path: full(path),
    })
}

fn cors(annotations: &mut Annotations<'_>) -> Result<Option<Cors>, String> {
    let enabled = annotations.flag("enable-cors")?.unwrap_or(false);
    let origins = annotations.list("cors-allow-origin");
    let methods = annotations.list("cors-allow-methods");
    let headers = annotations.list("cors-allow-headers");
    let exposed_headers = annotations.list("cors-expose-headers").unwrap_or_default();
    let credentials = annotations.flag("cors-allow-credentials")?.unwrap_or(true);
    let max_age = annotations.number("cors-max-age", 0, u32::MAX)?.unwrap_or(CORS_MAX_AGE_S);
    if !enabled {
        return Ok(None);
    }
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Ok(Some(Cors {
        origins: origins.unwrap_or_else(|| vec!["*".to_owned()]).iter().map(|it| origin(it)).collect(),
        methods: methods.unwrap_or_else(|| owned(&CORS_METHODS)),
        headers: headers.unwrap_or_else(|| owned(&CORS_HEADERS)),
        exposed_headers,
        credentials,
        max_age_s: Some(max_age).filter(|seconds| *seconds > 0),
        answers_refused: false,
    }))
}

/// `*`, `https://example.org`, or `https://*.example.org` for one more label.
fn origin(text: &str) -> OriginMatch {
    match text.split_once('*') {
        _ if text == "*" => OriginMatch::Any,
        Some((head, tail)) => {
            let (head, tail) = (hostname::escape(head), hostname::escape(tail));
            OriginMatch::Regex(format!("{head}[A-Za-z0-9-]+{tail}"))
        }
        None => OriginMatch::Exact(text.to_owned()),
    }
}

/// `affinity: cookie`: requests with the same cookie go to the same endpoint.
fn affinity(annotations: &mut Annotations<'_>) -> Result<Option<BalancePolicy>, String> {
    let name = annotations.text("session-cookie-name").unwrap_or(AFFINITY_COOKIE).to_owned();
    let ttl_s = annotations.number("session-cookie-max-age", 0, u32::MAX)?.filter(|seconds| *seconds > 0);
    let path = annotations.text("session-cookie-path").map(str::to_owned);
    match annotations.text("affinity") {
        None => Ok(None),
        Some("cookie") => {
            let path = path.or_else(|| Some("/".to_owned()));
            Ok(Some(BalancePolicy::Maglev(HashKey::Cookie(HashCookie {
                name,
                ttl_s: ttl_s.or(Some(0)),
                path,
            }))))
        }
        Some(other) => Err(format!("`affinity` is `{other}`, not cookie")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_reads_as_the_table_says() {
        let show = |url| match parse_redirect(url, 301) {
            None => "-".to_owned(),
            Some(RedirectTo { scheme, host, port, path, .. }) => {
                let scheme = scheme.map_or("", Scheme::as_str);
                format!("{scheme} {} {port:?} {path:?}", host.unwrap_or_default())
            }
        };
        let table = [
            ("https://www.a.org", "https www.a.org None Full(\"/\")"),
            ("https://A.org:8443/b/c", "https a.org Some(8443) Full(\"/b/c\")"),
            ("http://a.org$request_uri", "http a.org None None"),
            ("https://a.org/$request_uri", "https a.org None None"),
            ("/new", "  None Full(\"/new\")"),
            ("a.org", "-"),
            ("ftp://a.org/", "-"),
            ("https:///b", "-"),
            ("https://a.org:0/", "-"),
            ("https://a.org/b$request_uri", "-"),
        ];
        for (url, expected) in table {
            assert_eq!(show(url), expected, "{url}");
        }
    }

    #[test]
    fn a_rewrite_target_reads_as_the_table_says() {
        let table =
            [("/$2", Ok("/\\2")), ("/a\\b$1/c", Ok("/a\\\\b\\1/c")), ("/$host", Err(())), ("/$", Err(()))];
        for (target, expected) in table {
            assert_eq!(substitution(target).map_err(drop).as_deref(), expected.as_deref(), "{target}");
        }
    }

    #[test]
    fn an_origin_may_have_a_star_for_one_label() {
        assert_eq!(origin("*"), OriginMatch::Any);
        assert_eq!(origin("https://a.org"), OriginMatch::Exact("https://a.org".to_owned()));
        let pattern = r"https://[A-Za-z0-9-]+\.a\.org";
        assert_eq!(origin("https://*.a.org"), OriginMatch::Regex(pattern.to_owned()));
    }
}
