//! The listeners of a Gateway as they are served, its own and those of its ListenerSets.

use std::sync::Arc;

use crds::gateway::{
    GROUP, RouteKind,
    listener::{AllowedRoutes, ListenerSpec, Namespaces},
};
use proxy_config::model::{Certificate, ServerTls};

use super::{hostname::HostName, port::container_port, status::Condition};
use crate::{edge::selector::Selector, object::ObjectName};

/// Whose listener it is: of the Gateway itself or of a ListenerSet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Gateway,
    Set(ObjectName),
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) owner: Owner,
    /// The Gateway, where its proxies have listeners of others as well.
    pub(crate) shared_by: Option<ObjectName>,
    /// Its name within the owner.
    pub(crate) name: String,
    pub(crate) port: u16,
    /// `None`: it is none that is served.
    pub(crate) speaks: Option<Speaks>,
    pub(crate) hostname: HostName,
    /// Which routes may attach.
    pub(crate) kinds: Vec<RouteKind>,
    pub(crate) from: From,
    /// The namespace of the owner.
    pub(crate) namespace: Arc<str>,
    /// What clients are shown.
    pub(crate) tls: Option<ServerTls>,
    pub(crate) certificates: Vec<Arc<Certificate>>,
    pub(crate) verdict: Verdict,
}

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Speaks {
    Http,
    /// HTTP over TLS that ends here.
    Https,
    /// Anything over TLS that ends here.
    Tls,
    /// TLS that goes through.
    Passthrough,
    Tcp,
    Udp,
}

/// The namespaces that may attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    All,
    Same,
    Selected(Selector),
    Nowhere,
}

/// What is wrong with a listener. Reasons are the API's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// It has the port and host of another one.
    pub(crate) conflict: Option<Fault>,
    /// Why it is not accepted otherwise.
    pub(crate) refused: Option<Fault>,
    /// What it refers to cannot be had.
    pub(crate) unresolved: Option<Fault>,
    /// Whether it can be served all the same.
    pub(crate) served_unresolved: bool,
    /// Another listener of the port is for hosts of this one.
    pub(crate) overlaps: Option<String>,
}

/// A reason and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl Speaks {
    /// What a protocol and a mode of TLS mean, or why that is not served.
    pub(crate) fn parse(spec: &ListenerSpec) -> Result<Self, Fault> {
        let mode = spec.tls.as_ref().and_then(|tls| tls.mode.as_deref()).unwrap_or("Terminate");
        let mode_of = |terminate, passthrough: Option<Self>| match (mode, passthrough) {
            ("Terminate", _) => Ok(terminate),
            ("Passthrough", Some(passthrough)) => Ok(passthrough),
            _ => Err(Fault::new(
                "UnsupportedValue",
                format!("`tls.mode: {mode}` is not served for protocol `{}`", spec.protocol),
            )),
        };
        match spec.protocol.as_str() {
            "HTTP" => Ok(Self::Http),
            "HTTPS" => mode_of(Self::Https, None),
            "TLS" => mode_of(Self::Tls, Some(Self::Passthrough)),
            "TCP" => Ok(Self::Tcp),
            "UDP" => Ok(Self::Udp),
            other => Err(Fault::new(
                "UnsupportedProtocol",
                format!("protocol `{other}` is not served: write HTTP, HTTPS, TLS, TCP or UDP"),
            )),
        }
    }

    /// Listeners of one port have equal ones, or they cannot be told apart.
    fn family(self) -> u8 {
        match self {
            Self::Http => 0,
            Self::Https | Self::Tls | Self::Passthrough => 1,
            Self::Tcp => 2,
            Self::Udp => 3,
        }
    }

    /// Whether connections arrive there.
    pub(crate) fn is_tcp(self) -> bool {
        self != Self::Udp
    }

    /// Whether hosts are told apart.
    fn has_hosts(self) -> bool {
        !matches!(self, Self::Tcp | Self::Udp)
    }

    /// The routes that it can have.
    fn kinds(self) -> &'static [RouteKind] {
        match self {
            Self::Http | Self::Https => &[RouteKind::Http, RouteKind::Grpc],
            Self::Tls | Self::Passthrough => &[RouteKind::Tls],
            Self::Tcp => &[RouteKind::Tcp],
            Self::Udp => &[RouteKind::Udp],
        }
    }
}

