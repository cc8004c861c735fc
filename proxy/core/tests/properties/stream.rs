//! Whatever a config server sends, the proxy takes what is acceptable, refuses the rest with a reason, and goes on.

use std::sync::Arc;

use http::{HeaderMap, Method};
use prost::Message as _;
use proxy_config::{
    model::{Change, Config, ListenerId},
    validate::validate,
    wire::config::{self as wire, ToProxy},
};
use proxy_core::{
    intake::{Intake, Step},
    router::RequestHead,
    snapshot::Builder,
};

/// Checks it for one stream of messages, each with its length before it. What follows the first one that is none is not
/// read, as on a stream.
pub(crate) fn what_is_taken_can_be_served(mut input: &[u8]) {
    let (mut intake, mut builder) = (Intake::default(), Builder::default());
    intake.connect();
    while let Ok(message) = ToProxy::decode_length_delimited(&mut input) {
        if let Some(wire::to_proxy::Message::Change(change)) = &message.message {
            comes_back(change);
        }
        if let Step::Take(commit) = intake.receive(message) {
            assert_eq!(validate(&commit.config), [], "it was taken");
            let Ok(snapshot) = builder.build(Arc::clone(&commit.config), || 1) else { continue };
            let mut copy = Config::default();
            commit.config.changes().for_each(|change| copy.apply(change));
            assert_eq!(copy, *commit.config);
            let (listener, headers) = (ListenerId::new("http"), HeaderMap::new());
            for (authority, path) in [("a.org:80", "/"), ("", "/a/b"), ("[::1]", "/a")] {
                let head = RequestHead {
                    listener: &listener,
                    authority,
                    path,
                    query: Some("q=1"),
                    method: &Method::GET,
                    headers: &headers,
                };
                let _ = snapshot.find(&head);
            }
            intake.taken(commit);
        }
    }
}

/// What means something means the same when it is sent on.
fn comes_back(change: &wire::Change) {
    let Ok(read) = Change::try_from(change.clone()) else { return };
    let written = wire::Change::from(&read);
    let again = wire::Change::decode(written.encode_to_vec().as_slice()).unwrap();
    assert_eq!(Change::try_from(again), Ok(read));
}
