//! The Gateway API, from objects to what proxies get and what statuses say.

mod incremental;
mod listeners;
mod policies;
mod routes;
mod world;
