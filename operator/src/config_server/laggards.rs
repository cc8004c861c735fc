//! Which proxy has not taken for too long what others have: pure.
//!
//! Such a proxy holds every change of traffic up, and nobody knows what ails it. Evicting its pod puts another one in
//! its place, as far as the disruption budget allows. It counts until it neither serves nor streams (design §2.1).

use std::{collections::BTreeMap, time::Duration};

use operator_routes::ObjectName;
use tokio::time::Instant;

use super::{fleet::Counted, history::Revision};

/// How long a proxy may lag behind others.
const PATIENCE: Duration = Duration::from_mins(1);
/// After an eviction was refused.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// The proxies that lag behind, as of the last look.
#[derive(Debug, Default)]
pub(super) struct Laggards {
    /// By the pod's uid, so that restarts of its container buy no time.
    lagging: BTreeMap<String, Lag>,
}

#[derive(Debug)]
struct Lag {
    /// What it serves for certain.
    acknowledged: Option<Revision>,
    /// Since when others serve more.
    since: Instant,
    /// No eviction is asked for before.
    rests_until: Option<Instant>,
}

/// A pod to evict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overdue {
    /// Its uid.
    pub(super) uid: String,
    /// Its name.
    pub(super) pod: ObjectName,
    /// For how long it has not acknowledged what others have.
    pub(super) lag: Duration,
    /// How many others have.
    pub(super) ahead: usize,
}

/// What became of an eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The pod ends.
    Evicted,
    /// It does not, for now.
    Refused,
}

impl Laggards {
    /// The proxy to evict now, if there is one: that which lags longest. One at a time: while an evicted one still
    /// counts, no other has to go.
    pub(super) fn overdue(&mut self, counted: &[Counted], now: Instant) -> Option<Overdue> {
        let mut before = std::mem::take(&mut self.lagging);
        let mut candidates = Vec::new();
        for proxy in counted {
            let acknowledged = acknowledged(proxy);
            let ahead = counted.iter().filter(|other| self::acknowledged(other) > acknowledged).count();
            if ahead == 0 {
                continue;
            }
            let known = before.remove(&proxy.id.pod).filter(|lag| lag.acknowledged == acknowledged);
            let lag = known.unwrap_or(Lag { acknowledged, since: now, rests_until: None });
            let overdue = Overdue {
                uid: proxy.id.pod.clone(),
                pod: proxy.name.clone(),
                lag: now.saturating_duration_since(lag.since),
                ahead,
            };
            candidates.push(overdue);
            self.lagging.insert(proxy.id.pod.clone(), lag);
        }
        if self.lagging.values().any(|lag| lag.rests_until.is_some_and(|until| now < until)) {
            return None;
        }
        candidates.into_iter().filter(|it| it.lag >= PATIENCE).max_by_key(|it| it.lag)
    }

    /// Notes what became of an eviction.
    pub(super) fn asked(&mut self, uid: &str, outcome: Outcome, now: Instant) {
        let rest = match outcome {
            Outcome::Evicted => PATIENCE,
            Outcome::Refused => ASK_AGAIN,
        };
        if let Some(lag) = self.lagging.get_mut(uid) {
            lag.rests_until = Some(now + rest);
        }
    }
}

/// The last revision that a proxy serves for certain; `None` if it may serve anything.
fn acknowledged(proxy: &Counted) -> Option<Revision> {
    proxy.members.as_ref().and_then(|members| members.first().copied())
}

#[cfg(test)]
mod tests {
    use super::{super::fleet::ProxyId, *};

    /// Proxies by what they acknowledged last, and what was sent since.
    type Fleet<'a> = &'a [(&'a str, Option<Revision>, &'a [Revision])];

