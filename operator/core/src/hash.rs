//! Hashes of pod templates and steps, byte for byte those of Argo Rollouts.
//!
//! The pod template hash names ReplicaSets and is in their selectors, so a different algorithm would restart every
//! pod of a cluster that is taken over. It is FNV-1a (32 bit) over the JSON that Go writes for the *typed* template:
//! fields in the order of the Go structs, zero values left out, quantities in canonical form, `<>&` escaped.
//! `hash/encode.rs` writes that JSON from `go_field_order.json`; nothing else here depends on Go.
//!
//! Fields that the table does not know are not in the hash. [`fingerprint`] sees them too.

mod encode;
pub(crate) mod number;
pub(crate) mod quantity;
mod text;

use std::fmt;
use std::hash::Hasher as _;

use crds::rollout::CanaryStep;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::encode::{Encoded, Release};

/// The value of the label `rollouts-pod-template-hash`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(transparent)]
pub struct PodTemplateHash(String);

/// The value of `status.currentStepHash`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(transparent)]
pub struct StepHash(String);

/// The value of the annotation `sluice.dev/template-fingerprint`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

/// Why a template or a list of steps has no hash. The path begins at the hashed value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// A value has the wrong type.
    #[error("failed to read {path}: it must be {expected}, but it is {found}")]
    Shape {
        /// Where it is, such as `spec.containers[0].image`.
        path: String,
        /// What it must be, such as `a string`.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A quantity such as `1_000` that cannot be read.
    #[error(
        "failed to read {path}: \"{text}\" is not a quantity; write a number with a unit such as 500m or 2Gi"
    )]
    Quantity {
        /// Where it is.
        path: String,
        /// What it is.
        text: String,
    },
}

/// The hash of a pod template, as Argo Rollouts 1.9 and later computes it.
///
/// `collision_count` is `status.collisionCount`; 0 is not the same as none.
pub fn pod_template_hash(
    template: &Value,
    collision_count: Option<i32>,
) -> Result<PodTemplateHash, HashError> {
    template_hash(template, collision_count, Release::Current)
}

/// The hash of a pod template, as Argo Rollouts before 1.9 computed it: with `"creationTimestamp":null` in the
/// metadata. ReplicaSets of that time are recognised by it.
pub fn legacy_pod_template_hash(
    template: &Value,
    collision_count: Option<i32>,
) -> Result<PodTemplateHash, HashError> {
    template_hash(template, collision_count, Release::Before1_9)
}

/// The JSON that [`pod_template_hash`] is computed from.
pub fn pod_template_json(template: &Value) -> Result<String, HashError> {
    Ok(encode::pod_template(template, Release::Current)?.json)
}

/// The hash of a canary's steps. Another value starts the steps anew.
pub fn step_hash(steps: &[CanaryStep]) -> Result<StepHash, HashError> {
    Ok(StepHash(safe_encode(fnv1a(step_json(steps)?.as_bytes(), None))))
}

/// The JSON that [`step_hash`] is computed from; no steps are `null`.
pub fn step_json(steps: &[CanaryStep]) -> Result<String, HashError> {
    if steps.is_empty() {
        return Ok("null".to_owned());
    }
    encode::steps(&serde_json::json!(steps))
}

/// Identifies a whole pod template, also what its hash does not see because no table knows it. Two spellings of the
/// same value (`0.5` and `500m`) have the same fingerprint, as they have the same hash.
pub fn fingerprint(template: &Value) -> Result<Fingerprint, HashError> {
    let Encoded { json, unseen } = encode::pod_template(template, Release::Current)?;
    let mut hasher = fnv::FnvHasher::default();
    hasher.write(json.as_bytes());
    for (path, value) in unseen {
        hasher.write(b"\n");
        hasher.write(path.as_bytes());
        hasher.write(b"=");
        hasher.write(text::sorted_json(value).as_bytes());
    }
    Ok(Fingerprint(format!("{:016x}", hasher.finish())))
}

/// What an `AnalysisRun` is made to do, in 16 hexadecimal digits: the same for the same JSON, whatever the order of its
/// fields. Only compared with what we wrote ourselves, so that it may change.
#[must_use]
pub fn run_fingerprint(spec: &Value) -> String {
    let mut hasher = fnv::FnvHasher::default();
    hasher.write(text::sorted_json(spec).as_bytes());
    format!("{:016x}", hasher.finish())
}

fn template_hash(
    template: &Value,
    collision_count: Option<i32>,
    release: Release,
) -> Result<PodTemplateHash, HashError> {
    let json = encode::pod_template(template, release)?.json;
    Ok(PodTemplateHash(safe_encode(fnv1a(json.as_bytes(), collision_count))))
}

/// FNV-1a, 32 bit. The collision count is 8 bytes of which Argo fills the first 4.
fn fnv1a(bytes: &[u8], collision_count: Option<i32>) -> u32 {
    let suffix = collision_count.map(|count| u64::from(count.cast_unsigned()).to_le_bytes());
    let bytes = bytes.iter().chain(suffix.iter().flatten());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Writes a number in letters that form no words, as Kubernetes does.
fn safe_encode(number: u32) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    number
        .to_string()
        .bytes()
        .map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()]))
        .collect()
}

macro_rules! texts {
    ($($name:ident),*) => {$(
        impl $name {
            /// A value that was computed before and stored in an object.
            #[must_use]
            pub fn from_stored(text: &str) -> Self {
                Self(text.to_owned())
            }

            /// The text as it is stored.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

texts!(PodTemplateHash, StepHash, Fingerprint);

#[cfg(test)]
mod tests;
