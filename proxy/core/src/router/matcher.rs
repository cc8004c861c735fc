//! What a rule asks of a request, compiled.

use std::cmp::Ordering;

use http::HeaderName;
use proxy_config::{
    model::{Case, ListenerId, Mirror, NamedMatch, PathMatch, Route, RouteId, TextMatch},
    pattern::{self, PatternError},
};
use regex::Regex;

use super::{RequestHead, Slot};

/// The part of a route that decides whether it matches, without its host and without the plain text of its
/// path, which the indexes have looked at already.
#[derive(Debug)]
pub(crate) struct Matcher {
    pub(crate) slot: Slot,
    rank: Box<[u8]>,
    /// Decides between equal ranks, so that the order never depends on history.
    id: RouteId,
    /// Empty: all.
    listeners: Box<[ListenerId]>,
    /// Empty: whatever class the host has.
    classes: Box<[String]>,
    /// `None`: the indexes have found out all there is to ask.
    condition: Option<Box<Condition>>,
}

/// What a request must be, beyond what an index has found out about it.
#[derive(Debug)]
pub(crate) struct Condition {
    path: Option<Path>,
    method: Option<Text>,
    headers: Box<[(HeaderName, Text)]>,
    query: Box<[(Box<str>, Text)]>,
}

#[derive(Debug)]
enum Path {
    Prefix(Box<str>, Case),
    Exact(Box<str>, Case),
    Regex(Box<Regex>),
    /// Without a slash at the end.
    Elements(Box<str>, Case),
}

#[derive(Debug)]
enum Text {
    Exact(Box<str>),
    Regex(Box<Regex>),
    Present,
}

impl Matcher {
    pub(crate) fn new(route: &Route, slot: Slot) -> Result<Self, PatternError> {
        let path = match &route.path {
            // Which every path is that begins with it.
            PathMatch::Elements(text) if text == "/" => None,
            // Of other elements the index knows only that the path begins with their text.
            PathMatch::Regex(_) | PathMatch::Elements(_) => Some((&route.path, route.case)),
            PathMatch::Prefix(_) | PathMatch::Exact(_) => None,
        };
        let condition = Condition::new(path, route.method.as_ref(), &route.headers, &route.query)?;
        Ok(Self {
            slot,
            rank: route.rank.0.as_slice().into(),
            id: route.id.clone(),
            listeners: route.listeners.as_slice().into(),
            classes: route.classes.as_slice().into(),
            condition: Some(condition).filter(|it| !it.is_empty()).map(Box::new),
        })
    }

    /// Whether two routes ask the same, so that the indexes need no change.
    pub(crate) fn asks_the_same(a: &Route, b: &Route) -> bool {
        let Route {
            id: _,
            rank,
            host,
            path,
            case,
            method,
            headers,
            query,
            listeners,
            classes,
            to_https: _,
            filters: _,
            action: _,
        } = a;
        (rank, host, path, case, method) == (&b.rank, &b.host, &b.path, &b.case, &b.method)
            && (headers, query, listeners, classes) == (&b.headers, &b.query, &b.listeners, &b.classes)
    }

    /// The order in which rules are asked.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        (&self.rank, &self.id).cmp(&(&other.rank, &other.id))
    }

    /// Whether everything holds that the indexes do not know.
    pub(crate) fn matches(&self, request: &RequestHead<'_>, class: Option<&str>) -> bool {
        (self.listeners.is_empty() || self.listeners.contains(request.listener))
            && (self.classes.is_empty() || class.is_some_and(|it| self.classes.iter().any(|own| own == it)))
            && self.condition.as_ref().is_none_or(|it| it.holds(request))
    }
}

impl Condition {
    /// That of a mirror, beyond the match of its route.
    pub(crate) fn of_mirror(mirror: &Mirror) -> Result<Self, PatternError> {
        let path = mirror.path.as_ref().map(|path| (path, mirror.case));
        Self::new(path, mirror.method.as_ref(), &mirror.headers, &mirror.query)
    }

