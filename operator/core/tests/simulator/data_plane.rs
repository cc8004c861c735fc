//! Route compilation and the proxies: Mappings become splits, and every proxy takes one commit at a time.

use std::collections::{BTreeMap, BTreeSet};

use operator_core::traffic::{
    Arm, Cohort, Facts, Load, ObjectName, Proxy, Served, Split, Traffic, Version, View,
};
use serde_json::Value;

use super::cluster::Cluster;
use super::gateway;

/// Kind of the versions by which a content names pods that were chosen to go.
const DRAINING: &str = "Draining";

/// All splits of one commit, by id.
pub(crate) type Content = BTreeMap<String, Served>;

#[derive(Clone, Debug)]
pub(crate) struct DataPlane {
    pub(crate) mode: Mode,
    pub(crate) proxies: BTreeMap<String, SimulatedProxy>,
    /// Requests under way, by pod-template hash.
    pub(crate) in_flight: BTreeMap<String, u64>,
    /// Requests by the second in which they began.
    pub(crate) cohorts: Vec<Cohort>,
    pub(crate) compiled: Content,
}

/// What becomes of some requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    pub(crate) requests: u64,
    pub(crate) bad: u64,
    /// Their latency, by the bucket of the histogram; `None`: they hang.
    pub(crate) bucket: Option<usize>,
}

