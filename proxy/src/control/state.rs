//! What the control thread knows. It is one thread: tasks borrow parts of it between their waits.

use std::{
    cell::{Cell, Ref, RefCell},
    sync::Arc,
};

use proxy_config::{
    model::{Config, Position},
    pattern::PatternError,
};
use proxy_core::{intake::Commit, snapshot::Builder};
use tracing::{info, warn};

use super::{health::Checker, listeners::Listeners, memory::Memory, publish::Publisher};
use crate::{
    Settings, clock,
    random::Random,
    shared::Shared,
    tls::{Builder as TlsBuilder, Table},
    worker::Handle,
};

/// What is served and how far that is known.
pub(crate) struct State {
    pub(super) shared: Arc<Shared>,
    pub(super) random: Random,
    /// Names this process: a restarted container is a new proxy.
    pub(super) boot_id: String,
    builder: RefCell<Builder>,
    tls: RefCell<TlsBuilder>,
    publisher: RefCell<Publisher>,
    listeners: RefCell<Listeners>,
    checker: RefCell<Checker>,
    memory: RefCell<Memory>,
    /// What every worker routes by.
    served: RefCell<Option<Commit>>,
    /// Whether the operator has confirmed a commit, or an earlier process did for us.
    standing: Cell<Standing>,
    leaving: Cell<bool>,
    pub(super) commits_taken: Cell<u64>,
    pub(super) commits_refused: Cell<u64>,
    pub(super) stream_is_up: Cell<bool>,
    /// Attempts to have a stream that ended without a commit.
    pub(super) streams_failed: Cell<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Nothing,
    Remembered,
    Acknowledged,
}

impl State {
    pub(crate) fn new(workers: Vec<Handle>, shared: Arc<Shared>, settings: &Settings) -> Self {
        let random = Random::new();
        let checker = RefCell::new(Checker::new(Arc::clone(&shared)));
        Self {
            shared,
            checker,
            boot_id: String::from_utf8_lossy(&random.uuid()).into_owned(),
            random,
            builder: RefCell::new(Builder::in_zone(settings.zone.as_deref().map(Into::into))),
            tls: RefCell::default(),
            publisher: RefCell::new(Publisher::new(workers)),
            listeners: RefCell::new(Listeners::new(settings.bind_address)),
            memory: RefCell::new(Memory::new(&settings.memory_dir)),
            served: RefCell::default(),
            standing: Cell::new(Standing::Nothing),
            leaving: Cell::new(false),
            commits_taken: Cell::new(0),
            commits_refused: Cell::new(0),
            stream_is_up: Cell::new(false),
            streams_failed: Cell::new(0),
        }
    }

    /// Serves what an earlier process of this pod remembered, if there is such a thing.
    pub(crate) async fn recall(&self) {
        let recalled = self.memory.borrow().recall();
        match recalled {
            Ok(None) => {}
            Ok(Some(commit)) => {
                let position = commit.position;
                match self.serve(commit).await {
                    Ok(()) => {
                        info!(
                            seq = position.seq,
                            "serving the remembered commit until the operator confirms it"
                        );
                        self.standing.set(Standing::Remembered);
                    }
                    Err(error) => warn!(%error, "failed to serve the remembered commit"),
                }
            }
            Err(error) => warn!(error = %Chain(&error), "failed to recall the last commit"),
        }
    }

    /// Serves a commit. When this returns, every request that starts uses it.
    pub(super) async fn serve(&self, commit: Commit) -> Result<(), PatternError> {
        self.builder.borrow_mut().begin_second(clock::seconds());
        let snapshot = self.builder.borrow_mut().build(Arc::clone(&commit.config), || self.random.next())?;
        let tls = self.build_tls(&commit.config);
        let switched = self.publisher.borrow_mut().publish(&snapshot, &tls, commit.position);
        self.checker.borrow_mut().update(&snapshot, &tls);
        switched.await;
        self.listeners.borrow_mut().update(&commit.config, &self.publisher.borrow());
        self.served.replace(Some(commit));
        Ok(())
    }

    /// What cannot be used is said once, when it comes.
    fn build_tls(&self, config: &Config) -> Arc<Table> {
        let (table, problems) = self.tls.borrow_mut().build(config);
        for (subject, error) in problems {
            warn!(subject, %error, "cannot be used for TLS");
        }
        table
    }

    /// How many certificates, hosts and clusters cannot be used for TLS as they are configured.
    pub(super) fn tls_unusable(&self) -> usize {
        self.tls.borrow().unusable()
    }

    /// The operator knows that this proxy serves what it does.
    pub(super) fn acknowledged(&self) {
        self.standing.set(Standing::Acknowledged);
        self.keep();
    }

    /// Does what waits for time to pass: ports that were taken, a memory that is behind, the next second's counts.
    pub(super) fn tick(&self) {
        self.builder.borrow_mut().begin_second(clock::seconds());
        if let Some(commit) = &*self.served.borrow() {
            self.listeners.borrow_mut().update(&commit.config, &self.publisher.borrow());
        }
        if self.standing.get() == Standing::Acknowledged {
            self.keep();
        }
    }

    /// Why this proxy should get no traffic, or nothing if it should.
    pub(crate) fn not_ready(&self) -> Option<String> {
        if self.leaving.get() {
            return Some("shutting down".into());
        }
        let listeners = self.listeners.borrow();
        // One port that cannot be bound must not take the traffic of the others away.
        if listeners.open().next().is_none()
            && let Some((id, port, error)) = listeners.failed().next()
        {
            return Some(format!("no listener is open: {id} on port {port}: {error}"));
        }
        match self.standing.get() {
            Standing::Nothing => Some("no configuration yet".into()),
            Standing::Remembered | Standing::Acknowledged => None,
        }
    }

    /// Whether there is a configuration, confirmed or remembered, or never will be.
    pub(super) fn has_begun(&self) -> bool {
        self.leaving.get() || self.standing.get() != Standing::Nothing
    }

    /// From now on this proxy is not ready.
    pub(crate) fn leave(&self) {
        self.leaving.set(true);
    }

    /// Resolves when all workers have ended.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + use<> {
        self.publisher.borrow_mut().ended()
    }

    pub(super) fn served(&self) -> Option<Position> {
        self.served.borrow().as_ref().map(|it| it.position)
    }

    /// The configuration that is served, from the start on or as remembered.
    pub(super) fn commit(&self) -> Option<Ref<'_, Commit>> {
        Ref::filter_map(self.served.borrow(), Option::as_ref).ok()
    }

    pub(super) fn oldest_pinned(&self) -> Option<Position> {
        self.publisher.borrow_mut().oldest_pinned()
    }

    pub(super) fn builder(&self) -> Ref<'_, Builder> {
        self.builder.borrow()
    }

    pub(super) fn listeners(&self) -> Ref<'_, Listeners> {
        self.listeners.borrow()
    }

    fn keep(&self) {
        if let Some(Commit { config, position }) = &*self.served.borrow() {
            self.memory.borrow_mut().keep(config, *position);
        }
    }
}

/// An error with its causes, on one line.
pub(super) struct Chain<'a>(pub(super) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
