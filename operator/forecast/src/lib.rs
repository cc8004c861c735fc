//! What a Rollout will do, before it does it, pure.
//!
//! The engine itself ([`operator_core::plan()`]) is run on a virtual clock against a cluster that does what it is told: it
//! makes the pods that a ReplicaSet asks for, and a proxy in it serves every route as soon as it is written. So a
//! forecast is not another description of the steps, but what the engine does with them.
//!
//! | module | what it does |
//! |---|---|
//! | [`manifests`] | what is in the file, and what is assumed to exist beside it |
//! | `cluster` | ReplicaSets, pods, Services, Mappings, Ingresses, routes, analyses; effects and observation |
//! | `proxy` | what the proxy serves |
//! | `rehearsal` | observe, plan, execute, record, and the passing of time |
//! | [`forecast`] | an update from its first moment to its last, and an abort at each of its steps |
//! | [`power`] | what can be seen of the new version at this traffic |
//!
//! Architecture invariant: this crate knows no client, no clock and no random source. Every forecast begins at the same
//! moment, and the same manifests give the same forecast.

mod cluster;
pub mod forecast;
pub mod manifests;
pub mod power;
mod proxy;
mod rehearsal;

pub use self::forecast::{Assumptions, Forecast, forecast};
pub use self::manifests::{Manifests, Refused};
