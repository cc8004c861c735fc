//! `prometheus`: an instant or a range query over the HTTP API.
//!
//! A scalar is a number, a vector a list with one number for each series, a matrix a list of all samples; labels are
//! lost, as in Argo.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use crds::duration;
use http::{Method, StatusCode, Uri};
use operator_analysis::expression::{Expression, Surroundings, Value as Measured};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Sample,
    amazon::{Account, Amazon},
    client::{Answer, Http, Request},
    header::{Header, pairs},
    oauth2::OAuth2,
};

/// The wait for an answer where nothing is said, as Argo's.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Amazon's name of its Prometheus.
const SERVICE: &str = "aps";

/// `provider.prometheus`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prometheus {
    #[serde(default)]
    address: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    timeout: Option<i64>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    authentication: Authentication,
    #[serde(default)]
    range_query: Option<Range>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authentication {
    #[serde(default)]
    oauth2: OAuth2,
    #[serde(default)]
    basic_auth: Option<BasicAuth>,
    #[serde(default)]
    sigv4: Option<SigV4>,
}

#[derive(Debug, Default, Deserialize)]
struct BasicAuth {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigV4 {
    #[serde(default)]
    region: String,
    #[serde(default)]
    profile: String,
    #[serde(default)]
    role_arn: String,
}

/// Start and end are expressions of the language of conditions, such as `now() - duration('1h')`.
#[derive(Debug, Deserialize)]
struct Range {
    start: String,
    end: String,
    step: String,
}

/// What the API answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

/// Takes a measurement. `default_address` is asked where the metric names nobody.
pub(super) async fn measure(
    http: &Http,
    amazon: &Amazon,
    configuration: &Value,
    default_address: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Sample, String> {
    let prometheus = read(configuration)?;
    let address = match (prometheus.address.as_str(), default_address) {
        ("", None) => return Err("prometheus address is not configured".to_owned()),
        ("", Some(address)) | (address, _) => address,
    };
    let is_url = address.parse::<Uri>().is_ok_and(|it| it.scheme().is_some() && it.host().is_some());
    if !is_url {
        return Err("prometheus address is not is url format".to_owned());
    }
    let timeout = match prometheus.timeout {
        None => TIMEOUT,
        Some(seconds) => match u64::try_from(seconds) {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => return Err("prometheus timeout should not be negative".to_owned()),
        },
    };
    let mut headers = pairs(&prometheus.headers);
    if let Some(authorization) = authorization(http, &prometheus, timeout).await? {
        headers.push(("authorization".to_owned(), authorization));
    }
    let (endpoint, form) = question(&prometheus, timeout, now)?;
    let url = format!("{}/api/v1/{endpoint}", address.trim_end_matches('/'));
    let signing = prometheus.authentication.sigv4.as_ref().and_then(SigV4::account).map(|it| (amazon, it));
    let asked = Question { url, form, headers, insecure: prometheus.insecure, timeout };
    let answer = ask(http, signing, asked).await?;
    sample(&reply(&answer)?)
}

/// What is said of the metric: its query.
pub(super) fn query(configuration: &Value) -> Option<String> {
    let query = configuration.get("query")?.as_str()?;
    (!query.is_empty()).then(|| query.to_owned())
}

fn read(configuration: &Value) -> Result<Prometheus, String> {
    Prometheus::deserialize(configuration).map_err(|it| format!("provider.prometheus cannot be read: {it}"))
}

async fn authorization(
    http: &Http,
    prometheus: &Prometheus,
    timeout: Duration,
) -> Result<Option<String>, String> {
    let Authentication { oauth2, basic_auth, sigv4: _ } = &prometheus.authentication;
    let basic = basic_auth.as_ref().filter(|it| !it.username.is_empty() || !it.password.is_empty());
    if oauth2.is_set() {
        return oauth2.authorization(http, prometheus.insecure, timeout).await.map(Some);
    }
    Ok(basic.map(|it| format!("Basic {}", STANDARD.encode(format!("{}:{}", it.username, it.password)))))
}

/// The endpoint and its form.
fn question(
    prometheus: &Prometheus,
    timeout: Duration,
    now: DateTime<Utc>,
) -> Result<(&'static str, String), String> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("query", &prometheus.query);
    form.append_pair("timeout", &format!("{}s", timeout.as_secs().max(1)));
    let Some(range) = &prometheus.range_query else {
        form.append_pair("time", &seconds(now));
        return Ok(("query", form.finish()));
    };
    let moment = |field: &str, written: &str| {
        time(written, now).map_err(|why| format!("failed to parse rangeQuery.{field} as time: {why}"))
    };
    form.append_pair("start", &seconds(moment("start", &range.start)?));
    form.append_pair("end", &seconds(moment("end", &range.end)?));
    let step = duration::parse(&range.step);
    let step = step.map_err(|why| format!("failed to parse rangeQuery.step as duration: {why}"))?;
    form.append_pair("step", &format!("{}", step.as_seconds_f64()));
    Ok(("query_range", form.finish()))
}

fn time(written: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let surroundings = Surroundings { result: &Measured::Nil, now };
    let expression = Expression::parse(written).map_err(|it| it.to_string())?;
    expression.check(&Measured::Nil).map_err(|it| it.to_string())?;
    match expression.evaluate(surroundings).map_err(|it| it.to_string())? {
        Measured::Time(time) => Ok(time),
        other => Err(format!("expected time, but got {}", other.type_name())),
    }
}

/// A moment in seconds, to the millisecond.
fn seconds(time: DateTime<Utc>) -> String {
    format!("{}.{:03}", time.timestamp(), time.timestamp_subsec_millis())
}

/// What is asked.
struct Question {
    url: String,
    form: String,
    headers: Vec<(String, String)>,
    insecure: bool,
    timeout: Duration,
}

/// Asks by POST, and where that is not allowed by GET, as Prometheus' own client does.
async fn ask(http: &Http, signing: Option<(&Amazon, Account)>, question: Question) -> Result<Answer, String> {
    let Question { url, form, headers, insecure, timeout } = question;
    let send = async |mut request: Request| {
        if let Some((amazon, account)) = &signing {
            amazon.sign(SERVICE, account, &mut request).await?;
        }
        http.send(request).await.map_err(|it| it.to_string())
    };
    let mut typed = headers.clone();
    typed.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    let body = form.clone().into_bytes();
    let post = Request { method: Method::POST, url: url.clone(), headers: typed, body, insecure, timeout };
    let answer = send(post).await?;
    if !matches!(answer.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
        return Ok(answer);
    }
    let url = format!("{url}?{form}");
    send(Request { method: Method::GET, url, headers, body: Vec::new(), insecure, timeout }).await
}

impl SigV4 {
    /// In whose name requests are signed; `None` if nothing is said, which Argo takes for "not signed".
    fn account(&self) -> Option<Account> {
        let set = |it: &String| (!it.is_empty()).then(|| it.clone());
        let account =
            Account { region: set(&self.region), profile: set(&self.profile), role: set(&self.role_arn) };
        (account != Account::default()).then_some(account)
    }
}

fn reply(answer: &Answer) -> Result<Reply, String> {
    let status = answer.status;
    match serde_json::from_slice::<Reply>(&answer.body) {
        Ok(reply) if reply.status == "success" => Ok(reply),
        Ok(reply) => Err(format!("{}: {}", reply.error_type, reply.error)),
        Err(_) if status.is_server_error() => Err(format!("server_error: server error: {}", status.as_u16())),
        Err(_) if status.is_client_error() => Err(format!("client_error: client error: {}", status.as_u16())),
        Err(why) => Err(format!("the answer is not that of a Prometheus API: {why}")),
    }
}

fn sample(reply: &Reply) -> Result<Sample, String> {
    let unreadable = || "the answer is not that of a Prometheus API".to_owned();
    let Some(Data { result_type, result }) = &reply.data else { return Err(unreadable()) };
    let series = || result.as_array().ok_or_else(unreadable);
    let mut sample = match result_type.as_str() {
        "scalar" => {
            let number = number(result).ok_or_else(unreadable)?;
            Sample::new(Measured::Float(number), text(number))
        }
        "vector" => {
            let numbers = series()?.iter().map(|it| number(it.get("value")?));
            list(numbers.collect::<Option<_>>().ok_or_else(unreadable)?)
        }
        "matrix" => {
            let samples = series()?.iter().filter_map(|it| it.get("values")?.as_array());
            list(samples.flatten().map(number).collect::<Option<_>>().ok_or_else(unreadable)?)
        }
        _ => return Err("Prometheus metric type not supported".to_owned()),
    };
    if !reply.warnings.is_empty() {
        let quoted: Vec<String> = reply.warnings.iter().map(|it| format!("\"{it}\"")).collect();
        sample.metadata.insert("warnings".to_owned(), quoted.join(", "));
    }
    Ok(sample)
}

/// `[time, "number"]`.
fn number(sample: &Value) -> Option<f64> {
    sample.get(1)?.as_str()?.parse().ok()
}

fn list(numbers: Vec<f64>) -> Sample {
    let texts: Vec<String> = numbers.iter().copied().map(text).collect();
    Sample::new(Measured::Floats(Arc::new(numbers)), format!("[{}]", texts.join(",")))
}

/// As Prometheus writes a number: without an exponent.
fn text(number: f64) -> String {
    match number {
        number if number == f64::INFINITY => "+Inf".to_owned(),
        number if number == f64::NEG_INFINITY => "-Inf".to_owned(),
        number => number.to_string(),
    }
}
