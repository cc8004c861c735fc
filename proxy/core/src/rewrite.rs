//! What happens to the path on its way to the upstream, and where a redirect leads.

use http::{HeaderValue, StatusCode};
use proxy_config::{
    model::{self, PathMatch, RedirectTo, Route, Scheme, ToHttps},
    pattern::{self, PatternError, Substitution},
};
use regex::Regex;

/// What happens to a path, ready to be done.
#[derive(Clone, Debug, Default)]
pub enum Rewrite {
    /// Nothing.
    #[default]
    None,
    /// This much of the path goes and the text takes its place.
    Prefix {
        /// In bytes.
        matched: usize,
        /// What takes its place.
        text: Box<str>,
        /// Whether exactly one slash is between it and the rest.
        elements: bool,
    },
    /// The text takes the place of all of it.
    Full(Box<str>),
    /// Every match is replaced.
    Regex(Box<(Regex, Substitution)>),
}

/// Where a client should go instead.
#[derive(Debug)]
pub struct Redirect {
    /// Of the answer.
    pub status: StatusCode,
    scheme: Option<Scheme>,
    host: Option<Box<str>>,
    port: Option<u16>,
    path: Rewrite,
}

/// What a client asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What it spoke.
    pub scheme: Scheme,
    /// The host with its port.
    pub authority: &'a str,
    /// The path in normal form.
    pub path: &'a str,
    /// What follows the `?`.
    pub query: Option<&'a str>,
}

impl Rewrite {
    /// Prepares a rewrite of the paths that `route` matches.
    ///
    /// A prefix rewrite replaces the matched text, not segments: `/echo` → `/` makes `//x` of `/echo/x`, as
    /// Emissary's does; of path elements it leaves one slash, as the Gateway API asks. Where no prefix was matched
    /// (exact and regex paths) it replaces the whole path.
    pub fn new(rewrite: &model::Rewrite, route: &Route) -> Result<Self, PatternError> {
        Ok(match rewrite {
            model::Rewrite::None => Self::None,
            model::Rewrite::Full(text) => Self::Full(text.as_str().into()),
            model::Rewrite::Prefix(text) => match &route.path {
                PathMatch::Prefix(prefix) => {
                    Self::Prefix { matched: prefix.len(), text: text.as_str().into(), elements: false }
                }
                PathMatch::Elements(prefix) => Self::Prefix {
                    matched: prefix.trim_end_matches('/').len(),
                    text: text.as_str().into(),
                    elements: true,
                },
                PathMatch::Exact(_) | PathMatch::Regex(_) => Self::Full(text.as_str().into()),
            },
            model::Rewrite::Regex(model::RegexRewrite { pattern, substitution }) => {
                let pattern = pattern::compile_search(pattern)?;
                match Substitution::parse(substitution, &pattern) {
                    Ok(substitution) => Self::Regex(Box::new((pattern, substitution))),
                    // Which no validated configuration holds.
                    Err(_) => Self::None,
                }
            }
        })
    }

    /// The path that takes the place of `path`, which is in normal form. `None`: the path itself.
    #[must_use]
    pub fn apply(&self, path: &str) -> Option<String> {
        match self {
            Self::None => None,
            Self::Full(text) => Some(text.as_ref().to_owned()),
            Self::Prefix { matched, text, elements } => {
                let rest = path.get(*matched..).unwrap_or_default();
                let text = if *elements && !rest.is_empty() { text.trim_end_matches('/') } else { text };
                Some(format!("{text}{rest}"))
            }
            Self::Regex(regex) => {
                let (pattern, substitution) = &**regex;
                substitution.replace_all(pattern, path)
            }
        }
    }
}

impl Redirect {
    /// Prepares a redirect of the requests that `route` matches.
    pub fn new(redirect: &RedirectTo, route: &Route) -> Result<Self, PatternError> {
        let RedirectTo { status, scheme, host, port, path } = redirect;
        Ok(Self {
            status: StatusCode::from_u16(*status).unwrap_or(StatusCode::MOVED_PERMANENTLY),
            scheme: *scheme,
            host: host.as_deref().map(Into::into),
            port: *port,
            path: Rewrite::new(path, route)?,
        })
    }

    /// One that leads to the same place over TLS.
    #[must_use]
    pub fn to_https(ToHttps { status, port }: ToHttps) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::MOVED_PERMANENTLY),
            scheme: Some(Scheme::Https),
            host: None,
            port: Some(port),
            path: Rewrite::None,
        }
    }

    /// The `Location`. `None` if the client said no host and none is given.
    #[must_use]
    pub fn location(&self, asked: &Asked<'_>) -> Option<HeaderValue> {
        let scheme = self.scheme.unwrap_or(asked.scheme);
        let (name, own_port) = split_port(asked.authority);
        let host = self.host.as_deref().unwrap_or(name);
        if host.is_empty() {
            return None;
        }
        let moved = self.scheme.is_some() || self.host.is_some();
        let port = self.port.or(if moved { None } else { own_port });
        let port = port.filter(|it| *it != scheme.default_port());
        let path = self.path.apply(asked.path);
        let path = path.as_deref().unwrap_or(asked.path);
        let mut location = format!("{}://{host}", scheme.as_str());
        if let Some(port) = port {
            location = format!("{location}:{port}");
        }
        location.push_str(path);
        if let Some(query) = asked.query {
            // A substitution may have made one of its own.
            location.push(if path.contains('?') { '&' } else { '?' });
            location.push_str(query);
        }
        HeaderValue::from_str(&location).ok()
    }
}

/// Name and port of an authority.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    let name_ends = authority.rfind(']').map_or(0, |it| it + 1);
    match authority[name_ends..].rfind(':') {
        Some(colon) => (&authority[..name_ends + colon], authority[name_ends + colon + 1..].parse().ok()),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests;
