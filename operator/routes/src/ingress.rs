//! Ingresses (networking.k8s.io/v1), read once into types that cannot be wrong.
//!
//! | to change … | look in |
//! |---|---|
//! | which Ingresses are ours | `class.rs` |
//! | which fields are read | `parse.rs` |
//! | which annotations are acted on | `options.rs`, `canary.rs`, `access.rs`, `authorization.rs`, `limits.rs`, `mirror.rs` |
//! | what the ConfigMap says | `defaults.rs` |
//! | what one of Emissary's class means to the letter | `emissary.rs` |
//! | which rule is asked first | `place.rs` |
//! | who wins where several have the same rule, and what the owner is told | `compiler/ingress.rs` |

mod access;
mod annotations;
mod authorization;
mod canary;
pub(crate) mod class;
pub(crate) mod defaults;
pub(crate) mod emissary;
mod limits;
mod mirror;
mod options;
mod parse;
pub(crate) mod place;
mod variables;

use std::sync::Arc;

use proxy_config::model::{RedirectTo, ToHttps};

pub(crate) use self::{
    access::{Guard, range},
    authorization::is_exempt,
    canary::Canary,
    options::Options,
    parse::parse,
    place::{Kind, Level, Place},
};
use crate::{
    mapping::ServiceReference,
    object::{ObjectName, PortReference},
};

/// An Ingress of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ingress {
    /// Each with a place of its own; what takes the rest is one of them.
    pub(crate) rules: Vec<Rule>,
    /// Names with the Secret that has their certificate; without one, the default certificate is theirs.
    pub(crate) tls: Vec<(String, Option<ObjectName>)>,
    pub(crate) canary: Option<Canary>,
    pub(crate) options: Options,
    /// Who may use it.
    pub(crate) guard: Guard,
    /// Who gets a copy of every request.
    pub(crate) mirror: Option<ServiceReference>,
    /// What of it cannot be served, in whole sentences.
    pub(crate) problems: Vec<String>,
    /// What its owner should know besides.
    pub(crate) remarks: Vec<String>,
}

/// One path of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) place: Arc<Place>,
    pub(crate) target: Target,
    /// Where requests in the clear are sent instead.
    pub(crate) to_https: Option<ToHttps>,
}

/// Where the requests of a rule go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To a Service in the Ingress's namespace.
    Service(ObjectName, PortReference),
    /// Elsewhere: the client is told.
    Redirect(RedirectTo),
}
