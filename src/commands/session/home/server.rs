//! The server behind the page: one thread that waits for connections, signals, the terminal and the threads that do the work.

use std::io::{self, Read as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::board::{Board, Choice, Means, Stage};
use super::guard::{self, Guard, Piece, Refusal, Visit};
use super::page::{self, View};
use crate::broker::connection::{Connection, Phase, Stream};
use crate::broker::session;
use crate::commands::child::{self, Signals};
use crate::commands::session::workspaces;
use crate::config::attributes::Attr;
use crate::config::file::ProfileFile;
use crate::context::Context;
use crate::env as names;
use crate::peer::{self, Peer};
use crate::text;
use crate::ui;

/// Connections at a time; a new one takes the place of the oldest.
const MOST_CONNECTIONS: usize = 64;
/// Bytes of a request that are kept: a head and a form.
const LARGEST_REQUEST: usize = 17 * 1024;
/// How long a request may take to arrive, and a reply to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a browser waits for something that is under way; then it is shown the page as it is.
const PARKED: Duration = Duration::from_secs(20);
/// How long a wait lasts where nothing bounds it.
const LONG: Duration = Duration::from_secs(3_600);

/// Different warnings at the terminal, at most.
const MOST_WARNINGS: usize = 8;
const SPENT: &str =
    "a link that was used already was tried again, and refused. If that was not you, somebody else saw it: end this with Ctrl-C and start it again";

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A signal, or Ctrl-C.
    Signal,
    /// Somebody pressed Close.
    Asked,
    /// Nobody came.
    Idle,
}

pub(super) struct Server<'s> {
    pub(super) context: &'s Context<'s>,
    pub(super) sockets: Vec<TcpListener>,
    pub(super) guard: Guard,
    pub(super) board: Arc<Board>,
    pub(super) means: Arc<Means>,
    pub(super) wake: UnixStream,
    pub(super) idle: Duration,
    /// Whether Enter at the terminal asks for another link.
    pub(super) listens: bool,
    connections: Vec<Connection>,
    /// When somebody was here last.
    last: Instant,
    is_closed: bool,
    /// What the person was warned of.
    told: Vec<String>,
}

/// What becomes of a request.
enum Answer {
    Reply(Vec<u8>),
    /// When nothing is under way any more.
    Later,
}

impl<'s> Server<'s> {
    #[expect(clippy::too_many_arguments, reason = "each is a part of its own")]
    pub(super) fn new(
        context: &'s Context<'s>,
        sockets: Vec<TcpListener>,
        guard: Guard,
        board: Arc<Board>,
        means: Arc<Means>,
        wake: UnixStream,
        idle: Duration,
        listens: bool,
    ) -> Self {
        Self { context, sockets, guard, board, means, wake, idle, listens, connections: Vec::new(), last: Instant::now(), is_closed: false, told: Vec::new() }
    }

    /// Serves until it is enough.
    pub(super) fn run(mut self, signals: &mut Signals) -> Result<End> {
        loop {
            self.rest(signals);
            for came in signals.came() {
                if child::is_an_end(came) {
                    self.board.give_up();
                    return Ok(End::Signal);
                }
            }
            self.board.gather();
            let mut drain = [0; 64];
            while matches!(self.wake.read(&mut drain), Ok(count) if count > 0) {}
            if self.listens {
                self.listen();
            }
            self.accept();
            for place in 0..self.connections.len() {
                self.advance(place);
            }
            self.connections.retain(|connection| connection.phase != Phase::Over);
            if self.is_closed && self.connections.iter().all(|connection| connection.left.is_empty()) {
                return Ok(End::Asked);
            }
            if self.board.is_busy() {
                self.last = Instant::now();
            } else if self.last.elapsed() >= self.idle {
                return Ok(End::Idle);
            }
        }
    }