impl From {
    /// What `from` and `selector` mean.
    pub(crate) fn parse(namespaces: Option<&Namespaces>, absent: Self) -> Self {
        let Some(namespaces) = namespaces else { return absent };
        match namespaces.from.as_deref() {
            None => absent,
            Some("All") => Self::All,
            Some("Same") => Self::Same,
            Some("Selector") => {
                // Without a selector nothing is selected; an empty one selects everything.
                namespaces.selector.as_ref().map_or(Self::Nowhere, |selector| {
                    Selector::of(selector).map_or(Self::Nowhere, Self::Selected)
                })
            }
            Some(_) => Self::Nowhere,
        }
    }

    /// Whether an object of `namespace`, which has these labels, may attach to one of `own`.
    pub(crate) fn admits(
        &self,
        own: &str,
        namespace: &str,
        labels: impl FnOnce() -> std::collections::BTreeMap<String, String>,
    ) -> bool {
        match self {
            Self::All => true,
            Self::Same => own == namespace,
            Self::Selected(selector) => selector.selects(&labels()),
            Self::Nowhere => false,
        }
    }
}

impl Listener {
    /// What is read of a listener, before its certificates and before it is compared with others.
    pub(crate) fn read(owner: Owner, namespace: &Arc<str>, spec: &ListenerSpec) -> Self {
        let mut verdict = Verdict::default();
        let speaks = match Speaks::parse(spec) {
            Ok(speaks) => Some(speaks),
            Err(fault) => {
                verdict.refused = Some(fault);
                None
            }
        };
        if speaks.is_some() && container_port(spec.port).is_none() {
            let message =
                format!("port {} cannot be opened: write one from 1 to {}", spec.port, super::port::LAST);
            verdict.refused = Some(Fault::new("PortUnavailable", message));
        }
        let hostname = match HostName::parse(spec.hostname.as_deref()) {
            // Hosts are not looked at.
            Ok(_) if speaks.is_some_and(|it| !it.has_hosts()) => HostName::Any,
            Ok(hostname) => hostname,
            Err(message) => {
                verdict.refused.get_or_insert_with(|| Fault::new("UnsupportedValue", message));
                HostName::Any
            }
        };
        let absent = AllowedRoutes::default();
        let allowed = spec.allowed_routes.as_ref().unwrap_or(&absent);
        let (kinds, wrong) = kinds(speaks, allowed);
        if !wrong.is_empty() {
            verdict.served_unresolved = !kinds.is_empty();
            let message = format!(
                "protocol `{}` has no routes of kind {}",
                spec.protocol,
                wrong.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ")
            );
            verdict.unresolved = Some(Fault::new("InvalidRouteKinds", message));
        }
        Self {
            owner,
            shared_by: None,
            name: spec.name.clone(),
            port: spec.port,
            speaks,
            hostname,
            kinds,
            from: From::parse(allowed.namespaces.as_ref(), From::Same),
            namespace: Arc::clone(namespace),
            tls: None,
            certificates: Vec::new(),
            verdict,
        }
    }

    /// Its name among all listeners of the proxies: the class of the hosts that it serves.
    pub(crate) fn id(&self) -> String {
        let of_gateway = match &self.owner {
            Owner::Gateway => format!("listener {}", self.name),
            Owner::Set(set) => format!("listener {set} {}", self.name),
        };
        match &self.shared_by {
            None => of_gateway,
            Some(gateway) => format!("gateway {gateway} {of_gateway}"),
        }
    }

    /// Whether it is accepted.
    pub(crate) fn accepted(&self) -> bool {
        self.verdict.conflict.is_none() && self.verdict.refused.is_none()
    }

    /// Whether it is served, as far as that is known here.
    pub(crate) fn served(&self) -> bool {
        self.accepted() && (self.verdict.unresolved.is_none() || self.verdict.served_unresolved)
    }

    /// Whether routes can attach to it at all.
    pub(crate) fn attachable(&self) -> bool {
        self.speaks.is_some() && self.verdict.conflict.is_none()
    }

