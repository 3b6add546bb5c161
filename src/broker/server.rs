//! The loop that answers, and the threads that fetch what is not there.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;
use zeroize::Zeroizing;

use super::connection::{Connection, Phase, Stream};
use super::lifetime::{Lifetime, Moment, pause};
use super::poller::Poller;
use super::request::{self, LARGEST_HEAD, Piece, Request};
use crate::auth::Want;
use crate::clock;
use crate::error::Failure;
use crate::host::Host;
use crate::peer::{self, Peer};
use crate::secret::Secret;
use crate::storage::StoredToken;
use crate::text;

/// Connections at a time; a new one takes the place of the one that was silent the longest.
const MOST_CONNECTIONS: usize = 4096;
/// How long a request may take to arrive, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client waits for a token that is being fetched: the SDKs give up after ten seconds, and a reason is better than silence.
const WAIT: Duration = Duration::from_secs(9);
/// Within this a failure is told again instead of tried again.
const ECHO: Duration = Duration::from_secs(1);
/// How long the end waits for a token that is being fetched: what was spent for it would be lost.
const FAREWELL: Duration = Duration::from_secs(2);
/// Fetches that begin within [`BURST`] of each other: each takes some memory, and a hundred profiles may be asked for at once. One that takes longer holds nobody up.
const MOST_AT_ONCE: usize = 6;
const BURST: Duration = Duration::from_millis(400);
/// Random bytes of a path.
const PATH_BYTES: usize = 32;
/// The version of the protocol.
const VERSION: &[u8] = b"1";

const TCP: u64 = 0;
const UNIX: u64 = 1;
const WAKE: u64 = 2;
/// The number of the first connection.
const FIRST: u64 = 3;

/// Fetches a token; called on a thread of its own.
pub(crate) type Source = dyn Fn(Want) -> Result<StoredToken> + Send + Sync;

/// Who is served, and with what.
struct Entry {
    /// What people call it, for error texts.
    name: String,
    host: Host,
    source: Arc<Source>,
    /// The answer that is ready to be sent, head and body.
    answer: Option<(Zeroizing<Vec<u8>>, Lifetime)>,
    /// Whether a thread fetches the next token.
    is_fetching: bool,
    /// Whether anybody asked since the last token came.
    is_wanted: bool,
    failures: u32,
    /// The last failure, and when it was.
    failure: Option<(Vec<u8>, Instant)>,
    /// The connections that wait for it.
    waiting: Vec<usize>,
}

/// What the loop is told from outside.
enum Message {
    Fetched(usize, Result<StoredToken>),
    Stop,
}

/// Ends a broker from another thread.
#[derive(Clone)]
pub(crate) struct Stop {
    sender: mpsc::Sender<Message>,
    wake: Arc<UnixStream>,
}

impl Stop {
    /// Lets the loop end. It closes its sockets at once.
    pub(crate) fn now(&self) {
        self.tell(Message::Stop);
    }

    fn tell(&self, message: Message) {
        // One that has ended needs no message; a full pipe wakes it anyway.
        if self.sender.send(message).is_ok() {
            let _awake = (&*self.wake).write(&[1]);
        }
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Stop")
    }
}

