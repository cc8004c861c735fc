//! What is told of a client's certificate.

use std::fmt::Write as _;

use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, objects::oid2abbrev, oid_registry::OidRegistry,
    prelude::FromDer as _, x509::X509Name,
};

/// `X-Forwarded-Client-Cert` in Envoy's form: the digest of the certificate, its subject, and its alternative names that are
/// URIs or names of hosts. `None` if it cannot be read, which a verified one can.
pub(crate) fn shown(certificate: &CertificateDer<'_>) -> Option<HeaderValue> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut text = String::from("Hash=");
    for byte in Sha256::digest(certificate) {
        write!(text, "{byte:02x}").ok()?;
    }
    // It escapes quotes by itself.
    write!(text, ";Subject=\"{}\"", subject(parsed.subject())).ok()?;
    let names = parsed.subject_alternative_name().ok().flatten();
    for name in names.iter().flat_map(|it| &it.value.general_names) {
        let (key, value) = match name {
            GeneralName::URI(uri) => ("URI", uri),
            GeneralName::DNSName(name) => ("DNS", name),
            _ => continue,
        };
        if value.bytes().any(|it| b",;=\"\\".contains(&it)) {
            write!(text, ";{key}={}", quoted(value)).ok()?;
        } else {
            write!(text, ";{key}={value}").ok()?;
        }
    }
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

/// A name as RFC 4514 writes it: the most specific part first.
fn subject(name: &X509Name<'_>) -> String {
    let registry = OidRegistry::default().with_x509();
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for part in parts.into_iter().rev() {
        for (number, attribute) in part.iter().enumerate() {
            if !text.is_empty() {
                text.push(if number == 0 { ',' } else { '+' });
            }
            let oid = attribute.attr_type();
            let _ = match oid2abbrev(oid, &registry) {
                Ok(abbreviation) => write!(text, "{abbreviation}="),
                Err(_) => write!(text, "{oid}="),
            };
            escape(attribute.as_str().unwrap_or_default(), &mut text);
        }
    }
    text
}

/// A value of RFC 4514 §2.4, and no character that a header cannot have.
fn escape(value: &str, text: &mut String) {
    for (at, it) in value.char_indices() {
        match it {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => text.extend(['\\', it]),
            '#' | ' ' if at == 0 => text.extend(['\\', it]),
            ' ' if at + 1 == value.len() => text.extend(['\\', it]),
            it if it.is_ascii_control() => drop(write!(text, "\\{:02x}", u32::from(it))),
            it => text.push(it),
        }
    }
}

/// A value of the header that may hold what separates others.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', r"\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn told(of: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        of(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let text = shown(certificate.der()).unwrap();
        let text = String::from_utf8(text.as_bytes().to_vec()).unwrap();
        let (hash, rest) = text.split_once(';').unwrap();
        (hash.to_owned(), rest.to_owned())
    }

    #[test]
    fn a_certificate_is_told_as_envoy_does() {
        let (hash, rest) = told(|it| {
            it.distinguished_name.push(DnType::OrganizationName, "Shop");
            it.distinguished_name.push(DnType::CommonName, "till");
            it.subject_alt_names = vec![
                SanType::URI("spiffe://shop/till".try_into().unwrap()),
                SanType::DnsName("till.example.org".try_into().unwrap()),
                SanType::IpAddress([198, 18, 0, 1].into()),
            ];
        });
        assert!(hash.starts_with("Hash=") && hash.len() == 5 + 64, "{hash}");
        assert_eq!(rest, "Subject=\"CN=till,O=Shop\";URI=spiffe://shop/till;DNS=till.example.org");
    }

    #[test]
    fn no_name_can_pass_for_another_field() {
        let (_, rest) = told(|it| {
            it.distinguished_name.push(DnType::CommonName, "a\";URI=spiffe://evil\r\nx: y");
            it.subject_alt_names = vec![SanType::URI("spiffe://a,By=b;URI=c".try_into().unwrap())];
        });
        let expected = r#"Subject="CN=a\"\;URI=spiffe://evil\0d\0ax: y";URI="spiffe://a,By=b;URI=c""#;
        assert_eq!(rest, expected);
    }
}
