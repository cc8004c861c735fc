//! From the model to the wire.

use crate::{
    model::{
        Action, Arm, Case, Change, Epoch, Filters, HostMatch, HostRewrite, Key, Mirror, NamedMatch,
        PathMatch, Position, RedirectTo, Refusal, RegexRewrite, Rewrite, Route, Split, TextMatch,
    },
    wire::config as wire,
};

impl From<&Change> for wire::Change {
    fn from(change: &Change) -> Self {
        use wire::change::Change as To;
        let change = match change {
            Change::Listener(listener) => To::Listener(listener.as_ref().into()),
            Change::Route(route) => To::Route(route.as_ref().into()),
            Change::Cluster(cluster) => To::Cluster(cluster.as_ref().into()),
            Change::Certificate(certificate) => To::Certificate(certificate.as_ref().into()),
            Change::Host(host) => To::Host(host.as_ref().into()),
            Change::TcpRoute(route) => To::TcpRoute(route.as_ref().into()),
            Change::Removed(key) => To::Removed(key.into()),
        };
        Self { change: Some(change) }
    }
}

impl From<&Key> for wire::Key {
    fn from(key: &Key) -> Self {
        let (kind, id) = match key {
            Key::Listener(id) => (wire::Kind::Listener, id.as_str()),
            Key::Route(id) => (wire::Kind::Route, id.as_str()),
            Key::Cluster(id) => (wire::Kind::Cluster, id.as_str()),
            Key::Certificate(id) => (wire::Kind::Certificate, id.as_str()),
            Key::Host(id) => (wire::Kind::Host, id.as_str()),
            Key::TcpRoute(id) => (wire::Kind::TcpRoute, id.as_str()),
        };
        Self { kind: kind.into(), id: id.to_owned() }
    }
}

impl From<&Route> for wire::Route {
    fn from(route: &Route) -> Self {
        let Route {
            id,
            rank,
            host,
            path,
            case,
            method,
            headers,
            query,
            listeners,
            classes,
            to_https,
            filters,
            action,
        } = route;
        Self {
            id: id.to_string(),
            rank: rank.0.clone(),
            host: Some(host.into()),
            path: Some(path_match(path, *case)),
            method: method.as_ref().map(Into::into),
            headers: headers.iter().map(Into::into).collect(),
            query: query.iter().map(Into::into).collect(),
            action: Some(match action {
                Action::Split(split) => wire::route::Action::Split(split.into()),
                Action::Refuse(refusal) => wire::route::Action::Refusal(refusal.into()),
                Action::Redirect(redirect) => wire::route::Action::Redirect(redirect.into()),
            }),
            // What most routes do not have costs their messages nothing.
            filters: (*filters != Filters::default()).then(|| filters.into()),
            listeners: listeners.iter().map(ToString::to_string).collect(),
            classes: classes.clone(),
            to_https: to_https
                .map(|it| wire::ToHttps { status: u32::from(it.status), port: u32::from(it.port) }),
        }
    }
}

fn path_match(path: &PathMatch, case: Case) -> wire::PathMatch {
    wire::PathMatch {
        r#match: Some(match path {
            PathMatch::Prefix(text) => wire::path_match::Match::Prefix(text.clone()),
            PathMatch::Exact(text) => wire::path_match::Match::Exact(text.clone()),
            PathMatch::Regex(text) => wire::path_match::Match::Regex(text.clone()),
            PathMatch::Elements(text) => wire::path_match::Match::Elements(text.clone()),
        }),
        ignore_case: case == Case::Ignored,
    }
}

impl From<&HostMatch> for wire::HostMatch {
    fn from(host: &HostMatch) -> Self {
        use wire::host_match::Match;
        Self {
            r#match: Some(match host {
                HostMatch::Any => Match::Any(true),
                HostMatch::Exact(text) => Match::Exact(text.clone()),
                HostMatch::Suffix(text) => Match::Suffix(text.clone()),
                HostMatch::Label(text) => Match::Label(text.clone()),
                HostMatch::Prefix(text) => Match::Prefix(text.clone()),
                HostMatch::Regex(text) => Match::Regex(text.clone()),
                HostMatch::Authority(text) => Match::Authority(text.clone()),
            }),
        }
    }
}

