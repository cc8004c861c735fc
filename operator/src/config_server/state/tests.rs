mod scopes;
mod world;

use operator_routes::{
    ObjectChange,
    object::{EmissaryObject, Pod},
};
use proxy_config::{model::Action, wire::traffic as wire};
use serde_json::json;

use self::world::{EPOCH, Known, World, behind, mapping_name, name};
use super::*;

#[test]
fn a_proxy_gets_everything_first_and_then_what_changes() {
    let mut world = World::new();
    let mut peer = world.connect("a", None);
    assert!(world.send(&mut peer).is_some_and(|changes| changes > 3));
    assert_eq!(peer.config, world.compiler.compiled().config);
    world.acknowledge(&peer);
    assert_eq!(world.send(&mut peer), None, "nothing has changed");
    world.mapping("canary", Some(20));
    assert_eq!(world.send(&mut peer), Some(1), "the route alone");
    assert_eq!(peer.config, world.compiler.compiled().config);
}

#[test]
fn one_commit_is_under_way_and_later_changes_become_one() {
    let mut world = World::new();
    let mut peer = world.connect("a", None);
    world.send(&mut peer);
    for weight in 1..50 {
        world.mapping("canary", Some(weight));
        assert_eq!(world.send(&mut peer), None);
    }
    world.acknowledge(&peer);
    assert_eq!(world.send(&mut peer), Some(1));
    assert_eq!(peer.config, world.compiler.compiled().config);
    world.acknowledge(&peer);
    assert_eq!(world.send(&mut peer), None);
}

#[test]
fn what_a_proxy_may_serve_is_what_it_acknowledged_and_what_was_sent_since() {
    let mut world = World::new();
    let mut peer = world.served("a");
    let watcher = world.state.watch();
    let mut known = Known::default();
    assert_eq!(known.update(world.updates(watcher)).views, ["0: uid/a"]);
    world.mapping("canary", Some(20));
    known.update(world.updates(watcher));
    assert_eq!((known.views.clone(), known.compiled), (vec!["0: uid/a".to_owned()], Some(2000)));
    world.send(&mut peer);
    assert_eq!(known.update(world.updates(watcher)).views, ["0: uid/a", "2000: uid/a"]);
    world.acknowledge(&peer);
    assert_eq!(known.update(world.updates(watcher)).views, ["2000: uid/a"]);
    assert_eq!(world.updates(watcher), Vec::new(), "all is told");
}

#[test]
fn a_newer_version_of_an_object_with_the_same_effect_needs_no_commit() {
    let mut world = World::new();
    let mut peer = world.served("a");
    let watcher = world.state.watch();
    world.updates(watcher);
    world.mapping("stable", None);
    assert_eq!(world.send(&mut peer), None);
    let updates = world.updates(watcher);
    let versions = &updates[0].splits[0].views[0].served.as_ref().unwrap().versions;
    let newest = world.version.to_string();
    assert!(
        versions
            .iter()
            .any(|it| it.object == "shop/stable" && it.kind == "Mapping" && it.resource_version == newest)
    );
}

#[test]
fn a_restarted_proxy_with_the_same_content_is_only_asked_to_confirm() {
    let mut world = World::new();
    let first = world.served("a");
    let mut second = world.connect("b", Some(&first));
    assert_eq!(world.send(&mut second), Some(0));
    world.mapping("canary", Some(20));
    world.acknowledge(&second);
    assert_eq!(world.send(&mut second), Some(1));
    assert_eq!(second.config, world.compiler.compiled().config);
}

#[test]
fn a_reconnected_proxy_gets_what_it_missed() {
    let mut world = World::new();
    let peer = world.served("a");
    world.state.disconnect(&peer.seat);
    world.mapping("canary", Some(20));
    let mut again = world.connect("a", Some(&peer));
    assert_eq!(world.send(&mut again), Some(1));
    assert_eq!(again.config, world.compiler.compiled().config);
}

