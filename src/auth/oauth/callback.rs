//! Where the browser brings the code: a small web server on loopback (RFC 8252, section 7.3).
//!
//! It listens on `127.0.0.1` and `::1` of one port, because browsers go to `::1` first, and whoever listens there gets the code. It takes one thing only: `GET /` at its own
//! address with the state of this sign-in. Everything else (favicons, probes, forged or late callbacks, half and huge requests, connections that say nothing) is answered or
//! dropped, and the wait goes on. One thread, bounded memory, every connection bounded in time.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::guide::Guide;
use super::page::{self, Page, reply};
use super::pkce::State;
use super::{occupant, query};
use crate::env::{self, Env};
use crate::error::Failure;
use crate::peer::{self, Peer};
use crate::secret::Secret;
use crate::text;
use crate::ui::prompt::Meanwhile;

/// Tried in this order; the official CLI's too, so that whoever forwards or allows them need not change anything.
const PORTS: std::ops::RangeInclusive<u16> = 8020..=8040;
/// Largest head of a request that is read. A code is some hundred bytes, with some servers a few thousand.
const LARGEST_HEAD: usize = 16 * 1024;
/// Connections at a time; a new one takes the place of the oldest.
const MOST_CONNECTIONS: usize = 128;
/// How long a request may take to arrive.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// How long a reply may take to be taken.
const REPLY_LIMIT: Duration = Duration::from_secs(5);
/// How much of what comes after a reply is read and dropped, so that the reply is not lost to a reset.
const MOST_DRAINED: usize = 4 << 20;
/// How long a wait lasts where nothing else bounds it.
const LONG: Duration = Duration::from_secs(60);

/// What the browser brought.
#[derive(Debug)]
pub(crate) enum Answer {
    Granted(Callback),
    /// The server refused, or the person did.
    Denied(Denied),
}

/// A code to be exchanged for a token.
#[derive(Debug)]
pub(crate) struct Callback {
    pub(crate) code: Secret,
    /// Who issued it (RFC 9207), where the server says so.
    pub(crate) iss: Option<String>,
}

/// A refusal (RFC 6749, section 4.1.2.1); both texts are one line each and safe to show.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) error: String,
    pub(crate) description: Option<String>,
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.description {
            Some(description) => write!(formatter, "{}: {description}", self.error),
            None => formatter.write_str(&self.error),
        }
    }
}

/// Why a query is no callback of this sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stray {
    /// It is no query, or names a parameter twice.
    Malformed,
    /// The state is missing or another.
    State,
    /// Neither code nor error.
    Empty,
}

impl fmt::Display for Stray {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Malformed => "this address is not complete, or was changed",
            Self::State => "this address belongs to another sign-in, or its end is missing",
            Self::Empty => "this address holds neither a code nor an error",
        })
    }
}

/// Reads the query of a callback.
///
/// # Errors
/// If it is not one of the sign-in with this state.
pub(crate) fn read_query(query: &str, state: &State) -> Result<Answer, Stray> {
    let pairs = Zeroizing::new(query::decode(query).ok_or(Stray::Malformed)?);
    let only = |name: &str| {
        let mut values = pairs.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let value = values.next();
        // Two of a kind are two opinions about what counts.
        if values.next().is_some() { Err(Stray::Malformed) } else { Ok(value.filter(|value| !value.is_empty())) }
    };
    let (brought, code, error, description, iss) = (only("state")?, only("code")?, only("error")?, only("error_description")?, only("iss")?);
    if !brought.is_some_and(|brought| state.is(brought)) {
        return Err(Stray::State);
    }
    let shown = |text: &str| text::one_line(&text::shortened(text.trim(), 300)).into_owned();
    match (error, code) {
        (Some(error), _) => Ok(Answer::Denied(Denied { error: shown(error), description: description.map(shown) })),
        (None, Some(code)) => Ok(Answer::Granted(Callback { code: Secret::new(code), iss: iss.map(ToOwned::to_owned) })),
        (None, None) => Err(Stray::Empty),
    }
}

