//! One thread that carries requests: its own listeners' sockets, connections, pools and snapshot.
//!
//! Everything in here is `!Send` and runs on one current-thread runtime; the control thread reaches it through
//! [`Handle`] only.

mod authorization;
mod body;
mod connection;
mod copy;
mod deadlines;
mod entry;
mod filter;
mod http1;
mod http2;
mod listener;
mod local;
mod login;
mod mirror;
mod own;
mod pending;
mod permits;
mod pin;
mod place;
mod pool;
mod proxied;
mod quota;
mod reply;
mod stream;
mod tcp;
mod tries;
mod tunnel;
mod udp;
mod upstream;
mod websocket;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    rc::Rc,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use http::HeaderValue;
use proxy_config::model::{Listener, ListenerId};
use proxy_core::snapshot::{Cluster, Snapshot};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    deadlines::Deadlines,
    permits::Permits,
    pin::{Pin, Pins},
    pool::Pool,
    quota::Quota,
};
pub(crate) use self::{
    local::Local,
    upstream::{authority, open},
};
use crate::{
    access::AccessLog,
    clock,
    random::Random,
    shared::{Phase, Shared},
    tls::Table,
};

/// How often idle upstream connections are looked at.
const SWEEP: Duration = Duration::from_secs(5);

/// Room to read into: the longest datagram has to fit.
const SCRATCH: usize = 64 * 1024;

/// How often it is looked whether the time of a draining endpoint is over.
const DEADLINES: Duration = Duration::from_secs(1);

/// The control thread's end of a worker.
#[derive(Debug)]
pub(crate) struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    /// The oldest generation by which a request of this worker may still be sent somewhere.
    pub(crate) oldest_pinned: Arc<AtomicU64>,
    /// Resolves when the worker has ended everything, after [`Phase::Draining`].
    pub(crate) ended: oneshot::Receiver<()>,
}

#[derive(Debug)]
enum Command {
    Switch { snapshot: Arc<Snapshot>, tls: Arc<Table>, generation: u64, switched: oneshot::Sender<()> },
    Listen(Arc<Listener>, Socket),
    Unlisten(ListenerId),
}

/// One worker's part of a port.
#[derive(Debug)]
pub(crate) enum Socket {
    Connections(std::net::TcpListener),
    Datagrams(std::net::UdpSocket),
}

/// What the tasks of one worker share.
#[derive(Debug)]
struct Worker {
    shared: Arc<Shared>,
    pins: Rc<Pins>,
    current: RefCell<Rc<Pin>>,
    tls: RefCell<Arc<Table>>,
    /// Idle connections to endpoints: those that hyper speaks on, and our own.
    pool: RefCell<Pool>,
    http1: RefCell<http1::Pool>,
    permits: RefCell<Permits>,
    /// Where everything is read to. Nobody keeps it over a wait.
    scratch: RefCell<Box<[u8]>>,
    random: Random,
    /// Counts requests, where some of them are logged.
    requests: Cell<u32>,
    /// Copies of requests that are under way to mirrors.
    copies: Quota,
    /// Services that are being asked about requests.
    questions: Quota,
    deadlines: RefCell<Deadlines>,
    phase: Cell<Phase>,
    phases: watch::Receiver<Phase>,
    /// Cancelled when the process drains, for those who wait for something else.
    draining: CancellationToken,
    /// Connections of clients and tunnels: what a drain waits for.
    tasks: TaskTracker,
}

impl Handle {
    /// Starts a worker. It ends when `phases` says [`Phase::Draining`] and nothing is under way, or when this
    /// handle is dropped.
    pub(crate) fn start(
        index: usize,
        shared: Arc<Shared>,
        phases: watch::Receiver<Phase>,
    ) -> io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (ended_sender, ended) = oneshot::channel();
        let oldest_pinned = Arc::new(AtomicU64::new(0));
        let pinned = Arc::clone(&oldest_pinned);
        let (started, outcome) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            // Its tasks are woken without the detour that those of a `LocalSet` take.
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let (runtime, outcome) = match runtime {
                Ok(runtime) => (Some(runtime), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // The caller waits for it.
            let _ = started.send(outcome);
            if let Some(runtime) = runtime {
                runtime.block_on(Worker::new(shared, pinned, phases).run(inbox));
            }
            // The control thread may have stopped waiting; then nobody wants to know.
            let _ = ended_sender.send(());
        })?;
        outcome.recv().map_err(io::Error::other)??;
        Ok(Self { commands, oldest_pinned, ended })
    }

    /// Sends the next snapshot. The receiver resolves when requests that start now use it, and fails when the
    /// worker is gone.
    pub(crate) fn switch(
        &self,
        snapshot: Arc<Snapshot>,
        tls: Arc<Table>,
        generation: u64,
    ) -> oneshot::Receiver<()> {
        let (switched, done) = oneshot::channel();
        self.send(Command::Switch { snapshot, tls, generation, switched });
        done
    }

    /// Takes what comes at `socket` until [`unlisten`](Self::unlisten).
    pub(crate) fn listen(&self, listener: Arc<Listener>, socket: Socket) {
        self.send(Command::Listen(listener, socket));
    }

    /// Accepts what already waits at the listener and closes it. Its connections go on; sessions of datagrams end.
    pub(crate) fn unlisten(&self, id: ListenerId) {
        self.send(Command::Unlisten(id));
    }

    fn send(&self, command: Command) {
        // A worker ends after a drain only; then commands have no meaning any more.
        let _ = self.commands.send(command);
    }
}

