//! From the wire to the model.

use std::sync::Arc;

use super::ConvertError;
use crate::{
    model::{
        Action, Address, Arm, ArmId, Case, Change, Cluster, ClusterId, Draining, Endpoint, Epoch, HostMatch,
        Key, Listener, ListenerId, Mirror, MirrorId, NamedMatch, PathMatch, Position, Refusal, Rewrite,
        Route, RouteId, Share, Split, SplitId, TextMatch, UnixMillis, Version,
    },
    wire::config as wire,
};

impl TryFrom<wire::Change> for Change {
    type Error = ConvertError;

    fn try_from(change: wire::Change) -> Result<Self, ConvertError> {
        use wire::change::Change as From;
        Ok(match required(change.change, || "change".into(), "change")? {
            From::Listener(listener) => Self::Listener(Arc::new(listener.try_into()?)),
            From::Route(route) => Self::Route(Arc::new(route.try_into()?)),
            From::Cluster(cluster) => Self::Cluster(Arc::new(cluster.try_into()?)),
            From::Removed(key) => Self::Removed(key.try_into()?),
        })
    }
}

impl TryFrom<wire::Key> for Key {
    type Error = ConvertError;

    fn try_from(key: wire::Key) -> Result<Self, ConvertError> {
        let wire::Key { kind, id } = key;
        match wire::Kind::try_from(kind) {
            Ok(wire::Kind::Listener) => Ok(Self::Listener(ListenerId::new(id))),
            Ok(wire::Kind::Route) => Ok(Self::Route(RouteId::new(id))),
            Ok(wire::Kind::Cluster) => Ok(Self::Cluster(ClusterId::new(id))),
            Ok(wire::Kind::Unspecified) => {
                Err(ConvertError::Missing { message: format!("key {id}"), field: "kind" })
            }
            Err(_) => Err(out_of_range(format!("key {id}"), "kind", &kind)),
        }
    }
}

impl TryFrom<wire::Listener> for Listener {
    type Error = ConvertError;

    fn try_from(listener: wire::Listener) -> Result<Self, ConvertError> {
        let wire::Listener { id, port } = listener;
        let port = u16::try_from(port).map_err(|_| out_of_range(format!("listener {id}"), "port", &port))?;
        Ok(Self { id: ListenerId::new(id), port })
    }
}

impl TryFrom<wire::Route> for Route {
    type Error = ConvertError;

