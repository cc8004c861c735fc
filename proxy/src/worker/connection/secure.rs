//! From a connection to one with TLS.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use proxy_config::model::{Scheme, Unverified};
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use crate::{
    tls,
    worker::{Worker, entry::Entry, tcp::Way},
};

/// How long a client may take to agree on TLS (Envoy's `transport_socket_connect_timeout` has no default; nginx has 60 s,
/// which lets idle sockets pile up).
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The longest greeting whose server name is looked for: one record of TLS, and its head.
const LONGEST_HELLO: usize = 16 * 1024 + 5;

/// How long to wait for the rest of a greeting that came in pieces.
const MORE: Duration = Duration::from_millis(5);

/// A connection that asked for TLS.
pub(super) enum Accepted {
    /// A host takes its requests.
    Requests(Box<TlsStream<TcpStream>>),
    /// A TCP route takes what it says.
    Bytes(Box<TlsStream<TcpStream>>, Way),
    /// A TCP route takes it as it is: TLS ends at the endpoint.
    Untouched(TcpStream, Way),
}

/// Agrees on TLS with the certificate of the host that the client asks for, and notes that host in the entry; where a
/// TCP route takes the server name, for that one.
pub(super) async fn accept(worker: &Worker, stream: TcpStream, entry: &mut Entry) -> io::Result<Accepted> {
    tokio::time::timeout(HANDSHAKE, handshake(worker, stream, entry)).await?
}

async fn handshake(worker: &Worker, stream: TcpStream, entry: &mut Entry) -> io::Result<Accepted> {
    if worker.pin().snapshot.has_named_connections() {
        let name = server_name(&stream).await?;
        if let Some(way) = Way::named(worker, entry, &name).filter(|way| !way.terminates()) {
            return Ok(Accepted::Untouched(stream, way));
        }
    }
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let name = start.client_hello().server_name().unwrap_or_default().to_ascii_lowercase();
    let table = worker.tls();
    let served = table.host(&name, &entry.listener.id);
    let served = served.ok_or_else(|| io::Error::other(format!("no host is called `{name}`")))?;
    let config = served.config.as_ref().ok_or_else(|| io::Error::other("the host's TLS cannot be used"))?;
    entry.sender.scheme = Scheme::Https;
    entry.host = Some(Arc::clone(&served.host));
    let way = Way::named(worker, entry, &name);
    let (config, client) = (Arc::clone(config), served.host.tls.as_ref().and_then(|it| it.client.as_ref()));
    // What was accepted without being verified says nothing.
    let tells =
        worker.shared.told.certificates && client.is_some_and(|it| it.unverified != Unverified::Accepted);
    let stream = Box::new(start.into_stream(config).await?);
    if tells {
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        entry.certificate = certificate.and_then(tls::shown).map(Rc::new);
    }
    Ok(match way {
        Some(way) => Accepted::Bytes(stream, way),
        None => Accepted::Requests(stream),
    })
}

/// The name that a client asks for, in lower case, of which nothing is taken away; empty if it names none, or begins with
/// something else than TLS, which is told by whoever reads it next.
async fn server_name(stream: &TcpStream) -> io::Result<String> {
    let mut hello = vec![0; LONGEST_HELLO];
    let mut seen = 0;
    loop {
        let length = stream.peek(&mut hello).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if length == seen {
            // What has been seen is still there, so there is no waiting for more.
            tokio::time::sleep(MORE).await;
            continue;
        }
        seen = length;
        match read_hello(&hello[..length]) {
            Hello::Partial if length == hello.len() => return Ok(String::new()),
            Hello::Partial => {}
            Hello::Whole(name) => return Ok(name),
        }
    }
}

/// What is known of a greeting.
enum Hello {
    Partial,
    Whole(String),
}

fn read_hello(mut bytes: &[u8]) -> Hello {
    let mut acceptor = rustls::server::Acceptor::default();
    while !bytes.is_empty() {
        if acceptor.read_tls(&mut bytes).is_err() {
            return Hello::Whole(String::new());
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                return Hello::Whole(hello.server_name().unwrap_or_default().to_ascii_lowercase());
            }
            Err(_) => return Hello::Whole(String::new()),
        }
    }
    Hello::Partial
}
