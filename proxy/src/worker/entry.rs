//! How a client's connection came in.

use std::{net::SocketAddr, sync::Arc};

use proxy_config::model::{Host, Listener, Scheme};
use proxy_core::forward::Sender;

/// What is known of a connection before its first request.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The listener, as it was when the connection was accepted.
    pub(super) listener: Arc<Listener>,
    /// Who is at the other end, what it speaks, and whether it is believed.
    pub(super) sender: Sender,
    /// The host whose certificate it was shown.
    pub(super) host: Option<Arc<Host>>,
}

impl Entry {
    /// A connection that was accepted.
    pub(super) fn new(listener: Arc<Listener>, address: SocketAddr, scheme: Scheme) -> Self {
        let sender = Sender { address, scheme, trusted_hops: listener.trusted_hops };
        Self { listener, sender, host: None }
    }
}