    fn try_from(route: wire::Route) -> Result<Self, ConvertError> {
        let wire::Route { id, rank, host, path, method, headers, query, action } = route;
        let message = || format!("route {id}");
        let path = required(path, message, "path")?;
        let case = if path.ignore_case { Case::Ignored } else { Case::Counts };
        let host = required(host.and_then(|it| it.r#match), message, "host")?;
        let path = required(path.r#match, message, "path")?;
        let action = required(action, message, "action")?;
        Ok(Self {
            rank: crate::model::Rank(rank),
            host: host.into(),
            path: path.into(),
            case,
            method: method.map(|it| text_match(it, message)).transpose()?,
            headers: headers.into_iter().map(|it| named_match(it, message)).collect::<Result<_, _>>()?,
            query: query.into_iter().map(|it| named_match(it, message)).collect::<Result<_, _>>()?,
            action: match action {
                wire::route::Action::Split(split) => Action::Split(split.try_into()?),
                wire::route::Action::Refusal(refusal) => Action::Refuse(refusal.try_into()?),
            },
            id: RouteId::new(id),
        })
    }
}

impl From<wire::host_match::Match> for HostMatch {
    fn from(host: wire::host_match::Match) -> Self {
        use wire::host_match::Match;
        match host {
            Match::Any(_) => Self::Any,
            Match::Exact(text) => Self::Exact(text),
            Match::Suffix(text) => Self::Suffix(text),
            Match::Prefix(text) => Self::Prefix(text),
            Match::Regex(text) => Self::Regex(text),
            Match::Authority(text) => Self::Authority(text),
        }
    }
}

impl From<wire::path_match::Match> for PathMatch {
    fn from(path: wire::path_match::Match) -> Self {
        use wire::path_match::Match;
        match path {
            Match::Prefix(text) => Self::Prefix(text),
            Match::Exact(text) => Self::Exact(text),
            Match::Regex(text) => Self::Regex(text),
        }
    }
}

impl TryFrom<wire::Split> for Split {
    type Error = ConvertError;

    fn try_from(split: wire::Split) -> Result<Self, ConvertError> {
        let wire::Split { id, arms, mirrors } = split;
        let arms = arms.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        let mirrors = mirrors.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Self { id: SplitId::new(id), arms, mirrors })
    }
}

impl TryFrom<wire::Mirror> for Mirror {
    type Error = ConvertError;

    fn try_from(mirror: wire::Mirror) -> Result<Self, ConvertError> {
        let wire::Mirror { id, share, cluster, path, method, headers, query } = mirror;
        let message = || format!("mirror {id}");
        let ignores_case = path.as_ref().is_some_and(|path| path.ignore_case);
        let path = path.map(|path| required(path.r#match, message, "path")).transpose()?;
        Ok(Self {
            share: Share::of_10000(share).ok_or_else(|| out_of_range(message(), "share", &share))?,
            cluster: ClusterId::new(cluster),
            path: path.map(Into::into),
            case: if ignores_case { Case::Ignored } else { Case::Counts },
            method: method.map(|it| text_match(it, message)).transpose()?,
            headers: headers.into_iter().map(|it| named_match(it, message)).collect::<Result<_, _>>()?,
            query: query.into_iter().map(|it| named_match(it, message)).collect::<Result<_, _>>()?,
            id: MirrorId::new(id),
        })
    }
}

impl TryFrom<wire::Arm> for Arm {
    type Error = ConvertError;

    fn try_from(arm: wire::Arm) -> Result<Self, ConvertError> {
        let wire::Arm { id, weight, cluster, rewrite, host_rewrite, timeout_ms, idle_timeout_ms } = arm;
        let message = || format!("arm {id}");
        let rewrite = required(rewrite.and_then(|it| it.rewrite), message, "rewrite")?;
        Ok(Self {
            share: Share::of_10000(weight).ok_or_else(|| out_of_range(message(), "weight", &weight))?,
            cluster: ClusterId::new(cluster),
            rewrite: match rewrite {
                wire::rewrite::Rewrite::None(_) => Rewrite::None,
                wire::rewrite::Rewrite::Prefix(text) => Rewrite::Prefix(text),
                wire::rewrite::Rewrite::Full(text) => Rewrite::Full(text),
            },
            host_rewrite: (!host_rewrite.is_empty()).then_some(host_rewrite),
            timeout_ms: (timeout_ms != 0).then_some(timeout_ms),
            idle_timeout_ms: (idle_timeout_ms != 0).then_some(idle_timeout_ms),
            id: ArmId::new(id),
        })
    }
}

impl TryFrom<wire::Refusal> for Refusal {
    type Error = ConvertError;

    fn try_from(refusal: wire::Refusal) -> Result<Self, ConvertError> {
        let wire::Refusal { status, reason } = refusal;
        let status = u16::try_from(status).map_err(|_| out_of_range("refusal".into(), "status", &status))?;
        Ok(Self { status, reason })
    }
}

impl TryFrom<wire::Cluster> for Cluster {
    type Error = ConvertError;

    fn try_from(cluster: wire::Cluster) -> Result<Self, ConvertError> {
        let wire::Cluster { id, connect_timeout_ms, endpoints } = cluster;
        let endpoints = endpoints.into_iter().map(|it| endpoint(it, &id)).collect::<Result<_, _>>()?;
        Ok(Self { id: ClusterId::new(id), connect_timeout_ms, endpoints })
    }
}

impl TryFrom<wire::Position> for Position {
    type Error = ConvertError;

    fn try_from(position: wire::Position) -> Result<Self, ConvertError> {
        let wire::Position { epoch, seq } = position;
        let wire::Epoch { created, transitions } = required(epoch, || "position".into(), "epoch")?;
        Ok(Self { epoch: Epoch { created, transitions }, seq })
    }
}

fn endpoint(endpoint: wire::Endpoint, cluster: &str) -> Result<Endpoint, ConvertError> {
    let wire::Endpoint { address, namespace, hash, draining, drain_until_ms, pod } = endpoint;
    let message = || format!("endpoint of cluster {cluster}");
    let address = match required(address, message, "address")? {
        wire::endpoint::Address::Socket(text) => match text.parse() {
            Ok(address) => Address::Socket(address),
            Err(_) => return Err(out_of_range(message(), "socket", &text)),
        },
        wire::endpoint::Address::Name(wire::Name { host, port }) => Address::Name {
            host,
            port: u16::try_from(port).map_err(|_| out_of_range(message(), "port", &port))?,
        },
    };
    let until = (drain_until_ms > 0).then_some(UnixMillis(drain_until_ms));
    Ok(Endpoint {
        address,
        version: Version { namespace: namespace.into(), hash: hash.into() },
        pod: pod.into(),
        draining: draining.then_some(Draining { until }),
    })
}

fn text_match(text: wire::TextMatch, message: impl FnOnce() -> String) -> Result<TextMatch, ConvertError> {
    use wire::text_match::Match;
    Ok(match required(text.r#match, message, "match")? {
        Match::Exact(text) => TextMatch::Exact(text),
        Match::Regex(text) => TextMatch::Regex(text),
        Match::Present(_) => TextMatch::Present,
    })
}

fn named_match(
    named: wire::NamedMatch,
    message: impl FnOnce() -> String + Copy,
) -> Result<NamedMatch, ConvertError> {
    let wire::NamedMatch { name, r#match } = named;
    let value = text_match(required(r#match, message, "match")?, message)?;
    Ok(NamedMatch { name, value })
}

fn required<T>(
    field: Option<T>,
    message: impl FnOnce() -> String,
    name: &'static str,
) -> Result<T, ConvertError> {
    field.ok_or_else(|| ConvertError::Missing { message: message(), field: name })
}

fn out_of_range(message: String, field: &'static str, value: &impl ToString) -> ConvertError {
    ConvertError::OutOfRange { message, field, value: value.to_string() }
}
