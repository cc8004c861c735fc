//! What an `AnalysisRun` of a Rollout is for.

use crds::contract::{
    ROLLOUT_TYPE_BACKGROUND, ROLLOUT_TYPE_POST_PROMOTION, ROLLOUT_TYPE_PRE_PROMOTION, ROLLOUT_TYPE_STEP,
};

/// Which analysis of a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `blueGreen.prePromotionAnalysis`: before the switch.
    PrePromotion,
    /// `blueGreen.postPromotionAnalysis`: after the switch.
    PostPromotion,
    /// `canary.steps[index].analysis`.
    Step(usize),
    /// `canary.analysis`: beside the steps, which do not wait for it.
    Background,
}

impl Role {
    /// Of the labels `rollout-type` and `step-index` of a run; `None` if they say nothing that is known.
    #[must_use]
    pub fn of_labels(kind: &str, step: Option<&str>) -> Option<Self> {
        match kind {
            ROLLOUT_TYPE_PRE_PROMOTION => Some(Self::PrePromotion),
            ROLLOUT_TYPE_POST_PROMOTION => Some(Self::PostPromotion),
            ROLLOUT_TYPE_BACKGROUND => Some(Self::Background),
            ROLLOUT_TYPE_STEP => step.and_then(|index| index.parse().ok()).map(Self::Step),
            _ => None,
        }
    }

    /// Value of the label `rollout-type`; events begin with it too.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::PrePromotion => ROLLOUT_TYPE_PRE_PROMOTION,
            Self::PostPromotion => ROLLOUT_TYPE_POST_PROMOTION,
            Self::Step(_) => ROLLOUT_TYPE_STEP,
            Self::Background => ROLLOUT_TYPE_BACKGROUND,
        }
    }

    /// Name of the first run of a version: `<rollout>-<hash>-<revision>`, and what tells it from others of the version.
    #[must_use]
    pub fn run_name(self, rollout: &str, hash: &str, revision: i64) -> String {
        let base = format!("{rollout}-{hash}-{revision}");
        match self {
            Self::PrePromotion => format!("{base}-pre"),
            Self::PostPromotion => format!("{base}-post"),
            Self::Step(index) => format!("{base}-{index}"),
            Self::Background => base,
        }
    }

    /// Its path in a Rollout, as Argo writes it.
    pub(crate) fn path(self) -> String {
        match self {
            Self::PrePromotion => "spec.strategy.blueGreen.prePromotionAnalysis".to_owned(),
            Self::PostPromotion => "spec.strategy.blueGreen.postPromotionAnalysis".to_owned(),
            Self::Step(index) => format!("spec.strategy.canary.steps[{index}].analysis"),
            Self::Background => "spec.strategy.canary.analysis".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_off_the_labels_that_it_writes() {
        for role in [Role::PrePromotion, Role::PostPromotion, Role::Step(3), Role::Background] {
            let step = if let Role::Step(index) = role { Some(index.to_string()) } else { None };
            assert_eq!(Role::of_labels(role.label(), step.as_deref()), Some(role));
        }
        assert_eq!(Role::of_labels("Step", None), None);
        assert_eq!(Role::of_labels("Step", Some("first")), None);
        assert_eq!(Role::of_labels("Other", None), None);
    }

    #[test]
    fn runs_are_named_after_what_they_are_for() {
        let name = |role: Role| role.run_name("shop", "abc", 2);
        assert_eq!(name(Role::Background), "shop-abc-2");
        assert_eq!(name(Role::Step(4)), "shop-abc-2-4");
        assert_eq!(name(Role::PrePromotion), "shop-abc-2-pre");
        assert_eq!(name(Role::PostPromotion), "shop-abc-2-post");
    }
}
