//! All tests together: takes seconds in, gives a verdict at any moment.

mod comparison;
mod pace;

use crate::bet::{HEALTHY, WORSE};
use crate::counts::{Counts, Sample, Second, Tick};
use crate::evidence::mean;
use crate::latency;
use crate::settings::{Edge, Latency, Metric, Settings};
use crate::split::Split;
use crate::verdict::Condemned;

pub(crate) use self::comparison::Comparison;
pub(crate) use self::pace::Pace;

/// The alternatives at an edge of the histogram, against the canary: a shift of all latencies changes the share of slow
/// requests less than faults change the share of bad ones.
pub(crate) const SLOWER: [f64; 6] = [1.1, 1.25, 1.5, 2.0, 4.0, 10.0];

/// And for it.
pub(crate) const NOT_SLOWER: [f64; 4] = [0.9, 0.75, 0.5, 0.25];

/// Requests of one version wait this many seconds for some of the other. The comparison is of the same minute, even
/// where a version has only one request in it.
pub(crate) const CARRIED_FOR: Second = 60;

/// How much of the picture of the traffic has to be there, of 1, before it is told: that of twenty seconds.
const KNOWN: f64 = 0.48;

/// Judges one canary against one stable version, from the first second to the last. A changed weight goes on with the
/// evidence there is; another pod template needs another judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    pub(crate) settings: Settings,
    pub(crate) errors: Option<Comparison>,
    pub(crate) edges: Vec<Comparison>,
    /// What is known of the stable version's latencies, while there are no edges.
    pub(crate) learned: Sample,
    pub(crate) split: Split,
    pub(crate) pace: Pace,
    /// What has not been compared yet, because one of the versions had no request. Begun in this second.
    pub(crate) carried: Option<(Second, Tick)>,
    pub(crate) started: Option<Second>,
    pub(crate) judged_until: Option<Second>,
    pub(crate) compared_until: Option<Second>,
    pub(crate) dropped: u64,
    pub(crate) condemned: Option<Condemned>,
}

