//! What a request waits for before it is known whether it may come in. Meanwhile it keeps no snapshot: afterwards it is looked at
//! from the beginning, with what is known by then.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use proxy_core::filters::{Authorization, Question, Verdict, Verification};

use super::{Worker, authorization::Asking, login};

/// What has to be found out first.
pub(super) enum Pending {
    /// Whether this password is right.
    Password(Verification),
    /// What the service says of the request.
    Question(Arc<Authorization>, Box<Question>),
}

/// What is being found out.
pub(super) enum Waiting {
    Password(Verification),
    Answer(Asking),
}

/// What was found out about a request.
#[derive(Default)]
pub(super) struct Known {
    /// Whether it was looked at before.
    pub(super) again: bool,
    /// What a service has said of it.
    pub(super) said: Option<Box<Said>>,
}

/// What a service has said of a request.
pub(super) struct Said {
    /// As whose service it was asked.
    pub(super) by: Arc<Authorization>,
    pub(super) verdict: Verdict,
    /// For the client, if the verdict wants it.
    pub(super) text: Bytes,
}

impl Pending {
    /// Begins, while the request still has its snapshot.
    pub(super) fn begin(self, worker: &Rc<Worker>) -> Waiting {
        match self {
            Self::Password(verification) => Waiting::Password(verification),
            Self::Question(by, question) => Waiting::Answer(Asking::begin(worker, by, question)),
        }
    }
}

impl Waiting {
    /// Waits, and returns what is known then. `None`: it cannot be found out.
    pub(super) async fn end(self, worker: &Worker, known: Known) -> Option<Known> {
        match self {
            Self::Password(verification) => {
                let compared = login::compare(worker, verification).await;
                compared.then_some(Known { again: true, ..known })
            }
            Self::Answer(asking) => Some(Known { again: true, said: Some(Box::new(asking.run().await)) }),
        }
    }
}
