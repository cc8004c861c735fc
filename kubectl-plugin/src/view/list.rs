//! `list rollouts`: one row a Rollout.

use crds::Rollout;

use super::columns;
use super::rollout::strategy;
use super::steps;
use super::text::{Paint, Text};
use crate::phase;

/// What is shown of a Rollout in a list. Equal rows need not be printed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    namespace: String,
    name: String,
    strategy: String,
    status: String,
    step: String,
    set_weight: String,
    ready: String,
    desired: i32,
    up_to_date: i32,
    available: i32,
}

/// Columns before the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// The time to print in front, if the user asked for one.
    pub timestamp: Option<String>,
    /// Whether the rows are of several namespaces.
    pub namespace: bool,
}

impl Row {
    /// Sums a Rollout up.
    #[must_use]
    pub fn of(rollout: &Rollout) -> Self {
        let status = rollout.status.clone().unwrap_or_default();
        let none = || String::from("-");
        let canary = steps::canary(rollout);
        Self {
            namespace: rollout.metadata.namespace.clone().unwrap_or_default(),
            name: rollout.metadata.name.clone().unwrap_or_default(),
            strategy: strategy(rollout).unwrap_or("unknown").to_owned(),
            status: phase::of(rollout).phase.as_str().to_owned(),
            step: canary
                .as_ref()
                .and_then(|(canary, status)| steps::progress(canary, status))
                .unwrap_or_else(none),
            set_weight: canary
                .as_ref()
                .map_or_else(none, |(canary, status)| steps::set_weight(canary, status).to_string()),
            ready: format!("{}/{}", status.ready_replicas, status.replicas),
            desired: rollout.spec.replicas.unwrap_or(1),
            up_to_date: status.updated_replicas,
            available: status.available_replicas,
        }
    }

    /// A Rollout that cannot be read: everything but its name is unknown.
    #[must_use]
    pub fn unreadable(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            strategy: String::from("unknown"),
            status: String::from("Unknown"),
            step: String::from("-"),
            set_weight: String::from("-"),
            ready: String::from("-"),
            desired: 0,
            up_to_date: 0,
            available: 0,
        }
    }

    /// Namespace and name, by which rows of one Rollout find each other.
    #[must_use]
    pub fn key(&self) -> (String, String) {
        (self.namespace.clone(), self.name.clone())
    }

    /// Cells are as wide as Argo's at least, so that rows printed one by one stand below each other.
    fn cells(&self, extra: &Extra) -> Vec<Text> {
        let mut cells: Vec<String> = Vec::new();
        cells.extend(extra.timestamp.as_ref().map(|timestamp| format!("{timestamp:<20}")));
        cells.extend(extra.namespace.then(|| format!("{:<9}", self.namespace)));
        cells.extend([
            format!("{:<10}", self.name),
            format!("{:<9}", self.strategy),
            format!("{:<12}", self.status),
            format!("{:<4}", self.step),
            format!("{:<10}", self.set_weight),
            format!("{:<5}", self.ready),
            format!("{:<7}", self.desired),
            format!("{:<10}", self.up_to_date),
            format!("{:<9}", self.available),
        ]);
        cells.into_iter().map(Text::plain).collect()
    }
}

/// The header and all rows.
#[must_use]
pub fn render(rows: &[Row], extra: &Extra) -> String {
    let mut header: Vec<Text> = Vec::new();
    header.extend(extra.timestamp.as_ref().map(|_| Text::plain("TIMESTAMP")));
    header.extend(extra.namespace.then(|| Text::plain("NAMESPACE")));
    header.extend(
        ["NAME", "STRATEGY", "STATUS", "STEP", "SET-WEIGHT", "READY", "DESIRED", "UP-TO-DATE", "AVAILABLE"]
            .map(Text::plain),
    );
    let lines: Vec<_> = std::iter::once(header).chain(rows.iter().map(|row| row.cells(extra))).collect();
    columns::render(&lines, Paint::Plain)
}

/// One row without header, for changes.
#[must_use]
pub fn render_row(row: &Row, extra: &Extra) -> String {
    columns::render(&[row.cells(extra)], Paint::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let rollout = serde_json::json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "shop", "namespace": "prod", "generation": 2},
            "spec": {"replicas": 5, "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}},
            "status": {"observedGeneration": "2", "phase": "Paused", "currentStepIndex": 1, "replicas": 6,
                "readyReplicas": 6, "updatedReplicas": 1, "availableReplicas": 6,
                "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "2030-03-04T05:06:07Z"}]},
        });
        Row::of(&serde_json::from_value(rollout).unwrap())
    }

    #[test]
    fn a_list_has_argos_columns() {
        insta::assert_snapshot!(render(&[row()], &Extra::default()), @r"
        NAME        STRATEGY   STATUS        STEP  SET-WEIGHT  READY  DESIRED  UP-TO-DATE  AVAILABLE
        shop        Canary     Paused        1/2   20          6/6    5        1           6
        ");
    }

    #[test]
    fn a_list_of_all_namespaces_names_them() {
        let extra = Extra { timestamp: Some("2030-03-04T05:06:07Z".to_owned()), namespace: true };
        let text = render(&[row(), Row::unreadable("prod", "odd")], &extra);
        insta::assert_snapshot!(text, @r"
        TIMESTAMP             NAMESPACE  NAME        STRATEGY   STATUS        STEP  SET-WEIGHT  READY  DESIRED  UP-TO-DATE  AVAILABLE
        2030-03-04T05:06:07Z  prod       shop        Canary     Paused        1/2   20          6/6    5        1           6        
        2030-03-04T05:06:07Z  prod       odd         unknown    Unknown       -     -           -      0        0           0
        ");
    }
}
