//! Errors in one line.

/// An error and its sources, from the outermost to the cause, each once: `kube` repeats its sources in its own text.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
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
}