impl Worker {
    fn new(shared: Arc<Shared>, oldest_pinned: Arc<AtomicU64>, phases: watch::Receiver<Phase>) -> Rc<Self> {
        let pins = Pins::new(oldest_pinned, Arc::clone(&shared));
        Rc::new(Self {
            current: RefCell::new(pins.pin(Arc::default(), 0)),
            pins,
            tls: RefCell::default(),
            pool: RefCell::default(),
            http1: RefCell::default(),
            permits: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH].into()),
            random: Random::new(),
            requests: Cell::new(0),
            copies: Quota::new(mirror::MOST),
            questions: Quota::new(authorization::MOST),
            deadlines: RefCell::default(),
            phase: Cell::new(Phase::Serving),
            phases,
            draining: CancellationToken::new(),
            tasks: TaskTracker::new(),
            shared,
        })
    }

    async fn run(self: Rc<Self>, mut inbox: mpsc::UnboundedReceiver<Command>) {
        let mut listeners = HashMap::<ListenerId, CancellationToken>::new();
        let mut phases = self.phases.clone();
        let mut sweep = tokio::time::interval(SWEEP);
        let mut deadlines = tokio::time::interval(DEADLINES);
        while self.phase.get() < Phase::Draining {
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command, &mut listeners),
                    None => return,
                },
                changed = phases.changed() => match changed {
                    Ok(()) => self.phase.set(*phases.borrow_and_update()),
                    Err(_) => return,
                },
                _ = sweep.tick() => self.sweep(),
                _ = deadlines.tick() => self.deadlines.borrow_mut().end_overdue(clock::now()),
            }
        }
        self.draining.cancel();
        for close in listeners.into_values() {
            close.cancel();
        }
        self.tasks.close();
        let end_all = async {
            if phases.wait_for(|it| *it == Phase::Ending).await.is_ok() {
                self.deadlines.borrow().end_all();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.tasks.wait() => {}
            () = end_all => {}
            // Snapshots still count while the last requests end; the handle is dropped at the drain's deadline.
            () = async { while let Some(command) = inbox.recv().await { self.obey(command, &mut HashMap::new()) } } => {}
        }
    }

    fn obey(self: &Rc<Self>, command: Command, listeners: &mut HashMap<ListenerId, CancellationToken>) {
        match command {
            Command::Switch { snapshot, tls, generation, switched } => {
                // First: what a request finds in the snapshot must be there.
                self.tls.replace(tls);
                let next = self.pins.pin(snapshot, generation);
                self.current.replace(next);
                self.sweep();
                // Nobody waits once the process stops.
                let _ = switched.send(());
            }
            // Who drains opens nothing; the sockets are closed here.
            Command::Listen(..) if self.phase.get() == Phase::Draining => {}
            Command::Listen(listener, socket) => {
                let (id, close) = (listener.id.clone(), CancellationToken::new());
                let worker = Rc::clone(self);
                match socket {
                    Socket::Connections(socket) => {
                        self.tasks.spawn_local(listener::accept(worker, listener, socket, close.clone()));
                    }
                    Socket::Datagrams(socket) => {
                        self.tasks.spawn_local(udp::serve(
                            worker,
                            listener.id.clone(),
                            socket,
                            close.clone(),
                        ));
                    }
                }
                if let Some(before) = listeners.insert(id, close) {
                    before.cancel();
                }
            }
            Command::Unlisten(id) => {
                if let Some(close) = listeners.remove(&id) {
                    close.cancel();
                }
            }
        }
    }

    /// The TLS of the newest configuration.
    fn tls(&self) -> Arc<Table> {
        Arc::clone(&self.tls.borrow())
    }

    /// Where the next request is logged, if it is.
    fn access_log(&self) -> Option<&Arc<AccessLog>> {
        let log = self.shared.access.as_ref()?;
        let number = self.requests.get();
        self.requests.set(number.wrapping_add(1));
        log.takes(number).then_some(log)
    }

    /// A new `X-Request-Id`.
    fn request_id(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.random.uuid()).unwrap_or_else(|_| HeaderValue::from_static("none"))
    }

    /// Closes idle connections that nobody will use.
    fn sweep(&self) {
        self.pool.borrow_mut().sweep();
        self.http1.borrow_mut().sweep();
        self.permits.borrow_mut().sweep();
    }

    /// Closes one idle connection to a cluster. Says whether there was one.
    fn close_idle(&self, cluster: &Cluster) -> bool {
        let endpoints = cluster.balancer.endpoints();
        endpoints.iter().any(|it| self.http1.borrow_mut().close_oldest(it.id))
            || endpoints.iter().any(|it| self.pool.borrow_mut().close_oldest(it.id))
    }

    /// The snapshot for a request that starts now.
    fn pin(&self) -> Rc<Pin> {
        Rc::clone(&self.current.borrow())
    }
}
