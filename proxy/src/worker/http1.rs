//! HTTP/1.1 from clients, on the codec of `proxy-http1`; to endpoints as well, unless they speak HTTP/2.
//!
//! One task serves a connection of a client, its requests one after the other. Nothing else is started for a request,
//! and on the way that most requests take nothing is allocated: bytes are read into one buffer of the thread and
//! written from there, heads are written into buffers of the connection that stay, connections to endpoints are kept
//! with their buffers.

mod alarm;
mod answer;
mod attempt;
mod bridge;
mod client;
mod connect;
mod connection;
mod exchange;
mod fetch;
mod head;
mod origin;
mod peer;
mod pool;
mod sink;
mod transfer;

pub(super) use self::{
    connect::connection,
    connection::serve,
    fetch::{Rest, fetch},
    pool::Pool,
};

#[cfg(test)]
mod tests;
