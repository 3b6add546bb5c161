//! The first messages of a Postgres connection, protocol 3, as far as a door needs them. <https://www.postgresql.org/docs/current/protocol-message-formats.html>
//!
//! Everything is bounded, and nothing is read beyond the message that is asked for: what follows belongs to somebody else.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::lakebase::vault::Trouble;

/// As the server: a startup packet is no longer (`MAX_STARTUP_PACKET_LENGTH`).
const LONGEST_STARTUP: usize = 10_000;
/// A password is no longer: tokens have some kilobytes.
const LONGEST_PASSWORD: usize = 64 << 10;
/// What a server says before somebody is logged in is no longer.
const LONGEST_ANSWER: usize = 64 << 10;

const PROTOCOL_3: u32 = 3;
const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// What asks the server for TLS.
pub(super) const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    Startup(Startup),
    /// The whole packet: the key in it is for the server.
    Cancel(Vec<u8>),
    /// It went, or it is no client of Postgres: there is nobody to answer.
    Nobody,
    /// It is one, and made a mistake.
    Wrong(&'static str),
}

/// A startup message: the protocol's minor version, and parameters in the order in which they came.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(super) struct Startup {
    version: u32,
    parameters: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Startup {
    /// One of the protocol's first minor version.
    #[cfg(test)]
    pub(super) fn of(parameters: &[(&str, &str)]) -> Self {
        Self { version: PROTOCOL_3 << 16, parameters: parameters.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.parameters.iter().rfind(|(own, _)| own == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.parameters.retain(|(own, _)| own != name.as_bytes());
        self.parameters.push((name.into(), value.into()));
    }

    fn parse(version: u32, mut rest: &[u8]) -> Option<Self> {
        let mut parameters = Vec::new();
        loop {
            let name = text(&mut rest)?;
            if name.is_empty() {
                return rest.is_empty().then_some(Self { version, parameters });
            }
            parameters.push((name.to_vec(), text(&mut rest)?.to_vec()));
        }
    }

    /// The packet.
    pub(super) fn packet(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        for (name, value) in &self.parameters {
            body.extend_from_slice(name);
            body.push(0);
            body.extend_from_slice(value);
            body.push(0);
        }
        body.push(0);
        let mut packet = length(body.len()).to_vec();
        packet.append(&mut body);
        packet
    }
}

/// The text up to the next zero, which is taken too.
fn text<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = memchr::memchr(0, rest)?;
    let text = &rest[..end];
    *rest = &rest[end + 1..];
    Some(text)
}

/// The length of a message as it is written: with its own four bytes.
fn length(body: usize) -> [u8; 4] {
    u32::try_from(body + 4).unwrap_or(u32::MAX).to_be_bytes()
}

/// A message of a type.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(5 + body.len());
    message.push(kind);
    message.extend_from_slice(&length(body.len()));
    message.extend_from_slice(body);
    message
}

/// Reads what a client begins with; `SSLRequest` and `GSSENCRequest` are answered with `N`: the door is on this machine, and behind it everything is encrypted.
///
/// # Errors
/// If the connection breaks.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(client: &mut S) -> io::Result<Greeting> {
    // One of each, as the server.
    let (mut ssl, mut gss) = (false, false);
    loop {
        let mut head = [0; 8];
        match client.read_exact(&mut head).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Greeting::Nobody),
            done => done?,
        };
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let code = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        if !(8..=LONGEST_STARTUP).contains(&size) {
            return Ok(Greeting::Nobody);
        }
        match code {
            SSL if size == 8 && !ssl => {
                ssl = true;
                client.write_all(b"N").await?;
                client.flush().await?;
                continue;
            }
            GSS if size == 8 && !gss => {
                gss = true;
                client.write_all(b"N").await?;
                client.flush().await?;
                continue;
            }
            SSL | GSS => return Ok(Greeting::Nobody),
            _ => {}
        }
        let mut body = vec![0; size - 8];
        match client.read_exact(&mut body).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Greeting::Nobody),
            done => done?,
        };
        if code == CANCEL {
            // Since protocol 3.2 the key has up to 256 bytes.
            return Ok(if (4..=4 + 256).contains(&body.len()) { Greeting::Cancel([&head[..], &body].concat()) } else { Greeting::Nobody });
        }
        if code >> 16 != PROTOCOL_3 {
            return Ok(Greeting::Wrong("this is no version 3 of the Postgres protocol"));
        }
        return Ok(Startup::parse(code, &body).map_or(Greeting::Wrong("invalid startup packet layout"), Greeting::Startup));
    }
}

/// Asks a client for its password, in clear; `None` if it went instead.
///
/// # Errors
/// If the connection breaks, or something else comes.
pub(super) async fn ask_password<S: AsyncRead + AsyncWrite + Unpin>(client: &mut S) -> io::Result<Option<zeroize::Zeroizing<Vec<u8>>>> {
    client.write_all(&message(b'R', &3_u32.to_be_bytes())).await?;
    client.flush().await?;
    let mut head = [0; 5];
    match client.read_exact(&mut head).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        done => done?,
    };
    let size = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if head[0] == b'X' {
        return Ok(None);
    }
    if head[0] != b'p' || !(5..=LONGEST_PASSWORD).contains(&size) {
        return Err(io::Error::other("no password"));
    }
    let mut body = zeroize::Zeroizing::new(vec![0; size - 4]);
    client.read_exact(&mut body).await?;
    Ok((body.pop() == Some(0)).then_some(body))
}

