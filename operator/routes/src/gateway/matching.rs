//! Which requests a match of a rule is for, and its place among all others.

use std::fmt::{self, Display, Formatter, Write as _};

use crds::gateway::{
    grpc_route::{GrpcMatch, GrpcMethodMatch},
    http_route::{HttpMatch, ValueMatch},
};
use proxy_config::{
    model::{Case, NamedMatch, PathMatch, Rank, TextMatch},
    pattern,
};

use super::hostname::HostName;
use crate::{
    object::ObjectName,
    order::{down, down_text},
};

/// The conditions of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matching {
    pub(crate) path: PathMatch,
    pub(crate) case: Case,
    pub(crate) method: Option<TextMatch>,
    pub(crate) headers: Vec<NamedMatch>,
    pub(crate) query: Vec<NamedMatch>,
    specificity: Specificity,
}

/// What orders matches of one host; the greater is asked first, each part only where those before it are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Specificity {
    kind: PathRank,
    length: usize,
    method: bool,
    headers: usize,
    query: usize,
}

/// The kinds of paths in the order in which they are asked. Where expressions stand is left to us: before prefixes, since
/// who writes one means something special.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathRank {
    Exact,
    Regex,
    Prefix,
    /// A method of gRPC, of whatever service.
    MethodOnly,
    /// Every call of gRPC.
    Rest,
}

/// The route that a match is of: of two that are equal the older counts, then the first by name, then the first rule.
///
/// One that stands in for another has the age and the name of that one, and is asked just before it. So it takes nothing
/// from anybody else; and whoever can make it could have edited the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing<'a> {
    pub(crate) created: i64,
    pub(crate) name: &'a ObjectName,
    pub(crate) stands_in: bool,
    pub(crate) rule: usize,
    pub(crate) index: usize,
}

/// What a match has that is asked before another for the same request: the first of these in which they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// A hostname that says more.
    Host,
    /// A kind of path that says more.
    Path,
    /// A longer path.
    PathLength,
    /// A method.
    Method,
    /// More headers.
    Headers,
    /// More query parameters.
    Parameters,
    /// An older route.
    Age,
    /// A route whose name comes first.
    Name,
    /// It stands in for the other.
    StandsIn,
    /// An earlier place in the same route.
    Position,
}

/// What decides between a match and one that is asked after it.
pub(crate) fn precedence(
    (host, first, standing): (&HostName, &Matching, Standing<'_>),
    (other_host, other, other_standing): (&HostName, &Matching, Standing<'_>),
) -> Precedence {
    let (one, two) = (first.specificity, other.specificity);
    if host != other_host {
        Precedence::Host
    } else if one.kind != two.kind {
        Precedence::Path
    } else if one.length != two.length {
        Precedence::PathLength
    } else if one.method != two.method {
        Precedence::Method
    } else if one.headers != two.headers {
        Precedence::Headers
    } else if one.query != two.query {
        Precedence::Parameters
    } else if standing.created != other_standing.created {
        Precedence::Age
    } else if standing.name != other_standing.name {
        Precedence::Name
    } else if standing.stands_in != other_standing.stands_in {
        Precedence::StandsIn
    } else {
        Precedence::Position
    }
}

impl Display for Precedence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "the more specific hostname",
            Self::Path => "the more specific kind of path",
            Self::PathLength => "the longer path",
            Self::Method => "a method",
            Self::Headers => "more headers",
            Self::Parameters => "more query parameters",
            Self::Age => "the older route",
            Self::Name => "the name that comes first",
            Self::StandsIn => "a route that stands in for the other",
            Self::Position => "the earlier place in the route",
        })
    }
}

impl Matching {
    /// What a match of an HTTPRoute means.
    pub(crate) fn http(spec: &HttpMatch) -> Result<Self, String> {
        let path = spec.path.clone().unwrap_or_default();
        let text = path.value.unwrap_or_else(|| "/".to_owned());
        let (kind, path, length) = match path.kind.as_deref() {
            Some("Exact") => (PathRank::Exact, PathMatch::Exact(text.clone()), text.len()),
            None | Some("PathPrefix") => {
                let prefix = match text.trim_end_matches('/') {
                    "" => "/",
                    prefix => prefix,
                };
                (PathRank::Prefix, PathMatch::Elements(prefix.to_owned()), prefix.len())
            }
            Some("RegularExpression") => {
                (PathRank::Regex, PathMatch::Regex(checked(&text)?), text.chars().count())
            }
            Some(other) => return Err(format!("`path.type` is `{other}`, which is not known")),
        };
        let headers = values(&spec.headers, true)?;
        let query = values(&spec.query_params, false)?;
        let specificity = Specificity {
            kind,
            length,
            method: spec.method.is_some(),
            headers: headers.len(),
            query: query.len(),
        };
        let method = spec.method.clone().map(TextMatch::Exact);
        Ok(Self { path, case: Case::Counts, method, headers, query, specificity })
    }

