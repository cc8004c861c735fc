//! A small cluster around the engine: a ReplicaSet controller, Services, Mappings, proxies, and an operator that
//! observes, plans, executes and records.
//!
//! It keeps Kubernetes' rules that the engine relies on (uids, resource versions, preconditions, stale plans fail),
//! and checks the engine's promises at every effect ([`invariants`]). Time moves only by [`Simulator::tick`].

#![allow(dead_code, reason = "each test target uses a part of it")]

pub mod cluster;
pub mod data_plane;
pub mod execute;
pub mod invariants;
pub mod observe;
pub mod operator;
pub mod pods;
pub mod script;
pub mod transcript;

pub use operator::Simulator;
