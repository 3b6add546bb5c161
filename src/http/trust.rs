//! Which certificates are trusted.
//!
//! A system's bundle holds some 150 root certificates, of which a connection needs one. Parsing them all costs more than the rest of a
//! request, so [`LazyVerifier`] looks only for the roots whose subject is an issuer in the chain that the server presented, and hands
//! those to webpki: path building can use no others (RFC 5280, section 6.1: name chaining), so the decision is the same.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use memchr::memmem;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::env::{self, Env};
use crate::error::Failure;
use crate::text;

/// The bundles of the common systems, in one file each: Debian and Alpine, Fedora (old and new), openSUSE, FreeBSD and OpenBSD, and others.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/cacert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/usr/share/ssl/certs/ca-bundle.crt",
];

/// Read only where there is no bundle: hundreds of files.
const SYSTEM_FOLDERS: &[&str] = &["/etc/ssl/certs", "/etc/pki/tls/certs", "/system/etc/security/cacerts", "/usr/local/share/certs"];

/// No file with certificates is larger.
const LARGEST_FILE: u64 = 16 << 20;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Where roots are taken from: what the environment names, else what the system has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sources {
    /// Each variable with the files or folders it names; empty: the system's.
    named: Vec<(&'static str, Vec<PathBuf>)>,
}

impl Sources {
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` together, else `REQUESTS_CA_BUNDLE`, else `CURL_CA_BUNDLE`, else the system's.
    pub(super) fn of(env: &Env) -> Self {
        let variable = |name, several: bool| {
            let value = env.path(name)?;
            Some((name, if several { std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()).collect() } else { vec![value] }))
        };
        let mut named: Vec<_> = [variable(env::SSL_CERT_FILE, false), variable(env::SSL_CERT_DIR, true)].into_iter().flatten().collect();
        if named.is_empty() {
            named.extend(variable(env::REQUESTS_CA_BUNDLE, false).or_else(|| variable(env::CURL_CA_BUNDLE, false)));
        }
        Self { named }
    }

    /// For connections that must not use TLS at all: a config that trusts nobody, and costs nothing.
    pub(super) fn nobody() -> Result<ClientConfig, rustls::Error> {
        config(|provider| Ok(Arc::new(LazyVerifier::new(Roots { bundles: Vec::new() }, provider))))
    }

    /// The TLS settings for these roots; one per process and sources, so that threads share certificates and sessions.
    ///
    /// # Errors
    /// When a variable names something that cannot be read or holds no certificate: never falls back to other roots.
    pub(super) fn tls(&self) -> anyhow::Result<ClientConfig> {
        static SHARED: Mutex<Vec<(Sources, ClientConfig)>> = Mutex::new(Vec::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, config)) = shared.iter().find(|(sources, _)| sources == self) {
            return Ok(config.clone());
        }
        let config = self.read()?;
        shared.push((self.clone(), config.clone()));
        Ok(config)
    }

    fn read(&self) -> anyhow::Result<ClientConfig> {
        #[cfg(any(windows, target_os = "macos"))]
        if self.named.is_empty() {
            return Ok(config(|provider| Ok(Arc::new(rustls_platform_verifier::Verifier::new(provider)?)))?);
        }
        let roots = if self.named.is_empty() { Roots::of_system()? } else { Roots::of_variables(&self.named)? };
        Ok(config(|provider| Ok(Arc::new(LazyVerifier::new(roots, provider))))?)
    }
}

fn config(verifier: impl FnOnce(Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(provider.clone())?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The same trust for connections that are not HTTP.
///
/// # Errors
/// As [`Sources::tls`].
pub(crate) fn tls(env: &Env) -> anyhow::Result<ClientConfig> {
    let mut config = Sources::of(env).tls()?;
    config.alpn_protocols.clear();
    Ok(config)
}

/// The file with trusted certificates for programs that want one by name: what a variable names, else the first of the system's.
pub(crate) fn bundle(env: &Env) -> Option<PathBuf> {
    let named = Sources::of(env).named;
    if named.is_empty() {
        return SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file());
    }
    named.into_iter().flat_map(|(_, paths)| paths).find(|path| path.is_file())
}

/// Bundles of certificates in PEM (RFC 7468), as text that has not been decoded.
struct Roots {
    bundles: Vec<String>,
}

impl Roots {
    /// The first bundle that can be read, else the folders.
    fn of_system() -> Result<Self, Failure> {
        if let Some(bundle) = SYSTEM_BUNDLES.iter().find_map(|path| read_file(Path::new(path)).ok()) {
            return Ok(Self { bundles: vec![bundle] });
        }
        let bundles = SYSTEM_FOLDERS.iter().filter_map(|path| read_folder(Path::new(path)).ok()).find(|bundles| !bundles.is_empty());
        bundles.map(|bundles| Self { bundles }).ok_or_else(|| {
            Failure::new("this system has no certificates to check servers with")
                .hint("Install the package ca-certificates, or point SSL_CERT_FILE at a PEM file with the CA certificates to trust")
        })
    }

    /// Every variable must yield at least one certificate: a mistake in one of them must not silently change who is trusted.
    fn of_variables(named: &[(&'static str, Vec<PathBuf>)]) -> Result<Self, Failure> {
        let mut bundles = Vec::new();
        for (variable, paths) in named {
            let (mut found, mut why) = (false, "it names nothing".to_owned());
            for path in paths {
                let read = if path.is_dir() { read_folder(path) } else { read_file(path).map(|bundle| vec![bundle]) };
                match read {
                    Ok(read) if read.iter().any(|bundle| holds_certificate(bundle)) => {
                        found = true;
                        bundles.extend(read);
                    }
                    Ok(_) => why = format!("{} holds no CA certificate in PEM form", shown(path)),
                    Err(error) => why = format!("{} cannot be read: {error}", shown(path)),
                }
            }
            if !found {
                return Err(Failure::new(format!("{variable} does not lead to certificates: {why}"))
                    .hint(format!("Point {variable} at PEM certificates of the CAs to trust, or unset it to use the system's")));
            }
        }
        Ok(Self { bundles })
    }

    /// The roots that may have issued one of these certificates, fully parsed; those that cannot be parsed are left out.
    fn issuers_of(&self, chain: &[&CertificateDer<'_>]) -> RootCertStore {
        let wanted: Vec<&[u8]> = chain.iter().filter_map(|certificate| names(certificate).ok().map(|names| &certificate[names.issuer])).collect();
        let mut found: Vec<CertificateDer<'static>> = Vec::new();
        let mut decoder = Decoder::default();
        for block in self.bundles.iter().flat_map(|bundle| Blocks { rest: bundle }) {
            if decoder.subject(block).is_some_and(|subject| wanted.contains(&subject))
                && let Some(der) = decoder.whole(block)
                && !found.iter().any(|known| known.as_ref() == der)
            {
                found.push(CertificateDer::from(der.to_vec()));
            }
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found);
        store
    }
}

impl std::fmt::Debug for Roots {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Roots({} bytes)", self.bundles.iter().map(String::len).sum::<usize>())
    }
}

fn shown(path: &Path) -> String {
    text::quoted(&path.to_string_lossy())
}

/// A regular file of sensible size, whatever its encoding: comments in bundles may be Latin-1.
fn read_file(path: &Path) -> Result<String, String> {
    let reason = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    // Asked before opening, because opening a named pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(reason)?;
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if metadata.len() > LARGEST_FILE {
        return Err("it is too large".to_owned());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default() + 1);
    File::open(path).and_then(|file| file.take(LARGEST_FILE).read_to_end(&mut bytes)).map_err(reason)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Every file in a folder that holds certificates; the others are nobody's mistake.
fn read_folder(path: &Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(path).map_err(|error| error.to_string())?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    Ok(paths.iter().filter_map(|path| read_file(path).ok()).filter(|bundle| bundle.contains(BEGIN)).collect())
}

/// Whether at least one certificate in the bundle can be used as a root.
fn holds_certificate(bundle: &str) -> bool {
    let mut decoder = Decoder::default();
    Blocks { rest: bundle }.any(|block| decoder.whole(block).is_some_and(|der| RootCertStore::empty().add(CertificateDer::from(der)).is_ok()))
}

/// The base64 texts between the certificate markers of a bundle.
struct Blocks<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let start = memmem::find(self.rest.as_bytes(), BEGIN.as_bytes())?;
            let at_line_start = start == 0 || matches!(self.rest.as_bytes()[start - 1], b'\n' | b'\r');
            let body = &self.rest[start + BEGIN.len()..];
            if !at_line_start {
                self.rest = body;
                continue;
            }
            let end = memmem::find(body.as_bytes(), b"-----")?;
            let (block, tail) = body.split_at(end);
            self.rest = tail;
            // A block that ends with another marker was cut off: it is skipped, and what follows is looked at on its own.
            if tail.starts_with(END) {
                return Some(block);
            }
        }
    }
}

/// Decodes as much of a block as is asked for, reusing its buffers for the next.
#[derive(Default)]
struct Decoder {
    characters: Vec<u8>,
    der: Vec<u8>,
}

impl Decoder {
    /// Issuer and subject of most roots lie within that many characters.
    const FIRST_LOOK: usize = 768;

    /// The subject's name in DER, without its outer tag and length; `None` where the block is no certificate.
    fn subject(&mut self, block: &str) -> Option<&[u8]> {
        let mut limit = Self::FIRST_LOOK;
        let subject = loop {
            let complete = self.decode(block, limit)?;
            match names(&self.der) {
                Ok(names) => break names.subject,
                Err(Stop::Truncated) if !complete => limit = limit.saturating_mul(4),
                Err(_) => return None,
            }
        };
        self.der.get(subject)
    }

    /// The whole certificate.
    fn whole(&mut self, block: &str) -> Option<&[u8]> {
        self.decode(block, usize::MAX)?;
        Some(&self.der)
    }

    /// Decodes the first `limit` characters (a multiple of four) that are no white space; tells whether that was all. `None`: no base64.
    fn decode(&mut self, block: &str, limit: usize) -> Option<bool> {
        self.characters.clear();
        let mut complete = true;
        for word in block.split_ascii_whitespace() {
            let room = limit - self.characters.len();
            if word.len() > room {
                self.characters.extend_from_slice(&word.as_bytes()[..room]);
                complete = false;
                break;
            }
            self.characters.extend_from_slice(word.as_bytes());
        }
        self.der.clear();
        base64::prelude::BASE64_STANDARD.decode_vec(&self.characters, &mut self.der).ok()?;
        Some(complete)
    }
}

/// Where the names of a certificate lie in its DER, each without its outer tag and length.
struct Names {
    issuer: Range<usize>,
    subject: Range<usize>,
}

/// Why the names of a certificate were not found.
enum Stop {
    /// The bytes end before the subject does.
    Truncated,
    Malformed,
}

/// Finds issuer and subject in the first bytes of a certificate (RFC 5280, section 4.1), without looking at anything else.
fn names(der: &[u8]) -> Result<Names, Stop> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    const VERSION: u8 = 0xa0;
    let expect = |at: usize, tag: u8| {
        let (found, content) = element(der, at)?;
        if found == tag { Ok(content) } else { Err(Stop::Malformed) }
    };
    let certificate = expect(0, SEQUENCE)?;
    let to_be_signed = expect(certificate.start, SEQUENCE)?;
    let mut at = to_be_signed.start;
    let (tag, version) = element(der, at)?;
    if tag == VERSION {
        at = version.end;
    }
    at = expect(at, INTEGER)?.end;
    at = expect(at, SEQUENCE)?.end;
    let issuer = expect(at, SEQUENCE)?;
    at = expect(issuer.end, SEQUENCE)?.end;
    let subject = expect(at, SEQUENCE)?;
    if subject.end > der.len() { Err(Stop::Truncated) } else { Ok(Names { issuer, subject }) }
}

/// Tag and content of the DER element that starts at a position; the content may reach beyond the bytes at hand.
fn element(der: &[u8], at: usize) -> Result<(u8, Range<usize>), Stop> {
    let byte = |index: usize| der.get(index).copied().ok_or(Stop::Truncated);
    let (tag, first) = (byte(at)?, byte(at + 1)?);
    if tag & 0x1f == 0x1f {
        return Err(Stop::Malformed);
    }
    let (start, length) = match first {
        0..=0x7f => (at + 2, usize::from(first)),
        0x81..=0x83 => {
            let count = usize::from(first & 0x7f);
            let mut length = 0;
            for index in 0..count {
                length = length << 8 | usize::from(byte(at + 2 + index)?);
            }
            (at + 2 + count, length)
        }
        _ => return Err(Stop::Malformed),
    };
    Ok((tag, start..start + length))
}

/// webpki, given only the roots that can matter for the chain at hand.
#[derive(Debug)]
struct LazyVerifier {
    roots: Roots,
    algorithms: WebPkiSupportedAlgorithms,
}

impl LazyVerifier {
    #[expect(clippy::needless_pass_by_value, reason = "the signature that the platform verifier has, too")]
    fn new(roots: Roots, provider: Arc<CryptoProvider>) -> Self {
        Self { roots, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for LazyVerifier {
    /// As `WebPkiServerVerifier` without revocation lists: chain, times, purposes, name constraints, then the name.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let leaf = ParsedCertificate::try_from(end_entity)?;
        let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).collect();
        let roots = self.roots.issuers_of(&chain);
        verify_server_cert_signed_by_trust_anchor(&leaf, &roots, intermediates, now, self.algorithms.all)?;
        verify_server_name(&leaf, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use rcgen::date_time_ymd;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::pki_types::pem::PemObject as _;
    use uuid::Uuid;

    use super::super::error::{NetworkError, NetworkErrorKind};
    use super::super::loopback::{Authority, Server, cross_signed, intermediate, ok, root, tls};
    use super::super::user_agent::{Interactive, UserAgent};
    use super::super::{Client, Options, Request, Response};
    use super::*;

    fn get(server: &Server, env: &Env) -> anyhow::Result<Response> {
        let mut options = Options::new(UserAgent::new(&Env::default(), None, Uuid::nil(), Interactive::None));
        options.connect_timeout = Duration::from_secs(2);
        Client::new(server.host(), env, options).map_err(anyhow::Error::new)?.send(None, &Request::get("/"))
    }

    /// A folder, and in it a file that holds these certificates.
    fn bundle(text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        #[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
        fs::write(&path, text).expect("a file");
        let path = path.to_str().expect("a name in UTF-8").to_owned();
        (folder, path)
    }

    fn tls_error(outcome: anyhow::Result<Response>) -> String {
        let error: NetworkError = outcome.expect_err("an error").downcast().expect("a NetworkError");
        assert_eq!(error.kind(), NetworkErrorKind::Tls, "{error}");
        error.to_string()
    }

    #[test]
    fn an_own_authority_is_trusted_by_file_and_by_folder() {
        let (authority, other) = (root("Own"), root("Other"));
        let server = Server::start_tls(vec![ok("{}")], tls(&["127.0.0.1"], &authority, vec![], |_| {}));
        let (folder, path) = bundle(&format!("# caf\u{e9}\n{}{}", other.pem(), authority.pem()));
        let folder = folder.path().to_str().expect("a name in UTF-8").to_owned();
        for (name, value) in [
            ("SSL_CERT_FILE", path.clone()),
            ("SSL_CERT_DIR", folder.clone()),
            ("SSL_CERT_DIR", format!("/nowhere:{folder}")),
            ("REQUESTS_CA_BUNDLE", path.clone()),
            ("REQUESTS_CA_BUNDLE", folder),
            ("CURL_CA_BUNDLE", path),
        ] {
            let response = get(&server, &Env::default().with(name, &value)).unwrap_or_else(|error| panic!("{name}={value}: {error}"));
            assert_eq!(response.status, 200);
        }
        assert!(server.requests()[0].starts_with("GET / HTTP/1.1"));
    }

    #[test]
    fn who_is_not_trusted_is_told_why() {
        let (authority, other) = (root("Own"), root("Other"));
        let (_folder, path) = bundle(&authority.pem());
        let env = Env::default().with("SSL_CERT_FILE", &path);
        let told = |server: Server| {
            let error = tls_error(get(&server, &env));
            assert!(server.requests().is_empty(), "nothing is sent: {error}");
            error
        };
        let serve = |issuer: &Authority, names: &[&str], change: fn(&mut rcgen::CertificateParams)| {
            Server::start_tls(vec![ok("{}")], tls(names, issuer, vec![], change))
        };
        let error = told(serve(&other, &["127.0.0.1"], |_| {}));
        assert!(error.contains("issued by a CA that is not trusted here"), "{error}");
        let error = told(serve(&authority, &["127.0.0.1"], |params| params.not_after = date_time_ymd(2020, 2, 3)));
        assert!(error.contains("its certificate expired on 2020-02-03"), "{error}");
        let error = told(serve(&authority, &["127.0.0.1"], |params| params.not_before = date_time_ymd(3000, 1, 1)));
        assert!(error.contains("not valid before 3000-01-01"), "{error}");
        let error = told(serve(&authority, &["h.example"], |_| {}));
        assert!(error.contains("its certificate is not for 127.0.0.1, but for \"") && error.contains("h.example"), "{error}");
        let impostor = root("Own");
        let error = told(serve(&impostor, &["127.0.0.1"], |_| {}));
        assert!(error.contains("certificate"), "the same name with another key: {error}");
    }

    #[test]
    fn plain_http_on_the_port_is_told() {
        let (_folder, path) = bundle(&root("Own").pem());
        let server = Server::start(vec![ok("{}")]);
        let host = crate::host::Host::parse(&format!("https://127.0.0.1:{}", server.address.port())).expect("a host");
        let mut options = Options::new(UserAgent::new(&Env::default(), None, Uuid::nil(), Interactive::None));
        options.connect_timeout = Duration::from_millis(200);
        let client = Client::new(host, &Env::default().with("SSL_CERT_FILE", &path), options).expect("a client");
        // The server waits for the end of a head that never comes, unless the handshake happens to hold one.
        let error: NetworkError = client.send(None, &Request::get("/")).expect_err("an error").downcast().expect("a NetworkError");
        assert!(matches!(error.kind(), NetworkErrorKind::Timeout | NetworkErrorKind::Tls), "{error}");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = crate::host::Host::parse(&format!("https://{}", listener.local_addr().expect("an address"))).expect("a host");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
        });
        let client = Client::new(
            host,
            &Env::default().with("SSL_CERT_FILE", &path),
            Options::new(UserAgent::new(&Env::default(), None, Uuid::nil(), Interactive::None)),
        )
        .expect("a client");
        assert!(tls_error(client.send(None, &Request::get("/"))).contains("does not speak TLS on that port"));
    }

    #[test]
    fn variables_that_lead_nowhere_fail_closed() {
        let authority = root("Own");
        let server = Server::start_tls(vec![ok("{}")], tls(&["127.0.0.1"], &authority, vec![], |_| {}));
        let (folder, good) = bundle(&authority.pem());
        let (_a, empty) = bundle("");
        let (_b, garbage) = bundle("\u{0}garbage");
        let (_c, broken) = bundle("-----BEGIN CERTIFICATE-----\nMIIB!!!!\n-----END CERTIFICATE-----\n");
        let (_d, hollow) = bundle("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
        let (_e, key) = bundle(&authority.pem().replace("CERTIFICATE", "PRIVATE KEY"));
        let (_f, cut) = bundle(&authority.pem().replace("-----END CERTIFICATE-----", ""));
        let none = tempfile::tempdir().expect("a folder");
        let none = none.path().to_str().expect("a name in UTF-8");
        for (name, value) in [
            ("SSL_CERT_FILE", "/nowhere/ca.pem"),
            ("SSL_CERT_FILE", "/dev/zero"),
            ("SSL_CERT_FILE", &empty),
            ("SSL_CERT_FILE", &garbage),
            ("SSL_CERT_FILE", &broken),
            ("SSL_CERT_FILE", &hollow),
            ("SSL_CERT_FILE", &key),
            ("SSL_CERT_FILE", &cut),
            ("SSL_CERT_DIR", none),
            ("SSL_CERT_DIR", "/nowhere:/nowhere/else"),
            ("SSL_CERT_DIR", ":"),
            ("REQUESTS_CA_BUNDLE", &empty),
            ("CURL_CA_BUNDLE", &empty),
        ] {
            let error = get(&server, &Env::default().with(name, value)).expect_err(value).to_string();
            assert!(error.starts_with(&format!("{name} does not lead to certificates: ")), "{error}");
        }
        let both = Env::default().with("SSL_CERT_FILE", &good).with("SSL_CERT_DIR", none);
        assert!(get(&server, &both).is_err(), "a mistake in one of two is no less a mistake");
        let both = Env::default().with("SSL_CERT_FILE", &good).with("SSL_CERT_DIR", folder.path().to_str().expect("a name in UTF-8"));
        get(&server, &both).expect("both hold");
        let first = Env::default().with("SSL_CERT_FILE", &good).with("REQUESTS_CA_BUNDLE", "/nowhere").with("CURL_CA_BUNDLE", "/nowhere");
        get(&server, &first).expect("SSL_CERT_FILE comes first, the others are not read");
        assert_eq!(server.requests().len(), 2);
    }

    #[test]
    fn through_a_proxy_the_credential_travels_inside_tls() {
        struct Pat(crate::host::Host);
        impl super::super::Sign for Pat {
            fn host(&self) -> &crate::host::Host {
                &self.0
            }
            fn headers(&self) -> Vec<(&'static str, crate::secret::Secret)> {
                vec![("Authorization", "Bearer dapi-inside-tls".into())]
            }
            fn auth_type(&self) -> Option<&'static str> {
                Some("pat")
            }
        }
        let authority = root("Own");
        let server = Server::start_tls(vec![ok("{}")], tls(&["h.example"], &authority, vec![], |_| {}));
        let (_folder, path) = bundle(&authority.pem());
        let proxy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let proxy_address = proxy.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (target, record) = (server.address, seen.clone());
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let (mut client, _) = proxy.accept().expect("a connection");
            let mut piece = [0; 4096];
            let count = client.read(&mut piece).expect("CONNECT");
            record.lock().expect("the record").extend_from_slice(&piece[..count]);
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").expect("an answer");
            let mut server = std::net::TcpStream::connect(target).expect("the server");
            let (mut from, mut to) = (server.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            while let Ok(count @ 1..) = client.read(&mut piece) {
                record.lock().expect("the record").extend_from_slice(&piece[..count]);
                server.write_all(&piece[..count]).expect("the server");
            }
        });
        let env = Env::default().with("SSL_CERT_FILE", &path).with("HTTPS_PROXY", &proxy_address.to_string());
        let host = crate::host::Host::parse("https://h.example").expect("a host");
        let options = Options::new(UserAgent::new(&Env::default(), None, Uuid::nil(), Interactive::None));
        let client = Client::new(host.clone(), &env, options).expect("a client");
        client.send(Some(&Pat(host)), &Request::get("/")).expect("a response");
        assert!(server.requests()[0].contains("Bearer dapi-inside-tls"));
        let seen = String::from_utf8_lossy(&seen.lock().expect("the record")).into_owned();
        assert!(seen.starts_with("CONNECT h.example:443 HTTP/1.1\r\n") && !seen.contains("dapi"), "{seen}");
    }

    #[test]
    fn plain_http_pays_for_no_roots() {
        let server = Server::start(vec![ok("{}")]);
        get(&server, &Env::default().with("SSL_CERT_FILE", "/nowhere")).expect("the variable is not looked at");
    }

    /// The decision of the lazy verifier and of one that parsed every root, about the same chain.
    fn decisions(bundle: &str, chain: &[CertificateDer<'_>], name: &str) -> (Result<(), rustls::Error>, Result<(), rustls::Error>) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let now = UnixTime::since_unix_epoch(crate::clock::now().as_second().try_into().map(Duration::from_secs).expect("after 1970"));
        let lazy = LazyVerifier::new(Roots { bundles: vec![bundle.to_owned()] }, provider.clone());
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle.as_bytes()).filter_map(Result::ok));
        let full = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build().expect("a verifier");
        let ask = |verifier: &dyn ServerCertVerifier| verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], now).map(drop);
        (ask(&lazy), ask(&*full))
    }

    #[test]
    fn the_lazy_decision_is_that_of_a_full_parse() {
        let (first, second, stranger) = (root("First"), root("Second"), root("Stranger"));
        let namesake = root("First");
        let (middle, deep) = (intermediate("Middle", &first), root("Deep"));
        let deeper = intermediate("Deeper", &middle);
        let crossed = cross_signed("Deep", deep.key(), &second);
        let leaf = |issuer: &Authority, change: fn(&mut rcgen::CertificateParams)| {
            let mut params = rcgen::CertificateParams::new(vec!["h.example".to_owned()]).expect("parameters");
            change(&mut params);
            params.signed_by(&rcgen::KeyPair::generate().expect("a key"), issuer).expect("a certificate").der().clone()
        };
        let plain = |issuer: &Authority| leaf(issuer, |_| {});
        let chains: Vec<(&str, Vec<CertificateDer<'_>>, bool)> = vec![
            ("direct", vec![plain(&first)], true),
            ("intermediate", vec![plain(&middle), middle.der().clone()], true),
            ("two intermediates in the wrong order", vec![plain(&deeper), middle.der().clone(), deeper.der().clone()], true),
            ("missing intermediate", vec![plain(&deeper), deeper.der().clone()], false),
            ("cross-signed", vec![plain(&deep), crossed.clone()], true),
            ("cross-signed, with its own root beside it", vec![plain(&deep), deep.der().clone(), crossed], true),
            ("unknown root in the chain", vec![plain(&stranger), stranger.der().clone()], false),
            ("namesake", vec![plain(&namesake)], true),
            ("expired", vec![leaf(&first, |params| params.not_after = date_time_ymd(2020, 1, 1))], false),
            ("expired of a stranger", vec![leaf(&stranger, |params| params.not_after = date_time_ymd(2020, 1, 1))], false),
            ("a root as the server", vec![first.der().clone()], false),
            ("self-signed stranger", vec![stranger.der().clone()], false),
            ("garbage behind the leaf", vec![plain(&first), CertificateDer::from(vec![0x30, 0x84, 1, 2])], true),
            ("garbage", vec![CertificateDer::from(vec![0x30, 3, 0x30, 1])], false),
        ];
        let bundle = [&first, &second, &namesake].map(Authority::pem).join("\r\n# comment\r\n").replace('\n', "\r\n");
        for (what, chain, trusted) in &chains {
            for name in ["h.example", "other.example"] {
                let (lazy, full) = decisions(&bundle, chain, name);
                assert_eq!(format!("{lazy:?}"), format!("{full:?}"), "{what}");
                assert_eq!(lazy.is_ok(), *trusted && name == "h.example", "{what}: {lazy:?}");
            }
        }
    }

    #[test]
    fn every_root_of_the_system_is_found_by_its_subject() {
        let Some(bundle) = SYSTEM_BUNDLES.iter().find_map(|path| read_file(Path::new(path)).ok()) else {
            return;
        };
        let all: Vec<_> = CertificateDer::pem_slice_iter(bundle.as_bytes()).filter_map(Result::ok).collect();
        let roots = Roots { bundles: vec![bundle] };
        assert!(!all.is_empty());
        for certificate in &all {
            let mut alone = RootCertStore::empty();
            if alone.add(certificate.clone()).is_err() {
                continue;
            }
            // A root is its own issuer; what matters is that its subject leads to it.
            let names = names(certificate).ok().expect("names");
            assert_eq!(&certificate[names.subject.clone()], alone.roots[0].subject.as_ref());
            if certificate[names.subject] == certificate[names.issuer] {
                let found = roots.issuers_of(&[certificate]);
                assert!(found.roots.contains(&alone.roots[0]));
                assert!(found.len() <= 4, "only namesakes beside it");
            }
        }
    }

    #[test]
    fn blocks_are_found_where_the_full_parser_finds_them() {
        let pem = root("Own").pem();
        for (text, count) in [
            (pem.clone(), 1),
            (format!("{pem}{pem}"), 2),
            (format!("text before\n{pem}text between\n{pem}"), 2),
            (format!("not at the line's start {pem}"), 0),
            (pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), 0),
            (format!("{}{pem}", pem.replace("-----END CERTIFICATE-----\n", "")), 1),
            (String::new(), 0),
            (BEGIN.to_owned(), 0),
        ] {
            assert_eq!(Blocks { rest: &text }.count(), count, "{text}");
        }
    }

    /// Cost of a first request over TLS with the system's roots: `cargo test --release --lib http::trust -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement"]
    fn cost_of_the_first_request() {
        let system = SYSTEM_BUNDLES.iter().find_map(|path| read_file(Path::new(path)).ok()).expect("a bundle");
        let authority = root("Own");
        let server = Server::start_tls(vec![ok("{}")], tls(&["127.0.0.1"], &authority, vec![], |_| {}));
        let mut times: Vec<_> = (0..40)
            .map(|_| {
                let (_folder, path) = bundle(&format!("{system}\n{}", authority.pem()));
                let env = Env::default().with("SSL_CERT_FILE", &path);
                let start = std::time::Instant::now();
                get(&server, &env).expect("a response");
                start.elapsed()
            })
            .collect();
        times.sort();
        let roots = Roots { bundles: vec![format!("{system}\n{}", authority.pem())] };
        let start = std::time::Instant::now();
        let found = roots.issuers_of(&[authority.der()]).len();
        println!(
            "first request {:?} (median of {}), of which the search in the bundle {:?} ({found} found)",
            times[times.len() / 2],
            times.len(),
            start.elapsed()
        );
    }
}
