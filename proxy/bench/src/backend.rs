//! The servers behind all proxies: two of the stable version and two of the canary, and one for calls of gRPC.

mod grpc;

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
    grpc: SocketAddr,
    tasks: Vec<AbortHandle>,
}

impl Backend {
    /// Starts them on this runtime.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let (mut addresses, mut tasks) = ([SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 4], Vec::new());
        for address in &mut addresses {
            let listener = listen(address).await?;
            tasks.push(tokio::spawn(serve(listener, answer)).abort_handle());
        }
        let mut grpc = addresses[0];
        grpc.set_port(0);
        let listener = listen(&mut grpc).await?;
        tasks.push(tokio::spawn(serve(listener, grpc::answer)).abort_handle());
        Ok(Self { addresses, grpc, tasks })
    }

    /// The servers of the stable version.
    pub(crate) fn stable(&self) -> &[SocketAddr] {
        &self.addresses[..2]
    }

    /// The server of gRPC.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc
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

/// Listens there, on a port of the system's choice.
async fn listen(address: &mut SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(*address).await.context("failed to listen for a server")?;
    *address = listener.local_addr().context("failed to listen for a server")?;
    Ok(listener)
}

async fn serve<F>(listener: TcpListener, answer: fn(TcpStream) -> F)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
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
