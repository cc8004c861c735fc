//! Who measures: one file a provider.
//!
//! A provider reads its own configuration, which has its arguments filled in, and comes back with a [`Sample`] or with
//! a sentence that says what is wrong. Jobs are different, because they take their time: see [`job`].

pub(super) mod amazon;
pub(super) mod client;
mod cloud_watch;
mod datadog;
mod graphite;
mod header;
mod influxdb;
pub(super) mod job;
mod json_path;
mod new_relic;
mod oauth2;
mod prometheus;
pub(super) mod sluice;
mod web;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use crds::analysis::MetricProvider;
use operator_analysis::{expression::Value as Measured, traffic::Question};
use serde_json::Value;

use self::{amazon::Amazon, client::Http};

/// What was measured.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// What conditions are asked about.
    pub result: Measured,
    /// What the measurement shows.
    pub text: String,
    /// What else there is to say.
    pub metadata: BTreeMap<String, String>,
}

impl Sample {
    fn new(result: Measured, text: String) -> Self {
        Self { result, text, metadata: BTreeMap::new() }
    }
}

/// The values of a Secret of a provider.
pub(super) type Keys = BTreeMap<String, String>;

/// The Secret in which a provider has its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    /// Its name.
    pub secret: String,
    /// Whether it is in the namespace of the run, and not in that of the operator.
    pub namespaced: bool,
}

impl Profile {
    /// `profile` of a configuration, in the namespace of the operator.
    fn named(configuration: &Value, default: &str) -> Self {
        let name = configuration.get("profile").and_then(Value::as_str).filter(|it| !it.is_empty());
        Self { secret: name.unwrap_or(default).to_owned(), namespaced: false }
    }
}

/// A provider that is asked over HTTP and answers at once, with its configuration.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked<'a> {
    Prometheus(&'a Value),
    Web(&'a Value),
    Datadog(&'a Value),
    NewRelic(&'a Value),
    CloudWatch(&'a Value),
    Graphite(&'a Value),
    Influxdb(&'a Value),
}

/// Who measures a metric.
#[derive(Clone, Debug)]
pub(super) enum Provider<'a> {
    /// One that answers.
    Asked(Asked<'a>),
    /// A Job.
    Job(&'a Value),
    /// Sluice's proxies.
    Sluice(Result<Question, String>),
    /// One that Sluice does not have, with its name in the spec.
    Unsupported(&'a str),
}

impl<'a> Provider<'a> {
    /// The one that is set. Of several the first: a valid metric has one.
    pub(super) fn of(provider: &'a MetricProvider) -> Self {
        match provider.asked_of_proxies() {
            Ok(None) => {}
            Ok(Some(asked)) => return Self::Sluice(Question::parse(&asked)),
            Err(why) => return Self::Sluice(Err(why.to_string())),
        }
        let MetricProvider {
            sluice: _,
            prometheus,
            web,
            job,
            datadog,
            new_relic,
            cloud_watch,
            graphite,
            influxdb,
            skywalking,
            wavefront,
            kayenta,
            plugin,
        } = provider;
        if let Some(configuration) = job {
            return Self::Job(configuration);
        }
        let asked = [
            prometheus.as_ref().map(Asked::Prometheus),
            web.as_ref().map(Asked::Web),
            datadog.as_ref().map(Asked::Datadog),
            new_relic.as_ref().map(Asked::NewRelic),
            cloud_watch.as_ref().map(Asked::CloudWatch),
            graphite.as_ref().map(Asked::Graphite),
            influxdb.as_ref().map(Asked::Influxdb),
        ];
        if let Some(asked) = asked.into_iter().flatten().next() {
            return Self::Asked(asked);
        }
        let named = [(skywalking, "skywalking"), (wavefront, "wavefront"), (kayenta, "kayenta")];
        let named = named.into_iter().find(|(it, _)| it.is_some()).map(|(_, name)| name);
        Self::Unsupported(named.or_else(|| plugin.keys().next().map(String::as_str)).unwrap_or("none"))
    }
}

impl Asked<'_> {
    /// What is said of a metric, whatever is measured.
    pub(super) fn metadata(self) -> BTreeMap<String, String> {
        match self {
            Self::Prometheus(configuration) => {
                let query = prometheus::query(configuration);
                query.map(|it| ("ResolvedPrometheusQuery".to_owned(), it)).into_iter().collect()
            }
            Self::Web(_)
            | Self::Datadog(_)
            | Self::NewRelic(_)
            | Self::CloudWatch(_)
            | Self::Graphite(_)
            | Self::Influxdb(_) => BTreeMap::new(),
        }
    }

    /// The Secret that it needs.
    pub(super) fn profile(self) -> Option<Profile> {
        match self {
            Self::Datadog(configuration) => Some(datadog::profile(configuration)),
            Self::NewRelic(configuration) => Some(new_relic::profile(configuration)),
            Self::Influxdb(configuration) => Some(influxdb::profile(configuration)),
            Self::Prometheus(_) | Self::Web(_) | Self::CloudWatch(_) | Self::Graphite(_) => None,
        }
    }

    /// Takes a measurement.
    pub(super) async fn measure(
        self,
        asking: &Asking,
        keys: &Keys,
        now: DateTime<Utc>,
    ) -> Result<Sample, String> {
        match self {
            Self::Prometheus(configuration) => {
                let default = asking.prometheus_address.as_deref();
                prometheus::measure(&asking.http, &asking.amazon, configuration, default, now).await
            }
            Self::Web(configuration) => web::measure(&asking.http, configuration).await,
            Self::Datadog(configuration) => datadog::measure(&asking.http, configuration, keys, now).await,
            Self::NewRelic(configuration) => new_relic::measure(&asking.http, configuration, keys).await,
            Self::CloudWatch(configuration) => {
                cloud_watch::measure(&asking.http, &asking.amazon, configuration, now).await
            }
            Self::Graphite(configuration) => graphite::measure(&asking.http, configuration).await,
            Self::Influxdb(configuration) => influxdb::measure(&asking.http, configuration, keys).await,
        }
    }
}

/// What providers are asked with.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    /// The client.
    pub http: Http,
    /// Who signs what Amazon is asked.
    pub amazon: Amazon,
    /// The Prometheus of metrics that name none.
    pub prometheus_address: Option<String>,
    /// The operator's namespace, where most providers have their Secrets.
    pub namespace: String,
}

impl Asking {
    /// With the certificates, and for Amazon the credentials, that this process has.
    pub(super) fn new(prometheus_address: Option<String>, namespace: String) -> Self {
        let http = Http::new();
        Self { amazon: Amazon::new(http.clone()), http, prometheus_address, namespace }
    }
}

/// What to do about a provider that Sluice does not have.
pub(super) fn unsupported(name: &str) -> String {
    format!(
        "the provider {name:?} is not supported: ask its HTTP API with the provider `web`, or run its client in a Job \
         with the provider `job`"
    )
}

#[cfg(test)]
mod tests;
