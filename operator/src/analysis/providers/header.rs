//! `headers[{key, value}]` of a provider.

use serde::Deserialize;

/// One header.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Header {
    key: String,
    #[serde(default)]
    value: String,
}

/// Names and values. A name that comes twice has its last value.
pub(super) fn pairs(headers: &[Header]) -> Vec<(String, String)> {
    headers.iter().map(|it| (it.key.clone(), it.value.clone())).collect()
}
