//! `spec.strategy.blueGreen`.

use chrono::TimeDelta;
use crds::rollout::{BlueGreenStrategy, PodMetadata, RolloutAnalysis};

use super::{Amount, Analysis, AntiAffinity, Confirm, DEFAULT_SCALE_DOWN_DELAY_SECONDS, Invalid, seconds};
use crate::analysis::Role;

/// `spec.strategy.blueGreen`.
#[derive(Clone, Debug, PartialEq)]
pub struct BlueGreen {
    /// `activeService`: the Service that users reach.
    pub active_service: String,
    /// `previewService`: the Service of the newest version.
    pub preview_service: Option<String>,
    /// `previewReplicaCount`: pods of the new version before it is accepted; `None`: all of them.
    pub preview_replicas: Option<i32>,
    /// What an available version waits for before it becomes the active one.
    pub promotion: Promotion,
    /// `prePromotionAnalysis`: what judges a version before it becomes the active one.
    pub pre_promotion: Option<Analysis>,
    /// `postPromotionAnalysis`: what judges it afterwards, before it becomes the stable one.
    pub post_promotion: Option<Analysis>,
    /// `maxUnavailable`: pods that may be missing where the stable version is restarted, or takes the requests back.
    pub max_unavailable: Amount,
    /// `previewMetadata`: what the pods of a new version carry.
    pub preview_metadata: Option<PodMetadata>,
    /// `activeMetadata`: what the pods of the stable version carry.
    pub active_metadata: Option<PodMetadata>,
    /// `antiAffinity`: how strictly a new version stays off the nodes of the stable one.
    pub anti_affinity: Option<AntiAffinity>,
    /// How long the old version keeps running after promotion, at least.
    pub scale_down_delay: TimeDelta,
    /// How many old ReplicaSets may wait for their scale-down at the same time; `None`: any number.
    pub scale_down_delay_revision_limit: Option<usize>,
    /// How long the new version keeps running after an abort, at least; `None`: for ever (written as 0).
    pub abort_scale_down_delay: Option<TimeDelta>,
    /// When a switch counts as served. The strategy has no field for it: the defaults.
    pub confirm: Confirm,
}

/// `autoPromotionEnabled` and `autoPromotionSeconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// Nothing.
    AtOnce,
    /// This time, or the user, whoever is first.
    After(TimeDelta),
    /// The user. The seconds are of no account then, as in Argo.
    ByUser,
}

impl BlueGreen {
    pub(super) fn read(blue_green: &BlueGreenStrategy) -> Result<Self, Invalid> {
        let delay =
            |written: Option<i32>| seconds(written.unwrap_or(DEFAULT_SCALE_DOWN_DELAY_SECONDS).max(0));
        let analysis = |role: Role, written: Option<&RolloutAnalysis>| {
            written.map(|it| Analysis::read(&role.path(), it)).transpose()
        };
        Ok(Self {
            active_service: blue_green.active_service.clone(),
            preview_service: blue_green.preview_service.clone(),
            preview_replicas: blue_green.preview_replica_count,
            promotion: Promotion::read(blue_green),
            pre_promotion: analysis(Role::PrePromotion, blue_green.pre_promotion_analysis.as_ref())?,
            post_promotion: analysis(Role::PostPromotion, blue_green.post_promotion_analysis.as_ref())?,
            max_unavailable: Amount::read("blueGreen.maxUnavailable", blue_green.max_unavailable.as_ref())?,
            preview_metadata: blue_green.preview_metadata.clone(),
            active_metadata: blue_green.active_metadata.clone(),
            anti_affinity: blue_green.anti_affinity.as_ref().and_then(AntiAffinity::read),
            scale_down_delay: delay(blue_green.scale_down_delay_seconds),
            scale_down_delay_revision_limit: blue_green
                .scale_down_delay_revision_limit
                .map(|limit| usize::try_from(limit).unwrap_or_default()),
            abort_scale_down_delay: match blue_green.abort_scale_down_delay_seconds {
                Some(0) => None,
                written => Some(delay(written)),
            },
            confirm: Confirm::default(),
        })
    }
}

impl Promotion {
    fn read(blue_green: &BlueGreenStrategy) -> Self {
        match (blue_green.auto_promotion_enabled, blue_green.auto_promotion_seconds) {
            (Some(false), _) => Self::ByUser,
            (Some(true) | None, time) if time > 0 => Self::After(seconds(time)),
            (Some(true) | None, _) => Self::AtOnce,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(strategy: Value) -> BlueGreen {
        BlueGreen::read(&serde_json::from_value(strategy).unwrap()).unwrap()
    }

    #[test]
    fn a_promotion_waits_for_nothing_a_time_or_the_user() {
        let table = [
            (json!({"activeService": "a"}), Promotion::AtOnce),
            (json!({"activeService": "a", "autoPromotionEnabled": true}), Promotion::AtOnce),
            (json!({"activeService": "a", "autoPromotionSeconds": 9}), Promotion::After(seconds(9))),
            (json!({"activeService": "a", "autoPromotionEnabled": false}), Promotion::ByUser),
            (
                json!({"activeService": "a", "autoPromotionEnabled": false, "autoPromotionSeconds": 9}),
                Promotion::ByUser,
            ),
        ];
        for (strategy, wanted) in table {
            assert_eq!(read(strategy.clone()).promotion, wanted, "{strategy}");
        }
    }

    #[test]
    fn an_abort_delay_of_zero_means_for_ever() {
        let delay = |strategy: Value| read(strategy).abort_scale_down_delay;
        assert_eq!(delay(json!({"activeService": "a"})), Some(seconds(30)));
        assert_eq!(delay(json!({"activeService": "a", "abortScaleDownDelaySeconds": 5})), Some(seconds(5)));
        assert_eq!(delay(json!({"activeService": "a", "abortScaleDownDelaySeconds": 0})), None);
        let at_once = read(json!({"activeService": "a", "scaleDownDelaySeconds": 0}));
        assert_eq!(at_once.scale_down_delay, seconds(0));
    }
}
