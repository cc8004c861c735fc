//! Takes the measurements of a pass, all at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use crds::{
    AnalysisRun,
    analysis::{AnalysisPhase, Measurement, Metric, SecretKeyRef},
};
use futures::future::join_all;
use operator_analysis::{
    arguments::{self, Secrets},
    condition,
    plan::{Step, Taken, Task},
    traffic::Question,
};
use operator_core::traffic::ObjectName;
use tracing::info;

use super::{
    Stores,
    execute::{self, Executor},
    providers::{
        Asked, Asking, Keys, Profile, Provider, Sample,
        job::{self, Progress},
        sluice::{self, Hashes, Holder},
        unsupported,
    },
};
use crate::{
    clock,
    errors::chain,
    rollouts::{Index, key},
    traffic::TrafficStore,
};

/// The longest value or message that is recorded, in bytes: an object has room for about a megabyte in all.
const LONGEST_TEXT: usize = 4096;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The arguments have no values: the run cannot go on.
    #[error("{0}")]
    Arguments(String),
    /// The API server did not answer. Later it may.
    #[error(transparent)]
    Api(#[from] execute::Error),
}

/// Takes measurements.
pub(super) struct Measurer {
    pub stores: Arc<Stores>,
    pub executor: Executor,
    pub asking: Asking,
    /// What the proxies count.
    pub traffic: Arc<TrafficStore>,
}

impl Measurer {
    /// Takes the measurements of all tasks.
    pub(super) async fn measure(&self, run: &AnalysisRun, tasks: &[Task]) -> Result<Vec<Taken>, Error> {
        let given = &run.spec.args;
        let secrets = self.secrets(run, tasks).await?;
        let filled: Result<Vec<Metric>, _> =
            tasks.iter().map(|it| arguments::with_secrets(&it.metric, given, &secrets)).collect();
        let filled = filled.map_err(|why| Error::Arguments(secrets.redact(&why.to_string())))?;
        let taken = tasks.iter().zip(&filled).map(|(task, metric)| self.take(run, task, metric));
        let mut taken = join_all(taken).await;
        for Taken { measurement, metadata, .. } in &mut taken {
            redact(measurement, metadata, &secrets);
        }
        Ok(taken)
    }

    /// The secrets that the tasks refer to, and no others.
    async fn secrets(&self, run: &AnalysisRun, tasks: &[Task]) -> Result<Secrets, Error> {
        let wanted = tasks.iter().flat_map(|it| arguments::secrets_of(&it.metric, &run.spec.args));
        let mut keys: BTreeMap<String, Vec<SecretKeyRef>> = BTreeMap::new();
        for reference in wanted {
            keys.entry(reference.name.clone()).or_default().push(reference);
        }
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let mut secrets = Secrets::default();
        for (name, references) in keys {
            let secret = match self.executor.read_secret(&ObjectName::new(namespace, name)).await {
                Ok(secret) => secret,
                // It is not there, or not for us: no waiting helps.
                Err(error) => match error.refusal() {
                    Some((404 | 403, message)) => return Err(Error::Arguments(message.to_owned())),
                    _ => return Err(error.into()),
                },
            };
            for reference in references {
                if let Some(value) = secret.get(&reference.key) {
                    secrets.add(&reference, value);
                }
            }
        }
        Ok(secrets)
    }

    async fn take(&self, run: &AnalysisRun, task: &Task, metric: &Metric) -> Taken {
        let now = clock::now();
        let begun = match &task.step {
            Step::Take => Measurement { started_at: Some(now), ..Measurement::default() },
            Step::Resume(running) | Step::Terminate(running) => running.clone(),
        };
        let mut metadata = BTreeMap::new();
        let measurement = match Provider::of(&metric.provider) {
            Provider::Asked(asked) => {
                metadata = asked.metadata();
                match &task.step {
                    Step::Terminate(_) => ended(begun, AnalysisPhase::Successful, None),
                    // One that was left under way, by a controller that has ended, is asked for again.
                    Step::Take | Step::Resume(_) => self.ask(run, asked, metric, begun, now).await,
                }
            }
            Provider::Job(configuration) => match &task.step {
                Step::Take => self.create(run, &metric.name, task.number, configuration, begun).await,
                Step::Resume(_) => self.resume(run, begun).await,
                Step::Terminate(_) => self.terminate(run, begun).await,
            },
            Provider::Sluice(question) => match &task.step {
                Step::Terminate(_) => ended(begun, AnalysisPhase::Successful, None),
                Step::Take | Step::Resume(_) => {
                    let asked = async { self.ask_proxies(run, question?, now).await };
                    measured(asked.await, begun, metric, now)
                }
            },
            Provider::Unsupported(name) => ended(begun, AnalysisPhase::Error, Some(unsupported(name))),
        };
        Taken { metric: metric.name.clone(), step: task.step.clone(), measurement, metadata }
    }

