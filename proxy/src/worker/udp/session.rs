//! What one client address sends, and what is answered to it.

use std::{
    cell::{Cell, RefCell},
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    sync::atomic::Ordering,
    time::Duration,
};

use futures::FutureExt as _;
use http::{HeaderMap, Method};
use proxy_config::model::Address;
use proxy_core::retry::{Failure, Replay};
use tokio::{
    io::Interest,
    net::{UdpSocket, lookup_host},
    sync::Notify,
    time::Instant,
};
use tracing::debug;

use super::{BATCH, Port};
use crate::{
    shared::count,
    worker::{Worker, pool::InFlight, tcp::Way, tries::Tries, tunnel::stand_still},
};

/// How long a session lives in which nothing passes, where its arm does not say (Envoy's `idle_timeout` of UDP proxies).
const IDLE: Duration = Duration::from_mins(1);

/// How long to wait for a first answer before an endpoint that says nothing counts as one that is there.
const SILENCE: Duration = Duration::from_secs(1);

/// How many bytes may wait until the endpoint's address is known.
const WAITING: usize = 64 * 1024;

/// A session as the port sees it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: SocketAddr,
    /// Its socket, once its endpoint is known.
    upstream: RefCell<Option<Rc<UdpSocket>>>,
    /// What came before that.
    waiting: RefCell<Vec<Box<[u8]>>>,
    /// When something last passed.
    last: Cell<Instant>,
    /// Rung when the endpoint's host says that nobody listens there.
    refused: Notify,
}

/// Why nothing more passes at an endpoint.
enum End {
    /// The session is over.
    Over,
    /// Nobody listens there.
    Refused,
}

impl Session {
    pub(super) fn new(client: SocketAddr) -> Self {
        Self {
            client,
            upstream: RefCell::default(),
            waiting: RefCell::default(),
            last: Cell::new(Instant::now()),
            refused: Notify::new(),
        }
    }

    /// Sends a datagram of the client, now or as soon as there is somewhere to; `false`: it is lost.
    pub(super) fn send(&self, datagram: &[u8]) -> bool {
        self.last.set(Instant::now());
        let upstream = self.upstream.borrow();
        let Some(upstream) = &*upstream else {
            let mut waiting = self.waiting.borrow_mut();
            let room = waiting.iter().map(|it| it.len()).sum::<usize>() + datagram.len() <= WAITING;
            if room {
                waiting.push(datagram.into());
            }
            return room;
        };
        let sent = upstream.try_send(datagram);
        if matches!(&sent, Err(error) if error.kind() == ErrorKind::ConnectionRefused) {
            self.refused.notify_one();
        }
        sent.is_ok()
    }

    /// Sends what waited, and from now on at once.
    fn open(&self, upstream: &Rc<UdpSocket>) {
        self.upstream.replace(Some(Rc::clone(upstream)));
        for datagram in self.waiting.take() {
            self.send(&datagram);
        }
    }
}

/// Carries a session to its end.
pub(super) async fn run(worker: &Rc<Worker>, port: &Port, session: &Session, way: Way) {
    let Way { pin, rule } = way;
    let Some(arm) = rule.split.draw() else { return };
    let client = session.client;
    // Of a datagram only the address of its sender is known.
    let affinity = arm.cluster.balancer.affinity(&HeaderMap::new(), client.ip(), || worker.random.next());
    let mut tries = Tries::new(worker, arm, None, &affinity, Instant::now());
    let mut pin = Some(pin);
    let nowhere = loop {
        let in_flight = match tries.next() {
            Ok(in_flight) => in_flight,
            Err(reason) => break reason,
        };
        let ended = match dial(&in_flight.endpoint.address, arm.cluster.connect_timeout).await {
            Ok(upstream) => {
                // If it moves once more, then as the configuration of that moment says.
                pin.take();
                let idle = arm.idle_timeout.unwrap_or(IDLE);
                carry(worker, port, session, idle, &mut tries, &in_flight, upstream.into()).await
            }
            Err(error) => {
                debug!(address = ?in_flight.endpoint.address, %error, "failed to reach an endpoint");
                End::Refused
            }
        };
        match ended {
            End::Over => return,
            // What was lost the client sends again if it matters, and another endpoint gets it.
            End::Refused => {
                count(&worker.shared.connect_failures);
                if let Err(reason) = tries.failed(Failure::Connect, &Method::GET, Replay::Possible) {
                    break reason;
                }
            }
        }
    };
    worker.shared.datagrams_dropped.fetch_add(session.waiting.take().len() as u64, Ordering::Relaxed);
    debug!(%client, route = %rule.route.id, reason = ?nowhere, "a session goes nowhere");
}

/// Passes datagrams in both directions until nothing passes any more at this endpoint.
async fn carry(
    worker: &Rc<Worker>,
    port: &Port,
    session: &Session,
    idle: Duration,
    tries: &mut Tries<'_>,
    in_flight: &InFlight,
    upstream: Rc<UdpSocket>,
) -> End {
    let bell = worker.deadlines.borrow_mut().enter(&in_flight.endpoint);
    // What was said of the endpoint before.
    let _ = session.refused.notified().now_or_never();
    session.open(&upstream);
    let end = tokio::select! {
        end = answers(worker, port, session, tries, &upstream) => end,
        () = session.refused.notified() => End::Refused,
        () = stand_still(Some(idle), &session.last) => End::Over,
        () = bell.notified() => End::Over,
        () = port.closed.cancelled() => End::Over,
    };
    session.upstream.take();
    end
}

/// Brings what the endpoint sends to the client.
async fn answers(
    worker: &Worker,
    port: &Port,
    session: &Session,
    tries: &mut Tries<'_>,
    upstream: &UdpSocket,
) -> End {
    let news = Interest::READABLE | Interest::ERROR;
    let mut is_counted = false;
    if tokio::time::timeout(SILENCE, upstream.ready(news)).await.is_err() {
        tries.connected();
        is_counted = true;
    }
    loop {
        match upstream.ready(news).await {
            Err(_) => return End::Over,
            Ok(ready) if ready.is_error() => {
                // Seen, so that it is not told again.
                let error = upstream.try_io(Interest::ERROR, || {
                    Err::<(), _>(upstream.take_error()?.unwrap_or_else(|| ErrorKind::WouldBlock.into()))
                });
                if matches!(error, Err(error) if error.kind() == ErrorKind::ConnectionRefused) {
                    return End::Refused;
                }
            }
            Ok(_) => {}
        }
        for _ in 0..BATCH {
            let mut scratch = worker.scratch.borrow_mut();
            match upstream.try_recv(&mut scratch) {
                Ok(length) => {
                    session.last.set(Instant::now());
                    if port.socket.try_send_to(&scratch[..length], session.client).is_err() {
                        count(&worker.shared.datagrams_dropped);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => return End::Refused,
                Err(error) => {
                    debug!(client = %session.client, %error, "failed to hear an endpoint");
                    return End::Over;
                }
            }
            if !std::mem::replace(&mut is_counted, true) {
                tries.connected();
            }
        }
        tokio::task::yield_now().await;
    }
}

/// A socket that sends to the endpoint and hears nobody else.
async fn dial(address: &Address, timeout: Duration) -> io::Result<UdpSocket> {
    let address = match address {
        Address::Socket(address) => *address,
        Address::Name { host, port } => {
            let mut found = tokio::time::timeout(timeout, lookup_host((host.as_str(), *port))).await??;
            found.next().ok_or(ErrorKind::NotFound)?
        }
    };
    let any = match address {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    // Before the system has said so once, nothing can be sent without waiting.
    socket.writable().await?;
    Ok(socket)
}
