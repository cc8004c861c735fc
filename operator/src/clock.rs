//! The one place that reads the wall clock.

use chrono::{DateTime, Utc};

/// The time of day. Everything below takes time as an argument.
#[must_use]
pub fn now() -> DateTime<Utc> {
    #[expect(clippy::disallowed_methods, reason = "the shell's single read of the wall clock")]
    Utc::now()
}
