//! The log.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

use crate::arguments::{LogFormat, TelemetryArguments};

/// The client logs every failed request, and its watcher every try; who made the request says so in its own words, once.
/// Put before the user's filter, which may overrule it.
const QUIET: &str = "kube_client::client=off,kube_runtime::watcher=off";

/// Starts logging to standard error. A filter that cannot be read is replaced by `info`, and the log says so: a
/// typing mistake in a flag is no reason not to serve.
pub fn start_logging(arguments: &TelemetryArguments) {
    let (filter, problem) = match EnvFilter::try_new(format!("{QUIET},{}", arguments.loglevel)) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(format!("{QUIET},info")), Some(error)),
    };
    let colours = std::io::stderr().is_terminal();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = match arguments.logformat {
        LogFormat::Text => subscriber.finish().try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).finish().try_init(),
    };
    if let Some(error) = problem {
        tracing::warn!(loglevel = arguments.loglevel, %error, "unreadable --loglevel; logging at info");
    }
    if let Err(error) = started {
        tracing::debug!(%error, "the process logs already");
    }
}
