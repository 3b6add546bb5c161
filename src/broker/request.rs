//! Requests, read out of bytes that anybody on this machine may send: the head of any (HTTP/1, RFC 9112), and the one that the broker answers.

use memchr::{memchr, memmem};

/// Largest head of a request: those of the SDKs have some hundred bytes.
pub(crate) const LARGEST_HEAD: usize = 8 * 1024;

/// What counts of a request.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::broker) struct Request<'r> {
    pub(in crate::broker) method: &'r [u8],
    /// Path and query as they were sent.
    pub(in crate::broker) target: &'r [u8],
    /// `Host`.
    pub(in crate::broker) address: &'r [u8],
    /// `X-Databricks-Metadata-Version`.
    pub(in crate::broker) version: Option<&'r [u8]>,
    /// `X-Databricks-Host`.
    pub(in crate::broker) host: Option<&'r [u8]>,
    /// Whether a page in a browser sent it.
    pub(in crate::broker) is_from_a_page: bool,
    /// Whether the connection ends with the answer.
    pub(in crate::broker) is_last: bool,
}

/// What is at the beginning of the bytes that came.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::broker) enum Piece<'r> {
    /// A whole request, and how many bytes it takes.
    Request(Request<'r>, usize),
    /// Not all of it yet.
    Part,
    /// Something else; the connection cannot be used any more.
    Broken,
    TooLarge,
}

/// The first line of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'r> {
    pub(crate) method: &'r [u8],
    /// Path and query as they were sent.
    pub(crate) target: &'r [u8],
    /// Whether it is HTTP/1.1, where a connection goes on unless somebody says otherwise.
    pub(crate) is_newest: bool,
}

/// Where the head of the first request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadEnd {
    /// The head, without the empty line behind it, and with it.
    At(usize, usize),
    Part,
    TooLarge,
}

pub(crate) fn head_end(bytes: &[u8]) -> HeadEnd {
    match memmem::find(bytes, b"\r\n\r\n") {
        Some(end) if end + 4 <= LARGEST_HEAD => HeadEnd::At(end, end + 4),
        None if bytes.len() < LARGEST_HEAD => HeadEnd::Part,
        _ => HeadEnd::TooLarge,
    }
}

/// Reads the first request.
pub(in crate::broker) fn read(bytes: &[u8]) -> Piece<'_> {
    match head_end(bytes) {
        HeadEnd::At(end, length) => parse(&bytes[..end]).map_or(Piece::Broken, |request| Piece::Request(request, length)),
        HeadEnd::Part => Piece::Part,
        HeadEnd::TooLarge => Piece::TooLarge,
    }
}

/// Reads a head, and shows each of its fields. `None` for what is not HTTP/1, what servers read differently, and what `each` refuses.
pub(crate) fn head<'r>(head: &'r [u8], mut each: impl FnMut(&'r [u8], &'r [u8]) -> Option<()>) -> Option<Line<'r>> {
    let mut lines = Lines(Some(head));
    let line = lines.next()?;
    let first = memchr(b' ', line)?;
    let rest = &line[first + 1..];
    let second = memchr(b' ', rest)?;
    let (method, target, protocol) = (&line[..first], &rest[..second], &rest[second + 1..]);
    let is_newest = protocol == b"HTTP/1.1";
    if !(is_newest || protocol == b"HTTP/1.0") || method.is_empty() || target.first() != Some(&b'/') || !target.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    for line in lines {
        let colon = memchr(b':', line)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        // A line that goes on, or a name with blanks, is read differently by different servers.
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) || value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return None;
        }
        each(name, value)?;
    }
    Some(Line { method, target, is_newest })
}

