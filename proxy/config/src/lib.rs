//! The contract between operator and proxy.
//!
//! [`wire`] holds what travels (generated from `proto/`), [`model`] the types that the compiler writes and the
//! proxy routes by; [`convert`] goes between them. A value of [`model`] is acceptable once it has passed
//! [`validate`]; the operator validates before it sends, the proxy again before it takes.

#[cfg(test)]
mod arbitrary;
pub mod convert;
pub mod digest;
pub mod features;
pub mod model;
pub mod password;
pub mod pattern;
pub mod table;
pub mod validate;
pub mod wire;

/// The version of the meaning of `proto/config.proto` that this crate speaks.
pub const CONTRACT: u32 = 1;

/// The audience of the token that a proxy presents to the config server.
pub const CONFIG_AUDIENCE: &str = "sluice-config";

/// The audience of the token that a rollout controller presents to the traffic server.
pub const TRAFFIC_AUDIENCE: &str = "sluice-traffic";

/// The name in the certificate of the config and traffic server.
pub const SERVER_NAME: &str = "sluice-operator";