    /// Its conditions, once it is known what the Gateway lacks.
    pub(crate) fn conditions(&self, lacking: Option<&Fault>) -> Vec<Condition> {
        let Verdict { conflict, refused, unresolved, served_unresolved: _, overlaps } = &self.verdict;
        let mut conditions = Vec::new();
        let not_accepted = conflict.as_ref().or(refused.as_ref());
        conditions.push(match not_accepted {
            Some(fault) => Condition::fails("Accepted", fault.reason, fault.message.clone()),
            None => Condition::holds("Accepted", "Accepted", "the listener is accepted"),
        });
        let not_programmed = match (not_accepted, unresolved) {
            (Some(fault), _) if conflict.is_some() => Some(fault.clone()),
            (Some(fault), _) => Some(Fault::new("Invalid", fault.message.clone())),
            (None, Some(fault)) if !self.served() => Some(Fault::new("Invalid", fault.message.clone())),
            (None, _) => lacking.map(|fault| Fault::new("Pending", fault.message.clone())),
        };
        conditions.push(match not_programmed {
            Some(fault) => Condition::fails("Programmed", fault.reason, fault.message),
            None => Condition::holds("Programmed", "Programmed", "the listener is served"),
        });
        conditions.push(match unresolved {
            Some(fault) => Condition::fails("ResolvedRefs", fault.reason, fault.message.clone()),
            None => Condition::holds("ResolvedRefs", "ResolvedRefs", "everything that it refers to is there"),
        });
        if let Some(fault) = conflict {
            conditions.push(Condition::holds("Conflicted", fault.reason, fault.message.clone()));
        }
        if let Some(message) = overlaps {
            conditions.push(Condition::holds(
                "OverlappingTLSConfig",
                "OverlappingHostnames",
                message.clone(),
            ));
        }
        conditions
    }
}

/// The kinds of routes that a listener can have and is to have, and those that it is to have and cannot.
fn kinds(speaks: Option<Speaks>, allowed: &AllowedRoutes) -> (Vec<RouteKind>, Vec<String>) {
    let Some(speaks) = speaks else { return (Vec::new(), Vec::new()) };
    let possible = speaks.kinds();
    if allowed.kinds.is_empty() {
        return (possible.to_vec(), Vec::new());
    }
    let (mut kinds, mut wrong) = (Vec::new(), Vec::new());
    for it in &allowed.kinds {
        let ours = it.group.as_deref().unwrap_or(GROUP) == GROUP;
        match RouteKind::parse(&it.kind).filter(|kind| ours && possible.contains(kind)) {
            Some(kind) if kinds.contains(&kind) => {}
            Some(kind) => kinds.push(kind),
            None => wrong.push(it.kind.clone()),
        }
    }
    (kinds, wrong)
}

/// Finds the listeners that cannot be told from others. Those of the Gateway come first, then those of its sets in their
/// order: of the Gateway's own none that conflicts is served, of the others the first is.
pub(crate) fn compare(listeners: &mut [Listener]) {
    let own = listeners.iter().filter(|it| it.owner == Owner::Gateway).count();
    let mut faults: Vec<Option<Fault>> = vec![None; listeners.len()];
    for (index, fault) in faults[..own].iter_mut().enumerate() {
        let others = listeners[..own].iter().enumerate().filter(|(other, _)| *other != index);
        *fault = others.map(|(_, it)| it).find_map(|it| conflict(&listeners[index], it));
    }
    for index in own..listeners.len() {
        let before = listeners[..index].iter().zip(&faults[..index]);
        let mut winners = before.filter(|(_, fault)| fault.is_none()).map(|(it, _)| it);
        faults[index] = winners.find_map(|it| conflict(&listeners[index], it));
    }
    for (listener, fault) in listeners.iter_mut().zip(faults) {
        listener.verdict.conflict = fault;
    }
    let overlapping = |one: &Listener| {
        let others = listeners.iter().filter(|it| it.id() != one.id() && it.port == one.port);
        let others = others.filter(|it| it.speaks == Some(Speaks::Https) && it.accepted());
        others.filter(|it| it.hostname.intersect(&one.hostname).is_some()).map(|it| it.name.clone()).next()
    };
    let overlaps: Vec<Option<String>> = listeners
        .iter()
        .map(|it| if it.speaks == Some(Speaks::Https) && it.accepted() { overlapping(it) } else { None })
        .collect();
    for (listener, other) in listeners.iter_mut().zip(overlaps) {
        listener.verdict.overlaps = other.map(|other| {
            format!(
                "listener `{other}` of the same port is for hosts of this one: a client that uses a connection for both \
                 gets 421 and makes another one"
            )
        });
    }
}

/// Finds the listeners that cannot be told from those of older Gateways with the same proxies: these are served.
pub(crate) fn give_way(listeners: &mut [Listener], elders: &[(&ObjectName, &Listener)]) {
    for listener in listeners.iter_mut().filter(|it| it.verdict.conflict.is_none()) {
        let mut served = elders.iter().filter(|(_, it)| it.accepted());
        listener.verdict.conflict = served.find_map(|(gateway, it)| {
            let fault = conflict(listener, it)?;
            let message = format!("{}; Gateway `{gateway}` is older and has the same proxies", fault.message);
            Some(Fault::new(fault.reason, message))
        });
    }
}

