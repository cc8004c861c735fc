//! BackendTLSPolicies: which one counts for a Service, and what it says of TLS towards it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::gateway::policy::{BackendTlsPolicySpec, BackendValidation, PolicyTarget, SubjectAltName};
use proxy_config::model::{Certificate, TlsVersions, Trust, UpstreamTls};

use super::{
    super::{certificates, stores::Stores, wants::Wanted},
    references,
};
use crate::{
    gateway::{hostname::HostName, listener::Fault, objects::Read},
    object::ObjectName,
};

/// All policies.
#[derive(Debug, Default)]
pub(in super::super) struct Policies {
    all: BTreeMap<ObjectName, Read<BackendTlsPolicySpec>>,
    by_service: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
}

/// Whose certificates a policy accepts, and what of that cannot be had.
pub(in super::super) struct Resolved {
    /// Or why nobody's.
    pub(in super::super) trust: Result<Trust, Fault>,
    pub(in super::super) unresolved: Option<Fault>,
}

impl Policies {
    /// Takes a policy, or forgets it. Returns the Services that it is or was for.
    pub(in super::super) fn set(
        &mut self,
        name: &ObjectName,
        policy: Option<Read<BackendTlsPolicySpec>>,
    ) -> BTreeSet<ObjectName> {
        let mut touched = BTreeSet::new();
        if let Some(before) = self.all.remove(name) {
            for service in services(name, &before) {
                if let Some(policies) = self.by_service.get_mut(&service) {
                    policies.remove(name);
                    if policies.is_empty() {
                        self.by_service.remove(&service);
                    }
                }
                touched.insert(service);
            }
        }
        if let Some(policy) = policy {
            for service in services(name, &policy) {
                self.by_service.entry(service.clone()).or_default().insert(name.clone());
                touched.insert(service);
            }
            self.all.insert(name.clone(), policy);
        }
        touched
    }

    pub(in super::super) fn get(&self, name: &ObjectName) -> Option<&Read<BackendTlsPolicySpec>> {
        self.all.get(name)
    }

    /// Those that are for a Service.
    pub(in super::super) fn for_service(&self, service: &ObjectName) -> impl Iterator<Item = &ObjectName> {
        self.by_service.get(service).into_iter().flatten()
    }

    /// The Services that a policy is for.
    pub(in super::super) fn services(&self, name: &ObjectName) -> BTreeSet<ObjectName> {
        self.all.get(name).map(|policy| services(name, policy)).unwrap_or_default()
    }

    /// The policy that counts for the port of a Service: one for that port before one for all, then the older.
    pub(in super::super) fn of(&self, service: &ObjectName, port: &str) -> Option<&ObjectName> {
        let for_port = (!port.is_empty()).then(|| self.oldest(service, Some(port))).flatten();
        for_port.or_else(|| self.oldest(service, None))
    }

    /// The policy that counts in the place of this one.
    pub(in super::super) fn rival(&self, name: &ObjectName) -> Option<&ObjectName> {
        let targets = targets(self.all.get(name)?);
        let oldest = targets.filter_map(|target| {
            self.oldest(&name.sibling(target.name.as_str()), target.section_name.as_deref())
        });
        oldest.into_iter().find(|it| *it != name)
    }

    fn oldest(&self, service: &ObjectName, section: Option<&str>) -> Option<&ObjectName> {
        let policies = self.for_service(service).filter_map(|name| Some((name, self.all.get(name)?)));
        let same = policies.filter(|(_, policy)| {
            targets(policy).any(|it| *it.name == *service.name && it.section_name.as_deref() == section)
        });
        same.min_by_key(|(name, policy)| (policy.created, *name)).map(|(name, _)| name)
    }
}

/// How TLS is spoken to a Service with this policy, and what it is shown.
pub(in super::super) fn upstream_tls(
    stores: &Stores,
    policy: &ObjectName,
    shown: Option<&ObjectName>,
) -> Result<(UpstreamTls, Option<Arc<Certificate>>), String> {
    let within = |reason: &str| format!("BackendTLSPolicy `{policy}`: {reason}");
    let read = stores.gateway.policies.get(policy).ok_or_else(|| within("it does not exist"))?;
    let spec = read.spec.as_ref().map_err(|reason| within(reason))?;
    let trust = resolve(stores, policy, &spec.validation).trust.map_err(|fault| within(&fault.message))?;
    let certificate = match shown {
        None => None,
        Some(secret) => Some(Arc::new(certificates::certificate(stores, secret)?)),
    };
    let names = &spec.validation.subject_alt_names;
    let tls = UpstreamTls {
        server_name: Some(spec.validation.hostname.clone()),
        names: names.iter().filter_map(alternative_name).collect(),
        trust,
        certificate: certificate.as_ref().map(|certificate| certificate.id.clone()),
        versions: TlsVersions::default(),
    };
    Ok((tls, certificate))
}

/// Whose certificates a policy accepts.
pub(in super::super) fn resolve(stores: &Stores, policy: &ObjectName, of: &BackendValidation) -> Resolved {
    if !matches!(HostName::parse(Some(&of.hostname)), Ok(HostName::Exact(_))) {
        let message = format!("`hostname: {}` is not the name of one host", of.hostname);
        return Resolved { trust: Err(Fault::new("Invalid", message)), unresolved: None };
    }
    match of.well_known_ca_certificates.as_deref() {
        Some("System") => return Resolved { trust: Ok(Trust::System), unresolved: None },
        Some(other) => {
            let message = format!("`wellKnownCACertificates: {other}` is not known: write `System`");
            return Resolved { trust: Err(Fault::new("Invalid", message)), unresolved: None };
        }
        None => {}
    }
    let found =
        of.ca_certificate_refs.iter().map(|it| references::authorities(stores, it, &policy.namespace));
    let (texts, faults): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
    let texts: Vec<String> = texts.into_iter().flatten().collect();
    let unresolved = faults.into_iter().find_map(Result::err).map(|problem| match problem {
        references::Missing::Kind(message) => Fault::new("InvalidKind", message),
        references::Missing::Object(message) => Fault::new("InvalidCACertificateRef", message),
    });
    let trust = if texts.is_empty() {
        let message = unresolved.as_ref().map_or("it names no authorities", |fault| &fault.message);
        Err(Fault::new("NoValidCACertificate", message))
    } else {
        Ok(Trust::Ca(texts.join("\n")))
    };
    Resolved { trust, unresolved }
}

/// What a policy refers to.
pub(in super::super) fn wanted(policy: &ObjectName, spec: &BackendTlsPolicySpec) -> BTreeSet<Wanted> {
    let references = &spec.validation.ca_certificate_refs;
    references.iter().filter_map(|it| references::wanted(it, &policy.namespace)).collect()
}

fn services(name: &ObjectName, policy: &Read<BackendTlsPolicySpec>) -> BTreeSet<ObjectName> {
    targets(policy).map(|target| name.sibling(target.name.as_str())).collect()
}

fn targets(policy: &Read<BackendTlsPolicySpec>) -> impl Iterator<Item = &PolicyTarget> {
    let targets = policy.spec.as_ref().map_or(&[][..], |spec| &spec.target_refs);
    targets.iter().filter(|target| target.group.is_empty() && target.kind == "Service")
}

fn alternative_name(name: &SubjectAltName) -> Option<String> {
    match name.kind.as_str() {
        "Hostname" => name.hostname.clone(),
        "URI" => name.uri.clone(),
        _ => None,
    }
}
