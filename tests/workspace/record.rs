//! The log of everything that came in.

use super::http::{Request, header, parse_query};
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Older requests are forgotten, so that a bench can run against one workspace for hours.
const KEPT: usize = 10_000;

/// Which of the two ports a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    Http,
    Https,
}

/// One request as the workspace saw it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Empty if what came was not an HTTP request; `body` then holds the bytes.
    pub method: String,
    /// The request target exactly as sent.
    pub target: String,
    /// The path without the query, still percent-encoded.
    pub path: String,
    /// Decoded query parameters in the order sent.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    /// The body as text; bytes that are not UTF-8 become U+FFFD.
    pub body: String,
    pub plane: Plane,
    /// Number of the connection it came over: equal numbers mean the connection was kept alive.
    pub connection: u64,
    /// The status answered, set before the reply goes out. `None`: no answer (yet).
    pub status: Option<u16>,
}

impl Recorded {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The first query parameter of that name.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The parameter of that name in a body that is a form, decoded.
    pub fn form(&self, name: &str) -> Option<String> {
        self.form_fields().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The parameters of a body that is a form, decoded.
    pub fn form_fields(&self) -> Vec<(String, String)> {
        if self.body.starts_with('{') { Vec::new() } else { parse_query(&self.body) }
    }

    /// Whether the text occurs anywhere in the request: the question of every leak test.
    pub fn mentions(&self, text: &str) -> bool {
        self.target.contains(text)
            || self.query.iter().any(|(_, value)| value.contains(text))
            || self.headers.iter().any(|(_, value)| value.contains(text))
            || self.body.contains(text)
    }
}

#[derive(Debug, Default)]
struct Entries {
    /// Number of the oldest entry still kept.
    first: u64,
    kept: VecDeque<Recorded>,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    entries: Mutex<Entries>,
    grown: Condvar,
}

impl Log {
    /// Notes a request; the number is for [`Log::answered`].
    pub(super) fn push(&self, request: &Request) -> u64 {
        self.keep(Recorded {
            method: request.method.clone(),
            target: request.target.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            plane: request.plane,
            connection: request.connection,
            status: None,
        })
    }

    /// Notes bytes that are no request.
    pub(super) fn push_malformed(&self, seen: &[u8], status: u16, plane: Plane, connection: u64) {
        self.keep(Recorded {
            method: String::new(),
            target: String::new(),
            path: String::new(),
            query: Vec::new(),
            headers: Vec::new(),
            body: String::from_utf8_lossy(seen).into_owned(),
            plane,
            connection,
            status: Some(status),
        });
    }

    fn keep(&self, recorded: Recorded) -> u64 {
        let mut entries = self.entries.lock().unwrap();
        if entries.kept.len() == KEPT {
            entries.kept.pop_front();
            entries.first += 1;
        }
        entries.kept.push_back(recorded);
        let number = entries.first + entries.kept.len() as u64 - 1;
        drop(entries);
        self.grown.notify_all();
        number
    }

    pub(super) fn answered(&self, number: u64, status: u16) {
        let mut entries = self.entries.lock().unwrap();
        let first = entries.first;
        let index = number.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        if let Some(recorded) = index.and_then(|at| entries.kept.get_mut(at)) {
            recorded.status = Some(status);
        }
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        self.entries.lock().unwrap().kept.iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        let mut entries = self.entries.lock().unwrap();
        entries.first += entries.kept.len() as u64;
        entries.kept.clear();
    }

    /// Waits until `count` requests are kept, at most `patience`.
    pub(super) fn wait(&self, count: usize, patience: Duration) -> Result<(), usize> {
        let deadline = Instant::now() + patience;
        let mut entries = self.entries.lock().unwrap();
        loop {
            let have = entries.kept.len();
            if have >= count {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(have);
            }
            entries = self.grown.wait_timeout(entries, left).unwrap().0;
        }
    }
}
