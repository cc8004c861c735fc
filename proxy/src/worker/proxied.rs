//! For whom a balancer in front has made a connection.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use proxy_core::proxy_protocol::{Header, LONGEST, Read, read};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// How long the header may take. It is the first that a balancer writes.
const HEADER: Duration = Duration::from_secs(10);

/// Takes the header from the beginning of a connection, and not a byte more. `None`: the peer speaks for itself, or says
/// of nobody where he is.
pub(super) async fn client(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    tokio::time::timeout(HEADER, take(stream)).await?
}

async fn take(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut bytes = [0; LONGEST];
    // Nearly always all of it has come at once.
    let seen = stream.peek(&mut bytes).await?;
    let mut missing = match look(&bytes[..seen])? {
        Read::Whole(Header { length, .. }) => length,
        Read::Partial(more) => seen + more,
    };
    let mut taken = 0;
    loop {
        let room = bytes.get_mut(taken..taken + missing).ok_or(ErrorKind::InvalidData)?;
        taken += stream.read_exact(room).await?;
        match look(&bytes[..taken])? {
            Read::Whole(Header { client, .. }) => return Ok(client),
            Read::Partial(more) => missing = more,
        }
    }
}

fn look(bytes: &[u8]) -> io::Result<Read> {
    read(bytes).map_err(|malformed| io::Error::new(ErrorKind::InvalidData, malformed))
}
