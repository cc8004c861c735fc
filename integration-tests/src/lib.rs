//! What the tests on a real cluster, the demo and their images are made of.
//!
//! [`app`] and [`load`] run inside the cluster, in the image `sluice-demo`: the application that is rolled out,
//! and the clients whose every request is counted in a [`tally`]. [`story`] plays a rollout as a user would and
//! records what was seen; the demo shows it, the tests judge it. [`operator`] runs Sluice's operator outside of the
//! cluster, [`holder`] plays another controller that holds a lease, and [`argo`] lays out what Argo Rollouts leaves
//! behind. [`ask`] puts single questions to a proxy, [`prometheus`]
//! scrapes all of them. [`scale`], [`propagation`], [`scrape`] and [`figures`] are
//! for benches.

pub mod app;
pub mod argo;
pub mod ask;
pub mod cluster;
mod connection;
pub mod figures;
pub mod holder;
pub mod load;
pub mod operator;
pub mod pod;
pub mod probe;
pub mod prometheus;
pub mod propagation;
pub mod scale;
pub mod scrape;
pub mod story;
pub mod tally;
