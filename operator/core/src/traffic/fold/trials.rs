//! The shares of pods of an Experiment, asked of every proxy.

use super::super::{Arm, ObjectName, Served, Split};
use super::{Fold, Poll, arms, holds_exactly};
use crate::weight::Weight;

/// An arm of pods of an Experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialArm<'a> {
    /// Their Service.
    pub service: &'a str,
    /// Their hash.
    pub hash: &'a str,
    /// Their weight.
    pub weight: Weight,
}

/// A route of the Gateway API that takes the place of its base, to divide what both Services get by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandIn<'a> {
    /// The base, by its [key](crate::key).
    pub base: &'a str,
    /// The route, by its key.
    pub route: &'a str,
    /// The canary's weight.
    pub canary: Weight,
    /// The arms of the Experiment.
    pub trials: Vec<TrialArm<'a>>,
}

impl<'a> Fold<'a> {
    /// Whether every listed split of a base has these arms, each given by a Mapping of its own with its weight and with pods
    /// of its hash alone: (the base, the Mapping, the arm).
    #[must_use]
    pub fn trials_served(&self, trials: &[(&str, &str, TrialArm<'_>)]) -> Poll {
        let is_served = |served: &Served, mapping: &str, trial: &TrialArm<'_>| {
            let mapping = self.route.name(mapping);
            let mut own = served.arms.iter().filter(|arm| arm.mapping == mapping);
            own.any(|arm| arm.written == Some(trial.weight.percent()) && holds_exactly(arm, trial.hash, 1))
        };
        let mut poll = self.poll(&self.listed, |served| {
            let Some(served) = served else { return trials.is_empty() };
            let mut of = trials.iter().filter(|(base, ..)| served.gives(&self.route.name(base)));
            let all = of.all(|(_, mapping, trial)| is_served(served, mapping, trial));
            trials.is_empty() || self.fresh(served) && all
        });
        poll.problem = if trials.is_empty() { None } else { self.problem() };
        poll
    }

    /// Whether every listed split of a base has its counterpart by the route that stands in for it, divided as wanted and
    /// with pods of their hashes alone. Both objects have the same rules, conditions and names.
    #[must_use]
    pub fn stand_ins_served(&self, stand_ins: &[StandIn<'_>]) -> Poll {
        let sides = stand_ins
            .iter()
            .map(|it| (self.given_by(&self.listed, it.base), self.given_by(&self.reaching, it.route), it));
        let sides: Vec<_> = sides.collect();
        let mut poll = self.count(|proxy| {
            sides.iter().all(|(bases, own, stand_in)| {
                let here = |splits: &[&Split]| splits.iter().filter(|it| it.scope == proxy.scope).count();
                let divided = |served: Option<&Served>| {
                    served.is_some_and(|it| self.fresh(it) && self.is_divided(it, stand_in))
                };
                here(bases) == here(own) && own.iter().all(|split| split.every_content(proxy, divided))
            })
        });
        if !stand_ins.is_empty() {
            let mut own = sides.iter().flat_map(|(_, own, _)| own);
            poll.problem = self.problem().or_else(|| own.find_map(|split| split.problem.clone()));
        }
        poll
    }

    /// Those of the splits that an object gives arms of.
    fn given_by(&self, splits: &[&'a Split], object: &str) -> Vec<&'a Split> {
        let object = self.route.name(object);
        splits.iter().copied().filter(|split| arms(split).any(|arm| arm.mapping == object)).collect()
    }

    /// The canary and the pods of the Experiment have their parts of what they and the stable version have together.
    fn is_divided(&self, served: &Served, stand_in: &StandIn<'_>) -> bool {
        let route = self.route.name(stand_in.route);
        let of =
            |service: &ObjectName| stand_in.trials.iter().find(|it| self.route.name(it.service) == *service);
        let counts = |arm: &&Arm| self.route.reaches(arm) || of(&arm.service).is_some();
        let arms: Vec<&Arm> = served.arms.iter().filter(|arm| arm.mapping == route).filter(counts).collect();
        let all: u64 = arms.iter().map(|arm| u64::from(arm.share)).sum();
        // Shares are rounded to 1/10 000 each, so that their sum is off by less than one for each arm.
        let off = u64::from(Weight::FULL.share()) * (1 + u64::try_from(arms.len()).unwrap_or(u64::MAX));
        let has = |arm: &Arm, weight: Weight| {
            let share = u64::from(Weight::FULL.share()) * u64::from(arm.share);
            share.abs_diff(u64::from(weight.share()) * all) < off
        };
        let gets = |arm: &Arm, trial: &TrialArm<'_>| {
            arm.service == self.route.name(trial.service)
                && has(arm, trial.weight)
                && holds_exactly(arm, trial.hash, 1)
        };
        arms.iter().any(|arm| self.route.is_canarys(arm) && has(arm, stand_in.canary))
            && stand_in.trials.iter().all(|trial| arms.iter().any(|arm| gets(arm, trial)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::{Facts, Proxy, Route};
    use super::*;
    use crate::traffic::{Version, View};

    const BASE: &str = "httproute/web";
    const OTHER: &str = "httproute/web-experiment";

    fn route() -> Route {
        Route {
            namespace: "web".to_owned(),
            services: ["stable", "canary"].map(str::to_owned).into(),
            mappings: BTreeMap::from([(BASE.to_owned(), BASE.to_owned())]),
            versions: BTreeMap::from([(("HTTPRoute", "web-experiment".to_owned()), "10".to_owned())]),
            existing: BTreeSet::from([BASE.to_owned()]),
            base_is_canary: false,
            canary_service: "canary".to_owned(),
        }
    }

    /// A rule of an object: (Service, share, hash) of each backend.
    fn content(object: &str, version: &str, backends: &[(&str, u32, &str)]) -> Served {
        let arm = |(service, share, hash): &(&str, u32, &str)| Arm {
            id: (*service).to_owned(),
            mapping: ObjectName::new("web", object),
            service: ObjectName::new("web", *service),
            written: None,
            share: *share,
            endpoints: BTreeMap::from([((*hash).to_owned(), 1)]),
        };
        let version = Version {
            kind: "HTTPRoute".to_owned(),
            object: ObjectName::new("web", object.trim_start_matches("httproute/")),
            resource_version: version.to_owned(),
        };
        Served { arms: backends.iter().map(arm).collect(), versions: vec![version] }
    }

    fn split(id: &str, contents: &[&Served]) -> Split {
        let view = |it: &&Served| View { served: Some((*it).clone()), proxies: vec!["p".to_owned()] };
        Split {
            id: id.to_owned(),
            views: contents.iter().map(view).collect(),
            compiled: contents.last().map(|it| (*it).clone()),
            problem: None,
            scope: String::new(),
        }
    }

    fn is_served(splits: Vec<Split>) -> bool {
        let proxy = Proxy {
            id: "p".to_owned(),
            pod: ObjectName::new("sluice", "p"),
            known: true,
            scope: String::new(),
        };
        let facts = Facts { proxies: vec![proxy], splits, ..Facts::default() };
        let trials = [("old", 1000), ("new", 500)].map(|(name, share)| TrialArm {
            service: name,
            hash: name,
            weight: Weight::of_share(share),
        });
        let canary = Weight::of_percent(20);
        let stand_in = StandIn { base: BASE, route: OTHER, canary, trials: trials.to_vec() };
        Fold::new(&facts, &route()).stand_ins_served(&[stand_in]).unanimous()
    }

    #[test]
    fn a_route_stands_in_when_each_rule_of_its_base_is_divided_by_it() {
        let base = content(BASE, "3", &[("stable", 8000, "v1"), ("canary", 2000, "v2")]);
        let divided = |version: &str, shares: [u32; 4]| {
            let [stable, canary, old, new] = shares;
            let pair = [("stable", stable, "v1"), ("canary", canary, "v2")];
            content(OTHER, version, &[pair[0], pair[1], ("old", old, "old"), ("new", new, "new")])
        };
        let right = divided("10", [6500, 2000, 1000, 500]);
        let served = |contents: &[&Served]| is_served(vec![split("a", &[&base]), split("b", contents)]);
        assert!(served(&[&right]));
        assert!(!is_served(vec![split("a", &[&base])]), "it is not compiled yet");
        for (wrong, why) in [
            (divided("9", [6500, 2000, 1000, 500]), "an older object"),
            (divided("10", [7500, 2000, 0, 500]), "no share"),
            (divided("10", [7500, 1000, 1000, 500]), "another weight of the canary"),
            (content(OTHER, "10", &[("stable", 8000, "v1"), ("canary", 2000, "v2")]), "no arms"),
        ] {
            assert!(!served(&[&wrong]), "{why}");
            assert!(!served(&[&right, &wrong]), "{why}, in what was sent");
        }
        let two = |more: Split| vec![split("a", &[&base]), split("b", &[&right]), split("c", &[&base]), more];
        assert!(!is_served(two(split("d", &[&base]))), "rules without a counterpart");
        let third =
            vec![split("a", &[&base]), split("b", &[&right]), split("c", &[&base]), split("d", &[&right])];
        assert!(is_served(third), "two rules");
    }

    #[test]
    fn what_another_backend_of_the_rule_gets_does_not_count() {
        let base = content(BASE, "3", &[("stable", 2667, "v1"), ("canary", 667, "v2"), ("other", 6666, "o")]);
        let backends = [
            ("stable", 2167, "v1"),
            ("canary", 667, "v2"),
            ("other", 6666, "o"),
            ("old", 333, "old"),
            ("new", 167, "new"),
        ];
        let own = content(OTHER, "10", &backends);
        assert!(is_served(vec![split("a", &[&base]), split("b", &[&own])]));
        let swapped = backends.map(|(service, share, hash)| match service {
            "old" => ("old", 167, hash),
            "new" => ("new", 333, hash),
            _ => (service, share, hash),
        });
        let own = content(OTHER, "10", &swapped);
        assert!(!is_served(vec![split("a", &[&base]), split("b", &[&own])]));
    }
}
