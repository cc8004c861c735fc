//! `graphite`: the values of the first target of a render query.

use std::{sync::Arc, time::Duration};

use http::Method;
use operator_analysis::expression::{Value as Measured, float_text};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Sample,
    client::{Http, Request},
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// `provider.graphite`. The query is that of a URL: `target=…&from=-2min`.
#[derive(Deserialize)]
struct Graphite {
    #[serde(default)]
    address: String,
    #[serde(default)]
    query: String,
}

#[derive(Deserialize)]
struct Target {
    #[serde(default)]
    datapoints: Vec<(Option<f64>, Value)>,
}

/// Takes a measurement.
pub(super) async fn measure(http: &Http, configuration: &Value) -> Result<Sample, String> {
    let Graphite { address, query } = Graphite::deserialize(configuration)
        .map_err(|it| format!("provider.graphite cannot be read: {it}"))?;
    if address.is_empty() {
        return Err("Graphite address  is not a valid URL".to_owned());
    }
    let url = url(&address, &query);
    let request = Request {
        method: Method::GET,
        url,
        headers: Vec::new(),
        body: Vec::new(),
        insecure: false,
        timeout: TIMEOUT,
    };
    let answer = http.send(request).await.map_err(|it| it.to_string())?;
    if answer.status.as_u16() >= 400 {
        return Err(format!("error response: {}", String::from_utf8_lossy(&answer.body)));
    }
    let targets: Vec<Target> = serde_json::from_slice(&answer.body)
        .map_err(|it| format!("the answer is not that of a Graphite API: {it}"))?;
    let points = targets.into_iter().next().map(|it| it.datapoints).unwrap_or_default();
    let numbers: Vec<f64> = points.into_iter().filter_map(|(value, _)| value).collect();
    if numbers.is_empty() {
        return Err("no values found".to_owned());
    }
    let texts: Vec<String> = numbers.iter().copied().map(float_text).collect();
    Ok(Sample::new(Measured::Floats(Arc::new(numbers)), format!("[{}]", texts.join(","))))
}

/// The query as it is written may have any character; the format is always ours.
fn url(address: &str, query: &str) -> String {
    let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "format");
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(
        pairs.map(|(name, value)| (name, value.split_whitespace().collect::<Vec<_>>().join(" "))),
    );
    form.append_pair("format", "json");
    format!("{}/render?{}", address.trim_end_matches('/'), form.finish())
}
