//! A tree of objects drawn into the columns NAME, KIND, STATUS, AGE and INFO.

use super::columns;
use super::icon::Status;
use super::text::{Paint, Text};

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The root.
    Rollout,
    /// What belongs to one pod template.
    Revision,
    /// A ReplicaSet.
    ReplicaSet,
    /// A pod.
    Pod,
    /// An Experiment.
    Experiment,
    /// An AnalysisRun.
    AnalysisRun,
    /// A Job of an AnalysisRun.
    Job,
}

/// One line of the tree and what is below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Decides icon and KIND column.
    pub kind: Kind,
    /// The name, without icon.
    pub name: Text,
    /// Absent for a revision.
    pub status: Option<Status>,
    /// The AGE column; empty for a revision.
    pub age: String,
    /// The INFO column.
    pub info: Text,
    /// What is below, in order.
    pub children: Vec<Self>,
}

/// Draws the tree with its header, every line ended.
#[must_use]
pub fn render(root: &Node, paint: Paint) -> String {
    let mut rows = vec![["NAME", "KIND", "STATUS", "AGE", "INFO"].map(Text::plain).to_vec()];
    add(root, "", "", &mut rows);
    columns::render(&rows, paint)
}

/// `own` precedes the node's line, `below` the lines of its children.
fn add(node: &Node, own: &str, below: &str, rows: &mut Vec<Vec<Text>>) {
    let status = node.status.as_ref().map_or_else(|| Text::plain(" "), Status::text);
    let name = Text::plain(format!("{own}{} ", node.kind.icon())).then(node.name.clone());
    rows.push(vec![
        name,
        Text::plain(node.kind.column()),
        status,
        Text::plain(&*node.age),
        node.info.clone(),
    ]);
    for (index, child) in node.children.iter().enumerate() {
        let (branch, trunk) =
            if index + 1 == node.children.len() { ("└──", "   ") } else { ("├──", "│  ") };
        add(child, &format!("{below}{branch}"), &format!("{below}{trunk}"), rows);
    }
}

impl Kind {
    const fn icon(self) -> &'static str {
        match self {
            Self::Rollout => "⟳",
            Self::Revision => "#",
            Self::ReplicaSet => "⧉",
            Self::Pod => "□",
            Self::Experiment => "Σ",
            Self::AnalysisRun => "α",
            Self::Job => "⊞",
        }
    }

    const fn column(self) -> &'static str {
        match self {
            Self::Rollout => "Rollout",
            Self::Revision => "",
            Self::ReplicaSet => "ReplicaSet",
            Self::Pod => "Pod",
            Self::Experiment => "Experiment",
            Self::AnalysisRun => "AnalysisRun",
            Self::Job => "Job",
        }
    }
}
