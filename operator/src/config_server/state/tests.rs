use operator_routes::{
    Compiler, ObjectChange, Settings,
    dialect::{DocumentKind, documents::DocumentName},
    gateway::Demand,
    object::{
        EmissaryObject, EndpointCondition, EndpointSlice, Family, Pod, Service, ServicePort, SliceEndpoint,
    },
};
use proxy_config::{
    model::{Action, ArmId, ClusterId, Draining, Key},
    wire::traffic as wire,
};
use serde_json::json;

use super::*;

const EPOCH: Epoch = Epoch { created: 7, transitions: 2 };

/// A compiler with a stable and a canary Mapping, and the state that serves what it compiles.
struct World {
    compiler: Compiler,
    state: State,
    version: u64,
}

/// A proxy as the config service sees it: what it was sent and what it made of it.
struct Peer {
    seat: Seat,
    config: Config,
    last: Option<Position>,
}

fn name(text: &str) -> ObjectName {
    ObjectName::new("shop", text)
}

/// One pod behind the Service of the fleet.
fn behind(uid: &str, pod: &str) -> Endpoints {
    BTreeMap::from([(Scope::Fleet, BTreeMap::from([(uid.to_owned(), name(pod))]))])
}

fn mapping_name(text: &str) -> DocumentName {
    DocumentName { kind: DocumentKind::Mapping, name: name(text) }
}

impl World {
    fn new() -> Self {
        let settings = Settings::default();
        let mut compiler = Compiler::new(settings);
        compiler.compile();
        let state = State::new(EPOCH, compiler.compiled(), BTreeMap::new());
        let mut world = Self { compiler, state, version: 1 };
        for (service, hash, address) in [("stable", "old", 1), ("canary", "new", 2)] {
            world.service(service, hash, address);
        }
        world.mapping("stable", None);
        world.mapping("canary", Some(0));
        world
    }

    fn change(&mut self, change: ObjectChange) {
        self.compiler.apply(change);
        let delta = self.compiler.compile();
        self.state.publish(&delta);
    }

    fn next_version(&mut self) -> Arc<str> {
        self.version += 1;
        self.version.to_string().into()
    }

    fn mapping(&mut self, service: &str, weight: Option<u8>) {
        let spec = json!({"prefix": "/", "service": service, "resolver": "endpoint", "weight": weight});
        let owned_by_rollout = service == "canary";
        let mapping = EmissaryObject { owned_by_rollout, ..EmissaryObject::new(self.next_version(), spec) };
        self.change(ObjectChange::Emissary(mapping_name(service), Some(mapping)));
    }

    /// A Service with one pod of a version.
    fn service(&mut self, service: &str, hash: &str, address: u8) {
        let ports = vec![ServicePort { port: 80, ..ServicePort::default() }];
        let slim = Service { resource_version: self.next_version(), ports, ..Service::default() };
        self.change(ObjectChange::Service(name(service), Some(slim)));
        self.change(ObjectChange::Pod(name(hash), Some(Pod { hash: hash.into(), leaving: None })));
        self.slice(service, &[(hash, address)]);
    }

    fn slice(&mut self, service: &str, pods: &[(&str, u8)]) {
        let endpoint = |(pod, address): &(&str, u8)| SliceEndpoint {
            address: std::net::IpAddr::from([198, 18, 0, *address]),
            condition: EndpointCondition::Ready,
            pod: Some((*pod).into()),
            zone: None,
            hints: Vec::new(),
        };
        let slice = EndpointSlice {
            resource_version: self.next_version(),
            service: service.into(),
            family: Family::V4,
            ports: BTreeMap::from([(String::new(), 8080)]),
            endpoints: pods.iter().map(endpoint).collect(),
        };
        self.change(ObjectChange::EndpointSlice(name(&format!("{service}-1")), Some(slice)));
    }

    fn connect(&mut self, boot: &str, last: Option<&Peer>) -> Peer {
        let id = ProxyId { pod: "uid".to_owned(), boot: boot.to_owned() };
        let hello = Hello {
            last: last.and_then(|peer| peer.last),
            digest: last.map(|peer| proxy_config::digest::digest(&peer.config)).unwrap_or_default(),
            features: proxy_config::features::SERVED.iter().copied().collect(),
        };
        let seat = self.state.connect(&Scope::Fleet, &id, name("proxy"), &hello).unwrap();
        let config = last.map(|peer| peer.config.clone()).unwrap_or_default();
        Peer { seat, config, last: last.and_then(|peer| peer.last) }
    }

    /// Sends a proxy what it may be sent. Says how many changes that were.
    fn send(&mut self, peer: &mut Peer) -> Option<usize> {
        let commit = self.state.next_commit(&peer.seat, Instant::now())?;
        if commit.full {
            peer.config = Config::default();
        }
        let changes = commit.changes.len();
        commit.changes.into_iter().for_each(|change| peer.config.apply(change));
        peer.last = Some(commit.position);
        Some(changes)
    }

