//! Passes over the objects of one kind, and gauges that are read off them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use operator_core::{
    measures::{Gauge, Sample},
    traffic::ObjectName,
};
use tokio::time::Instant;

use super::text::{Family, Histogram};
use crate::rollouts::Pass;

/// Upper bounds of the histograms of passes, in seconds: Argo's.
const PASS_SECONDS: &[f64] = &[0.01, 0.15, 0.25, 0.5, 1.0];

/// Name and help of each metric.
#[derive(Clone, Copy, Debug)]
pub(super) struct PassNames {
    /// The histogram of their lengths.
    pub(super) seconds: (&'static str, &'static str),
    /// The counter of those that failed.
    pub(super) errors: (&'static str, &'static str),
}

/// What is measured of the passes over the objects of one kind.
#[derive(Clone, Debug)]
pub(crate) struct PassMetrics {
    names: PassNames,
    counts: Arc<Mutex<BTreeMap<ObjectName, Counts>>>,
}

/// The counts of one object.
#[derive(Debug)]
struct Counts {
    passes: Histogram,
    errors: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { passes: Histogram::new(PASS_SECONDS), errors: 0 }
    }
}

impl PassMetrics {
    pub(super) fn new(names: PassNames) -> Self {
        Self { names, counts: Arc::default() }
    }

    /// Makes a pass over an object, and counts how long it took unless the object turned out to be gone.
    pub(crate) async fn measure<E>(
        &self,
        object: &ObjectName,
        pass: impl Future<Output = Result<Pass, E>>,
    ) -> Result<Pass, E> {
        let begun = Instant::now();
        let result = pass.await;
        if !matches!(result, Ok(Pass::Gone)) {
            let took = begun.elapsed().as_secs_f64();
            self.change(object, |counts| counts.passes.observe(took));
        }
        result
    }

    /// A pass over an object has failed.
    pub(crate) fn failed(&self, object: &ObjectName) {
        self.change(object, |counts| counts.errors += 1);
    }

    /// An object is gone.
    pub(crate) fn forget(&self, object: &ObjectName) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }

    fn change(&self, object: &ObjectName, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(object) {
            Some(counts) => change(counts),
            None => change(counts.entry(object.clone()).or_default()),
        }
    }

    pub(super) fn append_to(&self, page: &mut String) {
        let (seconds, errors) = (self.names.seconds, self.names.errors);
        let mut passes = Family::histogram(seconds.0, seconds.1);
        let mut errors = Family::counter(errors.0, errors.1);
        for (object, counts) in self.counts.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let labels = [("name", object.name.as_str()), ("namespace", object.namespace.as_str())];
            passes.add_histogram(&labels, &counts.passes);
            // What never happened has no series, as in Argo.
            if counts.errors > 0 {
                errors.add(&labels, counts.errors);
            }
        }
        passes.append_to(page);
        errors.append_to(page);
    }
}

/// Gauges that are read off objects, one family each.
#[derive(Debug, Default)]
pub(super) struct Gauges(BTreeMap<Gauge, Family>);

impl Gauges {
    pub(super) fn add(&mut self, Sample { gauge, labels, value }: Sample<'_>) {
        let family = || Family::gauge(gauge.name(), gauge.help());
        self.0.entry(gauge).or_insert_with(family).add(labels, value);
    }

    pub(super) fn append_to(self, page: &mut String) {
        self.0.into_values().for_each(|family| family.append_to(page));
    }
}
