//! The namespaces that Rollouts and Experiments are in, or were since the process began. Of Services and of the objects that
//! split traffic those of other namespaces are not kept: a cluster may have thousands of routes that no Rollout can name.
//!
//! The first Rollout of a namespace makes these watches begin anew, with a list that has the namespace. Until it is complete
//! nothing is decided about what is there: [`Stores::cover`] says so.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc, time::Duration};

use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;

use super::{
    Stores,
    observe::SPLIT_KINDS,
    store::{Change, Store, Stored},
    watch::follow,
};
use crate::lists::everything;

/// How long further namespaces are waited for before lists begin anew: a template may bring many at once.
const GATHER: Duration = Duration::from_millis(100);

/// How long a pass waits for the lists of a new namespace before it makes room for others.
const PATIENCE: Duration = Duration::from_secs(2);

/// The namespaces; they become more and never fewer.
#[derive(Debug, Default)]
pub(crate) struct Namespaces(watch::Sender<Arc<BTreeSet<String>>>);

impl Namespaces {
    /// There is a Rollout or an Experiment.
    pub(crate) fn occupy(&self, namespace: &str) {
        self.0.send_if_modified(|all| {
            let new = !all.contains(namespace);
            if new {
                Arc::make_mut(all).insert(namespace.to_owned());
            }
            new
        });
    }
}

/// Fills a store with what `keep` keeps of the objects of all `namespaces`, until `stop` is cancelled.
pub(super) async fn follow_occupied<K, S>(
    api: Api<K>,
    keep: impl Fn(K) -> Option<S>,
    store: &Store<S>,
    changed: impl Fn(&Change<S>),
    namespaces: &Namespaces,
    stop: &CancellationToken,
) where
    K: Resource<DynamicType: Clone> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    S: Stored,
{
    let mut occupied = namespaces.0.subscribe();
    loop {
        let those = Arc::clone(&occupied.borrow_and_update());
        store.limit(Some(Arc::clone(&those)));
        let keep = |object: K| {
            let here = object.meta().namespace.as_ref().is_some_and(|it| those.contains(it));
            if here { keep(object) } else { None }
        };
        let more = async {
            // The sender lives as long as `namespaces`.
            let _ = occupied.changed().await;
            time::sleep(GATHER).await;
        };
        tokio::select! {
            () = follow(api.clone(), everything(), keep, store, &changed, stop) => return,
            () = more => {}
        }
    }
}

impl Stores {
    /// Whether everything that is kept of a namespace is known.
    pub(crate) fn cover(&self, namespace: &str) -> bool {
        self.services.covers(namespace)
            && SPLIT_KINDS.iter().all(|it| self.split_objects(*it).covers(namespace))
    }

    /// Waits until it is, for a while.
    pub(crate) async fn covered(&self, namespace: &str) {
        let split = async {
            for kind in SPLIT_KINDS {
                self.split_objects(kind).covered(namespace).await;
            }
        };
        // Who waits in vain looks again.
        let _ =
            time::timeout(PATIENCE, async { tokio::join!(self.services.covered(namespace), split) }).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        rollouts::{
            objects::{Service, trim_service},
            watch::trimmed,
        },
        test_api::TestApi,
    };

    fn service(namespace: &str) -> Value {
        let metadata = json!({"namespace": namespace, "name": "s", "uid": namespace, "resourceVersion": "5"});
        json!({"metadata": metadata})
    }

    fn list() -> Value {
        let items = [service("web"), service("api"), service("other")];
        json!({"metadata": {"resourceVersion": "9"}, "items": items})
    }

    fn known(stores: &Stores) -> Vec<String> {
        stores.services.all().iter().map(|it| it.name().namespace).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_a_namespace_is_known_once_it_has_a_rollout_and_was_listed() {
        // A list, and a watch that has nothing to tell; then the same anew.
        let api = TestApi::default().answer(200, list()).silence().answer(200, list()).silence();
        let (stores, stop) = (Stores::default(), CancellationToken::new());
        stores.namespaces.occupy("web");
        let services: Api<Service> = Api::all(api.client());
        let keep = trimmed(trim_service);
        let following = follow_occupied(services, keep, &stores.services, |_| {}, &stores.namespaces, &stop);
        let looking = async {
            stores.services.completed().await;
            assert_eq!(
                (known(&stores), stores.cover("web"), stores.cover("api")),
                (vec!["web".to_owned()], true, false)
            );
            stores.namespaces.occupy("api");
            stores.covered("api").await;
            assert_eq!(
                (known(&stores), stores.cover("api")),
                (vec!["api".to_owned(), "web".to_owned()], true)
            );
            stores.namespaces.occupy("web");
            time::sleep(Duration::from_secs(5)).await;
            assert_eq!(api.lines().len(), 4, "a namespace that is known is no news");
        };
        tokio::select! {
            () = following => panic!("a watch ends only when it is told to"),
            () = looking => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_list_that_does_not_come_looks_again() {
        let stores = Stores::default();
        assert!(stores.cover("web"), "what was never listed is not waited for");
        stores.services.limit(Some(Arc::default()));
        stores.services.complete_empty();
        assert!(!stores.cover("web"));
        time::timeout(PATIENCE * 2, stores.covered("web")).await.unwrap();
        assert!(!stores.cover("web"));
    }
}