impl Answers {
    /// Within 10 ms.
    pub(crate) fn soon(requests: u64, bad: u64) -> Self {
        Self { requests, bad, bucket: Some(21) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    NotConfigured,
    Unreachable,
    Ready,
}

#[derive(Clone, Debug)]
pub(crate) struct SimulatedProxy {
    /// Acknowledges as soon as it is sent something; else only on `ack`.
    pub(crate) prompt: bool,
    pub(crate) known: bool,
    pub(crate) served: Content,
    pub(crate) sent: Option<Content>,
}

impl DataPlane {
    pub(crate) fn new() -> Self {
        Self {
            mode: Mode::Ready,
            proxies: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            cohorts: Vec::new(),
            compiled: Content::new(),
        }
    }

    /// Adds a proxy that has not yet told what it serves.
    pub(crate) fn add(&mut self, name: &str, prompt: bool) {
        let proxy = SimulatedProxy { prompt, known: prompt, served: self.compiled.clone(), sent: None };
        self.proxies.insert(name.to_owned(), proxy);
    }

    /// Requests to pods of this hash begin in this second, by the split whose id has `by` in it.
    pub(crate) fn count(&mut self, second: i64, hash: &str, by: &str, answers: &Answers) {
        let holds = |arm: &&Arm| arm.share > 0 && arm.endpoints.contains_key(hash);
        let splits = self.compiled.iter().filter(|(id, _)| id.contains(by));
        let mut arms = splits.filter_map(|(id, served)| Some((id, served.arms.iter().find(holds)?)));
        let Some((split, arm)) = arms.next() else { return };
        let Answers { requests, bad, bucket } = *answers;
        let mut ended = Vec::new();
        if let Some(bucket) = bucket {
            ended.resize(bucket + 1, 0);
            ended[bucket] = requests;
        }
        let shares = requests * u64::from(arm.share);
        let (split, arm, hash) = (split.clone(), arm.id.clone(), hash.to_owned());
        self.cohorts.push(Cohort { second, split, arm, hash, requests, bad, shares, ended });
    }

    /// Sends the newest commit to every proxy that has acknowledged its last one.
    pub(crate) fn send(&mut self, compiled: Content) {
        for proxy in self.proxies.values_mut() {
            if proxy.prompt {
                proxy.known = true;
                proxy.sent = None;
                proxy.served.clone_from(&compiled);
            } else if proxy.sent.is_none() && (proxy.served != compiled || !proxy.known) {
                proxy.sent = Some(compiled.clone());
            }
        }
        self.compiled = compiled;
    }

    /// The proxy acknowledges what it was sent, and is sent what came since.
    pub(crate) fn acknowledge(&mut self, name: &str) {
        let compiled = self.compiled.clone();
        let proxy = self.proxies.get_mut(name).unwrap_or_else(|| panic!("no proxy {name}"));
        if let Some(sent) = proxy.sent.take() {
            proxy.served = sent;
            proxy.known = true;
        }
        self.send(compiled);
    }

    /// Whether some proxy could send a new request to pods of this hash.
    pub(crate) fn routable(&self, hash: &str) -> bool {
        self.proxies.values().any(|proxy| {
            !proxy.known
                || proxy
                    .contents()
                    .flat_map(Content::values)
                    .flat_map(|it| &it.arms)
                    .any(|arm| arm.share > 0 && arm.endpoints.get(hash).is_some_and(|ready| *ready > 0))
        })
    }

    pub(crate) fn traffic(&self) -> Traffic {
        match self.mode {
            Mode::NotConfigured => Traffic::NotConfigured,
            Mode::Unreachable => {
                Traffic::Unknown { reason: "the traffic server cannot be reached".to_owned() }
            }
            Mode::Ready => Traffic::Ready(self.facts()),
        }
    }

    fn facts(&self) -> Facts {
        let proxies = self.proxies.iter().map(|(name, proxy)| Proxy {
            id: format!("{name}-boot"),
            pod: ObjectName::new("sluice", name),
            known: proxy.known,
            scope: String::new(),
        });
        let known = || self.proxies.iter().filter(|(_, proxy)| proxy.known);
        let ids = known()
            .flat_map(|(_, proxy)| proxy.contents())
            .flat_map(Content::keys)
            .chain(self.compiled.keys());
        let ids: BTreeSet<&String> = ids.collect();
        let splits = ids.into_iter().map(|id| Split {
            id: id.clone(),
            views: known()
                .flat_map(|(name, proxy)| proxy.contents().map(move |content| (name, content)))
                .map(|(name, content)| View {
                    served: content.get(id).cloned(),
                    proxies: vec![format!("{name}-boot")],
                })
                .collect(),
            compiled: self.compiled.get(id).cloned(),
            problem: None,
            scope: String::new(),
        });
        let hashes = self
            .compiled
            .values()
            .chain(known().flat_map(|(_, proxy)| proxy.contents()).flat_map(Content::values));
        let mut loads: BTreeMap<String, Load> = hashes
            .flat_map(|served| &served.arms)
            .flat_map(|arm| arm.endpoints.keys())
            .map(|hash| (hash.clone(), Load::NONE))
            .collect();
        for hash in self.in_flight.keys() {
            loads.entry(hash.clone()).or_insert(Load::NONE);
        }
        for (hash, load) in &mut loads {
            load.routable = self.routable(hash);
            load.in_flight = self.in_flight.get(hash).copied().unwrap_or(0);
            load.settled = !load.routable;
        }
        let draining = self.draining(&loads);
        Facts {
            proxies: proxies.collect(),
            splits: splits.collect(),
            loads,
            draining,
            cohorts: self.cohorts.clone(),
        }
    }
}

impl DataPlane {
    /// The pods that every content of the newest commit names as chosen to go, with the requests of their version.
    fn draining(&self, loads: &BTreeMap<String, Load>) -> BTreeMap<String, Load> {
        let names = |content: &Content| -> BTreeSet<String> {
            let versions = content.values().flat_map(|served| &served.versions);
            versions.filter(|it| it.kind == DRAINING).map(|it| it.object.name.clone()).collect()
        };
        let contents: Vec<&Content> = self.proxies.values().flat_map(SimulatedProxy::contents).collect();
        let load = |pod: &String| {
            let routable = !contents.iter().all(|content| names(content).contains(pod));
            let in_flight = loads
                .iter()
                .find(|(hash, _)| pod.contains(hash.as_str()))
                .map_or(0, |(_, load)| load.in_flight);
            Load { in_flight, routable, settled: !routable }
        };
        names(&self.compiled).into_iter().map(|pod| (pod.clone(), load(&pod))).collect()
    }
}

impl SimulatedProxy {
    /// What it serves, or may since it was sent.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        std::iter::once(&self.served).chain(&self.sent)
    }
}

impl Cluster {
    /// Compiles all Mappings and sends the result.
    pub(crate) fn run_data_plane(&mut self) {
        let mut groups: BTreeMap<String, Vec<(&String, &Value)>> = BTreeMap::new();
        let (mirrors, routes): (Vec<_>, Vec<_>) =
            self.mappings.iter().partition(|(_, mapping)| mapping["spec"]["shadow"] == true);
        for (name, mapping) in routes {
            if gateway::key_of(mapping).is_some() {
                continue;
            }
            if mapping["kind"] == "Ingress" {
                for (place, _) in places(mapping) {
                    groups.entry(place).or_default().push((name, mapping));
                }
                continue;
            }
            let spec = &mapping["spec"];
            let mut key = address(mapping);
            for condition in ["headers", "regex_headers", "method"] {
                if let Some(condition) = spec.get(condition) {
                    key.push_str(&condition.to_string());
                }
            }
            groups.entry(key).or_default().push((name, mapping));
        }
        let content = groups.into_iter().map(|(key, group)| {
            let mut served = self.split(&key, &group);
            let mirrors = mirrors.iter().filter(|(_, mapping)| address(mapping) == address(group[0].1));
            served.versions.extend(mirrors.map(|(_, mapping)| version("Mapping", mapping)));
            (key, served)
        });
        let routes = self.mappings.iter().filter(|(_, object)| gateway::key_of(object).is_some());
        let rules = routes.flat_map(|(key, route)| self.rules(key, route));
        let content = content.chain(rules).collect();
        self.data_plane.send(content);
    }

