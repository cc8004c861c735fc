//! The servers behind all proxies: two of the stable version and two of the canary.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

use crate::scenario::{LARGE, SMALL};

/// Servers that answer as cheaply as can be.
#[derive(Debug)]
pub(crate) struct Backend {
    addresses: [SocketAddr; 4],
    tasks: Vec<AbortHandle>,
}

impl Backend {
    /// Starts them on this runtime.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (mut addresses, mut tasks) = ([SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 4], Vec::new());
        for address in &mut addresses {
            let listener = TcpListener::bind(*address).await.context("failed to listen for a server")?;
            *address = listener.local_addr().context("failed to listen for a server")?;
            tasks.push(tokio::spawn(serve(listener)).abort_handle());
        }
        Ok(Self { addresses, tasks })
    }

    /// The servers of the stable version.
    pub(crate) fn stable(&self) -> &[SocketAddr] {
        &self.addresses[..2]
    }

    /// The servers of the canary.
    pub(crate) fn canary(&self) -> &[SocketAddr] {
        &self.addresses[2..]
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(answer(stream));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let answers = [SMALL, LARGE].map(|length| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nserver: bench\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut answer = head.into_bytes();
        answer.resize(answer.len() + length, b'd');
        answer
    });
    let mut buffer = vec![0; 64 * 1024];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let Some(end) = buffer[..filled].windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let head = &buffer[..end + 4];
        let mut missing = body(head).saturating_sub(filled - head.len());
        let answer = &answers[usize::from(head.starts_with(b"GET /large"))];
        while missing > 0 {
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            missing = missing.saturating_sub(read);
        }
        stream.write_all(answer).await?;
        filled = 0;
    }
}

/// How long the body is. Only uploads have one, and all proxies pass its length on.
fn body(head: &[u8]) -> usize {
    if !head.starts_with(b"POST") {
        return 0;
    }
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|it| it.parse().ok()).unwrap_or_default()
}
