//! Ports, hosts and their certificates. They are computed together: what a port speaks depends on the hosts that are
//! bound to it, and there are far fewer of them than routes.

mod hosts;
mod ingresses;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proxy_config::model::{
    Certificate, Host as ServerNames, HostId, Listener, ListenerId, Protocol, ProxyProtocol, Security,
};

use super::{
    Compiler, Pending, certificates,
    stores::Stores,
    subject, verdict,
    wants::{Wanted, Wanter},
};
use crate::{
    compat::Compat,
    compiled::{Status, Subject},
    edge::{
        Port, VirtualHost,
        listener::{Binding, Speaks},
    },
    object::ObjectName,
    scope::Scope,
    tcp::TcpKey,
};

/// The listener for TLS where there are no Listeners.
const UNASKED_TLS: &str = "https";

/// Everything about entrances, before it is compared with what there was.
#[derive(Default)]
struct Draft {
    ports: BTreeMap<ListenerId, Open>,
    hosts: BTreeMap<HostId, VirtualHost>,
    server_names: BTreeMap<HostId, ServerNames>,
    certificates: BTreeMap<HostId, Arc<Certificate>>,
    statuses: BTreeMap<Subject, Status>,
    secrets: BTreeSet<ObjectName>,
    /// What is wrong with the names of Ingresses.
    ingress_tls: BTreeMap<ObjectName, Vec<String>>,
}

/// A port, and who asks for it.
struct Open {
    number: u16,
    speaks: Speaks,
    /// Whether connections begin with a header of the PROXY protocol.
    proxied: bool,
    security: Security,
    trusted_hops: u32,
    /// The Listener that asks for it, if it is one.
    bound: Option<(ObjectName, Binding)>,
}

impl Compiler {
    /// Computes all entrances.
    pub(super) fn compile_entrances(&mut self, pending: &mut Pending) {
        let mut draft = Draft::default();
        draft.open_ports(&self.stores, &self.settings);
        draft.read_hosts(&self.stores);
        draft.name_contexts(&self.stores);
        draft.name_ingresses(&self.stores, self.settings.default_certificate.as_ref());
        draft.close_without_certificates();
        draft.open_for_connections(self.connections.keys());
        let Draft { ports, hosts, server_names, certificates, statuses, secrets, ingress_tls } = draft;
        self.ingress_tls = ingress_tls;

        let mut listeners = BTreeMap::new();
        let mut taken = BTreeMap::new();
        let mut verdicts = Vec::new();
        for (id, open) in &ports {
            let (listener, port, remark) = open.close(id, &hosts, &server_names);
            let carries = self.connections.keys().any(|key| key.port == open.number);
            let idle =
                open.bound.is_some() && !carries && !hosts.values().any(|host| host.listeners.contains(id));
            verdicts.push((open.bound.as_ref().map(|(name, _)| name.clone()), idle, remark));
            if !idle {
                listeners.insert(id.clone(), Arc::new(listener));
                taken.extend(port.map(|port| (id.clone(), Arc::new(port))));
            }
        }
        for (name, idle, remark) in verdicts {
            let Some(read) = name.and_then(|name| self.stores.listeners.get(&name)) else { continue };
            let Ok(listener) = &read.value else { continue };
            let status = if idle {
                verdict::inactive("it is not opened: no Host and no TCPMapping belongs to it".to_owned())
            } else {
                let remarks: Vec<String> = listener.remarks.iter().cloned().chain(remark).collect();
                verdict::running(remarks.join("; "))
            };
            pending.statuses.insert(subject(read), Some(status));
        }
        for (subject, status) in statuses {
            pending.statuses.insert(subject, Some(status));
        }
        pending.ports.replace_all(self.compiled.ports.keys(), taken);
        pending.fleet.listeners.replace_all(self.compiled.config.listeners.keys(), listeners);
        let shared = |values: BTreeMap<HostId, VirtualHost>| {
            values.into_iter().map(|(id, value)| (id, Arc::new(value))).collect()
        };
        pending.hosts.replace_all(self.compiled.hosts.keys(), shared(hosts));
        let shared = server_names.into_iter().map(|(id, value)| (id, Arc::new(value))).collect();
        pending.fleet.server_names.replace_all(self.compiled.config.hosts.keys(), shared);
        let before = std::mem::replace(&mut self.host_certificates, certificates);
        for certificate in self.host_certificates.values() {
            certificates::replace(&mut self.certificates, &Scope::Fleet, None, Some(certificate), pending);
        }
        for certificate in before.into_values() {
            certificates::replace(&mut self.certificates, &Scope::Fleet, Some(&certificate), None, pending);
        }
        let wanted = secrets.into_iter().map(Wanted::Secret).collect();
        self.wants.set(&Wanter::Entrances, wanted, pending);
    }
}

