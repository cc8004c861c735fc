//! What hyper reads, beside what we read.

use std::{cell::RefCell, convert::Infallible, rc::Rc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    events::{self, Event, Head},
    rewrite::rewritten,
};

/// A request as a server takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    /// `None`: its end never came.
    pub body: Option<Vec<u8>>,
}

/// What we let through is read by hyper as we read it, as it came and as we write it. Hyper may stop earlier: there is
/// more that it refuses or does not wait for. It must not read anything else.
pub fn hyper_agrees(input: &[u8]) {
    let read = events::requests(input, &[]);
    let ours = taken(&read);
    let written = rewritten(&read);
    for bytes in [input, &written] {
        let mut theirs = by_hyper(bytes);
        if read.last().is_some_and(Event::is_refusal) {
            // Of what we refuse nothing goes on, whatever hyper makes of it.
            theirs.truncate(ours.len());
            theirs
                .iter_mut()
                .zip(&ours)
                .filter(|(_, ours)| ours.body.is_none())
                .for_each(|(it, _)| it.body = None);
        }
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "in {}", bytes.escape_ascii());
        }
    }
    let whole = ours.iter().take_while(|it| it.body.is_some()).count();
    assert!(
        by_hyper(&written).len() >= whole.min(until_upgrade(&read)),
        "hyper refuses what we would send: {}",
        written.escape_ascii()
    );
}

/// How many requests hyper reads before it hands the connection over, which it does for `CONNECT`.
fn until_upgrade(events: &[Event]) -> usize {
    let mut heads = events.iter().filter_map(|it| match it {
        Event::Request(head) => Some(head),
        _ => None,
    });
    heads.position(|it| it.method == "CONNECT").unwrap_or(usize::MAX)
}

fn taken(events: &[Event]) -> Vec<Taken> {
    let mut all: Vec<Taken> = Vec::new();
    let mut content = Vec::new();
    for event in events {
        match event {
            Event::Request(Head { method, path, query, .. }) => {
                content.clear();
                let (method, path) = (method.clone(), path.clone());
                all.push(Taken { method, path, query: query.clone(), body: None });
            }
            Event::Content(more) => content.extend_from_slice(more),
            Event::End => {
                if let Some(last) = all.last_mut() {
                    last.body = Some(std::mem::take(&mut content));
                }
            }
            Event::Trailers(_) | Event::Response { .. } | Event::Refused(_) => {}
        }
    }
    all
}

fn by_hyper(input: &[u8]) -> Vec<Taken> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    runtime.block_on(async {
        let all = Rc::<RefCell<Vec<Taken>>>::default();
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(input).await.expect("it fits");
        client.shutdown().await.expect("it is open");
        let service = service_fn(|request: Request<Incoming>| {
            let all = Rc::clone(&all);
            async move {
                let uri = request.uri();
                let (path, query) = (uri.path().to_owned(), uri.query().map(str::to_owned));
                all.borrow_mut().push(Taken {
                    method: request.method().to_string(),
                    path,
                    query,
                    body: None,
                });
                let place = all.borrow().len() - 1;
                let body = request.into_body().collect().await;
                all.borrow_mut()[place].body = body.ok().map(|it| it.to_bytes().to_vec());
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let serving = async {
            // What is wrong ends the connection, which is what we want to see.
            let _ =
                http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service).await;
        };
        let reading = async { drop(client.read_to_end(&mut Vec::new()).await) };
        tokio::select! {
            () = serving => {}
            () = async { reading.await; std::future::pending().await } => {}
        }
        Rc::try_unwrap(all).map_or_else(|all| all.borrow().clone(), RefCell::into_inner)
    })
}
