//! HTTP/2 from clients, by hyper: many requests at a time on one connection, each as one of HTTP/1.

mod attempt;
mod downstream;
mod exchange;
mod websocket;

use std::{cell::Cell, convert::Infallible, pin::pin, rc::Rc, time::Duration};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tracing::debug;

use self::downstream::Downstream;
use super::{
    Worker,
    connection::{FIRST, IDLE, MAX_HEAD, Open},
    entry::Entry,
    local::Local,
};
use crate::shared::Phase;

/// How every connection begins (RFC 9113 §3.4), as far as it looks like a head of HTTP/1; no request has such a one.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// How many requests a client may have under way on one connection.
const STREAMS: u32 = 128;
/// How much of a body may be under way in one stream, and in all of one connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How much of answers waits in one stream for the client.
const SEND_BUFFER: usize = 256 * 1024;
/// How many streams a client may reset before we have looked at them, and how many we reset for its mistakes, before the
/// connection is closed: who opens and resets without end costs us requests and itself nothing (CVE-2023-44487).
const RESETS: usize = 20;
const OWN_RESETS: usize = 100;
/// How often a silent client is asked whether it lives, and how long it may take to answer.
const PING: Duration = Duration::from_mins(1);
const PONG: Duration = Duration::from_secs(20);

/// Serves requests until either side closes, the connection has been idle for too long, or the process leaves: then the
/// client is told to come back elsewhere, and what it has asked for ends first.
pub(super) async fn serve<S>(worker: Rc<Worker>, stream: S, entry: Entry, _open: Open)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let begun = Instant::now();
    let last_request = Rc::new(Cell::new(begun));
    // Requests are tasks of their own, and may outlive this future.
    let (of_requests, entry) = (Rc::clone(&last_request), Rc::new(entry));
    let (served_by, requested) = (Rc::clone(&worker), Rc::clone(&entry));
    let service = service_fn(move |request| {
        of_requests.set(Instant::now());
        let (worker, entry, last) = (Rc::clone(&served_by), Rc::clone(&requested), Rc::clone(&of_requests));
        // hyper and the task of the stream move it several times, and once more when it has ended.
        Box::pin(async move {
            let response = exchange::answer(&worker, &entry, request).await;
            last.set(Instant::now());
            Ok::<_, Infallible>(response)
        })
    });
    let mut builder = http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(OWN_RESETS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    let io = TokioIo::new(Downstream::new(stream));
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut phases = worker.phases.clone();
    let mut leave = pin!(async {
        let leaves = phases.wait_for(|it| *it >= Phase::Leaving).await.is_ok();
        // Who has just come would be told to go before it could ask for anything.
        tokio::time::sleep_until(begun + FIRST).await;
        leaves
    });
    let mut ending = false;
    loop {
        let idle_at = last_request.get() + IDLE;
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(client = %entry.sender.address, %error, "connection ended");
                }
                return;
            }
            _ = leave.as_mut(), if !ending => ending = true,
            () = tokio::time::sleep_until(idle_at), if !ending => ending = last_request.get() + IDLE <= Instant::now(),
        }
        if ending {
            // GOAWAY, and then what is under way.
            connection.as_mut().graceful_shutdown();
        }
    }
}
