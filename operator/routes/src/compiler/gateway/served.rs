//! A Gateway with everything that decides about its listeners: its class, its ListenerSets, Secrets, grants.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::gateway::{
    GatewaySpec,
    listener::{FrontendValidation, ListenerSpec},
};
use proxy_config::model::{Certificate, ClientValidation, ServerTls, TlsVersions, Unverified};

use super::{
    super::{stores::Stores, wants::Wanted},
    references::{self, Missing},
};
use crate::{
    gateway::{
        grants::Referrer,
        listener::{self, Fault, From, Listener, Owner, Speaks},
        sharing::{self, Place},
    },
    object::ObjectName,
    scope::Scope,
};

/// A Gateway of one of our classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Served {
    /// The controller of its class.
    pub(super) controller: Arc<str>,
    /// The proxies that serve it.
    pub(super) place: Place,
    /// Its own, then those of its ListenerSets in their order.
    pub(super) listeners: Vec<Listener>,
    /// ListenerSets that name it and that it does not allow.
    pub(super) refused_sets: BTreeSet<ObjectName>,
    /// What its backends with TLS are shown.
    pub(super) shown: Option<ObjectName>,
    /// Why they cannot be.
    pub(super) unresolved: Option<Fault>,
    /// Whether it has a certificate for backends at all.
    pub(super) refers: bool,
    /// Whether clients with bad certificates, or without, are let in somewhere.
    pub(super) insecure: bool,
    /// Why its spec cannot be read.
    pub(super) unreadable: Option<String>,
    pub(super) wanted: BTreeSet<Wanted>,
}

/// The Gateway as it is served; `None` if it is not ours.
pub(super) fn compile(stores: &Stores, controllers: &[String], name: &ObjectName) -> Option<Served> {
    let objects = &stores.gateway;
    let read = objects.gateways.get(name)?;
    // Its class is not known: whether it is ours is not either.
    let spec = read.spec.as_ref().ok()?;
    let class = objects.classes.get(spec.gateway_class_name.as_str())?.spec.as_ref().ok()?;
    if !controllers.contains(&class.controller_name) {
        return None;
    }
    let place = place(stores, name)?;
    let parameters = sharing::parameters(class.parameters_ref.as_ref());
    let mut served = Served {
        controller: class.controller_name.as_str().into(),
        place,
        listeners: Vec::new(),
        refused_sets: BTreeSet::new(),
        shown: None,
        unresolved: None,
        refers: false,
        insecure: false,
        unreadable: None,
        wanted: parameters.into_iter().map(Wanted::ConfigMap).collect(),
    };
    served.show_to_backends(stores, name, spec);
    let own = spec.listeners.iter().map(|it| (Owner::Gateway, &name.namespace, it));
    let mut specs: Vec<(Owner, &Arc<str>, &ListenerSpec)> = own.collect();
    let allowed = spec.allowed_listeners.as_ref().and_then(|it| it.namespaces.as_ref());
    let allowed = From::parse(allowed, From::Nowhere);
    let mut sets: Vec<_> = objects
        .of_gateway
        .get(name)
        .into_iter()
        .flatten()
        .filter_map(|set| objects.sets.get_key_value(set))
        .collect();
    sets.sort_by_key(|(set, read)| (read.created, *set));
    for (set, read) in sets {
        let Ok(of_set) = &read.spec else { continue };
        if !allowed.admits(&name.namespace, &set.namespace, || objects.labels(&set.namespace)) {
            served.refused_sets.insert(set.clone());
            continue;
        }
        specs.extend(of_set.listeners.iter().map(|it| (Owner::Set(set.clone()), &set.namespace, it)));
    }
    served.listeners =
        specs.iter().map(|(owner, namespace, spec)| Listener::read(owner.clone(), namespace, spec)).collect();
    if matches!(served.place.home, Scope::Class(_)) {
        served.listeners.iter_mut().for_each(|it| it.shared_by = Some(name.clone()));
    }
    listener::compare(&mut served.listeners);
    for (index, (owner, namespace, listener)) in specs.iter().enumerate() {
        let kind = match owner {
            Owner::Gateway => "Gateway",
            Owner::Set(_) => "ListenerSet",
        };
        served.terminate(stores, index, Referrer { kind, namespace }, listener, spec, name);
    }
    Some(served)
}

