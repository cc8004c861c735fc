//! Amazon's services: a local server stands where the environment says that they are.

use reqsign_core::{HttpSend, StaticEnv};

use super::*;

/// Takes questions about credentials to a server on this machine, whomever they are for.
#[derive(Debug)]
struct Detour {
    http: Http,
    address: String,
}

impl HttpSend for Detour {
    async fn http_send(&self, request: Request<Bytes>) -> reqsign_core::Result<Response<Bytes>> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
        let host = parts.uri.host().unwrap_or_default().to_owned();
        parts.uri = format!("{}{path}", self.address).parse().unwrap();
        parts.headers.insert("x-meant-for", host.parse().unwrap());
        HttpSend::http_send(&self.http, Request::from_parts(parts, body)).await
    }
}

fn environment(variables: &[(&str, &str)]) -> StaticEnv {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    StaticEnv { home_dir: None, envs: variables.collect() }
}

/// Asks with these variables; credentials are asked for at `credentials`.
fn asking_with(credentials: &str, variables: &[(&str, &str)]) -> Asking {
    let mut asking = asking();
    let detour = Detour { http: asking.http.clone(), address: credentials.to_owned() };
    asking.amazon = Amazon::with(detour, environment(variables));
    asking
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "secret")];

fn with_keys<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [KEYS.as_slice(), more].concat()
}

/// The scope and the signed headers of a request's signature.
fn signed(seen: &Seen) -> (String, String) {
    let text = header(seen, "authorization").to_owned();
    let rest = text.strip_prefix("AWS4-HMAC-SHA256 Credential=").expect("a signature of version 4");
    let (credential, rest) = rest.split_once(", SignedHeaders=").unwrap();
    let (headers, signature) = rest.split_once(", Signature=").unwrap();
    assert!(signature.len() == 64 && signature.chars().all(|it| it.is_ascii_hexdigit()), "{signature}");
    let mut scope: Vec<&str> = credential.split('/').collect();
    // The day is today's.
    scope.remove(1);
    assert_eq!(header(seen, "x-amz-content-sha256"), reqsign_core::hash::hex_sha256(seen.body.as_bytes()));
    (scope.join("/"), headers.to_owned())
}

fn queries() -> Value {
    json!({"interval": "15m", "metricDataQueries": [
        {"id": "rate", "expression": "errors / requests", "label": "Rate"},
        {"id": "errors", "returnData": false, "metricStat": {
            "metric": {"namespace": "app", "metricName": "errors", "dimensions": [{"name": "pod", "value": "a"}]},
            "period": "300", "stat": "Sum", "unit": "Count",
        }},
        {"id": "requests", "period": 60, "metricStat": {"metric": {"metricName": "requests"}, "period": 60, "stat": "Sum"}},
    ]})
}

