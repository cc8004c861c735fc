//! Connections to clusters that may have only so many: who may make one, and who waits.
//!
//! The limit holds for the process, the wait is the thread's own: connections never change threads. A thread without any
//! connection to the cluster may always make one, so whoever waits waits for a connection of this thread, and is woken when
//! a request on one ends or one is closed.

use std::{cell::Cell, collections::HashMap, rc::Rc};

use proxy_config::model::ClusterId;
use proxy_core::{
    breaker::{Full, Limit, Taken},
    snapshot::Cluster,
};
use tokio::sync::Notify;

use super::Worker;

/// What this thread has with clusters whose connections are limited.
#[derive(Debug, Default)]
pub(super) struct Permits(HashMap<ClusterId, Rc<Here>>);

/// What this thread has with one cluster.
#[derive(Debug, Default)]
pub(super) struct Here {
    connections: Cell<u32>,
    freed: Notify,
}

/// The right to have one connection to a cluster.
#[derive(Debug)]
pub(super) struct Permit {
    _taken: Taken,
    here: Rc<Here>,
}

/// How a request comes to its connection.
pub(super) enum Way<T> {
    /// By one that has become idle.
    Pooled(T),
    /// By one that it may make; `None`: as many as it wants.
    Connect(Option<Permit>),
}

impl Permits {
    /// What this thread has with a cluster; nothing where its connections have no limit.
    pub(super) fn here(&mut self, cluster: &Cluster) -> Option<Rc<Here>> {
        if !cluster.breaker.limits_connections() {
            return None;
        }
        if let Some(here) = self.0.get(&cluster.id) {
            return Some(Rc::clone(here));
        }
        Some(Rc::clone(self.0.entry(cluster.id.clone()).or_default()))
    }

    /// Forgets clusters that nobody has anything with.
    pub(super) fn sweep(&mut self) {
        self.0.retain(|_, here| Rc::strong_count(here) > 1);
    }
}

impl Here {
    /// A connection may have become idle, or is closed.
    pub(super) fn freed(&self) {
        self.freed.notify_one();
    }
}

impl Permit {
    fn new(taken: Taken, here: &Rc<Here>) -> Self {
        here.connections.set(here.connections.get() + 1);
        Self { _taken: taken, here: Rc::clone(here) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.here.connections.set(self.here.connections.get() - 1);
        self.here.freed();
    }
}

/// The right to make a connection now.
pub(super) fn take(worker: &Worker, cluster: &Cluster) -> Result<Option<Permit>, Full> {
    let Some(here) = worker.permits.borrow_mut().here(cluster) else { return Ok(None) };
    let take = || -> Result<_, Full> {
        Ok(cluster.breaker.take(Limit::Connections)?.map(|it| Permit::new(it, &here)))
    };
    take().or_else(|full| {
        if here.connections.get() == 0 {
            return Ok(Some(Permit::new(cluster.breaker.take_the_first_connection(), &here)));
        }
        // One that is idle makes room: to another endpoint, or not to be trusted any more.
        if worker.close_idle(cluster) { take() } else { Err(full) }
    })
}

/// The same, or a connection that `pooled` finds to be idle; where there is neither, as soon as there is.
pub(super) async fn wait<T>(
    worker: &Worker,
    cluster: &Cluster,
    mut pooled: impl FnMut() -> Option<T>,
) -> Way<T> {
    loop {
        if let Ok(permit) = take(worker, cluster) {
            return Way::Connect(permit);
        }
        let here = worker.permits.borrow_mut().here(cluster);
        if let Some(here) = here {
            here.freed.notified().await;
        }
        if let Some(pooled) = pooled() {
            return Way::Pooled(pooled);
        }
    }
}
