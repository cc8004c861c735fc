//! Errors in one line.

use std::error::Error;

/// An error and its sources, from the outermost to the cause, each once: `kube` repeats its sources in its own text.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = words(error);
    let mut source = cause(error);
    while let Some(next) = source {
        let next_text = words(next);
        if !text.contains(&next_text) {
            text = format!("{text}: {next_text}");
        }
        source = cause(next);
    }
    text
}

/// What the API server says is for people as it is; `kube` adds its own view of the whole status.
fn words(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref() {
        Some(kube::Error::Api(status)) => status.message.clone(),
        _ => error.to_string(),
    }
}

/// The next cause; the API server's own words are the last.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref() {
        Some(kube::Error::Api(_)) => None,
        _ => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Layer {
        #[error("failed to connect")]
        Outer(#[source] std::io::Error),
        #[error("failed to connect: {0}")]
        Repeating(#[source] std::io::Error),
    }

    #[test]
    fn every_cause_is_named_once() {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(chain(&Layer::Outer(refused())), "failed to connect: connection refused");
        assert_eq!(chain(&Layer::Repeating(refused())), "failed to connect: connection refused");
    }

    #[test]
    fn the_api_servers_own_words_are_enough() {
        let status = kube::core::Status {
            message: "pods is forbidden".to_owned(),
            reason: "Forbidden".to_owned(),
            code: 403,
            ..kube::core::Status::default()
        };
        assert_eq!(chain(&kube::Error::Api(Box::new(status))), "pods is forbidden");
    }
}
