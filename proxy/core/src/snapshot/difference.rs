//! What differs between two configurations, found in the time that the difference takes, not the configurations.

use std::collections::BTreeSet;

use proxy_config::model::{ClusterId, Config, RouteId, Split, TcpRouteId};

use crate::router::Matcher;

/// What differs between two configurations.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) clusters: BTreeSet<ClusterId>,
    /// New, changed, gone, or with an arm on a changed cluster.
    pub(super) routes: BTreeSet<RouteId>,
    /// Of these, the ones that match differently.
    pub(super) matches: BTreeSet<RouteId>,
    /// As `routes`.
    pub(super) tcp_routes: BTreeSet<TcpRouteId>,
}

/// Who sends to which cluster.
#[derive(Debug, Default)]
pub(super) struct Users {
    routes: By<RouteId>,
    tcp_routes: By<TcpRouteId>,
}

/// By cluster. In one tree: most clusters have one user, and a set of their own would be mostly room for others.
#[derive(Debug)]
struct By<Id>(BTreeSet<(ClusterId, Id)>);

impl Difference {
    /// From `past`, whose users these are, to `next`.
    pub(super) fn between(past: &Config, users: &Users, next: &Config) -> Self {
        let clusters: BTreeSet<ClusterId> = past.clusters.differences(&next.clusters).cloned().collect();
        let mut routes: BTreeSet<RouteId> = past.routes.differences(&next.routes).cloned().collect();
        let matches = routes.iter().filter(|id| match (past.routes.get(*id), next.routes.get(*id)) {
            (Some(before), Some(now)) => !Matcher::asks_the_same(before, now),
            (Some(_), None) | (None, Some(_)) => true,
            (None, None) => false,
        });
        let matches = matches.cloned().collect();
        let tcp_routes = past.tcp_routes.differences(&next.tcp_routes).cloned();
        let mut tcp_routes: BTreeSet<TcpRouteId> = tcp_routes.collect();
        routes.extend(clusters.iter().flat_map(|it| users.routes.of(it)).cloned());
        tcp_routes.extend(clusters.iter().flat_map(|it| users.tcp_routes.of(it)).cloned());
        Self { clusters, routes, matches, tcp_routes }
    }
}

impl Users {
    /// Brings them from one configuration to the next.
    pub(super) fn follow(&mut self, past: &Config, next: &Config, difference: &Difference) {
        for id in &difference.routes {
            self.routes.change(
                id,
                past.routes.get(id).and_then(|it| it.split()),
                next.routes.get(id).and_then(|it| it.split()),
            );
        }
        for id in &difference.tcp_routes {
            let (before, now) = (past.tcp_routes.get(id), next.tcp_routes.get(id));
            self.tcp_routes.change(id, before.map(|it| &it.split), now.map(|it| &it.split));
        }
    }
}

impl<Id: Clone + Default + Ord> By<Id> {
    fn of(&self, cluster: &ClusterId) -> impl Iterator<Item = &Id> {
        // The empty id is the first of all.
        let users = self.0.range((cluster.clone(), Id::default())..);
        users.take_while(move |(of, _)| of == cluster).map(|(_, id)| id)
    }

    fn change(&mut self, id: &Id, before: Option<&Split>, now: Option<&Split>) {
        for cluster in before.into_iter().flat_map(Split::clusters) {
            self.0.remove(&(cluster.clone(), id.clone()));
        }
        for cluster in now.into_iter().flat_map(Split::clusters) {
            self.0.insert((cluster.clone(), id.clone()));
        }
    }
}

impl<Id> Default for By<Id> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}
