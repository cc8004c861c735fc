//! `sluice-operator`.

use clap::Parser;
use operator::{arguments::Arguments, run, telemetry};
use tokio_util::sync::CancellationToken;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    telemetry::start_logging(&arguments.telemetry);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let stopped = operator::signals::cancel_on_termination(stop.clone())?;
        run(arguments, stop).await?;
        stopped.abort();
        Ok(())
    })
}
