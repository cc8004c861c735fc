//! Between `model` and `wire`: the only place where both are seen.
//!
//! Outward never fails. Inward fails with what is missing or out of range, so that a proxy can say in its
//! `Nack` why it did not take a commit.

mod access;
mod authorization;
mod clients;
mod cluster;
mod filters;
mod health;
mod inward;
mod listener;
mod outward;
mod value;

use crate::{
    model::{Change, Config},
    wire,
};

/// Why a received message has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A field that every message of its kind has.
    #[error("{message} without {field}")]
    Missing {
        /// The message, and its id where it has one.
        message: String,
        /// The field that is absent.
        field: &'static str,
    },
    /// A number, address or enum value that the model cannot hold.
    #[error("{message} with {field} {value}, which is out of range")]
    OutOfRange {
        /// The message, and its id where it has one.
        message: String,
        /// The field.
        field: &'static str,
        /// What it holds.
        value: String,
    },
}

impl Config {
    /// The changes that make this configuration from an empty one, what is named before what names it.
    pub fn changes(&self) -> impl Iterator<Item = Change> + '_ {
        let listeners = self.listeners.values().cloned().map(Change::Listener);
        let certificates = self.certificates.values().cloned().map(Change::Certificate);
        let hosts = self.hosts.values().cloned().map(Change::Host);
        let clusters = self.clusters.values().cloned().map(Change::Cluster);
        let routes = self.routes.values().cloned().map(Change::Route);
        let tcp_routes = self.tcp_routes.values().cloned().map(Change::TcpRoute);
        listeners.chain(certificates).chain(hosts).chain(clusters).chain(routes).chain(tcp_routes)
    }
}

impl From<Change> for wire::config::ToProxy {
    fn from(change: Change) -> Self {
        use wire::config::to_proxy::Message;
        Self { message: Some(Message::Change((&change).into())) }
    }
}

fn required<T>(
    field: Option<T>,
    message: impl FnOnce() -> String,
    name: &'static str,
) -> Result<T, ConvertError> {
    field.ok_or_else(|| ConvertError::Missing { message: message(), field: name })
}

fn out_of_range(message: String, field: &'static str, value: &impl ToString) -> ConvertError {
    ConvertError::OutOfRange { message, field, value: value.to_string() }
}

/// Converts each of a list. Every resource has some lists, and there are thousands that are kept: collecting would leave the
/// result in the room that the message had, which is a multiple of what it needs.
fn each<From, To>(
    list: Vec<From>,
    convert: impl FnMut(From) -> Result<To, ConvertError>,
) -> Result<Vec<To>, ConvertError> {
    let mut all = Vec::with_capacity(list.len());
    for it in list.into_iter().map(convert) {
        all.push(it?);
    }
    Ok(all)
}

/// A list that is kept, without the room for more that decoding leaves.
fn kept<T>(mut list: Vec<T>) -> Vec<T> {
    list.shrink_to_fit();
    list
}

/// A number that fits into fewer bits than the wire has.
fn narrow<T: TryFrom<u32>>(
    value: u32,
    message: impl FnOnce() -> String,
    field: &'static str,
) -> Result<T, ConvertError> {
    T::try_from(value).map_err(|_| out_of_range(message(), field, &value))
}

/// An enum value that this version knows.
fn known<T: TryFrom<i32>>(
    value: i32,
    message: impl FnOnce() -> String,
    field: &'static str,
) -> Result<T, ConvertError> {
    T::try_from(value).map_err(|_| out_of_range(message(), field, &value))
}

/// On the wire zero stands for what is absent.
fn positive(number: u32) -> Option<u32> {
    (number != 0).then_some(number)
}

/// On the wire the empty text stands for what is absent.
fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::{arbitrary, model::Route};

    fn fits<T>(list: &Vec<T>) -> bool {
        list.capacity() == list.len()
    }

    proptest! {
        #[test]
        fn what_is_sent_is_what_arrives(change in arbitrary::change()) {
            let wire = wire::config::Change::from(&change);
            prop_assert_eq!(Change::try_from(wire), Ok(change));
        }

        #[test]
        fn what_is_kept_has_no_room_for_more(change in arbitrary::change()) {
            let bytes = wire::config::Change::from(&change).encode_to_vec();
            let wire = wire::config::Change::decode(bytes.as_slice()).unwrap();
            match Change::try_from(wire).unwrap() {
                Change::Route(route) => {
                    let Route { headers, query, listeners, classes, filters, .. } = &*route;
                    prop_assert!(fits(headers) && fits(query) && fits(listeners) && fits(classes));
                    prop_assert!(fits(&filters.request_headers) && fits(&filters.response_headers));
                    prop_assert!(route.split().is_none_or(|it| fits(&it.arms) && fits(&it.mirrors)));
                }
                Change::Cluster(cluster) => {
                    prop_assert!(fits(&cluster.endpoints) && fits(&cluster.checks));
                }
                _ => {}
            }
        }

        #[test]
        fn a_config_is_the_sum_of_its_changes(config in arbitrary::config()) {
            let mut copy = Config::default();
            config.changes().for_each(|change| copy.apply(change));
            prop_assert_eq!(copy, config);
        }
    }

    #[test]
    fn an_empty_change_is_refused_with_what_it_lacks() {
        let error = Change::try_from(wire::config::Change { change: None }).unwrap_err();
        assert_eq!(error.to_string(), "change without change");
    }

    #[test]
    fn an_arm_above_the_whole_is_refused_with_its_weight() {
        let rewrite = Some(wire::config::rewrite::Rewrite::None(true));
        let arm = wire::config::Arm {
            id: "a".into(),
            weight: 10_001,
            rewrite: Some(wire::config::Rewrite { rewrite }),
            ..Default::default()
        };
        let split = wire::config::Split { id: "s".into(), arms: vec![arm], mirrors: Vec::new() };
        let route = wire::config::Route {
            id: "r".into(),
            host: Some(wire::config::HostMatch { r#match: Some(wire::config::host_match::Match::Any(true)) }),
            path: Some(wire::config::PathMatch {
                r#match: Some(wire::config::path_match::Match::Prefix("/".into())),
                ignore_case: false,
            }),
            action: Some(wire::config::route::Action::Split(split)),
            ..Default::default()
        };
        let change = wire::config::Change { change: Some(wire::config::change::Change::Route(route)) };
        let error = Change::try_from(change).unwrap_err();
        assert_eq!(error.to_string(), "arm a with weight 10001, which is out of range");
    }
}
