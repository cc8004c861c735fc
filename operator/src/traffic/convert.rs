//! From the wire to the engine's types. Nothing is folded or left out here.

use std::fmt;

use operator_core::traffic::{Arm, Cohort, Load, ObjectName, Proxy, Served, Split, Version, View};
use proxy_config::wire::traffic as wire;

/// `Arm.written` of an arm whose object has no weight.
const NO_WEIGHT: u32 = 101;

/// A message that does not keep to the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// Not `namespace/name`.
    #[error("{0:?} is not namespace/name")]
    Name(String),
    /// Not a percentage.
    #[error("{0} is not a weight")]
    Weight(u32),
}

/// A proxy.
pub(super) fn proxy(proxy: wire::Proxy) -> Result<Proxy, Malformed> {
    Ok(Proxy { pod: name(&proxy.pod)?, id: proxy.id, known: proxy.known, scope: proxy.scope })
}

/// A split.
pub(super) fn split(split: wire::SplitState) -> Result<Split, Malformed> {
    Ok(Split {
        id: split.id,
        scope: split.scope,
        views: split.views.into_iter().map(view).collect::<Result<_, _>>()?,
        compiled: split.compiled.map(served).transpose()?,
        problem: Some(split.problem).filter(|it| !it.is_empty()),
    })
}

/// Requests under way to one version of pods.
pub(super) fn load(load: &wire::VersionLoad) -> (VersionName, Load) {
    let version = VersionName { namespace: load.namespace.clone(), hash: load.hash.clone() };
    (version, Load { in_flight: load.in_flight, routable: load.routable, settled: load.settled })
}

/// Requests that began in one second.
pub(super) fn cohort(cohort: wire::Cohort) -> Cohort {
    let wire::Cohort { second, split, arm, namespace: _, hash, requests, bad, shares, ended } = cohort;
    Cohort { second, split, arm, hash, requests, bad, shares, ended }
}

/// Requests under way to one pod that was chosen to go.
pub(super) fn pod_load(load: wire::PodLoad) -> Result<(ObjectName, PodLoad), Malformed> {
    let wire::PodLoad { pod, hash, in_flight, routable, settled } = load;
    let pod = name(&pod)?;
    let version = VersionName { namespace: pod.namespace.clone(), hash };
    Ok((pod, PodLoad { version, load: Load { in_flight, routable, settled } }))
}

/// What is told of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodLoad {
    pub(super) version: VersionName,
    pub(super) load: Load,
}

/// One version of pods in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionName {
    /// Namespace.
    pub namespace: String,
    /// `rollouts-pod-template-hash`.
    pub hash: String,
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.hash)
    }
}

fn view(view: wire::View) -> Result<View, Malformed> {
    Ok(View { served: view.served.map(served).transpose()?, proxies: view.proxies })
}

fn served(served: wire::Served) -> Result<Served, Malformed> {
    Ok(Served {
        arms: served.arms.into_iter().map(arm).collect::<Result<_, _>>()?,
        versions: served.versions.into_iter().map(version).collect::<Result<_, _>>()?,
    })
}

fn arm(arm: wire::Arm) -> Result<Arm, Malformed> {
    let written = match arm.written {
        NO_WEIGHT => None,
        weight @ 0..=100 => i32::try_from(weight).ok(),
        other => return Err(Malformed::Weight(other)),
    };
    Ok(Arm {
        id: arm.id,
        mapping: name(&arm.mapping)?,
        // Empty for an arm that goes to an address or a DNS name.
        service: if arm.service.is_empty() { ObjectName::new("", "") } else { name(&arm.service)? },
        written,
        share: arm.share,
        endpoints: arm.endpoints.into_iter().map(|it| (it.hash, it.ready)).collect(),
    })
}

fn version(version: wire::Version) -> Result<Version, Malformed> {
    Ok(Version {
        object: name(&version.object)?,
        kind: version.kind,
        resource_version: version.resource_version,
    })
}

pub(super) fn name(text: &str) -> Result<ObjectName, Malformed> {
    let (namespace, name) = text.split_once('/').ok_or_else(|| Malformed::Name(text.to_owned()))?;
    Ok(ObjectName::new(namespace, name))
}
