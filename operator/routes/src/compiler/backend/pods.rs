//! The pods of a Service as endpoints: which of them there are, and which get requests.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::SocketAddr,
    sync::Arc,
};

use litemap::LiteMap;
use proxy_config::model::{Address, Draining, Endpoint, Version};

use super::{super::stores::Stores, Backend, BackendKey, slow_start::slow_start, zones};
use crate::{
    compiled::{ObjectKind, ObjectVersion},
    object::{EndpointCondition, ObjectName, Service, ServicePort, SliceEndpoint},
};

impl BackendKey {
    /// The backend of the pods behind a port of a Service; `id` is the beginning of the cluster's.
    pub(super) fn pods(
        &self,
        stores: &Stores,
        name: &ObjectName,
        service: &Service,
        port: &ServicePort,
        id: String,
    ) -> Backend {
        let slices: Vec<_> =
            stores.slices(name).filter(|(_, slice)| slice.family == service.family).collect();
        // An endpoint may be in two slices while it moves from one to the other.
        let mut found: BTreeMap<SocketAddr, Found> = BTreeMap::new();
        for (_, slice) in &slices {
            let Some(number) = slice.ports.get(&port.name) else { continue };
            for endpoint in &slice.endpoints {
                let Some(candidate) = Found::new(stores, name, service, endpoint) else { continue };
                match found.entry(SocketAddr::new(endpoint.address, *number)) {
                    Entry::Occupied(known) if known.get().standing <= candidate.standing => {}
                    Entry::Occupied(mut known) => drop(known.insert(candidate)),
                    Entry::Vacant(place) => drop(place.insert(candidate)),
                }
            }
        }
        let best = found.values().map(|it| it.standing).min();
        let (mut ready, mut needed) = (LiteMap::<Arc<str>, u32>::with_capacity(1), BTreeSet::new());
        let mut endpoints = Vec::with_capacity(found.len());
        for (address, Found { standing, leaving, pod, version, zones }) in found {
            let draining = (Some(standing) != best).then(|| leaving.unwrap_or_default());
            if draining.is_none() {
                *ready.entry(version.hash.clone()).or_default() += 1;
                if leaving.is_some() {
                    needed.insert(name.sibling(pod.clone()));
                }
            }
            endpoints.push(Endpoint { address: Address::Socket(address), version, pod, draining, zones });
        }
        zones::all_or_none(&mut endpoints);
        let remark = (!needed.is_empty()).then(|| {
            format!(
                "every pod of Service `{}` was chosen to go, and they get requests until there is another",
                name.name
            )
        });
        let versions = slices.into_iter().map(|(slice_name, slice)| ObjectVersion {
            kind: ObjectKind::EndpointSlice,
            object: name.sibling(slice_name.clone()),
            resource_version: slice.resource_version.clone(),
        });
        let mut cluster = self.cluster(id, endpoints);
        let of_pods = Arc::make_mut(&mut cluster);
        of_pods.checks.clone_from(&self.connection().checks);
        let slow_start = slow_start(name, service, &of_pods.balance.policy);
        let (slow_start_ms, slow_start_remark) =
            slow_start.map_or_else(|remark| (None, Some(remark)), |it| (it, None));
        of_pods.balance.slow_start_ms = slow_start_ms;
        let remark =
            remark.into_iter().chain(slow_start_remark).reduce(|one, other| format!("{one}; {other}"));
        Backend {
            ready,
            needed,
            versions: versions.collect(),
            certificate: None,
            cluster,
            service: None,
            problem: None,
            remark,
        }
    }
}

/// One endpoint that answers.
struct Found {
    standing: Standing,
    leaving: Option<Draining>,
    pod: Arc<str>,
    version: Version,
    zones: Vec<Arc<str>>,
}

/// Which endpoints are better than others: only the best of a Service are picked, and there is always a best. So
/// pods that were chosen to go get nothing unless all were; and with nothing else, pods that end and still answer
/// are better than none (as kube-proxy does).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    terminating: bool,
    leaving: bool,
}

impl Found {
    /// `None` for an endpoint that does not answer.
    fn new(stores: &Stores, name: &ObjectName, service: &Service, endpoint: &SliceEndpoint) -> Option<Self> {
        let terminating = match endpoint.condition {
            EndpointCondition::Ready => false,
            EndpointCondition::Terminating => true,
            EndpointCondition::NotReady => return None,
        };
        let pod = endpoint.pod.as_ref().map(|pod| name.sibling(pod.clone()));
        let leaving = pod.as_ref().and_then(|pod| stores.leaving(pod));
        let hash = pod.as_ref().map_or_else(|| "".into(), |pod| stores.hash(pod));
        Some(Self {
            standing: Standing { terminating, leaving: leaving.is_some() },
            leaving,
            pod: endpoint.pod.clone().unwrap_or_else(|| "".into()),
            version: Version { namespace: name.namespace.clone(), hash },
            zones: zones::zones(service, endpoint),
        })
    }
}
