//! The fixture, and a state as the `World` that the engine sees.

use std::collections::BTreeMap;

use crds::contract;
use crds::rollout::Rollout;
use operator_core::effect::Effect;
use operator_core::hash::fingerprint;
use operator_core::plan::Plan;
use operator_core::traffic::{Arm, Facts, Load, ObjectName, Proxy, Served, Split, Traffic, Version, View};
use operator_core::world::{
    Analyses, Lookup, Mapping, Owner, ReplicaSet, ReplicaSetAnnotations, ReplicaSetStatus, Service, World,
};
use serde_json::{Value, json};

use super::state::{self, Content, Fleet, Image, Objects, Server};
use super::statuses::{Statuses, now, time};

const SPLIT: &str = "*/shop/";
pub(crate) const STABLE_SERVICE: &str = "shop-stable";
pub(crate) const CANARY_SERVICE: &str = "shop-canary";
pub(crate) const CANARY_MAPPING: &str = "shop-canary";

/// Which Rollout a search is about. The two Services of [`Objects`] have the roles that the strategy gives them: stable
/// or active, canary or preview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    Canary,
    BlueGreen,
}

impl Strategy {
    fn manifests(self) -> &'static str {
        match self {
            Self::Canary => include_str!("shop.yaml"),
            Self::BlueGreen => include_str!("shop_blue_green.yaml"),
        }
    }

    /// How long after the scale-down deadline a version goes although it has requests, in ticks: `drainDeadlineSeconds`
    /// less the delay.
    pub(crate) fn drain_after_delay(self) -> i8 {
        match self {
            Self::Canary => 1,
            Self::BlueGreen => 5,
        }
    }
}

/// What decides: the engine, or a broken one.
pub(crate) type Planner = fn(&World) -> Plan;

/// What all states have in common.
pub(crate) struct Model {
    pub(crate) strategy: Strategy,
    planner: Planner,
    pub(crate) statuses: Statuses,
    rollouts: [Rollout; 3],
    hashes: [String; 3],
    /// What the engine writes on a ReplicaSet of each template.
    fingerprints: [String; 3],
    base: Value,
    /// The canary Mapping as it was first created; only its weight may ever change.
    canary: Option<Value>,
}

