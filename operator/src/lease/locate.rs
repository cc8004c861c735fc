//! Where the Rollouts' lease lies: where Argo Rollouts has it, so that the two never act at the same time.

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, ResourceExt, api::ListParams};

/// Argo Rollouts' name of the lease.
pub const ROLLOUT_LEASE: &str = "argo-rollouts-controller-lock";

/// The name of the Rollouts' lease of an instance; `instance_id` is empty for the one without an id.
#[must_use]
pub fn rollout_lease_name(instance_id: &str) -> String {
    match instance_id {
        "" => ROLLOUT_LEASE.to_owned(),
        id => format!("{ROLLOUT_LEASE}-{id}"),
    }
}

/// The namespace of the lease `name`: the one of a lease of this name outside of `own`, else `own`. Of several, that
/// which was renewed last.
///
/// # Errors
/// The API server's, among them 403 where a role allows no look into other namespaces.
pub async fn locate(client: &Client, name: &str, own: &str) -> kube::Result<String> {
    let leases: Api<Lease> = Api::all(client.clone());
    let found = leases.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await?;
    Ok(choose(found.items, own))
}

fn choose(leases: Vec<Lease>, own: &str) -> String {
    leases
        .into_iter()
        .filter_map(|lease| {
            let renewed = lease.spec.as_ref().and_then(|it| it.renew_time.clone()).map(|it| it.0);
            lease.namespace().filter(|it| it != own).map(|namespace| (renewed, namespace))
        })
        .max()
        .map_or_else(|| own.to_owned(), |(_, namespace)| namespace)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp,
    };

    use super::*;

    fn lease(namespace: &str, renewed: i64) -> Lease {
        let renew_time = Some(MicroTime(Timestamp::from_second(renewed).unwrap()));
        let mut lease =
            Lease { spec: Some(LeaseSpec { renew_time, ..LeaseSpec::default() }), ..Lease::default() };
        lease.metadata.namespace = Some(namespace.to_owned());
        lease
    }

    #[test]
    fn the_lease_is_where_argo_has_it() {
        assert_eq!(choose(vec![], "sluice"), "sluice");
        assert_eq!(choose(vec![lease("sluice", 9)], "sluice"), "sluice");
        assert_eq!(choose(vec![lease("sluice", 9), lease("argo", 1)], "sluice"), "argo");
        assert_eq!(choose(vec![lease("old", 1), lease("new", 2)], "sluice"), "new");
    }

    #[test]
    fn an_instance_has_its_own_lease() {
        assert_eq!(rollout_lease_name(""), "argo-rollouts-controller-lock");
        assert_eq!(rollout_lease_name("blue"), "argo-rollouts-controller-lock-blue");
    }
}
