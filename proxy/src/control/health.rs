//! Asks endpoints whether they can take requests: once for the whole process, whatever the number of workers, which look at
//! what came of it when they pick. What is asked is in nobody's counters.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::Duration};

use proxy_config::model::HealthCheck;
use proxy_core::{
    endpoint::{Endpoint, EndpointId},
    health::{Health, Standing},
    snapshot::{Cluster, Snapshot},
};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use self::question::ask;
use crate::{
    random::Random,
    shared::{Shared, count},
    tls::Table,
};

mod question;

/// All who are asked.
#[derive(Debug)]
pub(super) struct Checker {
    shared: Arc<Shared>,
    random: Rc<Random>,
    tls: Rc<RefCell<Arc<Table>>>,
    /// Those of the newest snapshot.
    clusters: Arc<[Arc<Cluster>]>,
    asked: HashMap<EndpointId, Vec<Asking>>,
}

/// One endpoint that is asked one thing, for as long as this lives.
#[derive(Debug)]
struct Asking {
    check: HealthCheck,
    task: JoinHandle<()>,
}

/// One check of one endpoint.
#[expect(clippy::struct_field_names, reason = "how it is checked, as the configuration calls it")]
struct Check {
    check: HealthCheck,
    cluster: Arc<Cluster>,
    endpoint: Arc<Endpoint>,
    tls: Rc<RefCell<Arc<Table>>>,
    shared: Arc<Shared>,
    random: Rc<Random>,
}

/// What it has come to. An endpoint that is not asked any more is as good as any.
struct Verdict {
    endpoint: Arc<Endpoint>,
    standing: Standing,
    failed: bool,
}

impl Checker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            random: Rc::new(Random::new()),
            tls: Rc::default(),
            clusters: Arc::default(),
            asked: HashMap::new(),
        }
    }

    /// Asks the endpoints of this snapshot. Who was asked the same before is not disturbed.
    pub(super) fn update(&mut self, snapshot: &Snapshot, tls: &Arc<Table>) {
        self.tls.replace(Arc::clone(tls));
        if Arc::ptr_eq(&self.clusters, snapshot.checked()) {
            return;
        }
        self.clusters = Arc::clone(snapshot.checked());
        let mut before = std::mem::take(&mut self.asked);
        for cluster in snapshot.checked().iter() {
            for endpoint in cluster.balancer.endpoints() {
                let mut known = before.remove(&endpoint.id).unwrap_or_default();
                let asked = cluster.checks.iter().map(|check| {
                    let same = known.iter().position(|it| it.check == *check);
                    same.map_or_else(|| self.start(cluster, endpoint, check), |same| known.swap_remove(same))
                });
                let asked = asked.collect();
                self.asked.insert(endpoint.id, asked);
            }
        }
    }

    fn start(&self, cluster: &Arc<Cluster>, endpoint: &Arc<Endpoint>, check: &HealthCheck) -> Asking {
        let task = Check {
            check: check.clone(),
            cluster: Arc::clone(cluster),
            endpoint: Arc::clone(endpoint),
            tls: Rc::clone(&self.tls),
            shared: Arc::clone(&self.shared),
            random: Rc::clone(&self.random),
        };
        Asking { check: check.clone(), task: tokio::task::spawn_local(task.run()) }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Check {
    async fn run(self) {
        let timeout = Duration::from_millis(u64::from(self.check.timeout_ms));
        let mut verdict =
            Verdict { endpoint: Arc::clone(&self.endpoint), standing: Standing::default(), failed: false };
        loop {
            let tls = Arc::clone(&self.tls.borrow());
            let asking = ask(&self.check.question, &self.cluster, &self.endpoint.address, &tls);
            let health = match tokio::time::timeout(timeout, asking).await {
                Ok(Ok(())) => Health::Good,
                Ok(Err(error)) => {
                    debug!(address = ?self.endpoint.address, %error, "a health check failed");
                    Health::Bad
                }
                Err(_) => Health::Bad,
            };
            count(&self.shared.health_checks[health as usize]);
            verdict.note(health, &self.check);
            tokio::time::sleep(self.pause()).await;
        }
    }

    /// The interval, a tenth more or less: many endpoints that came at once are not asked at once for ever.
    fn pause(&self) -> Duration {
        let interval = Duration::from_millis(u64::from(self.check.interval_ms));
        let share = u32::try_from(self.random.next() >> 48).unwrap_or_default();
        interval * 9 / 10 + interval / 5 * share / (1 << 16)
    }
}

impl Verdict {
    fn note(&mut self, health: Health, check: &HealthCheck) {
        let Self { endpoint, standing, failed } = self;
        match standing.note(health, check) {
            None => {}
            Some(Health::Bad) => {
                *failed = true;
                endpoint.fail_check();
                warn!(address = ?endpoint.address, pod = &*endpoint.pod, "an endpoint does not pass its health check");
            }
            Some(Health::Good) => {
                *failed = false;
                endpoint.pass_check();
                info!(address = ?endpoint.address, pod = &*endpoint.pod, "an endpoint passes its health check again");
            }
        }
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        if self.failed {
            self.endpoint.pass_check();
        }
    }
}