/// Reads a callback that a person copied from the address bar of a browser on another machine: the whole address, or its query.
///
/// # Errors
/// With words for the person.
pub(crate) fn read_pasted(pasted: &str, port: u16, state: &State) -> Result<Answer, String> {
    let pasted = pasted.trim();
    let query = match pasted.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            if !scheme.eq_ignore_ascii_case("http") || !is_own_address(authority, port) {
                return Err(format!("the address to paste begins with http://localhost:{port}/?"));
            }
            tail.strip_prefix('/').unwrap_or(tail)
        }
        None => pasted.strip_prefix('/').unwrap_or(pasted),
    };
    let query = query.strip_prefix('?').unwrap_or(query);
    let query = query.split('#').next().unwrap_or_default();
    if !query.contains('=') {
        return Err(format!("paste the whole address, which begins with http://localhost:{port}/?"));
    }
    read_query(query, state).map_err(|stray| stray.to_string())
}

/// Whether this is what a browser calls us, as the header `Host` and addresses say it. A page of another name that leads here (DNS rebinding) is not.
fn is_own_address(authority: &str, port: u16) -> bool {
    authority
        .rsplit_once(':')
        .is_some_and(|(name, given)| given.parse() == Ok(port) && ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| own.eq_ignore_ascii_case(name)))
}

/// The place that waits for the browser.
#[derive(Debug)]
pub(crate) struct Listener {
    sockets: Vec<TcpListener>,
    port: u16,
    state: State,
    connections: Vec<Connection>,
    answer: Option<Answer>,
    /// Whether the answer was there; it may have been handed out since.
    answered: bool,
    /// When to give up.
    deadline: Instant,
    /// What to show at [`page::PATH`], once it is known.
    page: Option<Vec<u8>>,
    /// Whether the browser has it.
    shown: bool,
    /// Whether the page is for a browser of this user only.
    is_private: bool,
}

impl Listener {
    /// Takes the first port that is free, or the one that `DATABRICKS_OAUTH_CALLBACK_PORT` names.
    ///
    /// # Errors
    /// If there is none; for a named port, with the program that holds it.
    pub(crate) fn open(env: &Env, state: State, deadline: Instant) -> Result<Self, Failure> {
        let found = match env.get(env::OAUTH_CALLBACK_PORT) {
            None => Self::first_of(PORTS)?,
            Some(named) => Self::named(named)?,
        };
        let (port, sockets) = found;
        Ok(Self { sockets, port, state, connections: Vec::new(), answer: None, answered: false, deadline, page: None, shown: false, is_private: false })
    }

    fn named(named: &str) -> Result<(u16, Vec<TcpListener>), Failure> {
        let port = named.trim().parse().ok().filter(|port| *port > 0);
        let port = port.ok_or_else(|| Failure::new(format!("{} is {}, but it takes a port from 1 to 65535", env::OAUTH_CALLBACK_PORT, text::quoted(named))))?;
        let sockets = bind(port).map_err(|error| {
            let failure = if error.kind() == io::ErrorKind::AddrInUse {
                Failure::new(format!("port {port}, which {} names, is in use{}", env::OAUTH_CALLBACK_PORT, occupant::of(port))).hint(format!(
                    "End that program, or name another port. Without {} the first free one of {} to {} is taken",
                    env::OAUTH_CALLBACK_PORT,
                    PORTS.start(),
                    PORTS.end()
                ))
            } else {
                Failure::new(format!("cannot listen on port {port}, which {} names: {error}", env::OAUTH_CALLBACK_PORT))
            };
            failure.hint("The browser hands the sign-in over at this port of your own machine")
        })?;
        Ok((port, sockets))
    }

