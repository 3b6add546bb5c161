//! Who may use the page, and for what.
//!
//! | against | what guards |
//! |---|---|
//! | whoever finds the address in a history, a list of processes or a `Referer` | it has a ticket that is good once; what counts from then on is a cookie |
//! | other users of the machine | the kernel tells whose connection it is ([`crate::peer`]); both loopback addresses of the port are ours |
//! | pages of other origins | the cookie is `SameSite=Strict`; what changes something is a POST with our `Origin` and a number that only our page has |
//! | names that lead here (DNS rebinding) | `Host` |
//! | servers at other ports of this machine, to which browsers send the same cookies | the cookie's path is as secret as the cookie |
//! | frames, scripts, what a name of a workspace may hold | the policy of the page; nothing is written into it without being escaped |

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::auth::oauth::query;
use crate::broker::request::{self, HeadEnd};
use crate::error::Failure;
use crate::secret::Secret;

/// Largest form: a name or a host, and the number.
const LARGEST_BODY: usize = 8 * 1024;
const COOKIE: &str = "session-home";
/// The field of every form that proves where it comes from.
pub(super) const PROOF: &str = "proof";

/// The secrets of one page.
#[derive(Debug)]
pub(super) struct Guard {
    port: u16,
    path: Secret,
    /// Good once.
    ticket: Option<Secret>,
    cookie: Secret,
    proof: Secret,
}

/// What counts of a request.
#[derive(Debug, Default)]
pub(super) struct Request<'r> {
    method: &'r str,
    target: &'r str,
    host: &'r str,
    cookies: &'r str,
    origin: Option<&'r str>,
    /// `Sec-Fetch-Site`.
    site: Option<&'r str>,
    /// `Sec-Fetch-Mode`.
    mode: Option<&'r str>,
    content_type: Option<&'r str>,
    length: usize,
    body: &'r str,
}

/// What is at the beginning of the bytes that came.
#[derive(Debug)]
pub(super) enum Piece<'r> {
    Request(Request<'r>),
    Part,
    Refused(Refusal),
}

/// What somebody wants who may want it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// Came with the ticket, and gets the cookie.
    Open,
    /// The page; `watch`: its own script looks whether something changed.
    Show {
        watch: bool,
    },
    /// The page when nothing is under way any more.
    Wait,
    /// On to the page of the authorization server.
    Go,
    /// Sign in to this: what was chosen, and the host and the name that were typed.
    Start {
        workspace: String,
        host: String,
        name: String,
    },
    Cancel,
    End(String),
    Close,
}

/// Why nothing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Broken,
    TooLarge,
    Method,
    Elsewhere,
    Nothing,
    /// The ticket was used already, or is none.
    Spent,
    /// No cookie.
    Locked,
    Forged,
}

fn random() -> Result<Secret, Failure> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut bytes[..]).map_err(|_| Failure::new("the system gives no random numbers, without which no address is safe"))?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(&bytes[..])))
}

/// By digests, so that how long it takes tells nothing.
fn is(secret: &Secret, given: &str) -> bool {
    digest(&SHA256, secret.expose().as_bytes()).as_ref() == digest(&SHA256, given.as_bytes()).as_ref()
}

/// Reads the first request.
pub(super) fn read(bytes: &[u8]) -> Piece<'_> {
    let (end, start) = match request::head_end(bytes) {
        HeadEnd::At(end, start) => (end, start),
        HeadEnd::Part => return Piece::Part,
        HeadEnd::TooLarge => return Piece::Refused(Refusal::TooLarge),
    };
    let Some(mut request) = parse(&bytes[..end]) else { return Piece::Refused(Refusal::Broken) };
    if request.length > LARGEST_BODY {
        return Piece::Refused(Refusal::TooLarge);
    }
    let Some(body) = bytes.get(start..start + request.length) else { return Piece::Part };
    let Ok(body) = std::str::from_utf8(body) else { return Piece::Refused(Refusal::Broken) };
    request.body = body;
    Piece::Request(request)
}

fn parse(head: &[u8]) -> Option<Request<'_>> {
    let (mut host, mut cookies, mut origin, mut site, mut mode, mut content_type, mut length) = (None, None, None, None, None, None, None);
    let line = request::head(head, |name, value| {
        let value = std::str::from_utf8(value).ok()?;
        let slot = match name.to_ascii_lowercase().as_slice() {
            b"host" => &mut host,
            b"cookie" => &mut cookies,
            b"origin" => &mut origin,
            b"sec-fetch-site" => &mut site,
            b"sec-fetch-mode" => &mut mode,
            b"content-type" => &mut content_type,
            b"content-length" => &mut length,
            b"transfer-encoding" => return None,
            _ => return Some(()),
        };
        // Two of a kind are two opinions about what counts.
        if slot.replace(value).is_some() { None } else { Some(()) }
    })?;
    let length = match length {
        None => 0,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().unwrap_or(usize::MAX),
        Some(_) => return None,
    };
    let (method, target) = (std::str::from_utf8(line.method).ok()?, std::str::from_utf8(line.target).ok()?);
    Some(Request { method, target, host: host?, cookies: cookies.unwrap_or_default(), origin, site, mode, content_type, length, body: "" })
}