/// The server; see the module.
pub(crate) struct Broker {
    listener: TcpListener,
    local: Option<UnixListener>,
    port: u16,
    entries: Vec<Entry>,
    /// By the digest of the path, so that how long the search takes tells nothing of a path.
    paths: HashMap<[u8; 32], usize>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    poller: Poller,
    messages: mpsc::Receiver<Message>,
    stop: Stop,
    wake: UnixStream,
    /// When connections are to be looked through for those that took too long.
    inspection: Option<Instant>,
    fetching: usize,
    /// When the latest fetches began; bounded.
    begun: VecDeque<Instant>,
    /// Those whose turn to be fetched has not come, in the order in which they were asked for.
    queue: VecDeque<usize>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Broker").field("port", &self.port).field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Broker {
    /// Listens on an address of this machine; port 0 is any free one.
    ///
    /// # Errors
    /// If it is another one than 127.0.0.1, the only one that each SDK asks, or cannot be had.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        if address.ip() != Ipv4Addr::LOCALHOST {
            return Err(Failure::new(format!("{address} is not what SDKs ask"))
                .hint("Listen on 127.0.0.1: other addresses of this machine are refused by some SDKs, and what is served are tokens")
                .into());
        }
        let refused = |error: io::Error| anyhow::Error::from(Failure::new(format!("cannot listen on {address}: {error}")).hint("Port 0 takes any free one"));
        let listener = TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let mut poller = Poller::new()?;
        let (wake, sender) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        sender.set_nonblocking(true)?;
        poller.add(&listener, TCP)?;
        poller.add(&wake, WAKE)?;
        let (tell, messages) = mpsc::channel();
        let stop = Stop { sender: tell, wake: Arc::new(sender) };
        Ok(Self {
            listener,
            local: None,
            port,
            entries: Vec::new(),
            paths: HashMap::new(),
            connections: Vec::new(),
            free: Vec::new(),
            poller,
            messages,
            stop,
            wake,
            inspection: None,
            fetching: 0,
            begun: VecDeque::new(),
            queue: VecDeque::new(),
        })
    }

    /// Serves the same at a unix socket, to this user only.
    ///
    /// # Errors
    /// If it cannot be watched.
    pub(crate) fn also_at(&mut self, listener: UnixListener) -> Result<()> {
        listener.set_nonblocking(true)?;
        self.poller.add(&listener, UNIX)?;
        self.local = Some(listener);
        Ok(())
    }

    /// Serves the token of a host at a new address, which is a secret. A token that is there already is served at once.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn add(&mut self, name: &str, host: Host, source: Arc<Source>, token: Option<&StoredToken>) -> Result<Secret> {
        let mut bytes = Zeroizing::new([0; PATH_BYTES]);
        SystemRandom::new().fill(&mut bytes[..]).map_err(|_| Failure::new("the system gives no random numbers, without which no address is safe"))?;
        let path = Zeroizing::new(format!("/{}", URL_SAFE_NO_PAD.encode(&bytes[..])));
        let place = self.entries.len();
        self.paths.insert(fingerprint(path.as_bytes()), place);
        let answer = token.and_then(|token| answer(token, clock::now()));
        self.entries.push(Entry {
            name: name.to_owned(),
            host,
            source,
            answer,
            is_fetching: false,
            is_wanted: false,
            failures: 0,
            failure: None,
            waiting: Vec::new(),
        });
        Ok(Secret::new(format!("http://{}{}", self.address(), &*path)))
    }

    /// Where it listens.
    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], self.port)))
    }

    /// What ends it.
    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Answers until it is stopped.
    ///
    /// # Errors
    /// If the system lets nobody wait for sockets any more.
    pub(crate) fn run(mut self) -> Result<()> {
        let mut ready = Vec::new();
        loop {
            let limit = self.patience();
            self.poller.wait(limit, &mut ready)?;
            let now = Moment::now();
            for key in &ready {
                match *key {
                    TCP => self.accept_all(now),
                    UNIX => self.accept_local(now),
                    WAKE => {
                        if self.take_messages(now) {
                            self.end();
                            return Ok(());
                        }
                    }
                    key => self.advance(usize::try_from(key - FIRST).unwrap_or(usize::MAX), now),
                }
            }
            self.renew(now);
            self.fetch_queued();
            if self.inspection.is_some_and(|due| due <= now.steady) {
                self.inspect(now);
            }
        }
    }

    /// How long nothing has to be done; `None` where that is for ever.
    fn patience(&self) -> Option<Duration> {
        let now = Moment::now();
        let renewals = self.entries.iter().filter(|entry| entry.is_wanted && !entry.is_fetching).filter_map(|entry| {
            let (_, lifetime) = entry.answer.as_ref()?;
            let retry = entry.failure.as_ref().map(|(_, when)| pause(entry.failures).saturating_sub(when.elapsed()));
            Some(Duration::try_from(lifetime.due(now).duration_since(now.wall)).unwrap_or_default().max(retry.unwrap_or_default()))
        });
        let inspection = self.inspection.map(|due| due.saturating_duration_since(Instant::now()));
        let turn = self.queue.front().map(|_| self.begun.front().map_or(Duration::ZERO, |first| BURST.saturating_sub(first.elapsed())));
        renewals.chain(inspection).chain(turn).min()
    }

    /// Fetches ahead what is due and was asked for.
    fn renew(&mut self, now: Moment) {
        for place in 0..self.entries.len() {
            let entry = &self.entries[place];
            let rests = entry.failure.as_ref().is_some_and(|(_, when)| now.steady.saturating_duration_since(*when) < pause(entry.failures));
            if entry.is_wanted && !entry.is_fetching && !rests && entry.answer.as_ref().is_some_and(|(_, lifetime)| lifetime.due(now) <= now.wall) {
                self.fetch(place);
            }
        }
    }

    /// Starts to fetch a token as soon as it is its turn, unless that is under way.
    fn fetch(&mut self, place: usize) {
        if !std::mem::replace(&mut self.entries[place].is_fetching, true) {
            self.queue.push_back(place);
            self.fetch_queued();
        }
    }

    fn fetch_queued(&mut self) {
        while !self.queue.is_empty() {
            let now = Instant::now();
            if self.begun.len() >= MOST_AT_ONCE {
                if self.begun.front().is_some_and(|first| now.saturating_duration_since(*first) < BURST) {
                    return;
                }
                self.begun.pop_front();
            }
            self.begun.push_back(now);
            if let Some(place) = self.queue.pop_front() {
                self.begin(place);
            }
        }
    }

    fn begin(&mut self, place: usize) {
        let entry = &mut self.entries[place];
        let want = entry.answer.as_ref().map_or(Want::USUAL, |(_, lifetime)| lifetime.want());
        let (source, tell) = (Arc::clone(&entry.source), self.stop.clone());
        let work = move || tell.tell(Message::Fetched(place, source(want)));
        self.fetching += 1;
        if let Err(error) = std::thread::Builder::new().stack_size(1 << 20).spawn(work) {
            self.stop.tell(Message::Fetched(place, Err(error.into())));
        }
    }

    /// Takes what threads have fetched; whether it is time to end.
    fn take_messages(&mut self, now: Moment) -> bool {
        let mut drain = [0; 64];
        while matches!(self.wake.read(&mut drain), Ok(count) if count > 0) {}
        while let Ok(message) = self.messages.try_recv() {
            match message {
                Message::Stop => return true,
                Message::Fetched(place, outcome) => self.settle(place, outcome, now),
            }
        }
        false
    }

    /// Answers those who wait for a token.
    fn settle(&mut self, place: usize, outcome: Result<StoredToken>, now: Moment) {
        self.fetching -= 1;
        self.begun.pop_front();
        let entry = &mut self.entries[place];
        entry.is_fetching = false;
        let outcome = outcome.and_then(|token| {
            let made = answer(&token, now.wall);
            made.filter(|(_, lifetime)| lifetime.end > now.wall).ok_or_else(|| Failure::new("the token that was had is none that could be used").into())
        });
        match outcome {
            Ok(made) => {
                entry.answer = Some(made);
                entry.is_wanted = !entry.waiting.is_empty();
                entry.failures = 0;
                entry.failure = None;
            }
            Err(error) => {
                entry.failures += 1;
                entry.failure = Some((refusal(&entry.name, &entry.host, &error), now.steady));
            }
        }
        for waiting in std::mem::take(&mut self.entries[place].waiting) {
            self.answer(waiting, place, now, true);
            self.advance(waiting, now);
        }
    }

    fn accept_all(&mut self, now: Moment) {
        // Bounded, so that a flood of new ones does not keep the others waiting.
        for _ in 0..256 {
            match self.listener.accept() {
                // Not a word to other users.
                Ok((stream, _)) if matches!(peer::of(&stream), Peer::Stranger(_)) => {}
                Ok((stream, _)) => {
                    let _late = stream.set_nodelay(true);
                    self.admit(Stream::Tcp(stream), now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Out of descriptors: the one that was silent the longest makes room. Or the caller went away again.
                Err(_) => return self.make_room(),
            }
        }
    }

    fn accept_local(&mut self, now: Moment) {
        for _ in 0..256 {
            let Some(accepted) = self.local.as_ref().map(UnixListener::accept) else { return };
            match accepted {
                Ok((stream, _)) if is_own_user(&stream) => self.admit(Stream::Unix(stream), now),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.make_room(),
            }
        }
    }

    fn admit(&mut self, stream: Stream, now: Moment) {
        if self.connections.len() - self.free.len() >= MOST_CONNECTIONS {
            self.make_room();
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let watched = stream.set_nonblocking().and_then(|()| self.poller.add(&stream, FIRST + place as u64));
        if watched.is_err() {
            self.free.push(place);
            return;
        }
        self.connections[place] = Some(Connection::new(stream, now.steady));
        self.advance(place, now);
    }

    /// Closes the connection that was silent the longest; one that waits for a token only if there is no other.
    fn make_room(&mut self) {
        let waits = |connection: &Connection| matches!(connection.phase, Phase::Waiting(_));
        let open = self.connections.iter().enumerate().filter_map(|(place, connection)| Some((place, connection.as_ref()?)));
        if let Some((place, _)) = open.min_by_key(|(_, connection)| (waits(connection), connection.since)) {
            self.close(place);
        }
    }

    fn close(&mut self, place: usize) {
        let Some(connection) = self.connections.get_mut(place).and_then(Option::take) else { return };
        if let Phase::Waiting(entry) = connection.phase {
            self.entries[entry].waiting.retain(|waiting| *waiting != place);
        }
        self.poller.forget(FIRST + place as u64);
        self.free.push(place);
    }

    /// Goes on with a connection as far as that goes without waiting.
    fn advance(&mut self, place: usize, now: Moment) {
        let mut buffer = [0; 2048];
        // Whether all that came has been read: the next is told by the poller, and another look would cost as much as the answer.
        let mut is_drained = false;
        loop {
            let Some(connection) = self.connections.get_mut(place).and_then(Option::as_mut) else { return };
            if !connection.flush() {
                return self.close(place);
            }
            if !connection.left.is_empty() {
                return self.await_client(place, now, true);
            }
            if connection.is_writing {
                connection.is_writing = false;
                if self.poller.turn(&connection.stream, FIRST + place as u64, false).is_err() {
                    return self.close(place);
                }
            }
            match connection.phase {
                Phase::Over => return self.close(place),
                Phase::Waiting(_) => {
                    // The next request may come already, and whoever goes away waits no more.
                    match connection.stream.read(&mut buffer) {
                        Ok(count) if count > 0 && connection.came.len() + count <= LARGEST_HEAD => {
                            connection.came.extend_from_slice(&buffer[..count]);
                            continue;
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                        _ => return self.close(place),
                    }
                }
                Phase::Idle | Phase::Reading => {}
            }
            // What came before may hold the next request.
            let mut came = std::mem::take(&mut connection.came);
            let length = match request::read(&came) {
                Piece::Request(request, length) => {
                    let is_last = request.is_last;
                    let reaction = self.react(&request);
                    if let Some(connection) = self.connections[place].as_mut() {
                        connection.is_last |= is_last;
                        connection.since = now.steady;
                        connection.phase = Phase::Idle;
                    }
                    match reaction {
                        Reaction::Entry(entry) => {
                            self.entries[entry].is_wanted = true;
                            self.answer(place, entry, now, false);
                        }
                        Reaction::Refuse(status, why) => self.refuse(place, status, why),
                    }
                    length
                }
                Piece::Broken => {
                    self.refuse_and_close(place, "400 Bad Request", "this is no request that is answered here");
                    came.len()
                }
                Piece::TooLarge => {
                    self.refuse_and_close(place, "431 Request Header Fields Too Large", "this request is too large");
                    came.len()
                }
                Piece::Part => 0,
            };
            let Some(connection) = self.connections[place].as_mut() else { return };
            came.drain(..length);
            connection.came = came;
            if length > 0 {
                continue;
            }
            let read = if is_drained { Err(io::ErrorKind::WouldBlock.into()) } else { connection.stream.read(&mut buffer) };
            match read {
                Ok(0) => return self.close(place),
                Ok(count) => {
                    connection.came.extend_from_slice(&buffer[..count]);
                    connection.phase = Phase::Reading;
                    is_drained = count < buffer.len();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if connection.phase == Phase::Reading {
                        self.await_client(place, now, false);
                    }
                    return;
                }
                Err(_) => return self.close(place),
            }
        }
    }

    /// The other side has some time to go on.
    fn await_client(&mut self, place: usize, now: Moment, writing: bool) {
        let due = now.steady + PATIENCE;
        self.inspection = Some(self.inspection.map_or(due, |present| present.min(due)));
        let Some(connection) = self.connections[place].as_mut() else { return };
        if writing && !connection.is_writing {
            connection.is_writing = true;
            connection.since = now.steady;
            if self.poller.turn(&connection.stream, FIRST + place as u64, true).is_err() {
                self.close(place);
            }
        }
    }

    /// Closes connections that took too long, and tells those who waited too long.
    fn inspect(&mut self, now: Moment) {
        let mut next = None;
        for place in 0..self.connections.len() {
            let Some(connection) = self.connections[place].as_ref() else { continue };
            let limit = match connection.phase {
                Phase::Waiting(_) => WAIT,
                Phase::Idle if connection.left.is_empty() => continue,
                _ => PATIENCE,
            };
            let due = connection.since + limit;
            if due > now.steady {
                next = Some(next.map_or(due, |next: Instant| next.min(due)));
                continue;
            }
            if let Phase::Waiting(entry) = connection.phase {
                self.entries[entry].waiting.retain(|waiting| *waiting != place);
                let why = format!("no token for {} yet: its server takes long to answer; ask again", self.entries[entry].host);
                self.send(place, &problem("503 Service Unavailable", "TEMPORARILY_UNAVAILABLE", &why));
                self.advance(place, now);
            } else {
                self.close(place);
            }
        }
        self.inspection = next;
    }

    /// What a request is about.
    fn react(&self, request: &Request<'_>) -> Reaction {
        if request.method != b"GET" {
            return Reaction::Refuse("405 Method Not Allowed", "only GET is answered here");
        }
        if !self.is_own_address(request.address) || request.is_from_a_page {
            return Reaction::Refuse("403 Forbidden", "this is no place for pages of a browser");
        }
        let Some(entry) = self.paths.get(&fingerprint(request.target)) else {
            return Reaction::Refuse("404 Not Found", "there is nothing here");
        };
        if request.version != Some(VERSION) {
            return Reaction::Refuse("400 Bad Request", "X-Databricks-Metadata-Version must be 1");
        }
        let own = &self.entries[*entry].host;
        let is_meant = |asked: &[u8]| {
            asked == own.as_str().as_bytes() || std::str::from_utf8(asked).ok().and_then(|asked| Host::parse(asked).ok()).is_some_and(|asked| asked == *own)
        };
        match request.host {
            Some(asked) if is_meant(asked) => Reaction::Entry(*entry),
            Some(_) => Reaction::Refuse("400 Bad Request", "this address is for another host than X-Databricks-Host"),
            None => Reaction::Refuse("400 Bad Request", "X-Databricks-Host is missing"),
        }
    }

    /// Whether `Host` is what we are called: a page of another name that was led here (DNS rebinding) says another one. On the unix socket it is whatever the client likes best.
    fn is_own_address(&self, address: &[u8]) -> bool {
        let Some(colon) = memchr::memrchr(b':', address) else { return self.local.is_some() && address.eq_ignore_ascii_case(b"localhost") };
        let (name, port) = (&address[..colon], &address[colon + 1..]);
        let is_port = std::str::from_utf8(port).ok().and_then(|port| port.parse().ok()) == Some(self.port);
        is_port && [&b"127.0.0.1"[..], b"localhost", b"[::1]"].iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Answers with the token if it is good; else the connection waits for one, or, `finally`, is told why there is none.
    fn answer(&mut self, place: usize, entry: usize, now: Moment, finally: bool) {
        let Some(connection) = self.connections.get_mut(place).and_then(Option::as_mut) else { return };
        let own = &self.entries[entry];
        let fresh = own.answer.as_ref().filter(|(_, lifetime)| if finally { lifetime.is_alive(now) } else { lifetime.is_good(now) });
        if let Some((answer, _)) = fresh {
            connection.phase = Phase::Idle;
            connection.send(answer);
            return;
        }
        if let Some((failure, when)) = &own.failure
            && (finally || now.steady.saturating_duration_since(*when) < ECHO)
        {
            // The old token is better than none, if it is still one.
            let old = own.answer.as_ref().filter(|(_, lifetime)| lifetime.is_alive(now));
            connection.phase = Phase::Idle;
            connection.send(old.map_or(failure, |(answer, _)| answer));
            return;
        }
        connection.phase = Phase::Waiting(entry);
        connection.since = now.steady;
        let due = now.steady + WAIT;
        self.inspection = Some(self.inspection.map_or(due, |present| present.min(due)));
        self.entries[entry].waiting.push(place);
        self.fetch(entry);
    }

    fn refuse(&mut self, place: usize, status: &str, why: &str) {
        self.send(place, &problem(status, "INVALID_REQUEST", why));
    }

    fn refuse_and_close(&mut self, place: usize, status: &str, why: &str) {
        if let Some(connection) = self.connections[place].as_mut() {
            connection.is_last = true;
        }
        self.refuse(place, status, why);
    }

    fn send(&mut self, place: usize, answer: &[u8]) {
        if let Some(connection) = self.connections.get_mut(place).and_then(Option::as_mut) {
            connection.phase = Phase::Idle;
            connection.send(answer);
        }
    }

    /// Closes everything; waits a moment for what is being fetched.
    fn end(self) {
        let Self { mut fetching, messages, .. } = self;
        let until = Instant::now() + FAREWELL;
        while fetching > 0 {
            match messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::Fetched(..)) => fetching -= 1,
                Ok(Message::Stop) => {}
                Err(_) => return,
            }
        }
    }
}

enum Reaction {
    Entry(usize),
    Refuse(&'static str, &'static str),
}

fn fingerprint(path: &[u8]) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, path).as_ref());
    fingerprint
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the protocol")]
struct Token<'t> {
    access_token: &'t str,
    token_type: &'t str,
    /// Compat: a whole number: Go takes text too, Python a fraction, and both take this.
    expires_on: i64,
}

