//! Time limits, with time that passes at once.

use std::{net::Ipv4Addr, rc::Rc, sync::Arc, time::Duration};

use proxy_config::model::{Listener, ListenerId, Scheme};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream, DuplexStream},
    sync::watch,
    task::LocalSet,
    time::Instant,
};

use super::serve;
use crate::{
    shared::{Phase, Shared, Told},
    worker::{Worker, connection::Open, entry::Entry},
};

/// A connection that came in by a listener in the clear.
fn entry() -> Entry {
    let listener = Listener::http(ListenerId::new("http"), 80);
    Entry::new(Arc::new(listener), (Ipv4Addr::LOCALHOST, 1).into(), Scheme::Http)
}

/// A worker without a configuration, which answers everything with 404.
struct Fixture {
    worker: Rc<Worker>,
    local: LocalSet,
    _phase: watch::Sender<Phase>,
}

impl Fixture {
    fn new() -> Self {
        let (phase, phases) = watch::channel(Phase::Serving);
        let worker =
            Worker::new(Arc::new(Shared::new(10, 10, Told::default(), None)), Arc::default(), phases);
        Self { worker, local: LocalSet::new(), _phase: phase }
    }

    /// A client whose connection has this much room.
    fn connect(&self, room: usize) -> DuplexStream {
        let (ours, client) = tokio::io::duplex(room);
        self.serve(ours);
        client
    }

    fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        let open = Open::new(&self.worker);
        self.local.spawn_local(serve(Rc::clone(&self.worker), stream, entry(), open));
    }
}

async fn read_to_end(client: &mut DuplexStream) -> String {
    let mut text = Vec::new();
    client.read_to_end(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_head_that_is_not_finished_ends_the_connection() {
    let fixture = Fixture::new();
    let mut client = fixture.connect(1024);
    let test = async {
        client.write_all(b"GET / HT").await.unwrap();
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs(59)).await;
        client.write_all(b"TP/1.1\r\n").await.unwrap();
        assert_eq!(read_to_end(&mut client).await, "");
        assert_eq!(begun.elapsed().as_secs(), 60, "from its first byte on");
    };
    fixture.local.run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn between_requests_time_may_pass_but_not_for_ever() {
    let fixture = Fixture::new();
    let mut client = fixture.connect(1024);
    let test = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_mins(59)).await;
            client.write_all(REQUEST).await.unwrap();
            let mut status = [0; 12];
            client.read_exact(&mut status).await.unwrap();
            assert_eq!(&status, b"HTTP/1.1 404");
            let mut rest = [0; 1024];
            while !rest.windows(6).any(|it| it == b"sluice") {
                let _ = client.read(&mut rest).await.unwrap();
            }
        }
        let begun = Instant::now();
        assert_eq!(read_to_end(&mut client).await, "");
        assert_eq!(begun.elapsed().as_secs(), 3600);
    };
    fixture.local.run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_ends_the_connection() {
    let fixture = Fixture::new();
    let mut client = fixture.connect(64);
    let test = async {
        client.write_all(REQUEST).await.unwrap();
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_mins(3)).await;
        client.read_exact(&mut [0; 8]).await.unwrap();
        tokio::time::sleep(Duration::from_mins(6)).await;
        assert!(read_to_end(&mut client).await.len() <= 64, "the rest never comes");
        assert_eq!(begun.elapsed().as_secs(), 9 * 60);
    };
    fixture.local.run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_that_the_stream_has_taken_and_keeps() {
    let fixture = Fixture::new();
    let (ours, mut client) = tokio::io::duplex(64);
    // As TLS does: everything is taken at once, and written when there is room.
    fixture.serve(BufStream::new(ours));
    let test = async {
        client.write_all(REQUEST).await.unwrap();
        tokio::time::sleep(Duration::from_mins(6)).await;
        assert!(read_to_end(&mut client).await.len() <= 64, "the rest never comes");
    };
    fixture.local.run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_client_still_sends_is_read_after_our_half_is_closed() {
    let fixture = Fixture::new();
    let mut client = fixture.connect(256);
    let test = async {
        client.write_all(b"GET / HTTP/2.0\r\nhost: h\r\n\r\n").await.unwrap();
        let begun = Instant::now();
        client.write_all(&vec![b'x'; 100_000]).await.unwrap();
        assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 505 "));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        // Who never closes is not waited for.
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(client.write_all(b"x").await.is_err());
    };
    fixture.local.run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_waits_takes_little_memory() {
    let fixture = Fixture::new();
    let (ours, _client) = tokio::io::duplex(1);
    let connection = serve(Rc::clone(&fixture.worker), ours, entry(), Open::new(&fixture.worker));
    // The figure to reach is 4 kB with the socket, its buffers and its entry in the reactor.
    let size = size_of_val(&connection);
    assert!(size <= 1960, "{size} bytes");
}
