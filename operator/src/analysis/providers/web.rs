//! `web`: a value out of the answer of any HTTP endpoint.

use std::time::Duration;

use http::Method;
use operator_analysis::expression::Value as Measured;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Sample,
    client::{Answer, Http, Request},
    header::{Header, pairs},
    json_path,
    oauth2::OAuth2,
};

/// The wait for an answer where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `provider.web`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Web {
    #[serde(default)]
    method: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    json_body: Option<Value>,
    #[serde(default)]
    timeout_seconds: i64,
    #[serde(default)]
    json_path: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    authentication: Authentication,
}

#[derive(Debug, Default, Deserialize)]
struct Authentication {
    #[serde(default)]
    oauth2: OAuth2,
}

/// Takes a measurement.
pub(super) async fn measure(http: &Http, configuration: &Value) -> Result<Sample, String> {
    let web = Web::deserialize(configuration).map_err(|it| format!("provider.web cannot be read: {it}"))?;
    let timeout = match u64::try_from(web.timeout_seconds) {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => TIMEOUT,
    };
    let mut request = request(&web, timeout)?;
    if web.authentication.oauth2.is_set() {
        let authorization = web.authentication.oauth2.authorization(http, web.insecure, timeout).await?;
        request.headers.push(("authorization".to_owned(), authorization));
    }
    let answer = http.send(request).await.map_err(|it| it.to_string())?;
    if !answer.status.is_success() {
        return Err(format!("received non 2xx response code: {}", answer.status.as_u16()));
    }
    sample(&answer, &web.json_path)
}

fn request(web: &Web, timeout: Duration) -> Result<Request, String> {
    let method = match web.method.as_str() {
        "" => Method::GET,
        method => Method::from_bytes(method.as_bytes())
            .map_err(|_| format!("{method:?} is not a method of HTTP"))?,
    };
    let mut headers = pairs(&web.headers);
    let body = match (&web.json_body, web.body.as_str()) {
        (Some(_), body) if !body.is_empty() => {
            return Err("use either Body or JSONBody; both cannot exists for WebMetric payload".to_owned());
        }
        (Some(json), _) => {
            headers.insert(0, ("content-type".to_owned(), "application/json".to_owned()));
            json.to_string().into_bytes()
        }
        (None, body) => body.as_bytes().to_vec(),
    };
    if !body.is_empty() && method == Method::GET {
        return Err("Body/JSONBody can only be used with POST or PUT WebMetric Method types".to_owned());
    }
    Ok(Request { method, url: web.url.clone(), headers, body, insecure: web.insecure, timeout })
}

/// What an answer says. One that is no JSON is a text.
fn sample(answer: &Answer, path: &str) -> Result<Sample, String> {
    let Ok(document) = serde_json::from_slice::<Value>(&answer.body) else {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        return Ok(Sample::new(Measured::text(text.as_str()), text));
    };
    let path = if path.is_empty() { "{$}" } else { path };
    let found = json_path::find(&document, path).map_err(|why| match why {
        json_path::Error::Missing(_) => format!("Could not find JSONPath in body: {why}"),
        json_path::Error::Syntax(_) => why.to_string(),
    })?;
    Ok(Sample::new(Measured::of_json(found), found.to_string()))
}
