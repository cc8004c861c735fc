//! The pieces of a snapshot: clusters, splits and their arms, made from the configuration and what outlives it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::StatusCode;
use proxy_config::{
    model::{self, ClusterId, Route, Share, UpstreamProtocol, Version},
    table::Table,
};

use super::{
    Action, Arm, ArmCohorts, Cluster, Mirror, Near, Refusal, Split, Transform, parts::Parts,
    registry::Registry,
};
use crate::{balance::Balancer, breaker::Breaker, outlier, split::Draw};

/// The clusters of a snapshot.
pub(super) type Clusters = Table<ClusterId, Arc<Cluster>>;

impl Registry {
    pub(super) fn cluster(&mut self, cluster: &model::Cluster, zone: Option<&str>) -> Cluster {
        let transport = Arc::new((cluster.protocol, cluster.tls.clone()));
        let mut of = |draining: bool| -> Box<[_]> {
            let members = cluster.endpoints.iter().filter(|it| it.draining.is_some() == draining);
            members.map(|it| self.endpoint(&cluster.id, &transport, it)).collect()
        };
        let (routable, draining) = (of(false), of(true));
        // They take turns together, in the zone and out of it.
        let near = Near::new(zone, cluster, &routable, || self.turns(&cluster.id));
        Cluster {
            id: cluster.id.clone(),
            connect_timeout: Duration::from_millis(u64::from(cluster.connect_timeout_ms)),
            protocol: cluster.protocol,
            tls: cluster.tls.is_some(),
            balancer: Balancer::new(routable, &cluster.balance.policy, || self.turns(&cluster.id)),
            near: near.map(Box::new),
            breaker: Breaker::new(cluster.limits, self.usage(&cluster.id)),
            outliers: outlier::Policy::new(&cluster.outliers, || self.interval(&cluster.id)).map(Box::new),
            checks: match &*cluster.checks {
                [] => Arc::default(),
                checks => checks.into(),
            },
            slow_start: cluster.balance.slow_start_ms.map(|it| Duration::from_millis(u64::from(it))),
            absent: cluster.absent,
            draining,
        }
    }

    pub(super) fn action(
        &mut self,
        route: &Route,
        clusters: &Clusters,
        parts: Parts,
        random: impl FnMut() -> u64,
    ) -> Action {
        match &route.action {
            model::Action::Split(split) => Action::Split(self.split(split, clusters, parts, random)),
            model::Action::Refuse(refusal) => Action::Refuse(Refusal {
                status: StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                refused: self.refused(&refusal.reason),
            }),
            model::Action::Redirect(_) => match parts.redirect {
                Some(redirect) => Action::Redirect(redirect),
                // Which is compiled for every redirect.
                None => Action::Refuse(Refusal {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    refused: self.refused("redirect"),
                }),
            },
        }
    }

    pub(super) fn split(
        &mut self,
        split: &model::Split,
        clusters: &Clusters,
        parts: Parts,
        mut random: impl FnMut() -> u64,
    ) -> Split {
        let shares: Vec<_> = split.arms.iter().map(|it| it.share).collect();
        let draw = Draw::new(&shares, |arm| self.line(&split.id, &split.arms[arm].id, &mut random));
        let with_transforms = split.arms.iter().zip(parts.transforms);
        let compares = compares(split, clusters);
        let made = |(arm, transform)| self.arm(split, arm, transform, clusters, compares);
        let arms = with_transforms.map(made).collect();
        self.tidy(&split.id, |id| split.arms.iter().any(|arm| arm.id == *id));
        let with_conditions = split.mirrors.iter().zip(parts.mirrors);
        let mirrors = with_conditions.map(|(mirror, condition)| {
            let (line, counters) = self.mirror(&split.id, &mirror.id, &mut random);
            let others = u32::from(Share::WHOLE.parts() - mirror.share.parts());
            let shares = [mirror.share, Share::of_10000(others).unwrap_or_default()];
            let cluster = clusters
                .get(&mirror.cluster)
                .map_or_else(|| Arc::new(Cluster::missing(&mirror.cluster)), Arc::clone);
            Mirror { cluster, counters, condition, draw: Draw::new(&shares, |_| Arc::clone(&line)) }
        });
        let mirrors = mirrors.collect();
        self.tidy_mirrors(split);
        Split { draw, arms, mirrors }
    }

    fn arm(
        &mut self,
        split: &model::Split,
        arm: &model::Arm,
        transform: Arc<Transform>,
        clusters: &Clusters,
        compares: bool,
    ) -> Arm {
        let cluster =
            clusters.get(&arm.cluster).map_or_else(|| Arc::new(Cluster::missing(&arm.cluster)), Arc::clone);
        let members = cluster.balancer.endpoints().iter().chain(&cluster.draining);
        let versions: BTreeSet<&Version> = members.map(|it| &it.version).collect();
        let counters = versions.iter().map(|it| self.counters(&split.id, &arm.id, it)).collect();
        let cohorts = compares.then(|| {
            let mut of = |version: &Version| self.cohorts(&split.id, &arm.id, version);
            let placed = versions.iter().map(|it| (Arc::clone(&it.hash), of(it))).collect();
            Box::new(ArmCohorts { placed, unplaced: of(&Version::default()) })
        });
        let milliseconds = |it: u32| Duration::from_millis(u64::from(it));
        Arm {
            id: arm.id.clone(),
            share: arm.share,
            transform,
            timeout: arm.timeout_ms.map(milliseconds),
            idle_timeout: arm.idle_timeout_ms.map(milliseconds),
            total_timeout: arm.total_timeout_ms.map(milliseconds),
            counters,
            unplaced: self.counters(&split.id, &arm.id, &Version::default()),
            cohorts,
            cluster,
        }
    }
}

impl Cluster {
    /// Stands in for a cluster that does not exist, which no validated configuration has: it has no endpoints.
    pub(super) fn missing(id: &ClusterId) -> Self {
        Self {
            id: id.clone(),
            connect_timeout: Duration::ZERO,
            protocol: UpstreamProtocol::Http1,
            tls: false,
            balancer: Balancer::default(),
            near: None,
            breaker: Breaker::default(),
            outliers: None,
            checks: Arc::default(),
            slow_start: None,
            absent: false,
            draining: Box::default(),
        }
    }
}

/// Whether requests of the split go to several versions, or may as soon as an arm without pods has some.
fn compares(split: &model::Split, clusters: &Clusters) -> bool {
    let carrying = || split.arms.iter().filter(|arm| arm.share > Share::ZERO);
    let members = |arm: &model::Arm| clusters.get(&arm.cluster).map(|it| it.balancer.endpoints());
    let hashes = carrying().filter_map(members).flatten().map(|it| &*it.version.hash);
    let versions: BTreeSet<&str> = hashes.filter(|hash| !hash.is_empty()).collect();
    versions.len() > 1 || !versions.is_empty() && carrying().count() > 1
}
