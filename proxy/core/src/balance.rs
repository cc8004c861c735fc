//! Which endpoint of an arm takes a request: the less loaded of two drawn at random.
//!
//! Two choices keep the most loaded endpoint close to the average without looking at all of them, and unlike
//! least-of-all they do not send every worker to the same idle endpoint at the same time (Mitzenmacher 2001).

use std::sync::Arc;

use crate::endpoint::{Endpoint, EndpointId};

/// The endpoint for the next try, or `None` if every endpoint was tried or there is none.
///
/// `tried` are the endpoints that could not be reached for this request; `random` is a fresh random number.
#[must_use]
pub fn pick<'a>(
    endpoints: &'a [Arc<Endpoint>],
    tried: &[EndpointId],
    random: u64,
) -> Option<&'a Arc<Endpoint>> {
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
    use proxy_config::model::{Address, Version};

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
}
