//! What the proxies serve, as told by the traffic server: a store that the Rollout controller reads, and the client
//! that fills it.

mod client;
mod connect;
mod convert;
mod splits;
mod store;
mod tries;

pub(crate) use self::store::Uncounted;
pub use self::{
    client::follow,
    connect::{Authority, Connector, Credential, Target},
    convert::VersionName,
    store::{Touched, TrafficStore},
};
