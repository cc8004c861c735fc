//! The ports that the proxies of Gateways open, and the hosts that are told apart there. Each listener of the Gateway is
//! a host of the proxies: who has the most specific name takes a request, and no other is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::gateway::{GatewayClassSpec, GatewaySpec};
use proxy_config::model::{
    Host, HostId, Insecure, Listener as ProxyListener, ListenerId, Protocol, Security,
};

use super::served::Served;
use crate::gateway::{
    Address, AddressKind, Demand, DemandedPort, Transport,
    listener::{Listener, Speaks},
    objects::Read,
    port::container_port,
};
use crate::{object::ObjectName, scope::Scope};

/// The id of the proxies' listener that stands for a listener's port. Ports of UDP are others than those of TCP.
pub(super) fn port_id(listener: &Listener) -> ListenerId {
    let of_udp = if listener.speaks == Some(Speaks::Udp) { " udp" } else { "" };
    ListenerId::new(format!("port {}{of_udp}", listener.port))
}

/// The ports that are opened.
pub(super) fn listeners(served: &Served) -> BTreeMap<ListenerId, Arc<ProxyListener>> {
    let mut listeners = BTreeMap::new();
    for listener in served.listeners.iter().filter(|it| it.served()) {
        let (Some(speaks), Some(port)) = (listener.speaks, container_port(listener.port)) else { continue };
        let protocol = match speaks {
            Speaks::Http => Protocol::Http,
            Speaks::Https | Speaks::Tls | Speaks::Passthrough => Protocol::Https,
            Speaks::Tcp => Protocol::Tcp,
            Speaks::Udp => Protocol::Udp,
        };
        let id = port_id(listener);
        let opened = ProxyListener {
            id: id.clone(),
            port,
            protocol,
            security: Security::Connection,
            trusted_hops: 0,
            reject_misdirected: protocol == Protocol::Https,
            proxy_protocol: None,
        };
        listeners.insert(id, Arc::new(opened));
    }
    listeners
}

/// The hosts. `ended` are the server names of TLSRoutes that listeners end TLS for.
pub(super) fn hosts(
    served: &Served,
    ended: &BTreeMap<usize, BTreeSet<String>>,
) -> BTreeMap<HostId, Arc<Host>> {
    let mut hosts = BTreeMap::new();
    for (index, listener) in served.listeners.iter().enumerate().filter(|(_, it)| it.served()) {
        let names = match listener.speaks {
            Some(Speaks::Http | Speaks::Https) => vec![listener.hostname.show()],
            Some(Speaks::Tls) => ended.get(&index).into_iter().flatten().cloned().collect(),
            Some(Speaks::Passthrough | Speaks::Tcp | Speaks::Udp) | None => Vec::new(),
        };
        if names.is_empty() {
            continue;
        }
        let id = HostId::new(listener.id());
        hosts.insert(id.clone(), Arc::new(host(id, names, listener)));
    }
    hosts
}

fn host(id: HostId, names: Vec<String>, listener: &Listener) -> Host {
    Host {
        class: id.as_str().to_owned(),
        id,
        names,
        listeners: vec![port_id(listener)],
        tls: listener.tls.clone(),
        insecure: Insecure::Route,
    }
}

/// What the Gateway asks of its proxies.
pub(super) fn demand(
    uid: &Arc<str>,
    generation: i64,
    spec: &GatewaySpec,
    class_parameters: Option<&crds::gateway::class::ParametersReference>,
    served: &Served,
) -> Demand {
    let infrastructure = spec.infrastructure.clone().unwrap_or_default();
    Demand {
        uid: Arc::clone(uid),
        generation,
        class: spec.gateway_class_name.as_str().into(),
        class_parameters: class_parameters.cloned(),
        parameters: infrastructure.parameters_ref,
        labels: infrastructure.labels,
        annotations: infrastructure.annotations,
        addresses: addresses(spec),
        ports: ports(served).collect(),
        members: BTreeMap::new(),
    }
}

/// What the Gateways of a class ask of the proxies that they share: those that are served by them, and those that will be.
pub(super) fn shared_demand(
    scope: &Scope,
    class: &Arc<str>,
    read: &Read<GatewayClassSpec>,
    sharing: &[(&ObjectName, &GatewaySpec, &Served)],
) -> Demand {
    let members = sharing.iter().filter(|(_, _, served)| served.place.home == *scope);
    Demand {
        uid: Arc::clone(&read.uid),
        generation: read.generation,
        class: Arc::clone(class),
        class_parameters: read.spec.as_ref().ok().and_then(|spec| spec.parameters_ref.clone()),
        ports: sharing.iter().flat_map(|(_, _, served)| ports(served)).collect(),
        members: members.map(|(name, spec, _)| ((*name).clone(), addresses(spec))).collect(),
        ..Demand::default()
    }
}

/// The ports that are opened.
fn ports(served: &Served) -> impl Iterator<Item = DemandedPort> {
    served.listeners.iter().filter(|it| it.served()).filter_map(|it| {
        let transport = if it.speaks?.is_tcp() { Transport::Tcp } else { Transport::Udp };
        Some(DemandedPort { port: it.port, transport, container: container_port(it.port)? })
    })
}

/// The addresses that are asked for.
fn addresses(spec: &GatewaySpec) -> Vec<Address> {
    let address = |it: &crds::gateway::listener::AddressSpec| Address {
        kind: AddressKind::parse(it.kind.as_deref()),
        value: it.value.clone().unwrap_or_default(),
    };
    spec.addresses.iter().map(address).collect()
}