/// A message of the server from before somebody is logged in.
///
/// # Errors
/// If the connection breaks, or the message is longer than such messages are.
pub(super) async fn read_message<S: AsyncRead + Unpin>(server: &mut S) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    server.read_exact(&mut head).await?;
    let size = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if !(4..=LONGEST_ANSWER).contains(&size) {
        return Err(io::Error::other("the server sent a message of impossible length"));
    }
    let mut body = vec![0; size - 4];
    server.read_exact(&mut body).await?;
    Ok((head[0], body))
}

/// A field of an `ErrorResponse`, by its letter.
pub(super) fn error_field(body: &[u8], letter: u8) -> String {
    let mut rest = body;
    while let Some((kind, after)) = rest.split_first()
        && *kind != 0
    {
        rest = after;
        let Some(value) = text(&mut rest) else { break };
        if *kind == letter {
            return String::from_utf8_lossy(value).into_owned();
        }
    }
    String::new()
}

/// An `ErrorResponse` that ends the connection, as clients show it.
pub(super) fn fatal(trouble: &Trouble) -> Vec<u8> {
    let mut body = Vec::new();
    for (letter, value) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', trouble.code), (b'M', trouble.message.as_str()), (b'H', trouble.hint.as_str())] {
        if !value.is_empty() {
            body.push(letter);
            body.extend(value.bytes().filter(|byte| *byte != 0));
            body.push(0);
        }
    }
    body.push(0);
    message(b'E', &body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
    }

    /// What a client that sends this and goes is taken for, and what it was answered.
    fn greeted(sent: &[u8]) -> (Greeting, Vec<u8>) {
        now(async {
            let (mut client, mut door) = tokio::io::duplex(64 << 10);
            client.write_all(sent).await.expect("sent");
            client.shutdown().await.expect("closed");
            let greeting = greet(&mut door).await.expect("read");
            drop(door);
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("answer");
            (greeting, answer)
        })
    }

    #[test]
    fn encryption_is_declined_once_each_and_then_the_startup_is_read() {
        let wanted = Startup::of(&[("user", "ann"), ("database", "shop")]);
        let gss = [0, 0, 0, 8, 4, 210, 22, 48];
        let (greeting, answer) = greeted(&[&SSL_REQUEST[..], &gss, &wanted.packet()].concat());
        assert_eq!((greeting, answer.as_slice()), (Greeting::Startup(wanted), &b"NN"[..]));
        assert_eq!(greeted(&[SSL_REQUEST, SSL_REQUEST].concat()).0, Greeting::Nobody);
    }

    #[test]
    fn cancel_requests_are_kept_whole() {
        let packet = [0, 0, 0, 16, 4, 210, 22, 46, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(greeted(&packet).0, Greeting::Cancel(packet.to_vec()));
    }

    #[test]
    fn what_is_too_long_too_short_or_no_startup_is_nobody() {
        for sent in [
            &b""[..],
            b"\0\0",
            b"GET / HTTP/1.1\r\n\r\n",
            &[0, 0, 0, 7, 0, 3, 0, 0],
            &[0xff; 20],
            &[0x16, 3, 1, 2, 0, 1, 0, 1],
            &[0, 0, 0x27, 0x11, 0, 3, 0, 0],
        ] {
            assert_eq!(greeted(sent).0, Greeting::Nobody, "{sent:?}");
        }
        assert!(matches!(greeted(&[0, 0, 0, 8, 0, 2, 0, 0]).0, Greeting::Wrong(_)));
        assert!(matches!(greeted(&[0, 0, 0, 12, 0, 3, 0, 0, b'u', b's', b'e', b'r']).0, Greeting::Wrong(_)));
    }

    #[test]
    fn errors_are_read_as_they_are_written() {
        let trouble = Trouble { code: "28000", message: "no".to_owned(), hint: "try".to_owned() };
        let packet = fatal(&trouble);
        assert_eq!(
            (error_field(&packet[5..], b'C'), error_field(&packet[5..], b'M'), error_field(&packet[5..], b'H')),
            ("28000".to_owned(), "no".to_owned(), "try".to_owned())
        );
        assert_eq!(error_field(b"Cno end", b'C'), "");
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(sent in proptest::collection::vec(any::<u8>(), 0..64), code in prop_oneof![Just(3_u32 << 16), Just(CANCEL), Just(SSL), any::<u32>()]) {
            greeted(&sent);
            let framed = [&length(sent.len() + 4)[..], &code.to_be_bytes(), &sent].concat();
            greeted(&framed);
            error_field(&sent, b'M');
        }
    }
}
