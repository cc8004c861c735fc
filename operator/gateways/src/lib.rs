//! Gateways -> the Kubernetes objects of their proxies, and what is to be said of them. Pure.
//!
//! Each Gateway has proxies of its own in its namespace, which get its configuration and no other, or those of its class,
//! which get that of the Gateways that share them. A [`Demand`] says what is asked of proxies; [`wanted`] gives every object that this takes, to the last field, and [`supply`] says from
//! what there is whether the Gateway can be reached, and where.
//!
//! | to change … | look in |
//! |---|---|
//! | what the objects are called and labelled | [`names`] |
//! | what can be set for a class or a Gateway | [`parameters`] |
//! | what the objects say | [`objects`] |
//! | how many proxies there are when somebody scales them | [`replicas`] |
//! | what the status of a Gateway learns of its proxies | [`supply`](mod@supply) |
//!
//! [`Demand`]: operator_routes::gateway::Demand

pub mod names;
pub mod objects;
pub mod parameters;
pub mod replicas;
pub mod supply;

pub use self::{
    names::Names,
    objects::{Installation, Kind, Object, wanted},
    parameters::{Invalid, Parameters, Proxies, Source},
    replicas::{Scaled, replicas},
    supply::{Outcome, SeenService, supply, supply_of_member},
};
