//! HTTP/1.1 messages (RFC 9112): what a request is, how it is read, and how a response is framed.
//!
//! Reading is strict where leniency would hide a faulty client: a missing `Host`, folded headers,
//! a body framed twice, or a stray byte in a header name is refused with 400.

use super::clock::http_date;
use super::record::Plane;
use serde_json::{Value, json};
use std::io::{self, Read, Write};

/// One line may take this much, and all headers together.
const HEAD_LIMIT: usize = 64 * 1024;
/// No client of this service sends a body anywhere near this.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// One request as it came in.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub method: String,
    /// The request target exactly as sent.
    pub target: String,
    /// The path part of the target, still percent-encoded.
    pub path: String,
    /// Decoded query parameters in the order sent.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The client wants the connection closed after the reply.
    pub close: bool,
    pub plane: Plane,
    pub connection: u64,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The first query parameter of that name.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The first header of that name, whatever its case.
pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Why no request came out of a connection.
#[derive(Debug)]
pub(super) enum Unread {
    /// The client is gone.
    Closed,
    /// What came is not a request; `seen` is all of it, so that a log misses nothing.
    Malformed { status: u16, reason: &'static str, seen: Vec<u8> },
}

/// The reading side of one connection: bytes already received and not yet used.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
    /// Everything before this index belongs to the part of the request already understood.
    used: usize,
}

impl Reader {
    /// Reads one request, answering `Expect: 100-continue` on the way.
    pub(super) fn request<S: Read + Write>(&mut self, stream: &mut S, plane: Plane, connection: u64) -> Result<Request, Unread> {
        self.buffer.drain(..self.used);
        self.used = 0;
        if self.buffer.is_empty() {
            self.fill(stream)?;
        }
        // A TLS greeting, say, has no line end to wait for.
        if !is_token(self.buffer[0]) && self.buffer[0] != b'\r' {
            return Err(self.malformed(400, "this is not HTTP"));
        }
        let mut line = self.line(stream)?;
        // RFC 9112, 2.2: one empty line before the request line is to be ignored.
        if line.is_empty() {
            line = self.line(stream)?;
        }
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next()) else {
            return Err(self.malformed(400, "the request line is not `METHOD target HTTP/1.1`"));
        };
        if method.is_empty() || !method.bytes().all(is_token) || target.is_empty() {
            return Err(self.malformed(400, "the request line has no method or no target"));
        }
        let http11 = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return Err(self.malformed(505, "the protocol is neither HTTP/1.1 nor HTTP/1.0")),
        };
        let headers = self.headers(stream)?;
        if http11 && header(&headers, "host").is_none() {
            return Err(self.malformed(400, "there is no Host header"));
        }
        let body = self.body(stream, &headers)?;
        let connection_header = header(&headers, "connection").unwrap_or_default();
        let close = if http11 { connection_header.eq_ignore_ascii_case("close") } else { !connection_header.eq_ignore_ascii_case("keep-alive") };
        // A client that takes this server for its proxy sends the absolute form.
        let origin_form = target.strip_prefix("http://").and_then(|rest| rest.find('/').map(|slash| &rest[slash..])).unwrap_or(target);
        let (path, query) = origin_form.split_once('?').unwrap_or((origin_form, ""));
        Ok(Request {
            method: method.to_owned(),
            target: target.to_owned(),
            path: path.to_owned(),
            query: parse_query(query),
            headers,
            body,
            close,
            plane,
            connection,
        })
    }

    fn headers<S: Read>(&mut self, stream: &mut S) -> Result<Vec<(String, String)>, Unread> {
        let mut headers = Vec::with_capacity(16);
        let start = self.used;
        loop {
            let line = self.line(stream)?;
            if self.used - start > HEAD_LIMIT {
                return Err(self.malformed(431, "the headers are too long"));
            }
            if line.is_empty() {
                return Ok(headers);
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(self.malformed(400, "a header line has no colon"));
            };
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(self.malformed(400, "a header name holds a forbidden character"));
            }
            headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    fn body<S: Read + Write>(&mut self, stream: &mut S, headers: &[(String, String)]) -> Result<Vec<u8>, Unread> {
        let mut length: Option<usize> = None;
        for (name, value) in headers {
            if name.eq_ignore_ascii_case("content-length") {
                if length.is_some() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(self.malformed(400, "Content-Length is repeated or no number"));
                }
                match value.parse() {
                    Ok(value) => length = Some(value),
                    Err(_) => return Err(self.malformed(413, "Content-Length is out of range")),
                }
            }
        }
        let chunked = match header(headers, "transfer-encoding") {
            None => false,
            Some(coding) if coding.eq_ignore_ascii_case("chunked") => true,
            Some(_) => return Err(self.malformed(501, "the only transfer coding is chunked")),
        };
        if chunked && length.is_some() {
            return Err(self.malformed(400, "the body is framed twice"));
        }
        if !chunked && length.unwrap_or(0) == 0 {
            return Ok(Vec::new());
        }
        if header(headers, "expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").and_then(|()| stream.flush()).map_err(|_| Unread::Closed)?;
        }
        if chunked {
            self.chunks(stream)
        } else {
            let length = length.unwrap_or(0);
            if length > BODY_LIMIT {
                return Err(self.malformed(413, "the body is too large"));
            }
            self.exactly(stream, length)
        }
    }

    fn chunks<S: Read>(&mut self, stream: &mut S) -> Result<Vec<u8>, Unread> {
        let mut body = Vec::new();
        loop {
            let line = self.line(stream)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(size, 16) else {
                return Err(self.malformed(400, "a chunk size is no hexadecimal number"));
            };
            if body.len().saturating_add(size) > BODY_LIMIT {
                return Err(self.malformed(413, "the body is too large"));
            }
            if size == 0 {
                self.headers(stream)?;
                return Ok(body);
            }
            body.extend(self.exactly(stream, size)?);
            if !self.line(stream)?.is_empty() {
                return Err(self.malformed(400, "a chunk is longer than it says"));
            }
        }
    }

    /// The next line without its CRLF.
    fn line<S: Read>(&mut self, stream: &mut S) -> Result<String, Unread> {
        let mut searched = self.used;
        loop {
            if let Some(at) = find_crlf(&self.buffer[searched..]) {
                let end = searched + at;
                let Ok(line) = std::str::from_utf8(&self.buffer[self.used..end]) else {
                    return Err(self.malformed(400, "the head of the request is not UTF-8"));
                };
                let line = line.to_owned();
                self.used = end + 2;
                return Ok(line);
            }
            if self.buffer.len() - self.used > HEAD_LIMIT {
                return Err(self.malformed(431, "a header line is too long"));
            }
            searched = self.buffer.len().saturating_sub(1).max(self.used);
            self.fill(stream)?;
        }
    }

    fn exactly<S: Read>(&mut self, stream: &mut S, length: usize) -> Result<Vec<u8>, Unread> {
        while self.buffer.len() - self.used < length {
            self.fill(stream)?;
        }
        let bytes = self.buffer[self.used..self.used + length].to_vec();
        self.used += length;
        Ok(bytes)
    }

    fn fill<S: Read>(&mut self, stream: &mut S) -> Result<(), Unread> {
        let mut block = [0; 16 * 1024];
        loop {
            match stream.read(&mut block) {
                Ok(0) if self.buffer.is_empty() => return Err(Unread::Closed),
                Ok(0) => return Err(self.malformed(400, "the connection ended inside a request")),
                Ok(count) => {
                    self.buffer.extend_from_slice(&block[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.buffer.is_empty() => return Err(Unread::Closed),
                Err(_) => return Err(self.malformed(400, "the connection broke inside a request")),
            }
        }
    }

    fn malformed(&mut self, status: u16, reason: &'static str) -> Unread {
        self.used = 0;
        Unread::Malformed { status, reason, seen: std::mem::take(&mut self.buffer) }
    }
}

fn find_crlf(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n")
}

/// The characters of a method or header name (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Names and values of a query or of a form, decoded, in the order sent.
pub(super) fn parse_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name, true), percent_decode(value, true))
        })
        .collect()
}

