//! `replicas_basic`, `replicas_routed`, `weight_in_force`: weights and numbers of pods.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use crds::rollout::{CanaryStep, RolloutStatus};
use operator_core::replicas::{self, Carried, Counts, Size, Sizes, basic::Limits};
use operator_core::spec::{
    Amount, Analysis, Background, Canary, CanaryScale, IngressRouting, MappingRouting, Routing, Step,
};
use operator_core::weight::{self, CanarySize, Position, Total, Weight};
use serde_json::{Value, json};

use crate::Verdict;

/// Sizes without traffic routing.
pub(crate) fn replicas_basic(row: &Value) -> Verdict {
    let Row { replicas, canary, position, sizes } = match Row::read(row) {
        Ok(row) => row,
        Err(reason) => return Verdict::Skipped(reason),
    };
    let limits = Limits::of(&canary, replicas);
    let Counts { canary: new, stable } = replicas::wanted(replicas, &canary, &position, &sizes);
    let at_desired = at_desired(row, replicas, &canary, &position, &sizes);
    let verdict = Verdict::equal(
        &json!([
            row["max_surge"],
            row["max_unavailable"],
            row["out_new"],
            row["out_stable"],
            row["at_desired"]
        ]),
        &json!([limits.surge, limits.unavailable, new, stable, at_desired]),
    );
    let share = i64::from(replicas) * i64::from(weight::set_weight(&canary, &position).percent());
    match verdict {
        Verdict::Failed(_) if limits.surge == 0 && share == i64::from(replicas) * 100 - 50 => {
            Verdict::Skipped("Argo gives the canary nothing where half a pod is missing to all of them")
        }
        verdict => verdict,
    }
}

/// Sizes with traffic routing.
pub(crate) fn replicas_routed(row: &Value) -> Verdict {
    let Row { replicas, canary, position, sizes } = match Row::read(row) {
        Ok(row) => row,
        Err(reason) => return Verdict::Skipped(reason),
    };
    let Counts { canary: new, stable } = replicas::wanted(replicas, &canary, &position, &sizes);
    let at_desired = at_desired(row, replicas, &canary, &position, &sizes);
    let verdict = Verdict::equal(
        &json!([row["out_new"], row["out_stable"], row["at_desired"]]),
        &json!([new, stable, at_desired]),
    );
    unless_walked_back(&canary, &position, verdict)
}

/// Which weight holds.
pub(crate) fn weight_in_force(row: &Value) -> Verdict {
    let Row { replicas, canary, position, sizes } = match Row::read(row) {
        Ok(row) => row,
        Err(reason) => return Verdict::Skipped(reason),
    };
    let total = canary.routing.total();
    let set_weight = weight::set_weight(&canary, &position).parts(total);
    let (pods, canary_weight) = match weight::canary_size(&canary, &position) {
        CanarySize::Pods(pods) => (json!(pods), 0),
        CanarySize::Weight(weight) => (Value::Null, weight.parts(total)),
    };
    let scale = match weight::canary_scale(&canary, &position) {
        Some(CanaryScale::Pods(pods)) => json!({"replicas": pods}),
        Some(CanaryScale::Weight(weight)) => json!({"weight": weight.parts(total)}),
        Some(CanaryScale::MatchTrafficWeight) | None => Value::Null,
    };
    let has_step = weight::current_step(&canary, &position).is_some();
    let verdict = Verdict::equal(
        &json!([
            row["current_set_weight"],
            row["desired_canary_weight"],
            row["canary_replicas_override"],
            row["canary_weight"],
            row["use_set_canary_scale"],
            row["before_starting_step"],
            !row["current_step"].is_null(),
            row["at_desired"],
        ]),
        &json!([
            set_weight,
            set_weight,
            pods,
            canary_weight,
            scale,
            canary.analysis.is_some() && weight::background(&canary, &position).is_none(),
            has_step,
            at_desired(row, replicas, &canary, &position, &sizes),
        ]),
    );
    unless_walked_back(&canary, &position, verdict)
}

/// After an abort with `dynamicStableScale` Argo walks back through the weights of the steps as stable pods come. Here
/// the traffic follows the pods themselves, and both sizes follow the traffic.
fn unless_walked_back(canary: &Canary, position: &Position, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Failed(_) if canary.dynamic_stable_scale && position.aborted => {
            Verdict::Skipped("Argo walks back through the steps; here traffic follows the stable pods")
        }
        verdict => verdict,
    }
}

/// We never ask whether a step is done where the newest version is the stable one; Argo's answer there means nothing
/// (it compares one ReplicaSet with both counts), so it is taken as given.
fn at_desired(row: &Value, replicas: i32, canary: &Canary, position: &Position, sizes: &Sizes) -> Value {
    if row["new_rs"]["name"] == row["stable_rs"]["name"] {
        return row["at_desired"].clone();
    }
    replicas::at_desired(replicas, canary, position, sizes).into()
}

struct Row {
    replicas: i32,
    canary: Canary,
    position: Position,
    sizes: Sizes,
}

