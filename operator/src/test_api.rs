//! An API server for tests: answers requests from a script and notes them.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tower::service_fn;

/// What is answered to a body; `None`: the answer never comes.
type Answer = Box<dyn FnOnce(&Value) -> Option<(StatusCode, Value)> + Send>;

/// Answers in the order of its script; every request beyond it is answered with 500.
#[derive(Clone, Default)]
pub(crate) struct TestApi {
    script: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl TestApi {
    /// The next answer.
    pub(crate) fn answer(self, status: u16, body: Value) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        self.then(Box::new(move |_| Some((status, body))))
    }

    /// The next answer, made of what is sent.
    pub(crate) fn answer_to(self, make: impl FnOnce(&Value) -> Value + Send + 'static) -> Self {
        self.then(Box::new(|sent| Some((StatusCode::OK, make(sent)))))
    }

    /// The next answer: a refusal as the API server words it.
    pub(crate) fn refuse(self, code: u16, reason: &str, message: &str) -> Self {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "code": code, "reason": reason, "message": message,
        });
        self.answer(code, status)
    }

    /// The next answer never comes.
    pub(crate) fn silence(self) -> Self {
        self.then(Box::new(|_| None))
    }

    fn then(self, answer: Answer) -> Self {
        self.script.lock().unwrap().push_back(answer);
        self
    }

    /// `METHOD path?query` and body of every request so far.
    pub(crate) fn seen(&self) -> Vec<(String, Value)> {
        self.seen.lock().unwrap().clone()
    }

    /// `METHOD path` of every request so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|(line, _)| line.split('?').next().unwrap().to_owned()).collect()
    }

    pub(crate) fn client(&self) -> Client {
        let api = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                let line = format!("{} {}", request.method(), request.uri());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                let next = api.script.lock().unwrap().pop_front();
                let beyond = Some((StatusCode::INTERNAL_SERVER_ERROR, json!({})));
                let answer = next.map_or(beyond, |answer| answer(&body));
                api.seen.lock().unwrap().push((line, body));
                let Some((status, body)) = answer else { return std::future::pending().await };
                let body = Body::from(serde_json::to_vec(&body).unwrap());
                Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }
}
