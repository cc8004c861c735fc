//! Mappings: which version of them is served, and their watch. Clusters without Mappings are no error: only Rollouts
//! that name one need them.

use std::time::Duration;

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Stores,
    namespaces::follow_occupied,
    objects::{SplitObject, trim_mapping},
    store::{Change, Store},
};
use crate::errors::chain;

/// The versions that are tried in turn unless a flag names one.
const VERSIONS: [&str; 3] = ["getambassador.io/v3alpha1", "getambassador.io/v2", "getambassador.io/v1"];

/// How often it is asked whether Mappings are served now.
const PATIENCE: Duration = Duration::from_secs(5);

/// In which version Mappings are read and written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Served(Option<ApiResource>);

impl Served {
    /// The resource; `None` while none is served.
    pub(super) fn resource(&self) -> Option<&ApiResource> {
        self.0.as_ref()
    }
}

/// Fills the store of Mappings once they are served.
pub(super) async fn follow_mappings(
    client: Client,
    flag: Option<&str>,
    namespace: Option<&str>,
    stores: &Stores,
    served: &watch::Sender<Served>,
    changed: impl Fn(&Change<SplitObject>),
    stop: &CancellationToken,
) {
    let candidates: Vec<ApiResource> = match flag {
        Some(version) => vec![resource(version)],
        None => VERSIONS.map(resource).to_vec(),
    };
    let Some(found) = when_served(&client, &candidates, "Mappings", &stores.mappings, stop).await else {
        return;
    };
    info!(version = found.api_version, resource = found.plural, "reading Mappings");
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &found),
        None => Api::all_with(client, &found),
    };
    served.send_replace(Served(Some(found)));
    follow_occupied(api, folded(trim_mapping), &stores.mappings, changed, &stores.namespaces, stop).await;
}

/// Trims an object and folds it.
pub(super) fn folded(trim: fn(&mut DynamicObject)) -> impl Fn(DynamicObject) -> Option<SplitObject> {
    move |mut object| {
        trim(&mut object);
        Some(SplitObject::fold(object))
    }
}

/// Waits until one of these resources is served; `None`: it was told to stop. Until then the store is empty and complete.
pub(super) async fn when_served(
    client: &Client,
    candidates: &[ApiResource],
    what: &str,
    store: &Store<SplitObject>,
    stop: &CancellationToken,
) -> Option<ApiResource> {
    let mut said = String::new();
    loop {
        match discover(client, candidates).await {
            Ok(Some(resource)) => return Some(resource),
            Ok(None) => {
                let problem =
                    format!("{what} are not served; Rollouts that name one are invalid until they are");
                say(&mut said, &problem);
                store.complete_empty();
            }
            Err(error) => {
                say(&mut said, &format!("failed to ask for the versions of {what}: {}", chain(&error)));
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(PATIENCE)).await?;
    }
}

fn say(said: &mut String, problem: &str) {
    if said != problem {
        warn!("{problem}");
        problem.clone_into(said);
    }
}

async fn discover(client: &Client, candidates: &[ApiResource]) -> kube::Result<Option<ApiResource>> {
    for candidate in candidates {
        match client.list_api_group_resources(&candidate.api_version).await {
            Ok(list) if list.resources.iter().any(|it| it.name == candidate.plural) => {
                return Ok(Some(candidate.clone()));
            }
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Reads `--ambassador-api-version` as Argo does: a bare version is of `getambassador.io`, and `x.getambassador.io`
/// has its own resource.
fn resource(version: &str) -> ApiResource {
    let (group, version) = version.split_once('/').unwrap_or(("getambassador.io", version));
    let (kind, plural) = match group {
        "x.getambassador.io" => ("AmbassadorMapping", "ambassadormappings"),
        _ => ("Mapping", "mappings"),
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_is_read_as_argo_reads_it() {
        for (flag, api_version, plural) in [
            ("getambassador.io/v2", "getambassador.io/v2", "mappings"),
            ("getambassador.io/v3alpha1", "getambassador.io/v3alpha1", "mappings"),
            ("x.getambassador.io/v3alpha1", "x.getambassador.io/v3alpha1", "ambassadormappings"),
            ("v2", "getambassador.io/v2", "mappings"),
        ] {
            let read = resource(flag);
            assert_eq!((read.api_version.as_str(), read.plural.as_str()), (api_version, plural));
        }
    }
}
