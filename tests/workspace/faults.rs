//! Faults to order: what a bad network, a proxy, a wrong host or a hostile server does.

use super::http::{Body, Framing, Repeated, Request, Response};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What happens to a request a fault matches.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    /// The API answers as usual (after the delay).
    Pass,
    /// This reply, and the API is not asked.
    Reply(Response),
    /// No answer, and the connection stays open.
    Silence,
    /// TCP reset; the API is not asked.
    ResetBefore,
    /// The API does its work, then TCP reset: the lost reply.
    ResetAfter,
    /// The API's own reply, but the connection ends in the middle of the body.
    HalfBody,
    /// The API's own reply, one byte at a time.
    Drip(Duration),
    /// A status line, then headers without end.
    EndlessHeaders,
    /// The API does its work, and its reply waits here.
    Held(Gate),
}

/// What a reply waits behind until the test opens it.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it is opened; `false` if the workspace ends before.
    pub(super) fn pass(&self, gone: impl Fn() -> bool) -> bool {
        let mut open = self.0.0.lock().unwrap();
        while !*open && !gone() {
            open = self.0.1.wait_timeout(open, Duration::from_millis(20)).unwrap().0;
        }
        *open
    }
}

/// A fault: which requests it meets, how often, and what it does to them.
///
/// ```ignore
/// workspace.order(Fault::on("POST", "/api/2.0/token/create").reset_after());
/// workspace.order(Fault::on("GET", "/").reply(Response::error(503, "TEMPORARILY_UNAVAILABLE", "soon")
///     .header("Retry-After", "1")).times(2));
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    method: String,
    path_prefix: String,
    skip: u64,
    /// How many more matching requests it meets.
    left: u64,
    pub(super) delay: Duration,
    pub(super) effect: Effect,
}

impl Fault {
    /// A fault for requests with that method (`*`: any) whose path starts with the prefix.
    /// It meets the next one only; see [`Fault::times`], [`Fault::forever`] and [`Fault::after`].
    pub fn on(method: &str, path_prefix: &str) -> Fault {
        Fault { method: method.to_owned(), path_prefix: path_prefix.to_owned(), skip: 0, left: 1, delay: Duration::ZERO, effect: Effect::Pass }
    }

    /// Meets the next `count` matching requests.
    pub fn times(mut self, count: u64) -> Fault {
        self.left = count;
        self
    }

    /// Meets every matching request from now on.
    pub fn forever(self) -> Fault {
        self.times(u64::MAX)
    }

    /// Lets the first `count` matching requests pass untouched.
    pub fn after(mut self, count: u64) -> Fault {
        self.skip = count;
        self
    }

    /// Waits this long before anything else happens. Alone, it is a slow server.
    pub fn delay(mut self, delay: Duration) -> Fault {
        self.delay = delay;
        self
    }

    /// Answers with this reply; the API is not asked.
    pub fn reply(self, response: Response) -> Fault {
        self.effect(Effect::Reply(response))
    }

    /// Answers with that status and `Retry-After`, which may be seconds or a date.
    pub fn retry_after(self, status: u16, value: &str) -> Fault {
        let code = if status == 429 { "REQUEST_LIMIT_EXCEEDED" } else { "TEMPORARILY_UNAVAILABLE" };
        self.reply(Response::error(status, code, "The service is busy. Try again later.").header("Retry-After", value))
    }

    /// Answers 301, 302, 303, 307 or 308 with that `Location`.
    pub fn redirect(self, status: u16, location: &str) -> Fault {
        self.reply(Response::new(status).header("Location", location))
    }

    /// Never answers. The connection stays open until the client or the workspace ends it.
    pub fn silence(self) -> Fault {
        self.effect(Effect::Silence)
    }

    /// Resets the connection; the API never sees the request.
    pub fn reset_before(self) -> Fault {
        self.effect(Effect::ResetBefore)
    }

    /// Lets the API do its work (the token IS minted), then resets the connection.
    pub fn reset_after(self) -> Fault {
        self.effect(Effect::ResetAfter)
    }

    /// Announces the whole reply, sends half of its body, closes.
    pub fn half_body(self) -> Fault {
        self.effect(Effect::HalfBody)
    }

    /// Sends the reply one byte per `interval`.
    pub fn drip(self, interval: Duration) -> Fault {
        self.effect(Effect::Drip(interval))
    }

