//! The promises of blue-green.

use crds::rollout::BlueGreenStrategy;

use super::{Cluster, Mode, arms_on, contents, holds_only, selected};

fn strategy(cluster: &Cluster) -> Option<&BlueGreenStrategy> {
    cluster.rollout().spec.strategy.blue_green.as_ref()
}

fn replicas(cluster: &Cluster) -> i32 {
    cluster.rollout().spec.replicas.unwrap_or(1)
}

fn stable(cluster: &Cluster) -> Option<&str> {
    cluster.rollout().status.as_ref().and_then(|status| status.stable_rs.as_deref())
}

/// The active Service goes forward only to a version whose pods are all available, and which the preview Service has
/// shown; back to the stable version if that has any.
pub(super) fn active_service_leads_to_pods(cluster: &Cluster, service: &str, to: &str) {
    let Some(strategy) = strategy(cluster).filter(|it| it.active_service == service) else { return };
    let set = cluster.replica_sets.values().find(|set| set.hash == to).expect("a version that exists");
    let (available, wanted) = (set.status(cluster).available, replicas(cluster));
    if stable(cluster) == Some(to) {
        assert!(wanted == 0 || available > 0, "the active Service goes back to a version without pods");
        return;
    }
    assert!(available >= wanted, "{available} of {wanted} pods of {to} are to be active");
    if let Some(preview) = &strategy.preview_service {
        let shown = selected(cluster, preview).map(|set| set.hash.as_str());
        assert_eq!(shown, Some(to), "a version is active that the preview Service has not shown");
    }
}

/// Neither the version that has the requests nor the stable one ever has fewer pods than it should.
pub(super) fn complete_versions_stay(cluster: &Cluster, name: &str, to: i32) {
    let Some(strategy) = strategy(cluster) else { return };
    let set = &cluster.replica_sets[name];
    let active = selected(cluster, &strategy.active_service).is_some_and(|active| active.hash == set.hash);
    let needed = active || stable(cluster) == Some(set.hash.as_str());
    assert!(!needed || to >= replicas(cluster), "{name} is needed and gets {to} pods");
}

/// A version becomes the stable one when every proxy leads what comes for the active Service to all of its pods, and
/// to no others.
pub(super) fn the_new_version_has_all_requests(cluster: &Cluster, new: &str) {
    let Some(strategy) = strategy(cluster).filter(|_| cluster.data_plane.mode == Mode::Ready) else { return };
    let wanted = u32::try_from(replicas(cluster)).expect("a number of pods");
    for (proxy, served) in contents(cluster) {
        for arm in arms_on(served, &strategy.active_service) {
            let ready = arm.endpoints.get(new).copied().unwrap_or(0);
            assert!(holds_only(arm, new), "{new} is stable while {proxy} sends requests elsewhere");
            assert!(ready >= wanted, "{new} is stable while {proxy} has {ready} of {wanted} pods");
        }
    }
}