impl Guard {
    /// # Errors
    /// If the system has no random numbers.
    pub(super) fn new(port: u16) -> Result<Self, Failure> {
        Ok(Self { port, path: random()?, ticket: None, cookie: random()?, proof: random()? })
    }

    /// `http://localhost:PORT`, as browsers name it.
    fn origin(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Where the page is, beginning with a slash; `tail` is what stands behind it.
    pub(super) fn place(&self, tail: &str) -> String {
        format!("/{}/{tail}", self.path.expose())
    }

    /// As [`Guard::place`], from elsewhere.
    pub(super) fn address(&self, tail: &str) -> String {
        format!("{}{}", self.origin(), self.place(tail))
    }

    /// A new link for a person; one that was given out before and not used is worth nothing any more.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(super) fn link(&mut self) -> Result<String, Failure> {
        let ticket = random()?;
        let link = self.address(&format!("open?ticket={}", ticket.expose()));
        self.ticket = Some(ticket);
        Ok(link)
    }

    /// The field that every form has.
    pub(super) fn proof(&self) -> &str {
        self.proof.expose()
    }

    /// The header that lets a browser in.
    pub(super) fn cookie(&self) -> String {
        format!("Set-Cookie: {COOKIE}={}; Path={}; HttpOnly; SameSite=Strict\r\n", self.cookie.expose(), self.place(""))
    }

