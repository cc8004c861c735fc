//! Providers against real HTTP servers on this machine.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

mod amazon;

/// What a server was asked: `METHOD path?query`, headers, body.
#[derive(Clone, Debug, Default)]
struct Seen {
    line: String,
    headers: http::HeaderMap,
    body: String,
}

/// A server that answers every request by a function of it.
struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn start(answer: impl Fn(&Seen) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static) -> Self {
        Self::serve(answer, None).await
    }

    /// With TLS and a certificate that nobody has signed.
    async fn start_tls(
        answer: impl Fn(&Seen) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
    ) -> Self {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.cert.der().clone()], key)
            .unwrap();
        Self::serve(answer, Some(tokio_rustls::TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(
        answer: impl Fn(&Seen) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
        tls: Option<tokio_rustls::TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https://localhost" } else { "http://127.0.0.1" };
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let noted = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, noted, tls) = (answer.clone(), noted.clone(), tls.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, noted) = (answer.clone(), noted.clone());
                    async move {
                        let line = format!("{} {}", request.method(), request.uri());
                        let headers = request.headers().clone();
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let body = String::from_utf8_lossy(&body).into_owned();
                        let seen = Seen { line, headers, body };
                        let response = answer(&seen);
                        noted.lock().unwrap().push(seen);
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    match tls {
                        None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                drop(http.serve_connection(TokioIo::new(stream), service).await);
                            }
                        }
                    }
                });
            }
        });
        Self { address: format!("{scheme}:{port}"), seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn answer(status: u16, body: impl Into<String>) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(Bytes::from(body.into()))).unwrap()
}

fn asking() -> Asking {
    Asking::new(None, "sluice".to_owned())
}

fn now() -> DateTime<Utc> {
    "2030-03-04T05:06:07Z".parse().unwrap()
}

async fn web(configuration: Value) -> Result<Sample, String> {
    Asked::Web(&configuration).measure(&asking(), &Keys::new(), now()).await
}

async fn prometheus(configuration: Value) -> Result<Sample, String> {
    Asked::Prometheus(&configuration).measure(&asking(), &Keys::new(), now()).await
}

fn header<'a>(seen: &'a Seen, name: &str) -> &'a str {
    seen.headers.get(name).map_or("", |it| it.to_str().unwrap())
}

