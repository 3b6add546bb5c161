//! A server that hangs, breaks off or lies at each step of a connection: it is left in time, with the reason, and nothing is sent to who was not trusted.

use std::sync::Mutex;

use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;

use super::*;
use crate::env::{self, Env};
use crate::http;

/// What a server does next.
#[derive(Clone, Copy)]
enum Step {
    /// Reads so many bytes.
    Read(usize),
    Say(&'static [u8]),
    /// Answers `S`, and makes the handshake.
    Tls,
    /// Reads a message, and keeps it.
    Hear,
    Hang,
}

use Step::{Hang, Hear, Read, Say, Tls};

/// The server's certificate, which is its own authority, as PEM, and its settings.
fn identity(name: &str) -> (String, Arc<rustls::ServerConfig>) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name").self_signed(&key).expect("a certificate");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
        .expect("a config");
    (certificate.pem(), Arc::new(config))
}

/// For servers that answer, however busy the machine is.
const PATIENT: Limits = Limits { step: Duration::from_secs(20), login: Duration::from_secs(20) };
const SOON: Duration = Duration::from_millis(200);

/// How a login ends at a server that does this, and what the server heard after the request for TLS.
#[allow(clippy::disallowed_methods, reason = "a file of the test's own")]
fn login_at(steps: &'static [Step], name: &str, limits: Limits) -> (String, Vec<u8>) {
    let (pem, config) = identity(name);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).expect("written");
    let tls = http::tls(&Env::default().with(env::SSL_CERT_FILE, file.to_str().expect("text"))).expect("settings");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let outcome = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(serve(listener, steps, config, heard.clone()));
        let mut server = Server::new("localhost", port, Arc::new(tls)).expect("a server");
        server.limits = limits;
        let password = Password::lasting("the password".into());
        match server.log_in(&Startup::of(&[("user", "ann")]), &password).await {
            Ok(_) => "logged in".to_owned(),
            Err(Refusal::Trouble(trouble) | Refusal::Closed(trouble)) => trouble.message,
            Err(Refusal::Server(packet)) => format!("the server: {}", wire::error_field(&packet[5..], b'M')),
        }
    });
    let heard = heard.lock().expect("heard").clone();
    (outcome, heard)
}

async fn serve(listener: TcpListener, steps: &'static [Step], config: Arc<rustls::ServerConfig>, heard: Arc<Mutex<Vec<u8>>>) {
    let (mut tcp, _) = listener.accept().await.expect("a client");
    let mut steps = steps.iter();
    for step in steps.by_ref() {
        match step {
            Read(count) => drop(tcp.read_exact(&mut vec![0; *count]).await),
            Say(bytes) => tcp.write_all(bytes).await.expect("said"),
            Tls => {
                tcp.write_all(b"S").await.expect("said");
                let Ok(mut stream) = tokio_rustls::TlsAcceptor::from(config).accept(tcp).await else { return };
                for step in steps {
                    match step {
                        Say(bytes) => {
                            if stream.write_all(bytes).await.is_err() || stream.flush().await.is_err() {
                                return;
                            }
                        }
                        Hear => {
                            let mut bytes = [0; 4096];
                            let count = stream.read(&mut bytes).await.unwrap_or(0);
                            heard.lock().expect("heard").extend_from_slice(&bytes[..count]);
                        }
                        _ => std::future::pending().await,
                    }
                }
                return;
            }
            _ => std::future::pending().await,
        }
    }
}

