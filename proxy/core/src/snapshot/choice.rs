//! Which endpoint of a cluster takes a try: the balancer's rule over those that are fit for it.

use std::{sync::Arc, time::Duration};

use proxy_config::model::UnixMillis;

use super::Cluster;
use crate::{
    balance::{Affinity, Balancer},
    endpoint::{Endpoint, EndpointId},
};

impl Cluster {
    /// The endpoint for the next try; `None` if each could not be reached, or there is none.
    ///
    /// Endpoints in `avoided`, those that failed too often and those that do not pass a health check are picked only where
    /// there is nobody else: a fault that all share is no reason to have nobody. Of the others those of the proxy's zone come
    /// first, as far as they carry what is made there. A cluster that looks at none of this is not asked for the time and
    /// allocates nothing.
    #[must_use]
    pub fn pick(
        &self,
        affinity: &Affinity,
        unreachable: &[EndpointId],
        avoided: &[EndpointId],
        random: u64,
        now: impl Fn() -> UnixMillis,
    ) -> Option<&Arc<Endpoint>> {
        let from = |balancer, tried: &[_]| match self.slow_start {
            None => Balancer::pick(balancer, affinity, tried, random),
            Some(window) => draw_slowly(balancer, window, affinity, tried, random, now()),
        };
        let draw = |tried: &[_]| {
            let near = self.near.as_ref().filter(|near| near.keeps(tried, another(random)));
            near.and_then(|near| from(&near.balancer, tried)).or_else(|| from(&self.balancer, tried))
        };
        let mut worse = avoided.to_vec();
        if let Some(outliers) = &self.outliers {
            worse.extend(outliers.left_out(self.balancer.endpoints(), now()));
        }
        if !self.checks.is_empty() {
            worse.extend(self.balancer.endpoints().iter().filter(|it| !it.passes_checks()).map(|it| it.id));
        }
        if worse.is_empty() {
            return draw(unreachable);
        }
        worse.extend(unreachable);
        draw(&worse).or_else(|| draw(unreachable))
    }
}

/// An endpoint that is drawn while it is new passes most of its requests on to others.
fn draw_slowly<'a>(
    balancer: &'a Balancer,
    window: Duration,
    affinity: &Affinity,
    tried: &[EndpointId],
    mut random: u64,
    now: UnixMillis,
) -> Option<&'a Arc<Endpoint>> {
    let first = balancer.pick(affinity, tried, random)?;
    let (mut drawn, mut passed) = (first, tried.to_vec());
    loop {
        random = another(random);
        if drawn.is_warm(window, now, random) {
            return Some(drawn);
        }
        passed.push(drawn.id);
        random = another(random);
        match balancer.pick(affinity, &passed, random) {
            Some(next) => drawn = next,
            // All are new: then they are equal.
            None => return Some(first),
        }
    }
}

