//! One proxy, which serves every route as soon as it is written and lets no request take time.

use std::collections::BTreeMap;

use crds::contract::{POD_TEMPLATE_HASH_LABEL, STANDS_IN_ANNOTATION};
use operator_core::key::{self, Kind};
use operator_core::mapping::service::ServiceAddress;
use operator_core::traffic::{Arm, Facts, Load, ObjectName, Proxy, Served, Split, Traffic, Version, View};
use operator_core::weight::Weight;
use operator_core::world::Mapping;
use serde_json::Value;

use crate::cluster::{Cluster, is_draining};

const PROXY: &str = "proxy";

impl Cluster {
    /// What the proxy has told.
    pub(crate) fn traffic(&self) -> Traffic {
        let splits = self.splits();
        let mut loads: BTreeMap<String, Load> = BTreeMap::new();
        for arm in splits.values().flat_map(|served| &served.arms) {
            for (hash, endpoints) in &arm.endpoints {
                let load = loads.entry(hash.clone()).or_insert(Load::NONE);
                load.routable |= arm.share > 0 && *endpoints > 0;
                load.settled = !load.routable;
            }
        }
        let going = self.sets.values().flat_map(|set| &set.pods).filter(|pod| is_draining(pod));
        let draining = going.map(|pod| (pod.name.clone(), Load::NONE)).collect();
        let proxy = Proxy {
            id: PROXY.to_owned(),
            pod: ObjectName::new(PROXY, PROXY),
            known: true,
            scope: String::new(),
        };
        let split = |(id, served): (String, Served)| Split {
            id,
            views: vec![View { served: Some(served.clone()), proxies: vec![PROXY.to_owned()] }],
            compiled: Some(served),
            problem: None,
            scope: String::new(),
        };
        Traffic::Ready(Facts {
            proxies: vec![proxy],
            splits: splits.into_iter().map(split).collect(),
            loads,
            draining,
            cohorts: Vec::new(),
        })
    }

    /// Which share of all requests the version with this hash gets, from 0 to 1, with what Experiments give it. Requests that a header sends to it, and
    /// copies, are not counted.
    pub(crate) fn share_of(&self, hash: &str) -> f64 {
        let base = self.base_mappings().into_iter().next();
        let splits = self.splits();
        // A route that stands in for the base is asked first.
        let objects = base.map(|base| [self.stand_in_for(&base).unwrap_or_else(|| base.clone()), base]);
        let divided = |object: &String| splits.values().find(|it| self.is_divided(it, object)).cloned();
        let routed = objects.and_then(|objects| objects.iter().find_map(divided));
        if let Some(served) = routed {
            let trials = self.trials().filter(|(trial, _)| trial.version == hash);
            let hashes: Vec<&str> = trials.map(|(trial, _)| trial.hash.as_str()).chain([hash]).collect();
            let of = |arm: &Arm| hashes.iter().map(|hash| share_of_arm(arm, hash)).sum::<f64>();
            return served.arms.iter().map(of).sum();
        }
        let active = self.rollout.spec.strategy.blue_green.as_ref().map(|it| &it.active_service);
        if let Some(active) = active {
            let selected = self.services.get(active).and_then(|service| service.hash());
            return f64::from(u8::from(selected == Some(hash)));
        }
        // No route: every ready pod gets the same.
        let all: u32 = self.sets.values().map(|set| self.endpoints(&set.hash)).sum();
        if all == 0 { 0.0 } else { f64::from(self.endpoints(hash)) / f64::from(all) }
    }

    /// The key of the route that takes the place of a base, while there is one.
    fn stand_in_for(&self, base: &str) -> Option<String> {
        let (kind, name) = key::parse(base);
        let mut others = self.mappings.iter().filter(|(key, _)| key::parse(key).0 == kind);
        let stands_in = |it: &Mapping| it.object["metadata"]["annotations"][STANDS_IN_ANNOTATION] == name;
        others.find_map(|(key, it)| stands_in(it).then(|| key.clone()))
    }

    /// Whether a split is one of a base that has both versions. A route of the Gateway API may have rules for others.
    fn is_divided(&self, served: &Served, base: &str) -> bool {
        let canary = self.rollout.spec.strategy.canary.as_ref();
        let canary = canary.and_then(|it| it.canary_service.as_ref());
        served.arms.iter().any(|arm| arm.mapping.name == base)
            && (!key::parse(base).0.is_split_in_place()
                || served.arms.iter().any(|arm| Some(&arm.service.name) == canary))
    }

