//! What survives a restart: a few hundred bytes.

use serde::{Deserialize, Serialize};

use crate::counts::{Arm, Counts, Sample, Second, Tick};
use crate::judge::{Comparison, Judge, Pace};
use crate::settings::Settings;
use crate::split::Split;
use crate::verdict::Condemned;

/// The form of [`Saved`] that this version writes.
pub const VERSION: u32 = 1;

/// A judge, to be written down. Evidence is rounded down in its logarithm, so that a restart never adds any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    version: u32,
    settings: Settings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seconds: Option<[Second; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compared: Option<Second>,
    #[serde(default, skip_serializing_if = "is_zero")]
    dropped: u64,
    seen: Seen,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errors: Option<Rate>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    edges: Vec<Rate>,
    /// Requests of the stable version, all and by latency, while edges are learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    learned: Option<(u64, Vec<u64>)>,
    /// What waits to be compared, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carried: Option<(Second, Waits, Waits)>,
    split: Shares,
    pace: [i64; 3],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condemned: Option<Condemned>,
}

/// What all comparisons have seen: ticks, requests of the canary, requests of the stable version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seen(u32, u64, u64);

/// A comparison: evidence against the canary, evidence for it, bad requests of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Rate(Vec<i64>, Vec<i64>, [u64; 2]);

/// Requests, bad ones and those that ended, by latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Waits(u64, u64, Vec<u64>);

/// The split: what earlier stretches came to, the share now, and its counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Shares(i64, Option<f64>, [u64; 2]);

/// Why a judge cannot be read back. The remedy is a new one: it starts without evidence, which costs time and no
/// verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRestored {
    /// It was written by another version.
    #[error("failed to restore the judge: its form is {found}, this version reads {VERSION}")]
    Version {
        /// The form that was found.
        found: u32,
    },
    /// Its parts do not fit together.
    #[error("failed to restore the judge: {what} is not what its settings ask for")]
    Shape {
        /// The part.
        what: &'static str,
    },
}

impl Judge {
    /// Writes the judge down.
    #[must_use]
    pub fn save(&self) -> Saved {
        let Split { before, share, counts } = self.split;
        let Pace { canary, stable, seen } = self.pace;
        Saved {
            version: VERSION,
            settings: self.settings.clone(),
            seconds: self.started.zip(self.judged_until).map(<[Second; 2]>::from),
            compared: self.compared_until,
            dropped: self.dropped,
            seen: self.errors.iter().chain(&self.edges).next().map(Seen::of).unwrap_or_default(),
            errors: self.errors.as_ref().map(Rate::of),
            edges: self.edges.iter().map(Rate::of).collect(),
            learned: Some(&self.learned)
                .filter(|it| it.arm.requests > 0)
                .map(|it| (it.arm.requests, it.latency.clone())),
            carried: self
                .carried
                .as_ref()
                .map(|(began, tick)| (*began, Waits::of(&tick.canary), Waits::of(&tick.stable))),
            split: Shares(rounded(before), share, [counts.0, counts.1]),
            pace: [canary, stable, seen].map(rounded),
            condemned: self.condemned.clone(),
        }
    }

    /// Reads one back.
    pub fn restore(saved: Saved) -> Result<Self, NotRestored> {
        if saved.version != VERSION {
            return Err(NotRestored::Version { found: saved.version });
        }
        let mut judge = Self::new(saved.settings);
        let shape = |what| NotRestored::Shape { what };
        if judge.errors.is_some() != saved.errors.is_some() || judge.edges.len() != saved.edges.len() {
            return Err(shape("the number of metrics"));
        }
        let saved_rates = saved.errors.into_iter().chain(saved.edges);
        for (comparison, rate) in judge.errors.iter_mut().chain(&mut judge.edges).zip(saved_rates) {
            rate.restore(saved.seen, comparison).ok_or_else(|| shape("the number of alternatives"))?;
        }
        if let Some((requests, latency)) = saved.learned {
            judge.learned = Sample { arm: Arm { requests, bad: 0 }, latency };
        }
        judge.carried = saved.carried.map(|(began, canary, stable)| {
            let (canary, stable) = (canary.into(), stable.into());
            (began, Tick { second: began, canary, stable, canary_share: None })
        });
        let Shares(before, intended, [canary, stable]) = saved.split;
        judge.split = Split { before: read(before), share: intended, counts: (canary, stable) };
        if intended.is_some_and(|share| !(share > 0.0 && share < 1.0)) {
            return Err(shape("the share of the canary"));
        }
        let [canary, stable, seen] = saved.pace.map(read);
        judge.pace = Pace { canary, stable, seen };
        judge.started = saved.seconds.map(|[started, _]| started);
        judge.judged_until = saved.seconds.map(|[_, until]| until);
        judge.compared_until = saved.compared;
        judge.dropped = saved.dropped;
        judge.condemned = saved.condemned;
        Ok(judge)
    }
}

impl Waits {
    fn of(sample: &Sample) -> Self {
        Self(sample.arm.requests, sample.arm.bad, sample.latency.clone())
    }
}

impl From<Waits> for Sample {
    fn from(Waits(requests, bad, latency): Waits) -> Self {
        Self { arm: Arm { requests, bad }, latency }
    }
}

impl Seen {
    fn of(comparison: &Comparison) -> Self {
        let (_, ticks) = comparison.against.parts();
        let Counts { canary, stable } = comparison.counts;
        Self(ticks, canary.requests, stable.requests)
    }
}

impl Rate {
    fn of(comparison: &Comparison) -> Self {
        let logs = |wealth: &[f64]| wealth.iter().copied().map(rounded).collect();
        let Counts { canary, stable } = comparison.counts;
        let (against, healthy) = (comparison.against.parts().0, comparison.healthy.parts().0);
        Self(logs(against), logs(healthy), [canary.bad, stable.bad])
    }

    fn restore(self, Seen(ticks, n, k): Seen, comparison: &mut Comparison) -> Option<()> {
        let Self(against, healthy, [bad, stable_bad]) = self;
        let logs = |saved: Vec<i64>| saved.into_iter().map(read).collect();
        comparison.against = comparison.against.clone().with_parts(logs(against), ticks)?;
        comparison.healthy = comparison.healthy.clone().with_parts(logs(healthy), ticks)?;
        comparison.counts = Counts::new((n, bad), (k, stable_bad));
        Some(())
    }
}

/// Written as whole parts, of which a double holds so many exactly: what was read is written as it was. A guard writes its
/// judge down every second, so what is rounded off must be little also in an hour.
const PARTS: f64 = 16_384.0;

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates; evidence is far from 2^56")]
fn rounded(log: f64) -> i64 {
    (log * PARTS).floor() as i64
}

#[expect(clippy::cast_precision_loss, reason = "parts of a double that they were written from")]
fn read(parts: i64) -> f64 {
    parts as f64 / PARTS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}