    /// What is wanted, if it may be.
    ///
    /// # Errors
    /// If not, why.
    pub(super) fn admit(&mut self, request: &Request<'_>) -> Result<Visit, Refusal> {
        let is_post = match request.method {
            "GET" if request.length == 0 => false,
            "POST" => true,
            _ => return Err(Refusal::Method),
        };
        if !request.host.eq_ignore_ascii_case(&self.origin()["http://".len()..]) {
            return Err(Refusal::Elsewhere);
        }
        let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
        let (secret, tail) = path.strip_prefix('/').and_then(|path| path.split_once('/')).ok_or(Refusal::Nothing)?;
        if !is(&self.path, secret) {
            return Err(Refusal::Nothing);
        }
        let has_cookie =
            request.cookies.split(';').filter_map(|cookie| cookie.trim().split_once('=')).any(|(name, value)| name == COOKIE && is(&self.cookie, value));
        if !is_post && tail == "open" {
            // Not for scripts of other pages, which would use it up without anybody seeing it.
            if request.mode.is_some_and(|mode| mode != "navigate") {
                return Err(Refusal::Forged);
            }
            let is_good = query.strip_prefix("ticket=").is_some_and(|given| self.ticket.as_ref().is_some_and(|ticket| is(ticket, given)));
            if is_good {
                self.ticket = None;
            }
            return if is_good || has_cookie { Ok(Visit::Open) } else { Err(Refusal::Spent) };
        }
        if !has_cookie {
            return Err(Refusal::Locked);
        }
        if !is_post {
            return match (tail, query) {
                ("", "" | "watch") => Ok(Visit::Show { watch: query == "watch" }),
                ("wait", "") => Ok(Visit::Wait),
                ("go", "") => Ok(Visit::Go),
                _ => Err(Refusal::Nothing),
            };
        }
        let is_form = request
            .content_type
            .is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")));
        if request.origin != Some(&self.origin()) || request.site.is_some_and(|site| site != "same-origin") || !is_form || !query.is_empty() {
            return Err(Refusal::Forged);
        }
        let fields = query::decode(request.body).ok_or(Refusal::Broken)?;
        let field = |name: &str| {
            let mut values = fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
            let value = values.next().unwrap_or_default();
            if values.next().is_some() { Err(Refusal::Broken) } else { Ok(value) }
        };
        if !is(&self.proof, field(PROOF)?) {
            return Err(Refusal::Forged);
        }
        match tail {
            "start" => {
                Ok(Visit::Start { workspace: field("workspace")?.to_owned(), host: field("host")?.trim().to_owned(), name: field("name")?.trim().to_owned() })
            }
            "cancel" => Ok(Visit::Cancel),
            "end" => Ok(Visit::End(field("session")?.to_owned())),
            "close" => Ok(Visit::Close),
            _ => Err(Refusal::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(guard: &mut Guard, request: &str) -> Result<Visit, Refusal> {
        match read(request.as_bytes()) {
            Piece::Request(request) => guard.admit(&request),
            Piece::Part => panic!("a part: {request}"),
            Piece::Refused(refusal) => Err(refusal),
        }
    }

    fn get(guard: &Guard, tail: &str, fields: &str) -> String {
        format!("GET {} HTTP/1.1\r\nHost: localhost:8123\r\n{fields}\r\n", guard.place(tail))
    }

    fn cookie(guard: &Guard) -> String {
        let set = guard.cookie();
        format!("Cookie: other=1; {}\r\n", set.trim_start_matches("Set-Cookie: ").split(';').next().unwrap())
    }

    fn post(guard: &Guard, tail: &str, fields: &str, body: &str) -> String {
        format!(
            "POST {} HTTP/1.1\r\nHost: localhost:8123\r\n{}{fields}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            guard.place(tail),
            cookie(guard),
            body.len()
        )
    }

    const ORIGIN: &str = "Origin: http://localhost:8123\r\n";

    #[test]
    fn a_ticket_is_good_once_and_the_cookie_from_then_on() {
        let mut guard = Guard::new(8123).unwrap();
        let old = guard.link().unwrap();
        let link = guard.link().unwrap();
        let tail = |link: &str| link.split_once("/open").map(|(_, rest)| format!("open{rest}")).unwrap();
        let with = |guard: &Guard, link: &str| get(guard, &tail(link), "");
        let request = with(&guard, &old);
        assert_eq!(asked(&mut guard, &request), Err(Refusal::Spent), "a newer one was given out");
        let request = get(&guard, &tail(&link), "Sec-Fetch-Mode: no-cors\r\n");
        assert_eq!(asked(&mut guard, &request), Err(Refusal::Forged));
        let request = with(&guard, &link);
        assert_eq!(asked(&mut guard, &request), Ok(Visit::Open));
        assert_eq!(asked(&mut guard, &request), Err(Refusal::Spent));
        let request = get(&guard, &tail(&link), &cookie(&guard));
        assert_eq!(asked(&mut guard, &request), Ok(Visit::Open), "the same browser again");
        for (fields, answer) in [(String::new(), Err(Refusal::Locked)), (cookie(&guard), Ok(Visit::Show { watch: false }))] {
            let request = get(&guard, "", &fields);
            assert_eq!(asked(&mut guard, &request), answer);
        }
    }

    #[test]
    fn what_changes_something_proves_where_it_comes_from() {
        let mut guard = Guard::new(8123).unwrap();
        let proof = format!("{PROOF}={}", guard.proof());
        let request = post(&guard, "start", ORIGIN, &format!("workspace=profile%3Aa+b&host=&{proof}"));
        assert_eq!(asked(&mut guard, &request), Ok(Visit::Start { workspace: "profile:a b".into(), host: String::new(), name: String::new() }));
        for (fields, body) in [
            ("", proof.clone()),
            ("Origin: null\r\n", proof.clone()),
            ("Origin: http://localhost:9\r\n", proof.clone()),
            ("Origin: http://evil.example\r\n", proof.clone()),
            ("Origin: http://localhost:8123\r\nSec-Fetch-Site: same-site\r\n", proof.clone()),
            (ORIGIN, String::new()),
            (ORIGIN, format!("{PROOF}=x")),
        ] {
            let request = post(&guard, "close", fields, &body);
            assert_eq!(asked(&mut guard, &request), Err(Refusal::Forged), "{request}");
        }
        let request = post(&guard, "close", ORIGIN, &proof).replace("urlencoded", "plain");
        assert_eq!(asked(&mut guard, &request), Err(Refusal::Forged));
        let request = post(&guard, "close", ORIGIN, &proof).replace("Cookie: ", "Cakes: ");
        assert_eq!(asked(&mut guard, &request), Err(Refusal::Locked));
        let request = post(&guard, "close", ORIGIN, &format!("{proof}&{proof}"));
        assert_eq!(asked(&mut guard, &request), Err(Refusal::Broken));
    }

    #[test]
    fn other_names_paths_and_methods_are_nobodys() {
        let mut guard = Guard::new(8123).unwrap();
        let good = get(&guard, "", &cookie(&guard));
        for (request, refusal) in [
            (good.replace("localhost", "evil.example"), Refusal::Elsewhere),
            (good.replace("localhost:8123", "localhost:8124"), Refusal::Elsewhere),
            (good.replace("localhost:8123", "localhost"), Refusal::Elsewhere),
            (good.replace("localhost:8123", "127.0.0.1:8123"), Refusal::Elsewhere),
            (good.replace("GET /", "GET /x"), Refusal::Nothing),
            (good.replacen("/ HTTP", "/other HTTP", 1), Refusal::Nothing),
            (good.replacen("/ HTTP", "/?x HTTP", 1), Refusal::Nothing),
            ("GET / HTTP/1.1\r\nHost: localhost:8123\r\n\r\n".into(), Refusal::Nothing),
            (good.replace("GET", "HEAD"), Refusal::Method),
            (good.replace("GET", "OPTIONS"), Refusal::Method),
            (good.replace("Host:", "Host: a\r\nHost:"), Refusal::Broken),
            (good.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n"), Refusal::Broken),
            (good.replace("\r\n\r\n", "\r\nContent-Length: -1\r\n\r\n"), Refusal::Broken),
            (good.replace("\r\n\r\n", "\r\nContent-Length: 99999999999999999999999\r\n\r\n"), Refusal::TooLarge),
        ] {
            assert_eq!(asked(&mut guard, &request), Err(refusal), "{request}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(prop::sample::select(b"GETPOS /pHost: 1.localhost\r\n\r\n\x00\xffContent-Length: 9".to_vec()), 0..300)) {
            let mut guard = Guard::new(1).unwrap();
            if let Piece::Request(request) = read(&bytes) {
                let _admitted = guard.admit(&request);
            }
        }
    }
}
