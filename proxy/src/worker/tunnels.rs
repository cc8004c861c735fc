//! The tunnels of one worker by endpoint, so that those to a pod that has to go are found.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use proxy_config::model::UnixMillis;
use proxy_core::endpoint::{Endpoint, EndpointId};
use tokio::sync::Notify;

/// Endpoints with tunnels.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    bells: HashMap<EndpointId, (Arc<Endpoint>, Rc<Notify>)>,
}

impl Tunnels {
    /// A tunnel to `endpoint` begins. The bell rings, more than once, when it has to end; the tunnel has ended when
    /// the bell is dropped.
    pub(super) fn enter(&mut self, endpoint: &Arc<Endpoint>) -> Rc<Notify> {
        let (_, bell) =
            self.bells.entry(endpoint.id).or_insert_with(|| (Arc::clone(endpoint), Rc::default()));
        Rc::clone(bell)
    }

    /// Rings for the tunnels to endpoints whose time is over.
    pub(super) fn end_overdue(&mut self, now: UnixMillis) {
        self.bells.retain(|_, (endpoint, bell)| {
            if endpoint.is_overdue(|| now) {
                bell.notify_waiters();
            }
            Rc::strong_count(bell) > 1
        });
    }
}