    /// Sends a status line and then headers without end.
    pub fn endless_headers(self) -> Fault {
        self.effect(Effect::EndlessHeaders)
    }

    /// Lets the API do its work, and keeps its reply back until the gate is opened.
    pub fn held(self, gate: &Gate) -> Fault {
        self.effect(Effect::Held(gate.clone()))
    }

    fn effect(mut self, effect: Effect) -> Fault {
        self.effect = effect;
        self
    }

    fn matches(&self, request: &Request) -> bool {
        (self.method == "*" || self.method == request.method) && request.path.starts_with(&self.path_prefix)
    }
}

/// Replies no healthy API gives, ready for [`Fault::reply`].
impl Response {
    /// An HTML page with status 200: the sign-in page a wrong host answers with.
    pub fn html_login() -> Response {
        Response::new(200).body(
            "text/html; charset=utf-8",
            "<!doctype html>\n<html><head><title>Databricks - Sign In</title></head>\
             <body><div id=\"login-page\"></div></body></html>",
        )
    }

    /// An HTML error page with the message in `<pre>`, as the service's web server makes it.
    pub fn html_error(status: u16, message: &str) -> Response {
        Response::new(status).body(
            "text/html; charset=iso-8859-1",
            format!(
                "<html>\n<head><title>Error {status}</title></head>\n<body>\n\
                 <h2>HTTP ERROR: {status}</h2>\n<p>Problem accessing the page. Reason:\n\
                 <pre>    {message}</pre></p>\n<hr>\n</body>\n</html>"
            ),
        )
    }

    /// JSON whose `message` holds bytes that are not UTF-8.
    pub fn invalid_utf8(status: u16) -> Response {
        Response::new(status).body("application/json", b"{\"error_code\":\"BAD_REQUEST\",\"message\":\"caf\xe9 \xff\xfe\"}".to_vec())
    }

    /// `depth` arrays inside each other.
    pub fn deep_json(depth: u64) -> Response {
        Response::repeated("", "[", depth, "", Framing::Length).header("Content-Type", "application/json")
    }

    /// `head`, `item` repeated `count` times, `tail`: made while it is sent, never held in memory.
    /// A `count` of `u64::MAX` does not end; frame that as [`Framing::Chunked`].
    pub fn repeated(head: &str, item: &str, count: u64, tail: &str, framing: Framing) -> Response {
        let mut response = Response::new(200);
        response.body = Body::Repeated(Repeated { head: head.into(), item: item.into(), count, tail: tail.into(), framing });
        response
    }

    /// A reply of `GET /api/2.0/token/list` with that many tokens.
    pub fn many_tokens(count: u64) -> Response {
        let token = "{\"token_id\":\"00000000\",\"creation_time\":1700000000000,\
                     \"expiry_time\":-1,\"comment\":\"one of many\"}";
        let item = format!(",{token}");
        let head = format!("{{\"token_infos\":[{token}");
        Response::repeated(&head, &item, count.saturating_sub(1), "]}", Framing::Length).header("Content-Type", "application/json")
    }

    /// A JSON string of that many bytes, announced by `Content-Length` and really sent.
    pub fn huge(bytes: u64) -> Response {
        Response::repeated("\"", "a", bytes.saturating_sub(2), "\"", Framing::Length).header("Content-Type", "application/json")
    }

    /// A JSON string that never ends, in chunks.
    pub fn endless() -> Response {
        Response::repeated("\"", "aaaaaaaa", u64::MAX, "", Framing::Chunked).header("Content-Type", "application/json")
    }

    /// Announces `bytes` bytes, sends three, and then nothing more.
    pub fn stalled(bytes: u64) -> Response {
        Response::new(200).body("application/json", "{\"a").header("Content-Length", &bytes.to_string())
    }
}

/// The faults ordered so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    ordered: Mutex<Vec<Fault>>,
}

impl Faults {
    pub(super) fn order(&self, fault: Fault) {
        self.ordered.lock().unwrap().push(fault);
    }

    pub(super) fn clear(&self) {
        self.ordered.lock().unwrap().clear();
    }

    /// Uses up one turn of the first fault that wants this request.
    pub(super) fn take(&self, request: &Request) -> Option<Fault> {
        let mut ordered = self.ordered.lock().unwrap();
        for fault in ordered.iter_mut().filter(|fault| fault.left > 0) {
            if !fault.matches(request) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.left != u64::MAX {
                fault.left -= 1;
            }
            return Some(fault.clone());
        }
        None
    }
}
