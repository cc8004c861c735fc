//! Which zones an endpoint is for.

use std::sync::Arc;

use proxy_config::model::Endpoint;

use crate::object::{Service, SliceEndpoint};

/// The zones whose proxies prefer an endpoint: those that the hints of its slice name, which Kubernetes writes for Services
/// with a `trafficDistribution` or the annotation `service.kubernetes.io/topology-mode`. Where it has not, and the Service
/// asks for its clients' own zone, that of the endpoint.
pub(super) fn zones(service: &Service, endpoint: &SliceEndpoint) -> Vec<Arc<str>> {
    if endpoint.hints.is_empty() && service.prefers_zone {
        endpoint.zone.iter().cloned().collect()
    } else {
        endpoint.hints.clone()
    }
}

/// One endpoint that gets requests and is for no zone means that the picture is not whole, and then none is for any, as with
/// kube-proxy: otherwise one that is new would get nothing.
pub(super) fn all_or_none(endpoints: &mut [Endpoint]) {
    if endpoints.iter().any(|it| it.draining.is_none() && it.zones.is_empty()) {
        for it in endpoints {
            it.zones.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proxy_config::model::{Address, Draining, Version};

    use super::*;
    use crate::object::EndpointCondition;

    #[test]
    fn hints_go_before_what_the_service_asks_for() {
        for (prefers_zone, zone, hints, expected) in [
            (false, Some("east"), &[][..], &[][..]),
            (false, Some("east"), &["west"], &["west"]),
            (true, Some("east"), &[], &["east"]),
            (true, Some("east"), &["east", "west"], &["east", "west"]),
            (true, None, &[], &[]),
        ] {
            let endpoint = SliceEndpoint {
                address: [198, 18, 0, 1].into(),
                condition: EndpointCondition::Ready,
                pod: None,
                zone: zone.map(Into::into),
                hints: hints.iter().copied().map(Into::into).collect(),
            };
            let found = zones(&Service { prefers_zone, ..Service::default() }, &endpoint);
            assert!(
                found.iter().map(AsRef::as_ref).eq(expected.iter().copied()),
                "{prefers_zone} {endpoint:?}"
            );
        }
    }

    #[test]
    fn one_endpoint_without_zones_takes_those_of_all() {
        let endpoint = |zone: &str, draining: bool| Endpoint {
            address: Address::Socket(([198, 18, 0, 1], 80).into()),
            version: Version::default(),
            pod: "".into(),
            draining: draining.then(Draining::default),
            zones: Some(zone).filter(|it| !it.is_empty()).into_iter().map(Into::into).collect(),
        };
        for (endpoints, left) in [
            (vec![endpoint("east", false), endpoint("west", false)], 2),
            (vec![endpoint("east", false), endpoint("", false)], 0),
            (vec![endpoint("east", false), endpoint("", true)], 1),
        ] {
            let mut given = endpoints.clone();
            all_or_none(&mut given);
            assert_eq!(given.iter().filter(|it| !it.zones.is_empty()).count(), left, "{endpoints:?}");
        }
    }
}
