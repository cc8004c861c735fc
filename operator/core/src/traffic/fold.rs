//! The fold: one answer over every counted proxy, by content.
//!
//! A condition holds for a proxy only if every content that it serves, or may since it was sent, satisfies it; it
//! holds for the fleet only if it holds for every counted proxy. Contents compiled from an older object than this
//! `World` holds do not count (design §2.1).

mod trials;

use std::collections::{BTreeMap, BTreeSet};

pub use self::trials::{StandIn, TrialArm};
use super::{Arm, Facts, Load, ObjectName, Proxy, Served, Split};
use crate::key::{self, Kind};
use crate::weight::Weight;

/// What the fold has to know of a Rollout's routes. Names are in the Rollout's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Namespace of the Rollout.
    pub namespace: String,
    /// The Services that select the Rollout's pods.
    pub services: BTreeSet<String>,
    /// Listed object → what has the canary's weight, by their [keys](crate::key): a copy beside it, or the same.
    pub mappings: BTreeMap<String, String>,
    /// The base Mappings send to the canary, and their canary Mappings to the stable version (`pingPong`).
    pub base_is_canary: bool,
    /// The Service of the canary: which arm of a route that is split in place is the canary's.
    pub canary_service: String,
    /// `resourceVersion` this World holds, by kind and name: Mappings and Services.
    pub versions: BTreeMap<(&'static str, String), String>,
    /// The canary Mappings that exist in this World.
    pub existing: BTreeSet<String>,
}

/// The splits of one Rollout, and questions to every counted proxy about them.
#[derive(Clone, Debug)]
pub struct Fold<'a> {
    facts: &'a Facts,
    route: &'a Route,
    /// Splits with an arm of a listed base Mapping.
    listed: Vec<&'a Split>,
    /// Splits with an arm on one of the Rollout's Services, and the listed ones.
    reaching: Vec<&'a Split>,
    /// The counted proxies that can have one of these: those of their scopes. All, while there is no such split.
    proxies: Vec<&'a Proxy>,
}

/// How many counted proxies satisfy a condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// Counted proxies that satisfy it.
    pub agreeing: usize,
    /// Counted proxies.
    pub counted: usize,
    /// The pods of those that do not, sorted.
    pub waiting: Vec<ObjectName>,
    /// Why none can: the route is not served as written, or not at all.
    pub problem: Option<String>,
}

impl Poll {
    /// Every counted proxy satisfies the condition. True of an empty fleet, which routes nothing.
    #[must_use]
    pub fn unanimous(&self) -> bool {
        self.agreeing == self.counted && self.problem.is_none()
    }
}

impl<'a> Fold<'a> {
    /// Picks the splits of one Rollout out of the facts.
    #[must_use]
    pub fn new(facts: &'a Facts, route: &'a Route) -> Self {
        let listed = facts.splits.iter().filter(|split| route.lists(split)).collect();
        let reaching: Vec<&Split> = facts
            .splits
            .iter()
            .filter(|split| arms(split).any(|arm| route.is_base(arm) || route.reaches(arm)))
            .collect();
        let scopes: BTreeSet<&str> = reaching.iter().map(|split| split.scope.as_str()).collect();
        let can_have = |proxy: &&Proxy| scopes.is_empty() || scopes.contains(proxy.scope.as_str());
        let proxies = facts.proxies.iter().filter(can_have).collect();
        Self { facts, route, listed, reaching, proxies }
    }