impl From<&TextMatch> for wire::TextMatch {
    fn from(text: &TextMatch) -> Self {
        use wire::text_match::Match;
        Self {
            r#match: Some(match text {
                TextMatch::Exact(text) => Match::Exact(text.clone()),
                TextMatch::Regex(text) => Match::Regex(text.clone()),
                TextMatch::Present => Match::Present(true),
            }),
        }
    }
}

impl From<&NamedMatch> for wire::NamedMatch {
    fn from(named: &NamedMatch) -> Self {
        let NamedMatch { name, value } = named;
        Self { name: name.clone(), r#match: Some(value.into()) }
    }
}

impl From<&Split> for wire::Split {
    fn from(split: &Split) -> Self {
        let Split { id, arms, mirrors } = split;
        Self {
            id: id.to_string(),
            arms: arms.iter().map(Into::into).collect(),
            mirrors: mirrors.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Mirror> for wire::Mirror {
    fn from(mirror: &Mirror) -> Self {
        let Mirror { id, share, cluster, path, case, method, headers, query } = mirror;
        Self {
            id: id.to_string(),
            share: u32::from(share.parts()),
            cluster: cluster.to_string(),
            path: path.as_ref().map(|path| path_match(path, *case)),
            method: method.as_ref().map(Into::into),
            headers: headers.iter().map(Into::into).collect(),
            query: query.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Arm> for wire::Arm {
    fn from(arm: &Arm) -> Self {
        let Arm {
            id,
            share,
            cluster,
            rewrite,
            host_rewrite,
            timeout_ms,
            idle_timeout_ms,
            total_timeout_ms,
            request_headers,
            response_headers,
        } = arm;
        let host = match host_rewrite {
            HostRewrite::Literal(host) => host.clone(),
            HostRewrite::Keep | HostRewrite::Endpoint => String::new(),
        };
        Self {
            id: id.to_string(),
            weight: u32::from(share.parts()),
            cluster: cluster.to_string(),
            rewrite: Some(rewrite.into()),
            host_rewrite: host,
            endpoint_host: *host_rewrite == HostRewrite::Endpoint,
            timeout_ms: timeout_ms.unwrap_or_default(),
            idle_timeout_ms: idle_timeout_ms.unwrap_or_default(),
            total_timeout_ms: total_timeout_ms.unwrap_or_default(),
            request_headers: request_headers.iter().map(Into::into).collect(),
            response_headers: response_headers.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Rewrite> for wire::Rewrite {
    fn from(rewrite: &Rewrite) -> Self {
        use wire::rewrite::Rewrite as To;
        Self {
            rewrite: Some(match rewrite {
                Rewrite::None => To::None(true),
                Rewrite::Prefix(text) => To::Prefix(text.clone()),
                Rewrite::Full(text) => To::Full(text.clone()),
                Rewrite::Regex(RegexRewrite { pattern, substitution }) => To::Regex(wire::RegexRewrite {
                    pattern: pattern.clone(),
                    substitution: substitution.clone(),
                }),
            }),
        }
    }
}

impl From<&RedirectTo> for wire::RedirectTo {
    fn from(redirect: &RedirectTo) -> Self {
        let RedirectTo { status, scheme, host, port, path } = redirect;
        Self {
            status: u32::from(*status),
            scheme: scheme.map(|it| it.as_str().to_owned()).unwrap_or_default(),
            host: host.clone().unwrap_or_default(),
            port: port.map_or(0, u32::from),
            path: Some(path.into()),
        }
    }
}

impl From<&Refusal> for wire::Refusal {
    fn from(refusal: &Refusal) -> Self {
        let Refusal { status, reason } = refusal;
        Self { status: u32::from(*status), reason: reason.clone() }
    }
}

impl From<Position> for wire::Position {
    fn from(position: Position) -> Self {
        let Position { epoch: Epoch { created, transitions }, seq } = position;
        Self { epoch: Some(wire::Epoch { created, transitions }), seq }
    }
}
