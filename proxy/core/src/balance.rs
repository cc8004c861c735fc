//! Which endpoint of an arm takes a request.
//!
//! By default the less loaded of two drawn at random. Two choices keep the most loaded endpoint close to the average
//! without looking at all of them, and unlike least-of-all they do not send every worker to the same idle endpoint at the
//! same time (Mitzenmacher 2001). A cluster may ask for another rule: one after the other, or by a hash.

mod consistent;
mod hash;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderMap;
use proxy_config::model::BalancePolicy;

pub use self::hash::Affinity;
use self::{consistent::Places, hash::Key};
use crate::{
    endpoint::{Endpoint, EndpointId},
    padded::Padded,
};

/// The rule of one cluster with its endpoints, ready to be asked.
#[derive(Debug, Default)]
pub struct Balancer {
    endpoints: Box<[Arc<Endpoint>]>,
    rule: Rule,
}

#[derive(Debug, Default)]
enum Rule {
    #[default]
    LeastRequest,
    RoundRobin(Arc<Turns>),
    Hash(Box<(Key, Places)>),
}

/// Whose turn it is in a cluster, for as long as the cluster exists; shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Turns(Padded<AtomicU64>);

impl Balancer {
    /// Prepares a rule. `turns` are those of the cluster.
    pub(crate) fn new(
        endpoints: Box<[Arc<Endpoint>]>,
        policy: &BalancePolicy,
        turns: impl FnOnce() -> Arc<Turns>,
    ) -> Self {
        let hashed =
            |key, places| Key::new(key).map_or(Rule::LeastRequest, |key| Rule::Hash(Box::new((key, places))));
        let rule = match policy {
            BalancePolicy::LeastRequest => Rule::LeastRequest,
            BalancePolicy::RoundRobin => Rule::RoundRobin(turns()),
            BalancePolicy::RingHash(key, size) => hashed(key, Places::ring(&endpoints, *size)),
            BalancePolicy::Maglev(key) => hashed(key, Places::maglev(&endpoints)),
        };
        Self { endpoints, rule }
    }

    /// The endpoints.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// Whether the endpoint depends on the request.
    #[must_use]
    pub fn asks(&self) -> bool {
        matches!(self.rule, Rule::Hash(..))
    }

    /// What of a request decides its endpoint; nothing under rules that do not ask. `random` is a fresh random number.
    #[must_use]
    pub fn affinity(&self, headers: &HeaderMap, client: IpAddr, random: impl FnOnce() -> u64) -> Affinity {
        match &self.rule {
            Rule::LeastRequest | Rule::RoundRobin(_) => Affinity::default(),
            Rule::Hash(hash) => hash.0.affinity(headers, client, random()),
        }
    }

    /// The endpoint for the next try, or `None` if every endpoint was tried or there is none.
    ///
    /// `tried` are the endpoints that could not be reached for this request; `random` is a fresh random number.
    #[must_use]
    pub fn pick(&self, affinity: &Affinity, tried: &[EndpointId], random: u64) -> Option<&Arc<Endpoint>> {
        let by_index = |index: usize| self.endpoints.get(index).filter(|it| !tried.contains(&it.id));
        match (&self.rule, affinity.hash) {
            (Rule::RoundRobin(turns), _) => {
                let turn = turns.0.0.fetch_add(1, Ordering::Relaxed);
                let count = self.endpoints.len().max(1) as u64;
                let first = usize::try_from(turn % count).unwrap_or_default();
                (first..self.endpoints.len()).chain(0..first).find_map(by_index)
            }
            (Rule::Hash(rule), Some(hash)) => {
                let (_, places) = &**rule;
                places.from(hash).find_map(by_index).or_else(|| pick(&self.endpoints, tried, random))
            }
            (Rule::LeastRequest | Rule::Hash(..), _) => pick(&self.endpoints, tried, random),
        }
    }
}

/// The less loaded of two.
fn pick<'a>(endpoints: &'a [Arc<Endpoint>], tried: &[EndpointId], random: u64) -> Option<&'a Arc<Endpoint>> {
    if tried.is_empty() {
        return two_choices(endpoints.len(), random, |index| &endpoints[index]);
    }
    let left: Vec<_> = endpoints.iter().filter(|it| !tried.contains(&it.id)).collect();
    two_choices(left.len(), random, |index| left[index])
}

fn two_choices<'a>(
    count: usize,
    random: u64,
    endpoint: impl Fn(usize) -> &'a Arc<Endpoint>,
) -> Option<&'a Arc<Endpoint>> {
    match count {
        0 => None,
        1 => Some(endpoint(0)),
        _ => {
            let first = below(random & u64::from(u32::MAX), count);
            let second = below(random >> 32, count - 1);
            let second = if second >= first { second + 1 } else { second };
            let (first, second) = (endpoint(first), endpoint(second));
            Some(if second.in_flight() < first.in_flight() { second } else { first })
        }
    }
}