/// The answer that hands a token over; `None` for one that cannot be written down.
fn answer(token: &StoredToken, now: Timestamp) -> Option<(Zeroizing<Vec<u8>>, Lifetime)> {
    let lifetime = Lifetime::of(token, now);
    let token_type = if token.token_type.is_empty() { "Bearer" } else { &token.token_type };
    let token = Token { access_token: token.access_token.expose(), token_type, expires_on: lifetime.end.as_second() };
    let body = Zeroizing::new(serde_json::to_string(&token).ok()?);
    Some((Zeroizing::new(whole("200 OK", &body)), lifetime))
}

fn whole(status: &str, body: &str) -> Vec<u8> {
    // In one piece from the start, so that no copy of a token is left behind where the buffer has grown.
    let mut bytes = Vec::with_capacity(body.len() + 256);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    bytes.extend_from_slice(head.as_bytes());
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

#[derive(Serialize)]
struct Problem<'p> {
    error_code: &'p str,
    message: &'p str,
}

fn problem(status: &str, code: &str, message: &str) -> Vec<u8> {
    whole(status, &serde_json::to_string(&Problem { error_code: code, message }).unwrap_or_default())
}

fn refusal(name: &str, host: &Host, error: &anyhow::Error) -> Vec<u8> {
    let why = text::shortened(&format!("{error:#}"), 500).into_owned();
    let message = format!("no token of {} for {host}: {}", text::one_line(name), text::one_line(&why));
    problem("503 Service Unavailable", "UNAUTHENTICATED", &message)
}

/// Whether the other side of a unix socket is this user.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn is_own_user(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

/// The socket lies in a folder, or has a mode, that keeps everybody else out.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn is_own_user(_: &UnixStream) -> bool {
    true
}