    /// Number of counted proxies that can carry the Rollout's routes.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.proxies.len()
    }

    /// Whether the canary arm of every listed split has exactly the wanted weight.
    #[must_use]
    pub fn weight_served(&self, weight: Weight) -> Poll {
        let mut poll = self.poll(&self.listed, |served| {
            let Some(served) = served else { return false };
            self.fresh(served) && self.has_base(served) && self.canary_arms_are(served, weight)
        });
        poll.problem = self.problem();
        poll
    }

    /// Whether no split that reaches one of the Services sends anything to a canary arm.
    #[must_use]
    pub fn weight_zero(&self) -> Poll {
        self.poll(&self.reaching, |served| {
            let Some(served) = served else { return true };
            self.fresh(served) && self.canary_arms_are(served, Weight::ZERO)
        })
    }

    /// Whether every listed split has a canary arm that holds only pods of `hash`, at least `need` of them ready.
    #[must_use]
    pub fn canary_arm_holds(&self, hash: &str, need: i32) -> Poll {
        let mut poll = self.poll(&self.listed, |served| {
            let Some(served) = served else { return false };
            let mut wanted = self.wanted_canary_arms(served);
            self.fresh(served)
                && self.has_base(served)
                && wanted.all(|arm| arm.is_some_and(|arm| holds_exactly(arm, hash, need)))
        });
        poll.problem = self.problem();
        poll
    }

    /// Whether every arm on one of the Rollout's Services holds only pods of `hash`, at least `need` of them ready.
    #[must_use]
    pub fn service_holds(&self, service: &str, hash: &str, need: i32) -> Poll {
        let service = self.route.name(service);
        self.poll(&self.reaching, |served| {
            let Some(served) = served else { return true };
            let mut arms = served.arms.iter().filter(|arm| arm.service == service);
            self.fresh(served) && arms.all(|arm| holds_exactly(arm, hash, need))
        })
    }

    /// Whether the Mappings of managed routes are served as they are: those that send, by an arm that holds only pods
    /// of `hash`, one of them ready; mirrors (with their bases), in that every split of the base is compiled with them.
    #[must_use]
    pub fn routes_served(
        &self,
        sending: &BTreeSet<&str>,
        mirrors: &BTreeMap<&str, &str>,
        hash: &str,
    ) -> Poll {
        let sends = |served: &Served, name: &ObjectName| {
            let mut own = served.arms.iter().filter(|arm| arm.mapping == *name);
            own.any(|arm| arm.share > 0 && holds_exactly(arm, hash, 1))
        };
        let compiled = |served: &Served, name: &ObjectName| {
            served.versions.iter().any(|version| version.kind == "Mapping" && version.object == *name)
        };
        let of = |name: &ObjectName| {
            let splits = self.reaching.iter().filter(|split| arms(split).any(|arm| arm.mapping == *name));
            splits.copied().collect::<Vec<_>>()
        };
        let sending: Vec<_> =
            sending.iter().map(|name| self.route.name(name)).map(|it| (of(&it), it)).collect();
        let mirrors: Vec<_> =
            mirrors.iter().map(|(name, base)| (of(&self.route.name(base)), self.route.name(name))).collect();
        self.count(|proxy| {
            let every = |splits: &[&Split], holds: &dyn Fn(&Served) -> bool| {
                let fresh = |served: Option<&Served>| served.is_some_and(|it| self.fresh(it) && holds(it));
                !splits.is_empty() && splits.iter().all(|split| split.every_content(proxy, fresh))
            };
            sending.iter().all(|(splits, name)| every(splits, &|served| sends(served, name)))
                && mirrors.iter().all(|(splits, name)| every(splits, &|served| compiled(served, name)))
        })
    }

    /// Whether no counted proxy sends anything by the Mappings of these names.
    #[must_use]
    pub fn serves_none(&self, names: &BTreeSet<String>) -> Poll {
        let sends = |arm: &Arm| {
            arm.share > 0
                && arm.mapping.namespace == self.route.namespace
                && names.contains(&arm.mapping.name)
        };
        self.poll(&self.reaching, |served| served.is_none_or(|served| !served.arms.iter().any(sends)))
    }

    /// Whether the canary Mappings are gone from every split.
    #[must_use]
    pub fn canary_arms_gone(&self) -> Poll {
        self.poll(&self.reaching, |served| {
            served.is_none_or(|served| !served.arms.iter().any(|arm| self.route.is_canary(arm)))
        })
    }

    /// The largest share of a listed split that some proxy may send to the pods of `hash`, in 1/10 000. All of it
    /// while a counted proxy has not told what it serves; at least 1 where another split reaches them, because
    /// nothing is known of how much that is.
    #[must_use]
    pub fn largest_share(&self, hash: &str) -> u32 {
        if self.facts.proxies.iter().any(|proxy| !proxy.known) {
            return 10_000;
        }
        let share = |split: &&Split| -> u32 {
            let contents = split.views.iter().filter_map(|view| view.served.as_ref());
            contents.map(|served| served.share_of(hash)).max().unwrap_or(0)
        };
        let listed = self.listed.iter().map(share).max().unwrap_or(0);
        let elsewhere = self.reaching.iter().map(share).any(|share| share > 0);
        listed.max(u32::from(elsewhere))
    }

    /// Requests under way to the pods of `hash`, or `None` while a counted proxy has not told what it serves.
    #[must_use]
    pub fn load(&self, hash: &str) -> Option<Load> {
        if self.facts.proxies.iter().any(|proxy| !proxy.known) {
            return None;
        }
        Some(self.facts.loads.get(hash).copied().unwrap_or(Load::NONE))
    }

    /// Requests under way to one pod of `hash` that was chosen to go, or `None` while a counted proxy has not told
    /// what it serves or the choice has not been seen. A pod whose whole version has none and gets none is done, also
    /// where an arm without other pods, and without a share, goes on holding it.
    #[must_use]
    pub fn pod_load(&self, pod: &str, hash: &str) -> Option<Load> {
        let whole = self.load(hash)?;
        if whole == Load::NONE { Some(whole) } else { self.facts.draining.get(pod).copied() }
    }

    /// Why a listed Mapping is not served as written, if one is not.
    fn problem(&self) -> Option<String> {
        if let Some(problem) = self.listed.iter().find_map(|split| split.problem.clone()) {
            return Some(problem);
        }
        let compiled = |base: &str| {
            let name = self.route.name(base);
            self.listed.iter().filter_map(|split| split.compiled.as_ref()).any(|served| served.gives(&name))
        };
        let missing = self.route.mappings.keys().find(|base| !compiled(base))?;
        let (kind, name) = key::parse(missing);
        Some(format!("the data plane has no route for {} {name:?}", kind.text()))
    }

    fn poll(&self, splits: &[&Split], holds: impl Fn(Option<&Served>) -> bool) -> Poll {
        self.count(|proxy| splits.iter().all(|split| split.every_content(proxy, &holds)))
    }

    /// Asks every counted proxy that can carry the routes. One that has not told what it serves agrees to nothing.
    fn count(&self, agrees: impl Fn(&Proxy) -> bool) -> Poll {
        let mut poll = Poll { counted: self.proxies.len(), ..Poll::default() };
        for proxy in &self.proxies {
            if proxy.known && agrees(proxy) {
                poll.agreeing += 1;
            } else {
                poll.waiting.push(proxy.pod.clone());
            }
        }
        poll.waiting.sort();
        poll
    }

    /// Every version is at or past the one this World holds.
    fn fresh(&self, served: &Served) -> bool {
        served.versions.iter().filter(|it| it.object.namespace == self.route.namespace).all(|version| {
            let held = self
                .route
                .versions
                .iter()
                .find(|((kind, name), _)| *kind == version.kind.as_str() && *name == version.object.name);
            held.is_none_or(|(_, held)| at_or_past(&version.resource_version, held))
        })
    }

    /// The canary has this weight by each base Mapping; without a canary Mapping all requests are the base's.
    fn canary_arms_are(&self, served: &Served, weight: Weight) -> bool {
        let written = if self.route.base_is_canary { weight.rest() } else { weight };
        self.route.mappings.iter().filter(|(base, _)| served.gives(&self.route.name(base))).all(
            |(base, canary)| {
                if base == canary {
                    return self.canary_backend_is(served, base, weight);
                }
                let arm = served.arms.iter().find(|arm| arm.mapping == self.route.name(canary));
                match arm {
                    Some(arm) => arm.weight() == Some(written),
                    None => written == Weight::ZERO && !self.route.existing.contains(canary),
                }
            },
        )
    }

    /// Of a route that is split in place: the canary's share of what both Services get. A rule without both has none.
    fn canary_backend_is(&self, served: &Served, base: &str, weight: Weight) -> bool {
        let mapping = self.route.name(base);
        let arms = || served.arms.iter().filter(|arm| arm.mapping == mapping && self.route.reaches(arm));
        let written = |canary: bool| {
            let of = arms().find(|arm| self.route.is_canarys(arm) == canary)?;
            Some(i64::from(of.written.unwrap_or(1)))
        };
        let (Some(canary), Some(stable)) = (written(true), written(false)) else { return true };
        if canary == 0 {
            return weight == Weight::ZERO;
        }
        i64::from(Weight::FULL.share()) * canary == i64::from(weight.share()) * (canary + stable)
    }

    fn has_base(&self, served: &Served) -> bool {
        served.arms.iter().any(|arm| self.route.is_base(arm))
    }

    /// For each listed base Mapping of the content: its canary arm, if the content has it.
    fn wanted_canary_arms<'s>(&'s self, served: &'s Served) -> impl Iterator<Item = Option<&'s Arm>> {
        let route = self.route;
        route
            .mappings
            .iter()
            .filter(|(base, _)| served.gives(&route.name(base)))
            .map(|(base, copy)| (if route.base_is_canary { base } else { copy }, base == copy))
            .map(|(canary, in_place)| {
                let mapping = route.name(canary);
                let mut arms = served.arms.iter().filter(|arm| arm.mapping == mapping);
                arms.find(|arm| !in_place || route.is_canarys(arm))
            })
    }
}

