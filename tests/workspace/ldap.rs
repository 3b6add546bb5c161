//! An LDAP server that knows one operation: a simple bind, which succeeds where the password is a living database password of that user. A Postgres with `ldap` in its
//! `pg_hba.conf` asks it, and so takes the workspace's passwords and no others. RFC 4511, sections 4.2 and 5.1.

use super::state::State;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

const SEQUENCE: u8 = 0x30;
const BIND_REQUEST: u8 = 0x60;
const SUCCESS: u8 = 0;
const INVALID_CREDENTIALS: u8 = 49;

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Ldap {
    port: u16,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ldap {
    pub(super) fn start(state: Arc<State>) -> Ldap {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let ending = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ending);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&state);
                thread::spawn(move || stream.map(|mut stream| while answer(&state, &mut stream).is_some() {}));
            }
        });
        Ldap { port, ending, thread: Some(thread) }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Ldap {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        self.thread.take().map(JoinHandle::join);
    }
}

/// Reads a message and answers it; `None` if there is nothing more to say.
fn answer(state: &State, stream: &mut TcpStream) -> Option<()> {
    let message = read(stream)?;
    let (_, id, rest) = element(&message)?;
    let (kind, request, _) = element(rest)?;
    if kind != BIND_REQUEST {
        return None;
    }
    let (_, _version, rest) = element(request)?;
    let (_, name, rest) = element(rest)?;
    let (_, password, _) = element(rest)?;
    let (name, password) = (String::from_utf8_lossy(name), String::from_utf8_lossy(password));
    let now = state.clock.now_seconds();
    let grant = state.database.lock().unwrap().grant(&password, now);
    let code = if grant.is_some_and(|grant| grant.user == name) { SUCCESS } else { INVALID_CREDENTIALS };
    let result = [0x61, 7, 0x0a, 1, code, 4, 0, 4, 0];
    let mut body = vec![2, u8::try_from(id.len()).unwrap()];
    body.extend_from_slice(id);
    body.extend_from_slice(&result);
    let mut reply = vec![SEQUENCE, u8::try_from(body.len()).unwrap()];
    reply.append(&mut body);
    stream.write_all(&reply).ok()
}

/// The content of the next sequence.
fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let length = match head[1] {
        short @ 0..0x80 => usize::from(short),
        long => {
            let mut bytes = vec![0; usize::from(long & 0x7f)];
            stream.read_exact(&mut bytes).ok()?;
            bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
        }
    };
    let mut content = vec![0; length];
    stream.read_exact(&mut content).ok()?;
    (head[0] == SEQUENCE).then_some(content)
}

/// Tag, content and what follows (X.690, definite lengths).
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}
