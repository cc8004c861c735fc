//! Certificates, and peers that speak TLS.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use proxy_config::model::{Certificate, CertificateId, Change, Secret};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

use super::{client::Reply, within};

/// Signs certificates.
pub(crate) struct Signer(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

/// A certificate with its key, as PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// What a client has seen of one connection.
pub(crate) struct Seen {
    pub(crate) reply: Reply,
    pub(crate) certificate: Vec<u8>,
    pub(crate) kind: HandshakeKind,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self(rcgen::CertifiedIssuer::self_signed(parameters, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for DNS names and URIs.
    pub(crate) fn sign(&self, names: &[&str]) -> Identity {
        let (uris, hosts): (Vec<&str>, Vec<&str>) = names.iter().partition(|it| it.contains("://"));
        let hosts: Vec<String> = hosts.into_iter().map(ToOwned::to_owned).collect();
        let mut parameters = rcgen::CertificateParams::new(hosts).unwrap();
        let uri = |it: &str| rcgen::SanType::URI(it.try_into().unwrap());
        parameters.subject_alt_names.extend(uris.into_iter().map(uri));
        let key = rcgen::KeyPair::generate().unwrap();
        Identity { chain: parameters.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        roots
    }

    /// A client that trusts this signer, perhaps with a certificate of its own.
    pub(crate) fn client(&self, own: Option<&Identity>, alpn: &[&str]) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder().with_root_certificates(self.roots());
        let mut config = match own {
            Some(own) => builder.with_client_auth_cert(own.chain(), own.key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client that speaks TLS 1.2 only.
    pub(crate) fn old_client(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS12]);
        Arc::new(builder.with_root_certificates(self.roots()).with_no_client_auth())
    }

    /// A pod over TLS that answers with the name it was asked for, whether it was shown a certificate, and the request's
    /// body.
    pub(crate) async fn pod(&self, identity: &Identity, clients: bool) -> (SocketAddr, JoinHandle<()>) {
        let builder = if clients {
            let verifier = WebPkiClientVerifier::builder(Arc::new(self.roots())).build().unwrap();
            ServerConfig::builder().with_client_cert_verifier(verifier)
        } else {
            ServerConfig::builder().with_no_client_auth()
        };
        let config = Arc::new(builder.with_single_cert(identity.chain(), identity.key()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = TlsAcceptor::from(Arc::clone(&config));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let session = stream.get_ref().1;
                    let name = session.server_name().unwrap_or("-").to_owned();
                    let has_peer = session.peer_certificates().is_some();
                    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                        let text = format!("{name} {has_peer}");
                        async move {
                            let body = request.into_body().collect().await?.to_bytes();
                            let answer = [text.as_bytes(), &body].concat();
                            Ok::<_, hyper::Error>(http::Response::new(Full::new(Bytes::from(answer))))
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        (address, task)
    }
}

impl Identity {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.chain.as_bytes()).map(Result::unwrap).collect()
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    /// As a resource.
    pub(crate) fn resource(&self, id: &str) -> Change {
        let certificate = Certificate {
            id: CertificateId::new(id),
            chain: self.chain.clone(),
            key: Secret(self.key.clone()),
        };
        Change::Certificate(Arc::new(certificate))
    }
}

/// Agrees on TLS.
pub(crate) async fn connect(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    within(TlsConnector::from(Arc::clone(config)).connect(name, stream)).await
}

/// One request for a host on a connection for a name.
pub(crate) async fn get(
    address: SocketAddr,
    name: &str,
    host: &str,
    config: &Arc<ClientConfig>,
) -> Result<Seen, Box<dyn std::error::Error>> {
    let stream = connect(address, name, config).await?;
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates().unwrap()[0].to_vec();
    let kind = session.handshake_kind().unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::get("/").header("host", host).body(Empty::<Bytes>::new())?;
    let response = within(sender.send_request(request)).await?;
    Ok(Seen { reply: Reply::read(response).await?, certificate, kind })
}
