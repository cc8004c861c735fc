//! Who is asked about the requests of an Ingress: `auth-url` and what belongs to it.

use std::collections::BTreeMap;

use proxy_config::model::{
    Absent, Authorization, AuthorizationFailure, ClusterId, Cookies, Edit, HeaderEdit, HostMatch, Refusals,
    Sees, Value, ValuePart, Variable,
};

use super::{
    annotations::Annotations,
    place::{Kind, Place},
    variables::template,
};
use crate::{
    hostname,
    mapping::{ServiceHost, ServiceReference, parse_service},
};

/// Who is asked about the requests of an Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    server: Server,
    /// Path and query.
    target: Value,
    method: Option<String>,
    sign_in: Option<Value>,
    passed_on: Vec<String>,
    redirect: Value,
    cookies: Cookies,
}

/// Where the service is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Server {
    /// Always there.
    One { reference: ServiceReference, host: String },
    /// At the host that is asked for, with this scheme, and a port if it is written: `https://$host:8443`.
    OfRequest { scheme: String, port: String },
}

/// What is written about it: the annotations, or the keys for all Ingresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written<'a> {
    /// What stands before the names: `auth-` or `global-auth-`.
    pub(super) prefix: &'static str,
    pub(super) url: &'a str,
    pub(super) method: Option<&'a str>,
    pub(super) sign_in: Option<&'a str>,
    pub(super) redirect_param: Option<&'a str>,
    pub(super) response_headers: Option<&'a str>,
    pub(super) request_redirect: Option<&'a str>,
    pub(super) always_set_cookie: bool,
    /// What changes the question and is not acted on.
    pub(super) refused: Vec<&'static str>,
}

/// The methods that can ask.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// How long nginx waits for an answer.
const TIMEOUT_MS: u32 = 60_000;
/// What nginx answers when the service says nothing.
const FAILURE: u16 = 500;
/// The parameter with which a client comes back.
const REDIRECT_PARAM: &str = "rd";
/// What must be reachable without anybody's word, or no certificate could be had (ingress-nginx's `no-auth-locations`).
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge";

impl Asked {
    /// Reads it. An error says why nobody may be let in. A Service without a namespace is in this one.
    pub(super) fn parse(written: &Written<'_>, namespace: &str) -> Result<Self, String> {
        let Written { prefix, url, .. } = written;
        if let Some(name) = written.refused.first() {
            return Err(format!("`{name}` changes what is asked, and is not acted on"));
        }
        let refused = |why: &str| format!("`{prefix}url` is `{url}`, {why}");
        let (scheme, rest) = url.split_once("://").ok_or_else(|| refused("which is no URL"))?;
        if !["http", "https"].contains(&scheme) {
            return Err(refused("which is not for HTTP"));
        }
        let (authority, target) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        let slash = if target.starts_with('/') { "" } else { "/" };
        let target = format!("{slash}{target}");
        let target = target.split('#').next().unwrap_or_default();
        let method = written.method.map(str::to_owned);
        if let Some(method) = method.as_ref().filter(|it| !METHODS.contains(&it.as_str())) {
            return Err(format!("`{prefix}method` is `{method}`, not one of {}", METHODS.join(", ")));
        }
        let passed_on = written.response_headers.unwrap_or_default().split(',').map(str::trim);
        Ok(Self {
            server: Server::parse(scheme, authority, namespace).map_err(|why| refused(&why))?,
            target: template(target).map_err(|why| refused(&why))?,
            method,
            sign_in: written.sign_in.map(|_| sign_in(written)).transpose()?,
            passed_on: passed_on.filter(|it| !it.is_empty()).map(str::to_ascii_lowercase).collect(),
            redirect: match written.request_redirect {
                None => Value(vec![ValuePart::Variable(Variable::Path)]),
                Some(text) => {
                    template(text).map_err(|why| format!("`{prefix}request-redirect` is `{text}`, {why}"))?
                }
            },
            cookies: if written.always_set_cookie { Cookies::Always } else { Cookies::Good },
        })
    }

    /// That of the annotations of an Ingress in this namespace, if there is one.
    pub(super) fn of_annotations(
        annotations: &mut Annotations<'_>,
        namespace: &str,
    ) -> Result<Option<Self>, String> {
        let Some(url) = annotations.text("auth-url") else { return Ok(None) };
        let refused = ["auth-proxy-set-headers", "auth-snippet"];
        let refused = refused.into_iter().filter(|name| annotations.text(name).is_some()).collect();
        let written = Written {
            prefix: "auth-",
            url,
            method: annotations.text("auth-method"),
            sign_in: annotations.text("auth-signin"),
            redirect_param: annotations.text("auth-signin-redirect-param"),
            response_headers: annotations.text("auth-response-headers"),
            request_redirect: annotations.text("auth-request-redirect"),
            always_set_cookie: annotations.flag("auth-always-set-cookie")?.unwrap_or(false),
            refused,
        };
        Self::parse(&written, namespace).map(Some)
    }

    /// That of the keys for all Ingresses, which begin with `global-auth-`; here they are without that.
    pub(super) fn of_defaults(keys: &BTreeMap<&str, &str>) -> Result<Option<Self>, String> {
        let text = |key: &str| keys.get(key).copied().filter(|it| !it.is_empty());
        let Some(url) = text("url") else { return Ok(None) };
        let written = Written {
            prefix: "global-auth-",
            url,
            method: text("method"),
            sign_in: text("signin"),
            redirect_param: text("signin-redirect-param"),
            response_headers: text("response-headers"),
            request_redirect: text("request-redirect"),
            always_set_cookie: text("always-set-cookie") == Some("true"),
            refused: ["global-auth-snippet"].into_iter().filter(|_| text("snippet").is_some()).collect(),
        };
        Self::parse(&written, "").map(Some)
    }

