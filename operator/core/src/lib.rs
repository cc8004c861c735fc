//! The rollout engine: `World -> Plan`, pure.

pub mod analysis;
pub mod conditions;
pub mod effect;
pub mod experiment;
pub mod gateway_route;
pub mod hash;
pub mod ingress;
pub mod key;
pub mod mapping;
pub mod measures;
pub mod phase;
pub mod plan;
pub mod progress;
pub mod references;
pub mod replicas;
pub mod spec;
pub mod step_text;
pub mod traffic;
pub mod weight;
pub mod why;
pub mod world;

pub use crds::duration;
