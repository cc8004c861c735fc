//! The proxies of Gateways and of their classes beside those of the fleet.

use operator_routes::{
    Compiler, ObjectChange, Settings,
    dialect::{DocumentKind, documents::DocumentName},
    gateway::Demand,
    object::EmissaryObject,
};
use proxy_config::model::{ClusterId, Key};
use serde_json::json;

use super::{
    super::*,
    world::{Known, Peer, World, name},
};

fn gateway(text: &str) -> Scope {
    Scope::Gateway(name(text))
}

fn demand() -> Arc<Demand> {
    Arc::new(Demand { uid: "1".into(), generation: 1, class: "sluice".into(), ..Demand::default() })
}

/// A cluster and a route to it with a split, all of this name.
fn route(id: &str) -> (Vec<Change>, SplitId, SplitReport) {
    let cluster = proxy_config::model::Cluster::plain(ClusterId::new(id), 1000, Vec::new());
    let mut compiler = Compiler::new(Settings::default());
    let spec = json!({"prefix": format!("/{id}/"), "service": "198.18.0.1"});
    let document = DocumentName { kind: DocumentKind::Mapping, name: name(id) };
    compiler.apply(ObjectChange::Emissary(document, Some(EmissaryObject::new("1", spec))));
    let delta = compiler.compile();
    let (split, report) = delta.splits.into_iter().next().unwrap();
    let mut changes = vec![Change::Cluster(Arc::new(cluster))];
    changes.extend(delta.changes);
    (changes, split, SplitReport::clone(&report.unwrap()))
}

/// What the compiler says of a Gateway of this name with a route.
fn of_gateway(text: &str) -> Delta {
    let (changes, split, report) = route(text);
    let report = SplitReport { scope: gateway(text), ..report };
    Delta {
        gateways: BTreeMap::from([(gateway(text), changes)]),
        demands: BTreeMap::from([(gateway(text), Some(demand()))]),
        splits: BTreeMap::from([(split, Some(Arc::new(report)))]),
        ..Delta::default()
    }
}

impl World {
    /// A proxy of a Gateway, which serves what it is sent.
    fn served_by(&mut self, text: &str) -> Peer {
        self.served_in(&gateway(text), text)
    }

    /// The same of any scope.
    fn served_in(&mut self, scope: &Scope, text: &str) -> Peer {
        let id = ProxyId { pod: format!("pod of {text}"), boot: "a".to_owned() };
        let features = proxy_config::features::SERVED.iter().copied().collect();
        let hello = Hello { features, ..Hello::default() };
        let seat = self.state.connect(scope, &id, name(text), &hello).unwrap();
        let mut peer = Peer { seat, config: Config::default(), last: None };
        self.send(&mut peer);
        self.acknowledge(&peer);
        peer
    }
}

#[test]
fn every_proxy_gets_the_configuration_of_its_scope_and_nothing_of_another() {
    let mut world = World::new();
    world.state.publish(&of_gateway("east"));
    world.state.publish(&of_gateway("west"));
    let (fleet, east) = (world.served("a"), world.served_by("east"));
    let mut west = world.served_by("west");
    let clusters = |peer: &Peer| peer.config.clusters.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert!(clusters(&east).contains(&"east".to_owned()) && !clusters(&east).contains(&"west".to_owned()));
    assert!(clusters(&west).contains(&"west".to_owned()) && !clusters(&west).contains(&"east".to_owned()));
    assert!(clusters(&fleet).iter().all(|it| it != "east" && it != "west"));

    let seen = world.state.progress();
    let gone = Change::Removed(Key::Cluster(ClusterId::new("west")));
    let gateways = BTreeMap::from([(gateway("west"), vec![gone])]);
    world.state.publish(&Delta { gateways, ..Delta::default() });
    assert!(world.send(&mut west).is_some());
    for peer in [fleet, east] {
        let sent = world.state.next_commit(&peer.seat, Instant::now());
        assert_eq!(sent, None, "a change of one scope is no commit for {}", peer.seat.scope);
    }
    assert_eq!((seen, world.state.progress()), ((3, 3), (3, 2)));
}

#[test]
fn a_split_waits_for_the_proxies_of_its_scope_alone() {
    let mut world = World::new();
    world.state.publish(&of_gateway("east"));
    let (_fleet, _east) = (world.served("a"), world.served_by("east"));
    let watcher = world.state.watch();
    let updates = world.updates(watcher);
    let scopes: Vec<_> = updates[0].fleet.iter().flat_map(|it| &it.proxies).map(|it| &it.scope).collect();
    assert_eq!(scopes, ["", "gateway/shop/east"]);
    let (_, split, _) = route("east");
    let state = world.state.split_state(&split).unwrap();
    assert_eq!(state.scope, "gateway/shop/east");
    let proxies: Vec<_> = state.views.iter().flat_map(|view| &view.proxies).collect();
    assert_eq!(proxies, ["pod of east/a"]);
}