/// Undoes percent-encoding; `form` also turns `+` into a space. Bad escapes stay as they are.
pub(super) fn percent_decode(text: &str, form: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = text
            .get(at + 1..at + 3)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], escape) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) if form => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// How the length of a generated body is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`, counted beforehand.
    Length,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Nothing; the end of the connection is the end of the body.
    UntilClose,
}

/// A body made while it is sent, so that ten gigabytes cost no memory here:
/// `head`, then `item` `count` times, then `tail`.
#[derive(Debug, Clone)]
pub(super) struct Repeated {
    pub head: Vec<u8>,
    pub item: Vec<u8>,
    pub count: u64,
    pub tail: Vec<u8>,
    pub framing: Framing,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Bytes(Vec<u8>),
    Repeated(Repeated),
}

/// A reply: what an API answers with, and what a [`Fault`](super::Fault) can put in its place.
#[derive(Debug, Clone)]
pub struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
}

impl Response {
    /// A reply with that status, no body and no headers but the ones every reply has.
    pub fn new(status: u16) -> Response {
        Response { status, headers: Vec::new(), body: Body::Bytes(Vec::new()) }
    }

    /// Adds a header. An explicit `Content-Length` or `Transfer-Encoding` replaces the true one.
    pub fn header(mut self, name: &str, value: &str) -> Response {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, content_type: &str, bytes: impl Into<Vec<u8>>) -> Response {
        self.body = Body::Bytes(bytes.into());
        self.header("Content-Type", content_type)
    }

    pub fn json(status: u16, value: &Value) -> Response {
        Response::new(status).body("application/json; charset=utf-8", value.to_string())
    }

