//! Kubernetes objects -> proxy configuration and a verdict for every object. Pure.
//!
//! [`Compiler::apply`] takes one changed object, [`Compiler::compile`] gives what changed for the proxies since the
//! last time. The result depends on the objects alone, not on the order in which they came, and an object that
//! cannot be served is left out and explained without any effect on another.
//!
//! | to change … | look in |
//! |---|---|
//! | which fields of a Mapping are read, and how | [`mapping`] |
//! | which Mappings share a route, and who gets how much of it | `compiler/group.rs`, [`weights`] |
//! | what the status of a Mapping says | `compiler/verdict.rs` |
//! | which route is asked first | [`order`] |
//! | which addresses a Service stands for | `compiler/backend.rs` |
//! | what is recomputed when an object changes | [`compiler`] |

pub mod compiled;
pub mod compiler;
pub mod mapping;
pub mod object;
pub mod order;
pub mod weights;

pub use self::{
    compiled::{
        Compiled, Delta, Leaving, ObjectKind, ObjectVersion, Served, ServedArm, SplitReport, State, Status,
        rejected_split,
    },
    compiler::{Compiler, Settings},
    object::{ObjectChange, ObjectName},
};
