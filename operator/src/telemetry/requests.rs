//! `controller_clientset_k8s_request_total`: requests to the API server.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use prometheus::{IntCounterVec, Opts, Registry};
use tower::{Layer, Service};

/// Counts requests to the API server by kind, verb and status.
///
/// Argo's metric has the object's namespace and name too, which makes it grow with the cluster; here they are empty,
/// so that queries that sum over them still work.
#[derive(Clone, Debug)]
pub struct RequestCounts {
    requests: IntCounterVec,
}

impl RequestCounts {
    /// Registers the counter.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let options = Opts::new(
            "controller_clientset_k8s_request_total",
            "Number of kubernetes requests executed during application reconciliation.",
        );
        let requests = IntCounterVec::new(options, &["kind", "namespace", "name", "verb", "status_code"])?;
        registry.register(Box::new(requests.clone()))?;
        Ok(Self { requests })
    }

    fn count(&self, call: &Call, status: &str) {
        self.requests.with_label_values(&[call.kind.as_str(), "", "", call.verb, status]).inc();
    }
}

impl<S> Layer<S> for RequestCounts {
    type Service = CountRequests<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountRequests { inner, counts: self.clone() }
    }
}

/// A client that counts.
#[derive(Clone, Debug)]
pub struct CountRequests<S> {
    inner: S,
    counts: RequestCounts,
}

impl<S, B, R> Service<Request<B>> for CountRequests<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call =
            Call::of(request.method(), request.uri().path(), request.uri().query().unwrap_or_default());
        let counts = self.counts.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            match &answer {
                Ok(response) => counts.count(&call, response.status().as_str()),
                Err(_) => counts.count(&call, "0"),
            }
            answer
        })
    }
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    kind: String,
    verb: &'static str,
}

impl Call {
    fn of(method: &Method, path: &str, query: &str) -> Self {
        // /api/v1/… or /apis/group/version/…, then perhaps namespaces/NAME, then resource[/name[/subresource]]
        let mut parts = path.split('/').filter(|it| !it.is_empty());
        let prefix = if parts.next() == Some("apis") { 2 } else { 1 };
        let mut rest: Vec<&str> = parts.skip(prefix).collect();
        if rest.first() == Some(&"namespaces") && rest.len() > 2 {
            rest.drain(..2);
        }
        let (kind, named) = (rest.first().copied().unwrap_or_default(), rest.len() > 1);
        let watching = query.split('&').any(|it| it == "watch=true" || it == "watch=1");
        let verb = match *method {
            Method::GET if watching => "Watch",
            Method::GET if named => "Get",
            Method::GET => "List",
            Method::POST => "Create",
            Method::PUT => "Update",
            Method::PATCH => "Patch",
            Method::DELETE => "Delete",
            _ => "Unknown",
        };
        Self { kind: kind.to_owned(), verb }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kind_and_verb_off_a_path() {
        for (method, path, query, kind, verb) in [
            (Method::GET, "/api/v1/services", "", "services", "List"),
            (Method::GET, "/api/v1/services", "&watch=true&timeoutSeconds=290", "services", "Watch"),
            (Method::GET, "/api/v1/namespaces/web", "", "namespaces", "Get"),
            (Method::GET, "/apis/argoproj.io/v1alpha1/namespaces/web/rollouts/app", "", "rollouts", "Get"),
            (
                Method::PATCH,
                "/apis/argoproj.io/v1alpha1/namespaces/web/rollouts/app/status",
                "",
                "rollouts",
                "Patch",
            ),
            (Method::POST, "/apis/apps/v1/namespaces/web/replicasets", "", "replicasets", "Create"),
            (Method::DELETE, "/apis/apps/v1/namespaces/web/replicasets/a", "", "replicasets", "Delete"),
        ] {
            assert_eq!(Call::of(&method, path, query), Call { kind: kind.to_owned(), verb }, "{path}");
        }
    }
}
