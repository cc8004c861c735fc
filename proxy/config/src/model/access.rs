//! Who may use a route.

use ipnet::IpNet;

use super::{Authorization, Secret};

/// Who may use a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Requests from here; others get 403. Empty: from anywhere.
    pub allowed: Vec<Origin>,
    /// None from here, also where `allowed` has them.
    pub denied: Vec<Origin>,
    /// Who must show a password; `None`: nobody.
    pub login: Option<Login>,
    /// Who is asked about each request; `None`: nobody.
    pub authorization: Option<Authorization>,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// From a client in this range: at the other end of the connection, or where the listener's trusted hops say.
    Client(IpNet),
    /// Over a connection from this range, whoever is behind it.
    Peer(IpNet),
}

/// Names and passwords (RFC 7617). Who shows none of them gets 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// What the client is told it is for.
    pub realm: String,
    /// In order of their names, each once. Without any nobody comes in.
    pub users: Vec<User>,
}

/// A name with its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Without a colon.
    pub name: String,
    /// What a [`PasswordHash`](crate::password::PasswordHash) is read from.
    pub hash: Secret,
}
