//! A proxy in this process, on real sockets, between real peers: a config server that speaks the contract over
//! TLS, upstreams that do what each test needs, and clients. Where it takes a process of its own, it has one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says so and ends; the lints know test functions only"
)]

mod access;
mod actions;
mod attacks;
mod authorization;
mod balancing;
mod clients;
mod cohorts;
mod config_stream;
mod deadlines;
mod drain;
mod failures;
mod forwarding;
mod health;
mod http1;
mod http2;
mod http2_to_http1;
mod limits;
mod mirrors;
mod process;
mod proxied;
mod rarities;
mod retries;
mod splitting;
mod support;
mod tcp;
mod tls;
mod udp;
mod websockets;
