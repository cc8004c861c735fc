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
        holder = next_without_wait(&ended, &server, &settings.config_server).map(str::to_owned);
        if holder.is_some() {
            continue;
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

/// The holder of the lease that `asked` has named, if it is to be asked at once. It is not when we have just come
/// from such an answer, or when the answer leads back to where we begin: servers that name themselves or each
/// other would be asked without end.
fn next_without_wait<'a>(ended: &'a Ended, asked: &str, config_server: &str) -> Option<&'a str> {
    match ended {
        Ended::HeldBy(address) if asked == config_server && address != config_server => Some(address),
        Ended::HeldBy(_)
        | Ended::HeldByNobody
        | Ended::Connect(_)
        | Ended::Refused(_)
        | Ended::Silent
        | Ended::Broke(_)
        | Ended::Closed
        | Ended::Outdated(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_followed_once_and_never_back() {
        let at_once = |asked, named: &str| {
            next_without_wait(&Ended::HeldBy(named.into()), asked, "service:1").map(str::to_owned)
        };
        assert_eq!(at_once("service:1", "holder:1").as_deref(), Some("holder:1"));
        assert_eq!(at_once("service:1", "service:1"), None, "it names itself");
        assert_eq!(at_once("holder:1", "other:1"), None, "we come from a redirect");
        assert_eq!(at_once("holder:1", "service:1"), None, "they name each other");
        assert_eq!(next_without_wait(&Ended::HeldByNobody, "service:1", "service:1"), None);
    }
}
