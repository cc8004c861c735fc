//! Flags of Argo Rollouts' controller that have no counterpart here.

use clap::Args;

macro_rules! ignored {
    ($($field:ident = $flag:literal),+ $(,)?) => {
        /// Flags that Argo's manifests may carry and that change nothing in Sluice. They are accepted, so that a
        /// Deployment needs a new image only, and named in the log at start.
        ///
        /// `--qps` and `--burst` are among them: the API server's priority and fairness bounds a client better than
        /// the client itself does.
        #[derive(Clone, Debug, Default, Args)]
        pub struct Ignored {
            $(#[arg(long = $flag, hide = true, num_args = 0..=1, default_missing_value = "true")] $field: Option<String>,)+
        }

        impl Ignored {
            /// Those that were given, in the order of their names.
            #[must_use]
            pub fn given(&self) -> Vec<&'static str> {
                let mut given = Vec::new();
                $(if self.$field.is_some() { given.push(concat!("--", $flag)); })+
                given
            }
        }
    };
}

ignored! {
    alb_ingress_classes = "alb-ingress-classes",
    alb_tag_key_resource_id = "alb-tag-key-resource-id",
    alb_verify_weight = "alb-verify-weight",
    analysis_threads = "analysis-threads",
    appmesh_crd_version = "appmesh-crd-version",
    aws_target_group_binding_api_version = "aws-target-group-binding-api-version",
    aws_verify_target_group = "aws-verify-target-group",
    burst = "burst",
    enable_pprof_address = "enable-pprof-address",
    ephemeral_metadata_threads = "ephemeral-metadata-threads",
    ephemeral_metadata_update_pod_retries = "ephemeral-metadata-update-pod-retries",
    ingress_api_version = "ingress-api-version",
    ingress_threads = "ingress-threads",
    istio_api_version = "istio-api-version",
    kloglevel = "kloglevel",
    nginx_ingress_classes = "nginx-ingress-classes",
    qps = "qps",
    self_service_notification_enabled = "self-service-notification-enabled",
    service_threads = "service-threads",
    traefik_api_group = "traefik-api-group",
    traefik_api_version = "traefik-api-version",
    traffic_split_api_version = "traffic-split-api-version",
}
