//! A pod template between two passes.

use crds::rollout::PodTemplate;
use serde_json::Value;

/// A pod template as it is kept: as text, which takes a tenth of the memory of its tree. Of ten thousand Rollouts the
/// trees alone would be more than everything else that is kept.
#[derive(Clone, Debug)]
pub(super) enum Template {
    /// As text.
    Text(Box<str>),
    /// As it is: a number in it would be another one after it was read again.
    Tree(Box<PodTemplate>),
}

impl Template {
    pub(super) fn of(template: PodTemplate) -> Self {
        let text = template.0.to_string();
        match serde_json::from_str::<Value>(&text) {
            Ok(read) if read == template.0 => Self::Text(text.into_boxed_str()),
            Ok(_) | Err(_) => Self::Tree(Box::new(template)),
        }
    }

    /// The template exactly as it was.
    pub(super) fn read(&self) -> PodTemplate {
        match self {
            // It was read before it was kept.
            Self::Text(text) => PodTemplate(serde_json::from_str(text).unwrap_or_default()),
            Self::Tree(template) => template.as_ref().clone(),
        }
    }
}
