//! Endpoints of the proxy's own zone, and which requests stay with them.

use std::sync::Arc;

use proxy_config::model::{self, BalancePolicy};

use crate::{
    balance::{Balancer, Turns},
    endpoint::{Endpoint, EndpointId},
};

/// What the endpoints of a zone carry of the requests made in it, in percent of the share of them that is fit: one in four
/// may be unfit before requests leave the zone (Envoy's `overprovisioning_factor`).
const CARRIED: u64 = 140;

/// The endpoints of a cluster that proxies of this one's zone prefer.
#[derive(Debug)]
pub(super) struct Near {
    pub(super) balancer: Balancer,
}

impl Near {
    /// `None` if no endpoint comes before another: all are near or none is, the proxy knows of no zone, or the balancer goes
    /// by a hash, which has to give the same endpoint in every zone. `routable` are the endpoints of the cluster that take
    /// new requests, in their order.
    pub(super) fn new(
        zone: Option<&str>,
        cluster: &model::Cluster,
        routable: &[Arc<Endpoint>],
        turns: impl FnOnce() -> Arc<Turns>,
    ) -> Option<Self> {
        let zone = zone?;
        match cluster.balance.policy {
            BalancePolicy::LeastRequest | BalancePolicy::RoundRobin => {}
            BalancePolicy::RingHash(..) | BalancePolicy::Maglev(_) => return None,
        }
        let members = cluster.endpoints.iter().filter(|it| it.draining.is_none()).zip(routable);
        let near = members.filter(|(it, _)| it.zones.iter().any(|other| **other == *zone));
        let near: Box<[_]> = near.map(|(_, endpoint)| Arc::clone(endpoint)).collect();
        let differs = !near.is_empty() && near.len() < routable.len();
        differs.then(|| Self { balancer: Balancer::new(near, &cluster.balance.policy, turns) })
    }

    /// Whether a request stays in the zone: each does while enough of its endpoints are fit, and of what these do not carry
    /// only a share. `random` is a fresh random number.
    pub(super) fn keeps(&self, unfit: &[EndpointId], random: u64) -> bool {
        if unfit.is_empty() {
            return true;
        }
        let endpoints = self.balancer.endpoints();
        let fit = endpoints.iter().filter(|it| !unfit.contains(&it.id)).count();
        let (carried, all) = (fit as u64 * CARRIED, endpoints.len() as u64 * 100);
        // Of the 2^64 random numbers, as many in proportion.
        carried >= all || u128::from(random) * u128::from(all) < u128::from(carried) << u64::BITS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proxy_config::model::{Address, ClusterId, HashKey, Version};

    use super::*;

    /// A cluster whose endpoints have these zones, and those of it that are near in `a`.
    fn near(zones: &[&str], policy: &BalancePolicy) -> Option<(Near, Vec<Arc<Endpoint>>)> {
        let address = |index| Address::Name { host: format!("pod-{index}"), port: 80 };
        let endpoints = zones.iter().enumerate().map(|(index, zones)| model::Endpoint {
            address: address(index),
            version: Version::default(),
            pod: "".into(),
            draining: None,
            zones: zones.split(',').filter(|it| !it.is_empty()).map(Into::into).collect(),
        });
        let mut cluster = model::Cluster::plain(ClusterId::new("c"), 1, endpoints.collect());
        cluster.balance.policy = policy.clone();
        let endpoint = |index| {
            let id = EndpointId(index as u64);
            Arc::new(Endpoint::new(id, address(index), Version::default(), "".into()))
        };
        let all: Vec<_> = (0..zones.len()).map(endpoint).collect();
        Some((Near::new(Some("a"), &cluster, &all, Arc::default)?, all))
    }

    #[test]
    fn what_is_near_is_what_some_and_not_all_are() {
        let hash = BalancePolicy::Maglev(HashKey::SourceIp);
        for (zones, policy, expected) in [
            (&["a", "b", "a,b"][..], BalancePolicy::LeastRequest, Some(vec![0, 2])),
            (&["b", "a"], BalancePolicy::RoundRobin, Some(vec![1])),
            (&["a", ""], BalancePolicy::LeastRequest, Some(vec![0])),
            (&["a", "a"], BalancePolicy::LeastRequest, None),
            (&["b", "b"], BalancePolicy::LeastRequest, None),
            (&["", ""], BalancePolicy::LeastRequest, None),
            (&["a", "b"], hash, None),
        ] {
            let found = near(zones, &policy);
            let found = found.map(|(near, _)| near.balancer.endpoints().iter().map(|it| it.id.0).collect());
            assert_eq!(found, expected, "{zones:?} {policy:?}");
        }
    }

    proptest! {
        #[test]
        fn a_zone_keeps_what_its_fit_endpoints_carry(random: u64) {
            let (near, all) = near(&["a", "a", "a", "a", "b"], &BalancePolicy::LeastRequest).unwrap();
            let unfit = |count: usize| all[..count].iter().map(|it| it.id).collect::<Vec<_>>();
            prop_assert!(near.keeps(&[], random) && near.keeps(&[all[4].id], random));
            prop_assert!(near.keeps(&unfit(1), random), "three of four carry all");
            let of_all = (u128::from(random) * 100) >> u64::BITS;
            prop_assert_eq!(near.keeps(&unfit(2), random), of_all < 70, "two of four carry 70 of 100");
            prop_assert_eq!(near.keeps(&unfit(3), random), of_all < 35);
            prop_assert!(!near.keeps(&unfit(4), random));
        }
    }
}