/// The proxies that serve a Gateway, and those that are to: its own, or those that it shares with others of its class.
pub(super) fn place(stores: &Stores, name: &ObjectName) -> Option<Place> {
    let objects = &stores.gateway;
    let class = objects.gateways.get(name)?.spec.as_ref().ok()?.gateway_class_name.as_str();
    let spec = objects.classes.get(class)?.spec.as_ref().ok()?;
    let own = Scope::Gateway(name.clone());
    let Some(parameters) = sharing::parameters(spec.parameters_ref.as_ref()) else {
        return Some(Place { home: own, next: None });
    };
    let shared = Scope::Class(parameters.sibling(class));
    let made = objects.proxies.contains_key(&shared);
    let is_shared = sharing::is_asked_for(objects.config_maps.get(&parameters), made);
    Some(sharing::place(&own, &shared, is_shared, &objects.proxies))
}

impl Served {
    /// What backends with TLS are shown.
    fn show_to_backends(&mut self, stores: &Stores, name: &ObjectName, spec: &GatewaySpec) {
        let backend = spec.tls.as_ref().and_then(|tls| tls.backend.as_ref());
        let Some(reference) = backend.and_then(|it| it.client_certificate_ref.as_ref()) else { return };
        self.refers = true;
        self.wanted.extend(references::wanted(reference, &name.namespace));
        let from = Referrer { kind: "Gateway", namespace: &name.namespace };
        match references::certificate(stores, reference, from, "InvalidClientCertificateRef") {
            Ok(_) => self.shown = Some(references::target(reference, &name.namespace)),
            Err(fault) => self.unresolved = Some(fault),
        }
    }

    /// What clients of a listener are shown, and what is asked of them.
    fn terminate(
        &mut self,
        stores: &Stores,
        index: usize,
        from: Referrer<'_>,
        spec: &ListenerSpec,
        gateway: &GatewaySpec,
        name: &ObjectName,
    ) {
        let speaks = self.listeners[index].speaks;
        if !matches!(speaks, Some(Speaks::Https | Speaks::Tls)) {
            return;
        }
        let references = spec.tls.as_ref().map_or(&[][..], |tls| &tls.certificate_refs);
        let namespace = Arc::clone(&self.listeners[index].namespace);
        self.wanted.extend(references.iter().filter_map(|it| references::wanted(it, &namespace)));
        let found =
            references.iter().map(|it| references::certificate(stores, it, from, "InvalidCertificateRef"));
        let (certificates, faults): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
        let mut certificates: Vec<Arc<Certificate>> = certificates.into_iter().flatten().collect();
        // Twice the same is once.
        let mut seen = BTreeSet::new();
        certificates.retain(|it| seen.insert(it.id.clone()));
        let fault = faults.into_iter().find_map(Result::err).or_else(|| {
            references.is_empty().then(|| {
                Fault::new("InvalidCertificateRef", "`tls.certificateRefs` names no certificate to show")
            })
        });
        let client = (speaks == Some(Speaks::Https))
            .then(|| validation(gateway, spec.port))
            .flatten()
            .map(|validation| self.ask_clients(stores, validation, name));
        let listener = &mut self.listeners[index];
        if let Some(fault) = fault {
            // One that clients cannot be shown keeps no other from being shown.
            listener.verdict.served_unresolved = !certificates.is_empty() && !listener.kinds.is_empty();
            listener.verdict.unresolved = Some(fault);
        }
        let client = match client {
            None => None,
            Some((unresolved, Err(fault))) => {
                listener.verdict.unresolved = unresolved.or_else(|| Some(fault.clone()));
                listener.verdict.served_unresolved = false;
                listener.verdict.refused.get_or_insert(fault);
                return;
            }
            Some((unresolved, Ok(client))) => {
                if let Some(fault) = unresolved
                    && listener.verdict.unresolved.is_none()
                {
                    listener.verdict.served_unresolved = true;
                    listener.verdict.unresolved = Some(fault);
                }
                Some(client)
            }
        };
        if certificates.is_empty() {
            return;
        }
        listener.tls = Some(ServerTls {
            certificates: certificates.iter().map(|it| it.id.clone()).collect(),
            versions: TlsVersions::default(),
            alpn: Vec::new(),
            client,
        });
        listener.certificates = certificates;
    }

