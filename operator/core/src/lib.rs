//! The rollout engine: `World -> Plan`, pure.

pub mod duration;
pub mod effect;
pub mod plan;
pub mod replicas;
pub mod spec;
pub mod traffic;
pub mod weight;
pub mod why;
pub mod world;