    /// Waits until there is something to do.
    fn rest(&self, signals: &Signals) {
        let signal = signals.source();
        let stdin = io::stdin();
        let mut sources = vec![PollFd::new(&signal, PollFlags::IN), PollFd::new(&self.wake, PollFlags::IN)];
        sources.extend(self.sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
        if self.listens {
            sources.push(PollFd::new(&stdin, PollFlags::IN));
        }
        let now = Instant::now();
        let mut limit = if self.board.is_busy() { LONG } else { self.idle.saturating_sub(self.last.elapsed()) };
        for connection in &self.connections {
            let flags = if connection.left.is_empty() { PollFlags::IN } else { PollFlags::OUT };
            sources.push(PollFd::new(&connection.stream, flags));
            limit = limit.min((connection.since + patience(connection)).saturating_duration_since(now));
        }
        ui::wait_for(&mut sources, limit);
    }

    /// Enter is a wish for another link.
    fn listen(&mut self) {
        let stdin = io::stdin();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if !poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0) {
            return;
        }
        // Behind the scenes the terminal is the shell's: reading from it would stop us.
        let is_ours = rustix::termios::tcgetpgrp(&stdin).is_ok_and(|group| group == rustix::process::getpgrp());
        let mut typed = [0; 256];
        match is_ours.then(|| rustix::io::read(&stdin, &mut typed)) {
            Some(Ok(count)) if count > 0 => match self.guard.link() {
                Ok(link) => self.context.ui.note(&format!("Another link, which is good once:\n{link}")),
                Err(failure) => self.context.ui.warn(&failure.to_string()),
            },
            _ => self.listens = false,
        }
    }