impl Row {
    /// The rows are no valid Rollouts (no selector, no template, no Services), so they do not come in through
    /// `Spec::parse`. The error is the reason for skipping the row.
    fn read(row: &Value) -> Result<Self, &'static str> {
        let spec = &row["rollout"]["spec"];
        let written = &spec["strategy"]["canary"];
        let routing = &written["trafficRouting"];
        let total = routing
            .get("maxTrafficWeight")
            .map(|most| number(most).and_then(Total::new).expect("the rows have totals that divide 10000"));
        let canary = Canary {
            guard: None,
            steps: steps(&written["steps"], total.unwrap_or(Total::PERCENT))?,
            analysis: background(&written["analysis"]),
            max_surge: amount(&written["maxSurge"], routing)?,
            max_unavailable: amount(&written["maxUnavailable"], routing)?,
            routing: routing_of(routing, total),
            min_pods: number(&written["minPodsPerReplicaSet"]).unwrap_or(0),
            dynamic_stable_scale: written["dynamicStableScale"] == json!(true),
            threshold: serde_json::from_value(written["replicaProgressThreshold"].clone()).unwrap_or(None),
            canary_metadata: None,
            stable_metadata: None,
            anti_affinity: None,
            scale_down_delay: TimeDelta::zero(),
            scale_down_delay_revision_limit: None,
            abort_scale_down_delay: match number(&written["abortScaleDownDelaySeconds"]) {
                Some(0) => None,
                seconds => Some(TimeDelta::seconds(seconds.unwrap_or(30).into())),
            },
        };
        let status: RolloutStatus =
            serde_json::from_value(row["rollout"].get("status").cloned().unwrap_or_else(|| json!({})))
                .expect("the status of a row is a status");
        let same = row["new_rs"]["name"] == row["stable_rs"]["name"];
        Ok(Self {
            replicas: number(&spec["replicas"]).unwrap_or(1),
            canary,
            position: Position::of(&status),
            sizes: Sizes {
                canary: size(&row["new_rs"]),
                stable: if same { None } else { size(&row["stable_rs"]) },
                carried: carried(&status, total.unwrap_or(Total::PERCENT)),
                older: row["older_rss"].as_array().into_iter().flatten().filter_map(size).collect(),
            },
        })
    }
}

/// Argo takes what it wrote last for what is served.
fn carried(status: &RolloutStatus, total: Total) -> Carried {
    let Some(weights) = &status.canary.weights else { return Carried::default() };
    let carried = |weight: i32| {
        let parts = weight.clamp(0, total.parts());
        Weight::new(parts, total).expect("it is within the total")
    };
    Carried { canary: carried(weights.canary.weight), stable: carried(weights.stable.weight) }
}

/// When it begins; what it runs does not matter here.
fn background(written: &Value) -> Option<Background> {
    let starting_step = written.get("startingStep")?.as_u64().and_then(|it| it.try_into().ok());
    let analysis = Analysis {
        templates: Vec::new(),
        arguments: Vec::new(),
        dry_run: Vec::new(),
        retention: Vec::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    };
    Some(Background { analysis, starting_step: starting_step.expect("an index") })
}

/// Steps that neither set a weight nor a scale are read as pauses: for this arithmetic they are the same.
fn steps(written: &Value, total: Total) -> Result<Vec<Step>, &'static str> {
    let steps: Vec<CanaryStep> = serde_json::from_value(written.clone()).unwrap_or_default();
    let weight = |weight| Weight::new(weight, total).ok_or("a weight above its total is refused");
    steps
        .iter()
        .map(|step| match (step.set_weight, step.set_canary_scale) {
            (Some(_), Some(_)) => Err("two kinds in one step are refused"),
            (Some(percent), None) => weight(percent).map(Step::SetWeight),
            (None, Some(scale)) => {
                Ok(Step::SetCanaryScale(match (scale.match_traffic_weight, scale.replicas, scale.weight) {
                    (true, _, _) | (_, None, None) => CanaryScale::MatchTrafficWeight,
                    (false, Some(pods), _) => CanaryScale::Pods(pods),
                    (false, None, Some(percent)) => CanaryScale::Weight(weight(percent)?),
                }))
            }
            (None, None) => Ok(Step::Pause(None)),
        })
        .collect()
}

fn routing_of(written: &Value, total: Option<Total>) -> Routing {
    if written.is_null() {
        return Routing::Replicas { stable_service: None, canary_service: None };
    }
    let confirm = operator_core::spec::Confirm {
        settle: TimeDelta::zero(),
        warn_after: TimeDelta::zero(),
        drain_deadline: TimeDelta::zero(),
    };
    Routing::Mappings(MappingRouting {
        names: vec!["m".to_owned()],
        stable_service: "stab".to_owned(),
        canary_service: "can".to_owned(),
        ping_pong: None,
        confirm,
        ingress: Some(IngressRouting {
            prefix: String::new(),
            additional: BTreeMap::new(),
            own: BTreeMap::new(),
            total,
        }),
        gateway: None,
    })
}

fn amount(written: &Value, routing: &Value) -> Result<Amount, &'static str> {
    let unused = !routing.is_null();
    if unused || written.is_null() {
        return Ok(Amount::DEFAULT);
    }
    serde_json::from_value(written.clone())
        .ok()
        .and_then(|written| Amount::parse(&written))
        .ok_or("an unreadable maxSurge or maxUnavailable is refused")
}

fn size(written: &Value) -> Option<Size> {
    let count = |field: &str| number(&written[field]);
    Some(Size { replicas: count("replicas")?, created: count("created")?, available: count("available")? })
}

fn number(written: &Value) -> Option<i32> {
    written.as_i64().and_then(|number| i32::try_from(number).ok())
}
