//! Who names what is known after any changes as if all were looked at.

use std::{collections::BTreeSet, sync::Arc};

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    authorization::asking,
    cluster,
    listeners::{host, shown, tcp_route},
    route,
};
use crate::{
    model::{
        Action, Certificate, CertificateId, Change, Cluster, ClusterId, Config, Host, HostId, Key, Listener,
        ListenerId, Route, RouteId, Secret, Split, SplitId, TcpRoute, TcpRouteId,
    },
    validate::{References, validate_references},
};

/// Names a few resources, which name one another.
fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "c"])
}

/// The split of a fixture, with this name and to this cluster alone.
fn to(split: &Split, id: &str, cluster: &str) -> Split {
    let mut split = Split { id: SplitId::new(id), ..split.clone() };
    split.arms.iter_mut().for_each(|arm| arm.cluster = ClusterId::new(cluster));
    split.mirrors.iter_mut().for_each(|mirror| mirror.cluster = ClusterId::new(cluster));
    split
}

fn change() -> impl Strategy<Value = Change> {
    let removed = |name: &str| {
        prop_oneof![
            Just(Key::Listener(ListenerId::new(name))),
            Just(Key::Route(RouteId::new(name))),
            Just(Key::Cluster(ClusterId::new(name))),
            Just(Key::Certificate(CertificateId::new(name))),
            Just(Key::Host(HostId::new(name))),
            Just(Key::TcpRoute(TcpRouteId::new(name))),
        ]
    };
    let made = |(name, first, second): (&str, &str, &str)| {
        let Action::Split(split) = route().action else { unreachable!("the fixture is a split") };
        let mut http =
            Route { id: RouteId::new(name), action: Action::Split(to(&split, first, second)), ..route() };
        if first == name {
            asking(|it| it.cluster = ClusterId::new(first))(&mut http);
        }
        let tcp = TcpRoute { id: TcpRouteId::new(name), split: to(&split, first, second), ..tcp_route() };
        let mut host = Host { id: HostId::new(name), ..host() };
        let mut cluster = Cluster { id: ClusterId::new(name), ..cluster(&[]) };
        if let Some(tls) = &mut host.tls {
            tls.certificates = vec![CertificateId::new(first), CertificateId::new(second)];
        }
        if first != second {
            cluster.tls = Some(Box::new(shown(first)));
        }
        let certificate =
            Certificate { id: CertificateId::new(name), chain: String::new(), key: Secret(String::new()) };
        let port = first.bytes().map(u16::from).sum();
        prop_oneof![
            3 => Just(Change::Cluster(Arc::new(cluster))),
            3 => Just(Change::Certificate(Arc::new(certificate))),
            2 => Just(Change::Route(Arc::new(http))),
            1 => Just(Change::TcpRoute(Arc::new(tcp))),
            1 => Just(Change::Host(Arc::new(host))),
            1 => Just(Change::Listener(Arc::new(Listener::http(ListenerId::new(name), port)))),
        ]
    };
    prop_oneof![
        4 => (name(), name(), name()).prop_flat_map(made),
        1 => name().prop_flat_map(removed).prop_map(Change::Removed),
    ]
}

proptest! {
    #[test]
    fn a_change_is_sound_exactly_if_nothing_is_wrong_with_what_it_leads_to(
        commits in vec(vec(change(), 1..4), 1..40),
    ) {
        let (mut config, mut references) = (Config::default(), References::default());
        for changes in commits {
            let mut next = config.clone();
            let keys: BTreeSet<Key> = changes.iter().map(Change::key).collect();
            for change in changes {
                next.apply(change);
            }
            let sound = references.follow(&config, &next, &keys);
            prop_assert_eq!(sound, validate_references(&next).is_empty(), "{:?} in {:?}", keys, next);
            if sound {
                config = next;
            } else {
                references = References::of(&config);
            }
        }
    }
}