    /// Where the service is for requests of this place, and by which name it is asked for; or why it is nowhere. A Service
    /// without a namespace is in this one.
    pub(crate) fn server(
        &self,
        place: &Place,
        namespace: &str,
    ) -> Result<(ServiceReference, String), String> {
        let host = &place.host;
        match (&self.server, host) {
            (Server::One { reference, host }, _) => Ok((reference.clone(), host.clone())),
            (Server::OfRequest { scheme, port }, HostMatch::Exact(host)) => {
                let (reference, _) = parse_service(&format!("{scheme}://{host}{port}"), namespace)?;
                Ok((reference, host.clone()))
            }
            (Server::OfRequest { .. }, _) => {
                Err("the service is at `$host`, and the rule is not for one host alone".to_owned())
            }
        }
    }

    /// What the proxies ask: of this cluster, for this host.
    pub(crate) fn compile(&self, cluster: ClusterId, host: String) -> Authorization {
        let Self { server: _, target, method, sign_in, passed_on, redirect, cookies } = self;
        Authorization {
            cluster,
            method: Some(method.clone().unwrap_or_else(|| METHODS[0].to_owned())),
            host: Some(host),
            target: target.clone(),
            sees: Sees::All,
            request_headers: request_headers(redirect, method.is_some()),
            passed_on: passed_on.clone(),
            absent: Absent::Removed,
            refusals: Refusals::Status,
            told: vec!["www-authenticate".to_owned()],
            sign_in: sign_in.clone(),
            cookies: *cookies,
            timeout_ms: TIMEOUT_MS,
            failure: AuthorizationFailure::Refused(FAILURE),
        }
    }
}

/// Whether nobody is asked about the requests of a place.
pub(crate) fn is_exempt(place: &Place) -> bool {
    place.kind != Kind::Regex && place.path.starts_with(ACME_CHALLENGE)
}

impl Server {
    fn parse(scheme: &str, authority: &str, namespace: &str) -> Result<Self, String> {
        let of_request = ["$host", "${host}", "$http_host", "${http_host}"].into_iter();
        if let Some(port) = of_request.filter_map(|it| authority.strip_prefix(it)).find(|it| is_port(it)) {
            return Ok(Self::OfRequest { scheme: scheme.to_owned(), port: port.to_owned() });
        }
        if authority.contains('$') {
            return Err(
                "whose host is not known beforehand; of variables `$host` may be all of it".to_owned()
            );
        }
        if authority.contains('@') {
            return Err("which has a user in it".to_owned());
        }
        let (reference, _) = parse_service(&format!("{scheme}://{authority}"), namespace)?;
        if matches!(&reference.host, ServiceHost::Service(name) if name.namespace.is_empty()) {
            return Err("which leaves open in which namespace the Service is".to_owned());
        }
        let host = hostname::without_port(authority).to_ascii_lowercase();
        Ok(Self::One { reference, host })
    }
}

/// Nothing, or a colon and a number.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|it| it.parse::<u16>().is_ok_and(|it| it > 0))
}

/// Where clients are sent who have to say who they are. The way back is added, unless it is written.
fn sign_in(written: &Written<'_>) -> Result<Value, String> {
    let Written { prefix, .. } = written;
    let url = written.sign_in.unwrap_or_default();
    let name = written.redirect_param.unwrap_or(REDIRECT_PARAM);
    let query = url.split_once('?').map(|(_, query)| query);
    let has = |query: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.any(|(key, value)| key == name && !value.is_empty())
    };
    let back = |sign: &str| format!("{url}{sign}{name}=$scheme://$http_host$escaped_request_uri");
    let whole = match query {
        None => back("?"),
        Some("") => back(""),
        Some(query) if has(query) => url.to_owned(),
        Some(_) => back("&"),
    };
    template(&whole).map_err(|why| format!("`{prefix}signin` is `{url}`, {why}"))
}

/// What the service sees beside the headers of the request, and in their place, as ingress-nginx says it (its template of nginx's
/// configuration). What that leaves to the client although the service may take it for the proxy's word is taken away.
fn request_headers(redirect: &Value, with_method: bool) -> Vec<HeaderEdit> {
    use ValuePart::{Text, Variable as Of};
    let set = |parts: Vec<ValuePart>| Edit::Set(Value(parts));
    let with_method = |variable| if with_method { set(vec![Of(variable)]) } else { Edit::Remove };
    let url = vec![Of(Variable::Scheme), Text("://".to_owned()), Of(Variable::Authority), Of(Variable::Path)];
    let edits = [
        ("x-original-url", set(url)),
        ("x-original-method", set(vec![Of(Variable::Method)])),
        ("x-sent-from", set(vec![Text("nginx-ingress-controller".to_owned())])),
        ("x-real-ip", set(vec![Of(Variable::ClientAddress)])),
        ("x-forwarded-for", set(vec![Of(Variable::ClientAddress)])),
        ("x-forwarded-proto", Edit::Remove),
        ("x-auth-request-redirect", Edit::Set(redirect.clone())),
        ("x-original-uri", with_method(Variable::Path)),
        ("x-scheme", with_method(Variable::Scheme)),
    ];
    edits.into_iter().map(|(name, edit)| HeaderEdit { name: name.to_owned(), edit }).collect()
}

#[cfg(test)]
mod tests;
