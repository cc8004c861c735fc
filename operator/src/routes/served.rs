//! Which kinds of which versions the API server has.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::{Client, api::ApiResource, core::GroupVersionKind};
use tokio::time::Instant;

/// Versions in which kinds may be served, the preferred one first.
const VERSIONS: [(&str, &[&str]); 4] = [
    ("getambassador.io", &["v3alpha1", "v2", "v1"]),
    ("x.getambassador.io", &["v3alpha1"]),
    ("argoproj.io", &["v1alpha1"]),
    (crds::gateway::GROUP, &["v1", "v1beta1", "v1alpha3", "v1alpha2"]),
];
/// How long an answer holds: who asks for several kinds of a group asks once.
const FRESH: Duration = Duration::from_secs(1);

/// Asks the API server, and remembers for a moment.
pub(super) struct Served {
    client: Client,
    answers: Mutex<BTreeMap<String, (Instant, Arc<Resources>)>>,
}

/// The plural names of the kinds of one version.
type Resources = BTreeMap<String, String>;

impl Served {
    pub(super) fn new(client: Client) -> Self {
        Self { client, answers: Mutex::default() }
    }

    /// The first version in which a kind is served; `None` if in none.
    pub(super) async fn resource(&self, group: &str, kind: &str) -> kube::Result<Option<ApiResource>> {
        let versions =
            VERSIONS.iter().find(|(name, _)| *name == group).map_or(&[][..], |(_, versions)| *versions);
        for version in versions {
            let resources = self.resources(&format!("{group}/{version}")).await?;
            if let Some(plural) = resources.get(kind) {
                let kind = GroupVersionKind::gvk(group, version, kind);
                return Ok(Some(ApiResource::from_gvk_with_plural(&kind, plural)));
            }
        }
        Ok(None)
    }

    async fn resources(&self, api_version: &str) -> kube::Result<Arc<Resources>> {
        let known = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(api_version).cloned();
        if let Some((asked, answer)) = known
            && asked.elapsed() < FRESH
        {
            return Ok(answer);
        }
        let resources = match self.client.list_api_group_resources(api_version).await {
            Ok(list) => {
                let own = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
                own.map(|resource| (resource.kind, resource.name)).collect()
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Resources::new(),
            Err(error) => return Err(error),
        };
        let answer = Arc::new(resources);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(api_version.to_owned(), (Instant::now(), Arc::clone(&answer)));
        Ok(answer)
    }
}
