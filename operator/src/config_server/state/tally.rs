//! Requests of each version, summed over all proxies.

use std::collections::BTreeMap;

use proxy_config::model::Version;

use crate::config_server::fleet::ProxyId;

/// What a proxy has counted of one arm since it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArmCount {
    pub(crate) split: String,
    pub(crate) arm: String,
    pub(crate) version: Version,
    pub(crate) count: Count,
}

/// Requests, and those whose first try was bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) requests: u64,
    pub(crate) bad: u64,
}

/// The sums. They only grow: what a proxy had counted before it was known is left out, and what it has counted stays when
/// it goes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    told: BTreeMap<ProxyId, BTreeMap<(String, String, Version), Count>>,
    sums: BTreeMap<Version, Count>,
}

impl Tally {
    /// Takes the counters of one proxy that have changed. Says whether a sum has.
    pub(super) fn take(&mut self, proxy: &ProxyId, arms: Vec<ArmCount>) -> bool {
        let is_first = !self.told.contains_key(proxy);
        let told = self.told.entry(proxy.clone()).or_default();
        let mut news = false;
        for ArmCount { split, arm, version, count } in arms {
            // Requests that found no pod belong to no version, and pods without a hash are nobody's.
            if version.hash.is_empty() {
                continue;
            }
            let before = told.insert((split, arm, version.clone()), count).unwrap_or_default();
            let more = Count {
                requests: count.requests.saturating_sub(before.requests),
                bad: count.bad.saturating_sub(before.bad),
            };
            if !is_first && more != Count::default() {
                let sum = self.sums.entry(version).or_default();
                sum.requests += more.requests;
                sum.bad += more.bad;
                news = true;
            }
        }
        news
    }

    /// All sums.
    pub(super) fn sums(&self) -> &BTreeMap<Version, Count> {
        &self.sums
    }

    /// Forgets proxies that are gone, and versions of which nobody knows any more.
    pub(super) fn keep(&mut self, proxy: impl Fn(&ProxyId) -> bool, version: impl Fn(&Version) -> bool) {
        self.told.retain(|id, _| proxy(id));
        self.sums.retain(|it, _| version(it));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(pod: &str) -> ProxyId {
        ProxyId { pod: pod.to_owned(), boot: "1".to_owned() }
    }

    fn version(hash: &str) -> Version {
        Version { namespace: "web".into(), hash: hash.into() }
    }

    fn arm(arm: &str, hash: &str, requests: u64, bad: u64) -> ArmCount {
        let count = Count { requests, bad };
        ArmCount { split: "s".to_owned(), arm: arm.to_owned(), version: version(hash), count }
    }

    fn sum(tally: &Tally, hash: &str) -> (u64, u64) {
        tally.sums().get(&version(hash)).map_or((0, 0), |it| (it.requests, it.bad))
    }

    #[test]
    fn only_what_comes_while_a_proxy_is_known_counts() {
        let mut tally = Tally::default();
        assert!(!tally.take(&proxy("a"), vec![arm("x", "h", 1_000, 9)]));
        assert!(tally.take(&proxy("a"), vec![arm("x", "h", 1_010, 10)]));
        assert!(!tally.take(&proxy("b"), Vec::new()));
        assert!(tally.take(&proxy("b"), vec![arm("x", "h", 5, 0), arm("y", "h", 2, 2), arm("x", "", 9, 9)]));
        assert_eq!(sum(&tally, "h"), (17, 3));
        assert!(!tally.take(&proxy("b"), vec![arm("x", "h", 5, 0)]));
    }

    #[test]
    fn what_was_counted_stays_when_a_proxy_goes() {
        let mut tally = Tally::default();
        tally.take(&proxy("a"), Vec::new());
        tally.take(&proxy("a"), vec![arm("x", "h", 7, 1), arm("x", "i", 3, 0)]);
        tally.keep(|_| false, |it| *it == version("h"));
        assert_eq!((sum(&tally, "h"), sum(&tally, "i")), ((7, 1), (0, 0)));
        assert!(!tally.take(&proxy("a"), vec![arm("x", "h", 9, 1)]), "it is another acquaintance");
    }
}