    fn accept(&mut self) {
        let mut stranger = None;
        for socket in &self.sockets {
            // Bounded, so that a flood of new ones does not keep the others waiting.
            for _ in 0..MOST_CONNECTIONS {
                match socket.accept() {
                    // Not a word to others: there is nothing here for them.
                    Ok((stream, _)) => {
                        match peer::of(&stream) {
                            Peer::Own => {}
                            Peer::Gone => continue,
                            Peer::Stranger(user) => {
                                stranger = Some(user);
                                continue;
                            }
                        }
                        let stream = Stream::Tcp(stream);
                        if stream.set_nonblocking().is_ok() {
                            if self.connections.len() >= MOST_CONNECTIONS {
                                self.connections.remove(0);
                            }
                            let mut connection = Connection::new(stream, Instant::now());
                            connection.is_last = true;
                            self.connections.push(connection);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // Out of descriptors: the oldest makes room. Or the caller went away again.
                    Err(_) => {
                        self.connections.drain(..self.connections.len().min(1));
                        break;
                    }
                }
            }
        }
        if let Some(user) = stranger {
            // It may be the person's own browser, where this runs by way of sudo.
            self.warn(format!("a program of another user (uid {user}) came to the page and got no answer: the page is for a browser of this user only"));
        }
    }

    /// Warns the person at the terminal, once of each thing.
    fn warn(&mut self, warning: String) {
        if self.told.len() < MOST_WARNINGS && !self.told.contains(&warning) {
            self.context.ui.warn(&warning);
            self.told.push(warning);
        }
    }

    /// Goes on with a connection as far as that goes without waiting.
    fn advance(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        if !connection.flush() {
            connection.phase = Phase::Over;
        }
        let is_late = connection.since.elapsed() >= patience(connection);
        match connection.phase {
            Phase::Waiting(way) if self.board.is_settled(way == COMES_BACK) || is_late => {
                let reply = self.settled(way == LEADS);
                self.send(place, &reply);
            }
            // Whoever goes away waits no more.
            Phase::Waiting(way) => {
                let is_there = matches!(connection.stream.read(&mut [0; 64]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
                connection.phase = if is_there { Phase::Waiting(way) } else { Phase::Over };
            }
            _ if is_late => connection.phase = Phase::Over,
            Phase::Idle | Phase::Reading if connection.left.is_empty() => self.read(place),
            _ => {}
        }
    }

    fn read(&mut self, place: usize) {
        let mut buffer = [0; 4096];
        loop {
            let connection = &mut self.connections[place];
            match connection.stream.read(&mut buffer) {
                Ok(count) if count > 0 && connection.came.len() < LARGEST_REQUEST => connection.came.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => {
                    connection.phase = Phase::Over;
                    return;
                }
            }
            let came = std::mem::take(&mut connection.came);
            let answer = match guard::read(&came) {
                Piece::Part => {
                    connection.came = came;
                    continue;
                }
                Piece::Refused(refusal) => Answer::Reply(page::refusal(refusal)),
                Piece::Request(request) => match self.guard.admit(&request) {
                    Ok(visit) => self.answer(place, visit),
                    Err(refusal) => {
                        if refusal == Refusal::Spent {
                            self.warn(SPENT.to_owned());
                        }
                        Answer::Reply(page::refusal(refusal))
                    }
                },
            };
            match answer {
                Answer::Reply(reply) => self.send(place, &reply),
                Answer::Later => self.advance(place),
            }
            return;
        }
    }

    fn send(&mut self, place: usize, reply: &[u8]) {
        let connection = &mut self.connections[place];
        connection.phase = Phase::Idle;
        connection.since = Instant::now();
        connection.send(reply);
    }

    fn answer(&mut self, place: usize, visit: Visit) -> Answer {
        if !matches!(visit, Visit::Show { watch: true }) {
            self.last = Instant::now();
        }
        let home = self.guard.place("");
        match visit {
            Visit::Open => return Answer::Reply(page::onward(&self.guard.cookie(), &home, "One moment", "The page opens by itself. If it does not:")),
            Visit::Show { .. } => return Answer::Reply(self.show()),
            Visit::Go => {
                return Answer::Reply(match self.board.stage() {
                    Stage::Leading { link, .. } => {
                        page::onward("", &link, "To the sign-in page", "The browser goes to the sign-in page of your workspace by itself. If it does not:")
                    }
                    _ => page::see(&home),
                });
            }
            Visit::Close => {
                self.is_closed = true;
                self.board.give_up();
                return Answer::Reply(page::closed());
            }
            Visit::Wait => return self.park(place, COMES_BACK),
            Visit::Cancel => self.board.give_up(),
            Visit::End(id) => self.board.end(&self.means.env, id),
            Visit::Start { workspace, host, name } => {
                let Some(choice) = Choice::of(&workspace, &host, &name) else { return Answer::Reply(page::refusal(Refusal::Broken)) };
                self.board.start(&self.means, choice);
                return self.park(place, LEADS);
            }
        }
        self.park(place, STAYS)
    }

    /// Lets a browser wait.
    fn park(&mut self, place: usize, way: usize) -> Answer {
        let connection = &mut self.connections[place];
        (connection.phase, connection.since) = (Phase::Waiting(way), Instant::now());
        Answer::Later
    }

    /// Where a browser goes that waited.
    fn settled(&self, leads: bool) -> Vec<u8> {
        let tail = if leads && matches!(self.board.stage(), Stage::Leading { .. }) { "go" } else { "" };
        page::see(&self.guard.place(tail))
    }

    fn show(&self) -> Vec<u8> {
        let (stage, note) = (self.board.stage(), self.board.note());
        let profiles = ProfileFile::locate(&self.context.env);
        let (profiles, trouble) = match profiles.profiles() {
            Ok(profiles) => (profiles.into_iter().filter_map(|profile| Some((profile.name.to_owned(), profile.get(Attr::Host)?.into_owned()))).collect(), None),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        let (sessions, lost) = match session::all(&self.context.env) {
            Ok(sessions) => (sessions.into_iter().map(|session| (session.description.clone(), session.config())).collect(), None),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        let (configured, odd) = workspaces::configured(&self.context.env);
        let odd = odd.first().map(|entry| format!("{}: {} is no workspace", names::WORKSPACES, text::quoted(entry)));
        let trouble = trouble.or(lost).or(odd);
        let view = View {
            stage: &stage,
            note: note.as_deref(),
            profiles: &profiles,
            configured: &configured,
            sessions: &sessions,
            place: &self.guard.place(""),
            proof: self.guard.proof(),
            trouble: trouble.as_deref(),
        };
        page::reply("200 OK", "", &view.html())
    }
}

/// A browser that waits and is led on to the sign-in, if it comes to that.
const LEADS: usize = 0;
/// A browser that waits for the page.
const STAYS: usize = 1;
/// A browser that comes back from a sign-in, of which the outcome is not known yet.
const COMES_BACK: usize = 2;

fn patience(connection: &Connection) -> Duration {
    if matches!(connection.phase, Phase::Waiting(_)) { PARKED } else { PATIENCE }
}
