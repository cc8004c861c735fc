//! The Hosts, and TLS contexts that have names of their own: who decides about a name, and what is shown for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proxy_config::model::{
    Certificate, ClientValidation, Host as ServerNames, HostId, HostMatch, Insecure, ListenerId, ServerTls,
    Unverified,
};

use super::{
    super::{
        certificates,
        stores::{Read, Stores},
        subject, verdict,
    },
    Draft, Open,
};
use crate::{
    compat::Compat,
    compiled::{State, Status},
    edge::{
        InsecureAction, Selects, VirtualHost,
        host::Host,
        tls_context::{TlsContext, TlsSettings},
    },
    hostname::{self, parse_glob, server_name},
    object::ObjectName,
};

/// The port of `https` that clients are redirected to.
const HTTPS: u16 = 443;

impl Draft {
    /// The Hosts; without any, one for every name.
    pub(super) fn read_hosts(&mut self, stores: &Stores) {
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
    pub(super) fn name_contexts(&mut self, stores: &Stores) {
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
}

pub(super) fn insecure(action: InsecureAction) -> Insecure {
    match action {
        InsecureAction::Redirect => Insecure::Redirect(HTTPS),
        InsecureAction::Reject => Insecure::Reject,
        InsecureAction::Route => Insecure::Route,
    }
}

/// What is shown with a certificate.
pub(super) fn terminate(
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