impl Judge {
    /// A judge who has seen nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let errors =
            settings.errors.map(|errors| Comparison::new(&WORSE, &HEALTHY, errors.margin, errors.prior));
        Self {
            errors,
            edges: settings.latency.as_ref().map(compared).unwrap_or_default(),
            learned: Sample::default(),
            split: Split::default(),
            pace: Pace::default(),
            carried: None,
            started: None,
            judged_until: None,
            compared_until: None,
            dropped: 0,
            condemned: None,
            settings,
        }
    }

    /// One who looks at nothing that began up to this second.
    #[must_use]
    pub fn since(settings: Settings, second: Second) -> Self {
        Self { started: Some(second), judged_until: Some(second), ..Self::new(settings) }
    }

    /// What it was asked to watch.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The last second that it has seen.
    #[must_use]
    pub fn judged_until(&self) -> Option<Second> {
        self.judged_until
    }

    /// Requests a second of both versions and the canary's share of them, once they are known.
    #[must_use]
    pub fn traffic(&self) -> Option<(f64, f64)> {
        let (canary, stable) = self.pace.now().filter(|_| self.pace.seen > KNOWN)?;
        Some((canary + stable, canary / (canary + stable)))
    }

    /// The stable version's share of bad requests, as far as it is known; `None` where errors are not watched.
    #[must_use]
    pub fn stable_rate(&self) -> Option<f64> {
        self.errors.as_ref().map(Comparison::stable_rate)
    }

    /// Whether a second has been compared yet.
    #[must_use]
    pub fn has_compared(&self) -> bool {
        self.compared_until.is_some()
    }

    /// The requests that were compared, and bad ones among them; where only latencies are watched, slow ones.
    #[must_use]
    pub fn compared(&self) -> Counts {
        self.errors.iter().chain(&self.edges).next().map(|it| it.counts).unwrap_or_default()
    }

    /// When the canary was condemned and on what, if it was. Cheaper than a verdict.
    #[must_use]
    pub fn condemned(&self) -> Option<&Condemned> {
        self.condemned.as_ref()
    }

    /// Takes a second in. Seconds come in order; one that was seen before (after a restart) is not taken again.
    pub fn take(&mut self, tick: &Tick) {
        let idle = self.judged_until.map_or(0, |until| tick.second - until - 1);
        if !self.is_next(tick.second) {
            return;
        }
        self.pace.rest(idle);
        if let Some(share) = tick.canary_share {
            self.split.take(share, tick.canary.arm.requests, tick.stable.arm.requests);
        }
        self.pace.take(&tick.errors());
        let began = self.carry(tick);
        let Some(whole) = began else { return };
        self.compared_until = Some(tick.second);
        self.compare(&whole);
        self.learn(&whole);
        self.condemn(tick.second);
    }

    /// Leaves a second out, because a version's requests in it were not all of that version.
    pub fn drop(&mut self, second: Second) {
        if self.is_next(second) {
            self.dropped += 1;
        }
    }

    /// Marks the second as seen; false if it was already.
    fn is_next(&mut self, second: Second) -> bool {
        if self.judged_until.is_some_and(|until| second <= until) {
            return false;
        }
        self.started.get_or_insert(second);
        self.judged_until = Some(second);
        true
    }

    /// Joins a tick with what waits; the whole once there is something to compare.
    fn carry(&mut self, tick: &Tick) -> Option<Tick> {
        let waiting = self.carried.take().filter(|(began, _)| tick.second - began < CARRIED_FOR);
        let (began, mut whole) = waiting.unwrap_or_else(|| (tick.second, Tick::default()));
        whole.second = tick.second;
        whole.canary.absorb(&tick.canary);
        whole.stable.absorb(&tick.stable);
        if whole.errors().comparable() {
            return Some(whole);
        }
        self.carried = Some((began, whole));
        None
    }

    fn compare(&mut self, tick: &Tick) {
        if let Some(errors) = &mut self.errors {
            errors.take(&tick.errors());
        }
        let Some(latency) = &self.settings.latency else { return };
        for (edge, comparison) in latency.edges.iter().zip(&mut self.edges) {
            comparison.take(&Counts {
                canary: tick.canary.slower_than(edge.bucket.saturating_add(latency.shift)),
                stable: tick.stable.slower_than(edge.bucket),
            });
        }
    }

    /// Chooses the edges once enough is known. What has a part in that is not compared at them.
    fn learn(&mut self, tick: &Tick) {
        let Some(latency) = self.settings.latency.as_mut().filter(|it| it.edges.is_empty()) else { return };
        self.learned.absorb(&tick.stable);
        if self.learned.arm.requests >= latency::LEARNED_FROM {
            latency.edges = latency::edges(&std::mem::take(&mut self.learned));
            self.edges = compared(latency);
        }
    }

    /// The natural logarithm of the evidence against the canary; `None` if the metric is not watched.
    pub(crate) fn against(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Errors => self.errors.as_ref().map(|it| it.against.log()),
            Metric::Latency => {
                (!self.edges.is_empty()).then(|| mean(self.edges.iter().map(|edge| &edge.against)))
            }
        }
    }

    /// A verdict against the canary is final, and keeps what it was based on.
    fn condemn(&mut self, second: Second) {
        if self.condemned.is_some() {
            return;
        }
        let found = [Metric::Errors, Metric::Latency].into_iter().find_map(|metric| {
            let reached = self.against(metric)? >= self.settings.alpha_of(metric).needed();
            if reached { self.evidence(metric) } else { None }
        });
        self.condemned = found.map(|evidence| Condemned { second, evidence });
    }
}

/// A comparison for each edge.
fn compared(latency: &Latency) -> Vec<Comparison> {
    let margin = latency.margin();
    let at = |edge: &Edge| {
        let healthy: &'static [f64] = if latency.is_proven(edge) { &NOT_SLOWER } else { &[] };
        Comparison::new(&SLOWER, healthy, margin, edge.prior)
    };
    latency.edges.iter().map(at).collect()
}