    /// The content of every route: Mappings that match the same requests share them.
    fn splits(&self) -> BTreeMap<String, Served> {
        let mut groups: BTreeMap<String, Vec<(&String, &Mapping)>> = BTreeMap::new();
        let mut copies: BTreeMap<String, Vec<(&String, &Mapping)>> = BTreeMap::new();
        let bases = self.base_mappings();
        for base in bases.iter().filter(|base| key::parse(base).0 == Kind::Ingress) {
            let pair = [base.clone(), self.canary_of(base)];
            let there = pair.iter().filter_map(|name| self.mappings.get_key_value(name));
            groups.insert(base.clone(), there.collect());
        }
        let mappings = self.mappings.iter().filter(|(name, _)| key::parse(name).0 == Kind::Mapping);
        for (name, mapping) in mappings {
            let spec = &mapping.object["spec"];
            if spec["shadow"] == true {
                copies.entry(address(spec)).or_default().push((name, mapping));
            } else {
                let conditions = ["headers", "regex_headers", "method"].map(|it| spec[it].to_string());
                groups.entry(address(spec) + &conditions.concat()).or_default().push((name, mapping));
            }
        }
        let split = |(id, group): (String, Vec<(&String, &Mapping)>)| {
            let mut served = self.split(&group);
            let address =
                group.first().map(|(_, mapping)| address(&mapping.object["spec"])).unwrap_or_default();
            let copies = copies.get(&address).into_iter().flatten();
            served
                .versions
                .extend(copies.map(|(name, it)| self.version("Mapping", name, &it.resource_version)));
            (id, served)
        };
        let routes = self.mappings.iter().filter(|(key, _)| key::parse(key).0.is_split_in_place());
        let rules = routes.flat_map(|(key, route)| self.rules(key, route));
        groups.into_iter().map(split).chain(rules).collect()
    }

    fn split(&self, group: &[(&String, &Mapping)]) -> Served {
        let weights: Vec<Option<Weight>> = group.iter().map(|(_, mapping)| mapping.weight()).collect();
        let taken: u32 = weights.iter().flatten().map(|weight| weight.share()).sum();
        let takers = weights.iter().filter(|weight| weight.is_none()).count();
        let rest = Weight::FULL.share().saturating_sub(taken) / u32::try_from(takers.max(1)).unwrap_or(1);
        let mut versions = Vec::new();
        let arms = group.iter().zip(weights).map(|((name, mapping), weight)| {
            let service = self.service_of(mapping);
            let (kind, object) = key::parse(name);
            versions.push(self.version(kind.text(), object, &mapping.resource_version));
            if let Some(found) = self.services.get(&service) {
                versions.push(self.version("Service", &service, &found.resource_version));
            }
            Arm {
                id: (*name).clone(),
                mapping: self.object(name),
                endpoints: self.endpoints_of(&service),
                service: self.object(&service),
                written: weight.map(Weight::percent),
                share: weight.map_or(rest, Weight::share),
            }
        });
        let arms = arms.collect();
        Served { arms, versions }
    }

    pub(crate) fn endpoints_of(&self, service: &str) -> BTreeMap<String, u32> {
        let trial = self.trials().find(|(trial, _)| trial.service.as_deref() == Some(service));
        if let Some((trial, ready)) = trial {
            return (ready > 0).then(|| (trial.hash.clone(), ready)).into_iter().collect();
        }
        let Some(service) = self.services.get(service) else { return BTreeMap::new() };
        let wanted = service.selector.get(POD_TEMPLATE_HASH_LABEL);
        let selected = self.sets.values().filter(|set| wanted.is_none_or(|hash| *hash == set.hash));
        let ready = selected.map(|set| (set.hash.clone(), self.endpoints(&set.hash)));
        ready.filter(|(_, count)| *count > 0).collect()
    }

    /// Where a Mapping sends its requests, or an Ingress those that the Rollout divides.
    fn service_of(&self, mapping: &Mapping) -> String {
        if mapping.object["kind"] == "Ingress" {
            let canary = self.rollout.spec.strategy.canary.as_ref();
            let services = canary.into_iter().flat_map(|it| [&it.stable_service, &it.canary_service]);
            let mut services =
                services.flatten().filter(|name| operator_core::ingress::sends_to(&mapping.object, name));
            return services.next().cloned().unwrap_or_default();
        }
        let written = mapping.object["spec"]["service"].as_str().unwrap_or_default();
        let parsed = ServiceAddress::parse(written);
        let names = |name: &&String| parsed.as_ref().is_some_and(|it| it.names(name, self.namespace()));
        let trials = self.trials().filter_map(|(trial, _)| trial.service.as_ref());
        self.services.keys().chain(trials).find(names).cloned().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.rollout.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn object(&self, name: &str) -> ObjectName {
        ObjectName::new(self.namespace(), name)
    }

    pub(crate) fn version(&self, kind: &str, name: &str, resource_version: &str) -> Version {
        Version {
            kind: kind.to_owned(),
            object: self.object(name),
            resource_version: resource_version.to_owned(),
        }
    }
}

/// The share of a split's requests that an arm sends to pods with this hash.
fn share_of_arm(arm: &Arm, hash: &str) -> f64 {
    let all: u32 = arm.endpoints.values().sum();
    let of_hash = arm.endpoints.get(hash).copied().unwrap_or_default();
    if all == 0 { 0.0 } else { f64::from(arm.share) / 10_000.0 * f64::from(of_hash) / f64::from(all) }
}

/// Host and path of a Mapping.
fn address(spec: &Value) -> String {
    let text = |field: &str, default: &str| spec[field].as_str().unwrap_or(default).to_owned();
    text("hostname", "*") + &text("prefix", "/")
}