    async fn ask(
        &self,
        run: &AnalysisRun,
        asked: Asked<'_>,
        metric: &Metric,
        begun: Measurement,
        now: DateTime<Utc>,
    ) -> Measurement {
        let keys = match asked.profile() {
            None => Ok(Keys::new()),
            Some(profile) => self.keys(run, &profile).await,
        };
        let asked = async |keys: Keys| {
            let sample = asked.measure(&self.asking, &keys, now).await;
            sample.map_err(|why| without(&why, &keys))
        };
        measured(async { asked(keys?).await }.await, begun, metric, now)
    }

    /// Asks what the proxies have counted.
    async fn ask_proxies(
        &self,
        run: &AnalysisRun,
        question: Question,
        now: DateTime<Utc>,
    ) -> Result<Sample, String> {
        let holder = sluice::holder(&question, run)?;
        let hashes = match &holder {
            None => None,
            Some(Holder::Rollout(name)) => Some(self.executor.read_versions(name).await.map(Hashes::Rollout)),
            Some(Holder::Experiment(name)) => {
                Some(self.executor.read_templates(name).await.map(Hashes::Experiment))
            }
        };
        let hashes = hashes.transpose().map_err(|error| said(&error))?;
        let subject = sluice::subject(&question, run, holder.as_ref().zip(hashes.as_ref()))?;
        sluice::measure(&question, &subject, &self.traffic, now.timestamp())
    }

    /// The values of the Secret of a provider.
    async fn keys(&self, run: &AnalysisRun, profile: &Profile) -> Result<Keys, String> {
        let own = run.metadata.namespace.as_deref().unwrap_or_default();
        let namespace = if profile.namespaced { own } else { self.asking.namespace.as_str() };
        let secret = self.executor.read_secret(&ObjectName::new(namespace, profile.secret.clone())).await;
        secret.map(|it| it.all()).map_err(|error| said(&error))
    }

    /// Creates the Job of a measurement, or finds that a pass before this one has.
    async fn create(
        &self,
        run: &AnalysisRun,
        metric: &str,
        number: i32,
        configuration: &serde_json::Value,
        begun: Measurement,
    ) -> Measurement {
        let failed = |begun, why| ended(begun, AnalysisPhase::Error, Some(why));
        let manifest = match job::manifest(run, metric, number, configuration) {
            Ok(manifest) => manifest,
            Err(why) => return failed(begun, why),
        };
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
        let name = ObjectName::new(namespace, name);
        let created = match self.executor.create_job(namespace, &manifest).await {
            Err(error) if error.refusal().is_some_and(|(code, _)| code == 409) => {
                match self.executor.read_job(&name).await {
                    Ok(existing) if job::is_of(&existing, run) => Ok(existing),
                    _ => Err(error),
                }
            }
            created => created,
        };
        match created {
            Ok(job) => {
                info!(job = %name, "created a Job to measure with");
                self.stores.jobs.written(job);
                let metadata = job::metadata(namespace, &name.name);
                Measurement { phase: Some(AnalysisPhase::Running), metadata, ..begun }
            }
            Err(error) => failed(begun, said(&error)),
        }
    }

    async fn resume(&self, run: &AnalysisRun, running: Measurement) -> Measurement {
        let name = match job_name(run, &running) {
            Ok(name) => name,
            Err(why) => return ended(running, AnalysisPhase::Error, Some(why)),
        };
        let job = match self.stores.jobs.get(&name) {
            Some(job) => job,
            None => match self.executor.read_job(&name).await {
                Ok(job) => Arc::new(job),
                Err(error) => match error.refusal() {
                    Some(_) => return ended(running, AnalysisPhase::Error, Some(said(&error))),
                    // Not reached: the Job goes on all the same.
                    None => return running,
                },
            },
        };
        let owner = Index::Controller(job.metadata.uid.clone().unwrap_or_default());
        let pods = self.stores.pods.find(&owner);
        match job::progress(&job, pods.iter().map(AsRef::as_ref)) {
            Progress::Running => running,
            Progress::Complete => ended(running, AnalysisPhase::Successful, None),
            Progress::Failed => ended(running, AnalysisPhase::Failed, None),
            Progress::Stuck(why) => ended(running, AnalysisPhase::Inconclusive, Some(why)),
        }
    }

