//! What a program says at `/metrics`, for those who measure it.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::Context as _;

use crate::probe;

/// One answer of `/metrics`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape {
    samples: Vec<Sample>,
}

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Scrape {
    /// Asks for the families whose names begin with one of `families`; there may be hundreds of thousands of others.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn of(address: SocketAddr, families: &[&str]) -> anyhow::Result<Self> {
        Self::read(&probe::metrics(address).await?, families)
    }

    fn read(text: &str, families: &[&str]) -> anyhow::Result<Self> {
        let lines = text.lines().filter(|line| families.iter().any(|family| line.starts_with(family)));
        let samples = lines.map(|line| sample(line).with_context(|| format!("failed to read {line:?}")));
        Ok(Self { samples: samples.collect::<anyhow::Result<_>>()? })
    }

    /// How many samples have these labels.
    #[must_use]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        self.find(name, labels).count()
    }

    /// The sum of all samples that have these labels; 0 if there are none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).map(|it| it.value).sum()
    }

    /// The sums for each value of one or more labels.
    #[must_use]
    pub fn sums(&self, name: &str, by: &[&str]) -> BTreeMap<Vec<String>, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.find(name, &[]) {
            let key = by.iter().map(|label| sample.labels.get(*label).cloned().unwrap_or_default()).collect();
            *sums.entry(key).or_default() += sample.value;
        }
        sums
    }

    /// What was counted after `earlier`: samples that are new count from 0.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before: BTreeMap<_, _> =
            earlier.samples.iter().map(|it| ((&it.name, &it.labels), it.value)).collect();
        let samples = self.samples.iter().map(|it| {
            let was = before.get(&(&it.name, &it.labels)).copied().unwrap_or_default();
            Sample { value: it.value - was, ..it.clone() }
        });
        Self { samples: samples.collect() }
    }

    /// The value below which a share (0 to 1) of all observations of a histogram are, as Prometheus estimates it:
    /// evenly spread within a bucket. `None` without observations, or if it lies beyond the last bound.
    #[must_use]
    pub fn quantile(&self, histogram: &str, labels: &[(&str, &str)], share: f64) -> Option<f64> {
        let name = format!("{histogram}_bucket");
        let mut buckets: Vec<(f64, f64)> = self
            .find(&name, labels)
            .filter_map(|it| Some((it.labels.get("le")?.parse().ok()?, it.value)))
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let rank = buckets.last().map(|(_, count)| share * count).filter(|rank| *rank > 0.0)?;
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in buckets {
            if count >= rank {
                return bound.is_finite().then(|| low + (bound - low) * (rank - below) / (count - below));
            }
            (low, below) = (bound, count);
        }
        None
    }

    fn find<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        let has = |it: &Sample| {
            labels.iter().all(|(label, value)| it.labels.get(*label).is_some_and(|it| it == value))
        };
        self.samples.iter().filter(move |it| it.name == name && has(it))
    }
}

/// `name{label="value",…} value`. Values of labels that need escapes are not understood: our benches use none.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, rest) = series.split_once('{').unwrap_or((series, ""));
    let labels = rest.trim_end_matches('}').split("\",").filter(|it| !it.is_empty()).map(|pair| {
        let (label, value) = pair.split_once("=\"")?;
        Some((label.to_owned(), value.trim_end_matches('"').to_owned()))
    });
    Some(Sample { name: name.to_owned(), labels: labels.collect::<Option<_>>()?, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE a counter\na{x=\"1\",y=\"p\"} 2\na{x=\"2\",y=\"p\"} 3\nb 7\nother 1\n";
    const AFTER: &str = "a{x=\"1\",y=\"p\"} 5\na{x=\"2\",y=\"p\"} 3\na{x=\"2\",y=\"q\"} 1\nb 7\n";

    #[test]
    fn sums_and_counts_by_labels() {
        let scrape = Scrape::read(BEFORE, &["a", "b"]).unwrap();
        assert!((scrape.sum("a", &[]) - 5.0).abs() < f64::EPSILON);
        assert!((scrape.sum("a", &[("x", "2")]) - 3.0).abs() < f64::EPSILON);
        assert_eq!(scrape.count("a", &[("y", "p")]), 2);
        assert_eq!((scrape.sum("b", &[]), scrape.sum("other", &[])), (7.0, 0.0));
    }

    #[test]
    fn what_is_new_counts_from_0() {
        let since = Scrape::read(AFTER, &["a"]).unwrap().since(&Scrape::read(BEFORE, &["a"]).unwrap());
        let sums = since.sums("a", &["x"]);
        assert_eq!(sums, BTreeMap::from([(vec!["1".to_owned()], 3.0), (vec!["2".to_owned()], 1.0)]));
    }

    #[test]
    fn quantiles_are_estimated_within_a_bucket() {
        let text = "h_bucket{le=\"1\"} 10\nh_bucket{le=\"2\"} 20\nh_bucket{le=\"+Inf\"} 20\nh_count 20\n";
        let scrape = Scrape::read(text, &["h_bucket"]).unwrap();
        assert_eq!(scrape.quantile("h", &[], 0.25), Some(0.5));
        assert_eq!(scrape.quantile("h", &[], 0.75), Some(1.5));
        assert_eq!(scrape.quantile("none", &[], 0.5), None);
    }
}
