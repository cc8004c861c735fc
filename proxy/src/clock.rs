//! The clock, for the deadlines that the operator sets.

use std::time::{SystemTime, UNIX_EPOCH};

use proxy_config::model::UnixMillis;

/// Now. Before 1970 it is 1970.
pub(crate) fn now() -> UnixMillis {
    let since = read().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The second that it is now.
pub(crate) fn seconds() -> i64 {
    now().0.div_euclid(1_000)
}

/// Now, for the header `Date` (RFC 9110 §5.6.7).
pub(crate) fn date() -> String {
    httpdate::fmt_http_date(read())
}

#[expect(clippy::disallowed_methods, reason = "the one place where this shell reads the clock")]
fn read() -> SystemTime {
    SystemTime::now()
}