/// A number below `limit` from 32 random bits, without a division.
fn below(random: u64, limit: usize) -> usize {
    let product = u128::from(random) * limit as u128;
    usize::try_from(product >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use proxy_config::model::{Address, HashKey, Version};

    use super::*;

    fn endpoints(loads: &[u32]) -> Vec<Arc<Endpoint>> {
        let endpoint = |(index, load): (usize, &u32)| {
            let address = Address::Name { host: format!("pod-{index}"), port: 80 };
            let endpoint = Endpoint::new(EndpointId(index as u64), address, Version::default(), "".into());
            (0..*load).for_each(|_| endpoint.enter());
            Arc::new(endpoint)
        };
        loads.iter().enumerate().map(endpoint).collect()
    }

    proptest! {
        #[test]
        fn what_was_tried_is_not_picked_again(loads in vec(0..5_u32, 0..6), tried in vec(0..6_u64, 0..6), random: u64) {
            let endpoints = endpoints(&loads);
            let tried: Vec<_> = tried.into_iter().map(EndpointId).collect();
            let picked = pick(&endpoints, &tried, random).map(|it| it.id);
            prop_assert!(picked.is_none_or(|it| !tried.contains(&it)));
            prop_assert_eq!(picked.is_none(), endpoints.iter().all(|it| tried.contains(&it.id)));
        }

        #[test]
        fn of_two_the_less_loaded_is_picked(random: u64) {
            let endpoints = endpoints(&[3, 2]);
            prop_assert_eq!(pick(&endpoints, &[], random).map(|it| it.id), Some(EndpointId(1)));
        }

        #[test]
        fn the_most_loaded_of_many_is_never_picked(random: u64) {
            let endpoints = endpoints(&[1, 9, 1, 1]);
            prop_assert_ne!(pick(&endpoints, &[], random).map(|it| it.id), Some(EndpointId(1)));
        }
    }

    #[test]
    fn equal_endpoints_share_evenly() {
        let endpoints = endpoints(&[0; 5]);
        let mut picked = [0_u32; 5];
        let mut random = 1_u64;
        for _ in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let id = pick(&endpoints, &[], random ^ (random >> 29)).unwrap().id;
            picked[usize::try_from(id.0).unwrap()] += 1;
        }
        assert!(picked.iter().all(|it| it.abs_diff(2_000) < 250), "{picked:?}");
    }

    fn balancer(count: usize, policy: &BalancePolicy) -> Balancer {
        Balancer::new(endpoints(&vec![0; count]).into(), policy, Arc::default)
    }

    fn by_header(header: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static("x-user"),
            http::HeaderValue::from_static(header),
        )])
    }

    fn picked(balancer: &Balancer, user: u64, tried: &[EndpointId]) -> Option<EndpointId> {
        let mut headers = by_header("");
        headers.insert("x-user", http::HeaderValue::from(user));
        let affinity = balancer.affinity(&headers, IpAddr::from([198, 18, 0, 9]), || 1);
        balancer.pick(&affinity, tried, 1).map(|it| it.id)
    }

    #[test]
    fn one_after_the_other_takes_turns_and_leaves_out_what_was_tried() {
        let balancer = balancer(3, &BalancePolicy::RoundRobin);
        let next = |tried: &[u64]| {
            let tried: Vec<_> = tried.iter().copied().map(EndpointId).collect();
            balancer.pick(&Affinity::default(), &tried, 1).map(|it| it.id.0)
        };
        assert_eq!([next(&[]), next(&[]), next(&[]), next(&[])], [Some(0), Some(1), Some(2), Some(0)]);
        assert_eq!([next(&[1]), next(&[2, 0]), next(&[0, 1, 2])], [Some(2), Some(1), None]);
    }

    fn hashes() -> [BalancePolicy; 2] {
        let key = || HashKey::Header("x-user".into());
        [BalancePolicy::RingHash(key(), 1024), BalancePolicy::Maglev(key())]
    }

    #[test]
    fn the_same_user_goes_to_the_same_endpoint_and_users_are_spread() {
        for policy in hashes() {
            let (one, other) = (balancer(5, &policy), balancer(5, &policy));
            let mut counts = [0_u32; 5];
            for user in 0..5_000 {
                let id = picked(&one, user, &[]).unwrap();
                assert_eq!(picked(&other, user, &[]), Some(id), "another proxy");
                counts[usize::try_from(id.0).unwrap()] += 1;
            }
            assert!(counts.iter().all(|it| (700..1_300).contains(it)), "{policy:?} {counts:?}");
        }
    }

    #[test]
    fn when_an_endpoint_goes_only_its_users_move() {
        for policy in hashes() {
            let (before, after) = (balancer(7, &policy), balancer(6, &policy));
            let moved = (0..5_000).filter(|user| {
                let was = picked(&before, *user, &[]).unwrap();
                was.0 < 6 && picked(&after, *user, &[]) != Some(was)
            });
            // A ring moves nobody else, Maglev a few.
            let most = if matches!(policy, BalancePolicy::Maglev(_)) { 250 } else { 0 };
            assert!(moved.count() <= most, "{policy:?}");
        }
    }

    #[test]
    fn an_endpoint_that_cannot_be_reached_is_left_out() {
        for policy in hashes() {
            let balancer = balancer(2, &policy);
            for user in 0..50 {
                let first = picked(&balancer, user, &[]).unwrap();
                let second = picked(&balancer, user, &[first]).unwrap();
                assert_ne!(first, second);
                assert_eq!(picked(&balancer, user, &[first, second]), None);
            }
            assert!(picked(&self::balancer(0, &policy), 1, &[]).is_none());
        }
    }
}
