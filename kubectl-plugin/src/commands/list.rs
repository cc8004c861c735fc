//! `list rollouts`.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use futures::TryStreamExt as _;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use kube::{Api, ResourceExt as _};

use crate::arguments::ListRollouts;
use crate::cluster::Cluster;
use crate::commands;
use crate::failure::Failure;
use crate::output::Output;
use crate::view::list::{Extra, Row, render, render_row};
use crate::waiting;

/// Prints a table, and with `--watch` a row for every change until the output is closed.
pub async fn run(
    cluster: &Cluster,
    arguments: &ListRollouts,
    clock: fn() -> DateTime<Utc>,
    output: Output,
) -> Result<(), Failure> {
    let rollouts = if arguments.all_namespaces { cluster.all_rollouts() } else { cluster.rollouts() };
    let rows = waiting::on(waiting::API, rows(&rollouts, arguments)).await?;
    if rows.is_empty() && !arguments.watch {
        output.warn("No resources found.");
        return Ok(());
    }
    output.write(&render(&rows, &extra(arguments, clock)))?;
    if arguments.watch { watch(rollouts, arguments, clock, output, rows).await } else { Ok(()) }
}

async fn rows(rollouts: &Api<DynamicObject>, arguments: &ListRollouts) -> Result<Vec<Row>, Failure> {
    let parameters = ListParams { field_selector: by_name(arguments), ..ListParams::default() };
    let list = rollouts.list(&parameters).await.map_err(|error| Failure::on("rollouts", error))?;
    Ok(list.items.into_iter().map(row).collect())
}

async fn watch(
    rollouts: Api<DynamicObject>,
    arguments: &ListRollouts,
    clock: fn() -> DateTime<Utc>,
    output: Output,
    rows: Vec<Row>,
) -> Result<(), Failure> {
    let config = Config { field_selector: by_name(arguments), ..Config::default() };
    let mut printed: BTreeMap<_, _> = rows.into_iter().map(|row| (row.key(), row)).collect();
    let mut events = std::pin::pin!(watcher(rollouts, config).default_backoff().applied_objects());
    loop {
        match events.try_next().await {
            Ok(Some(object)) => {
                let row = row(object);
                if printed.get(&row.key()) != Some(&row) {
                    output.write(&render_row(&row, &extra(arguments, clock)))?;
                    printed.insert(row.key(), row);
                }
            }
            Ok(None) => return Ok(()),
            Err(error) => output.warn_all(commands::watch_problem(&error).as_slice()),
        }
    }
}

/// A Rollout that cannot be read has a row all the same, and does not hide the others.
fn row(object: DynamicObject) -> Row {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    commands::read(object).map_or_else(|_| Row::unreadable(&namespace, &name), |rollout| Row::of(&rollout))
}

fn by_name(arguments: &ListRollouts) -> Option<String> {
    arguments.name.as_ref().map(|name| format!("metadata.name={name}"))
}

fn extra(arguments: &ListRollouts, clock: fn() -> DateTime<Utc>) -> Extra {
    let now = || clock().to_rfc3339_opts(SecondsFormat::Secs, true);
    Extra { timestamp: arguments.timestamps.then(now), namespace: arguments.all_namespaces }
}
