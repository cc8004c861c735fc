//! The state behind its lock, and the bell that tells the streams to look at it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use operator_routes::{Compiled, Delta, ObjectName, Scope};
use proxy_config::{
    features,
    model::{Epoch, Position},
    wire::traffic::Update,
};
use tokio::{sync::watch, time::Instant};

use super::{
    fleet::{Counted, ProxyId, Report},
    metrics::Metrics,
    state::{Endpoints, Hello, Outgoing, Seat, State, Tally, WatcherId},
};

/// What the tasks of this process share. The lock is held for computations only, never while waiting.
#[derive(Debug)]
pub(crate) struct Shared {
    role: Mutex<Role>,
    bell: watch::Sender<u64>,
    pub(crate) metrics: Metrics,
}

#[derive(Debug)]
enum Role {
    /// Another process holds the lease, or nobody is known to.
    Standby { holder: Option<String> },
    /// This process holds it and has not seen all objects yet: it says nothing.
    Preparing,
    /// It serves. The number tells this term from an earlier one.
    Serving { term: u64, state: Box<State> },
}

/// Why nothing is served here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotServing {
    /// The lease is held at this address, if it is known.
    Elsewhere(Option<String>),
    /// Soon.
    Preparing,
}

/// One stream in one term.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Whether the proxy's reports name the pods that drain.
    pub(super) counts_pods: bool,
    term: u64,
    seat: Seat,
}

/// Whose proxies a caller's `ServiceAccount` stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// Those that all Mappings and Ingresses share.
    Fleet,
    /// Those of a Gateway, if any.
    Other(ObjectName),
}

/// Why a proxy is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unserved {
    /// Nobody is, here.
    Here(NotServing),
    /// Its `ServiceAccount` is not that of anybody's proxies.
    Stranger,
    /// It asks for another configuration than the one it may have.
    Scope(Scope),
}

/// One watch in one term.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    term: u64,
    watcher: WatcherId,
}

