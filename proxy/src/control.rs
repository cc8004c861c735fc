//! The control thread: what the proxy serves, and what it tells.

pub(crate) mod admin;
mod backoff;
mod health;
mod listeners;
mod memory;
mod publish;
mod report;
mod session;
mod state;
pub(crate) mod stream;
mod tls;

pub(crate) use self::state::State;