#[test]
fn the_proxies_of_a_gateway_that_is_gone_lose_its_routes_and_are_known_until_they_go() {
    let mut world = World::new();
    world.state.publish(&of_gateway("east"));
    let mut east = world.served_by("east");
    let account = Names::of(&name("east"), "sluice").service_account().clone();
    assert_eq!(world.state.scope_of(&account), Some(&gateway("east")));
    let (_, split, _) = route("east");
    world.state.publish(&Delta {
        demands: BTreeMap::from([(gateway("east"), None)]),
        splits: BTreeMap::from([(split.clone(), None)]),
        ..Delta::default()
    });
    let state = world.state.split_state(&split).unwrap();
    assert!(state.compiled.is_none() && state.views[0].served.is_some(), "it still serves it: {state:?}");
    assert!(world.send(&mut east).is_some());
    assert_eq!(east.config, Config::default());
    world.acknowledge(&east);
    assert_eq!(world.state.split_state(&split), None);
    assert_eq!(world.state.counted().len(), 2);
    world.state.disconnect(&east.seat);
    assert_eq!(world.state.counted().len(), 1, "nothing is left of it");
    assert_eq!(world.state.scope_of(&account), None);
}

#[test]
fn pods_are_settled_once_no_scope_can_send_to_them() {
    let mut world = World::new();
    world.state.publish(&of_gateway("east"));
    let (fleet, east) = (world.served("a"), world.served_by("east"));
    let watcher = world.state.watch();
    let mut known = Known::default();
    world.report(&fleet, fleet.last.unwrap(), &[]);
    known.update(world.updates(watcher));
    assert_eq!(known.loads["new"], (0, false, false), "the Gateway's proxy has not reported");
    world.report(&east, east.last.unwrap(), &[("new", 3)]);
    known.update(world.updates(watcher));
    assert_eq!(known.loads["new"], (3, false, true), "requests of all scopes are counted");
    assert_eq!(known.loads["old"], (0, true, false), "the fleet sends to it");
}

/// What the compiler says of a class whose proxies serve these Gateways.
fn of_class(text: &str, members: &[&str]) -> (Scope, Arc<Demand>) {
    let members = members.iter().map(|it| (name(it), Vec::new())).collect();
    let demand = Demand { uid: "2".into(), class: text.into(), members, ..Demand::default() };
    (Scope::Class(name(text)), Arc::new(demand))
}

#[test]
fn proxies_of_a_gateway_that_moved_to_those_of_its_class_keep_what_they_have_until_they_go() {
    let mut world = World::new();
    world.state.publish(&of_gateway("east"));
    let mut east = world.served_by("east");
    let (_, split, report) = route("east");
    let (class, demand) = of_class("edge", &["east"]);
    let moved = SplitId::new("moved");
    let report = Arc::new(SplitReport { scope: class.clone(), ..report });
    world.state.publish(&Delta {
        demands: BTreeMap::from([(gateway("east"), None), (class.clone(), Some(demand))]),
        splits: BTreeMap::from([(split.clone(), None), (moved.clone(), Some(report))]),
        ..Delta::default()
    });
    assert_eq!(world.send(&mut east), None, "connections end there as they began");
    let state = world.state.split_state(&split).unwrap();
    assert!(state.compiled.is_some() && state.views[0].served.is_some(), "it is served: {state:?}");
    assert_eq!(world.state.split_state(&moved).unwrap().scope, class.to_string());

    let mut edge = world.served_in(&class, "edge");

    // Back again: it begins anew, with what the changes say and no more, and the class keeps what it has.
    world.state.publish(&of_gateway("east"));
    world.state.publish(&Delta {
        demands: BTreeMap::from([(class, None)]),
        splits: BTreeMap::from([(moved.clone(), None)]),
        ..Delta::default()
    });
    assert_eq!(world.send(&mut edge), None, "connections end there as well");
    assert!(world.state.split_state(&moved).unwrap().compiled.is_some());
    assert!(world.send(&mut east).is_some());
    world.acknowledge(&east);
    assert!(world.state.split_state(&split).unwrap().compiled.is_some());

    world.state.publish(&Delta { demands: BTreeMap::from([(gateway("east"), None)]), ..Delta::default() });
    world.state.disconnect(&east.seat);
    world.state.disconnect(&edge.seat);
    assert_eq!(world.state.counted().len(), 1, "nothing is left of them");
}

#[test]
fn the_proxies_of_a_class_are_known_by_their_account_and_nobody_takes_it() {
    let mut world = World::new();
    let (class, demand) = of_class("edge", &["east"]);
    let account = Names::of_class(&name("edge")).service_account().clone();
    let open = |scope: &Scope, demand: &Arc<Demand>| Delta {
        demands: BTreeMap::from([(scope.clone(), Some(Arc::clone(demand)))]),
        ..Delta::default()
    };
    world.state.publish(&open(&class, &demand));
    assert_eq!(world.state.scope_of(&account), Some(&class));
    // A Gateway `edge` of a class `proxies` would have the same.
    let rival = Arc::new(Demand { class: "proxies".into(), ..Demand::default() });
    world.state.publish(&open(&gateway("edge"), &rival));
    assert_eq!(world.state.scope_of(&account), Some(&class));
}
