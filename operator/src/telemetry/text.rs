//! The text format of Prometheus, written straight.
//!
//! For what there is of each of thousands of objects: kept as metrics of a registry it would be in memory twice, and
//! three times during a scrape.

use std::fmt::{Display, Write as _};

/// One family: its header and its samples.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    name: &'static str,
    header: String,
    samples: String,
}

impl Family {
    pub(crate) fn gauge(name: &'static str, help: &str) -> Self {
        Self::new(name, help, "gauge")
    }

    pub(crate) fn counter(name: &'static str, help: &str) -> Self {
        Self::new(name, help, "counter")
    }

    pub(crate) fn histogram(name: &'static str, help: &str) -> Self {
        Self::new(name, help, "histogram")
    }

    fn new(name: &'static str, help: &str, kind: &str) -> Self {
        Self { name, header: format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"), samples: String::new() }
    }

    /// Adds a sample.
    pub(crate) fn add(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample("", labels, value);
    }

    /// Adds a histogram with these labels.
    pub(crate) fn add_histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        fn with<'a>(labels: &[(&'a str, &'a str)], bound: &'a str) -> Vec<(&'a str, &'a str)> {
            [labels, &[("le", bound)]].concat()
        }

        let mut below = 0;
        for (bound, count) in histogram.bounds.iter().zip(&histogram.counts) {
            below += count;
            self.sample("_bucket", &with(labels, &bound.to_string()), below);
        }
        self.sample("_bucket", &with(labels, "+Inf"), histogram.count);
        self.sample("_sum", labels, histogram.sum);
        self.sample("_count", labels, histogram.count);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let text = &mut self.samples;
        text.push_str(self.name);
        text.push_str(suffix);
        for (index, (name, value)) in labels.iter().enumerate() {
            text.push(if index == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            escape(text, value);
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        // A String takes everything.
        let _ = writeln!(text, " {value}");
    }

    /// Puts the family at the end of a page, unless it is empty.
    pub(crate) fn append_to(&self, page: &mut String) {
        if !self.samples.is_empty() {
            page.push_str(&self.header);
            page.push_str(&self.samples);
        }
    }
}

fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

/// A histogram of seconds that is only counted in, not shared: half the size of a registry's.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    bounds: &'static [f64],
    /// Of each bound, what is not under a smaller one.
    counts: Box<[u64]>,
    count: u64,
    sum: f64,
}

impl Histogram {
    /// An empty one with these upper bounds, in ascending order.
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len()].into_boxed_slice(), count: 0, sum: 0.0 }
    }

    /// Counts a value in.
    pub(crate) fn observe(&mut self, seconds: f64) {
        let bucket = self.bounds.iter().position(|bound| seconds <= *bound);
        if let Some(count) = bucket.and_then(|it| self.counts.get_mut(it)) {
            *count += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(family: &Family) -> String {
        let mut page = String::new();
        family.append_to(&mut page);
        page
    }

    #[test]
    fn a_family_without_samples_is_not_shown() {
        let mut family = Family::gauge("a", "Something.");
        assert_eq!(page(&family), "");
        family.add(&[], 1);
        assert_eq!(page(&family), "# HELP a Something.\n# TYPE a gauge\na 1\n");
    }

    #[test]
    fn a_label_may_hold_any_text() {
        let mut family = Family::counter("a", "Something.");
        family.add(&[("x", "say \"no\""), ("y", "C:\\\n")], 2);
        assert!(page(&family).ends_with("a{x=\"say \\\"no\\\"\",y=\"C:\\\\\\n\"} 2\n"), "{}", page(&family));
    }

    #[test]
    fn buckets_count_what_is_at_most_their_bound() {
        let mut histogram = Histogram::new(&[0.5, 1.0]);
        for seconds in [0.25, 0.5, 0.75, 8.0] {
            histogram.observe(seconds);
        }
        let mut family = Family::histogram("a", "Something.");
        family.add_histogram(&[("x", "y")], &histogram);
        let lines: Vec<_> = family.samples.lines().collect();
        let expected = [
            "a_bucket{x=\"y\",le=\"0.5\"} 2",
            "a_bucket{x=\"y\",le=\"1\"} 3",
            "a_bucket{x=\"y\",le=\"+Inf\"} 4",
            "a_sum{x=\"y\"} 9.5",
            "a_count{x=\"y\"} 4",
        ];
        assert_eq!(lines, expected);
    }
}