#[test]
fn a_refused_commit_is_said_and_not_sent_again_before_something_changes() {
    let mut world = World::new();
    let mut peer = world.served("a");
    world.mapping("canary", Some(20));
    let before = peer.config.clone();
    world.send(&mut peer);
    world.state.refuse(&peer.seat, peer.last.unwrap(), "no memory".to_owned());
    peer.config = before;
    assert_eq!(world.send(&mut peer), None);
    let watcher = world.state.watch();
    let mut known = Known::default();
    known.update(world.updates(watcher));
    assert_eq!(known.views, ["0: uid/a"]);
    assert_eq!(known.problem, "proxy shop/proxy refused the configuration: no memory");
    world.mapping("canary", Some(21));
    world.send(&mut peer);
    world.acknowledge(&peer);
    assert_eq!(peer.config, world.compiler.compiled().config, "it starts from what the proxy has");
    assert_eq!(known.update(world.updates(watcher)).problem, "");
}

#[test]
fn a_version_settles_when_no_proxy_routes_to_it_and_nothing_older_is_pinned() {
    let mut world = World::new();
    world.mapping("canary", Some(20));
    let mut peer = world.served("a");
    let old = peer.last.unwrap();
    let watcher = world.state.watch();
    let mut known = Known::default();
    let mut load = |world: &mut World| known.update(world.updates(watcher)).loads["new"];
    world.report(&peer, old, &[("new", 3)]);
    assert_eq!(load(&mut world), (3, true, false));
    world.mapping("canary", Some(0));
    world.send(&mut peer);
    assert_eq!(load(&mut world), (3, true, false), "it may still route by the commit before");
    world.acknowledge(&peer);
    assert_eq!(load(&mut world), (3, false, false), "the report is older than the acknowledgement");
    world.report(&peer, old, &[("new", 2)]);
    assert_eq!(
        load(&mut world),
        (2, false, false),
        "requests that began with an older snapshot are under way"
    );
    world.report(&peer, peer.last.unwrap(), &[("new", 1)]);
    assert_eq!(load(&mut world), (1, false, true));
    world.report(&peer, peer.last.unwrap(), &[]);
    assert_eq!(load(&mut world), (0, false, true));
}

#[test]
fn a_chosen_pod_settles_when_every_proxy_has_taken_it_out_and_its_requests_are_over() {
    let mut world = World::new();
    world.change(ObjectChange::Pod(name("p"), Some(Pod { hash: "old".into(), leaving: None })));
    world.slice("stable", &[("old", 1), ("p", 3)]);
    let mut peer = world.served("a");
    let old = peer.last.unwrap();
    let watcher = world.state.watch();
    let mut known = Known::default();
    let mut pod = |world: &mut World| known.update(world.updates(watcher)).pods.get("shop/p").copied();
    assert_eq!(pod(&mut world), None, "nobody has chosen it");
    world.choose("p", true);
    assert_eq!(pod(&mut world), Some((0, true, false)), "the proxy has not been told");
    world.send(&mut peer);
    world.report_pods(&peer, old, Some(&[]));
    assert_eq!(pod(&mut world), Some((0, true, false)), "it may still route by the commit before");
    world.acknowledge(&peer);
    world.report_pods(&peer, old, Some(&[("p", 2)]));
    assert_eq!(pod(&mut world), Some((2, false, false)), "a request may still be sent by an older snapshot");
    world.report_pods(&peer, peer.last.unwrap(), Some(&[("p", 1)]));
    assert_eq!(pod(&mut world), Some((1, false, true)));
    world.report_pods(&peer, peer.last.unwrap(), Some(&[]));
    assert_eq!(pod(&mut world), Some((0, false, true)));
    world.report_pods(&peer, peer.last.unwrap(), None);
    assert_eq!(pod(&mut world), Some((0, false, false)), "a proxy that counts no pods has no zero to tell");
    world.choose("p", false);
    assert_eq!(pod(&mut world), None, "it is wanted again");
}