impl Model {
    pub(crate) fn new(strategy: Strategy, planner: Planner) -> Self {
        let documents: Vec<Value> = serde_saphyr::from_multiple(strategy.manifests()).expect("readable YAML");
        let [rollout, base] = documents.try_into().expect("a Rollout and a Mapping");
        let of_image = |image: Image| {
            let mut rollout = rollout.clone();
            rollout["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image.to_string());
            serde_json::from_value::<Rollout>(rollout).expect("a readable Rollout")
        };
        let rollouts = Image::ALL.map(of_image);
        let fingerprints = rollouts.each_ref().map(|rollout| {
            let template = rollout.spec.template.as_ref().expect("a template");
            fingerprint(&template.0).expect("a template that can be hashed").as_str().to_owned()
        });
        let mut model = Self {
            strategy,
            planner,
            fingerprints,
            statuses: Statuses::default(),
            rollouts,
            hashes: Image::ALL.map(|image| image.to_string()),
            base,
            canary: None,
        };
        model.hashes = Image::ALL.map(|image| model.learn_hash(image));
        model
    }

    /// The engine names the ReplicaSet that it creates first.
    fn learn_hash(&mut self, image: Image) -> String {
        let mut empty = self.empty();
        empty.objects.rollout.image = image;
        // The first pass records the template, the second creates its ReplicaSet.
        for _ in 0..3 {
            let plan = self.plan(&self.world(&empty.objects, &empty.fleet));
            let created = plan.effects.iter().find_map(|effect| {
                let Effect::CreateReplicaSet { manifest, .. } = effect else { return None };
                manifest["metadata"]["labels"][contract::POD_TEMPLATE_HASH_LABEL].as_str()
            });
            if let Some(hash) = created {
                return hash.to_owned();
            }
            empty.objects.rollout.status = self.statuses.keep(plan.status);
        }
        panic!("the engine creates no ReplicaSet for {image}")
    }

    /// The Rollout was just applied; two proxies serve its Mapping.
    pub(crate) fn empty(&mut self) -> state::State {
        let service = state::Service { image: None, version: 1 };
        let status = self.statuses.keep(crds::rollout::RolloutStatus::default());
        let objects = Objects {
            rollout: state::Rollout {
                image: Image::V1,
                replicas: 2,
                paused: false,
                observed: false,
                status,
                revision: 0,
                version: 1,
            },
            sets: [None; 3],
            stable: service,
            canary: service,
            mapping: None,
        };
        let served = Some(objects.compile());
        let proxy = state::Proxy { known: true, stuck: false, served, sent: None };
        let fleet =
            Fleet { server: Server::Up, requests: [false; 3], proxies: [None, Some(proxy), Some(proxy)] };
        state::State { objects, fleet, view: None }.canonical()
    }

    pub(crate) fn plan(&self, world: &World) -> Plan {
        (self.planner)(world)
    }

    pub(crate) fn hash(&self, image: Image) -> &str {
        &self.hashes[image.index()]
    }

    pub(crate) fn image_of(&self, hash: &str) -> Option<Image> {
        Image::ALL.into_iter().find(|image| self.hash(*image) == hash)
    }

    /// The image of a ReplicaSet, by its name.
    pub(crate) fn image_of_set(&self, name: &str) -> Option<Image> {
        self.image_of(name.strip_prefix("shop-")?)
    }

    /// Which status a state has.
    pub(crate) fn status(&self, objects: &Objects) -> &crds::rollout::RolloutStatus {
        self.statuses.get(objects.rollout.status)
    }

    /// The version that was last promoted.
    pub(crate) fn stable(&self, objects: &Objects) -> Option<Image> {
        self.image_of(self.status(objects).stable_rs.as_deref()?)
    }

    /// What the engine is shown of these objects and proxies.
    pub(crate) fn world(&self, objects: &Objects, fleet: &Fleet) -> World {
        let canary_mappings = objects.mapping.iter().map(|mapping| {
            let object = self.canary_object(*mapping);
            let seen = Mapping {
                uid: mapping.uid.to_string(),
                resource_version: mapping.version.to_string(),
                owned: true,
                deleting: false,
                changed_by: None,
                object,
            };
            (CANARY_MAPPING.to_owned(), seen)
        });
        let base = Mapping {
            uid: "mapping-shop".to_owned(),
            resource_version: "1".to_owned(),
            owned: false,
            deleting: false,
            changed_by: None,
            object: self.base.clone(),
        };
        World {
            now: now(),
            rollout: self.rollout(objects),
            replica_sets: Image::ALL
                .into_iter()
                .filter_map(|image| self.replica_set(objects, image))
                .collect(),
            services: BTreeMap::from([
                (STABLE_SERVICE.to_owned(), Lookup::Found(self.service("1", objects.stable))),
                (CANARY_SERVICE.to_owned(), Lookup::Found(self.service("2", objects.canary))),
            ]),
            mappings: match self.strategy {
                Strategy::Canary => BTreeMap::from([("shop".to_owned(), Lookup::Found(base))]),
                // Whoever switches Services is not shown what leads to them.
                Strategy::BlueGreen => BTreeMap::new(),
            },
            canary_mappings: canary_mappings.collect(),
            analysis: Analyses::default(),
            experiments: BTreeMap::new(),
            rivals: Vec::new(),
            pods: Vec::new(),
            workload: None,
            guard: None,
            traffic: match fleet.server {
                Server::Up | Server::Behind => Traffic::Ready(self.facts(objects, fleet)),
                Server::Unreachable => Traffic::Unknown { reason: "no answer".to_owned() },
            },
        }
    }

    /// The canary Mapping as an object; the base one stands in until one was created.
    fn canary_object(&self, mapping: state::Mapping) -> Value {
        let mut object = self.canary.clone().expect("it was created");
        object["spec"]["weight"] = json!(mapping.weight);
        object["metadata"]["uid"] = json!(mapping.uid.to_string());
        object["metadata"]["resourceVersion"] = json!(mapping.version.to_string());
        object
    }

    /// The weight of a canary Mapping that is about to be written; `None` if anything else of it is new.
    pub(crate) fn weight_of(&mut self, manifest: &Value) -> Option<u8> {
        let mut manifest = manifest.clone();
        let weight = manifest["spec"]["weight"].as_u64().and_then(|weight| u8::try_from(weight).ok())?;
        manifest["spec"]["weight"] = json!(0);
        if let Some(metadata) = manifest["metadata"].as_object_mut() {
            metadata.remove("uid");
            metadata.remove("resourceVersion");
        }
        let first = self.canary.get_or_insert_with(|| manifest.clone());
        (*first == manifest).then_some(weight)
    }

    fn rollout(&self, objects: &Objects) -> Rollout {
        let state::Rollout { image, replicas, paused, observed, status, revision, version } = objects.rollout;
        let mut rollout = self.rollouts[image.index()].clone();
        rollout.metadata.resource_version = Some(version.to_string());
        rollout.metadata.generation = Some(2);
        if revision > 0 {
            let revision = (contract::REVISION_ANNOTATION.to_owned(), revision.to_string());
            rollout.metadata.annotations = Some(BTreeMap::from([revision]));
        }
        rollout.spec.replicas = Some(replicas.into());
        rollout.spec.paused = paused;
        let mut status = self.statuses.get(status).clone();
        status.observed_generation = Some(if observed { "2" } else { "1" }.to_owned());
        rollout.status = Some(status);
        rollout
    }

    fn replica_set(&self, objects: &Objects, image: Image) -> Option<ReplicaSet> {
        let set = objects.sets[image.index()]?;
        Some(ReplicaSet {
            name: format!("shop-{}", self.hash(image)),
            uid: format!("{image}-{}", set.uid),
            resource_version: set.version.to_string(),
            created: time(-state::OLDEST),
            hash: self.hash(image).to_owned(),
            owner: Owner::ThisRollout,
            deleting: false,
            annotations: ReplicaSetAnnotations {
                revision: Some(set.revision.into()),
                revision_history: set.earlier.map(|revision| revision.to_string()),
                desired_replicas: set.desired.map(i32::from),
                scale_down_deadline: set.deadline.map(time),
                fingerprint: Some(self.fingerprints[image.index()].clone()),
                ephemeral: None,
            },
            replicas: set.replicas.into(),
            min_ready_seconds: 0,
            status: ReplicaSetStatus {
                replicas: set.replicas.into(),
                ready: set.available.into(),
                available: set.available.into(),
                failure: None,
            },
        })
    }

    fn service(&self, uid: &str, service: state::Service) -> Service {
        let mut selector = BTreeMap::from([("app".to_owned(), "shop".to_owned())]);
        if let Some(image) = service.image {
            selector.insert(contract::POD_TEMPLATE_HASH_LABEL.to_owned(), self.hash(image).to_owned());
        }
        Service {
            uid: uid.to_owned(),
            resource_version: service.version.to_string(),
            selector,
            managed_by: Some("shop".to_owned()),
            ports: Vec::new(),
        }
    }

    fn facts(&self, objects: &Objects, fleet: &Fleet) -> Facts {
        let proxies: Vec<(String, &state::Proxy)> = fleet
            .proxies
            .iter()
            .flatten()
            .enumerate()
            .map(|(number, proxy)| (format!("p{}", number + 1), proxy))
            .collect();
        let known = || proxies.iter().filter(|(_, proxy)| proxy.known);
        let views = known()
            .flat_map(|(id, proxy)| proxy.contents().map(move |content| (id, content)))
            .map(|(id, content)| View { served: Some(self.served(content)), proxies: vec![id.clone()] });
        let compiled = self.served(&objects.compile());
        let split = Split {
            id: SPLIT.to_owned(),
            views: views.collect(),
            compiled: Some(compiled),
            problem: None,
            scope: String::new(),
        };
        let loads = Image::ALL.into_iter().map(|image| {
            let routable = fleet.routes_to(image);
            (
                self.hash(image).to_owned(),
                Load { in_flight: fleet.requests[image.index()].into(), routable, settled: !routable },
            )
        });
        Facts {
            loads: loads.collect(),
            draining: BTreeMap::new(),
            cohorts: Vec::new(),
            splits: vec![split],
            proxies: proxies
                .iter()
                .map(|(id, proxy)| Proxy {
                    id: id.clone(),
                    pod: ObjectName::new("sluice", id.as_str()),
                    known: proxy.known,
                    scope: String::new(),
                })
                .collect(),
        }
    }

    fn served(&self, content: &Content) -> Served {
        let endpoints = |ready: [u8; 3]| -> BTreeMap<String, u32> {
            let counts = Image::ALL.into_iter().map(|image| (image, ready[image.index()]));
            counts
                .filter(|(_, ready)| *ready > 0)
                .map(|(image, ready)| (self.hash(image).to_owned(), ready.into()))
                .collect()
        };
        let arm = |mapping: &str, service: &str, written: Option<u8>, share: u32, ready: [u8; 3]| Arm {
            id: mapping.to_owned(),
            mapping: ObjectName::new("default", mapping),
            service: ObjectName::new("default", service),
            written: written.map(i32::from),
            share,
            endpoints: endpoints(ready),
        };
        let version = |kind: &str, name: &str, version: u8| Version {
            kind: kind.to_owned(),
            object: ObjectName::new("default", name),
            resource_version: version.to_string(),
        };
        let weight = content.canary.map_or(0, |canary| canary.weight);
        let rest = 10_000 - u32::from(weight) * 100;
        let mut arms = vec![arm("shop", STABLE_SERVICE, None, rest, content.stable)];
        let mut versions =
            vec![version("Mapping", "shop", 1), version("Service", STABLE_SERVICE, content.stable_version)];
        if let Some(state::CanaryArm { weight, ready }) = content.canary {
            arms.push(arm(CANARY_MAPPING, CANARY_SERVICE, Some(weight), u32::from(weight) * 100, ready));
            versions.push(version("Mapping", CANARY_MAPPING, content.mapping_version));
            versions.push(version("Service", CANARY_SERVICE, content.canary_version));
        }
        Served { arms, versions }
    }
}