const ASKS: Step = Say(b"R\0\0\0\x08\0\0\0\x03");
const SCRAM: Step = Say(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0");

#[test]
fn a_server_that_hangs_is_left_at_each_step() {
    let tls = "did not answer the request for TLS within";
    let login = "did not answer the login within";
    for (steps, why) in [
        (&[Hang][..], tls),
        (&[Read(8), Hang], tls),
        (&[Read(8), Say(b"S"), Hang], "did not finish the TLS handshake within"),
        (&[Read(8), Tls, Hang], login),
        (&[Read(8), Tls, Hear, Hang], login),
        (&[Read(8), Tls, Hear, Say(b"R\0\0"), Hang], login),
        (&[Read(8), Tls, Hear, Say(b"R\0\0\0\x08"), Hang], login),
        (&[Read(8), Tls, Hear, ASKS, Hang], login),
        (&[Read(8), Tls, Hear, ASKS, Hear, Hang], login),
        (&[Read(8), Tls, Hear, SCRAM, Hear, Hang], login),
        (&[Read(8), Tls, Hear, Say(b"N\0\0\0\x05\0"), Hang], login),
    ] {
        let limits = if why == login { Limits { login: SOON, ..PATIENT } } else { Limits { step: SOON, ..PATIENT } };
        let (outcome, _) = login_at(steps, "localhost", limits);
        assert!(outcome.contains(why), "{outcome}, not {why}");
    }
}

#[test]
fn a_server_that_breaks_off_or_lies_is_told_as_such() {
    for (steps, why) in [
        (&[][..], "broke the connection off"),
        (&[Read(8)], "broke the connection off"),
        (&[Read(8), Say(b"N")], "offers no TLS; nothing was sent to it"),
        (&[Read(8), Say(b"E")], "is no Postgres server"),
        (&[Read(8), Say(b"SSSSSSSSSSSSSSSS")], "was not trusted, and nothing was sent to it"),
        (&[Read(8), Tls], "broke the login off"),
        (&[Read(8), Tls, Hear, ASKS, Hear], "broke the login off"),
        (&[Read(8), Tls, Hear, Say(b"R\xff\xff\xff\xff"), Hang], "a message of impossible length"),
        (&[Read(8), Tls, Hear, Say(b"R\0\0\0\x05\0"), Hang], "asked for something unknown at the login"),
        (&[Read(8), Tls, Hear, Say(b"R\0\0\0\x08\0\0\0\x05"), Hang], "a kind of login that is not known here"),
        (&[Read(8), Tls, Hear, Say(b"Z\0\0\0\x05I"), Hang], "an unexpected message at the login"),
        (&[Read(8), Tls, Hear, SCRAM, Hear, Say(b"R\0\0\0\x08\0\0\0\0"), Hang], "without a proof that it knows the password"),
        (&[Read(8), Tls, Hear, SCRAM, Hear, Say(b"R\0\0\0\x0c\0\0\0\x0babcd"), Hang], "with what is no SCRAM"),
        (&[Read(8), Tls, Hear, Say(b"R\0\0\0\x08\0\0\0\x0c"), Hang], "ended a login that it had not begun"),
        (&[Read(8), Tls, Hear, Say(b"E\0\0\0\x0bMnope\0\0"), Hang], "the server: nope"),
    ] {
        let (outcome, _) = login_at(steps, "localhost", PATIENT);
        assert!(outcome.contains(why), "{outcome}, not {why}");
    }
}

#[test]
fn the_password_goes_to_the_server_of_that_name_only() {
    let (outcome, heard) = login_at(&[Read(8), Tls, Hear, ASKS, Hear, Say(b"R\0\0\0\x08\0\0\0\0")], "localhost", PATIENT);
    assert!(outcome == "logged in" && heard.windows(12).any(|bytes| bytes == b"the password"));
    // By SCRAM not even to that.
    let (_, heard) = login_at(&[Read(8), Tls, Hear, SCRAM, Hear], "localhost", PATIENT);
    assert!(!heard.is_empty() && !heard.windows(12).any(|bytes| bytes == b"the password"));
    let (outcome, heard) = login_at(&[Read(8), Tls, Hear, ASKS, Hear, Hang], "elsewhere.example", PATIENT);
    assert!(outcome.contains("was not trusted, and nothing was sent to it") && heard.is_empty(), "{outcome}");
}

#[test]
fn a_server_that_says_it_restarts_is_waited_for_longest() {
    let told = |code: &str| {
        let body = format!("SFATAL\0C{code}\0Mwords\0\0");
        Refusal::Server([b"E", &u32::try_from(body.len() + 4).expect("short").to_be_bytes()[..], body.as_bytes()].concat())
    };
    let gone = Refusal::Closed(Trouble { code: UNREACHABLE, message: String::new(), hint: String::new() });
    assert!(told("57P03").patience() > gone.patience() && gone.patience().is_some());
    assert_eq!(told("28P01").patience(), None);
}
