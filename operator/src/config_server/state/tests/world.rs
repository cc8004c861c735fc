//! A fleet of one proxy or more, as the config service sees it.

use operator_routes::{
    Compiler, ObjectChange, Settings,
    dialect::{DocumentKind, documents::DocumentName},
    object::{
        EmissaryObject, EndpointCondition, EndpointSlice, Family, Pod, Service, ServicePort, SliceEndpoint,
    },
};
use proxy_config::{
    model::{ArmId, Draining},
    wire::traffic as wire,
};
use serde_json::json;

use super::super::*;

pub(super) const EPOCH: Epoch = Epoch { created: 7, transitions: 2 };

/// A compiler with a stable and a canary Mapping, and the state that serves what it compiles.
pub(super) struct World {
    pub(super) compiler: Compiler,
    pub(super) state: State,
    pub(super) version: u64,
}

/// A proxy as the config service sees it: what it was sent and what it made of it.
pub(super) struct Peer {
    pub(super) seat: Seat,
    pub(super) config: Config,
    pub(super) last: Option<Position>,
}

pub(super) fn name(text: &str) -> ObjectName {
    ObjectName::new("shop", text)
}

/// One pod behind the Service of the fleet.
pub(super) fn behind(uid: &str, pod: &str) -> Endpoints {
    BTreeMap::from([(Scope::Fleet, BTreeMap::from([(uid.to_owned(), name(pod))]))])
}

pub(super) fn mapping_name(text: &str) -> DocumentName {
    DocumentName { kind: DocumentKind::Mapping, name: name(text) }
}

impl World {
    pub(super) fn new() -> Self {
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

    pub(super) fn change(&mut self, change: ObjectChange) {
        self.compiler.apply(change);
        let delta = self.compiler.compile();
        self.state.publish(&delta);
    }

    pub(super) fn next_version(&mut self) -> Arc<str> {
        self.version += 1;
        self.version.to_string().into()
    }

    pub(super) fn mapping(&mut self, service: &str, weight: Option<u8>) {
        let spec = json!({"prefix": "/", "service": service, "resolver": "endpoint", "weight": weight});
        let owned_by_rollout = service == "canary";
        let mapping = EmissaryObject { owned_by_rollout, ..EmissaryObject::new(self.next_version(), spec) };
        self.change(ObjectChange::Emissary(mapping_name(service), Some(mapping)));
    }

    /// A Service with one pod of a version.
    pub(super) fn service(&mut self, service: &str, hash: &str, address: u8) {
        let ports = vec![ServicePort { port: 80, ..ServicePort::default() }];
        let slim = Service { resource_version: self.next_version(), ports, ..Service::default() };
        self.change(ObjectChange::Service(name(service), Some(slim)));
        self.change(ObjectChange::Pod(name(hash), Some(Pod { hash: hash.into(), leaving: None })));
        self.slice(service, &[(hash, address)]);
    }

    pub(super) fn slice(&mut self, service: &str, pods: &[(&str, u8)]) {
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
            ports: std::iter::once((String::new(), 8080)).collect(),
            endpoints: pods.iter().map(endpoint).collect(),
        };
        self.change(ObjectChange::EndpointSlice(name(&format!("{service}-1")), Some(slice)));
    }

    pub(super) fn connect(&mut self, boot: &str, last: Option<&Peer>) -> Peer {
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

    /// All that a watcher has not been told yet.
    pub(super) fn updates(&mut self, watcher: WatcherId) -> Vec<Update> {
        std::iter::from_fn(|| self.state.next_update(watcher)).collect()
    }

    /// Sends a proxy what it may be sent. Says how many changes that were.
    pub(super) fn send(&mut self, peer: &mut Peer) -> Option<usize> {
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
    pub(super) fn served(&mut self, boot: &str) -> Peer {
        let mut peer = self.connect(boot, None);
        self.send(&mut peer);
        self.acknowledge(&peer);
        peer
    }

    pub(super) fn acknowledge(&mut self, peer: &Peer) {
        let position = peer.last.unwrap();
        assert!(self.state.acknowledge(&peer.seat, position, Instant::now()).is_some());
    }

    pub(super) fn report(&mut self, peer: &Peer, oldest_pinned: Position, in_flight: &[(&str, u64)]) {
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
    pub(super) fn report_tries(&mut self, peer: &Peer, tries: &[(&str, &str, u64, u64)]) -> bool {
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
    pub(super) fn report_pods(&mut self, peer: &Peer, oldest_pinned: Position, pods: Option<&[(&str, u64)]>) {
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
    pub(super) fn choose(&mut self, pod: &str, chosen: bool) {
        let leaving = chosen.then(Draining::default);
        self.change(ObjectChange::Pod(name(pod), Some(Pod { hash: "old".into(), leaving })));
    }
}

/// What a watcher knows: the split's views as `canary share: proxies`, and the loads.
#[derive(Default)]
pub(super) struct Known {
    pub(super) views: Vec<String>,
    pub(super) compiled: Option<u32>,
    pub(super) problem: String,
    pub(super) loads: BTreeMap<String, (u64, bool, bool)>,
    pub(super) pods: BTreeMap<String, (u64, bool, bool)>,
    pub(super) fleet: Vec<(String, bool)>,
}

impl Known {
    pub(super) fn update(&mut self, updates: Vec<Update>) -> &mut Self {
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
