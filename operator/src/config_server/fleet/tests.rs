use super::*;

fn id(boot: &str) -> ProxyId {
    ProxyId { pod: "uid-1".to_owned(), boot: boot.to_owned() }
}

fn name() -> ObjectName {
    ObjectName::new("sluice", "proxy-1")
}

fn endpoint() -> BTreeMap<String, ObjectName> {
    BTreeMap::from([("uid-1".to_owned(), name())])
}

/// The counted proxies as `boot: members`.
fn counted(fleet: &Fleet) -> Vec<String> {
    let show = |proxy: Counted| {
        let members = proxy.members.map_or_else(|| "anything".to_owned(), |members| format!("{members:?}"));
        format!("{}: {members}", proxy.id.boot)
    };
    fleet.counted().into_iter().map(show).collect()
}

#[test]
fn a_pod_behind_the_service_counts_before_it_has_connected() {
    let mut fleet = Fleet::default();
    fleet.set_endpoints(endpoint());
    assert_eq!(counted(&fleet), [": anything"]);
}

#[test]
fn a_newcomer_counts_from_its_first_acknowledgement() {
    let mut fleet = Fleet::default();
    let stream = fleet.connect(&id("a"), name());
    fleet.sent(&id("a"), stream, 3);
    assert_eq!(counted(&fleet), Vec::<String>::new());
    assert!(fleet.acknowledge(&id("a"), stream, 3));
    assert_eq!(counted(&fleet), ["a: {3}"]);
}

#[test]
fn what_was_sent_may_be_served_until_a_later_one_is_acknowledged() {
    let mut fleet = Fleet::default();
    fleet.set_endpoints(endpoint());
    let stream = fleet.connect(&id("a"), name());
    fleet.sent(&id("a"), stream, 3);
    assert_eq!(counted(&fleet), ["a: anything"], "before its first acknowledgement");
    fleet.acknowledge(&id("a"), stream, 3);
    fleet.sent(&id("a"), stream, 5);
    assert_eq!(counted(&fleet), ["a: {3, 5}"]);
    fleet.acknowledge(&id("a"), stream, 5);
    assert_eq!(counted(&fleet), ["a: {5}"]);
    assert!(!fleet.acknowledge(&id("a"), stream, 9), "never sent");
    assert_eq!(fleet.oldest_member(), Some(5));
}

#[test]
fn a_lost_stream_changes_nothing_for_a_pod_behind_the_service() {
    let mut fleet = Fleet::default();
    fleet.set_endpoints(endpoint());
    let stream = fleet.connect(&id("a"), name());
    fleet.sent(&id("a"), stream, 3);
    fleet.acknowledge(&id("a"), stream, 3);
    fleet.sent(&id("a"), stream, 4);
    fleet.disconnect(&id("a"), stream);
    assert_eq!(counted(&fleet), ["a: {3, 4}"]);
    let again = fleet.connect(&id("a"), name());
    fleet.sent(&id("a"), again, 6);
    assert_eq!(counted(&fleet), ["a: {3, 4, 6}"]);
    assert!(!fleet.acknowledge(&id("a"), stream, 4), "the old stream says nothing any more");
    fleet.disconnect(&id("a"), stream);
    assert!(fleet.is_current(&id("a"), again));
}

#[test]
fn a_proxy_leaves_when_it_has_neither_stream_nor_endpoint() {
    let mut fleet = Fleet::default();
    fleet.set_endpoints(endpoint());
    let stream = fleet.connect(&id("a"), name());
    fleet.sent(&id("a"), stream, 3);
    fleet.acknowledge(&id("a"), stream, 3);
    fleet.set_endpoints(BTreeMap::new());
    assert_eq!(counted(&fleet), ["a: {3}"], "it drains and its stream closes last");
    fleet.disconnect(&id("a"), stream);
    assert_eq!(counted(&fleet), Vec::<String>::new());
    assert_eq!(fleet.oldest_member(), None);
}

#[test]
fn a_restarted_container_is_a_new_proxy_that_may_serve_anything() {
    let mut fleet = Fleet::default();
    fleet.set_endpoints(endpoint());
    let stream = fleet.connect(&id("a"), name());
    fleet.sent(&id("a"), stream, 3);
    fleet.acknowledge(&id("a"), stream, 3);
    fleet.connect(&id("b"), name());
    assert_eq!(counted(&fleet), ["b: anything"]);
}

#[test]
fn a_refused_commit_is_not_served() {
    let mut fleet = Fleet::default();
    let stream = fleet.connect(&id("a"), name());
    fleet.sent(&id("a"), stream, 3);
    fleet.acknowledge(&id("a"), stream, 3);
    fleet.sent(&id("a"), stream, 4);
    fleet.refuse(&id("a"), stream, 4, "port taken".to_owned());
    assert_eq!(counted(&fleet), ["a: {3}"]);
    assert_eq!(
        fleet.get(&id("a")).and_then(|proxy| proxy.refused.clone()),
        Some((4, "port taken".to_owned()))
    );
}

#[test]
fn a_report_settles_a_revision_when_no_older_snapshot_is_pinned() {
    let mut fleet = Fleet::default();
    let stream = fleet.connect(&id("a"), name());
    let epoch = Epoch { created: 7, transitions: 1 };
    let at = |seq| Position { epoch, seq };
    let settled = |fleet: &Fleet, revision| fleet.get(&id("a")).unwrap().has_settled(epoch, revision);
    assert!(!settled(&fleet, 1), "without a report nothing is known");
    let report = Report { served: at(5), oldest_pinned: at(3), ..Report::default() };
    assert!(fleet.report(&id("a"), stream, report.clone()));
    assert!(settled(&fleet, 3) && !settled(&fleet, 4));
    assert!(!fleet.report(&id("a"), stream, report.clone()), "the same again is no news");
    let old = Epoch { created: 7, transitions: 0 };
    fleet.report(&id("a"), stream, Report { oldest_pinned: Position { epoch: old, seq: 99 }, ..report });
    assert!(!settled(&fleet, 1), "a request from before this epoch is under way");
}