    fn first_of(ports: std::ops::RangeInclusive<u16>) -> Result<(u16, Vec<TcpListener>), Failure> {
        let (first, last) = (*ports.start(), *ports.end());
        let mut reason = None;
        for port in ports {
            match bind(port) {
                Ok(sockets) => return Ok((port, sockets)),
                Err(error) => reason = Some(error),
            }
        }
        let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
        Err(Failure::new(format!("no port of {first} to {last} is free on both 127.0.0.1 and ::1{reason}{}", occupant::of(last)))
            .hint(format!("Name a free one: {}=PORT", env::OAUTH_CALLBACK_PORT)))
    }

    /// Keeps the page from other users: it holds what they need not know.
    pub(crate) fn keep_page_private(&mut self) {
        self.is_private = true;
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where the server is asked to send the browser. Compat: without a path, as it is registered.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Waits for the browser; `None` if the time is up.
    pub(crate) fn wait(&mut self) -> Option<Answer> {
        while !self.turn() {
            self.rest();
        }
        self.take_answer()
    }

    /// As [`Listener::wait`]; also `None` if the person gives up meanwhile.
    pub(crate) fn wait_unless(&mut self, guide: &Guide) -> Option<Answer> {
        while !self.turn() {
            if guide.is_given_up() {
                return None;
            }
            #[cfg(unix)]
            {
                let given_up = guide.source();
                let mut sources = self.sources();
                sources.push(rustix::event::PollFd::new(&given_up, rustix::event::PollFlags::IN));
                crate::ui::wait_for(&mut sources, self.patience());
            }
            #[cfg(not(unix))]
            self.rest();
        }
        self.take_answer()
    }

    /// What the browser brought, if it did.
    pub(crate) fn take_answer(&mut self) -> Option<Answer> {
        self.answer.take()
    }

    /// Tells the browser how it ended, if it comes for that within the limit. Nothing is taken any more.
    pub(crate) fn conclude(mut self, page: &Page<'_>, limit: Duration) {
        if !self.answered {
            // The answer came another way: no browser waits here.
            return;
        }
        self.page = Some(page.reply());
        self.deadline = Instant::now() + limit;
        while !self.shown && Instant::now() < self.deadline {
            self.work();
            if !self.shown {
                self.rest();
            }
        }
    }

    /// Takes new connections and goes on with those there are, as far as that goes without waiting.
    fn work(&mut self) {
        for index in 0..self.sockets.len() {
            // Bounded, so that a flood of new ones does not keep the others waiting.
            for _ in 0..MOST_CONNECTIONS {
                match self.sockets[index].accept() {
                    Ok((stream, _)) => {
                        if self.connections.len() >= MOST_CONNECTIONS {
                            self.connections.remove(0);
                        }
                        if let Ok(connection) = Connection::new(stream) {
                            self.connections.push(connection);
                            self.advance(self.connections.len() - 1);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Out of descriptors, or the caller went away again: the oldest makes room.
                    Err(_) if !self.connections.is_empty() => {
                        self.connections.remove(0);
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
        for index in 0..self.connections.len() {
            self.advance(index);
        }
        self.connections.retain(|connection| !connection.is_over());
    }

    fn advance(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let request = connection.read();
        let reaction = match request {
            Progress::Waiting => Reaction::Nothing,
            Progress::TooLarge => Reaction::Reply(plain("431 Request Header Fields Too Large", "", "This request is too large.\n")),
            Progress::Complete(head) => self.react(&head),
        };
        let Some(connection) = self.connections.get_mut(index) else { return };
        match reaction {
            Reaction::Nothing => {}
            Reaction::Reply(reply) => connection.reply(reply),
            Reaction::Park if self.is_private && peer::of(&connection.stream) != Peer::Own => connection.reply(nothing()),
            Reaction::Park => connection.phase = Phase::Parked,
        }
        if let (Phase::Parked, Some(page)) = (&connection.phase, &self.page) {
            connection.shows_page = true;
            connection.reply(page.clone());
        }
        connection.write();
        if connection.shows_page && connection.is_over() {
            self.shown = true;
        }
    }

    /// What to do about a request.
    fn react(&mut self, head: &[u8]) -> Reaction {
        let refuse = |status: &str, why: &str| Reaction::Reply(plain(status, "", why));
        let Some(request) = Head::parse(head) else { return refuse("400 Bad Request", "This is no request that can be read here.\n") };
        if request.method != "GET" {
            return Reaction::Reply(plain("405 Method Not Allowed", "Allow: GET\r\n", if request.method == "HEAD" { "" } else { "Only GET is taken here.\n" }));
        }
        if !is_own_address(request.host, self.port) {
            return refuse("400 Bad Request", "This address belongs to no site.\n");
        }
        let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
        match path {
            "/" if !query.is_empty() => match read_query(query, &self.state) {
                Ok(answer) => {
                    if !self.answered {
                        self.answer = Some(answer);
                        self.answered = true;
                    }
                    // Also for a second one: a person may have loaded the page again.
                    Reaction::Reply(reply("303 See Other", &format!("Location: {}\r\n", page::PATH), ""))
                }
                Err(_) => Reaction::Reply(Page::Stranger.reply()),
            },
            "/" => Reaction::Reply(Page::Stranger.reply()),
            page::PATH if self.answered => Reaction::Park,
            _ => Reaction::Reply(nothing()),
        }
    }
}

impl Meanwhile for Listener {
    fn turn(&mut self) -> bool {
        self.work();
        self.answer.is_some() || Instant::now() >= self.deadline
    }

    #[cfg(unix)]
    fn sources(&self) -> Vec<rustix::event::PollFd<'_>> {
        use rustix::event::{PollFd, PollFlags};
        let listening = self.sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN));
        let open = self.connections.iter().map(|connection| {
            let flags = if connection.sent < connection.reply.len() { PollFlags::OUT } else { PollFlags::IN };
            PollFd::new(&connection.stream, flags)
        });
        listening.chain(open).collect()
    }

    fn patience(&self) -> Duration {
        let now = Instant::now();
        let ends = self.connections.iter().filter_map(|connection| connection.limit).chain([self.deadline]);
        ends.map(|end| end.saturating_duration_since(now)).min().unwrap_or(LONG).min(LONG)
    }
}

/// Both loopback addresses of the port, or IPv4 alone on a machine without `::1`. Port 0 is any that is free on the first.
pub(crate) fn bind(port: u16) -> io::Result<Vec<TcpListener>> {
    let open = |address: IpAddr, port: u16| -> io::Result<TcpListener> {
        let socket = TcpListener::bind(SocketAddr::new(address, port))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let mut sockets = vec![open(Ipv4Addr::LOCALHOST.into(), port)?];
    let port = sockets[0].local_addr()?.port();
    match open(Ipv6Addr::LOCALHOST.into(), port) {
        Ok(socket) => sockets.push(socket),
        Err(error) if has_no_ipv6(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(sockets)
}

/// Whether the machine has no address `::1`, rather than somebody on it.
fn has_no_ipv6(error: &io::Error) -> bool {
    #[cfg(unix)]
    let unsupported =
        rustix::io::Errno::from_io_error(error).is_some_and(|error| matches!(error, rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::PROTONOSUPPORT));
    #[cfg(not(unix))]
    let unsupported = error.raw_os_error() == Some(10_047);
    unsupported || matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}

fn plain(status: &str, headers: &str, body: &str) -> Vec<u8> {
    reply(status, &format!("{headers}Content-Type: text/plain; charset=utf-8\r\nContent-Security-Policy: default-src 'none'\r\n"), body)
}

fn nothing() -> Vec<u8> {
    plain("404 Not Found", "", "There is nothing here.\n")
}

enum Reaction {
    Nothing,
    Reply(Vec<u8>),
    /// The reply is not known yet.
    Park,
}

/// What counts of a request's head.
struct Head<'h> {
    method: &'h str,
    target: &'h str,
    host: &'h str,
}

impl<'h> Head<'h> {
    /// `None` for what is not HTTP/1, or has no or several hosts.
    fn parse(head: &'h [u8]) -> Option<Self> {
        let head = std::str::from_utf8(head).ok()?;
        let (line, fields) = head.split_once("\r\n")?;
        let mut words = line.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        if words.next().is_some() || !version.starts_with("HTTP/1.") || !target.starts_with('/') || target.contains(text::is_unsafe) {
            return None;
        }
        let mut hosts = fields.split("\r\n").filter_map(|field| field.split_once(':')).filter(|(name, _)| name.eq_ignore_ascii_case("host"));
        let (_, host) = hosts.next()?;
        if hosts.next().is_some() { None } else { Some(Self { method, target, host: host.trim_matches([' ', '\t']) }) }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Reading,
    Writing,
    /// Waits for the page to be known.
    Parked,
    /// The reply is out; what still comes in is dropped until the other side closes.
    Draining,
    Over,
}

enum Progress {
    Waiting,
    Complete(Zeroizing<Vec<u8>>),
    TooLarge,
}

/// One connection, from its first byte to the other side's last.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// It may hold the code.
    head: Zeroizing<Vec<u8>>,
    reply: Vec<u8>,
    sent: usize,
    drained: usize,
    phase: Phase,
    limit: Option<Instant>,
    shows_page: bool,
}

impl Connection {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let limit = Some(Instant::now() + READ_LIMIT);
        Ok(Self { stream, head: Zeroizing::default(), reply: Vec::new(), sent: 0, drained: 0, phase: Phase::Reading, limit, shows_page: false })
    }

    fn is_over(&self) -> bool {
        self.phase == Phase::Over || self.limit.is_some_and(|limit| Instant::now() >= limit)
    }

    /// Reads what is there.
    fn read(&mut self) -> Progress {
        let mut buffer = Zeroizing::new([0; 4096]);
        loop {
            if matches!(self.phase, Phase::Writing | Phase::Over) {
                return Progress::Waiting;
            }
            let count = match self.stream.read(&mut buffer[..]) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Waiting,
                Err(_) => 0,
            };
            if count == 0 {
                self.phase = Phase::Over;
                return Progress::Waiting;
            }
            if self.phase != Phase::Reading {
                self.drained += count;
                if self.drained > MOST_DRAINED {
                    self.phase = Phase::Over;
                }
                continue;
            }
            // In one piece from the start, so that no copy of a code is left behind where the buffer has grown.
            if self.head.capacity() == 0 {
                self.head.reserve_exact(LARGEST_HEAD);
            }
            let before = self.head.len().saturating_sub(3);
            let fits = count.min(LARGEST_HEAD - self.head.len());
            self.head.extend_from_slice(&buffer[..fits]);
            if let Some(end) = self.head[before..].windows(4).position(|window| window == b"\r\n\r\n") {
                self.head.truncate(before + end);
                return Progress::Complete(std::mem::take(&mut self.head));
            }
            if fits < count || self.head.len() == LARGEST_HEAD {
                return Progress::TooLarge;
            }
        }
    }

    fn reply(&mut self, reply: Vec<u8>) {
        self.head = Zeroizing::default();
        self.reply = reply;
        self.sent = 0;
        self.phase = Phase::Writing;
        self.limit = Some(Instant::now() + REPLY_LIMIT);
    }

    /// Sends what can be sent.
    fn write(&mut self) {
        if self.phase == Phase::Parked {
            self.limit = None;
        }
        while self.phase == Phase::Writing {
            match self.stream.write(self.reply.get(self.sent..).unwrap_or_default()) {
                Ok(0) => self.phase = Phase::Over,
                Ok(count) => {
                    self.sent += count;
                    if self.sent >= self.reply.len() {
                        // Closed at once, a reply may be lost to a reset where the other side still sends.
                        let closed = self.stream.shutdown(Shutdown::Write);
                        self.phase = if closed.is_ok() { Phase::Draining } else { Phase::Over };
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.phase = Phase::Over,
            }
        }
    }
}

#[cfg(all(test, unix))]
#[path = "callback_tests.rs"]
mod tests;
