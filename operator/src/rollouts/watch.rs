//! Watches that survive everything: an API server out of reach, a kind that is not there yet, an expired version.

use std::{fmt::Debug, time::Duration};

use futures::StreamExt;
use kube::{
    Api, Resource,
    runtime::watcher::{self, Event},
};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::store::{Change, Store, Stored};
use crate::errors::chain;

/// The longest wait between two attempts: an API server that comes back is noticed within it.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Seconds after which a watch is started anew. A connection that has died without a sound is noticed within it.
const LONGEST_WATCH: u32 = 60;

/// Fills a store from a watch until `stop` is cancelled, and tells every change. `keep` says what is kept of an object;
/// `None`: nothing, as if the watch had not told of it.
pub(crate) async fn follow<K, S>(
    api: Api<K>,
    config: watcher::Config,
    keep: impl Fn(K) -> Option<S>,
    store: &Store<S>,
    changed: impl Fn(&Change<S>),
    stop: &CancellationToken,
) where
    K: Resource<DynamicType: Clone> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    S: Stored,
{
    let resource = api.resource_url().to_owned();
    let mut events = kube::runtime::watcher(api, config.timeout(LONGEST_WATCH)).boxed();
    let mut retry = Retry::default();
    let mut complaint = String::new();
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        match event {
            Ok(event) => {
                // `Init` only says that a list begins: it may still fail.
                if !matches!(event, Event::Init) {
                    retry = Retry::default();
                    if !std::mem::take(&mut complaint).is_empty() {
                        info!(resource, "the watch is back");
                    }
                }
                for change in kept(event, &keep).into_iter().flat_map(|it| store.apply(it)) {
                    changed(&change);
                }
            }
            Err(error) => {
                let problem = describe(&error);
                // A watch that ends and starts again is no news; neither is the same failure again.
                if problem != complaint && !is_routine(&error) {
                    warn!(resource, problem, "failed to watch; trying again");
                    complaint = problem;
                }
                tokio::select! {
                    () = tokio::time::sleep(retry.wait()) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }
}

/// Keeps every object, without what `trim` drops.
pub(crate) fn trimmed<K>(trim: fn(&mut K)) -> impl Fn(K) -> Option<K> {
    move |mut object| {
        trim(&mut object);
        Some(object)
    }
}

fn kept<K, S>(event: Event<K>, keep: impl Fn(K) -> Option<S>) -> Option<Event<S>> {
    Some(match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(keep(object)?),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(keep(object)?),
        Event::Delete(object) => Event::Delete(keep(object)?),
    })
}

/// What is wrong, in words that tell what to do.
pub(super) fn describe(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404 => {
            "the API server does not know this kind; waiting for its CustomResourceDefinition".to_owned()
        }
        watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403 => {
            format!("not allowed: {}; the operator's role lacks list or watch", status.message)
        }
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => chain(error),
        watcher::Error::WatchError(status) => status.message.clone(),
        watcher::Error::NoResourceVersion => "the API server sent a list without a version".to_owned(),
    }
}

/// Expired versions and cut streams belong to a watch's life: it goes on from a new list.
fn is_routine(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        watcher::Error::WatchFailed(_) => true,
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::NoResourceVersion => false,
    }
}

/// Waits that double from 100 ms to [`LONGEST_RETRY`].
#[derive(Debug, Default)]
struct Retry {
    failures: u32,
}

impl Retry {
    fn wait(&mut self) -> Duration {
        let wait = Duration::from_millis(100).saturating_mul(1 << self.failures.min(10)).min(LONGEST_RETRY);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use operator_core::traffic::ObjectName;
    use serde_json::json;

    use super::*;
    use crate::{rollouts::objects::Service, test_api::TestApi};

    #[test]
    fn waits_double_up_to_a_bound() {
        let mut retry = Retry::default();
        let waits: Vec<u128> = (0..8).map(|_| retry.wait().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_not_there_yet_is_waited_for() {
        let item = json!({"metadata": {"namespace": "web", "name": "s", "uid": "u", "resourceVersion": "5"}});
        let list = json!({"metadata": {"resourceVersion": "9"}, "items": [item]});
        let api = TestApi::default()
            .refuse(404, "NotFound", "the server could not find the requested resource")
            .refuse(503, "ServiceUnavailable", "later")
            .answer(200, list);
        let store = Store::<Service>::new(|_| Vec::new());
        let stop = CancellationToken::new();
        let services = Api::all(api.client());
        let following = follow(services, watcher::Config::default(), Some, &store, |_| {}, &stop);
        tokio::select! {
            () = following => panic!("a watch ends only when it is told to"),
            () = store.completed() => {}
        }
        assert!(store.get(&ObjectName::new("web", "s")).is_some());
    }

    #[test]
    fn what_is_missing_is_said_in_words_that_help() {
        let error = |code, message: &str| {
            let status =
                kube::core::Status { code, message: message.to_owned(), ..kube::core::Status::default() };
            watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
        };
        assert!(describe(&error(404, "")).contains("CustomResourceDefinition"));
        assert!(describe(&error(403, "rollouts is forbidden")).contains("rollouts is forbidden"));
    }
}
