//! A small cluster around the engine: a ReplicaSet controller, Services, Mappings, proxies, and an operator that
//! observes, plans, executes and records.
//!
//! It keeps Kubernetes' rules that the engine relies on (uids, resource versions, preconditions, stale plans fail),
//! and checks the engine's promises at every effect ([`invariants`]). Time moves only by [`Simulator::tick`].

#![expect(clippy::panic, reason = "a script that cannot be read and a broken promise end the test")]

pub(crate) mod analysis;
pub(crate) mod cluster;
pub(crate) mod data_plane;
pub(crate) mod execute;
pub(crate) mod experiments;
pub(crate) mod gateway;
pub(crate) mod invariants;
pub(crate) mod observe;
pub(crate) mod operator;
pub(crate) mod pods;
pub(crate) mod script;
pub(crate) mod transcript;

pub(crate) use operator::Simulator;
