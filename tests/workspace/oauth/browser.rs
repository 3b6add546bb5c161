//! The user and the browser: walks the pages over HTTP the way a person would, without one.

use super::super::random::provider;
use super::authorize::percent_encode;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A page as it came in.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Page {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Goes from an authorize (or discovery) URL to the page, presses "Sign in as `user`", and gives the URL the browser is sent to. An error
/// the server tells the client (not the user) is such a URL too.
pub fn approve(url: &str, user: &str, ca_file: Option<&Path>) -> String {
    walk(url, &format!("Sign in as {user}"), ca_file)
}

/// The same, but presses "Deny".
pub fn deny(url: &str, ca_file: Option<&Path>) -> String {
    walk(url, "Deny", ca_file)
}

/// Fetches one page, without following where it leads.
pub fn visit(url: &str, ca_file: Option<&Path>) -> Page {
    exchange(url, "GET", &[], "", ca_file)
}

fn walk(url: &str, button: &str, ca_file: Option<&Path>) -> String {
    let mut url = url.to_owned();
    // Discovery, and the page: two steps, and some for whoever puts a redirect in between.
    for _ in 0..5 {
        let page = visit(&url, ca_file);
        match page.status {
            200 => return press(&url, &page, button, ca_file),
            301..=308 => {
                let target = page.header("Location").expect("a redirect says where to").to_owned();
                if !target.contains("/authorize?") {
                    return target;
                }
                url = absolute(&url, &target);
            }
            status => panic!("{url} answered {status}: {}", page.body),
        }
    }
    panic!("{url} leads in circles")
}

/// Sends the form of the page the way a browser does that has its cookie.
fn press(url: &str, page: &Page, button: &str, ca_file: Option<&Path>) -> String {
    let mut fields = Vec::new();
    let mut action = None;
    for tag in tags(&page.body) {
        let name = attribute(&tag.text, "name").unwrap_or_default();
        let value = attribute(&tag.text, "value").unwrap_or_default();
        if tag.text.starts_with("form ") {
            action = attribute(&tag.text, "action");
        } else if tag.text.starts_with("input ") || (tag.text.starts_with("button ") && unescape(tag.label.trim()) == button) {
            fields.push((name, value));
        }
    }
    let action = absolute(url, &action.unwrap_or_else(|| panic!("{url} shows no form: {}", page.body)));
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value))).collect();
    let cookie = page.header("Set-Cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default();
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", cookie)];
    let sent = exchange(&action, "POST", &headers, &body.join("&"), ca_file);
    assert_eq!(sent.status, 303, "after \"{button}\": {}", sent.body);
    sent.header("Location").expect("a redirect says where to").to_owned()
}

#[derive(Debug)]
struct Tag {
    /// What stands between the angle brackets.
    text: String,
    /// What follows it, up to the next tag.
    label: String,
}

/// Enough of HTML for pages that are written by hand.
fn tags(html: &str) -> Vec<Tag> {
    let parts = html.split('<').skip(1).filter_map(|part| part.split_once('>'));
    parts.map(|(text, label)| Tag { text: text.to_owned(), label: label.to_owned() }).collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    tag[start..].split('"').next().map(unescape)
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

fn absolute(base: &str, target: &str) -> String {
    if target.contains("://") {
        return target.to_owned();
    }
    let (scheme, host, _) = split(base);
    format!("{scheme}://{host}{target}")
}

/// Scheme, host with port, and the rest.
fn split(url: &str) -> (&str, &str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or_else(|| panic!("this is no URL: {url}"));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    (scheme, &rest[..end], &rest[end..])
}

fn exchange(url: &str, method: &str, headers: &[(&str, &str)], body: &str, ca_file: Option<&Path>) -> Page {
    let (scheme, host, target) = split(url);
    let slash = if target.starts_with('/') { "" } else { "/" };
    let mut message = format!("{method} {slash}{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    if method == "POST" {
        message.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    message.push_str("\r\n");
    message.push_str(body);
    let socket = TcpStream::connect(host).unwrap_or_else(|error| panic!("nothing listens at {host}: {error}"));
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket takes a timeout");
    match scheme {
        "https" => talk(StreamOwned::new(tls(host, ca_file), socket), &message),
        _ => talk(socket, &message),
    }
}

fn talk(mut stream: impl Read + Write, message: &str) -> Page {
    stream.write_all(message.as_bytes()).and_then(|()| stream.flush()).expect("the request can be sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a head in UTF-8");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut page = Page { status, headers, body: String::new() };
    // Not every server closes the connection although it was asked to.
    let length = page.header("Content-Length").map_or(u64::MAX, |length| length.parse().expect("a length"));
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body).expect("the reply can be read");
    page.body = String::from_utf8_lossy(&body).into_owned();
    page
}

fn tls(host: &str, ca_file: Option<&Path>) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    let ca_file = ca_file.expect("https needs the file of its authority");
    for certificate in CertificateDer::pem_file_iter(ca_file).expect("the file of the authority") {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
    ClientConnection::new(Arc::new(config), ServerName::try_from(name).expect("a host name")).expect("the TLS settings are sound")
}
