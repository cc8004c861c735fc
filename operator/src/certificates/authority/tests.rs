use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::aws_lc_rs::default_provider,
    pki_types::{ServerName, UnixTime, pem::PemObject as _},
};

use super::*;

/// Whether a client that trusts `authority` accepts `certificate` as `name` so many days after the start.
fn accepts(authority: &Authority, certificate: &CertifiedKey, name: &str, days: u64) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
        .build()
        .unwrap();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(days * 86_400));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&certificate.cert[0], &[], &name, &[], at).is_ok()
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(86_400 * 1000, 0).unwrap()
}

#[test]
fn what_the_authority_signs_is_accepted_for_its_names_and_time() {
    let authority = Authority::generate(start()).unwrap();
    let names = ["sluice-operator".to_owned(), "sluice-operator.sluice.svc".to_owned()];
    let (certificate, until) = authority.issue(&names, start()).unwrap();
    assert!(accepts(&authority, &certificate, "sluice-operator", 1000));
    assert!(accepts(&authority, &certificate, "sluice-operator.sluice.svc", 1089));
    assert!(!accepts(&authority, &certificate, "other", 1000));
    assert!(!accepts(&authority, &certificate, "sluice-operator", 1091), "after its end on {until}");
    let stranger = Authority::generate(start()).unwrap();
    assert!(!accepts(&stranger, &certificate, "sluice-operator", 1000));
}

#[test]
fn a_stored_authority_signs_as_before() {
    let first = Authority::generate(start()).unwrap();
    let later = start() + Duration::days(400);
    let again = Authority::read(first.key_pem(), first.certificate_pem(), later).unwrap();
    let (certificate, _) = again.issue(&["sluice-operator".to_owned()], later).unwrap();
    assert!(accepts(&first, &certificate, "sluice-operator", 1400));
}

#[test]
fn a_broken_key_is_said() {
    assert!(matches!(Authority::read("nothing", "", start()), Err(AuthorityError::Key(_))));
}
