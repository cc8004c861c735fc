//! How long new pods of a Service take to their full share of requests.

use proxy_config::model::BalancePolicy;

use crate::{
    duration::milliseconds,
    object::{ObjectName, Service},
};

/// Set on the Service.
const SLOW_START_ANNOTATION: &str = "sluice.dev/slow-start";

/// The annotation of the Service, or a sentence about why it is not acted on.
pub(super) fn slow_start(
    name: &ObjectName,
    service: &Service,
    policy: &BalancePolicy,
) -> Result<Option<u32>, String> {
    let Some(text) = &service.slow_start else { return Ok(None) };
    let refuse = |why: &str| {
        format!("`{SLOW_START_ANNOTATION}: {text}` of Service `{}` is not acted on: {why}", name.name)
    };
    match policy {
        BalancePolicy::LeastRequest | BalancePolicy::RoundRobin => {}
        BalancePolicy::RingHash(..) | BalancePolicy::Maglev(_) => {
            return Err(refuse("the load balancer goes by a hash, which leaves nothing to choose"));
        }
    }
    let milliseconds = milliseconds(text).map_err(|_| refuse("it is not a time such as `30s`"))?;
    Ok((milliseconds > 0).then_some(milliseconds))
}