    /// A proxy that has connected for the first time and serves what there is.
    fn served(&mut self, boot: &str) -> Peer {
        let mut peer = self.connect(boot, None);
        self.send(&mut peer);
        self.acknowledge(&peer);
        peer
    }

    fn acknowledge(&mut self, peer: &Peer) {
        let position = peer.last.unwrap();
        assert!(self.state.acknowledge(&peer.seat, position, Instant::now()).is_some());
    }

    fn report(&mut self, peer: &Peer, oldest_pinned: Position, in_flight: &[(&str, u64)]) {
        let version = |hash: &str| Version { namespace: "shop".into(), hash: hash.into() };
        let report = Report {
            served: peer.last.unwrap(),
            oldest_pinned,
            in_flight: in_flight.iter().map(|(hash, requests)| (version(hash), *requests)).collect(),
            draining: Some(BTreeMap::new()),
        };
        self.state.report(&peer.seat, report, Tally::default(), 0);
    }

    /// A report of tries that have ended: the arm, the hash, those that were bad, and those of the first bucket.
    fn report_tries(&mut self, peer: &Peer, tries: &[(&str, &str, u64, u64)]) -> bool {
        let key = |arm: &str, hash: &str| TriesKey {
            split: SplitId::new("mapping */"),
            arm: ArmId::new(arm),
            version: match hash {
                "" => Version::default(),
                hash => Version { namespace: "shop".into(), hash: hash.into() },
            },
        };
        let told = tries.iter();
        let tries =
            told.map(|(arm, hash, bad, ended)| (key(arm, hash), Tries { bad: *bad, ended: vec![*ended] }));
        let tally = Tally { tries: tries.collect(), ..Tally::default() };
        self.state.report(&peer.seat, Report::default(), tally, 0)
    }

    /// A report of nothing but pods that drain; `None`: of a proxy that does not count them.
    fn report_pods(&mut self, peer: &Peer, oldest_pinned: Position, pods: Option<&[(&str, u64)]>) {
        let count = |(pod, requests): &(&str, u64)| (name(pod), *requests);
        let report = Report {
            served: peer.last.unwrap(),
            oldest_pinned,
            in_flight: BTreeMap::new(),
            draining: pods.map(|pods| pods.iter().map(count).collect()),
        };
        self.state.report(&peer.seat, report, Tally::default(), 0);
    }

    /// Chooses a pod to go, or wants it again.
    fn choose(&mut self, pod: &str, chosen: bool) {
        let leaving = chosen.then(Draining::default);
        self.change(ObjectChange::Pod(name(pod), Some(Pod { hash: "old".into(), leaving })));
    }
}

/// What a watcher knows: the split's views as `canary share: proxies`, and the loads.
#[derive(Default)]
struct Known {
    views: Vec<String>,
    compiled: Option<u32>,
    problem: String,
    loads: BTreeMap<String, (u64, bool, bool)>,
    pods: BTreeMap<String, (u64, bool, bool)>,
    fleet: Vec<(String, bool)>,
}

impl Known {
    fn update(&mut self, updates: Vec<Update>) -> &mut Self {
        let share = |served: &wire::Served| {
            served.arms.iter().find(|arm| arm.mapping == "shop/canary").map(|arm| arm.share)
        };
        for update in updates {
            for split in update.splits.into_iter().filter(|split| split.id == "mapping */") {
                let view = |view: wire::View| {
                    let share = view.served.as_ref().and_then(share);
                    format!(
                        "{}: {}",
                        share.map_or_else(|| "-".to_owned(), |share| share.to_string()),
                        view.proxies.join(" ")
                    )
                };
                self.views = split.views.into_iter().map(view).collect();
                self.compiled = split.compiled.as_ref().and_then(share);
                self.problem = split.problem;
            }
            for load in update.loads {
                self.loads.insert(load.hash, (load.in_flight, load.routable, load.settled));
            }
            for pod in update.pods {
                self.pods.insert(pod.pod, (pod.in_flight, pod.routable, pod.settled));
            }
            for pod in update.removed_pods {
                assert!(self.pods.remove(&pod).is_some(), "{pod} was told before");
            }
            if let Some(fleet) = update.fleet {
                self.fleet = fleet.proxies.into_iter().map(|proxy| (proxy.id, proxy.known)).collect();
            }
        }
        self
    }
}

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
    assert_eq!(known.update(world.state.next_updates(watcher)).views, ["0: uid/a"]);
    world.mapping("canary", Some(20));
    known.update(world.state.next_updates(watcher));
    assert_eq!((known.views.clone(), known.compiled), (vec!["0: uid/a".to_owned()], Some(2000)));
    world.send(&mut peer);
    assert_eq!(known.update(world.state.next_updates(watcher)).views, ["0: uid/a", "2000: uid/a"]);
    world.acknowledge(&peer);
    assert_eq!(known.update(world.state.next_updates(watcher)).views, ["2000: uid/a"]);
    assert_eq!(world.state.next_updates(watcher), Vec::new(), "all is told");
}

