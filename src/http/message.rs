//! What goes out and what comes back.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::client::Head;
use crate::error::Failure;
use crate::host::Host;
use crate::secret::{Secret, Wiped};
use crate::text;

/// Puts credentials on a request: the one thing this layer wants to know about a credential.
pub(crate) trait Sign {
    /// The only origin that the headers may be sent to.
    fn host(&self) -> &Host;

    /// The headers, each value a secret. Several, because an Azure service principal sends three.
    fn headers(&self) -> Vec<(&'static str, Secret)>;

    /// The official name of the auth type, for the User-Agent; `None` for requests that only obtain a credential.
    fn auth_type(&self) -> Option<&str>;
}

/// A request method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    /// As it stands on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    pub(super) fn method(self) -> reqwest::Method {
        match self {
            Self::Get => reqwest::Method::GET,
            Self::Head => reqwest::Method::HEAD,
            Self::Post => reqwest::Method::POST,
            Self::Put => reqwest::Method::PUT,
            Self::Patch => reqwest::Method::PATCH,
            Self::Delete => reqwest::Method::DELETE,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether a request may be sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Reads, and calls that do no more when done twice: may be sent again after a lost reply.
    Freely,
    /// Creates something: sent again only when the service surely did not act on it, that is when it was never sent, or was answered with 429,
    /// or with 503 and a `Retry-After`.
    OnlyIfRefused,
}

/// What a request carries.
#[derive(Clone, Default)]
pub(crate) enum Body {
    #[default]
    Empty,
    /// Sent as `application/json`; wiped on drop.
    Json(Zeroizing<Vec<u8>>),
    /// Sent as `application/x-www-form-urlencoded`, as token endpoints ask for (RFC 6749, section 4).
    Form(Vec<(&'static str, Secret)>),
}

impl Body {
    /// The bytes on the wire and their content type.
    pub(super) fn encoded(&self) -> Option<(&'static str, Zeroizing<Vec<u8>>)> {
        match self {
            Self::Empty => None,
            Self::Json(json) => Some(("application/json", json.clone())),
            Self::Form(fields) => {
                let mut text = Zeroizing::new(Vec::new());
                for (name, value) in fields {
                    if !text.is_empty() {
                        text.push(b'&');
                    }
                    push_form_encoded(&mut text, name);
                    text.push(b'=');
                    push_form_encoded(&mut text, value.expose());
                }
                Some(("application/x-www-form-urlencoded", text))
            }
        }
    }
}

/// The encoding of HTML forms: a space becomes `+`, everything but letters, digits and `*-._` is percent-encoded.
pub(crate) fn push_form_encoded(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
}

/// One request, without host and credentials: [`Client::send`](super::Client::send) adds those.
#[derive(Clone)]
pub(crate) struct Request<'a> {
    pub(crate) verb: Verb,
    /// From the root, such as `/api/2.0/token/list`; it may carry a query of its own.
    pub(crate) path: Cow<'a, str>,
    /// Unencoded; added behind the query of the path.
    pub(crate) query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Headers that are no secret, beside those that the client adds. `Accept` replaces the usual `application/json`.
    pub(crate) headers: Vec<(&'static str, Cow<'a, str>)>,
    pub(crate) body: Body,
    pub(crate) repeat: Repeat,
    /// For one sending and its reply, where that is less than [`Options::total_timeout`](super::Options::total_timeout).
    pub(crate) limit: Option<Duration>,
    /// Whether the path is a secret itself: messages and traces then show `***` in its place.
    pub(crate) hides_path: bool,
}

impl<'a> Request<'a> {
    /// A request that may be repeated exactly if its verb is one that reads.
    pub(crate) fn new(verb: Verb, path: impl Into<Cow<'a, str>>) -> Self {
        let repeat = if matches!(verb, Verb::Get | Verb::Head) { Repeat::Freely } else { Repeat::OnlyIfRefused };
        Self { verb, path: path.into(), query: Vec::new(), headers: Vec::new(), body: Body::Empty, repeat, limit: None, hides_path: false }
    }

    /// A read.
    pub(crate) fn get(path: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Verb::Get, path)
    }