    fn new(
        path: Option<(&PathMatch, Case)>,
        method: Option<&TextMatch>,
        headers: &[NamedMatch],
        query: &[NamedMatch],
    ) -> Result<Self, PatternError> {
        let header = |it: &NamedMatch| {
            // A validated name is a header name; a rule with any other could match nothing, so it may go.
            let name = HeaderName::from_bytes(it.name.as_bytes()).ok()?;
            Some(Text::new(&it.value).map(|text| (name, text)))
        };
        let parameter = |it: &NamedMatch| Ok((it.name.as_str().into(), Text::new(&it.value)?));
        Ok(Self {
            path: path.map(|(path, case)| Path::new(path, case)).transpose()?,
            method: method.map(Text::new).transpose()?,
            headers: headers.iter().filter_map(header).collect::<Result<_, _>>()?,
            query: query.iter().map(parameter).collect::<Result<_, _>>()?,
        })
    }

    /// Whether nothing is asked.
    fn is_empty(&self) -> bool {
        let Self { path, method, headers, query } = self;
        path.is_none() && method.is_none() && headers.is_empty() && query.is_empty()
    }

    /// Whether all of it holds.
    pub(crate) fn holds(&self, request: &RequestHead<'_>) -> bool {
        self.path.as_ref().is_none_or(|it| it.matches(request.path))
            && self.method.as_ref().is_none_or(|it| it.matches(request.method.as_str()))
            && self.headers.iter().all(|(name, text)| header_matches(request, name, text))
            && self.query.iter().all(|(name, text)| parameter_matches(request, name, text))
    }
}

impl Path {
    fn new(path: &PathMatch, case: Case) -> Result<Self, PatternError> {
        Ok(match path {
            PathMatch::Prefix(text) => Self::Prefix(text.as_str().into(), case),
            PathMatch::Exact(text) => Self::Exact(text.as_str().into(), case),
            PathMatch::Regex(text) => Self::Regex(Box::new(pattern::compile(text)?)),
            PathMatch::Elements(text) => Self::Elements(text.trim_end_matches('/').into(), case),
        })
    }

    fn matches(&self, path: &str) -> bool {
        let same = |a: &[u8], b: &[u8], case| match case {
            Case::Counts => a == b,
            Case::Ignored => a.eq_ignore_ascii_case(b),
        };
        match self {
            Self::Prefix(text, case) => {
                path.as_bytes().get(..text.len()).is_some_and(|it| same(it, text.as_bytes(), *case))
            }
            Self::Exact(text, case) => same(path.as_bytes(), text.as_bytes(), *case),
            Self::Regex(regex) => regex.is_match(path),
            Self::Elements(text, case) => {
                let (head, rest) = path.as_bytes().split_at_checked(text.len()).unwrap_or_default();
                same(head, text.as_bytes(), *case) && matches!(rest, [] | [b'/', ..])
            }
        }
    }
}

impl Text {
    fn new(text: &TextMatch) -> Result<Self, PatternError> {
        Ok(match text {
            TextMatch::Exact(text) => Self::Exact(text.as_str().into()),
            TextMatch::Regex(text) => Self::Regex(Box::new(pattern::compile(text)?)),
            TextMatch::Present => Self::Present,
        })
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Regex(regex) => regex.is_match(text),
            Self::Present => true,
        }
    }
}

fn header_matches(request: &RequestHead<'_>, name: &HeaderName, text: &Text) -> bool {
    request.headers.value(name).is_some_and(|it| text.matches(&String::from_utf8_lossy(&it)))
}

/// The first parameter of the name counts, as it is written.
fn parameter_matches(request: &RequestHead<'_>, name: &str, text: &Text) -> bool {
    let parameters = request.query.unwrap_or_default().split('&');
    let mut pairs = parameters.map(|it| it.split_once('=').unwrap_or((it, "")));
    pairs.find(|(it, _)| *it == name).is_some_and(|(_, value)| text.matches(value))
}
