//! Staying connected to the operator that holds the lease.

use proxy_core::intake::Intake;
use tracing::{debug, warn};

use super::{
    State,
    backoff::Backoff,
    session::{self, Ended},
    state::Chain,
    tls::Credentials,
};
use crate::Settings;

/// Connects, and connects again, for ever. Meanwhile the proxy serves what it has.
pub(crate) async fn run(state: &State, settings: &Settings) {
    let credentials =
        Credentials { ca_file: settings.ca_file.clone(), token_file: settings.token_file.clone() };
    let mut intake = Intake::default();
    if let Some(commit) = state.commit() {
        intake.remember(&commit);
    }
    let mut backoff = Backoff::default();
    let mut holder: Option<String> = None;
    let mut said = String::new();
    loop {
        let server = holder.take().unwrap_or_else(|| settings.config_server.clone());
        let (ended, useful) = session::run(state, &mut intake, &credentials, &server, &settings.scope).await;
        if useful {
            backoff.reset();
        } else {
            state.streams_failed.set(state.streams_failed.get() + 1);
        }
        let why = Chain(&ended).to_string();
        // A server that stays away would otherwise say the same all day.
        if useful || why != said {
            warn!(server, why, "no config stream, serving what is served and trying again");
        } else {
            debug!(server, why, "no config stream");
        }
        said = why;
        if let Ended::HeldBy(address) = ended {
            // Straight to the holder, unless we have just come from such an answer.
            if server == settings.config_server {
                holder = Some(address);
                continue;
            }
        }
        let wait = tokio::time::sleep(backoff.next(state.random.next()));
        tokio::pin!(wait);
        let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1));
        loop {
            tokio::select! {
                () = &mut wait => break,
                _ = ticks.tick() => state.tick(),
            }
        }
    }
}
