//! Which ports are open.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
};

use proxy_config::model::{Config, ListenerId};
use tokio::net::TcpSocket;
use tracing::{info, warn};

use super::publish::Publisher;

/// How many connections may wait to be accepted, per worker.
const BACKLOG: u32 = 4096;

/// The listeners of the served configuration and how they are.
#[derive(Debug)]
pub(super) struct Listeners {
    address: IpAddr,
    open: BTreeMap<ListenerId, u16>,
    failed: BTreeMap<ListenerId, (u16, String)>,
}

impl Listeners {
    pub(super) fn new(address: IpAddr) -> Self {
        Self { address, open: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// Opens what is new and closes what is gone; what stays is not touched. A port that cannot be bound is
    /// remembered and tried again at the next call.
    pub(super) fn update(&mut self, config: &Config, publisher: &Publisher) {
        self.failed.retain(|id, (port, _)| config.listeners.get(id).is_some_and(|it| it.port == *port));
        for (id, listener) in &config.listeners {
            if self.open.get(id) == Some(&listener.port) {
                continue;
            }
            match bind(self.address, listener.port, publisher.count()) {
                Ok(sockets) => {
                    info!(listener = %id, port = listener.port, "listening");
                    publisher.listen(listener, sockets);
                    self.open.insert(id.clone(), listener.port);
                    self.failed.remove(id);
                }
                Err(error) => self.fail(id, listener.port, &error),
            }
        }
        let gone: Vec<_> =
            self.open.keys().filter(|id| !config.listeners.contains_key(id)).cloned().collect();
        for id in gone {
            info!(listener = %id, "no longer listening");
            publisher.unlisten(&id);
            self.open.remove(&id);
        }
    }

    /// The listeners that are not open on the port that they should be on, and why.
    pub(super) fn failed(&self) -> impl Iterator<Item = (&ListenerId, u16, &str)> {
        self.failed.iter().map(|(id, (port, error))| (id, *port, error.as_str()))
    }

    /// The open ones.
    pub(super) fn open(&self) -> impl Iterator<Item = (&ListenerId, u16)> {
        self.open.iter().map(|(id, port)| (id, *port))
    }

    fn fail(&mut self, id: &ListenerId, port: u16, error: &io::Error) {
        let error = error.to_string();
        if self.failed.get(id).is_none_or(|(_, known)| *known != error) {
            warn!(listener = %id, port, error, "failed to bind a listener, will try again");
        }
        self.failed.insert(id.clone(), (port, error));
    }
}

/// One socket per worker, all on one port: the kernel spreads connections over them.
fn bind(address: IpAddr, port: u16, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let address = SocketAddr::new(address, port);
    let one = |_| {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    (0..count).map(one).collect()
}
