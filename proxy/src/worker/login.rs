//! Passwords are compared beside the threads that carry requests, and a few at a time: whoever tries many must not slow
//! down the others.

use std::sync::Arc;

use proxy_core::filters::Verification;

use super::Worker;

/// Compares a password. Returns whether that could be done. A client that is gone meanwhile still has its place among the few.
pub(super) async fn compare(worker: &Worker, verification: Verification) -> bool {
    let Ok(permit) = Arc::clone(&worker.shared.comparisons).acquire_owned().await else { return false };
    let comparing = tokio::task::spawn_blocking(move || {
        verification.run();
        drop(permit);
    });
    comparing.await.is_ok()
}
