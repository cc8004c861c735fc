//! From the wire to the model.

use std::sync::Arc;

use super::{ConvertError, each, kept, narrow, out_of_range, positive, present, required, value::edits};
use crate::{
    model::{
        Action, Arm, ArmId, Case, CertificateId, Change, ClusterId, Epoch, HostId, HostMatch, HostRewrite,
        Key, ListenerId, Mirror, MirrorId, NamedMatch, PathMatch, Position, RedirectTo, Refusal,
        RegexRewrite, Rewrite, Route, RouteId, Scheme, Share, Split, SplitId, TcpRouteId, TextMatch, ToHttps,
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
            From::Certificate(certificate) => Self::Certificate(Arc::new(certificate.into())),
            From::Host(host) => Self::Host(Arc::new(host.try_into()?)),
            From::TcpRoute(route) => Self::TcpRoute(Arc::new(route.try_into()?)),
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
            Ok(wire::Kind::Certificate) => Ok(Self::Certificate(CertificateId::new(id))),
            Ok(wire::Kind::Host) => Ok(Self::Host(HostId::new(id))),
            Ok(wire::Kind::TcpRoute) => Ok(Self::TcpRoute(TcpRouteId::new(id))),
            Ok(wire::Kind::Unspecified) => {
                Err(ConvertError::Missing { message: format!("key {id}"), field: "kind" })
            }
            Err(_) => Err(out_of_range(format!("key {id}"), "kind", &kind)),
        }
    }
}

impl TryFrom<wire::Route> for Route {
    type Error = ConvertError;

    fn try_from(route: wire::Route) -> Result<Self, ConvertError> {
        let wire::Route {
            id,
            rank,
            host,
            path,
            method,
            headers,
            query,
            action,
            filters,
            listeners,
            classes,
            to_https,
        } = route;
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
            headers: each(headers, |it| named_match(it, message))?,
            query: each(query, |it| named_match(it, message))?,
            action: match action {
                wire::route::Action::Split(split) => Action::Split(split.try_into()?),
                wire::route::Action::Refusal(refusal) => Action::Refuse(refusal.try_into()?),
                wire::route::Action::Redirect(redirect) => Action::Redirect(redirect.try_into()?),
            },
            filters: filters.map(TryInto::try_into).transpose()?.unwrap_or_default(),
            listeners: each(listeners, |it| Ok(ListenerId::new(it)))?,
            classes: kept(classes),
            to_https: to_https.map(|it| to_https_of(it, message)).transpose()?,
            id: RouteId::new(id),
        })
    }
}

fn to_https_of(
    to_https: wire::ToHttps,
    message: impl Fn() -> String + Copy,
) -> Result<ToHttps, ConvertError> {
    let wire::ToHttps { status, port } = to_https;
    let port = if port == 0 { Scheme::Https.default_port() } else { narrow(port, message, "port")? };
    Ok(ToHttps { status: narrow(status, message, "status")?, port })
}

impl From<wire::host_match::Match> for HostMatch {
    fn from(host: wire::host_match::Match) -> Self {
        use wire::host_match::Match;
        match host {
            Match::Any(_) => Self::Any,
            Match::Exact(text) => Self::Exact(text),
            Match::Suffix(text) => Self::Suffix(text),
            Match::Label(text) => Self::Label(text),
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
            Match::Elements(text) => Self::Elements(text),
        }
    }
}

impl TryFrom<wire::Split> for Split {
    type Error = ConvertError;

    fn try_from(split: wire::Split) -> Result<Self, ConvertError> {
        let wire::Split { id, arms, mirrors } = split;
        let (arms, mirrors) = (each(arms, TryInto::try_into)?, each(mirrors, TryInto::try_into)?);
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
            headers: each(headers, |it| named_match(it, message))?,
            query: each(query, |it| named_match(it, message))?,
            id: MirrorId::new(id),
        })
    }
}

impl TryFrom<wire::Arm> for Arm {
    type Error = ConvertError;

    fn try_from(arm: wire::Arm) -> Result<Self, ConvertError> {
        let wire::Arm {
            id,
            weight,
            cluster,
            rewrite,
            host_rewrite,
            endpoint_host,
            timeout_ms,
            idle_timeout_ms,
            total_timeout_ms,
            request_headers,
            response_headers,
        } = arm;
        let message = || format!("arm {id}");
        Ok(Self {
            share: Share::of_10000(weight).ok_or_else(|| out_of_range(message(), "weight", &weight))?,
            cluster: ClusterId::new(cluster),
            rewrite: required(rewrite, message, "rewrite")?.try_into()?,
            host_rewrite: match present(host_rewrite) {
                Some(host) => HostRewrite::Literal(host),
                None if endpoint_host => HostRewrite::Endpoint,
                None => HostRewrite::Keep,
            },
            timeout_ms: positive(timeout_ms),
            idle_timeout_ms: positive(idle_timeout_ms),
            total_timeout_ms: positive(total_timeout_ms),
            request_headers: edits(request_headers)?,
            response_headers: edits(response_headers)?,
            id: ArmId::new(id),
        })
    }
}

impl TryFrom<wire::Rewrite> for Rewrite {
    type Error = ConvertError;

    fn try_from(rewrite: wire::Rewrite) -> Result<Self, ConvertError> {
        Ok(match required(rewrite.rewrite, || "rewrite".into(), "rewrite")? {
            wire::rewrite::Rewrite::None(_) => Self::None,
            wire::rewrite::Rewrite::Prefix(text) => Self::Prefix(text),
            wire::rewrite::Rewrite::Full(text) => Self::Full(text),
            wire::rewrite::Rewrite::Regex(wire::RegexRewrite { pattern, substitution }) => {
                Self::Regex(RegexRewrite { pattern, substitution })
            }
        })
    }
}

impl TryFrom<wire::RedirectTo> for RedirectTo {
    type Error = ConvertError;

    fn try_from(redirect: wire::RedirectTo) -> Result<Self, ConvertError> {
        let wire::RedirectTo { status, scheme, host, port, path } = redirect;
        let message = || "redirect".to_owned();
        Ok(Self {
            status: narrow(status, message, "status")?,
            scheme: match scheme.as_str() {
                "" => None,
                "http" => Some(Scheme::Http),
                "https" => Some(Scheme::Https),
                _ => return Err(out_of_range(message(), "scheme", &scheme)),
            },
            host: present(host),
            port: positive(port).map(|it| narrow(it, message, "port")).transpose()?,
            path: path.map(TryInto::try_into).transpose()?.unwrap_or_default(),
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

impl TryFrom<wire::Position> for Position {
    type Error = ConvertError;

    fn try_from(position: wire::Position) -> Result<Self, ConvertError> {
        let wire::Position { epoch, seq } = position;
        let wire::Epoch { created, transitions } = required(epoch, || "position".into(), "epoch")?;
        Ok(Self { epoch: Epoch { created, transitions }, seq })
    }
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
