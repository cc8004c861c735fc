//! First tries that have ended, by the version of the pods that they were sent to.

use std::collections::BTreeMap;

use operator_routes::SplitReport;
use proxy_config::model::{ArmId, SplitId, Version};

/// By one arm to one version; those with the default version found no endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TriesKey {
    pub(crate) split: SplitId,
    pub(crate) arm: ArmId,
    pub(crate) version: Version,
}

/// What came of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tries {
    /// Those that were bad, as `config.proto` says it.
    pub(crate) bad: u64,
    /// All of them, by bucket of latency.
    pub(crate) ended: Vec<u64>,
}

impl Tries {
    pub(super) fn add(&mut self, other: &Self) {
        let Self { bad, ended } = other;
        self.bad += bad;
        self.ended.resize(self.ended.len().max(ended.len()), 0);
        self.ended.iter_mut().zip(ended).for_each(|(sum, more)| *sum += more);
    }
}

/// Whose tries these are: an arm without an endpoint has failed all versions that it holds.
pub(super) fn versions(key: &TriesKey, split: Option<&SplitReport>) -> Vec<Version> {
    if key.version != Version::default() {
        return vec![key.version.clone()];
    }
    let arm = split.and_then(|split| split.served.arms.iter().find(|arm| arm.id == key.arm));
    let Some((arm, service)) = arm.and_then(|arm| Some((arm, arm.service.as_ref()?))) else {
        return Vec::new();
    };
    let hashes = arm.endpoints.keys().filter(|hash| !hash.is_empty());
    hashes.map(|hash| Version { namespace: service.namespace.clone(), hash: hash.clone() }).collect()
}

/// What a watcher has not been told yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Untold(pub(super) BTreeMap<Version, Tries>);

impl Untold {
    pub(super) fn add(&mut self, news: &[(Version, Tries)]) {
        for (version, tries) in news {
            self.0.entry(version.clone()).or_default().add(tries);
        }
    }
}