/// `None` for what is no request, has a body, or says twice what counts.
fn parse(head: &[u8]) -> Option<Request<'_>> {
    let (mut address, mut version, mut host) = (None, None, None);
    let (mut is_from_a_page, mut is_last) = (false, false);
    let line = self::head(head, |name, value| {
        let once = |slot: &mut Option<_>| if slot.replace(value).is_some() { None } else { Some(()) };
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => once(&mut address)?,
            29 if name.eq_ignore_ascii_case(b"x-databricks-metadata-version") => once(&mut version)?,
            17 if name.eq_ignore_ascii_case(b"x-databricks-host") => once(&mut host)?,
            6 if name.eq_ignore_ascii_case(b"origin") => is_from_a_page = true,
            14 if name.eq_ignore_ascii_case(b"sec-fetch-site") => is_from_a_page |= value != b"none",
            14 if name.eq_ignore_ascii_case(b"content-length") && value != b"0" => return None,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => return None,
            10 if name.eq_ignore_ascii_case(b"connection") => {
                is_last |= value.split(|byte| *byte == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"));
            }
            _ => {}
        }
        Some(())
    })?;
    let Line { method, target, is_newest } = line;
    Some(Request { method, target, address: address?, version, host, is_from_a_page, is_last: is_last || !is_newest })
}

/// Lines that end in CR LF, the last one without.
struct Lines<'r>(Option<&'r [u8]>);

impl<'r> Iterator for Lines<'r> {
    type Item = &'r [u8];

    fn next(&mut self) -> Option<&'r [u8]> {
        let rest = self.0?;
        match memmem::find(rest, b"\r\n") {
            Some(end) => {
                self.0 = Some(&rest[end + 2..]);
                Some(&rest[..end])
            }
            None => self.0.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &str = "GET /p HTTP/1.1\r\nHost: 127.0.0.1:80\r\nX-Databricks-Metadata-Version: 1\r\nx-databricks-host:https://h\r\n\r\n";

    #[test]
    fn the_request_of_an_sdk_is_read() {
        let Piece::Request(request, length) = read(WHOLE.as_bytes()) else { panic!("no request") };
        assert_eq!((request.method, request.target, request.address), (&b"GET"[..], &b"/p"[..], &b"127.0.0.1:80"[..]));
        assert_eq!((request.version, request.host), (Some(&b"1"[..]), Some(&b"https://h"[..])));
        assert_eq!((length, request.is_last, request.is_from_a_page), (WHOLE.len(), false, false));
        for length in 0..WHOLE.len() {
            assert_eq!(read(&WHOLE.as_bytes()[..length]), Piece::Part, "{length}");
        }
    }

    #[test]
    fn what_servers_could_read_differently_is_refused() {
        for broken in [
            "GET  /p HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET p HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /p HTTP/2\r\nHost: h\r\n\r\n",
            "GET /p HTTP/1.1\r\n\r\n",
            "GET /p HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
            "GET /p HTTP/1.1\r\nHost: h\r\nX-Databricks-Host: a\r\nX-Databricks-Host: b\r\n\r\n",
            "GET /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
            "GET /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /p HTTP/1.1\r\nHost: h\r\n X-Databricks-Host: a\r\n\r\n",
            "GET /p HTTP/1.1\r\nHost : h\r\n\r\n",
            "GET /p HTTP/1.1\nHost: h\n\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(read(broken.as_bytes()), Piece::Broken, "{broken:?}");
        }
        assert_eq!(read(&[b'a'; LARGEST_HEAD]), Piece::TooLarge);
    }

    #[test]
    fn pages_and_the_end_of_a_connection_are_noticed() {
        let of = |fields: &str| match parse(format!("GET /p HTTP/1.1\r\nHost: h\r\n{fields}").as_bytes()) {
            Some(request) => (request.is_from_a_page, request.is_last),
            None => panic!("{fields}"),
        };
        assert_eq!(of("Origin: null"), (true, false));
        assert_eq!(of("Sec-Fetch-Site: cross-site"), (true, false));
        assert_eq!(of("Connection: keep-alive, Close"), (false, true));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(prop::sample::select(b"GET /pHost: 1.\r\n\r\n\x00\xff".to_vec()), 0..200)) {
            let _piece = read(&bytes);
        }
    }
}
