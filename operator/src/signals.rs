//! SIGTERM and SIGINT.

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Cancels `stop` at the first SIGTERM or SIGINT. A second one ends the process at once: somebody is in a hurry.
///
/// # Errors
/// If the process may not handle signals.
pub fn cancel_on_termination(stop: CancellationToken) -> std::io::Result<JoinHandle<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::spawn(async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first {
                info!(signal = name, "stopping");
                stop.cancel();
            } else {
                std::process::exit(130);
            }
        }
    }))
}
