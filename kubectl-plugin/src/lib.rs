//! `kubectl sluice`: everything that `kubectl argo rollouts` does to Rollouts, with the same words and output.
//!
//! | module | what |
//! |---|---|
//! | [`arguments`] | the command line |
//! | [`commands`] | one file a command: fetch, decide, apply, one line of output |
//! | [`manifest`] | what files hold, and what is wrong with it (pure) |
//! | [`patch`] | what a command asks of the API server (pure) |
//! | [`view`] | what is shown of a Rollout (pure) |
//! | [`counts`] | how many requests went where, as the proxies tell (pure) |
//! | [`phase`] | the phase of a Rollout (pure) |
//! | [`cluster`], [`output`], [`waiting`], [`failure`] | the API server, the terminal, what goes wrong |

pub mod arguments;
pub mod cluster;
pub mod commands;
pub mod counts;
pub mod failure;
pub mod manifest;
pub mod output;
pub mod patch;
pub mod phase;
pub mod view;
pub mod waiting;

use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::CommandFactory as _;

use self::arguments::{
    Arguments, Command, Create, Explain, ExplainWhat, Get, List, OnCluster, Retry, Set, Terminate,
};
use self::cluster::Cluster;
use self::commands::get::Root;
use self::commands::{
    change, create, explain, get, lint, list, plan, promote, restart, routes, set_image, status, undo,
    version,
};
use self::failure::Failure;
use self::output::Output;

/// Runs one command.
pub async fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    match &arguments.command {
        Command::Plan(arguments) => Ok(output.write(&plan::run(arguments, output.paint())?)?),
        Command::Version(version) => Ok(output.write(&version::run(version.short))?),
        Command::Lint { file } => lint::run(file, output),
        Command::Completion { shell } => Ok(output.write(&completion(*shell))?),
        Command::OnCluster(command) => {
            let connecting = Cluster::connect(&arguments.connection);
            let cluster = waiting::on("reading the kubeconfig", connecting).await?;
            // On the heap, because it holds what the largest command holds.
            Box::pin(on_cluster(&cluster, command, output)).await
        }
    }
}

async fn on_cluster(cluster: &Cluster, command: &OnCluster, output: Output) -> Result<(), Failure> {
    match command {
        OnCluster::Get(Get::Rollout(it)) => {
            let timeout = Some(it.timeout_seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs);
            if it.watch {
                return get::watch::run(cluster, Root::Rollout, &it.name, now, output, timeout).await;
            }
            get(cluster, Root::Rollout, &it.name, output).await
        }
        OnCluster::Get(Get::Experiment(it)) => {
            if it.watch {
                return get::watch::run(cluster, Root::Experiment, &it.name, now, output, None).await;
            }
            get(cluster, Root::Experiment, &it.name, output).await
        }
        OnCluster::List(List::Rollouts(arguments)) => list::run(cluster, arguments, now, output).await,
        OnCluster::Create(Create { of: Some(arguments::CreateOf::Analysisrun(arguments)), .. }) => {
            say(create::analysis_run(cluster, arguments), output).await
        }
        OnCluster::Create(arguments) => create_objects(cluster, arguments, output).await,
        OnCluster::List(List::Experiments(arguments)) => list_experiments(cluster, *arguments, output).await,
        OnCluster::Routes(arguments) => {
            let listing = Box::pin(routes::list(cluster, arguments, output.paint()));
            show(listing, output).await
        }
        OnCluster::Explain(Explain { what: Some(ExplainWhat::Route(arguments)), .. }) => {
            show(Box::pin(routes::explain(cluster, arguments)), output).await
        }
        OnCluster::Explain(Explain { rollout, .. }) => {
            let name = rollout.as_deref().unwrap_or_default();
            Ok(output.write(&waiting::on(waiting::API, explain::rollout(cluster, name)).await?)?)
        }
        OnCluster::Status(arguments) => status::run(cluster, arguments, output).await,
        OnCluster::Promote(arguments) => {
            arguments.deprecation().into_iter().for_each(|text| output.warn(text));
            say(Box::pin(promote::run(cluster, &arguments.name, arguments.promotion())), output).await
        }
        OnCluster::Abort(names) => {
            each(&names.names, async |name| change::abort(cluster, name).await, output).await
        }
        OnCluster::Pause(names) => {
            each(&names.names, async |name| change::pause(cluster, name).await, output).await
        }
        OnCluster::Retry(Retry::Rollout(names)) => {
            each(&names.names, async |name| change::retry_rollout(cluster, name).await, output).await
        }
        OnCluster::Retry(Retry::Experiment { names }) => {
            each(names, async |name| change::retry_experiment(cluster, name).await, output).await
        }
        OnCluster::Terminate(Terminate::Analysisrun { names }) => {
            each(names, async |name| change::terminate_analysis_run(cluster, name).await, output).await
        }
        OnCluster::Terminate(Terminate::Experiment { names }) => {
            each(names, async |name| change::terminate_experiment(cluster, name).await, output).await
        }
        OnCluster::Restart(arguments) => {
            say(restart::run(cluster, &arguments.name, arguments.after.as_deref(), now()), output).await
        }
        OnCluster::Undo(arguments) => {
            say(undo::run(cluster, &arguments.name, arguments.to_revision), output).await
        }
        OnCluster::Set(Set::Image { name, images }) => {
            say(set_image::run(cluster, name, images), output).await
        }
    }
}