    /// Says that the path is a secret.
    pub(crate) fn hide_path(mut self) -> Self {
        self.hides_path = true;
        self
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Adds a header that is no secret.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets a JSON body.
    pub(crate) fn json(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Json(Zeroizing::new(body.into()));
        self
    }

    /// Sets a form as the body.
    pub(crate) fn form(mut self, fields: Vec<(&'static str, Secret)>) -> Self {
        self.body = Body::Form(fields);
        self
    }

    /// The same request with another value for one parameter of its query, wherever the query stands.
    pub(crate) fn ask_again_with(&mut self, name: &'static str, value: String) {
        if let Some((path, query)) = self.path.split_once('?') {
            let others: Vec<_> = query.split('&').filter(|pair| pair.split('=').next() != Some(name)).collect();
            self.path = if others.is_empty() { path.to_owned() } else { format!("{path}?{}", others.join("&")) }.into();
        }
        self.query.retain(|(key, _)| key != name);
        self.query.push((name.into(), value.into()));
    }

    /// Verb and path without the query, as messages name the request.
    pub(crate) fn place(&self) -> String {
        format!("{} {}", self.verb, self.shown_path())
    }

    /// The path without its query, which may hold what is nobody's business; safe to show.
    pub(super) fn shown_path(&self) -> String {
        if self.hides_path {
            return "/***".to_owned();
        }
        let path = self.path.split(['?', '#']).next().unwrap_or_default();
        text::one_line(&text::shortened(path, 200)).into_owned()
    }
}

/// A reply with a status of 2xx, read whole.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// At most [`Options::max_body`](super::Options::max_body) bytes; wiped on drop, because it may be a token.
    pub(crate) body: Wiped,
    pub(super) headers: HeaderMap,
    pub(super) place: String,
}

impl Response {
    /// A header by its name in any case; `None` also where the value is not ASCII.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn head(&self) -> Head<'_> {
        Head::new(self.status, &self.headers)
    }

    /// The body as text.
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub(crate) fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.body).map_err(|_| Failure::new(format!("the reply to {} cannot be read: it is not UTF-8 text", self.place)))
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// When it is not the JSON that was expected; the message tells where, and never quotes the body.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        self.parse(|body| serde_json::from_slice(body))
    }

    /// As [`Response::json`] with a reader of one's own, for types that borrow from the body.
    pub(crate) fn parse<'a, T>(&'a self, read: impl FnOnce(&'a [u8]) -> Result<T, serde_json::Error>) -> Result<T, Failure> {
        read(&self.body).map_err(|error| {
            // Only the position: serde_json quotes unexpected values, and a value may be a token.
            let reason = match error.classify() {
                serde_json::error::Category::Eof if self.body.is_empty() => "the reply is empty".to_owned(),
                serde_json::error::Category::Eof => "the reply ends early".to_owned(),
                serde_json::error::Category::Data => format!("unexpected content at line {}, column {}", error.line(), error.column()),
                _ => format!("it is no valid JSON at line {}, column {}", error.line(), error.column()),
            };
            Failure::new(format!("the reply to {} cannot be read: {reason}", self.place))
        })
    }
}

impl fmt::Debug for Response {
    /// Never the body: it may be a token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Response").field("status", &self.status).field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_as_browsers_do() {
        let request = Request::new(Verb::Post, "/token").form(vec![("grant_type", "a b".into()), ("secret", "ä&=+%\n*-._".into())]);
        let (kind, body) = request.body.encoded().expect("a body");
        assert_eq!(kind, "application/x-www-form-urlencoded");
        assert_eq!(std::str::from_utf8(&body).expect("ASCII"), "grant_type=a+b&secret=%C3%A4%26%3D%2B%25%0A*-._");
    }

    #[test]
    fn only_reads_may_be_repeated_unasked() {
        assert_eq!(Request::get("/x").repeat, Repeat::Freely);
        for verb in [Verb::Post, Verb::Put, Verb::Patch, Verb::Delete] {
            assert_eq!(Request::new(verb, "/x").repeat, Repeat::OnlyIfRefused);
        }
    }

    #[test]
    fn the_next_page_replaces_the_token_wherever_it_stands() {
        let mut request = Request::get("/x?page_token=a&count=5").query("page_token", "b").query("q", "c");
        request.ask_again_with("page_token", "d".to_owned());
        assert_eq!(request.path, "/x?count=5");
        assert_eq!(request.query, [("q".into(), "c".into()), ("page_token".into(), "d".into())] as [(Cow<'_, str>, Cow<'_, str>); 2]);
        let mut request = Request::get("/x?page_token=a");
        request.ask_again_with("page_token", "d".to_owned());
        assert_eq!(request.path, "/x");
    }

    #[test]
    fn messages_name_the_path_without_its_query() {
        assert_eq!(Request::get("/api/x?token=secret").place(), "GET /api/x");
        assert_eq!(Request::get("/a\u{1b}[2J").place(), "GET /a\\u{1b}[2J");
    }

    #[test]
    fn an_unreadable_reply_is_not_quoted() {
        let response = |body: &str| Response { status: 200, body: Wiped::new(body.into()), headers: HeaderMap::new(), place: "GET /x".into() };
        let error = response("\"dapi-secret\"").json::<u32>().expect_err("no number");
        assert_eq!(error.to_string(), "the reply to GET /x cannot be read: unexpected content at line 1, column 13");
        assert_eq!(response("").json::<u32>().expect_err("empty").to_string(), "the reply to GET /x cannot be read: the reply is empty");
        assert!(response(&"[".repeat(100_000)).json::<serde_json::Value>().is_err());
    }
}