    /// The pods that were chosen to go: a content that names one was compiled after it was chosen.
    pub(super) fn draining_pods(&self) -> impl Iterator<Item = Version> {
        let pods = self.replica_sets.values().flat_map(|set| &set.pods).filter(|pod| pod.is_draining());
        pods.map(|pod| Version {
            kind: DRAINING.to_owned(),
            object: ObjectName::new("default", &pod.name),
            resource_version: String::new(),
        })
    }

    fn split(&self, key: &str, group: &[(&String, &Value)]) -> Served {
        let share = canary_share;
        let taken: i64 = group.iter().filter_map(|(_, mapping)| share(mapping)).sum();
        let takers = group.iter().filter(|(_, mapping)| share(mapping).is_none()).count();
        let rest = (10_000 - taken).max(0) / i64::try_from(takers.max(1)).expect("few Mappings");
        let mut versions = Vec::new();
        let arms = group
            .iter()
            .map(|(name, mapping)| {
                let kind = if mapping["kind"] == "Ingress" { "Ingress" } else { "Mapping" };
                let of_place = places(mapping).find(|(place, _)| place == key).map(|(_, service)| service);
                let service = of_place
                    .unwrap_or_else(|| service_name(mapping["spec"]["service"].as_str().unwrap_or_default()));
                versions.push(version(kind, mapping));
                if let Some(service) = self.services.get(&service) {
                    versions.push(version("Service", service));
                }
                versions.extend(self.draining_pods());
                Arm {
                    id: (*name).clone(),
                    mapping: ObjectName::new("default", *name),
                    endpoints: self.endpoints(&service),
                    service: ObjectName::new("default", service),
                    written: share(mapping).map(|it| i32::try_from(it / 100).expect("a percentage")),
                    share: u32::try_from(share(mapping).unwrap_or(rest)).expect("a share"),
                }
            })
            .collect();
        Served { arms, versions }
    }
}

/// The weight of a canary Mapping, or of a canary Ingress, in 1/10 000.
pub(crate) fn canary_share(object: &Value) -> Option<i64> {
    let annotation = |suffix: &str| -> Option<i64> {
        let annotations = object["metadata"]["annotations"].as_object()?;
        let (_, text) = annotations.iter().find(|(name, _)| name.ends_with(suffix))?;
        text.as_str()?.parse().ok()
    };
    let total = annotation("/canary-weight-total").unwrap_or(100);
    let annotated = annotation("/canary-weight").map(|weight| 10_000 * weight / total);
    annotated.or_else(|| Some(100 * object.pointer("/spec/weight")?.as_i64()?))
}

/// Host and path of each rule of an Ingress, with its Service.
fn places(ingress: &Value) -> impl Iterator<Item = (String, String)> {
    let rules = ingress["spec"]["rules"].as_array().into_iter().flatten();
    rules.flat_map(|rule| {
        let host = rule["host"].as_str().unwrap_or("*");
        let paths = rule["http"]["paths"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        paths.map(move |path| {
            (format!("ingress {host}{}", text(&path["path"])), text(&path["backend"]["service"]["name"]))
        })
    })
}

/// Host and path of a Mapping.
fn address(mapping: &Value) -> String {
    let text = |field: &str, default: &str| mapping["spec"][field].as_str().unwrap_or(default).to_owned();
    text("hostname", "*") + &text("prefix", "/")
}

/// The name in a Mapping's `service`.
pub(crate) fn service_name(service: &str) -> String {
    let authority = service.split_once("://").map_or(service, |(_, rest)| rest);
    authority.split([':', '.']).next().unwrap_or_default().to_owned()
}

pub(super) fn version(kind: &str, object: &Value) -> Version {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    Version {
        kind: kind.to_owned(),
        object: ObjectName::new("default", text("name")),
        resource_version: text("resourceVersion"),
    }
}