#[test]
fn a_chosen_pod_that_is_needed_or_that_somebody_may_serve_is_routable() {
    let mut world = World::new();
    let mut peer = world.served("a");
    world.choose("old", true);
    world.send(&mut peer);
    let watcher = world.state.watch();
    let mut known = Known::default();
    let mut pod = |world: &mut World| known.update(world.updates(watcher)).pods["shop/old"];
    world.report_pods(&peer, peer.last.unwrap(), Some(&[]));
    assert_eq!(pod(&mut world), (0, true, false), "it is the only one of the Service");
    world.change(ObjectChange::Pod(name("p"), Some(Pod { hash: "old".into(), leaving: None })));
    world.slice("stable", &[("old", 1), ("p", 3)]);
    assert!(world.send(&mut peer).is_some());
    world.acknowledge(&peer);
    world.report_pods(&peer, peer.last.unwrap(), Some(&[]));
    assert_eq!(pod(&mut world), (0, false, true));
    world.state.set_endpoints(behind("other", "proxy-2"));
    assert_eq!(pod(&mut world), (0, true, false), "of the other proxy nothing is known");
}

#[test]
fn a_version_that_only_gets_copies_is_routable_until_they_end() {
    let mut world = World::new();
    let mut peer = world.served("a");
    let watcher = world.state.watch();
    let mut known = Known::default();
    let mut load = |world: &mut World| known.update(world.updates(watcher)).loads["new"];
    world.report(&peer, peer.last.unwrap(), &[]);
    assert_eq!(load(&mut world), (0, false, true), "its arm has no share");
    let shadow = |world: &mut World, there: bool| {
        let spec =
            json!({"prefix": "/", "service": "canary", "resolver": "endpoint", "shadow": true, "weight": 5});
        let shadow = EmissaryObject::new(world.next_version(), spec);
        let shadow = EmissaryObject { owned_by_rollout: true, ..shadow };
        world.change(ObjectChange::Emissary(mapping_name("shadow"), there.then_some(shadow)));
    };
    shadow(&mut world, true);
    assert!(world.send(&mut peer).is_some());
    world.acknowledge(&peer);
    world.report(&peer, peer.last.unwrap(), &[("new", 1)]);
    assert_eq!(load(&mut world), (1, true, false));
    let updates = {
        let watch = world.state.watch();
        world.updates(watch)
    };
    let mirrors: Vec<_> = updates
        .iter()
        .flat_map(|it| &it.splits)
        .flat_map(|it| &it.compiled)
        .flat_map(|it| &it.mirrors)
        .collect();
    assert_eq!((mirrors[0].mapping.as_str(), mirrors[0].share), ("shop/shadow", 500));
    shadow(&mut world, false);
    world.send(&mut peer);
    world.acknowledge(&peer);
    world.report(&peer, peer.last.unwrap(), &[]);
    assert_eq!(load(&mut world), (0, false, true));
}

#[test]
fn after_a_change_of_the_holder_nothing_is_settled_before_the_proxies_say_so() {
    let mut world = World::new();
    world.state = State::new(EPOCH, world.compiler.compiled(), behind("uid", "proxy"));
    let watcher = world.state.watch();
    let mut known = Known::default();
    known.update(world.updates(watcher));
    assert_eq!(known.fleet, [("uid/".to_owned(), false)]);
    assert_eq!(known.loads["new"], (0, true, false), "an unknown proxy may send anything to any arm");
    let peer = world.served("a");
    known.update(world.updates(watcher));
    assert_eq!(known.fleet, [("uid/a".to_owned(), true)]);
    assert_eq!(known.loads["new"], (0, false, false), "no report yet");
    world.report(&peer, peer.last.unwrap(), &[]);
    assert_eq!(known.update(world.updates(watcher)).loads["new"], (0, false, true));
}

#[test]
fn splits_of_thousands_of_routes_come_in_many_messages_and_everything_else_behind_them() {
    let mut world = World::new();
    for number in 0..450 {
        let spec = json!({"prefix": format!("/{number}/"), "service": "stable"});
        let mapping = EmissaryObject::new(world.next_version(), spec);
        world.compiler.apply(ObjectChange::Emissary(mapping_name(&number.to_string()), Some(mapping)));
    }
    let delta = world.compiler.compile();
    world.state.publish(&delta);
    world.served("a");
    let watcher = world.state.watch();
    let first = world.state.next_update(watcher).unwrap();
    assert_eq!((first.splits.len(), first.complete, first.fleet), (200, false, None));
    // What changes meanwhile comes before what was not under way.
    world.mapping("canary", Some(20));
    let updates = world.updates(watcher);
    let (last, between) = updates.split_last().unwrap();
    assert!(between.iter().all(|it| !it.complete && it.fleet.is_none() && it.loads.is_empty()));
    assert!(last.complete && last.fleet.is_some() && !last.loads.is_empty());
    let told = updates.iter().map(|it| it.splits.len()).sum::<usize>();
    assert_eq!(told, 251 + 1, "each once, and the one that changed again");
}

