//! The HTTP servers of metrics and health.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Error;
use crate::{
    arguments::TelemetryArguments,
    telemetry::{self, Metrics, Pages, Readiness},
};

/// They run until the very end.
pub(super) struct Servers {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Servers {
    /// Opens the ports and answers.
    pub(super) async fn start(
        arguments: &TelemetryArguments,
        metrics: &Metrics,
        readiness: &Readiness,
    ) -> Result<Self, Error> {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        for (port, what, pages) in [
            (arguments.metrics_port, "metrics", Pages::Metrics(metrics.clone())),
            (arguments.healthz_port, "health", Pages::Health(readiness.clone())),
        ] {
            let listener =
                telemetry::bind(port).await.map_err(|source| Error::Port { port, what, source })?;
            tasks.spawn(telemetry::serve(listener, pages, stop.clone()));
        }
        tasks.close();
        Ok(Self { tasks, stop })
    }

    /// Ends them.
    pub(super) async fn end(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}
