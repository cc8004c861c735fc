//! How a client's connection came in.

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use http::HeaderValue;
use proxy_config::model::{Host, Listener, Scheme};
use proxy_core::forward::{Extra, Sender};

use super::Worker;

/// What is known of a connection before its first request.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The listener, as it was when the connection was accepted.
    pub(super) listener: Arc<Listener>,
    /// Who is at the other end, what it speaks, and whether it is believed.
    pub(super) sender: Sender,
    /// The host whose certificate it was shown.
    pub(super) host: Option<Arc<Host>>,
    /// What upstreams are told of the certificate that it has shown, if they are.
    pub(super) certificate: Option<Rc<HeaderValue>>,
}

impl Entry {
    /// A connection that was accepted.
    pub(super) fn new(listener: Arc<Listener>, address: SocketAddr, scheme: Scheme) -> Self {
        let sender = Sender { address, scheme, trusted_hops: listener.trusted_hops };
        Self { listener, sender, host: None, certificate: None }
    }

    /// What upstreams are told of its requests besides.
    pub(super) fn extra(&self, worker: &Worker) -> Extra<'_> {
        Extra { forwarded: worker.shared.told.forwarded, certificate: self.certificate.as_deref() }
    }
}
