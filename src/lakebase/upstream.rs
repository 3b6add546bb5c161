//! A connection to the server: TLS with a checked certificate before anything is said, then logged in. Each step has its limit.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::Failure;
use crate::lakebase::vault::{Password, Trouble};
use crate::lakebase::wire::{self, Startup};
use crate::text;

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// For name and TCP connection, for the answer to the request for TLS, and for the handshake.
    step: Duration,
    /// For the login: a compute that sleeps wakes up first.
    login: Duration,
}

const LIMITS: Limits = Limits { step: Duration::from_secs(10), login: Duration::from_secs(60) };

/// `sqlclient_unable_to_establish_sqlconnection`
const UNREACHABLE: &str = "08001";
/// `protocol_violation`
const VIOLATION: &str = "08P01";
/// `cannot_connect_now`: the server starts, or ends.
const NOT_NOW: &str = "57P03";

/// A server that is not there may be gone for good.
const PATIENCE: Duration = Duration::from_secs(5);
/// One that says itself that it starts or ends will mostly be there again; how soon depends on what it has to write.
const PATIENCE_AS_TOLD: Duration = Duration::from_secs(30);

/// A server by its address.
#[derive(Clone)]
pub(crate) struct Server {
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: TlsConnector,
    limits: Limits,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Server at {}:{}", self.host, self.port)
    }
}

/// Why there is no connection.
pub(super) enum Refusal {
    /// Told by us.
    Trouble(Trouble),
    /// Nobody listens there at the moment.
    Closed(Trouble),
    /// Told by the server: its `ErrorResponse`.
    Server(Vec<u8>),
}

impl Refusal {
    /// How long a server is waited for that lets nobody in now, because it may be about to restart; nothing was lost by asking. `None` where waiting does not help.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self {
            Self::Trouble(_) => None,
            Self::Closed(_) => Some(PATIENCE),
            Self::Server(packet) => (wire::error_field(&packet[5..], b'C') == NOT_NOW).then_some(PATIENCE_AS_TOLD),
        }
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Somebody is logged in; what the server said that the client should hear.
pub(super) struct LoggedIn {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) said: Vec<u8>,
}

