//! The https side: a certificate authority made at start, and the ways a server can get TLS wrong.
//!
//! Versions below TLS 1.2 cannot be offered: rustls does not implement them. A test that wants a
//! TLS 1.1 server needs `openssl s_server`.

use super::clock::current_year;
use super::random::provider;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use std::sync::Arc;

/// What the https port presents. [`Workspace::ca_file`](super::Workspace::ca_file) always holds an
/// authority; except where noted, the leaf is good for localhost, 127.0.0.1, `::1` and the names
/// of public clouds in `clouds.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVariant {
    /// A leaf signed by the authority in `ca_file`; TLS 1.2 and 1.3.
    Trusted,
    /// Leaf, intermediate, authority; the intermediate is sent, as it has to be.
    Intermediate,
    /// The same, but the intermediate is not sent.
    MissingIntermediate,
    /// The leaf was valid until 2021.
    Expired,
    /// The leaf will be valid next year but one.
    NotYetValid,
    /// The leaf is for `other.example.com`.
    WrongName,
    /// The leaf is signed by an authority that is not the one in `ca_file`.
    UnknownCa,
    /// The leaf is signed by itself.
    SelfSigned,
    /// TLS 1.2 and nothing newer.
    Tls12Only,
    /// TLS 1.3 and nothing older.
    Tls13Only,
    /// Plain HTTP is spoken on the https port.
    PlainHttp,
}

/// What `make` made.
pub(super) struct Material {
    pub ca_pem: String,
    /// `None`: this port speaks plain HTTP.
    pub config: Option<Arc<ServerConfig>>,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

pub(super) fn make(variant: TlsVariant) -> Material {
    let root = authority("Embedded Workspace CA", None);
    let config = (variant != TlsVariant::PlainHttp).then(|| {
        let (chain, key) = leaf(variant, &root);
        let versions: &[_] = match variant {
            TlsVariant::Tls12Only => &[&TLS12],
            TlsVariant::Tls13Only => &[&TLS13],
            _ => &[&TLS12, &TLS13],
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider()))
            .with_protocol_versions(versions)
            .expect("ring serves TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the leaf matches its key");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    });
    Material { ca_pem: root.pem(), config }
}

fn leaf(variant: TlsVariant, root: &Authority) -> (Vec<CertificateDer<'static>>, KeyPair) {
    let key = new_key();
    let names = match variant {
        TlsVariant::WrongName => vec!["other.example.com".to_owned()],
        _ => ["localhost", "127.0.0.1", "::1"].into_iter().chain(super::clouds::names()).map(str::to_owned).collect(),
    };
    let mut params = CertificateParams::new(names).expect("the names are well-formed");
    params.distinguished_name.push(DnType::CommonName, "Embedded Workspace");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let year = current_year();
    // Two years and a bit: Apple's verifier refuses leaves valid for more than 825 days.
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + 1, 3, 1);
    match variant {
        TlsVariant::Expired => {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        TlsVariant::NotYetValid => {
            params.not_before = date_time_ymd(year + 2, 1, 1);
            params.not_after = date_time_ymd(year + 3, 1, 1);
        }
        _ => {}
    }
    let signed = |issuer: &Authority| {
        let certificate = params.signed_by(&key, issuer).expect("the issuer can sign");
        certificate.der().clone()
    };
    let chain = match variant {
        TlsVariant::SelfSigned => {
            let certificate = params.self_signed(&key).expect("the key can sign");
            vec![certificate.der().clone()]
        }
        TlsVariant::UnknownCa => vec![signed(&authority("Somebody Else's CA", None))],
        TlsVariant::Intermediate => {
            let intermediate = authority("Embedded Workspace Intermediate", Some(root));
            vec![signed(&intermediate), intermediate.der().clone()]
        }
        TlsVariant::MissingIntermediate => {
            let intermediate = authority("Embedded Workspace Intermediate", Some(root));
            vec![signed(&intermediate)]
        }
        _ => vec![signed(root)],
    };
    (chain, key)
}

fn authority(name: &str, parent: Option<&Authority>) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2124, 1, 1);
    let key = new_key();
    match parent {
        None => CertifiedIssuer::self_signed(params, key),
        Some(parent) => CertifiedIssuer::signed_by(params, key, parent),
    }
    .expect("an authority can be made")
}

/// ECDSA on P-256: a tenth of a millisecond, where RSA takes seconds.
fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}
