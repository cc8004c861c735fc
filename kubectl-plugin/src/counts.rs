//! How many requests each arm of each route has had, from what the proxies show at `/metrics`.

use std::collections::BTreeMap;

/// The family of the proxies that counts requests.
const FAMILY: &str = "sluice_proxy_requests_total{";

/// Requests by split, arm and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, Arms>);

/// Requests of one split by arm and version.
type Arms = BTreeMap<String, BTreeMap<String, u64>>;

impl Counts {
    /// Reads the page of one proxy. What is no count of requests is left out.
    #[must_use]
    pub fn read(page: &str) -> Self {
        let mut counts = Self::default();
        for line in page.lines() {
            let Some((labels, value)) = line.strip_prefix(FAMILY).and_then(|rest| rest.rsplit_once("} "))
            else {
                continue;
            };
            let labels = labels_of(labels);
            let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
            // A whole number, in the notation of floating points.
            let Some(value) = value.split('.').next().and_then(|value| value.parse::<u64>().ok()) else {
                continue;
            };
            *counts.of_mut(label("split"), label("arm")).entry(label("hash")).or_default() += value;
        }
        counts
    }

    /// Adds those of another proxy.
    pub fn add(&mut self, other: Self) {
        for (split, arms) in other.0 {
            for (arm, versions) in arms {
                let own = self.of_mut(split.clone(), arm);
                for (hash, requests) in versions {
                    *own.entry(hash).or_default() += requests;
                }
            }
        }
    }

    /// What was counted after `earlier`. A proxy that began anew since then has counted from 0.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        for (split, arms) in &mut self.0 {
            for (arm, versions) in arms {
                for (hash, requests) in versions {
                    let before = earlier.0.get(split).and_then(|arms| arms.get(arm)?.get(hash));
                    *requests =
                        requests.checked_sub(before.copied().unwrap_or_default()).unwrap_or(*requests);
                }
            }
        }
        self
    }

    /// All requests of a split.
    #[must_use]
    pub fn of_split(&self, split: &str) -> u64 {
        self.0.get(split).into_iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values).sum()
    }

    /// Requests of one arm by the version that answered; the empty text stands for pods without one.
    pub fn of_arm(&self, split: &str, arm: &str) -> impl Iterator<Item = (&str, u64)> {
        let versions = self.0.get(split).and_then(|arms| arms.get(arm)).into_iter().flatten();
        versions.map(|(hash, requests)| (hash.as_str(), *requests)).filter(|(_, requests)| *requests > 0)
    }

    fn of_mut(&mut self, split: String, arm: String) -> &mut BTreeMap<String, u64> {
        self.0.entry(split).or_default().entry(arm).or_default()
    }
}

/// `name="value",…`, with the escapes of Prometheus' text format.
fn labels_of(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut characters = text.chars();
    loop {
        let name: String = characters.by_ref().take_while(|it| *it != '=').collect();
        if name.is_empty() || characters.next() != Some('"') {
            return labels;
        }
        let mut value = String::new();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => match characters.next() {
                    Some('n') => value.push('\n'),
                    Some(escaped) => value.push(escaped),
                    None => return labels,
                },
                other => value.push(other),
            }
        }
        labels.insert(name, value);
        // The comma before the next one.
        characters.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE sluice_proxy_requests_total counter\n\
        sluice_proxy_requests_total{arm=\"shop/a\",code=\"2xx\",hash=\"h1\",split=\"* /\\\"x\\\"/\"} 10\n\
        sluice_proxy_requests_total{arm=\"shop/a\",code=\"5xx\",hash=\"h1\",split=\"* /\\\"x\\\"/\"} 2\n\
        sluice_proxy_retries_total 7\n";
    const AFTER: &str = "sluice_proxy_requests_total{arm=\"shop/a\",code=\"2xx\",hash=\"h1\",split=\"* /\\\"x\\\"/\"} 15\n\
        sluice_proxy_requests_total{arm=\"shop/a\",code=\"5xx\",hash=\"h1\",split=\"* /\\\"x\\\"/\"} 2\n\
        sluice_proxy_requests_total{arm=\"shop/b\",code=\"2xx\",hash=\"\",split=\"* /\\\"x\\\"/\"} 1\n";

    #[test]
    fn requests_are_summed_over_codes_and_proxies() {
        let mut counts = Counts::read(BEFORE);
        counts.add(Counts::read(AFTER));
        assert_eq!(counts.of_arm("* /\"x\"/", "shop/a").collect::<Vec<_>>(), [("h1", 29)]);
        assert_eq!(counts.of_split("* /\"x\"/"), 30);
    }

    #[test]
    fn a_window_holds_what_came_within_it() {
        let window = Counts::read(AFTER).since(&Counts::read(BEFORE));
        assert_eq!(window.of_arm("* /\"x\"/", "shop/a").collect::<Vec<_>>(), [("h1", 5)]);
        assert_eq!(window.of_arm("* /\"x\"/", "shop/b").collect::<Vec<_>>(), [("", 1)]);
        let anew = Counts::read(BEFORE).since(&Counts::read(AFTER));
        assert_eq!(anew.of_split("* /\"x\"/"), 12, "the counters of a new process begin at 0");
    }

    #[test]
    fn what_is_no_count_is_left_out() {
        for page in ["", "sluice_proxy_requests_total{", "sluice_proxy_requests_total{a=\"b} x", "other 1"] {
            assert_eq!(Counts::read(page), Counts::default(), "{page}");
        }
    }
}