    /// What a match of a GRPCRoute means. A call is a POST to `/service/method`.
    pub(crate) fn grpc(spec: &GrpcMatch) -> Result<Self, String> {
        let absent = GrpcMethodMatch::default();
        let of = spec.method.as_ref().unwrap_or(&absent);
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (service, method) = (given(&of.service), given(&of.method));
        let regex = match of.kind.as_deref() {
            None | Some("Exact") => false,
            Some("RegularExpression") => true,
            Some(other) => return Err(format!("`method.type` is `{other}`, which is not known")),
        };
        let (kind, path, length) = match (service, method) {
            (None, None) => (PathRank::Rest, PathMatch::Elements("/".to_owned()), 1),
            (service, method) if regex => {
                let text = |text: Option<String>| text.unwrap_or_else(|| "[^/]+".to_owned());
                let (service, method) = (text(service), text(method));
                let length = service.chars().count() + method.chars().count();
                (PathRank::Regex, PathMatch::Regex(checked(&format!("/(?:{service})/(?:{method})"))?), length)
            }
            (Some(service), Some(method)) => {
                let path = format!("/{service}/{method}");
                let length = path.len();
                (PathRank::Exact, PathMatch::Exact(path), length)
            }
            (Some(service), None) => {
                (PathRank::Prefix, PathMatch::Elements(format!("/{service}")), service.len() + 1)
            }
            (None, Some(method)) => {
                let length = method.len();
                (PathRank::MethodOnly, PathMatch::Regex(format!("/[^/]+/{}", escape(&method))), length)
            }
        };
        let headers = values(&spec.headers, true)?;
        let specificity = Specificity { kind, length, method: false, headers: headers.len(), query: 0 };
        Ok(Self { path, case: Case::Counts, method: None, headers, query: Vec::new(), specificity })
    }

    /// Whether there is a prefix that a filter can replace.
    pub(crate) fn has_prefix(&self) -> bool {
        matches!(self.path, PathMatch::Elements(_))
    }

    /// The place of the match for requests to `host`: hosts come first.
    pub(crate) fn rank(&self, host: &HostName, standing: Standing<'_>) -> Rank {
        let Specificity { kind, length, method, headers, query } = self.specificity;
        let (exactness, host_length) = host.place();
        let mut rank = vec![exactness];
        down(&mut rank, host_length.0);
        down_text(&mut rank, &host.show());
        rank.push(kind as u8);
        down(&mut rank, length);
        rank.push(u8::from(!method));
        down(&mut rank, headers);
        down(&mut rank, query);
        rank.extend((i128::from(standing.created) - i128::from(i64::MIN)).to_be_bytes());
        rank.extend(standing.name.to_string().bytes());
        // Both are less than any byte of a longer name.
        rank.push(u8::from(!standing.stands_in));
        for number in [standing.rule, standing.index] {
            rank.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
        }
        rank.shrink_to_fit();
        Rank(rank)
    }
}

/// Of one name the first counts.
fn values(specs: &[ValueMatch], header: bool) -> Result<Vec<NamedMatch>, String> {
    let mut matches: Vec<NamedMatch> = Vec::new();
    for spec in specs {
        let name = if header { spec.name.to_ascii_lowercase() } else { spec.name.clone() };
        if matches.iter().any(|it| it.name == name) {
            continue;
        }
        let value = match spec.kind.as_deref() {
            None | Some("Exact") => TextMatch::Exact(spec.value.clone()),
            Some("RegularExpression") => TextMatch::Regex(checked(&spec.value)?),
            Some(other) => {
                return Err(format!("the match of `{name}` has type `{other}`, which is not known"));
            }
        };
        matches.push(NamedMatch { name, value });
    }
    Ok(matches)
}

