//! The rollout engine: `World -> Plan`, pure.

pub mod effect;
pub mod plan;
pub mod traffic;
pub mod why;
pub mod world;
