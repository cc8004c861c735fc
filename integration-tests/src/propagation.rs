//! Many HTTPRoutes on one Gateway, and how soon its proxies serve what is written: after gateway-api-bench.

mod churn;
mod edge;
mod fleet;
mod implementation;
mod usage;

pub use self::{
    churn::Churn,
    edge::{Edge, Footprint},
    fleet::{Fleet, flipped, http_route, probed},
    implementation::Implementation,
    usage::Usage,
};