impl Route {
    fn name(&self, name: &str) -> ObjectName {
        ObjectName::new(&self.namespace, name)
    }

    fn is_base(&self, arm: &Arm) -> bool {
        // A stable Ingress may have rules for other Services as well.
        let ours = self.reaches(arm) || arm.service.name.is_empty();
        ours && arm.mapping.namespace == self.namespace && self.mappings.contains_key(&arm.mapping.name)
    }

    fn is_canary(&self, arm: &Arm) -> bool {
        let gives = |(base, copy): (&String, &String)| {
            *copy == arm.mapping.name && (base != copy || self.is_canarys(arm) && arm.share > 0)
        };
        arm.mapping.namespace == self.namespace && self.mappings.iter().any(gives)
    }

    /// The arm sends to the canary Service.
    fn is_canarys(&self, arm: &Arm) -> bool {
        self.reaches(arm) && arm.service.name == self.canary_service
    }

    /// The split is one of a listed object: of a route that is split in place, one with both Services.
    fn lists(&self, split: &Split) -> bool {
        let based = |arm: &&Arm| self.is_base(arm);
        arms(split).filter(based).any(|arm| {
            let (kind, _) = key::parse(&arm.mapping.name);
            !kind.is_split_in_place()
                || arms(split).filter(based).any(|it| self.is_canarys(it) != self.is_canarys(arm))
        })
    }

