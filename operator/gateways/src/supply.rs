//! What is said of a Gateway's proxies: whether it can be reached, where, and why not.

use operator_routes::gateway::{
    Address, AddressKind, Demand, Supply,
    demand::{Lacking, Refused},
};

use crate::parameters::Invalid;

/// What is there of one Service of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenService {
    /// Where clients reach it.
    pub addresses: Vec<Address>,
    /// `spec.loadBalancerIP`; empty if it asks for none.
    pub asks: String,
}

/// What became of making the objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Not known yet: as it was.
    #[default]
    Unknown,
    /// All of them are there as wanted.
    Made,
    /// The parameters cannot be used: nothing was changed.
    Invalid(Invalid),
    /// The API server refuses one of them, or somebody else has one of that name.
    Failed(String),
}

/// What the compiler is told of a Gateway's proxies, from its Services and the number of its proxies that are ready.
#[must_use]
pub fn supply(demand: &Demand, services: &[SeenService], ready: usize, outcome: &Outcome) -> Supply {
    let addresses = addresses(demand, services);
    Supply {
        refused: refused(demand, outcome),
        lacking: lacking(demand, &addresses, ready, outcome),
        addresses,
    }
}

/// The same for one of the Gateways that share these proxies, which asks for these addresses.
#[must_use]
pub fn supply_of_member(
    demand: &Demand,
    asked: &[Address],
    services: &[SeenService],
    ready: usize,
    outcome: &Outcome,
) -> Supply {
    supply(&Demand { addresses: asked.to_vec(), ..demand.clone() }, services, ready, outcome)
}

/// Those of all Services; where some are asked for, only these count.
fn addresses(demand: &Demand, services: &[SeenService]) -> Vec<Address> {
    let any = demand.addresses.is_empty() || demand.addresses.iter().any(|it| it.value.is_empty());
    let asked = |address: &Address| any || demand.addresses.contains(address);
    let mut found: Vec<Address> = Vec::new();
    for address in services.iter().flat_map(|service| &service.addresses) {
        if asked(address) && !found.contains(address) {
            found.push(address.clone());
        }
    }
    found
}

fn refused(demand: &Demand, outcome: &Outcome) -> Option<Refused> {
    if let Outcome::Invalid(invalid) = outcome {
        return Some(Refused::Parameters(invalid.to_string()));
    }
    let unknown = demand.addresses.iter().find(|address| match address.kind {
        AddressKind::Ip => false,
        AddressKind::Hostname | AddressKind::Other(_) => true,
    })?;
    let text = format!(
        "spec.addresses has {:?} of type {}: only IPAddress can be asked for",
        unknown.value,
        unknown.kind.as_str()
    );
    Some(Refused::Address(text))
}

