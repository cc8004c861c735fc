//! What must hold whatever comes in. Used by tests and by fuzz targets.

#![allow(dead_code, reason = "each fuzz target uses one of them")]
#![allow(clippy::unwrap_used, reason = "a test says so and ends")]

pub(crate) mod matching;
pub(crate) mod proxied;
pub(crate) mod stream;