    /// The error shape of the REST APIs: a code in capitals and a sentence.
    pub fn error(status: u16, code: &str, message: &str) -> Response {
        Response::json(status, &json!({"error_code": code, "message": message}))
    }

    /// The error shape of the sign-in gate in front of the APIs: the code is the status as a
    /// NUMBER, and the sentence also stands in a header.
    /// Source: a reply quoted in `databricks/databricks-sdk-go` issue 873 (52 bytes).
    pub fn refusal(status: u16, message: &str) -> Response {
        let reply = Response::json(status, &json!({"error_code": status, "message": message})).header("X-Databricks-Reason-Phrase", message);
        if status == 401 { reply.header("WWW-Authenticate", "Bearer realm=\"DatabricksRealm\"") } else { reply }
    }

    /// The error shape of the SCIM API (RFC 7644, 3.12).
    pub fn scim_error(status: u16, scim_type: Option<&str>, detail: &str) -> Response {
        let mut error = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "detail": detail,
            "status": status.to_string(),
        });
        if let Some(scim_type) = scim_type {
            error["scimType"] = json!(scim_type);
        }
        Response::new(status).body("application/scim+json; charset=utf-8", error.to_string())
    }

    /// The bytes before the body.
    fn head(&self, now_seconds: i64, close: bool) -> Vec<u8> {
        let mut head = String::with_capacity(512);
        head.push_str("HTTP/1.1 ");
        head.push_str(&self.status.to_string());
        head.push(' ');
        head.push_str(reason_phrase(self.status));
        head.push_str("\r\nDate: ");
        head.push_str(&http_date(now_seconds));
        head.push_str("\r\nServer: databricks\r\n");
        let framed = ["content-length", "transfer-encoding"].iter().any(|name| header(&self.headers, name).is_some());
        // RFC 9110, 8.6: these two have no body and must not announce one.
        if !framed && self.status != 204 && self.status != 304 {
            match &self.body {
                Body::Bytes(bytes) => {
                    head.push_str("Content-Length: ");
                    head.push_str(&bytes.len().to_string());
                    head.push_str("\r\n");
                }
                Body::Repeated(body) => match body.framing {
                    Framing::Length => {
                        head.push_str("Content-Length: ");
                        head.push_str(&body.length().to_string());
                        head.push_str("\r\n");
                    }
                    Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
                    Framing::UntilClose => {}
                },
            }
        }
        for (name, value) in &self.headers {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        if close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Head and body in one piece, plus where the body starts. A generated body is not part of
    /// it: see [`Response::send`].
    pub(super) fn encode(&self, now_seconds: i64, close: bool, head_only: bool) -> (Vec<u8>, usize) {
        let mut bytes = self.head(now_seconds, close);
        let body_at = bytes.len();
        if let (Body::Bytes(body), false) = (&self.body, head_only) {
            bytes.extend_from_slice(body);
        }
        (bytes, body_at)
    }

    /// Writes the reply: one write, unless the body is generated.
    pub(super) fn send<W: Write>(&self, out: &mut W, now_seconds: i64, close: bool, head_only: bool) -> io::Result<()> {
        let (bytes, _) = self.encode(now_seconds, close, head_only);
        out.write_all(&bytes)?;
        if let (Body::Repeated(body), false) = (&self.body, head_only) {
            body.send(out)?;
        }
        out.flush()
    }

    /// The reply can only end with the connection.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(&self.body, Body::Repeated(body) if body.framing == Framing::UntilClose)
    }
}

impl Repeated {
    fn length(&self) -> u64 {
        let fixed = (self.head.len() + self.tail.len()) as u64;
        fixed.saturating_add(self.count.saturating_mul(self.item.len() as u64))
    }

    /// Writes the first half of the items as a connection that breaks would leave them: without an end.
    pub(super) fn send_half<W: Write>(&self, out: &mut W) -> io::Result<()> {
        Repeated { count: self.count / 2, tail: Vec::new(), ..self.clone() }.send_pieces(out)
    }

    fn send<W: Write>(&self, out: &mut W) -> io::Result<()> {
        self.send_pieces(out)?;
        if self.framing == Framing::Chunked {
            out.write_all(b"0\r\n\r\n")?;
        }
        Ok(())
    }

    fn send_pieces<W: Write>(&self, out: &mut W) -> io::Result<()> {
        let per_block = (64 * 1024 / self.item.len().max(1)).max(1);
        let block = self.item.repeat(per_block);
        self.piece(out, &self.head)?;
        let mut left = self.count;
        while left > 0 {
            let items = left.min(per_block as u64);
            let bytes = usize::try_from(items).unwrap_or(per_block) * self.item.len();
            self.piece(out, &block[..bytes])?;
            left -= items;
        }
        self.piece(out, &self.tail)
    }

    fn piece<W: Write>(&self, out: &mut W, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.framing == Framing::Chunked {
            write!(out, "{:x}\r\n", bytes.len())?;
            out.write_all(bytes)?;
            out.write_all(b"\r\n")
        } else {
            out.write_all(bytes)
        }
    }
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}
