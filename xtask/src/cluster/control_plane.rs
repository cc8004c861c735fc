//! etcd, the API server, the controllers and the scheduler.

use super::{
    daemons::Daemon,
    place::{NODE_ADDRESS, PODS, SERVICES, inside},
};

const CLIENT: &str = "http://127.0.0.1:2379";
const PEER: &str = "http://127.0.0.1:2380";

/// Those that come first: the others wait for the API server's answer.
pub(crate) fn servers() -> Vec<Daemon> {
    vec![etcd(), api_server()]
}

/// Those that need the API server to answer, or end.
pub(crate) fn controllers() -> Vec<Daemon> {
    vec![controller_manager(), scheduler()]
}

fn etcd() -> Daemon {
    let arguments = vec![
        format!("--data-dir={}", inside("etcd")),
        // A power cut may lose the state: then the cluster is made anew.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
        format!("--listen-client-urls={CLIENT}"),
        format!("--advertise-client-urls={CLIENT}"),
        format!("--listen-peer-urls={PEER}"),
        format!("--initial-advertise-peer-urls={PEER}"),
        format!("--initial-cluster=default={PEER}"),
    ];
    Daemon::built("etcd", arguments)
}

fn api_server() -> Daemon {
    let arguments = vec![
        format!("--etcd-servers={CLIENT}"),
        "--secure-port=6443".to_owned(),
        format!("--advertise-address={NODE_ADDRESS}"),
        format!("--service-cluster-ip-range={SERVICES}"),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        format!("--kubelet-client-certificate={}", pki("apiserver-kubelet.crt")),
        format!("--kubelet-client-key={}", pki("apiserver-kubelet.key")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={}", pki("service-account.pub")),
        format!("--service-account-signing-key-file={}", pki("service-account.key")),
        format!("--requestheader-client-ca-file={}", pki("front-proxy-ca.crt")),
        "--requestheader-allowed-names=front-proxy".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        format!("--proxy-client-cert-file={}", pki("front-proxy.crt")),
        format!("--proxy-client-key-file={}", pki("front-proxy.key")),
    ];
    Daemon::built("kube-apiserver", arguments)
}

fn controller_manager() -> Daemon {
    let mut arguments = credentials("controller-manager");
    arguments.extend([
        "--use-service-account-credentials=true".to_owned(),
        format!("--service-account-private-key-file={}", pki("service-account.key")),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--cluster-signing-cert-file={}", pki("ca.crt")),
        format!("--cluster-signing-key-file={}", pki("ca.key")),
        format!("--service-cluster-ip-range={SERVICES}"),
        format!("--cluster-cidr={PODS}"),
        // The CNI plugin gives addresses to pods by itself.
        "--allocate-node-cidrs=false".to_owned(),
        // The default of 20 requests a second takes five seconds longer to start all controllers.
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
    ]);
    Daemon::built("kube-controller-manager", arguments)
}

fn scheduler() -> Daemon {
    Daemon::built("kube-scheduler", credentials("scheduler"))
}

fn credentials(user: &str) -> Vec<String> {
    let file = inside(&format!("conf/{user}.kubeconfig"));
    vec![
        format!("--kubeconfig={file}"),
        format!("--authentication-kubeconfig={file}"),
        format!("--authorization-kubeconfig={file}"),
        // There is one of each: an election would only cost time at the start.
        "--leader-elect=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
    ]
}

fn pki(file: &str) -> String {
    inside(&format!("pki/{file}"))
}
