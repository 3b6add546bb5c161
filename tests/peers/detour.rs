//! A proxy that leads every name to the embedded workspace, as far as a test is concerned: https by `CONNECT`, http (metadata services) as proxies of old do.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use crate::workspace::Workspace;

/// A proxy that runs as long as the test.
#[derive(Debug)]
pub(super) struct Detour {
    address: SocketAddr,
}

impl Detour {
    pub(super) fn to(workspace: &Workspace) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let place = |url: &str| format!("127.0.0.1:{}", url.rsplit(':').next().unwrap_or_default());
        let (plain, secure): (Arc<str>, Arc<str>) = (place(workspace.url()).into(), place(workspace.https_url()).into());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (plain, secure) = (Arc::clone(&plain), Arc::clone(&secure));
                // Whoever hangs up early is no concern of the test.
                std::thread::spawn(move || lead(&client, &plain, &secure));
            }
        });
        Self { address }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Serves one connection.
fn lead(mut client: &TcpStream, plain: &str, secure: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let (mut first, mut head) = (String::new(), String::new());
    reader.read_line(&mut first)?;
    while reader.read_line(&mut head)? > 2 {}
    let (server, opening) = if first.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        (TcpStream::connect(secure)?, String::new())
    } else {
        // `GET http://name/path HTTP/1.1`: the server is told what clients tell it, and closes after one reply.
        let mut words = first.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = target.splitn(4, '/').nth(3).unwrap_or_default();
        (TcpStream::connect(plain)?, format!("{method} /{path} HTTP/1.1\r\nConnection: close\r\n{head}"))
    };
    (&server).write_all(opening.as_bytes())?;
    std::thread::scope(|scope| {
        scope.spawn(|| splice(reader, &server));
        splice(&server, client);
    });
    Ok(())
}

fn splice(mut from: impl Read, mut to: &TcpStream) {
    // Its end is the end of the other direction too.
    let _copied = std::io::copy(&mut from, &mut to);
    let _ended = to.shutdown(Shutdown::Write);
}
