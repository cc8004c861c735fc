//! Why a command did not do what it should.

use std::path::PathBuf;

use crate::manifest;
use crate::patch::analysis_run::NoRun;
use crate::patch::promote::Refusal;
use crate::patch::set_image::NoSuchContainer;
use crate::patch::undo::NoRevision;

/// Printed as `Error: …`; the process exits with 1.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The API server said no; its own words, as kubectl prints them.
    #[error("{0}")]
    Refused(String),
    /// The API server does not know the kind.
    #[error(
        "the server does not have a resource type \"{0}\" in group \"argoproj.io\"; \
         install Sluice (or its CRDs) in this cluster first"
    )]
    UnknownKind(&'static str),
    /// No answer from the API server.
    #[error("failed to reach the Kubernetes API")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No usable kubeconfig.
    #[error("failed to read the kubeconfig")]
    Kubeconfig(#[source] Box<kube::config::KubeconfigError>),
    /// An object has a shape that this version does not understand.
    #[error("failed to read {kind} \"{name}\"")]
    Unreadable {
        /// Kind in lower case.
        kind: &'static str,
        /// Name of the object.
        name: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// `promote` does not apply.
    #[error(transparent)]
    Promotion(#[from] Refusal),
    /// `set image` names a container that does not exist.
    #[error(transparent)]
    Container(#[from] NoSuchContainer),
    /// `undo` finds nothing to go back to.
    #[error(transparent)]
    Revision(#[from] NoRevision),
    /// `undo` could not write the template.
    #[error("failed restoring revision {0}")]
    Restore(i64, #[source] Box<Self>),
    /// A file cannot be read.
    #[error("failed to read {file}")]
    File {
        /// Its path; `-` is standard input.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is no YAML.
    #[error("failed to read {file} as YAML: {why}")]
    Yaml {
        /// Its path; `-` is standard input.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// There is nothing to plan, or it does not come to an end.
    #[error(transparent)]
    Plan(#[from] operator_forecast::Refused),
    /// A plan cannot be written in this form.
    #[error("failed to write the plan: {0}")]
    Form(String),
    /// A duration on the command line is none.
    #[error(transparent)]
    Duration(#[from] operator_core::duration::Unreadable),
    /// A file cannot be read, or holds something else than it should.
    #[error("{}: {source}", .path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: manifest::Error,
    },
    /// `create analysisrun` cannot make a run of the template.
    #[error(transparent)]
    Template(#[from] NoRun),
    /// `lint` has found something, and said it.
    #[error("{} has {problems} problem{}", .path.display(), if *problems == 1 { "" } else { "s" })]
    Lint {
        /// The file.
        path: PathBuf,
        /// How many.
        problems: usize,
    },
    /// `status`: the Rollout is Degraded.
    #[error("The rollout is in a degraded state with message: {0}")]
    Degraded(String),
    /// `status`: still neither Healthy nor Degraded.
    #[error("Rollout status watch exceeded timeout")]
    Timeout,
    /// Standard output is closed or broken.
    #[error("failed to write the output")]
    Output(#[from] std::io::Error),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.message.is_empty() => {
                Self::Refused(format!("the server answered with status {}", status.code))
            }
            kube::Error::Api(status) => Self::Refused(status.message),
            kube::Error::Service(error) => Self::Unreachable(error),
            error => Self::Unreachable(Box::new(error)),
        }
    }
}

impl Failure {
    /// As [`From`], for a request on this kind: an API server that does not know the kind answers 404 like one that
    /// does not know the object, but without the reason `NotFound`.
    #[must_use]
    pub fn on(kind: &'static str, error: kube::Error) -> Self {
        if is_unknown_kind(&error) { Self::UnknownKind(kind) } else { error.into() }
    }

    /// The message and those of its causes.
    #[must_use]
    pub fn report(&self) -> String {
        let mut texts = vec![self.to_string()];
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let message = error.to_string();
            // Errors of libraries tend to repeat their causes.
            if !texts.iter().any(|text| text.contains(&message)) {
                texts.push(message);
            }
            cause = error.source();
        }
        texts.join(": ")
    }
}

/// Whether the API server knows neither the object nor its kind.
#[must_use]
pub fn is_unknown_kind(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404 && status.reason != "NotFound")
}