/// A random number from another one (splitmix64).
fn another(random: u64) -> u64 {
    let mut next = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    next = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    next = (next ^ (next >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    next ^ (next >> 31)
}

#[cfg(test)]
mod tests {
    use proxy_config::model::{
        Address, BalancePolicy, ClusterId, GrpcQuestion, HealthCheck, Question, Version,
    };

    use super::*;
    use crate::{balance::Balancer, breaker::Breaker, snapshot::near::Near};

    const WINDOW: Duration = Duration::from_secs(10);

    fn cluster(count: u64, slow_start: Option<Duration>) -> Cluster {
        let endpoint = |index| {
            let address = Address::Name { host: format!("pod-{index}"), port: 80 };
            Arc::new(Endpoint::new(EndpointId(index), address, Version::default(), "".into()))
        };
        let endpoints = (0..count).map(endpoint).collect();
        Cluster {
            balancer: Balancer::new(endpoints, &BalancePolicy::LeastRequest, Arc::default),
            slow_start,
            breaker: Breaker::default(),
            ..Cluster::missing(&ClusterId::new("a"))
        }
    }

    /// How many of 10 000 requests each endpoint gets at this time.
    fn shares(cluster: &Cluster, now: i64) -> Vec<u32> {
        let mut shares = vec![0; cluster.balancer.endpoints().len()];
        let mut random = 1;
        for _ in 0..10_000 {
            random = another(random);
            let picked = cluster.pick(&Affinity::default(), &[], &[], random, || UnixMillis(now)).unwrap();
            shares[usize::try_from(picked.id.0).unwrap()] += 1;
        }
        shares
    }

    #[test]
    fn a_new_endpoint_comes_to_its_share_bit_by_bit() {
        let cluster = cluster(2, Some(WINDOW));
        // The first has been there for long.
        let _ = cluster.balancer.endpoints()[0].is_warm(WINDOW, UnixMillis(0), 0);
        let of_new = |now| shares(&cluster, now)[1];
        // A tenth of a half at once, then a half of a half, and the half in the end.
        for (now, expected) in [(100_000, 500), (105_000, 2_500), (110_000, 5_000), (200_000, 5_000)] {
            assert!(of_new(now).abs_diff(expected) < 250, "{} at {now}", of_new(now));
        }
    }

    #[test]
    fn endpoints_that_are_all_new_are_equal() {
        let shares = shares(&cluster(4, Some(WINDOW)), 5);
        assert!(shares.iter().all(|it| it.abs_diff(2_500) < 250), "{shares:?}");
    }

    #[test]
    fn the_zone_comes_before_others_and_what_it_does_not_carry_goes_to_all() {
        let all = cluster(8, None);
        let near: Box<[_]> = all.balancer.endpoints()[..4].into();
        let balancer = Balancer::new(near, &BalancePolicy::LeastRequest, Arc::default);
        let cluster = Cluster { near: Some(Box::new(Near { balancer })), ..all };
        assert_eq!(shares(&cluster, 1)[4..], [0; 4]);
        let avoided = [EndpointId(0), EndpointId(1), EndpointId(2)];
        let mut random = 1;
        let mut stay = 0;
        for _ in 0..10_000 {
            random = another(random);
            let picked = cluster.pick(&Affinity::default(), &[], &avoided, random, || UnixMillis(1)).unwrap();
            assert!(picked.id.0 > 2);
            stay += i32::from(picked.id.0 == 3);
        }
        // A quarter of the zone carries 35 of 100, and a fifth of the rest.
        assert!((stay - 4_800).abs() < 250, "{stay}");
        let nobody: Vec<_> = (0..8).map(EndpointId).collect();
        assert!(cluster.pick(&Affinity::default(), &nobody, &[], 1, || UnixMillis(1)).is_none());
        let panicking = cluster.pick(&Affinity::default(), &[], &nobody, 1, || UnixMillis(1)).unwrap();
        assert!(panicking.id.0 < 4, "where all are unfit the own zone is as good");
    }

    #[test]
    fn whoever_does_not_pass_its_checks_gets_nothing_unless_nobody_does() {
        let mut cluster = cluster(3, None);
        cluster.checks = Arc::new([HealthCheck {
            interval_ms: 1,
            timeout_ms: 1,
            unhealthy_threshold: 1,
            healthy_threshold: 1,
            question: Question::Grpc(GrpcQuestion::default()),
        }]);
        let [a, b, c] = [0, 1, 2].map(|it| Arc::clone(&cluster.balancer.endpoints()[it]));
        a.fail_check();
        b.fail_check();
        b.fail_check();
        assert_eq!(shares(&cluster, 1), [0, 0, 10_000]);
        b.pass_check();
        assert_eq!(shares(&cluster, 1), [0, 0, 10_000], "it fails another one");
        c.fail_check();
        assert!(shares(&cluster, 1).iter().all(|it| *it > 3_000), "all fail");
        a.pass_check();
        assert_eq!(shares(&cluster, 1), [10_000, 0, 0]);
        let picked = cluster.pick(&Affinity::default(), &[a.id], &[], 1, || UnixMillis(1)).unwrap().id;
        assert_ne!(picked, a.id, "one that cannot be reached is worse than one that fails its checks");
    }
}
