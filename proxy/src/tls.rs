//! TLS towards clients and towards endpoints, made from the configuration.
//!
//! The control thread keeps a [`Builder`], which makes a [`Table`] for each commit; workers look into the newest one at
//! each new connection. What did not change is shared, so that sessions can be resumed and nobody is disturbed. What
//! cannot be used (a certificate that is none, a key that is another's) keeps nothing else from being served: its hosts
//! have no TLS, its clusters cannot be connected to, and a problem says why.

mod certificate;
mod client;
mod server;
mod shown;
mod table;

pub(crate) use self::{
    client::Connector,
    shown::shown,
    table::{Builder, Table},
};

/// What both sides of a connection call HTTP/1.1 (RFC 7301 §6).
pub(crate) const HTTP1: &[u8] = b"http/1.1";
/// What both sides call HTTP/2.
pub(crate) const HTTP2: &[u8] = b"h2";

/// Why something of the configuration cannot be used. One line for a log.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("failed to read the chain of certificate {0}: {1}")]
    Chain(String, String),
    #[error("failed to read the key of certificate {0}: {1}")]
    Key(String, String),
    #[error("the key of certificate {0} is another's: {1}")]
    Pair(String, rustls::Error),
    #[error("failed to read who may sign certificates: {0}")]
    Ca(String),
    #[error("failed to make a verifier of certificates: {0}")]
    Verifier(String),
    #[error("`{0}` is no name that a certificate can have")]
    Name(String),
    #[error("failed to set up TLS: {0}")]
    Setup(#[from] rustls::Error),
    #[error("none of the certificates can be used")]
    NoCertificate,
}