#[test]
fn a_newer_version_of_an_object_with_the_same_effect_needs_no_commit() {
    let mut world = World::new();
    let mut peer = world.served("a");
    let watcher = world.state.watch();
    world.state.next_updates(watcher);
    world.mapping("stable", None);
    assert_eq!(world.send(&mut peer), None);
    let updates = world.state.next_updates(watcher);
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
    known.update(world.state.next_updates(watcher));
    assert_eq!(known.views, ["0: uid/a"]);
    assert_eq!(known.problem, "proxy shop/proxy refused the configuration: no memory");
    world.mapping("canary", Some(21));
    world.send(&mut peer);
    world.acknowledge(&peer);
    assert_eq!(peer.config, world.compiler.compiled().config, "it starts from what the proxy has");
    assert_eq!(known.update(world.state.next_updates(watcher)).problem, "");
}

#[test]
fn a_version_settles_when_no_proxy_routes_to_it_and_nothing_older_is_pinned() {
    let mut world = World::new();
    world.mapping("canary", Some(20));
    let mut peer = world.served("a");
    let old = peer.last.unwrap();
    let watcher = world.state.watch();
    let mut known = Known::default();
    let mut load = |world: &mut World| known.update(world.state.next_updates(watcher)).loads["new"];
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
    let mut pod =
        |world: &mut World| known.update(world.state.next_updates(watcher)).pods.get("shop/p").copied();
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
    let mut pod = |world: &mut World| known.update(world.state.next_updates(watcher)).pods["shop/old"];
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
    let mut load = |world: &mut World| known.update(world.state.next_updates(watcher)).loads["new"];
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
        world.state.next_updates(watch)
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
    known.update(world.state.next_updates(watcher));
    assert_eq!(known.fleet, [("uid/".to_owned(), false)]);
    assert_eq!(known.loads["new"], (0, true, false), "an unknown proxy may send anything to any arm");
    let peer = world.served("a");
    known.update(world.state.next_updates(watcher));
    assert_eq!(known.fleet, [("uid/a".to_owned(), true)]);
    assert_eq!(known.loads["new"], (0, false, false), "no report yet");
    world.report(&peer, peer.last.unwrap(), &[]);
    assert_eq!(known.update(world.state.next_updates(watcher)).loads["new"], (0, false, true));
}

#[test]
fn a_removed_split_is_told_once_nobody_serves_it() {
    let mut world = World::new();
    let mut peer = world.served("a");
    let watcher = world.state.watch();
    world.state.next_updates(watcher);
    world.change(ObjectChange::Emissary(mapping_name("canary"), None));
    world.change(ObjectChange::Emissary(mapping_name("stable"), None));
    let updates = world.state.next_updates(watcher);
    assert_eq!(updates[0].splits[0].compiled, None);
    assert_eq!(updates[0].splits[0].views.len(), 1, "the proxy still serves it");
    world.send(&mut peer);
    world.acknowledge(&peer);
    let removed: Vec<String> =
        world.state.next_updates(watcher).into_iter().flat_map(|it| it.removed_splits).collect();
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

// Gateways.

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
        let id = ProxyId { pod: format!("pod of {text}"), boot: "a".to_owned() };
        let features = proxy_config::features::SERVED.iter().copied().collect();
        let hello = Hello { features, ..Hello::default() };
        let seat = self.state.connect(&gateway(text), &id, name(text), &hello).unwrap();
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
    let updates = world.state.next_updates(watcher);
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
    known.update(world.state.next_updates(watcher));
    assert_eq!(known.loads["new"], (0, false, false), "the Gateway's proxy has not reported");
    world.report(&east, east.last.unwrap(), &[("new", 3)]);
    known.update(world.state.next_updates(watcher));
    assert_eq!(known.loads["new"], (3, false, true), "requests of all scopes are counted");
    assert_eq!(known.loads["old"], (0, true, false), "the fleet sends to it");
}

#[test]
fn tries_are_told_by_version_each_watcher_what_is_new_to_it() {
    let mut world = World::new();
    world.mapping("canary", Some(20));
    let peer = world.served("a");
    let told = |world: &mut World, watcher| {
        let tries = world.state.next_updates(watcher).into_iter().flat_map(|it| it.tries);
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
    let tries: Vec<_> = world.state.next_updates(watcher).into_iter().flat_map(|it| it.tries).collect();
    let expected =
        wire::VersionTries { namespace: "shop".to_owned(), hash: "new".to_owned(), bad: 5, ended: vec![5] };
    assert_eq!(tries, [expected]);
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

    // Back again: it begins anew, with what the changes say and no more.
    world.state.publish(&Delta {
        demands: BTreeMap::from([(class, None)]),
        splits: BTreeMap::from([(moved.clone(), None)]),
        ..Delta::default()
    });
    world.state.publish(&of_gateway("east"));
    assert!(world.send(&mut east).is_some());
    world.acknowledge(&east);
    assert!(world.state.split_state(&split).unwrap().compiled.is_some());

    world.state.publish(&Delta { demands: BTreeMap::from([(gateway("east"), None)]), ..Delta::default() });
    world.state.disconnect(&east.seat);
    assert_eq!(world.state.counted().len(), 1, "nothing is left of it");
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