    async fn terminate(&self, run: &AnalysisRun, running: Measurement) -> Measurement {
        let name = match job_name(run, &running) {
            Ok(name) => name,
            Err(why) => return ended(running, AnalysisPhase::Error, Some(why)),
        };
        match self.executor.delete_job(&name).await {
            Ok(()) => ended(running, AnalysisPhase::Successful, None),
            Err(error) => ended(running, AnalysisPhase::Error, Some(said(&error))),
        }
    }

    /// Deletes the Jobs of a run that belong to no measurement that is kept.
    pub(super) async fn forget_jobs(&self, run: &AnalysisRun) -> Result<(), execute::Error> {
        let Some(uid) = &run.metadata.uid else { return Ok(()) };
        let results = run.status.iter().flat_map(|it| &it.metric_results);
        let kept: BTreeSet<&str> = results
            .flat_map(|it| &it.measurements)
            .filter_map(|it| it.metadata.get(job::JOB_NAME).map(String::as_str))
            .collect();
        for job in self.stores.jobs.find(&Index::Controller(uid.clone())) {
            let name = key(&job.metadata);
            let leaving = job.metadata.deletion_timestamp.is_some();
            if !leaving && !kept.contains(name.name.as_str()) {
                self.executor.delete_job(&name).await?;
                info!(job = %name, "deleted the Job of a measurement that is not kept");
            }
        }
        Ok(())
    }
}

/// An error without the credentials of its provider.
fn without(why: &str, keys: &Keys) -> String {
    let secret = |name: &str| ["api-key", "app-key", "personal-api-key", "authToken"].contains(&name);
    let secrets = keys.iter().filter(|(name, value)| secret(name) && !value.is_empty());
    secrets.fold(why.to_owned(), |text, (_, value)| text.replace(value.as_str(), "*****"))
}

/// What the API server says, without our own words.
fn said(error: &execute::Error) -> String {
    error.refusal().map_or_else(|| chain(error), |(_, message)| message.to_owned())
}

fn job_name(run: &AnalysisRun, running: &Measurement) -> Result<ObjectName, String> {
    let name = running.metadata.get(job::JOB_NAME).filter(|it| !it.is_empty());
    let name = name.ok_or_else(|| "job metadata reference missing".to_owned())?;
    Ok(ObjectName::new(run.metadata.namespace.clone().unwrap_or_default(), name.clone()))
}

fn ended(begun: Measurement, phase: AnalysisPhase, message: Option<String>) -> Measurement {
    Measurement { phase: Some(phase), message, finished_at: Some(clock::now()), resume_at: None, ..begun }
}

fn measured(
    sample: Result<Sample, String>,
    begun: Measurement,
    metric: &Metric,
    now: DateTime<Utc>,
) -> Measurement {
    match sample {
        Ok(sample) => judged(begun, sample, metric, now),
        Err(why) => ended(begun, AnalysisPhase::Error, Some(why)),
    }
}

/// What a sample means. One that cannot be judged shows no value, as in Argo.
fn judged(begun: Measurement, sample: Sample, metric: &Metric, now: DateTime<Utc>) -> Measurement {
    let (success, failure) = (metric.success_condition.as_deref(), metric.failure_condition.as_deref());
    let verdict = condition::judge(&sample.result, success, failure, now);
    let measurement = ended(begun, verdict.phase, verdict.error);
    if measurement.phase == Some(AnalysisPhase::Error) {
        return measurement;
    }
    Measurement { value: sample.text, metadata: sample.metadata, ..measurement }
}

/// Takes secrets out of all texts, and cuts what is too long.
fn redact(measurement: &mut Measurement, metadata: &mut BTreeMap<String, String>, secrets: &Secrets) {
    let texts = measurement.message.iter_mut().chain([&mut measurement.value]);
    for text in texts.chain(measurement.metadata.values_mut()).chain(metadata.values_mut()) {
        *text = shortened(secrets.redact(text));
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push('…');
    }
    text
}
