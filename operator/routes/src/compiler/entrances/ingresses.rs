//! The names of Ingresses: their certificates, and what becomes of Mappings under them.

use std::collections::BTreeMap;

use proxy_config::model::{Host as ServerNames, HostId, HostMatch};

use super::{
    Draft,
    hosts::{insecure, terminate},
};
use crate::{
    compiler::stores::Stores,
    edge::{InsecureAction, Selects, VirtualHost, tls_context::TlsSettings},
    hostname::{self, check_server_name},
    object::ObjectName,
};

/// The name of all that have no certificate of their own.
const EVERY_NAME: &str = "*";

impl Draft {
    /// The names for which Ingresses have a certificate. Of two with one name the older Ingress counts; a Host of
    /// Emissary with the name goes before. What Hosts that cover a name say of its requests in the clear and of Mappings
    /// holds for it as well. Names without a certificate of their own have the default one.
    pub(super) fn name_ingresses(&mut self, stores: &Stores, default: Option<&ObjectName>) {
        let valid = stores.ingresses.iter().filter_map(|(name, read)| {
            let created = stores.ingress_objects.get(name).map_or(0, |object| object.created);
            Some((created, name, read.as_ref().ok()?))
        });
        let mut sorted: Vec<_> = valid.collect();
        sorted.sort_by_key(|(created, name, _)| (*created, *name));
        let some = !sorted.is_empty();
        if some {
            self.add_every_host();
        }
        for (_, ingress, read) in &sorted {
            self.secrets.extend(read.guard.passwords.as_ref().map(|it| ingress.sibling(it.secret.as_str())));
        }
        let mut taken: BTreeMap<&str, (&ObjectName, &ObjectName)> = BTreeMap::new();
        for (_, ingress, read) in sorted {
            for (host, secret) in &read.tls {
                let Some(secret) = secret.as_ref().or(default) else { continue };
                self.secrets.insert(secret.clone());
                let problem = match taken.get(host.as_str()) {
                    Some((_, shown)) if *shown == secret => None,
                    Some((other, _)) => {
                        Some(format!("`{host}` has the certificate of Ingress `{other}`, which is older"))
                    }
                    None => {
                        taken.insert(host, (ingress, secret));
                        self.name_ingress(stores, host, secret)
                    }
                };
                self.ingress_tls.entry(ingress.clone()).or_default().extend(problem);
            }
        }
        if let Some(default) = default
            && some
            && !taken.contains_key(EVERY_NAME)
        {
            self.secrets.insert(default.clone());
            // Whose names have no other certificate is told what is wrong with it.
            self.name_ingress(stores, EVERY_NAME, default);
        }
    }

    /// Serves TLS for one name; returns why not, if so.
    fn name_ingress(&mut self, stores: &Stores, host: &str, secret: &ObjectName) -> Option<String> {
        if let Err(reason) = check_server_name(host) {
            return Some(format!("TLS is not served for it: {reason}"));
        }
        let name = match host.strip_prefix('*') {
            Some("") => HostMatch::Any,
            Some(tail) => HostMatch::Label(tail.to_owned()),
            None => HostMatch::Exact(host.to_owned()),
        };
        if self
            .server_names
            .values()
            .any(|other| other.tls.is_some() && other.names.iter().any(|it| it == host))
        {
            return Some(format!("a Host decides about TLS for `{host}`"));
        }
        let (tls, certificate) = match terminate(stores, secret, &TlsSettings::default()) {
            Ok(made) => made,
            Err(reason) => return Some(format!("TLS is not served for `{host}`: {reason}")),
        };
        let probe = host.replacen('*', "any", 1);
        let covers = |it: &&VirtualHost| hostname::holds(&it.name, &probe);
        let cover = self.hosts.values().filter(covers).max_by_key(|it| it.specificity());
        let (selects, action) =
            cover.map_or((Selects::Nothing, InsecureAction::Route), |it| (it.selects.clone(), it.insecure));
        // A Host without TLS for the very name has it by this now.
        self.server_names.retain(|_, other| other.names != [host]);
        let id = HostId::new(format!("ingress {host}"));
        let names = ServerNames {
            id: id.clone(),
            names: vec![host.to_owned()],
            listeners: Vec::new(),
            tls: Some(tls),
            insecure: insecure(action),
            class: selects.class(),
        };
        let listeners = self.http_ports().cloned().collect();
        let served = VirtualHost { name, listeners, tls: true, selects, insecure: action };
        self.certificates.insert(id.clone(), certificate);
        self.server_names.insert(id.clone(), names);
        self.hosts.insert(id, served);
        None
    }

    /// Where Hosts say which names are served, rules of Ingresses are for others as well.
    fn add_every_host(&mut self) {
        if self.hosts.values().any(|host| host.name == HostMatch::Any) {
            return;
        }
        let host = VirtualHost {
            name: HostMatch::Any,
            listeners: self.http_ports().cloned().collect(),
            tls: false,
            selects: Selects::Nothing,
            insecure: InsecureAction::Route,
        };
        self.hosts.insert(HostId::new("ingress"), host);
    }
}
