//! C8: proxies see the name of the host and ciphertext, and of loopback nothing.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::bench::{ASKING, Bench, is_diagnosis};
use crate::workspace::Workspace;

/// A proxy that writes down the head of every request and then refuses, or connects to one place whatever was asked for.
pub(super) struct LoggingProxy {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl LoggingProxy {
    pub(super) fn refusing() -> Self {
        Self::start(None)
    }

    fn leading_to(address: &str) -> Self {
        Self::start(Some(address.to_owned()))
    }

    fn start(target: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&heard);
        // Ends with the test program; a connection is served in a thread of its own.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (Ok(connection), log, target) = (connection, Arc::clone(&log), target.clone()) else { return };
                std::thread::spawn(move || serve(connection, &log, target.as_deref()));
            }
        });
        Self { port, heard }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The heads of all requests so far.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, log: &Mutex<Vec<String>>, target: Option<&str>) {
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(client.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    log.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let Some(mut server) = target.and_then(|target| TcpStream::connect(target).ok()) else {
        let _ = client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    };
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut upward, mut downward) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let back = std::thread::spawn(move || drop(std::io::copy(&mut downward, &mut client)));
    let _ = std::io::copy(&mut upward, &mut server);
    let _ = server.shutdown(std::net::Shutdown::Both);
    let _ = back.join();
}

#[test]
fn c8_a_proxy_is_asked_to_connect_and_never_sees_a_credential() {
    let workspace = Workspace::start();
    let proxy = LoggingProxy::leading_to(workspace.https_url().strip_prefix("https://").unwrap());
    let with_password = proxy.url().replace("http://", "http://ann:pr0xy-pass@");
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let bench = Bench::new().set(variable, &with_password).set("SSL_CERT_FILE", &workspace.ca_file().to_string_lossy());
        bench.write_config("[DEFAULT]\nhost = https://h.example\ntoken = dapi-secret\n");
        for arguments in ASKING {
            let outcome = bench.run(arguments);
            // The certificate is that of localhost: whoever gets past the proxy is still not believed.
            assert_eq!(outcome.code(), i32::from(!is_diagnosis(arguments)), "{outcome}");
            let said = outcome.stdout() + &outcome.stderr();
            assert!(!said.contains("pr0xy-pass") && !said.contains("dapi-secret"), "{outcome}");
        }
    }
    let heard = proxy.heard();
    assert!(heard.len() >= 4 * ASKING.len(), "{}", heard.len());
    for head in heard {
        assert!(head.starts_with("CONNECT h.example:443 HTTP/1.1\r\n"), "{head}");
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains("\r\nproxy-authorization: basic yw5uonbymhh5lxbhc3m=\r\n"), "{head}");
        assert!(!lower.contains("\r\nauthorization") && !head.contains("dapi") && !head.contains("/api/"), "{head}");
    }
    assert_eq!(workspace.requests().len(), 0);
}

#[test]
fn c8_errors_name_the_proxy_without_its_password() {
    let refusing = LoggingProxy::refusing();
    let bench = |address: &str| {
        let bench = Bench::new().set("HTTPS_PROXY", address);
        bench.write_config("[DEFAULT]\nhost = https://h.example\ntoken = dapi-secret\n");
        bench
    };
    let with_password = |url: &str| url.replace("http://", "http://ann:pr0xy%2Dpass@");
    for address in [
        with_password(&refusing.url()),
        with_password("http://127.0.0.1:1"),
        "ann:pr0xy-pass@127.0.0.1:1".to_owned(),
        "socks5://ann:pr0xy-pass@127.0.0.1:1".to_owned(),
        "http://ann:pr0xy-pass@".to_owned(),
        "http://ann:pr0xy-pass@h:99999".to_owned(),
        "://pr0xy-pass".to_owned(),
        "http://ann:pr0xy-pass\u{1b}[2J@h".to_owned(),
    ] {
        for flags in [&[][..], &["--debug"]] {
            let outcome = bench(&address).run(&[&["tokens", "list"], flags].concat()).failed_with(&["HTTPS_PROXY"]);
            assert!(!outcome.stderr().contains("pass") && !outcome.stderr().contains('\u{1b}'), "{outcome}");
        }
    }
    bench(&refusing.url()).run(&["tokens", "list"]).failed_with(&[&refusing.url(), "NO_PROXY"]);
}

#[test]
fn c8_loopback_never_meets_a_proxy() {
    let workspace = Workspace::start();
    let proxy = LoggingProxy::refusing();
    for (address, host) in [
        ("http://127.0.0.1:1".to_owned(), workspace.url()),
        (proxy.url(), workspace.url()),
        (proxy.url(), workspace.https_url()),
        ("not a proxy at all".to_owned(), workspace.url()),
    ] {
        let mut bench = Bench::new().set("SSL_CERT_FILE", &workspace.ca_file().to_string_lossy());
        for variable in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy", "FTP_PROXY"] {
            bench = bench.set(variable, &address);
        }
        bench.write_config(format!("[DEFAULT]\nhost = {host}\ntoken = {}\n", workspace.token()));
        for arguments in [&["tokens", "list"][..], &["current-user", "me"], &["auth", "describe"], &["clusters", "list"], &["tokens", "create"]] {
            bench.run(arguments).succeeded();
        }
    }
    assert_eq!(proxy.heard(), Vec::<String>::new());
}

#[test]
fn c8_no_proxy_goes_directly() {
    let proxy = LoggingProxy::refusing();
    // .invalid exists nowhere (RFC 6761), so going directly fails at once.
    for list in ["h.invalid", ".invalid", "*", "other, h.invalid", "H.INVALID:443"] {
        let bench = Bench::new().set("HTTPS_PROXY", &proxy.url()).set("NO_PROXY", list);
        bench.write_config("[DEFAULT]\nhost = https://h.invalid\ntoken = dapi-secret\nretry_timeout_seconds = 1\n");
        let outcome = bench.run(&["tokens", "list"]).failed_with(&["h.invalid"]);
        assert!(!outcome.stderr().contains("proxy"), "{outcome}");
    }
    assert_eq!(proxy.heard(), Vec::<String>::new());
}
