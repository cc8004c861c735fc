//! Which ports are open.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
};

use proxy_config::model::{Config, ListenerId, Transport};
use socket2::{Domain, Socket, Type};
use tracing::{info, warn};

use super::publish::Publisher;
use crate::{keepalive::keepalive, worker};

/// How many connections may wait to be accepted, per worker.
const BACKLOG: i32 = 4096;

/// The listeners of the served configuration and how they are.
#[derive(Debug)]
pub(super) struct Listeners {
    address: IpAddr,
    open: BTreeMap<ListenerId, (Transport, u16)>,
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
            let port = (listener.protocol.transport(), listener.port);
            if self.open.get(id) == Some(&port) {
                continue;
            }
            match bind(self.address, port, publisher.count()) {
                Ok(sockets) => {
                    info!(listener = %id, port = listener.port, "listening");
                    publisher.listen(listener, sockets);
                    self.open.insert(id.clone(), port);
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
        self.open.iter().map(|(id, (_, port))| (id, *port))
    }

    fn fail(&mut self, id: &ListenerId, port: u16, error: &io::Error) {
        let error = error.to_string();
        if self.failed.get(id).is_none_or(|(_, known)| *known != error) {
            warn!(listener = %id, port, error, "failed to bind a listener, will try again");
        }
        self.failed.insert(id.clone(), (port, error));
    }
}

/// One socket per worker, all on one port: the kernel spreads connections over them, and datagrams by the addresses of
/// both ends, so that what one client sends comes to one worker.
fn bind(
    address: IpAddr,
    (transport, port): (Transport, u16),
    count: usize,
) -> io::Result<Vec<worker::Socket>> {
    let address = SocketAddr::new(address, port);
    let one = |_| {
        let kind = match transport {
            Transport::Tcp => Type::STREAM,
            Transport::Udp => Type::DGRAM,
        };
        let socket = Socket::new(Domain::for_address(address), kind, None)?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_port(true)?;
        match transport {
            Transport::Tcp => {
                socket.set_reuse_address(true)?;
                // What is accepted has it as well.
                socket.set_tcp_keepalive(&keepalive())?;
                socket.bind(&address.into())?;
                socket.listen(BACKLOG)?;
                Ok(worker::Socket::Connections(socket.into()))
            }
            Transport::Udp => {
                socket.bind(&address.into())?;
                Ok(worker::Socket::Datagrams(socket.into()))
            }
        }
    };
    (0..count).map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use socket2::SockRef;

    use super::*;

    #[test]
    fn clients_that_are_gone_without_a_word_are_found() {
        let sockets = bind(Ipv4Addr::LOCALHOST.into(), (Transport::Tcp, 0), 1).unwrap();
        let worker::Socket::Connections(listener) = &sockets[0] else { panic!("it accepts connections") };
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap().as_secs(), 120);
    }
}
