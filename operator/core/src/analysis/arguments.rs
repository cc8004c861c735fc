//! The values that a Rollout gives to the arguments of its analyses.

use crds::rollout::Rollout;

use super::field;
use crate::spec::{Argument, ArgumentValue, Version};

/// What the values of arguments may come from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The Rollout.
    pub rollout: &'a Rollout,
    /// Pod template hash of the newest version.
    pub latest: &'a str,
    /// Pod template hash of the stable version; empty if there is none.
    pub stable: &'a str,
}

/// An argument with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Facts<'_> {
    /// The values of arguments.
    pub(crate) fn values(&self, arguments: &[Argument]) -> Result<Vec<Given>, String> {
        arguments
            .iter()
            .map(|argument| {
                let value = match &argument.value {
                    ArgumentValue::Text(text) => text.clone(),
                    ArgumentValue::Hash(Version::Latest) => self.latest.to_owned(),
                    ArgumentValue::Hash(Version::Stable) => self.stable.to_owned(),
                    ArgumentValue::Field(path) => field::value(self.rollout, path)?,
                };
                Ok(Given { name: argument.name.clone(), value })
            })
            .collect()
    }
}