fn checked(text: &str) -> Result<String, String> {
    match pattern::compile(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("`{text}` is no regular expression: {error}")),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for it in text.chars() {
        if it.is_ascii_alphanumeric() || it == '_' {
            escaped.push(it);
        } else {
            let _ = write!(escaped, "\\x{{{:x}}}", u32::from(it));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rank(host: &str, of: &Matching, created: i64, name: &str, rule: usize) -> Rank {
        let (name, stands_in) = match name.strip_prefix("in for ") {
            Some(base) => (base, true),
            None => (name, false),
        };
        let name = ObjectName::new("shop", name);
        let host = HostName::parse(Some(host).filter(|it| *it != "*")).unwrap();
        of.rank(&host, Standing { created, name: &name, stands_in, rule, index: 0 })
    }

    fn http(spec: &Value) -> Matching {
        Matching::http(&serde_json::from_value(spec.clone()).unwrap()).unwrap()
    }

    #[test]
    fn matches_of_http_are_asked_in_the_order_of_the_api() {
        let exact = http(&json!({"path": {"type": "Exact", "value": "/a"}}));
        let regex = http(&json!({"path": {"type": "RegularExpression", "value": "/a.*"}}));
        let long = http(&json!({"path": {"value": "/a/long"}}));
        let short = http(&json!({"path": {"value": "/a/"}}));
        let method = http(&json!({"method": "GET"}));
        let headers = http(&json!({"headers": [{"name": "A", "value": "1"}, {"name": "b", "value": "1"}]}));
        let header = http(&json!({"headers": [{"name": "A", "value": "1"}, {"name": "a", "value": "2"}]}));
        let query = http(&json!({"queryParams": [{"name": "a", "value": "1"}]}));
        let all = http(&json!({}));
        let expected = [
            rank("long.example", &all, 9, "z", 9),
            rank("a.example", &exact, 0, "a", 0),
            rank("a.example", &regex, 0, "a", 0),
            rank("a.example", &long, 0, "a", 0),
            rank("a.example", &short, 0, "a", 0),
            rank("a.example", &method, 0, "a", 0),
            rank("a.example", &headers, 0, "a", 0),
            rank("a.example", &header, 0, "a", 0),
            rank("a.example", &query, 0, "a", 0),
            rank("a.example", &all, -5, "z", 0),
            rank("a.example", &all, 5, "a", 0),
            rank("a.example", &all, 6, "in for a", 0),
            rank("a.example", &all, 6, "in for a", 1),
            rank("a.example", &all, 6, "a", 0),
            rank("a.example", &all, 6, "a", 1),
            rank("a.example", &all, 6, "in for a-b", 0),
            rank("a.example", &all, 6, "b", 0),
            rank("*.long.example", &exact, 0, "a", 0),
            rank("*.example", &exact, 0, "a", 0),
            rank("*", &exact, 0, "a", 0),
        ];
        let mut sorted: Vec<&Rank> = expected.iter().rev().collect();
        sorted.sort();
        assert_eq!(sorted, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn matches_of_grpc_mean_paths() {
        let grpc = |spec: Value| Matching::grpc(&serde_json::from_value(spec).unwrap()).map(|it| it.path);
        let method = |spec: Value| grpc(json!({"method": spec}));
        assert_eq!(grpc(json!({})), Ok(PathMatch::Elements("/".into())));
        assert_eq!(method(json!({"service": "a.B", "method": "C"})), Ok(PathMatch::Exact("/a.B/C".into())));
        assert_eq!(method(json!({"service": "a.B"})), Ok(PathMatch::Elements("/a.B".into())));
        assert_eq!(method(json!({"method": "C.d"})), Ok(PathMatch::Regex(r"/[^/]+/C\x{2e}d".into())));
        let regex = json!({"type": "RegularExpression", "service": "a|b", "method": "C+"});
        assert_eq!(method(regex), Ok(PathMatch::Regex("/(?:a|b)/(?:C+)".into())));
        assert!(method(json!({"type": "RegularExpression", "service": "("})).is_err());
    }

    #[test]
    fn a_method_of_every_service_is_asked_after_services_and_before_the_rest() {
        let grpc = |spec: Value| Matching::grpc(&serde_json::from_value(spec).unwrap()).unwrap();
        let of = |spec: Value| rank("*", &grpc(json!({"method": spec})), 0, "a", 0);
        let ranks = [
            of(json!({"service": "a", "method": "b"})),
            of(json!({"service": "a"})),
            of(json!({"method": "a-long-method"})),
            of(json!({})),
        ];
        assert!(ranks.is_sorted());
    }
}
