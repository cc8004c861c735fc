//! Requests by the second in which they began, of the last half minute and over all proxies.

use std::collections::{BTreeMap, BTreeSet};

use proxy_config::model::{ArmId, SplitId, Version};

use crate::config_server::fleet::ProxyId;

/// How long seconds are kept: a little longer than proxies add to them.
const KEPT: i64 = 45;

/// How far a proxy's clock may be ahead.
const AHEAD: i64 = 5;

/// The requests of one second by one arm to one version; those with the default version found no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CohortKey {
    // First, so that old ones can be cut off.
    pub(crate) second: i64,
    pub(crate) split: SplitId,
    pub(crate) arm: ArmId,
    pub(crate) version: Version,
}

/// What came of them, as `config.proto` says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cohort {
    pub(crate) requests: u64,
    pub(crate) bad: u64,
    pub(crate) shares: u64,
    pub(crate) ended: Vec<u64>,
}

/// What each proxy said last of each second.
#[derive(Debug, Default)]
pub(super) struct Cohorts(BTreeMap<CohortKey, BTreeMap<ProxyId, Cohort>>);

impl Cohorts {
    /// Takes what a proxy says at the second `now`, and says what is news. Proxies whose clocks are far off are not
    /// heard.
    pub(super) fn take(
        &mut self,
        proxy: &ProxyId,
        told: Vec<(CohortKey, Cohort)>,
        now: i64,
    ) -> BTreeSet<CohortKey> {
        self.forget(now - KEPT);
        let mut news = BTreeSet::new();
        for (key, cohort) in
            told.into_iter().filter(|(key, _)| (now - KEPT..=now + AHEAD).contains(&key.second))
        {
            let of_proxies = self.0.entry(key.clone()).or_default();
            if of_proxies.insert(proxy.clone(), cohort.clone()).as_ref() != Some(&cohort) {
                news.insert(key);
            }
        }
        news
    }

    /// All that is kept.
    pub(super) fn keys(&self) -> impl Iterator<Item = &CohortKey> {
        self.0.keys()
    }

    /// Over all proxies, those that have gone since as well; `None` of what is not kept any more.
    pub(super) fn sum(&self, key: &CohortKey) -> Option<Cohort> {
        let mut sum = Cohort::default();
        for cohort in self.0.get(key)?.values() {
            let Cohort { requests, bad, shares, ended } = cohort;
            sum.requests += requests;
            sum.bad += bad;
            sum.shares += shares;
            sum.ended.resize(sum.ended.len().max(ended.len()), 0);
            sum.ended.iter_mut().zip(ended).for_each(|(sum, more)| *sum += more);
        }
        Some(sum)
    }

    fn forget(&mut self, before: i64) {
        while let Some(oldest) = self.0.first_entry().filter(|it| it.key().second < before) {
            oldest.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(pod: &str) -> ProxyId {
        ProxyId { pod: pod.to_owned(), boot: "1".to_owned() }
    }

    fn key(second: i64) -> CohortKey {
        let version = Version { namespace: "web".into(), hash: "h".into() };
        CohortKey { second, split: SplitId::new("s"), arm: ArmId::new("a"), version }
    }

    fn cohort(requests: u64, ended: &[u64]) -> Cohort {
        Cohort { requests, bad: 1, shares: requests * 500, ended: ended.to_vec() }
    }

    #[test]
    fn what_comes_later_of_a_second_replaces_what_its_proxy_said_of_it() {
        let mut cohorts = Cohorts::default();
        assert_eq!(cohorts.take(&proxy("a"), vec![(key(100), cohort(2, &[1]))], 100).len(), 1);
        assert_eq!(cohorts.take(&proxy("a"), vec![(key(100), cohort(3, &[1, 2]))], 101).len(), 1);
        assert!(cohorts.take(&proxy("a"), vec![(key(100), cohort(3, &[1, 2]))], 101).is_empty());
        cohorts.take(&proxy("b"), vec![(key(100), cohort(4, &[0, 0, 4]))], 101);
        let sum = Cohort { requests: 7, bad: 2, shares: 3_500, ended: vec![1, 2, 4] };
        assert_eq!(cohorts.sum(&key(100)), Some(sum));
        assert_eq!(cohorts.sum(&key(101)), None);
    }

    #[test]
    fn old_seconds_go_and_clocks_that_are_off_are_not_heard() {
        let mut cohorts = Cohorts::default();
        for second in [100, 101 - KEPT, 99 - KEPT, 101 + AHEAD] {
            cohorts.take(&proxy("a"), vec![(key(second), cohort(1, &[]))], 100);
        }
        let kept = |cohorts: &Cohorts| cohorts.keys().map(|it| it.second).collect::<Vec<_>>();
        assert_eq!(kept(&cohorts), [101 - KEPT, 100]);
        cohorts.take(&proxy("a"), Vec::new(), 102);
        assert_eq!(kept(&cohorts), [100]);
    }
}
