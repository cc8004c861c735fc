use std::sync::Arc;

use proxy_config::model::{Cluster, ClusterId, Listener, ListenerId};

use super::*;

fn change(change: &Change) -> wire::ToProxy {
    wire::ToProxy { message: Some(Message::Change(change.into())) }
}

fn commit(transitions: i64, seq: u64, full: bool) -> wire::ToProxy {
    let position = Position { epoch: Epoch { created: 1, transitions }, seq };
    wire::ToProxy { message: Some(Message::Commit(wire::Commit { position: Some(position.into()), full })) }
}

fn cluster(id: &str) -> wire::ToProxy {
    let cluster = Cluster::plain(ClusterId::new(id), 1, Vec::new());
    change(&Change::Cluster(Arc::new(cluster)))
}

fn bad_listener() -> wire::ToProxy {
    change(&Change::Listener(Arc::new(Listener::http(ListenerId::new("http"), 0))))
}

fn unreadable() -> wire::ToProxy {
    wire::ToProxy { message: Some(Message::Change(wire::Change { change: None })) }
}

/// Sends messages and serves every commit; says what each commit led to.
fn serve(intake: &mut Intake, messages: Vec<wire::ToProxy>) -> Vec<String> {
    let mut said = Vec::new();
    for message in messages {
        match intake.receive(message) {
            Step::Wait => {}
            Step::Take(commit) => {
                let clusters: Vec<_> = commit.config.clusters.keys().map(ToString::to_string).collect();
                said.push(format!("take {}: {}", commit.position.seq, clusters.join(" ")));
                intake.taken(commit);
            }
            Step::Refuse(position, why) => said.push(format!("refuse {}: {why}", position.seq)),
            Step::Leave(position, why) => said.push(format!("leave {}: {why}", position.seq)),
            Step::Follow(address) => said.push(format!("follow {address:?}")),
        }
    }
    said
}

#[test]
fn changes_add_up_commit_by_commit() {
    let mut intake = Intake::default();
    let messages =
        vec![cluster("a"), commit(1, 1, true), cluster("b"), commit(1, 2, false), commit(1, 3, false)];
    assert_eq!(serve(&mut intake, messages), ["take 1: a", "take 2: a b", "take 3: a b"]);
}

#[test]
fn a_full_commit_leaves_nothing_else() {
    let mut intake = Intake::default();
    let messages = vec![cluster("a"), commit(1, 1, false), cluster("b"), commit(1, 2, true)];
    assert_eq!(serve(&mut intake, messages), ["take 1: a", "take 2: b"]);
}

#[test]
fn a_bad_change_refuses_the_whole_commit_and_nothing_of_it_stays() {
    let mut intake = Intake::default();
    let messages = vec![
        cluster("a"),
        commit(1, 1, true),
        cluster("b"),
        bad_listener(),
        commit(1, 2, false),
        cluster("c"),
        unreadable(),
        commit(1, 3, false),
        cluster("d"),
        commit(1, 4, false),
    ];
    let expected = [
        "take 1: a",
        "refuse 2: listener http: port 0 cannot be listened on",
        "refuse 3: failed to read a change: change without change",
        "take 4: a d",
    ];
    assert_eq!(serve(&mut intake, messages), expected);
}

#[test]
fn an_operator_of_an_older_epoch_is_left() {
    let mut intake = Intake::default();
    serve(&mut intake, vec![cluster("a"), commit(2, 9, true)]);
    intake.connect();
    let said = serve(&mut intake, vec![commit(1, 10, true), commit(3, 1, false)]);
    let expected = ["leave 10: epoch 1/1 is before 1/2, which this proxy has already heard", "take 1: a"];
    assert_eq!(said, expected);
}

#[test]
fn commits_of_one_connection_go_upwards() {
    let mut intake = Intake::default();
    let said = serve(&mut intake, vec![commit(1, 5, true), commit(1, 5, false), commit(1, 4, false)]);
    assert_eq!(
        said,
        ["take 5: ", "refuse 5: commit 5 follows commit 5", "refuse 4: commit 4 follows commit 5"]
    );
    intake.connect();
    assert_eq!(serve(&mut intake, vec![commit(1, 5, false)]), ["take 5: "]);
}

#[test]
fn what_was_pending_when_the_connection_broke_is_void() {
    let mut intake = Intake::default();
    serve(&mut intake, vec![cluster("a"), unreadable()]);
    intake.connect();
    assert_eq!(serve(&mut intake, vec![cluster("b"), commit(1, 1, false)]), ["take 1: b"]);
}

#[test]
fn a_remembered_commit_is_what_changes_are_relative_to() {
    let mut first = Intake::default();
    serve(&mut first, vec![cluster("a"), commit(1, 7, true)]);
    let remembered = Commit { config: Arc::clone(&first.config), position: first.position().unwrap() };
    let mut second = Intake::default();
    second.remember(&remembered);
    assert_eq!(serve(&mut second, vec![cluster("b"), commit(1, 8, false)]), ["take 8: a b"]);
}

#[test]
fn redirects_name_the_holder_or_nobody() {
    let redirect = |address: &str| wire::ToProxy {
        message: Some(Message::Redirect(wire::Redirect { address: address.into() })),
    };
    let mut intake = Intake::default();
    let said = serve(&mut intake, vec![redirect("198.18.0.3:9443"), redirect("")]);
    assert_eq!(said, ["follow Some(\"198.18.0.3:9443\")", "follow None"]);
}