fn lacking(demand: &Demand, addresses: &[Address], ready: usize, outcome: &Outcome) -> Option<Lacking> {
    if let Outcome::Failed(why) = outcome {
        return Some(Lacking::Resources(why.clone()));
    }
    let missing = demand.addresses.iter().find(|it| !it.value.is_empty() && !addresses.contains(it));
    if let Some(missing) = missing {
        let text = format!(
            "no load balancer gives the address {}: ask for one that is free and that yours can give",
            missing.value
        );
        return Some(Lacking::UsableAddress(text));
    }
    if addresses.is_empty() {
        let text = if demand.ports.is_empty() {
            "no listener has a port that can be opened, so there is no Service that could have an address"
        } else {
            "no load balancer has given an address yet"
        };
        return Some(Lacking::Address(text.to_owned()));
    }
    (ready == 0).then(|| Lacking::Resources("no proxy of the Gateway is ready".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use operator_routes::gateway::{DemandedPort, Transport};

    use super::*;

    fn ip(value: &str) -> Address {
        Address { kind: AddressKind::Ip, value: value.to_owned() }
    }

    fn demand(addresses: &[Address]) -> Demand {
        let port = DemandedPort { port: 80, transport: Transport::Tcp, container: 64_592 };
        crate::objects::tests::demand(addresses, BTreeSet::from([port]))
    }

    fn services(addresses: &[&str]) -> Vec<SeenService> {
        let service = |address: &&str| SeenService { addresses: vec![ip(address)], asks: String::new() };
        addresses.iter().map(service).collect()
    }

    /// Addresses, why it is not accepted, what it lacks.
    fn said(demand: &Demand, given: &[&str], ready: usize, outcome: &Outcome) -> [String; 3] {
        let Supply { addresses, refused, lacking } = supply(demand, &services(given), ready, outcome);
        let addresses: Vec<_> = addresses.into_iter().map(|it| it.value).collect();
        let refused = refused.map(|it| match it {
            Refused::Parameters(_) => "parameters",
            Refused::Address(_) => "address",
        });
        let lacking = lacking.map(|it| match it {
            Lacking::Address(_) => "an address",
            Lacking::UsableAddress(_) => "a usable address",
            Lacking::Resources(_) => "proxies",
            Lacking::Pending(_) => "time",
        });
        [addresses.join(" "), refused.unwrap_or_default().to_owned(), lacking.unwrap_or_default().to_owned()]
    }

    #[test]
    fn a_gateway_can_be_reached_once_it_has_an_address_and_a_proxy() {
        let any = demand(&[]);
        let made = Outcome::Made;
        assert_eq!(said(&any, &[], 0, &Outcome::Unknown), ["", "", "an address"]);
        assert_eq!(said(&any, &["198.18.0.1"], 0, &made), ["198.18.0.1", "", "proxies"]);
        assert_eq!(said(&any, &["198.18.0.1"], 1, &made), ["198.18.0.1", "", ""]);
        assert_eq!(
            said(&any, &["198.18.0.1"], 1, &Outcome::Unknown),
            ["198.18.0.1", "", ""],
            "after a restart"
        );
        let failed = Outcome::Failed("no".to_owned());
        assert_eq!(said(&any, &["198.18.0.1"], 1, &failed), ["198.18.0.1", "", "proxies"]);
    }

    #[test]
    fn an_address_that_is_asked_for_is_had_or_told() {
        let usable = demand(&[ip("198.18.0.9")]);
        assert_eq!(said(&usable, &["198.18.0.9"], 1, &Outcome::Made), ["198.18.0.9", "", ""]);
        assert_eq!(said(&usable, &[], 1, &Outcome::Made), ["", "", "a usable address"]);
        assert_eq!(said(&usable, &["198.18.0.1"], 1, &Outcome::Made), ["", "", "a usable address"]);
        let both = demand(&[ip("203.0.113.1"), ip("198.18.0.9")]);
        assert_eq!(said(&both, &["198.18.0.9"], 1, &Outcome::Made), ["198.18.0.9", "", "a usable address"]);
        let whichever = demand(&[ip("")]);
        assert_eq!(said(&whichever, &["198.18.0.1"], 1, &Outcome::Made), ["198.18.0.1", "", ""]);
    }

    #[test]
    fn who_shares_proxies_has_their_address_and_no_other() {
        let shared = demand(&[]);
        let of = |asked: &[Address]| {
            supply_of_member(&shared, asked, &services(&["198.18.0.1"]), 1, &Outcome::Made)
        };
        let whichever = of(&[]);
        assert_eq!((&whichever.addresses[..], &whichever.lacking), (&[ip("198.18.0.1")][..], &None));
        let other = of(&[ip("198.18.0.9")]);
        assert!(other.addresses.is_empty());
        assert!(matches!(other.lacking, Some(Lacking::UsableAddress(_))), "{other:?}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let named = Address { kind: AddressKind::Hostname, value: "web.example".to_owned() };
        assert_eq!(said(&demand(&[named]), &[], 1, &Outcome::Made)[1], "address");
        let other = Address { kind: AddressKind::Other("test/x".to_owned()), value: "y".to_owned() };
        assert_eq!(
            said(&demand(&[other, ip("198.18.0.9")]), &["198.18.0.9"], 1, &Outcome::Made)[1],
            "address"
        );
        let invalid = Invalid::Namespace(crate::Source::Class);
        assert_eq!(said(&demand(&[]), &["198.18.0.1"], 1, &Outcome::Invalid(invalid))[1], "parameters");
    }
}