#[tokio::test]
async fn a_value_is_found_in_an_answer() {
    let server = Server::start(|_| answer(200, r#"{"data": {"rate": 0.97, "ok": true}}"#)).await;
    let sample = web(json!({"url": format!("{}/m?a=b", server.address), "jsonPath": "{$.data.rate}",
        "headers": [{"key": "X-Team", "value": "shop"}]}))
    .await
    .unwrap();
    assert_eq!(sample.text, "0.97");
    assert_eq!(sample.result.number(), Some(0.97));
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "GET /m?a=b");
    assert_eq!(header(seen, "x-team"), "shop");
    let whole = web(json!({"url": server.address})).await.unwrap();
    assert_eq!(whole.text, r#"{"data":{"ok":true,"rate":0.97}}"#);
}

#[tokio::test]
async fn a_body_is_sent_as_it_is_written() {
    let server = Server::start(|_| answer(201, "true")).await;
    let url = server.address.as_str();
    web(json!({"method": "POST", "url": url, "jsonBody": {"a": [1]}})).await.unwrap();
    web(json!({"method": "PUT", "url": url, "body": "text"})).await.unwrap();
    let seen = server.seen();
    assert_eq!(
        (seen[0].body.as_str(), header(&seen[0], "content-type")),
        (r#"{"a":[1]}"#, "application/json")
    );
    assert_eq!((seen[1].line.as_str(), seen[1].body.as_str()), ("PUT /", "text"));
    let both = web(json!({"method": "POST", "url": url, "body": "a", "jsonBody": {}})).await;
    assert!(both.unwrap_err().starts_with("use either Body or JSONBody"));
    assert!(web(json!({"url": url, "body": "a"})).await.unwrap_err().contains("POST or PUT"));
}

#[tokio::test]
async fn what_is_no_answer_is_an_error_that_says_why() {
    let server = Server::start(|seen| match seen.line.as_str() {
        "GET /text" => answer(200, "fine"),
        "GET /broken" => answer(503, "later"),
        "GET /long" => answer(200, "a".repeat(11_000_000)),
        "GET /round" => {
            Response::builder().status(302).header("location", "/round").body(Full::default()).unwrap()
        }
        "GET /moved" => {
            Response::builder().status(301).header("location", "text").body(Full::default()).unwrap()
        }
        _ => answer(200, "{}"),
    })
    .await;
    let ask = |path: &str| web(json!({"url": format!("{}{path}", server.address), "jsonPath": "{$.a}"}));
    assert_eq!(ask("/text").await.unwrap().text, "fine");
    assert_eq!(ask("/moved").await.unwrap().text, "fine");
    assert_eq!(ask("/broken").await.unwrap_err(), "received non 2xx response code: 503");
    assert_eq!(ask("/").await.unwrap_err(), "Could not find JSONPath in body: $.a is not found");
    assert!(ask("/long").await.unwrap_err().contains("length limit exceeded"));
    assert!(ask("/round").await.unwrap_err().contains("redirects"));
    let closed = web(json!({"url": "http://127.0.0.1:1/"})).await.unwrap_err();
    assert!(closed.starts_with("failed to reach 127.0.0.1"), "{closed}");
    assert!(web(json!({"url": "ftp://a/"})).await.unwrap_err().contains("is not a URL"));
    assert!(web(json!({"url": "nowhere"})).await.unwrap_err().contains("is not a URL"));
    assert!(web(json!({"url": 5})).await.unwrap_err().contains("cannot be read"));
}

#[tokio::test]
async fn who_does_not_answer_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let begun = tokio::time::Instant::now();
    let why = web(json!({"url": url, "timeoutSeconds": 1})).await.unwrap_err();
    assert_eq!(why, "no answer from 127.0.0.1 within 1 s");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_certificate_is_checked_unless_any_will_do() {
    let server = Server::start_tls(|_| answer(200, "1")).await;
    let url = server.address.as_str();
    assert!(web(json!({"url": url})).await.unwrap_err().starts_with("failed to reach localhost"));
    assert_eq!(web(json!({"url": url, "insecure": true})).await.unwrap().text, "1");
}

#[tokio::test]
async fn a_token_is_fetched_for_the_credentials_of_a_client() {
    let server = Server::start(|seen| match seen.line.as_str() {
        "POST /token" => answer(200, r#"{"access_token": "t0ken", "token_type": "bearer"}"#),
        "POST /wrong" => answer(401, ""),
        _ => answer(200, "1"),
    })
    .await;
    let configuration = |path: &str| {
        json!({"url": server.address, "authentication": {"oauth2": {
            "tokenUrl": format!("{}{path}", server.address), "clientId": "me", "clientSecret": "hu/sh", "scopes": ["a", "b"],
        }}})
    };
    web(configuration("/token")).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].body, "grant_type=client_credentials&scope=a+b");
    // me:hu%2Fsh
    assert_eq!(header(&seen[0], "authorization"), "Basic bWU6aHUlMkZzaA==");
    assert_eq!(header(&seen[1], "authorization"), "Bearer t0ken");
    assert!(
        web(configuration("/wrong")).await.unwrap_err().starts_with("oauth2: cannot fetch token: status 401")
    );
}

/// A Prometheus with one answer.
async fn prometheus_with(data: Value) -> Server {
    Server::start(move |_| answer(200, json!({"status": "success", "data": data}).to_string())).await
}

#[tokio::test]
async fn what_prometheus_answers_is_a_number_or_a_list() {
    let cases = [
        (json!({"resultType": "scalar", "result": [1, "0.5"]}), "0.5", "0.5"),
        (
            json!({"resultType": "vector", "result": [{"metric": {}, "value": [1, "1"]}, {"value": [1, "NaN"]}]}),
            "[1,NaN]",
            "[1 NaN]",
        ),
        (json!({"resultType": "vector", "result": []}), "[]", "[]"),
        (
            json!({"resultType": "matrix", "result": [{"values": [[1, "1"], [2, "+Inf"]]}, {"values": [[1, "3"]]}]}),
            "[1,+Inf,3]",
            "[1 +Inf 3]",
        ),
    ];
    for (data, text, result) in cases {
        let server = prometheus_with(data).await;
        let sample = prometheus(json!({"address": server.address, "query": "up"})).await.unwrap();
        assert_eq!((sample.text.as_str(), sample.result.to_string().as_str()), (text, result));
    }
    let server = prometheus_with(json!({"resultType": "string", "result": [1, "a"]})).await;
    let why = prometheus(json!({"address": server.address, "query": "'a'"})).await.unwrap_err();
    assert_eq!(why, "Prometheus metric type not supported");
}

#[tokio::test]
async fn prometheus_is_asked_as_the_metric_says() {
    let server = prometheus_with(json!({"resultType": "vector", "result": []})).await;
    prometheus(json!({
        "address": format!("{}/prefix/", server.address), "query": "sum(a{b=\"c\"})",
        "headers": [{"key": "X-Scope-OrgID", "value": "t"}],
        "authentication": {"basicAuth": {"username": "u", "password": "p"}, "sigv4": {}, "oauth2": {}},
    }))
    .await
    .unwrap();
    prometheus(json!({
        "address": server.address, "query": "up",
        "rangeQuery": {"start": "now() - duration('5m')", "end": "now()", "step": "1m"},
    }))
    .await
    .unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /prefix/api/v1/query");
    assert_eq!(seen[0].body, "query=sum%28a%7Bb%3D%22c%22%7D%29&timeout=30s&time=1898831167.000");
    assert_eq!(header(&seen[0], "x-scope-orgid"), "t");
    assert_eq!(header(&seen[0], "authorization"), "Basic dTpw");
    assert_eq!(seen[1].line, "POST /api/v1/query_range");
    assert_eq!(seen[1].body, "query=up&timeout=30s&start=1898830867.000&end=1898831167.000&step=60");
}

#[tokio::test]
async fn what_prometheus_refuses_is_told_in_its_words() {
    let server = Server::start(|seen| match seen.line.split(['?', ' ']).nth(1).unwrap_or_default() {
        "/bad/api/v1/query" => {
            answer(400, r#"{"status": "error", "errorType": "bad_data", "error": "parse error"}"#)
        }
        "/old/api/v1/query" if seen.line.starts_with("POST") => answer(405, ""),
        "/old/api/v1/query" => answer(
            200,
            r#"{"status": "success", "warnings": ["slow", "old"], "data": {"resultType": "scalar", "result": [1, "7"]}}"#,
        ),
        "/down/api/v1/query" => answer(502, "<html>"),
        _ => answer(404, "404 page not found"),
    })
    .await;
    let ask = |path: &str| prometheus(json!({"address": format!("{}{path}", server.address), "query": "up"}));
    assert_eq!(ask("/bad").await.unwrap_err(), "bad_data: parse error");
    assert_eq!(ask("/down").await.unwrap_err(), "server_error: server error: 502");
    assert_eq!(ask("").await.unwrap_err(), "client_error: client error: 404");
    let old = ask("/old").await.unwrap();
    assert_eq!((old.text.as_str(), old.metadata["warnings"].as_str()), ("7", "\"slow\", \"old\""));
    assert_eq!(prometheus(json!({"query": "up"})).await.unwrap_err(), "prometheus address is not configured");
    let why = prometheus(json!({"address": "prometheus", "query": "up"})).await.unwrap_err();
    assert_eq!(why, "prometheus address is not is url format");
    let why = prometheus(json!({"address": server.address, "timeout": -1})).await.unwrap_err();
    assert_eq!(why, "prometheus timeout should not be negative");
    let range =
        json!({"address": server.address, "rangeQuery": {"start": "1", "end": "now()", "step": "1m"}});
    let why = prometheus(range).await.unwrap_err();
    assert_eq!(why, "failed to parse rangeQuery.start as time: expected time, but got int");
}

#[test]
fn a_provider_that_is_not_there_is_told_with_what_to_do() {
    let named = |provider: Value| {
        let provider: MetricProvider = serde_json::from_value(provider).unwrap();
        match Provider::of(&provider) {
            Provider::Unsupported(name) => unsupported(name),
            other => panic!("{other:?} is supported"),
        }
    };
    for (provider, name) in [
        (json!({"kayenta": {}}), "kayenta"),
        (json!({"plugin": {"org/own": {}}}), "org/own"),
        (json!({"wavefront": {}}), "wavefront"),
        (json!({"skywalking": {}}), "skywalking"),
    ] {
        let told = named(provider);
        assert!(told.contains(name) && told.contains("`web`") && told.contains("`job`"), "{told}");
    }
}

#[tokio::test]
async fn the_values_of_graphites_first_target_are_a_list() {
    let server = Server::start(|seen| match seen.line.as_str() {
        "GET /g/render?target=sum%28a.*%29&from=-2min&format=json" => answer(
            200,
            r#"[{"target": "a", "datapoints": [[1.5, 1], [null, 2], [3, 3]]}, {"datapoints": [[9, 1]]}]"#,
        ),
        "GET /bad/render?target=x&format=json" => answer(400, "bad target"),
        _ => answer(200, "[]"),
    })
    .await;
    let ask = |path: &str, query: &str| {
        let configuration = json!({"address": format!("{}{path}", server.address), "query": query});
        async move { Asked::Graphite(&configuration).measure(&asking(), &Keys::new(), now()).await }
    };
    let sample = ask("/g/", "target=sum(a.*)&from=-2min").await.unwrap();
    assert_eq!((sample.text.as_str(), sample.result.to_string().as_str()), ("[1.5,3]", "[1.5 3]"));
    assert_eq!(ask("/bad", "target=x").await.unwrap_err(), "error response: bad target");
    assert_eq!(ask("", "target=x").await.unwrap_err(), "no values found");
}

#[tokio::test]
async fn datadog_is_asked_with_the_keys_of_its_secret() {
    let server = Server::start(|seen| match seen.line.as_str() {
        "GET /api/v1/query?from=1898830867&query=avg%3Aa%7B*%7D&to=1898831167" => {
            answer(200, r#"{"series": [{"pointlist": [[1, 0.1], [2, 0.25]]}]}"#)
        }
        "POST /api/v2/query/scalar" => {
            answer(200, r#"{"data": {"attributes": {"columns": [{"values": [0.5]}]}}}"#)
        }
        line if line.contains("query=none") => answer(200, r#"{"series": []}"#),
        _ => answer(403, "no"),
    })
    .await;
    let keys = |address: &str| -> Keys {
        [("api-key", "a"), ("app-key", "b"), ("address", address)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    };
    let ask = |configuration: Value, keys: Keys| async move {
        Asked::Datadog(&configuration).measure(&asking(), &keys, now()).await
    };
    let first = ask(json!({"query": "avg:a{*}"}), keys(&server.address)).await.unwrap();
    assert_eq!((first.text.as_str(), first.result.number()), ("0.25", Some(0.25)));
    let none = ask(json!({"query": "none"}), keys(&server.address)).await.unwrap();
    assert!(none.result.is_nil());
    let formula =
        json!({"apiVersion": "v2", "queries": {"a": "x", "b": "y"}, "formula": "a / b", "interval": "1m"});
    assert_eq!(ask(formula, keys(&server.address)).await.unwrap().text, "0.5");
    let seen = server.seen();
    assert_eq!((header(&seen[0], "dd-api-key"), header(&seen[0], "dd-application-key")), ("a", "b"));
    let body: Value = serde_json::from_str(&seen[2].body).unwrap();
    let attributes = &body["data"]["attributes"];
    assert_eq!(attributes["formulas"], json!([{"formula": "a / b"}]));
    assert_eq!(
        (&attributes["from"], &attributes["to"]),
        (&json!(1_898_831_107_000_i64), &json!(1_898_831_167_000_i64))
    );
    assert_eq!(attributes["queries"][1]["query"], "y");
    let refused = ask(json!({"query": "other"}), keys(&server.address)).await.unwrap_err();
    assert_eq!(refused, "received authentication error response code: 403 no");
    assert_eq!(ask(json!({"query": "a"}), Keys::new()).await.unwrap_err(), "API or App token not found");
    let profile = Asked::Datadog(&json!({"secretRef": {"name": "own", "namespaced": true}})).profile();
    assert_eq!(profile, Some(Profile { secret: "own".to_owned(), namespaced: true }));
}

#[tokio::test]
async fn the_results_of_new_relic_are_a_map_or_a_list() {
    let server = Server::start(|seen| {
        let results = if seen.body.contains("one") {
            json!([{"rate": 0.5}])
        } else if seen.body.contains("two") {
            json!([{"n": 1}, {"n": 2}])
        } else if seen.body.contains("wrong") {
            return answer(200, r#"{"errors": [{"message": "NRQL Syntax Error"}]}"#);
        } else {
            json!([])
        };
        answer(200, json!({"data": {"actor": {"account": {"nrql": {"results": results}}}}}).to_string())
    })
    .await;
    let keys: Keys =
        [("personal-api-key", "k"), ("account-id", "7"), ("base-url-nerdgraph", server.address.as_str())]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let ask = |query: &str| {
        let (configuration, keys) = (json!({"query": query}), keys.clone());
        async move { Asked::NewRelic(&configuration).measure(&asking(), &keys, now()).await.map(|it| it.text) }
    };
    assert_eq!(ask("SELECT one").await.as_deref(), Ok(r#"{"rate":0.5}"#));
    assert_eq!(ask("SELECT two").await.as_deref(), Ok(r#"[{"n":1},{"n":2}]"#));
    assert_eq!(ask("SELECT nothing").await.unwrap_err(), "no results returned from NRQL query");
    assert_eq!(ask("wrong").await.unwrap_err(), "NRQL Syntax Error");
    let seen = &server.seen()[0];
    assert_eq!(header(seen, "api-key"), "k");
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body["variables"], json!({"account": 7, "nrql": "SELECT one", "timeout": 5}));
}

#[tokio::test]
async fn the_values_of_influxdb_are_a_list() {
    let csv = "#datatype,string,long,double,string\r\n,result,table,_value,host\r\n,_result,0,0.5,a\r\n,_result,0,2,\"b,c\"\r\n\r\n\
               ,result,table,_value\r\n,_result,1,\"say \"\"yes\"\"\"\r\n\r\n";
    let server = Server::start(move |seen| match seen.body.as_str() {
        "from(x)" => answer(200, csv),
        "wrong" => answer(400, r#"{"code": "invalid", "message": "compilation failed"}"#),
        _ => answer(200, "\r\n"),
    })
    .await;
    let keys: Keys = [("authToken", "t"), ("org", "my org"), ("address", server.address.as_str())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let ask = |query: &str| {
        let (configuration, keys) = (json!({"query": query}), keys.clone());
        async move { Asked::Influxdb(&configuration).measure(&asking(), &keys, now()).await.map(|it| it.text) }
    };
    assert_eq!(ask("from(x)").await.as_deref(), Ok("[0.5 2 say \"yes\"]"));
    assert_eq!(ask("wrong").await.unwrap_err(), "received non 2xx response code: 400 compilation failed");
    assert_eq!(ask("none").await.unwrap_err(), "no results returned from flux query");
    let seen = &server.seen()[0];
    assert_eq!(
        (seen.line.as_str(), header(seen, "authorization")),
        ("POST /api/v2/query?org=my+org", "Token t")
    );
}

/// A real Prometheus, if this machine has one: `apt-get install prometheus`, or any binary of that name on the path.
#[tokio::test]
async fn a_real_prometheus_is_understood() {
    let folder = Folder::new();
    let config = folder.0.join("prometheus.yml");
    std::fs::write(&config, "global: {scrape_interval: 1s}\n").unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let started = std::process::Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.0.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stderr(std::process::Stdio::null())
        .spawn();
    let mut process = match started {
        Ok(process) => Process(process),
        Err(why) => {
            eprintln!("skipped: no program `prometheus` ({why}); `apt-get install prometheus` brings one");
            return;
        }
    };
    let address = format!("http://127.0.0.1:{port}");
    let ask = |query: &str, more: Value| {
        let mut configuration = json!({"address": address, "query": query});
        configuration.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        async move {
            Asked::Prometheus(&configuration).measure(&asking(), &Keys::new(), crate::clock::now()).await
        }
    };
    let begun = tokio::time::Instant::now();
    while ask("1", json!({})).await.is_err() {
        assert!(begun.elapsed() < Duration::from_mins(1), "Prometheus does not answer");
        assert!(process.0.try_wait().unwrap().is_none(), "Prometheus has ended");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let text = |sample: Result<Sample, String>| sample.map(|it| it.text);
    assert_eq!(text(ask("scalar(vector(0.25))", json!({})).await).as_deref(), Ok("0.25"));
    assert_eq!(text(ask("vector(1) / 0", json!({})).await).as_deref(), Ok("[+Inf]"));
    assert_eq!(text(ask("absent_metric", json!({})).await).as_deref(), Ok("[]"));
    let range = json!({"rangeQuery": {"start": "now() - duration('2m')", "end": "now()", "step": "1m"}});
    assert_eq!(text(ask("vector(7)", range).await).as_deref(), Ok("[7,7,7]"));
    let wrong = ask("sum(", json!({})).await.unwrap_err();
    assert!(wrong.starts_with("bad_data: "), "{wrong}");
    assert_eq!(ask("\"text\"", json!({})).await.unwrap_err(), "Prometheus metric type not supported");
}

/// A folder that goes with its value.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        let unique = format!("sluice-prometheus-{}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A program that ends with its value.
struct Process(std::process::Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
