//! Kubernetes objects -> proxy configuration and a verdict for every object. Pure.
//!
//! [`Compiler::apply`] takes one changed object, [`Compiler::compile`] gives what changed for the proxies since the
//! last time. The result depends on the objects alone, not on the order in which they came, and an object that
//! cannot be served is left out and explained without any effect on another.
//!
//! | to change … | look in |
//! |---|---|
//! | in which shapes objects are written | [`dialect`] |
//! | which fields of a Mapping are read, and how | [`mapping`] |
//! | which settings the Module has | [`module`] |
//! | which fields of Listeners, Hosts and TLS contexts are read | [`edge`] |
//! | which ports are opened, and which hosts belong to them | `compiler/entrances.rs` |
//! | which connections go where without being looked into | `tcp.rs`, `compiler/connections.rs` |
//! | which Mappings share a route, and who gets how much of it | `compiler/group.rs`, [`weights`] |
//! | what the status of a Mapping says | `compiler/verdict.rs` |
//! | which route is asked first | [`order`] |
//! | which addresses a Service stands for | `compiler/backend.rs` |
//! | what is recomputed when an object changes | [`compiler`] |
//! | what Emissary does and we do not by default | [`compat`] |
//! | how Ingresses are read and served | `ingress.rs`, `compiler/ingress.rs` |
//! | how the Gateway API is read and served | [`gateway`], `compiler/gateway.rs` |
//! | which proxies get what | [`scope`] |
//! | which object answers a request, and why the others do not | [`explain`] |

pub mod compat;
pub mod compiled;
pub mod compiler;
pub mod dialect;
mod duration;
pub mod edge;
pub mod explain;
mod fields;
pub mod gateway;
pub mod hostname;
mod ingress;
pub mod mapping;
pub mod module;
pub mod object;
pub mod order;
pub mod recent;
pub mod scope;
mod tcp;
pub mod weights;

pub use self::{
    compat::Compat,
    compiled::{
        Compiled, Delta, Leaving, ObjectKind, ObjectVersion, Rule, Served, ServedArm, SplitReport, State,
        Status, Subject, ingress_key, rejected_split, route_key,
    },
    compiler::{Compiler, EMISSARY_CONTROLLER, INGRESS_ANNOTATIONS, INGRESS_CONTROLLER, Settings},
    gateway::{GATEWAY_CONTROLLER, GatewayObject, GatewayObjectName},
    object::{ObjectChange, ObjectName},
    scope::Scope,
};