/// Why `one` cannot be told from `other`.
fn conflict(one: &Listener, other: &Listener) -> Option<Fault> {
    let (own, theirs) = (one.speaks?, other.speaks?);
    if one.port != other.port || own.is_tcp() != theirs.is_tcp() {
        return None;
    }
    let whose = match &other.owner {
        Owner::Gateway => format!("listener `{}` of the Gateway", other.name),
        Owner::Set(set) => format!("listener `{}` of ListenerSet `{set}`", other.name),
    };
    if own.family() != theirs.family() {
        return Some(Fault::new(
            "ProtocolConflict",
            format!("{whose} speaks another protocol on the same port"),
        ));
    }
    (one.hostname == other.hostname)
        .then(|| Fault::new("HostnameConflict", format!("{whose} has the same port and the same hostname")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn listener(owner: &Owner, spec: &Value) -> Listener {
        Listener::read(owner.clone(), &"infra".into(), &serde_json::from_value(spec.clone()).unwrap())
    }

    fn reasons(listeners: &[Listener]) -> Vec<&'static str> {
        listeners.iter().map(|it| it.verdict.conflict.as_ref().map_or("", |fault| fault.reason)).collect()
    }

    #[test]
    fn listeners_that_cannot_be_told_apart_are_found() {
        let table = [
            (json!([["HTTP", 80, ""], ["HTTP", 80, "a.io"], ["HTTP", 8080, ""]]), vec!["", "", ""]),
            (
                json!([["HTTP", 80, "a.io"], ["HTTP", 80, "A.io"], ["HTTP", 80, "b.io"]]),
                vec!["HostnameConflict", "HostnameConflict", ""],
            ),
            (json!([["HTTP", 80, "a.io"], ["TCP", 80, ""]]), vec!["ProtocolConflict", "ProtocolConflict"]),
            (json!([["HTTPS", 443, "a.io"], ["TLS", 443, "b.io"]]), vec!["", ""]),
            (json!([["TCP", 9000, ""], ["TCP", 9000, "a.io"]]), vec!["HostnameConflict", "HostnameConflict"]),
        ];
        for (specs, expected) in table {
            let read = |(index, it): (usize, &Value)| {
                let spec =
                    json!({"name": format!("l{index}"), "protocol": it[0], "port": it[1], "hostname": it[2]});
                listener(&Owner::Gateway, &spec)
            };
            let mut listeners: Vec<Listener> =
                specs.as_array().unwrap().iter().enumerate().map(read).collect();
            compare(&mut listeners);
            assert_eq!(reasons(&listeners), expected, "{specs}");
        }
    }

    #[test]
    fn of_listeners_of_sets_the_first_is_served() {
        let set = |name: &str| Owner::Set(ObjectName::new("infra", name));
        let spec = |port: u16| json!({"name": "http", "protocol": "HTTP", "port": port});
        let mut listeners = vec![
            listener(&Owner::Gateway, &spec(80)),
            listener(&set("a"), &spec(80)),
            listener(&set("a"), &spec(81)),
            listener(&set("b"), &spec(81)),
        ];
        compare(&mut listeners);
        assert_eq!(reasons(&listeners), ["", "HostnameConflict", "", "HostnameConflict"]);
    }

    #[test]
    fn a_listener_has_the_kinds_that_it_can_have() {
        let kinds = |protocol: &str, kinds: &Value| {
            let spec =
                json!({"name": "a", "protocol": protocol, "port": 80, "allowedRoutes": {"kinds": kinds}});
            let it = listener(&Owner::Gateway, &spec);
            (it.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(), it.served())
        };
        assert_eq!(kinds("HTTP", &json!([])), (vec!["HTTPRoute", "GRPCRoute"], true));
        assert_eq!(
            kinds("HTTP", &json!([{"kind": "HTTPRoute"}, {"kind": "Odd"}])),
            (vec!["HTTPRoute"], true)
        );
        assert_eq!(kinds("HTTP", &json!([{"kind": "TLSRoute"}])), (vec![], false));
        assert_eq!(kinds("TCP", &json!([])), (vec!["TCPRoute"], true));
        assert_eq!(kinds("SCTP", &json!([])), (vec![], false));
        assert_eq!(kinds("HTTP", &json!([{"kind": "HTTPRoute", "group": "other"}])), (vec![], false));
    }
}
