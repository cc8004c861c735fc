//! What may last on one worker, tunnels and streams of gRPC, by endpoint: so that what leads to a pod that has to go is
//! found when its time is over.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use proxy_config::model::UnixMillis;
use proxy_core::endpoint::{Endpoint, EndpointId};
use tokio::sync::Notify;

/// Endpoints with something that may last.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    bells: HashMap<EndpointId, (Arc<Endpoint>, Rc<Notify>)>,
}

impl Deadlines {
    /// Something begins at `endpoint`. The bell rings, more than once, when it has to end; it has ended when the bell is
    /// dropped.
    pub(super) fn enter(&mut self, endpoint: &Arc<Endpoint>) -> Rc<Notify> {
        let (_, bell) =
            self.bells.entry(endpoint.id).or_insert_with(|| (Arc::clone(endpoint), Rc::default()));
        Rc::clone(bell)
    }

    /// Rings for all: the process ends.
    pub(super) fn end_all(&self) {
        self.bells.values().for_each(|(_, bell)| bell.notify_waiters());
    }

    /// Rings for the endpoints whose time is over.
    pub(super) fn end_overdue(&mut self, now: UnixMillis) {
        self.bells.retain(|_, (endpoint, bell)| {
            if endpoint.is_overdue(|| now) {
                bell.notify_waiters();
            }
            Rc::strong_count(bell) > 1
        });
    }
}

/// A bell for who is polled.
pub(super) struct Overdue(Pin<Box<dyn Future<Output = ()>>>);

impl Overdue {
    pub(super) fn of(bell: Rc<Notify>) -> Self {
        Self(Box::pin(async move { bell.notified().await }))
    }

    /// Ready once it has rung.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overdue").finish_non_exhaustive()
    }
}