#[test]
fn a_removed_split_is_told_once_nobody_serves_it() {
    let mut world = World::new();
    let mut peer = world.served("a");
    let watcher = world.state.watch();
    world.updates(watcher);
    world.change(ObjectChange::Emissary(mapping_name("canary"), None));
    world.change(ObjectChange::Emissary(mapping_name("stable"), None));
    let updates = world.updates(watcher);
    assert_eq!(updates[0].splits[0].compiled, None);
    assert_eq!(updates[0].splits[0].views.len(), 1, "the proxy still serves it");
    world.send(&mut peer);
    world.acknowledge(&peer);
    let removed: Vec<String> = world.updates(watcher).into_iter().flat_map(|it| it.removed_splits).collect();
    assert_eq!(removed, ["mapping */"]);
}

#[test]
fn a_proxy_that_cannot_do_what_a_route_asks_refuses_it_and_does_not_count_as_serving_it() {
    let mut world = World::new();
    let mut peer = world.served("a");
    let (id, route) = world.compiler.compiled().config.routes.iter().next().unwrap();
    let mut route = proxy_config::model::Route::clone(route);
    let split = SplitId::new(id.as_str());
    // A feature that the proxy has not named.
    world.state.scoped(&Scope::Fleet).forget_features(&peer.seat.id);
    route.listeners = vec![proxy_config::model::ListenerId::new("http")];
    let report = world.compiler.compiled().splits.get(&split).cloned();
    world.state.publish(&Delta {
        changes: vec![Change::Route(Arc::new(route))],
        splits: BTreeMap::from([(split.clone(), report)]),
        ..Delta::default()
    });
    world.send(&mut peer);
    world.acknowledge(&peer);
    let sent = peer.config.routes.values().next().unwrap();
    assert!(matches!(&sent.action, Action::Refuse(refusal) if refusal.status == 500), "{sent:?}");
    let state = world.state.split_state(&split).unwrap();
    assert!(state.views.iter().all(|view| view.served.is_none()), "{state:?}");
    assert_eq!(
        state.problem,
        "proxy shop/proxy answers with 500: it cannot do `route_listeners` and needs an update"
    );
}

#[test]
fn tries_are_told_by_version_each_watcher_what_is_new_to_it() {
    let mut world = World::new();
    world.mapping("canary", Some(20));
    let peer = world.served("a");
    let told = |world: &mut World, watcher| {
        let tries = world.updates(watcher).into_iter().flat_map(|it| it.tries);
        tries.map(|it| (it.hash, it.bad, it.ended)).collect::<Vec<_>>()
    };
    let first = world.state.watch();
    assert!(world.report_tries(&peer, &[("shop/stable", "old", 0, 8), ("shop/canary", "new", 1, 2)]));
    let second = world.state.watch();
    world.report_tries(&peer, &[("shop/canary", "new", 1, 1)]);
    let expected = [("new".to_owned(), 2, vec![3]), ("old".to_owned(), 0, vec![8])];
    assert_eq!(told(&mut world, first), expected);
    assert_eq!(told(&mut world, second), [("new".to_owned(), 1, vec![1])]);
    assert_eq!(told(&mut world, first), []);
    assert!(!world.report_tries(&peer, &[]));
}

#[test]
fn tries_that_found_no_endpoint_are_of_the_version_that_their_arm_holds() {
    let mut world = World::new();
    world.mapping("canary", Some(20));
    let peer = world.served("a");
    let watcher = world.state.watch();
    world.report_tries(&peer, &[("shop/canary", "", 5, 5), ("shop/unknown", "", 3, 3)]);
    let tries: Vec<_> = world.updates(watcher).into_iter().flat_map(|it| it.tries).collect();
    let expected =
        wire::VersionTries { namespace: "shop".to_owned(), hash: "new".to_owned(), bad: 5, ended: vec![5] };
    assert_eq!(tries, [expected]);
}
