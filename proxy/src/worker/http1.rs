//! HTTP/1.1 on both sides, on the codec of `proxy-http1`.
//!
//! One task serves a connection of a client, its requests one after the other. Nothing else is started for a request,
//! and on the way that most requests take nothing is allocated: bytes are read into one buffer of the thread and
//! written from there, heads are written into buffers of the connection that stay, connections to endpoints are kept
//! with their buffers.

mod alarm;
mod attempt;
mod connection;
mod exchange;
mod filter;
mod head;
mod own;
mod peer;
mod place;
mod pool;
mod transfer;

pub(super) use self::{connection::serve, pool::Pool};

#[cfg(test)]
mod tests;
