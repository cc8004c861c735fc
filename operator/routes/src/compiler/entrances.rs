//! Ports, hosts and their certificates. They are computed together: what a port speaks depends on the hosts that are
//! bound to it, and there are far fewer of them than routes.

mod ingresses;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proxy_config::model::{
    Certificate, ClientValidation, Host as ServerNames, HostId, HostMatch, Insecure, Listener, ListenerId,
    Protocol, ProxyProtocol, Security, ServerTls, Unverified,
};

use super::{
    Compiler, Pending, certificates,
    stores::{Read, Stores},
    subject, verdict,
    wants::{Wanted, Wanter},
};
use crate::{
    compat::Compat,
    compiled::{State, Status, Subject},
    edge::{
        InsecureAction, Port, Selects, VirtualHost,
        host::Host,
        listener::{Binding, Speaks},
        tls_context::{TlsContext, TlsSettings},
    },
    hostname::{self, parse_glob, server_name},
    object::ObjectName,
    scope::Scope,
    tcp::TcpKey,
};

/// The listener for TLS where there are no Listeners.
const UNASKED_TLS: &str = "https";
/// The port of `https` that clients are redirected to.
const HTTPS: u16 = 443;

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

    /// The Hosts; without any, one for every name.
    fn read_hosts(&mut self, stores: &Stores) {
        // Of one name the last Host counts, as in Emissary.
        let mut names: BTreeMap<String, (&ObjectName, &Read<Host>)> = BTreeMap::new();
        let mut sorted: Vec<_> = stores.hosts.iter().collect();
        sorted.sort_by_key(|(_, read)| &read.load_key);
        for (name, read) in sorted {
            match &read.value {
                Err(reason) => drop(self.statuses.insert(subject(read), verdict::inactive(reason.clone()))),
                Ok(host) => {
                    let missing = host.secret.as_ref().filter(|secret| stores.secret(secret).is_none());
                    self.secrets.extend(host.secret.clone());
                    if let (Compat::Strict, Some(secret)) = (stores.compat, missing) {
                        let reason = format!("Secret `{secret}` does not exist");
                        self.statuses.insert(subject(read), verdict::inactive(reason));
                        continue;
                    }
                    if let Some((_, before)) = names.insert(hostname::show(&host.name), (name, read)) {
                        let reason = format!("Host `{name}` has the same `hostname` and comes later");
                        self.statuses.insert(subject(before), verdict::inactive(reason));
                    }
                }
            }
        }
        for (name, read) in names.into_values() {
            if let Ok(host) = &read.value {
                self.add_host(stores, name, read, host);
            }
        }
        let none = match stores.compat {
            Compat::Ideal => !stores.has_hosts(),
            Compat::Strict => self.hosts.is_empty(),
        };
        if none {
            let selects = if stores.compat == Compat::Strict { Selects::Named } else { Selects::All };
            let host = VirtualHost {
                name: HostMatch::Any,
                listeners: self.http_ports().cloned().collect(),
                tls: false,
                selects,
                insecure: InsecureAction::Route,
            };
            let id = HostId::new("*");
            if host.selects == Selects::Named {
                let names = ServerNames {
                    id: id.clone(),
                    names: vec!["*".to_owned()],
                    listeners: Vec::new(),
                    tls: None,
                    insecure: Insecure::Route,
                    class: host.selects.class(),
                };
                self.server_names.insert(id.clone(), names);
            }
            self.hosts.insert(id, host);
        }
    }

    fn add_host(&mut self, stores: &Stores, name: &ObjectName, read: &Read<Host>, host: &Host) {
        let id = HostId::new(format!("host {name}"));
        let bound = |open: &Open| {
            open.bound.as_ref().is_none_or(|(listener, binding)| binding.takes(listener, name, &host.labels))
        };
        let listeners: BTreeSet<ListenerId> =
            self.http_ports().filter(|id| self.ports.get(*id).is_some_and(bound)).cloned().collect();
        let mut remarks = host.remarks.clone();
        let (tls, problem) = match self.server_tls(stores, host) {
            Ok(tls) => (tls, None),
            Err(reason) => (None, Some(format!("TLS is not served for it: {reason}"))),
        };
        let odd = match &host.name {
            HostMatch::Prefix(_) => true,
            HostMatch::Suffix(tail) => !tail.starts_with('.'),
            _ => false,
        };
        // Envoy finds no server name with a star in such a place.
        let tls = tls.filter(|_| stores.compat == Compat::Ideal || !odd);
        let served = VirtualHost {
            name: host.name.clone(),
            listeners: listeners.clone(),
            tls: tls.is_some() && server_name(&host.name).is_some(),
            selects: match &host.selector {
                Some(selector) => Selects::Labels(selector.clone()),
                None => Selects::Named,
            },
            insecure: host.insecure,
        };
        match server_name(&host.name) {
            Some(server_name) => {
                let taken = self.server_names.values().any(|other| other.names.contains(&server_name));
                if taken {
                    remarks.push(format!("another Host decides about TLS for `{server_name}`"));
                } else {
                    let (tls, certificate) = tls.unzip();
                    if let Some(certificate) = certificate {
                        self.certificates.insert(id.clone(), certificate);
                    }
                    let names = ServerNames {
                        id: id.clone(),
                        names: vec![server_name],
                        listeners: listeners.into_iter().collect(),
                        tls,
                        insecure: insecure(host.insecure),
                        class: served.selects.class(),
                    };
                    // Bound to no port it would be bound to all.
                    if !names.listeners.is_empty() {
                        self.server_names.insert(id.clone(), names);
                    }
                }
            }
            None => remarks.push(
                "a name with a port and `*` is not served: write the names, or leave the port out".to_owned(),
            ),
        }
        let unbound = served.listeners.is_empty().then(|| "no Listener serves it".to_owned());
        let state = if problem.is_some() || unbound.is_some() { State::Inactive } else { State::Running };
        let sentences: Vec<String> = unbound.into_iter().chain(problem).chain(remarks).collect();
        self.statuses.insert(subject(read), Status { state, reason: sentences.join("; ") });
        self.hosts.insert(id, served);
    }

    /// How TLS is spoken for a Host; `None`: it asks for none.
    fn server_tls(
        &mut self,
        stores: &Stores,
        host: &Host,
    ) -> Result<Option<(ServerTls, Arc<Certificate>)>, String> {
        let context = match &host.context {
            None => None,
            Some(name) => {
                let read = stores.tls_contexts.get(name);
                let read = read.ok_or_else(|| format!("TLSContext `{name}` does not exist"));
                Some(read.and_then(|read| {
                    read.value.as_ref().map_err(|reason| format!("TLSContext `{name}`: {reason}"))
                }))
            }
        };
        // Emissary ends TLS only for Hosts with a Secret of their own.
        let context = match (context, stores.compat) {
            (None | Some(Err(_)), Compat::Strict) => None,
            (context, _) => context.transpose()?,
        };
        let own = host.secret.as_ref();
        let others =
            context.and_then(|context| context.secret.as_ref()).filter(|_| stores.compat == Compat::Ideal);
        let Some(secret) = own.or(others) else {
            let settings =
                host.settings.as_ref().map(|_| "`tls` without `tlsSecret` has no certificate".to_owned());
            return match settings {
                Some(reason) if stores.compat == Compat::Ideal => Err(reason),
                _ => Ok(None),
            };
        };
        let standard = TlsSettings::default();
        let settings =
            host.settings.as_ref().or_else(|| context.map(|context| &context.settings)).unwrap_or(&standard);
        self.secrets.extend([&settings.authorities, &settings.revoked].into_iter().flatten().cloned());
        let tls = terminate(stores, secret, settings)?;
        Ok(Some(tls))
    }

    /// TLS contexts with `hosts`: before there were Hosts, these were the names that TLS was terminated for.
    fn name_contexts(&mut self, stores: &Stores) {
        let mut sorted: Vec<(&ObjectName, &Read<TlsContext>)> = stores.tls_contexts.iter().collect();
        sorted.sort_by_key(|(_, read)| &read.load_key);
        for (name, read) in sorted {
            let context = match &read.value {
                Ok(context) => context,
                Err(reason) => {
                    self.statuses.insert(subject(read), verdict::inactive(reason.clone()));
                    continue;
                }
            };
            let settings = &context.settings;
            let secrets = [&context.secret, &settings.authorities, &settings.revoked];
            self.secrets.extend(secrets.into_iter().flatten().cloned());
            let mut status = verdict::running(context.remarks.join("; "));
            let before_hosts = !stores.has_hosts() && stores.compat == Compat::Ideal;
            if before_hosts
                && !context.hosts.is_empty()
                && let Some(secret) = &context.secret
            {
                match terminate(stores, secret, settings) {
                    Err(reason) => status = verdict::inactive(reason),
                    Ok((tls, certificate)) => {
                        let id = HostId::new(format!("context {name}"));
                        let known: BTreeSet<&String> =
                            self.server_names.values().flat_map(|it| &it.names).collect();
                        let names = context.hosts.iter().filter(|host| !known.contains(host));
                        let names: Vec<String> = names.cloned().collect();
                        if !names.is_empty() {
                            self.certificates.insert(id.clone(), certificate);
                            let action = if settings.redirects {
                                InsecureAction::Redirect
                            } else {
                                InsecureAction::Route
                            };
                            self.add_names(name, &names, action);
                            let names = ServerNames {
                                id: id.clone(),
                                names,
                                listeners: Vec::new(),
                                tls: Some(tls),
                                insecure: insecure(action),
                                class: String::new(),
                            };
                            self.server_names.insert(id, names);
                        }
                    }
                }
            }
            self.statuses.insert(subject(read), status);
        }
    }

    /// The names of a TLS context as hosts that have every route.
    fn add_names(&mut self, context: &ObjectName, names: &[String], insecure: InsecureAction) {
        for (name, text) in names.iter().filter_map(|text| Some((parse_glob(text).ok()?, text))) {
            let host = VirtualHost {
                name,
                listeners: self.http_ports().cloned().collect(),
                tls: true,
                selects: Selects::All,
                insecure,
            };
            self.hosts.insert(HostId::new(format!("context {context} {text}")), host);
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

fn insecure(action: InsecureAction) -> Insecure {
    match action {
        InsecureAction::Redirect => Insecure::Redirect(HTTPS),
        InsecureAction::Reject => Insecure::Reject,
        InsecureAction::Route => Insecure::Route,
    }
}

/// What is shown with a certificate.
fn terminate(
    stores: &Stores,
    secret: &ObjectName,
    settings: &TlsSettings,
) -> Result<(ServerTls, Arc<Certificate>), String> {
    let certificate = certificates::certificate(stores, secret)?;
    let client = match &settings.authorities {
        None if settings.required => {
            return Err("`cert_required` needs `ca_secret`: who signs the certificates of clients".to_owned());
        }
        None => None,
        Some(authorities) => Some(ClientValidation {
            ca: certificates::authorities(stores, authorities)?,
            unverified: if settings.required { Unverified::Refused } else { Unverified::MayBeAbsent },
            crls: settings
                .revoked
                .iter()
                .map(|it| certificates::revoked(stores, it))
                .collect::<Result<_, _>>()?,
        }),
    };
    let tls = ServerTls {
        certificates: vec![certificate.id.clone()],
        versions: settings.versions,
        alpn: settings.alpn.clone(),
        client,
    };
    Ok((tls, Arc::new(certificate)))
}
