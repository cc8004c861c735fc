//! What happens to one request: which rule takes it, which arm, which endpoint, with which head, and what
//! follows when a try fails. And what happens to one message of the config stream.
//!
//! Everything here is a function of values: no clock, no sockets, no threads, and randomness is an argument.
//! What outlives a snapshot (lines of draws, in-flight, counters) is atomic, owned by
//! [`Builder`](snapshot::Builder) and referenced by the [`Snapshot`](snapshot::Snapshot)s that it makes.

pub mod admission;
pub mod answer;
pub mod balance;
pub mod breaker;
pub mod clients;
pub mod cohorts;
pub mod counters;
pub mod endpoint;
pub mod facts;
mod few;
pub mod filters;
pub mod forward;
pub mod grpc;
pub mod health;
pub mod intake;
pub mod latency;
pub mod names;
pub mod outlier;
mod padded;
mod password;
pub mod path;
pub mod proxy_protocol;
pub mod retry;
pub mod rewrite;
pub mod router;
pub mod snapshot;
pub mod split;
pub mod websocket;