impl Draft {
    /// The ports of Listeners; without any that can be read those of the settings, so that a first one with a mistake
    /// closes no port.
    fn open_ports(&mut self, stores: &Stores, settings: &super::Settings) {
        let hops = stores.module.trusted_hops();
        if !stores.has_listeners() && stores.compat == Compat::Ideal {
            for read in stores.listeners.values() {
                if let Err(reason) = &read.value {
                    self.statuses.insert(subject(read), verdict::inactive(reason.clone()));
                }
            }
            let hosts = stores.hosts.values().filter_map(|read| read.value.as_ref().ok());
            let more = hosts.filter_map(|host| host.additional_port).collect::<BTreeSet<u16>>();
            let plain = |number| Open {
                number,
                speaks: Speaks::Http,
                proxied: false,
                security: Security::ForwardedProto,
                trusted_hops: hops.unwrap_or(0),
                bound: None,
            };
            self.ports.insert(ListenerId::new("http"), plain(settings.listener_port));
            let tls = Open { speaks: Speaks::Https, ..plain(settings.tls_port) };
            self.ports.insert(ListenerId::new(UNASKED_TLS), tls);
            for port in
                more.into_iter().filter(|port| ![settings.listener_port, settings.tls_port].contains(port))
            {
                self.ports.insert(ListenerId::new(format!("http {port}")), plain(port));
            }
            return;
        }
        let mut by_port: BTreeMap<u16, &ObjectName> = BTreeMap::new();
        let mut sorted: Vec<_> = stores.listeners.iter().collect();
        sorted.sort_by_key(|(_, read)| &read.load_key);
        for (name, read) in sorted {
            let listener = match &read.value {
                Ok(listener) => listener,
                Err(reason) => {
                    self.statuses.insert(subject(read), verdict::inactive(reason.clone()));
                    continue;
                }
            };
            if let Some(first) = by_port.get(&listener.port) {
                let reason = format!("port {} is that of Listener `{first}`", listener.port);
                self.statuses.insert(subject(read), verdict::inactive(reason));
                continue;
            }
            by_port.insert(listener.port, name);
            let open = Open {
                number: listener.port,
                speaks: listener.speaks,
                proxied: listener.proxied,
                security: listener.security,
                trusted_hops: listener.trusted_hops.or(hops).unwrap_or(0),
                bound: Some((name.clone(), listener.binding.clone())),
            };
            self.ports.insert(ListenerId::new(format!("listener {name}")), open);
        }
    }

    /// The port for TLS that nobody asked for stays closed as long as there is nothing to show on it.
    fn close_without_certificates(&mut self) {
        let id = ListenerId::new(UNASKED_TLS);
        if self.server_names.values().any(|names| names.tls.is_some()) || self.ports.remove(&id).is_none() {
            return;
        }
        for host in self.hosts.values_mut() {
            host.listeners.remove(&id);
        }
        for names in self.server_names.values_mut() {
            names.listeners.retain(|listener| *listener != id);
        }
    }

    /// Ports that TCPMappings ask for and no Listener has.
    fn open_for_connections<'a>(&mut self, keys: impl Iterator<Item = &'a TcpKey>) {
        for key in keys {
            if self.ports.values().any(|open| open.number == key.port) {
                continue;
            }
            let open = Open {
                number: key.port,
                speaks: if key.host.is_some() { Speaks::Tls } else { Speaks::Tcp },
                proxied: false,
                security: Security::ForwardedProto,
                trusted_hops: 0,
                bound: None,
            };
            self.ports.insert(super::connections::listener(key.port), open);
        }
    }

    fn http_ports(&self) -> impl Iterator<Item = &ListenerId> {
        let http = |open: &Open| matches!(open.speaks, Speaks::Http | Speaks::Https);
        self.ports.iter().filter(move |(_, open)| http(open)).map(|(id, _)| id)
    }
}

impl Open {
    /// The port as the proxies open it, and as it takes HTTP, once the hosts are known.
    fn close(
        &self,
        id: &ListenerId,
        hosts: &BTreeMap<HostId, VirtualHost>,
        names: &BTreeMap<HostId, ServerNames>,
    ) -> (Listener, Option<Port>, Option<String>) {
        let of_contexts = names.values().any(|names| names.tls.is_some() && names.listeners.is_empty());
        let certificates = of_contexts || hosts.values().any(|host| host.tls && host.listeners.contains(id));
        let (protocol, remark) = match self.speaks {
            Speaks::Http => (Protocol::Http, None),
            Speaks::Https if !certificates => (Protocol::Http, None),
            // One port speaks one protocol: the ports that are known for HTTP in the clear stay so.
            Speaks::Https if [80, 8080].contains(&self.number) => {
                (Protocol::Http, Some("TLS is not spoken on this port: open another one for it".to_owned()))
            }
            Speaks::Tcp => (Protocol::Tcp, None),
            Speaks::Https | Speaks::Tls => (Protocol::Https, None),
        };
        let listener = Listener {
            id: id.clone(),
            port: self.number,
            protocol,
            security: self.security,
            trusted_hops: self.trusted_hops,
            reject_misdirected: false,
            // Emissary believes every peer there.
            proxy_protocol: self.proxied.then(ProxyProtocol::default),
        };
        let port = matches!(self.speaks, Speaks::Http | Speaks::Https).then(|| Port {
            number: self.number,
            tls: self.speaks == Speaks::Https,
            cleartext: true,
            security: self.security,
            trusted_hops: self.trusted_hops,
        });
        (listener, port, remark)
    }
}
