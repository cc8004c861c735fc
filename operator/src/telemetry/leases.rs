//! Metrics of leases: why a process does not act is the first question when nothing moves.

use prometheus::{
    IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tokio::{sync::watch, time::Instant};

use crate::lease::Tenure;

/// Shows one lease as `sluice_lease{lease,holder}`: 1 if this process holds it, 0 if another one does.
///
/// # Errors
/// If the name is taken.
pub fn show_lease(
    registry: &Registry,
    lease: String,
    tenure: watch::Receiver<Tenure>,
) -> prometheus::Result<()> {
    let gauge = gauge(&lease)?;
    registry.register(Box::new(Shown { gauge, lease, tenure }))
}

struct Shown {
    gauge: IntGaugeVec,
    lease: String,
    tenure: watch::Receiver<Tenure>,
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // A new vector each time: a former holder leaves no trace. The name was tried when this was registered.
        let Ok(gauge) = gauge(&self.lease) else { return Vec::new() };
        match &*self.tenure.borrow() {
            held @ Tenure::Held { .. } => {
                gauge.with_label_values(&["self"]).set(i64::from(held.holds(Instant::now())));
            }
            Tenure::Foreign { holder, .. } => gauge.with_label_values(&[holder.as_str()]).set(0),
            Tenure::Unknown => gauge.with_label_values(&[""]).set(0),
        }
        gauge.collect()
    }
}

fn gauge(lease: &str) -> prometheus::Result<IntGaugeVec> {
    let help = "Whether this process holds the lease; the holder's identity if another one does.";
    IntGaugeVec::new(Opts::new("sluice_lease", help).const_label("lease", lease), &["holder"])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::TextEncoder;

    use super::*;
    use crate::lease::Epoch;

    #[tokio::test(start_paused = true)]
    async fn shows_who_holds_a_lease() {
        let registry = Registry::new();
        let (tell, tenure) = watch::channel(Tenure::Unknown);
        show_lease(&registry, "routes".to_owned(), tenure.clone()).unwrap();
        show_lease(&registry, "rollouts".to_owned(), tenure).unwrap();
        let text = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        tell.send_replace(Tenure::Foreign { holder: "argo-1".to_owned(), address: None });
        assert!(text().contains(r#"sluice_lease{holder="argo-1",lease="routes"} 0"#), "{}", text());
        let until = Instant::now() + Duration::from_secs(10);
        tell.send_replace(Tenure::Held { epoch: Epoch { created: 0, transitions: 0 }, until });
        assert!(text().contains(r#"sluice_lease{holder="self",lease="rollouts"} 1"#), "{}", text());
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(text().contains(r#"sluice_lease{holder="self",lease="rollouts"} 0"#), "{}", text());
    }
}