    fn reaches(&self, arm: &Arm) -> bool {
        arm.service.namespace == self.namespace && self.services.contains(&arm.service.name)
    }
}

impl Split {
    /// Whether every content that a proxy serves of it, or may, is so. A proxy that does not have it serves nothing; one
    /// of another scope has nothing to do with it.
    fn every_content(&self, proxy: &Proxy, holds: impl Fn(Option<&Served>) -> bool) -> bool {
        if proxy.scope != self.scope {
            return true;
        }
        let has = |id: &String| *id == proxy.id;
        let mut own = self.views.iter().filter(|view| view.proxies.iter().any(has)).peekable();
        if own.peek().is_none() {
            return holds(None);
        }
        own.all(|view| holds(view.served.as_ref()))
    }
}

impl Served {
    /// The share of the arms that hold pods of `hash`.
    fn share_of(&self, hash: &str) -> u32 {
        self.arms.iter().filter(|arm| arm.endpoints.contains_key(hash)).map(|arm| arm.share).sum()
    }

    fn gives(&self, mapping: &ObjectName) -> bool {
        self.arms.iter().any(|arm| arm.mapping == *mapping)
    }
}

impl Arm {
    /// The weight of the object that gives it. An Ingress shares a rule with nobody but its canary, so that what it has of
    /// the requests is its weight; of Mappings others may have taken a part.
    fn weight(&self) -> Option<Weight> {
        match key::parse(&self.mapping.name).0 {
            Kind::Ingress => Some(Weight::of_share(self.share)),
            Kind::Mapping | Kind::HttpRoute | Kind::GrpcRoute => self.written.map(Weight::of_percent),
        }
    }
}

fn arms(split: &Split) -> impl Iterator<Item = &Arm> {
    let contents = split.views.iter().filter_map(|view| view.served.as_ref()).chain(&split.compiled);
    contents.flat_map(|served| &served.arms)
}

fn holds_exactly(arm: &Arm, hash: &str, need: i32) -> bool {
    let ready: u32 = arm.endpoints.get(hash).copied().unwrap_or(0);
    let others = arm.endpoints.iter().any(|(other, ready)| other != hash && *ready > 0);
    !others && i64::from(ready) >= i64::from(need)
}

/// Resource versions are opaque by contract, but integers in every API server; they are compared as such.
fn at_or_past(version: &str, held: &str) -> bool {
    match (version.parse::<u64>(), held.parse::<u64>()) {
        (Ok(version), Ok(held)) => version >= held,
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => version == held,
    }
}

#[cfg(test)]
mod tests;
