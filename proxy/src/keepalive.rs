//! Peers that are gone without a word.

use std::time::Duration;

use socket2::TcpKeepalive;

/// How often a peer that says nothing is asked whether it lives, by the system: soon enough for what stands between to keep
/// the connection in mind (some balancers forget one after 350 s). A peer that is gone is found after four minutes, where
/// otherwise a tunnel to it would stay for ever.
#[must_use]
pub(crate) fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_mins(2))
        .with_interval(Duration::from_secs(30))
        .with_retries(4)
}
