//! Bringing a snapshot to every worker.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use proxy_config::model::{Listener, ListenerId, Position};
use proxy_core::snapshot::Snapshot;

use crate::{
    tls::Table,
    worker::{Handle, Socket},
};

/// The workers and which commit each generation of snapshots is.
#[derive(Debug)]
pub(super) struct Publisher {
    workers: Vec<Handle>,
    /// Of generations that a worker may still pin. Generation 0 is the empty snapshot of the start.
    positions: BTreeMap<u64, Position>,
    generation: u64,
}

impl Publisher {
    pub(super) fn new(workers: Vec<Handle>) -> Self {
        Self { workers, positions: BTreeMap::new(), generation: 0 }
    }

    /// Sends a snapshot to all workers. The future resolves when all of them route new requests by it.
    pub(super) fn publish(
        &mut self,
        snapshot: &Arc<Snapshot>,
        tls: &Arc<Table>,
        position: Position,
    ) -> impl Future<Output = ()> + use<> {
        self.generation += 1;
        self.positions.insert(self.generation, position);
        let generation = self.generation;
        let switched: Vec<_> = self
            .workers
            .iter()
            .map(|it| it.switch(Arc::clone(snapshot), Arc::clone(tls), generation))
            .collect();
        async move {
            for switched in switched {
                // A worker that has ended routes nothing.
                let _ = switched.await;
            }
        }
    }

    /// The oldest commit by which a request may still be sent somewhere. `None`: by the empty snapshot that the
    /// process started with, which sends nothing anywhere.
    pub(super) fn oldest_pinned(&mut self) -> Option<Position> {
        let pinned = self.workers.iter().map(|it| it.oldest_pinned.load(Ordering::Acquire));
        let oldest = pinned.min()?;
        self.positions = self.positions.split_off(&oldest);
        self.positions.get(&oldest).copied()
    }

    pub(super) fn count(&self) -> usize {
        self.workers.len()
    }

    /// Gives each worker one socket.
    pub(super) fn listen(&self, listener: &Arc<Listener>, sockets: Vec<Socket>) {
        for (worker, socket) in self.workers.iter().zip(sockets) {
            worker.listen(Arc::clone(listener), socket);
        }
    }

    pub(super) fn unlisten(&self, id: &ListenerId) {
        for worker in &self.workers {
            worker.unlisten(id.clone());
        }
    }

    /// Resolves when all workers have ended. Call once.
    pub(super) fn ended(&mut self) -> impl Future<Output = ()> + use<> {
        let ended: Vec<_> = self
            .workers
            .iter_mut()
            .map(|it| std::mem::replace(&mut it.ended, tokio::sync::oneshot::channel().1))
            .collect();
        async move {
            for ended in ended {
                let _ = ended.await;
            }
        }
    }
}
