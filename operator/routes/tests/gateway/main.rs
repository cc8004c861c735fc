//! The Gateway API, from objects to what proxies get and what statuses say.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a fixture that does not fit ends the test")]
#![expect(clippy::needless_pass_by_value, reason = "the values of fixtures are written where they are used")]

mod incremental;
mod listeners;
mod policies;
mod routes;
mod shared;
mod world;
