//! An API server with one Rollout and its ReplicaSets, which notes what is asked of it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// What the server holds and how it behaves.
#[derive(Clone, Debug)]
pub(crate) struct ApiServer {
    /// The Rollout `demo`; absent = not found.
    pub(crate) rollout: Option<Value>,
    /// All ReplicaSets of the namespace.
    pub(crate) replica_sets: Vec<Value>,
    /// Whether Rollouts have a status subresource.
    pub(crate) status_subresource: bool,
}

/// One request that changes something.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub(crate) subresource: String,
    pub(crate) kind: String,
    pub(crate) body: String,
}

/// The writes so far, in order.
pub(crate) type Writes = Arc<Mutex<Vec<Write>>>;

impl ApiServer {
    /// A client of this server, and what it will have written.
    pub(crate) fn start(self) -> (Client, Writes) {
        let writes = Writes::default();
        let noted = writes.clone();
        let service = tower::service_fn(move |request| {
            let (server, writes) = (self.clone(), noted.clone());
            async move { Ok::<_, Infallible>(server.answer(request, &writes).await) }
        });
        (Client::new(service, "ns"), writes)
    }

    async fn answer(&self, request: Request<Body>, writes: &Writes) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let path = head.uri.path().to_owned();
        let subresource = if path.ends_with("/status") { "status" } else { "" };
        if head.method != Method::GET {
            let content_type = head.headers["content-type"].to_str().unwrap();
            let kind = if head.method == Method::PUT { "update" } else { content_type };
            let write = Write { subresource: subresource.to_owned(), kind: kind.to_owned(), body };
            writes.lock().unwrap().push(write);
        }
        if path.ends_with("/replicasets") {
            let list = json!({"apiVersion": "apps/v1", "kind": "ReplicaSetList", "metadata": {}, "items": self.replica_sets});
            return response(200, &list);
        }
        match &self.rollout {
            Some(rollout) if subresource.is_empty() || self.status_subresource => response(200, rollout),
            _ => not_found(),
        }
    }
}

fn not_found() -> Response<Body> {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": 404,
        "reason": "NotFound", "message": "rollouts.argoproj.io \"demo\" not found",
    });
    response(404, &status)
}

fn response(code: u16, body: &Value) -> Response<Body> {
    Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()
}
