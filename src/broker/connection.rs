//! One client: its socket, what came from it, and what it has not taken yet.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use zeroize::Zeroizing;

/// A socket of either kind.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true),
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing of a request is there.
    Idle,
    /// A part of one is.
    Reading,
    /// The token of this entry is being fetched.
    Waiting(usize),
    Over,
}

/// One connection, for as many requests as it likes.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// What came and was not answered yet.
    pub(crate) came: Vec<u8>,
    /// What the other side did not take yet.
    pub(crate) left: Vec<u8>,
    pub(crate) phase: Phase,
    /// When it last began something.
    pub(crate) since: Instant,
    /// Whether it ends with the answer.
    pub(crate) is_last: bool,
    pub(crate) is_writing: bool,
}

impl Connection {
    pub(crate) fn new(stream: Stream, now: Instant) -> Self {
        Self { stream, came: Vec::new(), left: Vec::new(), phase: Phase::Idle, since: now, is_last: false, is_writing: false }
    }

    /// Sends an answer as far as that goes; the rest is kept.
    pub(crate) fn send(&mut self, answer: &[u8]) {
        let sent = if self.left.is_empty() { self.put(answer) } else { Some(0) };
        match sent {
            Some(sent) => self.left.extend_from_slice(&answer[sent..]),
            None => self.phase = Phase::Over,
        }
        if self.is_last && self.left.is_empty() {
            self.phase = Phase::Over;
        }
    }

    /// Sends what is left; `false` if the other side is gone.
    pub(crate) fn flush(&mut self) -> bool {
        if self.left.is_empty() {
            return true;
        }
        let left = Zeroizing::new(std::mem::take(&mut self.left));
        let Some(sent) = self.put(&left) else { return false };
        self.left.extend_from_slice(&left[sent..]);
        if self.is_last && self.left.is_empty() {
            self.phase = Phase::Over;
        }
        true
    }

    /// How much could be sent; `None` if the other side is gone.
    fn put(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(0) => return None,
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return None,
            }
        }
        Some(sent)
    }
}
