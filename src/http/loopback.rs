//! Tests only: a server on loopback that follows a script, however hostile, and remembers what it was sent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::host::Host;

/// One step of answering a request.
#[derive(Clone)]
pub(super) enum Act {
    Send(Vec<u8>),
    /// The same bytes again and again, until the client has had enough; the pause comes after each.
    Endless(Vec<u8>, Duration),
    /// Says nothing until the client goes away.
    Silence,
    /// Closes the connection.
    Close,
    /// Closes the connection once [`Server::close`] is called.
    CloseWhenTold,
    /// Closes the connection with the request unread, so that the client gets a reset.
    CloseUnread,
}

/// A whole reply, after which the connection stays open.
pub(super) fn reply(status: &str, headers: &[&str], body: &str) -> Vec<Act> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    vec![Act::Send(format!("{text}\r\n{body}").into_bytes())]
}

/// `200 OK` with JSON.
pub(super) fn ok(body: &str) -> Vec<Act> {
    reply("200 OK", &["Content-Type: application/json"], body)
}

/// Bytes as they are, then the end of the connection.
pub(super) fn raw(bytes: impl Into<Vec<u8>>) -> Vec<Act> {
    vec![Act::Send(bytes.into()), Act::Close]
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    secure: bool,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
    told: Arc<AtomicBool>,
}

impl Server {
    /// Answers the n-th request with the n-th part of the script; the last part stays in force.
    pub(super) fn start(script: Vec<Vec<Act>>) -> Self {
        Self::start_with(script, None)
    }

    pub(super) fn start_tls(script: Vec<Vec<Act>>, tls: Arc<ServerConfig>) -> Self {
        Self::start_with(script, Some(tls))
    }

    fn start_with(script: Vec<Vec<Act>>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            secure: tls.is_some(),
            requests: Arc::default(),
            connections: Arc::default(),
            closed: Arc::default(),
            told: Arc::default(),
        };
        let (requests, connections, closed) = (server.requests.clone(), server.connections.clone(), server.closed.clone());
        let told = server.told.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_nodelay(true).expect("no delay");
                connections.fetch_add(1, Ordering::SeqCst);
                let (script, requests, tls, closed, told) = (script.clone(), requests.clone(), tls.clone(), closed.clone(), told.clone());
                std::thread::spawn(move || {
                    match tls {
                        None => serve(stream, &script, &requests, &told),
                        Some(tls) => serve(StreamOwned::new(ServerConnection::new(tls).expect("a TLS server"), stream), &script, &requests, &told),
                    }
                    closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    pub(super) fn host(&self) -> Host {
        self.host_named("127.0.0.1")
    }

    pub(super) fn host_named(&self, name: &str) -> Host {
        let scheme = if self.secure { "https" } else { "http" };
        Host::parse(&format!("{scheme}://{name}:{}", self.address.port())).expect("a host")
    }

    /// Every request so far, head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("the list").clone()
    }

    /// Closes the connection that waits for it; returns when that is done.
    pub(super) fn close(&self) {
        self.told.store(true, Ordering::SeqCst);
        while self.closed.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: impl Read + Write, script: &[Vec<Act>], requests: &Mutex<Vec<String>>, told: &AtomicBool) {
    if matches!(script.first().and_then(|acts| acts.first()), Some(Act::CloseUnread)) {
        requests.lock().expect("the list").push("(unread)".to_owned());
        let _ = stream.read(&mut [0; 1]);
        return;
    }
    while let Some(request) = read_request(&mut stream) {
        let number = {
            let mut requests = requests.lock().expect("the list");
            requests.push(request);
            requests.len() - 1
        };
        for act in script.get(number).or(script.last()).into_iter().flatten() {
            match act {
                Act::Send(bytes) => {
                    if stream.write_all(bytes).and_then(|()| stream.flush()).is_err() {
                        return;
                    }
                }
                Act::Endless(bytes, pause) => {
                    while stream.write_all(bytes).and_then(|()| stream.flush()).is_ok() {
                        std::thread::sleep(*pause);
                    }
                    return;
                }
                Act::Silence => {
                    let _ = stream.read(&mut [0; 1]);
                    return;
                }
                Act::CloseWhenTold => {
                    while !told.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    return;
                }
                Act::Close | Act::CloseUnread => return,
            }
        }
    }
}

fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
}

/// A certificate authority, with its own key.
pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A root.
pub(super) fn root(name: &str) -> Authority {
    CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().expect("a key")).expect("a root")
}

/// An authority below another one.
pub(super) fn intermediate(name: &str, issuer: &Authority) -> Authority {
    CertifiedIssuer::signed_by(authority_params(name), KeyPair::generate().expect("a key"), issuer).expect("an intermediate")
}

/// The same authority, vouched for by another root.
pub(super) fn cross_signed(name: &str, key: &KeyPair, issuer: &Authority) -> CertificateDer<'static> {
    authority_params(name).signed_by(key, issuer).expect("a cross certificate").der().clone()
}

/// A server's certificate, changed as the test wants it, with what a TLS server needs.
pub(super) fn tls(names: &[&str], issuer: &Authority, between: Vec<CertificateDer<'static>>, change: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("parameters");
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    let leaf = params.signed_by(&key, issuer).expect("a certificate");
    let chain = std::iter::once(leaf.der().clone()).chain(between).collect();
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider())).with_safe_default_protocol_versions().expect("versions");
    Arc::new(config.with_no_client_auth().with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into()).expect("a server"))
}