    /// Which certificates of clients are accepted: what of that cannot be had, and what can or why nothing.
    fn ask_clients(
        &mut self,
        stores: &Stores,
        validation: &FrontendValidation,
        name: &ObjectName,
    ) -> (Option<Fault>, Result<ClientValidation, Fault>) {
        let (mut texts, mut unresolved) = (Vec::new(), None);
        let from = Referrer { kind: "Gateway", namespace: &name.namespace };
        for reference in &validation.ca_certificate_refs {
            let wanted = references::wanted(reference, &name.namespace);
            self.wanted.extend(wanted.clone());
            let permitted = match &wanted {
                Some(Wanted::ConfigMap(to)) => references::permitted(stores, from, "ConfigMap", to),
                Some(Wanted::Secret(to)) => references::permitted(stores, from, "Secret", to),
                None => Ok(()),
            };
            let found = permitted.and_then(|()| {
                references::authorities(stores, reference, &name.namespace).map_err(|missing| match missing {
                    Missing::Kind(message) => Fault::new("InvalidCACertificateKind", message),
                    Missing::Object(message) => Fault::new("InvalidCACertificateRef", message),
                })
            });
            match found {
                Ok(text) => texts.push(text),
                Err(fault) => drop(unresolved.get_or_insert(fault)),
            }
        }
        let unverified = match validation.mode.as_deref() {
            Some("AllowInsecureFallback") => Unverified::Accepted,
            _ => Unverified::Refused,
        };
        self.insecure |= unverified == Unverified::Accepted;
        if texts.is_empty() {
            let message =
                unresolved.as_ref().map_or("it names no authorities", |fault: &Fault| &fault.message);
            return (unresolved.clone(), Err(Fault::new("NoValidCACertificate", message)));
        }
        (unresolved, Ok(ClientValidation { ca: texts.join("\n"), unverified, crls: Vec::new() }))
    }

    /// The listeners of an owner.
    pub(super) fn of_owner(&self, owner: &Owner) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(move |it| it.owner == *owner)
    }

    /// The certificates that its listeners show, each once.
    pub(super) fn certificates(&self) -> BTreeMap<String, &Arc<Certificate>> {
        let served = self.listeners.iter().filter(|it| it.served());
        served.flat_map(|it| &it.certificates).map(|it| (it.id.to_string(), it)).collect()
    }

    /// The ListenerSets that add listeners.
    pub(super) fn sets(&self) -> BTreeSet<&ObjectName> {
        let owners = self.listeners.iter().map(|it| &it.owner);
        owners
            .filter_map(|owner| match owner {
                Owner::Gateway => None,
                Owner::Set(set) => Some(set),
            })
            .collect()
    }
}

/// What is asked of clients of a port.
fn validation(gateway: &GatewaySpec, port: u16) -> Option<&FrontendValidation> {
    let frontend = gateway.tls.as_ref()?.frontend.as_ref()?;
    let own = frontend.per_port.iter().find(|it| it.port == port).map(|it| &it.tls);
    own.unwrap_or(&frontend.default).validation.as_ref()
}