/// Shows a tree once.
async fn get(cluster: &Cluster, root: Root, name: &str, output: Output) -> Result<(), Failure> {
    // On the heap, because it holds four lists under way.
    let getting = Box::pin(get::run(cluster, root, name, now(), output.paint()));
    let (text, warnings) = waiting::on(waiting::API, getting).await?;
    output.warn_all(&warnings);
    Ok(output.write(&text)?)
}

async fn list_experiments(
    cluster: &Cluster,
    arguments: arguments::ListExperiments,
    output: Output,
) -> Result<(), Failure> {
    let listing = commands::list_experiments::run(cluster, arguments, now());
    let Some((text, warnings)) = waiting::on(waiting::API, listing).await? else {
        output.warn("No resources found.");
        return Ok(());
    };
    output.warn_all(&warnings);
    Ok(output.write(&text)?)
}

async fn create_objects(cluster: &Cluster, arguments: &Create, output: Output) -> Result<(), Failure> {
    let objects = create::read(&arguments.files, arguments.watch)?;
    for object in &objects {
        say(create::run(cluster, object), output).await?;
    }
    match objects.as_slice() {
        [rollout] if arguments.watch => {
            get::watch::run(cluster, Root::Rollout, rollout.name(), now, output, None).await
        }
        _ => Ok(()),
    }
}

/// Runs a command that answers with a text, and prints it after what it warns of.
async fn show(
    command: impl Future<Output = Result<(String, Vec<String>), Failure>>,
    output: Output,
) -> Result<(), Failure> {
    let (text, warnings) = waiting::on(waiting::API, command).await?;
    output.warn_all(&warnings);
    Ok(output.write(&text)?)
}

/// Runs a command that answers with a line, and prints the line.
async fn say(command: impl Future<Output = Result<String, Failure>>, output: Output) -> Result<(), Failure> {
    let line = waiting::on(waiting::API, command).await?;
    Ok(output.write(&line)?)
}

/// Runs a command for one name after the other, up to the first that fails.
async fn each<'a>(
    names: &'a [String],
    command: impl AsyncFn(&'a str) -> Result<String, Failure>,
    output: Output,
) -> Result<(), Failure> {
    for name in names {
        say(command(name), output).await?;
    }
    Ok(())
}

fn completion(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "kubectl-sluice", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only clock of this shell: ages and `restart` need the time of day"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}
