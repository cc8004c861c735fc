//! Passwords are compared beside the threads that carry requests, and a few at a time: whoever tries many must not slow
//! down the others.

use proxy_core::filters::Verification;

use super::Worker;

/// Compares a password. Returns whether that could be done.
pub(super) async fn compare(worker: &Worker, verification: Verification) -> bool {
    let Ok(_permit) = worker.shared.comparisons.acquire().await else { return false };
    tokio::task::spawn_blocking(move || verification.run()).await.is_ok()
}