#[tokio::test]
async fn cloud_watch_is_asked_in_its_words_and_signed() {
    let reply = json!({
        "MetricDataResults": [
            {"Id": "rate", "Label": "Rate", "StatusCode": "Complete", "Timestamps": [1.898_831_1e9], "Values": [0.5, 1e21]},
            {"Id": "none", "Values": ["NaN"]},
        ],
        "Messages": [{"Code": "ArithmeticError", "Value": "division by zero"}],
    });
    let server = Server::start(move |_| answer(200, reply.to_string())).await;
    let variables = [("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL_CLOUDWATCH", server.address.as_str())];
    let asking = asking_with("http://127.0.0.1:9", &with_keys(&variables));
    let sample = Asked::CloudWatch(&queries()).measure(&asking, &Keys::new(), now()).await.unwrap();
    assert_eq!(sample.text, "[[0.5 1e+21] [NaN]]");
    assert_eq!(sample.metadata["messages"], "ArithmeticError: division by zero");
    for condition in [
        "all(result[0].Values, # >= 0.5)",
        "result[0].Id == 'rate' && result[0].StatusCode == 'Complete'",
        "isNaN(result[1].Values[0]) && result[1].Label == nil",
        "result[0].Timestamps[0].Year() == 2030",
    ] {
        let expression = operator_analysis::expression::Expression::parse(condition).unwrap();
        let surroundings = operator_analysis::expression::Surroundings { result: &sample.result, now: now() };
        let verdict = expression.evaluate(surroundings);
        assert!(matches!(verdict, Ok(Measured::Bool(true))), "{condition}: {verdict:?}");
    }
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /");
    assert_eq!(header(&seen[0], "x-amz-target"), "GraniteServiceVersion20100801.GetMetricData");
    let (scope, headers) = signed(&seen[0]);
    assert_eq!(scope, "AKID/eu-west-1/monitoring/aws4_request");
    assert_eq!(headers, "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target");
    let asked: Value = serde_json::from_str(&seen[0].body).unwrap();
    let expected = json!({
        "StartTime": 1_898_830_267, "EndTime": 1_898_831_167,
        "MetricDataQueries": [
            {"Id": "rate", "Expression": "errors / requests", "Label": "Rate"},
            {"Id": "errors", "ReturnData": false, "MetricStat": {
                "Metric": {"Namespace": "app", "MetricName": "errors", "Dimensions": [{"Name": "pod", "Value": "a"}]},
                "Period": 300, "Stat": "Sum", "Unit": "Count",
            }},
            {"Id": "requests", "Period": 60, "MetricStat": {"Metric": {"MetricName": "requests"}, "Period": 60, "Stat": "Sum"}},
        ],
    });
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn what_keeps_cloud_watch_from_answering_is_told() {
    let server = Server::start(|_| {
        answer(
            400,
            r#"{"__type": "com.amazonaws.cloudwatch#ValidationError", "message": "no such statistic"}"#,
        )
    })
    .await;
    let endpoint = ("AWS_ENDPOINT_URL", server.address.as_str());
    let ask = async |variables: &[(&str, &str)], configuration: Value| {
        let asking = asking_with("http://127.0.0.1:9", variables);
        Asked::CloudWatch(&configuration).measure(&asking, &Keys::new(), now()).await.unwrap_err()
    };
    let keys = with_keys(&[endpoint, ("AWS_DEFAULT_REGION", "eu-west-1")]);
    assert_eq!(
        ask(&keys, queries()).await,
        "CloudWatch refuses with status 400: ValidationError: no such statistic"
    );
    let why = ask(&with_keys(&[endpoint]), queries()).await;
    assert_eq!(why, "no region of Amazon is known: set AWS_REGION in the environment of the operator");
    let why = ask(&[endpoint, ("AWS_REGION", "eu-west-1")], queries()).await;
    assert!(why.starts_with("failed to sign the request for Amazon: "), "{why}");
    let why = ask(&keys, json!({"interval": "soon"})).await;
    assert_eq!(why, "time: invalid duration \"soon\"");
    let why = ask(&keys, json!({"metricDataQueries": "[]"})).await;
    assert!(why.starts_with("provider.cloudWatch cannot be read: "), "{why}");
}

/// As on EKS: the token of the service account is exchanged for credentials, and these for those of a role.
#[tokio::test]
async fn prometheus_is_asked_in_the_name_of_a_role() {
    let sts = Server::start(|seen| {
        let (result, key) = if seen.line.contains("AssumeRoleWithWebIdentity")
            || seen.body.contains("AssumeRoleWithWebIdentity")
        {
            ("AssumeRoleWithWebIdentity", "ASIAPOD0000000000000")
        } else {
            ("AssumeRole", "ASIAROLE000000000000")
        };
        answer(
            200,
            format!(
                "<{result}Response><{result}Result><Credentials><AccessKeyId>{key}</AccessKeyId>\
             <SecretAccessKey>0123456789012345678901234567890123456789</SecretAccessKey><SessionToken>token-{key}</SessionToken>\
             <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></{result}Result></{result}Response>"
            ),
        )
    })
    .await;
    let server = Server::start(|seen| {
        if seen.line.starts_with("POST") {
            return answer(405, "");
        }
        answer(200, r#"{"status": "success", "data": {"resultType": "scalar", "result": [1, "7"]}}"#)
    })
    .await;
    let token = std::env::temp_dir().join(format!("sluice-token-{}", std::process::id()));
    std::fs::write(&token, "of the service account").unwrap();
    let variables = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod"),
    ];
    let asking = asking_with(&sts.address, &variables);
    let configuration = json!({
        "address": format!("{}/workspaces/ws-1", server.address), "query": "up",
        "authentication": {"sigv4": {"region": "eu-west-1", "roleArn": "arn:aws:iam::123456789012:role/reader"}},
    });
    for _ in 0..2 {
        let sample = Asked::Prometheus(&configuration).measure(&asking, &Keys::new(), now()).await.unwrap();
        assert_eq!(sample.text, "7");
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 4, "by POST, which is not allowed, and by GET, each twice");
    for it in &seen {
        assert_eq!(signed(it).0, "ASIAROLE000000000000/eu-west-1/aps/aws4_request");
        assert_eq!(header(it, "x-amz-security-token"), "token-ASIAROLE000000000000");
    }
    assert!(seen[1].line.starts_with("GET /workspaces/ws-1/api/v1/query?query=up"), "{}", seen[1].line);
    std::fs::remove_file(&token).unwrap();
    let asked = sts.seen();
    assert_eq!(asked.len(), 2, "credentials are kept");
    assert_eq!(header(&asked[1], "x-meant-for"), "sts.eu-west-1.amazonaws.com");
    assert_eq!(signed(&asked[1]).0, "ASIAPOD0000000000000/eu-west-1/sts/aws4_request");
}
