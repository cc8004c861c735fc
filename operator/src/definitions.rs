//! Tells which fields of our objects the API server drops, because a definition that is served is not ours: by an event on
//! the definition, a metric, and a line in the log.
//!
//! An operator without the right to read definitions says so, and works all the same.
//!
//! | file | idea |
//! |---|---|
//! | `definition` | what is kept of a definition: what it drops |
//! | `words` | what is told of it |

mod definition;
mod words;

use std::time::Duration;

use crds::definition::SHARED;
use futures::future::join_all;
use kube::{Api, Client, runtime::watcher};
use operator_core::traffic::ObjectName;
use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::definition::Definition;
use crate::{
    events::{Recorder, Subject},
    lease::Tenure,
    rollouts::{Store, follow},
};

/// How long after a refusal it is asked again: a role may be extended.
const REFUSED: Duration = Duration::from_mins(10);

/// What looks at definitions.
pub(crate) struct Watcher {
    client: Client,
    teller: Teller,
}

/// Who tells what.
struct Teller {
    /// Where events go; `None`: there is no right to write them where they belong.
    recorder: Option<Recorder>,
    /// Only the holder records events.
    tenure: watch::Receiver<Tenure>,
    gauge: IntGaugeVec,
    told: [Told; SHARED.len()],
}

/// What has been told of a definition.
#[derive(Debug, Default)]
struct Told {
    /// By the log and the metric.
    shown: Option<Vec<String>>,
    /// By an event.
    recorded: Option<Vec<String>>,
}

impl Watcher {
    /// One that records events while `tenure` holds.
    ///
    /// # Errors
    /// If the metric's name is taken.
    pub(crate) fn new(
        client: Client,
        registry: &Registry,
        recorder: Option<Recorder>,
        tenure: watch::Receiver<Tenure>,
    ) -> prometheus::Result<Self> {
        let help = "Fields that Sluice acts on and that the API server drops by this definition.";
        let gauge = IntGaugeVec::new(Opts::new("sluice_definition_pruned_fields", help), &["definition"])?;
        registry.register(Box::new(gauge.clone()))?;
        Ok(Self { client, teller: Teller { recorder, tenure, gauge, told: Default::default() } })
    }

    /// Looks and tells until `stop` is cancelled.
    pub(crate) async fn run(self, stop: &CancellationToken) {
        let Self { client, mut teller } = self;
        let definitions: Api<Definition> = Api::all(client);
        if stop.run_until_cancelled(until_allowed(&definitions)).await.is_none() {
            return;
        }
        let stores = SHARED.map(|name| (name, Store::<Definition>::new(|_| Vec::new())));
        let news = Notify::new();
        let watches = stores.iter().map(|(name, store)| {
            let alone = watcher::Config::default().fields(&format!("metadata.name={name}"));
            follow(definitions.clone(), alone, Some, store, |_| news.notify_one(), stop)
        });
        let telling = async {
            let mut tenure = teller.tenure.clone();
            loop {
                for (index, (name, store)) in stores.iter().enumerate() {
                    let found = store.get(&ObjectName::new("", *name));
                    teller.tell(index, name, found.as_deref());
                }
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = news.notified() => {}
                    Ok(()) = tenure.changed() => {}
                }
            }
        };
        tokio::join!(join_all(watches), telling);
    }
}

/// One question before five watches: if it is refused they would be, too.
async fn until_allowed(definitions: &Api<Definition>) {
    let mut said = false;
    while let Err(kube::Error::Api(status)) = definitions.get_metadata_opt(SHARED[0]).await {
        if status.code != 403 {
            // The watches tell.
            return;
        }
        if !std::mem::replace(&mut said, true) {
            warn!(
                problem = status.message,
                "definitions cannot be read, so nobody tells which fields they drop; the operator's role lacks get, list \
                 or watch on customresourcedefinitions"
            );
        }
        tokio::time::sleep(REFUSED).await;
    }
}

impl Teller {
    /// Tells what is new of one definition.
    fn tell(&mut self, index: usize, name: &str, found: Option<&Definition>) {
        let Self { recorder, tenure, gauge, told } = self;
        let told = &mut told[index];
        let Some(Definition { metadata, pruned }) = found else {
            if told.shown.take().is_some() {
                // It is not there if it was not shown.
                let _ = gauge.remove_label_values(&[name]);
            }
            return;
        };
        if told.shown.as_ref() != Some(pruned) {
            gauge.with_label_values(&[name]).set(i64::try_from(pruned.len()).unwrap_or(i64::MAX));
            if !pruned.is_empty() {
                warn!(definition = name, fields = ?pruned, "the API server drops fields that Sluice acts on");
            } else if told.shown.is_some() {
                info!(definition = name, "every field that Sluice acts on is kept");
            }
            told.shown = Some(pruned.clone());
        }
        let Some(recorder) = recorder.as_ref().filter(|_| tenure.borrow().holds(Instant::now())) else {
            return;
        };
        if let Some(event) = words::event(told.recorded.as_deref(), pruned) {
            recorder.record(&Subject::of_kind::<Definition>(metadata), &event);
        }
        told.recorded = Some(pruned.clone());
    }
}

#[cfg(test)]
mod tests;
