//! The floor for network commands: requests written by hand over one connection, the bodies read and counted, nothing parsed, nothing printed but a number.
//!
//! ```text
//! raw URL        one GET, or with a query page_size=… all pages in turn
//! raw version …  what the Python SDK asks first, as a constant
//! raw auth …     the text of `BENCH_TOKEN`: a stub in the place of the tool
//! raw load …     many clients of a broker
//! ```
//! The token comes from `DATABRICKS_TOKEN`, the roots of https all from `SSL_CERT_FILE`.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::panic, clippy::disallowed_methods, reason = "a measuring tool: any trouble ends it")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

#[cfg(unix)]
mod load;

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn main() {
    let url = std::env::args().nth(1).expect("a URL");
    match url.as_str() {
        "version" => return println!("{{\"Major\": 1, \"Minor\": 0, \"Patch\": 0}}"),
        "auth" => return println!("{}", std::env::var("BENCH_TOKEN").expect("BENCH_TOKEN")),
        #[cfg(unix)]
        "load" => return load::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        _ => {}
    }
    let token = std::env::var("DATABRICKS_TOKEN").expect("DATABRICKS_TOKEN");
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let (authority, path) = rest.split_at(rest.find('/').expect("a path"));
    let socket = TcpStream::connect(authority.replace("localhost", "127.0.0.1")).expect("a connection");
    socket.set_nodelay(true).expect("TCP_NODELAY");
    let mut stream: Box<dyn Stream> = if scheme == "https" {
        let mut roots = rustls::RootCertStore::empty();
        let bundle = std::fs::read(std::env::var("SSL_CERT_FILE").expect("SSL_CERT_FILE")).expect("the bundle");
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bundle).flatten());
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(authority.split(':').next().expect("a name").to_owned()).expect("a server name");
        let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
        Box::new(rustls::StreamOwned::new(session, socket))
    } else {
        Box::new(socket)
    };
    let mut buffer = Vec::new();
    let mut total = 0;
    let mut next = path.to_owned();
    loop {
        write!(stream, "GET {next} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {token}\r\n\r\n").expect("written");
        let body = reply(&mut *stream, &mut buffer);
        total += body.len();
        match page_token(body).filter(|_| path.contains("page_size=")) {
            Some(token) => next = format!("{path}&page_token={token}"),
            None => break,
        }
    }
    println!("{total}");
}

/// Reads one reply of known length into the buffer; its body.
fn reply<'b>(stream: &mut dyn Stream, buffer: &'b mut Vec<u8>) -> &'b [u8] {
    buffer.clear();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut piece).expect("a reply");
        buffer.extend_from_slice(&piece[..count]);
        assert!(count > 0, "the reply ended early");
        if let Some(head) = find(buffer, b"\r\n\r\n") {
            let lines = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
            let length: usize = lines.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok()).expect("a length");
            if buffer.len() >= head + 4 + length {
                return &buffer[head + 4..];
            }
        }
    }
}

fn page_token(body: &[u8]) -> Option<String> {
    let key = b"\"next_page_token\":\"";
    let at = body.windows(key.len()).rposition(|window| window == key)? + key.len();
    let end = body[at..].iter().position(|byte| *byte == b'"')?;
    (end > 0).then(|| String::from_utf8_lossy(&body[at..at + end]).into_owned())
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
