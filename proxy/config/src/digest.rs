//! The content of a configuration as a short text, so that an equal one is not sent again.

use std::fmt::Write as _;

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{model::Config, wire};

/// A digest of everything in `config`. Equal configurations have equal digests on either side of the stream,
/// as long as both speak the same [`CONTRACT`](crate::CONTRACT); it is an optimisation, so a difference
/// between versions of this crate costs one full resend.
#[must_use]
pub fn digest(config: &Config) -> String {
    let mut hash = Sha256::new();
    let mut bytes = Vec::new();
    for change in config.changes() {
        bytes.clear();
        // Encoding into a Vec grows it; it cannot run out of room.
        let _ = wire::config::Change::from(&change).encode_length_delimited(&mut bytes);
        hash.update(&bytes);
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{arbitrary, model::Change};

    proptest! {
        #[test]
        fn equal_content_has_equal_digests_however_it_came_about(
            config in arbitrary::config(),
            more in arbitrary::cluster(),
        ) {
            let mut other = config.clone();
            let key = crate::model::Key::Cluster(more.id.clone());
            let known = config.clusters.contains_key(&more.id);
            other.apply(Change::Cluster(more.into()));
            prop_assert!(known || digest(&other) != digest(&config));
            other.apply(Change::Removed(key));
            prop_assert!(known || digest(&other) == digest(&config));
        }
    }

    #[test]
    fn the_digest_of_nothing_is_that_of_no_bytes() {
        assert!(digest(&Config::default()).starts_with("e3b0c44298fc1c14"));
    }
}
