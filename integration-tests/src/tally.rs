//! Every request of a load, counted by what became of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which version of the application answered.
pub const VERSION_HEADER: &str = "x-demo-version";
/// Which pod answered.
pub const POD_HEADER: &str = "x-demo-pod";
/// How many requests that pod had answered by then, this one included.
pub const SERVED_HEADER: &str = "x-demo-served";

/// The sums since the load began. Printed as one line of JSON several times a second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// When these sums were taken, in milliseconds since 1970.
    pub at_ms: i64,
    /// Requests that were begun.
    pub sent: u64,
    /// Answers of the application, by its version.
    pub versions: BTreeMap<String, Answers>,
    /// What each pod had counted itself when it last answered, and what arrived here from it.
    pub pods: BTreeMap<String, PodCount>,
    /// Requests that the application did not answer, by what came instead.
    pub lost: BTreeMap<String, u64>,
    /// The load has ended and nothing is under way.
    pub done: bool,
}

/// Answers of one version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// With status 200.
    pub good: u64,
    /// With any other status: the application itself failed.
    pub bad: u64,
}

/// The two ends' counts of one pod's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodCount {
    /// The pod's own number of the first request of this load. It may have answered others before.
    pub first: u64,
    /// The pod's own number of the last one.
    pub last: u64,
    /// Answers that arrived at the load.
    pub received: u64,
}

impl PodCount {
    /// Takes an answer with the pod's own number. Answers do not arrive in order.
    pub fn count(&mut self, number: u64) {
        self.first = if self.received == 0 { number } else { self.first.min(number) };
        self.last = self.last.max(number);
        self.received += 1;
    }

    /// How many requests of this load the pod answered, as it counts.
    #[must_use]
    pub fn served(self) -> u64 {
        if self.received == 0 { 0 } else { self.last - self.first + 1 }
    }
}

impl Tally {
    /// Answers of the application, good or bad.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.versions.values().map(|answers| answers.good + answers.bad).sum()
    }

    /// Answers of one version.
    #[must_use]
    pub fn answered_by(&self, version: &str) -> u64 {
        self.versions.get(version).map_or(0, |answers| answers.good + answers.bad)
    }

    /// Answers with which the application itself failed.
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.versions.values().map(|answers| answers.bad).sum()
    }

    /// Requests that the application did not answer.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.values().sum()
    }

    /// Pods that counted other than what arrived from them: an answer was lost on the way, or given twice.
    #[must_use]
    pub fn miscounted(&self) -> Vec<(&str, PodCount)> {
        let differs = |(_, count): &(&String, &PodCount)| count.served() != count.received;
        self.pods.iter().filter(differs).map(|(pod, count)| (pod.as_str(), *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_answered_more_than_arrived_is_miscounted() {
        let mut tally = Tally::default();
        for (pod, numbers) in [("a", [12, 11, 13]), ("b", [11, 12, 14])] {
            let count = tally.pods.entry(pod.into()).or_default();
            for number in numbers {
                count.count(number);
            }
        }

        assert_eq!(tally.miscounted(), [("b", PodCount { first: 11, last: 14, received: 3 })]);
    }

    #[test]
    fn a_tally_survives_its_line() {
        let mut tally = Tally { sent: 3, done: true, ..Tally::default() };
        tally.versions.insert("v1".into(), Answers { good: 1, bad: 1 });
        tally.lost.insert("503 no_endpoint".into(), 1);

        let line = serde_json::to_string(&tally).unwrap();

        assert_eq!(serde_json::from_str::<Tally>(&line).unwrap(), tally);
        assert_eq!((tally.answered(), tally.bad(), tally.lost()), (2, 1, 1));
    }
}
