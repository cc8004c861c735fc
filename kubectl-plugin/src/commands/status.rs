//! `status`.

use crds::rollout::RolloutPhase;
use futures::{Stream, TryStreamExt as _};
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watch_object};

use crate::arguments;
use crate::cluster::Cluster;
use crate::commands;
use crate::failure::Failure;
use crate::output::Output;
use crate::phase::{self, Phase};
use crate::waiting::{self, PATIENCE, Spinner};

/// Prints the phase of a Rollout; with `--watch` again on every change, until it is Healthy (success) or Degraded
/// (failure). A paused Rollout is waited for.
pub async fn run(cluster: &Cluster, arguments: &arguments::Status, output: Output) -> Result<(), Failure> {
    let name = &arguments.name;
    let phase = phase::of(&waiting::on(waiting::API, commands::rollout(cluster, name)).await?);
    if !arguments.watch {
        output.write(&once(&phase))?;
        return end(&phase).unwrap_or(Ok(()));
    }
    output.write(&line(&phase))?;
    let objects = watch_object(cluster.rollouts(), name).default_backoff();
    let waiting = wait(objects, name, phase, output);
    if arguments.timeout.is_zero() {
        waiting.await
    } else {
        tokio::time::timeout(arguments.timeout, waiting).await.unwrap_or(Err(Failure::Timeout))
    }
}

/// Without `--watch` the message of a finished Rollout is not printed here; that of a Degraded one is in the error.
fn once(phase: &Phase) -> String {
    if end(phase).is_some() { format!("{}\n", phase.phase.as_str()) } else { line(phase) }
}

/// `Phase - message`, or the phase alone.
fn line(phase: &Phase) -> String {
    if phase.message.is_empty() {
        format!("{}\n", phase.phase.as_str())
    } else {
        format!("{} - {}\n", phase.phase.as_str(), phase.message)
    }
}

/// How it ended, if it has.
fn end(phase: &Phase) -> Option<Result<(), Failure>> {
    match phase.phase {
        RolloutPhase::Healthy => Some(Ok(())),
        RolloutPhase::Degraded => Some(Err(Failure::Degraded(phase.message.clone()))),
        RolloutPhase::Progressing | RolloutPhase::Paused => None,
    }
}

type Watched = Result<Option<Option<DynamicObject>>, watcher::Error>;

async fn wait(
    objects: impl Stream<Item = Result<Option<DynamicObject>, watcher::Error>>,
    name: &str,
    mut phase: Phase,
    output: Output,
) -> Result<(), Failure> {
    let mut objects = std::pin::pin!(objects);
    let mut patience = std::pin::pin!(tokio::time::sleep(PATIENCE));
    let mut spinner = None;
    let aside = |spinner: &Option<Spinner>, text: &str| match spinner {
        Some(spinner) => spinner.aside(|| output.write(text)),
        None => output.write(text),
    };
    loop {
        if let Some(end) = end(&phase) {
            return end;
        }
        tokio::select! {
            watched = objects.try_next() => match observed(watched, name)? {
                Observed::Phase(next) if next != phase => {
                    phase = next;
                    aside(&spinner, &line(&phase))?;
                }
                Observed::Phase(_) => {}
                Observed::Problem(problem) => output.warn_all(problem.as_slice()),
            },
            () = &mut patience, if spinner.is_none() => {
                spinner = Some(Spinner::start(&format!("waiting for rollout '{name}'")));
            }
        }
    }
}

enum Observed {
    Phase(Phase),
    Problem(Option<String>),
}

/// What the watch says: a phase, or that it is broken and tried again; that the Rollout is gone ends everything.
fn observed(watched: Watched, name: &str) -> Result<Observed, Failure> {
    match watched {
        Ok(Some(Some(object))) => Ok(Observed::Phase(phase::of(&commands::read(object)?))),
        Ok(Some(None) | None) => Err(Failure::Refused(format!("rollouts.argoproj.io \"{name}\" not found"))),
        Err(error) => Ok(Observed::Problem(commands::watch_problem(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(phase: RolloutPhase, message: &str) -> Phase {
        Phase { phase, message: message.to_owned() }
    }

    #[test]
    fn only_healthy_and_degraded_end_the_wait() {
        assert!(matches!(end(&phase(RolloutPhase::Healthy, "")), Some(Ok(()))));
        let degraded = end(&phase(RolloutPhase::Degraded, "RolloutAborted: x")).unwrap().unwrap_err();
        assert_eq!(
            degraded.to_string(),
            "The rollout is in a degraded state with message: RolloutAborted: x"
        );
        for waiting in [RolloutPhase::Paused, RolloutPhase::Progressing] {
            assert!(end(&phase(waiting, "")).is_none(), "{waiting:?}");
        }
    }

    #[test]
    fn a_single_look_leaves_the_message_of_a_degraded_rollout_to_the_error() {
        assert_eq!(once(&phase(RolloutPhase::Degraded, "why")), "Degraded\n");
        assert_eq!(once(&phase(RolloutPhase::Paused, "CanaryPauseStep")), "Paused - CanaryPauseStep\n");
        assert_eq!(line(&phase(RolloutPhase::Degraded, "why")), "Degraded - why\n");
    }
}