impl Shared {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let role = Mutex::new(Role::Standby { holder: None });
        Self { role, bell: watch::Sender::new(0), metrics }
    }

    /// Rings whenever there may be something to send.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    // The compiler's side.

    /// The lease is held elsewhere: streams end.
    pub(crate) fn stand_by(&self, holder: Option<String>) {
        *self.lock() = Role::Standby { holder };
        self.ring();
    }

    /// The lease is held here, but not all objects are known yet.
    pub(crate) fn prepare(&self) {
        *self.lock() = Role::Preparing;
        self.ring();
    }

    /// The lease is held here and all objects are compiled: a new term begins.
    pub(crate) fn serve(&self, epoch: Epoch, compiled: &Compiled, endpoints: Endpoints) {
        let state = Box::new(State::new(epoch, compiled, endpoints));
        // The bell's count only grows, so it can name the term.
        *self.lock() = Role::Serving { term: *self.bell.borrow(), state };
        self.ring();
    }

    /// Something compiled differently.
    pub(crate) fn publish(&self, delta: &Delta) {
        self.change(|state| state.publish(delta));
    }

    /// The pods behind the Services of the proxies are these now.
    pub(crate) fn set_endpoints(&self, endpoints: Endpoints) {
        self.change(|state| state.set_endpoints(endpoints));
    }

    /// The proxies of each scope that may carry traffic, and the term they are of; `None` if this process does not serve
    /// them.
    pub(super) fn counted(&self) -> Option<(u64, BTreeMap<Scope, Vec<Counted>>)> {
        match &*self.lock() {
            Role::Serving { term, state } => Some((*term, state.counted())),
            Role::Standby { .. } | Role::Preparing => None,
        }
    }

    // The proxies' side.

    /// Registers the stream of a proxy. What it gets follows from who it is; what it `asks` for has to be the same.
    pub(super) fn connect(
        &self,
        account: &Account,
        asks: &Scope,
        id: &ProxyId,
        name: &ObjectName,
        hello: &Hello,
    ) -> Result<Session, Unserved> {
        let session = match &mut *self.lock() {
            Role::Standby { holder } => return Err(Unserved::Here(NotServing::Elsewhere(holder.clone()))),
            Role::Preparing => return Err(Unserved::Here(NotServing::Preparing)),
            Role::Serving { term, state } => {
                let scope = match account {
                    Account::Fleet => Scope::Fleet,
                    Account::Other(account) => state.scope_of(account).cloned().ok_or(Unserved::Stranger)?,
                };
                if scope != *asks {
                    return Err(Unserved::Scope(scope));
                }
                let seat = state.connect(&scope, id, name.clone(), hello).ok_or(Unserved::Stranger)?;
                Session { counts_pods: hello.features.has(features::POD_LOADS), term: *term, seat }
            }
        };
        self.ring();
        Ok(session)
    }

    pub(super) fn disconnect(&self, session: &Session) {
        self.change_in(session.term, |state| state.disconnect(&session.seat));
    }

    /// The next commit for a proxy; an error if its stream is to end.
    pub(super) fn next_commit(&self, session: &Session) -> Result<Option<Outgoing>, NotServing> {
        let now = Instant::now();
        let commit = self.look_in(session.term, |state| {
            if !state.is_current(&session.seat) {
                return Err(NotServing::Elsewhere(None));
            }
            Ok(state.next_commit(&session.seat, now))
        })??;
        if commit.is_some() {
            self.metrics.commits.inc();
            self.ring();
        }
        Ok(commit)
    }

    pub(super) fn acknowledge(&self, session: &Session, position: Position) -> Option<Duration> {
        let now = Instant::now();
        let taken =
            self.change_in(session.term, |state| state.acknowledge(&session.seat, position, now)).flatten();
        if let Some(taken) = taken {
            self.metrics.acknowledged.observe(taken.as_secs_f64());
        }
        taken
    }

    pub(super) fn refuse(&self, session: &Session, position: Position, reason: String) {
        self.metrics.refused.inc();
        self.change_in(session.term, |state| state.refuse(&session.seat, position, reason));
    }

    pub(super) fn report(&self, session: &Session, report: Report, tally: Tally, now: i64) {
        let news = self.look_in(session.term, |state| state.report(&session.seat, report, tally, now));
        if news == Ok(true) {
            self.ring();
        }
    }

    // The watchers' side.

    pub(super) fn watch(&self) -> Result<Watch, NotServing> {
        match &mut *self.lock() {
            Role::Standby { holder } => Err(NotServing::Elsewhere(holder.clone())),
            Role::Preparing => Err(NotServing::Preparing),
            Role::Serving { term, state } => Ok(Watch { term: *term, watcher: state.watch() }),
        }
    }

    pub(super) fn unwatch(&self, watch: Watch) {
        let _ = self.look_in(watch.term, |state| state.unwatch(watch.watcher));
    }

    pub(super) fn next_update(&self, watch: Watch) -> Result<Option<Update>, NotServing> {
        self.look_in(watch.term, |state| state.next_update(watch.watcher))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        if let Role::Serving { state, .. } = &mut *self.lock() {
            change(state);
            self.gauge(state);
        }
        self.ring();
    }

    fn change_in<T>(&self, term: u64, change: impl FnOnce(&mut State) -> T) -> Option<T> {
        let result = self.look_in(term, |state| {
            let result = change(state);
            self.gauge(state);
            result
        });
        self.ring();
        result.ok()
    }

    /// Works on the state if the term is still the same.
    fn look_in<T>(&self, term: u64, look: impl FnOnce(&mut State) -> T) -> Result<T, NotServing> {
        match &mut *self.lock() {
            Role::Serving { term: current, state } if *current == term => Ok(look(state)),
            Role::Serving { .. } => Err(NotServing::Elsewhere(None)),
            Role::Standby { holder } => Err(NotServing::Elsewhere(holder.clone())),
            Role::Preparing => Err(NotServing::Preparing),
        }
    }

    fn gauge(&self, state: &State) {
        let (counted, current) = state.progress();
        self.metrics.proxies.set(i64::try_from(counted).unwrap_or(i64::MAX));
        self.metrics.proxies_current.set(i64::try_from(current).unwrap_or(i64::MAX));
    }

    fn ring(&self) {
        self.bell.send_modify(|count| *count += 1);
    }

    /// A panic elsewhere has not left the state half changed in a way that stopping everybody would improve.
    fn lock(&self) -> MutexGuard<'_, Role> {
        self.role.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