impl Server {
    /// # Errors
    /// If the host is no name that a certificate could have.
    pub(crate) fn new(host: &str, port: u16, tls: Arc<rustls::ClientConfig>) -> Result<Self, Failure> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Failure::new(format!("{} is no name of a server", text::quoted(host))))?;
        Ok(Self { host: host.to_owned(), port, name, tls: TlsConnector::from(tls), limits: LIMITS })
    }

    fn trouble(&self, code: &'static str, message: &str, hint: &str) -> Trouble {
        Trouble { code, message: format!("{}:{} {message}", self.host, self.port), hint: hint.to_owned() }
    }

    /// A TLS connection on which nothing is said yet.
    ///
    /// # Errors
    /// If the server cannot be reached, has no TLS, or is not who it should be.
    pub(super) async fn connect(&self) -> Result<TlsStream<TcpStream>, Refusal> {
        let limit = self.limits.step;
        let late = |step: &str| self.trouble(UNREACHABLE, &format!("did not {step} within {} seconds", limit.as_secs()), "");
        let broken = |error: &io::Error| self.trouble(UNREACHABLE, &format!("broke the connection off: {error}"), "");
        let tcp = timeout(limit, TcpStream::connect((self.host.as_str(), self.port))).await.map_err(|_| late("accept a connection"))?;
        let mut tcp = tcp.map_err(|error| {
            let trouble =
                self.trouble(UNREACHABLE, &format!("cannot be reached: {error}"), "Is the instance running, and does the network let you through to it?");
            if error.kind() == io::ErrorKind::ConnectionRefused { Refusal::Closed(trouble) } else { trouble.into() }
        })?;
        tcp.set_nodelay(true).map_err(|error| broken(&error))?;
        let mut answer = [0];
        let asked = async {
            tcp.write_all(&wire::SSL_REQUEST).await?;
            tcp.read_exact(&mut answer).await
        };
        timeout(limit, asked).await.map_err(|_| late("answer the request for TLS"))?.map_err(|error| broken(&error))?;
        match answer[0] {
            b'S' => {}
            b'N' => {
                return Err(self
                    .trouble(UNREACHABLE, "offers no TLS; nothing was sent to it", "Databases of Databricks always do: is this the right host?")
                    .into());
            }
            _ => return Err(self.trouble(VIOLATION, "is no Postgres server", "").into()),
        }
        let stream = timeout(limit, self.tls.connect(self.name.clone(), tcp)).await.map_err(|_| late("finish the TLS handshake"))?;
        stream.map_err(|error| {
            let hint = "For a private authority set SSL_CERT_FILE to its certificate";
            self.trouble(UNREACHABLE, &format!("was not trusted, and nothing was sent to it: {error}"), hint).into()
        })
    }

    /// Logs somebody in.
    ///
    /// # Errors
    /// As [`Server::connect`], and if the server refuses.
    pub(super) async fn log_in(&self, startup: &Startup, password: &Password) -> Result<LoggedIn, Refusal> {
        let stream = self.connect().await?;
        let late = || self.trouble(UNREACHABLE, &format!("did not answer the login within {} seconds", self.limits.login.as_secs()), "");
        timeout(self.limits.login, self.authenticate(stream, startup, password)).await.map_err(|_| late())?
    }

    async fn authenticate(&self, mut stream: TlsStream<TcpStream>, startup: &Startup, password: &Password) -> Result<LoggedIn, Refusal> {
        let broken = |error: io::Error| self.trouble(UNREACHABLE, &format!("broke the login off: {error}"), "");
        let odd = |what: &str| self.trouble(VIOLATION, what, "");
        send(&mut stream, &startup.packet()).await.map_err(broken)?;
        let mut said = Vec::new();
        let mut scram: Option<ScramSha256> = None;
        let mut proved = true;
        loop {
            let (kind, body) = wire::read_message(&mut stream).await.map_err(broken)?;
            match kind {
                b'E' => return Err(Refusal::Server(wire::message(b'E', &body))),
                // What of the protocol the server does not know: the client has to hear it.
                b'v' => said.extend_from_slice(&wire::message(b'v', &body)),
                // Clients do not expect notices before they are logged in.
                b'N' => {}
                b'R' => {
                    let (code, rest) = body.split_at_checked(4).ok_or_else(|| odd("asked for something unknown at the login"))?;
                    match u32::from_be_bytes([code[0], code[1], code[2], code[3]]) {
                        0 if !proved => return Err(odd("ended the login without a proof that it knows the password").into()),
                        0 => {
                            said.extend_from_slice(&wire::message(b'R', &body));
                            return Ok(LoggedIn { stream, said });
                        }
                        3 => {
                            let mut message = zeroize::Zeroizing::new(Vec::with_capacity(password.text.expose().len() + 6));
                            message.extend_from_slice(&wire::message(b'p', &[])[..1]);
                            let length = u32::try_from(password.text.expose().len() + 5).unwrap_or(u32::MAX);
                            message.extend_from_slice(&length.to_be_bytes());
                            message.extend_from_slice(password.text.expose().as_bytes());
                            message.push(0);
                            send(&mut stream, &message).await.map_err(broken)?;
                        }
                        10 => {
                            if !rest.split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) {
                                return Err(odd("offers no way to log in that is known here").into());
                            }
                            let client = ScramSha256::new(password.text.expose().as_bytes(), ChannelBinding::unsupported());
                            let first = client.message();
                            let mut answer = SCRAM_SHA_256.as_bytes().to_vec();
                            answer.push(0);
                            answer.extend_from_slice(&u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes());
                            answer.extend_from_slice(first);
                            send(&mut stream, &wire::message(b'p', &answer)).await.map_err(broken)?;
                            scram = Some(client);
                            proved = false;
                        }
                        11 => {
                            let client = scram.as_mut().ok_or_else(|| odd("went on with a login that it had not begun"))?;
                            client.update(rest).map_err(|_| odd("answered the login with what is no SCRAM"))?;
                            send(&mut stream, &wire::message(b'p', client.message())).await.map_err(broken)?;
                        }
                        12 => {
                            let client = scram.as_mut().ok_or_else(|| odd("ended a login that it had not begun"))?;
                            client.finish(rest).map_err(|_| odd("does not know the password itself: it may be somebody else's server"))?;
                            proved = true;
                        }
                        // MD5, GSSAPI, SSPI: nothing that a Lakebase server asks for.
                        _ => return Err(odd("asks for a kind of login that is not known here").into()),
                    }
                }
                _ => return Err(odd("sent an unexpected message at the login").into()),
            }
        }
    }
}

async fn send(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod tests;
