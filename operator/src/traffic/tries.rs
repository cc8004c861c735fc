//! What the proxies have counted of each version in the last minutes.

use std::collections::{BTreeMap, VecDeque};

use operator_analysis::traffic::{Counted, WINDOWS};
use proxy_config::wire::traffic as wire;

use super::convert::VersionName;

/// Counts of so many seconds are kept together.
const SLOT: i64 = 5;

/// How long they are kept, in seconds: for the longest window, which begins within a slot.
const KEPT: i64 = WINDOWS.1 as i64 + SLOT;

/// First tries by version, and by when the operator was told that they had ended.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Nothing is known of what was before.
    since: i64,
    /// The last slot for which old ones were taken out.
    swept: i64,
    versions: BTreeMap<VersionName, VecDeque<Slot>>,
}

/// What was told within some seconds.
#[derive(Debug, Default)]
struct Slot {
    begins: i64,
    bad: u64,
    ended: Vec<u64>,
}

impl Tries {
    /// A watch begins at the second `now`.
    pub(super) fn since(now: i64) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// Takes news in.
    pub(super) fn take(&mut self, news: Vec<wire::VersionTries>, now: i64) {
        let begins = slot(now);
        self.sweep(begins);
        for told in news {
            let wire::VersionTries { namespace, hash, bad, ended } = told;
            let slots = self.versions.entry(VersionName { namespace, hash }).or_default();
            // A clock that is set back must not put them out of order.
            if slots.back().is_none_or(|last| last.begins < begins) {
                slots.push_back(Slot { begins, ..Slot::default() });
            }
            if let Some(last) = slots.back_mut() {
                add(&mut last.bad, &mut last.ended, bad, &ended);
            }
        }
    }

    /// What was counted of a version in the last `window` seconds, or since the watch began. A window begins with a
    /// slot, so it may be a little longer than asked for.
    pub(super) fn counted(&self, version: &VersionName, window: u32, now: i64) -> Counted {
        let from = slot(now - i64::from(window));
        let seconds = now - from.max(self.since);
        let mut counted =
            Counted { seconds: u32::try_from(seconds.max(1)).unwrap_or(1), ..Counted::default() };
        let slots = self.versions.get(version).into_iter().flatten();
        for Slot { bad, ended, .. } in slots.filter(|slot| slot.begins >= from) {
            add(&mut counted.bad, &mut counted.ended, *bad, ended);
        }
        counted
    }

    fn sweep(&mut self, now: i64) {
        if now == self.swept {
            return;
        }
        self.swept = now;
        self.versions.retain(|_, slots| {
            slots.retain(|slot| slot.begins >= now - KEPT);
            !slots.is_empty()
        });
    }
}

fn slot(second: i64) -> i64 {
    second - second.rem_euclid(SLOT)
}

fn add(bad: &mut u64, ended: &mut Vec<u64>, more_bad: u64, more: &[u64]) {
    *bad += more_bad;
    ended.resize(ended.len().max(more.len()), 0);
    ended.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(hash: &str, bad: u64, ended: &[u64]) -> wire::VersionTries {
        wire::VersionTries { namespace: "web".to_owned(), hash: hash.to_owned(), bad, ended: ended.to_vec() }
    }

    fn version(hash: &str) -> VersionName {
        VersionName { namespace: "web".to_owned(), hash: hash.to_owned() }
    }

    #[test]
    fn a_window_has_what_was_told_within_it() {
        let mut tries = Tries::since(100);
        tries.take(vec![told("new", 1, &[2]), told("old", 0, &[9])], 101);
        tries.take(vec![told("new", 0, &[0, 3])], 104);
        tries.take(vec![told("new", 2, &[4])], 163);
        let counted = |window, now| tries.counted(&version("new"), window, now);
        assert_eq!(counted(60, 165), Counted { seconds: 60, bad: 2, ended: vec![4] });
        assert_eq!(counted(60, 164), Counted { seconds: 64, bad: 3, ended: vec![6, 3] }, "from the slot on");
        assert_eq!(
            counted(600, 164),
            Counted { seconds: 64, bad: 3, ended: vec![6, 3] },
            "since the watch began"
        );
        assert_eq!(counted(10, 300), Counted { seconds: 10, ..Counted::default() });
        assert_eq!(tries.counted(&version("none"), 60, 100).requests(), 0);
    }

    #[test]
    fn what_is_older_than_any_window_goes() {
        let mut tries = Tries::since(0);
        tries.take(vec![told("old", 0, &[1])], 3);
        tries.take(vec![told("new", 0, &[1])], 600);
        assert_eq!(tries.versions.len(), 2);
        tries.take(Vec::new(), 610);
        assert_eq!(tries.versions.keys().map(|it| it.hash.as_str()).collect::<Vec<_>>(), ["new"]);
    }
}
