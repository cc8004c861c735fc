//! The kubelet, and kube-proxy and the load balancer beside it.

use serde_json::{Value, json};

use super::{
    daemons::Daemon,
    files,
    place::{DNS_SERVICE, LOAD_BALANCERS, NAME, NODE, NODE_ADDRESS, PODS, Place, inside},
};

/// Writes the configurations and says how the node's programs are called.
pub(crate) fn configure(place: &Place) -> anyhow::Result<Vec<Daemon>> {
    write(place, "kubelet", &kubelet(place.rootless))?;
    write(place, "kube-proxy", &kube_proxy())?;
    // Pods that do not ask the cluster's DNS have no other to ask.
    files::write(
        &place.path("conf/resolv.conf"),
        "nameserver 127.0.0.1
",
    )?;
    Ok(vec![
        Daemon::built(
            "kubelet",
            vec![
                format!("--config={}", inside("conf/kubelet.json")),
                format!("--kubeconfig={}", inside("conf/kubelet.kubeconfig")),
                format!("--cert-dir={}", inside("kubelet-pki")),
                format!("--hostname-override={NODE}"),
                format!("--node-ip={NODE_ADDRESS}"),
                "--v=1".to_owned(),
            ],
        ),
        Daemon::built(
            "kube-proxy",
            vec![format!("--config={}", inside("conf/kube-proxy.json")), "--v=1".to_owned()],
        ),
        Daemon::built(
            "load-balancer",
            vec![format!("--kubeconfig={}", inside("kubeconfig")), format!("--addresses={LOAD_BALANCERS}")],
        ),
    ])
}

fn write(place: &Place, name: &str, configuration: &Value) -> anyhow::Result<()> {
    files::write(&place.path(&format!("conf/{name}.json")), &serde_json::to_string_pretty(configuration)?)
}

fn kubelet(rootless: bool) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": inside("pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": inside("pki/kubelet-server.crt"),
        "tlsPrivateKeyFile": inside("pki/kubelet-server.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": if rootless { "/".to_owned() } else { format!("/{NAME}-cluster") },
        "cgroupsPerQOS": !rootless,
        "featureGates": {"KubeletInUserNamespace": rootless},
        "failCgroupV1": false,
        "failSwapOn": false,
        // The firewall rules of old kubelets: kube-proxy has its own.
        "makeIPTablesUtilChains": false,
        "enforceNodeAllocatable": [],
        // Whatever fills the developer's disk, pods are not thrown off the node for it.
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        // An image that is collected cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_SERVICE],
        "resolvConf": inside("conf/resolv.conf"),
        "maxPods": 250,
        "registerNode": true,
        "serializeImagePulls": false,
        "nodeStatusUpdateFrequency": "10s",
        "volumePluginDir": inside("volume-plugins"),
    })
}

fn kube_proxy() -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": inside("conf/kube-proxy.kubeconfig")},
        "mode": "nftables",
        "clusterCIDR": PODS,
        "hostnameOverride": NODE,
        // Zero leaves the kernel's connection tracking as it is.
        "conntrack": {
            "maxPerCore": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
            "udpTimeout": "0s",
            "udpStreamTimeout": "0s",
        },
        "healthzBindAddress": "127.0.0.1:10256",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_have_cgroups_under_our_own_only_with_root() {
        assert_eq!(kubelet(false)["cgroupRoot"], "/sluice-cluster");
        assert_eq!(kubelet(false)["cgroupsPerQOS"], true);
        assert_eq!(kubelet(true)["cgroupsPerQOS"], false);
        assert_eq!(kubelet(true)["featureGates"]["KubeletInUserNamespace"], true);
    }

    #[test]
    fn kube_proxy_leaves_the_settings_of_the_kernel_alone() {
        let conntrack = kube_proxy()["conntrack"].clone();
        assert!(
            conntrack.as_object().unwrap().values().all(|value| value == "0s" || value == 0),
            "{conntrack}"
        );
    }
}