    /// The fleet as it is at these seconds.
    type Story<'a> = &'a [(u64, Fleet<'a>)];

    fn counted(fleet: Fleet<'_>) -> Vec<Counted> {
        let proxy = |(pod, acknowledged, sent): &(&str, Option<Revision>, &[Revision])| Counted {
            id: ProxyId { pod: (*pod).to_owned(), boot: "b".to_owned() },
            name: ObjectName::new("sluice", *pod),
            members: acknowledged.map(|it| sent.iter().copied().chain([it]).collect()),
        };
        fleet.iter().map(proxy).collect()
    }

    /// Looks at the fleet and says who is overdue at each moment; evictions succeed.
    fn looks(story: Story<'_>) -> Vec<String> {
        let (mut laggards, begun) = (Laggards::default(), Instant::now());
        let look = |(seconds, fleet): &(u64, Fleet<'_>)| {
            let now = begun + Duration::from_secs(*seconds);
            let overdue = laggards.overdue(&counted(fleet), now)?;
            laggards.asked(&overdue.uid, Outcome::Evicted, now);
            Some(format!("{seconds}: {} {}s behind {}", overdue.uid, overdue.lag.as_secs(), overdue.ahead))
        };
        story.iter().filter_map(look).collect()
    }

    #[test]
    fn who_lags_behind_others_for_a_minute_is_overdue() {
        let late: Fleet<'_> = &[("a", Some(5), &[]), ("b", Some(4), &[5])];
        let none: Fleet<'_> = &[("a", Some(5), &[]), ("b", Some(5), &[])];
        let all_late: Fleet<'_> = &[("a", Some(4), &[5]), ("b", Some(4), &[5])];
        let alone: Fleet<'_> = &[("b", Some(4), &[5])];
        let unknown: Fleet<'_> = &[("a", Some(1), &[]), ("b", None, &[])];
        let moving: Fleet<'_> = &[("a", Some(9), &[]), ("b", Some(5), &[9])];
        let two_late: Fleet<'_> = &[("a", Some(5), &[]), ("b", Some(4), &[5]), ("c", Some(3), &[5])];
        let only_b: Fleet<'_> = &[("a", Some(5), &[]), ("b", Some(4), &[5])];
        let cases: [(&str, Story<'_>, &[&str]); 10] = [
            ("a minute", &[(0, late), (59, late), (60, late)], &["60: b 60s behind 1"]),
            ("it caught up", &[(0, late), (30, none), (60, late), (119, late)], &[]),
            ("it moves, if slowly", &[(0, late), (40, moving), (80, moving)], &[]),
            ("and stops", &[(0, late), (40, moving), (100, moving)], &["100: b 60s behind 1"]),
            ("nobody has more", &[(0, all_late), (100, all_late)], &[]),
            ("counted from when others have more", &[(0, all_late), (100, late), (159, late)], &[]),
            ("there is no other", &[(0, alone), (100, alone)], &[]),
            ("nothing is known of it", &[(0, unknown), (60, unknown)], &["60: b 60s behind 1"]),
            (
                "it takes its time to go",
                &[(0, late), (60, late), (90, late), (120, late)],
                &["60: b 60s behind 1", "120: b 120s behind 1"],
            ),
            (
                "one at a time",
                &[(0, two_late), (60, two_late), (70, two_late), (75, only_b)],
                &["60: c 60s behind 2", "75: b 75s behind 1"],
            ),
        ];
        for (case, story, expected) in cases {
            assert_eq!(looks(story), expected, "{case}");
        }
    }

    #[test]
    fn a_refused_eviction_is_asked_for_again_after_a_while() {
        let (mut laggards, begun) = (Laggards::default(), Instant::now());
        let fleet = counted(&[("a", Some(5), &[]), ("b", Some(4), &[5])]);
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(laggards.overdue(&fleet, at(0)), None);
        assert!(laggards.overdue(&fleet, at(60)).is_some());
        laggards.asked("b", Outcome::Refused, at(60));
        assert_eq!(laggards.overdue(&fleet, at(69)), None);
        assert!(laggards.overdue(&fleet, at(70)).is_some());
    }
}
