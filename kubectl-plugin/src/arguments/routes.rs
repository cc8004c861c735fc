//! The commands that tell of routes as the operator compiles them: `routes` and `explain`.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::values::go_duration;

/// `routes`
#[derive(Clone, Debug, Args)]
pub struct Routes {
    /// Routes of objects in all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// How long requests are counted for the column MEASURED; 0 = not at all
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = go_duration)]
    pub measure: Duration,
    /// Only routes of this Gateway: NAME in the namespace, or NAMESPACE/NAME
    #[arg(long, value_name = "NAME")]
    pub gateway: Option<String>,
    /// As the operator reads them.
    #[command(flatten)]
    pub compiling: Compiling,
}

/// `explain …`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Explain {
    /// What else is explained.
    #[command(subcommand)]
    pub what: Option<ExplainWhat>,
    /// The Rollout: the verdict on its update is reckoned anew from what its status has recorded
    pub rollout: Option<String>,
}

/// What is explained beside Rollouts.
#[derive(Clone, Debug, Subcommand)]
pub enum ExplainWhat {
    /// Say which object answers a request, and why others do not
    Route(ExplainRoute),
}

/// `explain route`
#[derive(Clone, Debug, Args)]
pub struct ExplainRoute {
    /// The request: HOST/PATH, or the same after `https://`
    #[arg(value_name = "HOST/PATH")]
    pub url: String,
    /// A header of the request; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<Header>,
    /// Its method
    #[arg(short = 'X', long, default_value = "GET")]
    pub method: String,
    /// The port of the proxies, or of the Gateway, on which it comes in [default: the first for its scheme]
    #[arg(long)]
    pub port: Option<u16>,
    /// Only at this Gateway: NAME in the namespace, or NAMESPACE/NAME
    #[arg(long, value_name = "NAME")]
    pub gateway: Option<String>,
    /// As the operator reads the objects.
    #[command(flatten)]
    pub compiling: Compiling,
}

/// How the operator reads objects: the flags that it was given.
#[derive(Clone, Debug, Args)]
pub struct Compiling {
    /// The operator's --ambassador-id
    #[arg(long, default_value = "default")]
    pub ambassador_id: String,
    /// The operator's --ingress-controllers
    #[arg(long, value_delimiter = ',')]
    pub ingress_controllers: Vec<String>,
    /// The operator's --gateway-controllers
    #[arg(long, value_delimiter = ',')]
    pub gateway_controllers: Vec<String>,
    /// The operator has --ambassador-compat=strict
    #[arg(long)]
    pub strict: bool,
}

/// A header on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or_else(|| format!("{text:?} is not NAME: VALUE"))?;
        Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
    }
}

impl ExplainRoute {
    /// Whether it comes over TLS, its authority, and its path with the query.
    #[must_use]
    pub fn place(&self) -> (bool, &str, &str) {
        let (tls, rest) = match self.url.split_once("://") {
            Some((scheme, rest)) => (scheme.eq_ignore_ascii_case("https"), rest),
            None => (false, self.url.as_str()),
        };
        match rest.find('/') {
            Some(at) => (tls, &rest[..at], &rest[at..]),
            None => (tls, rest, "/"),
        }
    }
}
