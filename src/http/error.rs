//! What can go wrong with a request: the service refused it ([`ApiError`]), there was no usable reply ([`NetworkError`]), or the
//! credential belongs elsewhere ([`ForeignHost`]). All three can be found in an `anyhow` chain by their type.

use std::error::Error;
use std::fmt;
use std::io;

use jiff::Timestamp;
use reqwest::StatusCode;
use rustls::{AlertDescription, CertificateError, InvalidMessage};
use serde_json::Value;

use super::message::{Request, Verb};
use super::proxy::Route;
use super::redaction::Secrets;
use crate::clock;
use crate::error::Failure;
use crate::host::{Cloud, Host};
use crate::text;

/// Longest message of a service that is passed on, in characters.
const LONGEST_MESSAGE: usize = 4096;

/// The service answered with something else than success.
///
/// `Display` is the service's own message and nothing else. Compat: scripts match on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// The HTTP status; 200 where a page came instead of JSON.
    pub(crate) status: u16,
    /// Such as `RESOURCE_DOES_NOT_EXIST`, or `invalid_grant` from a token endpoint; empty where the reply has none.
    pub(crate) error_code: String,
    pub(crate) message: String,
    /// What support asks for, where the service told it.
    pub(crate) request_id: Option<String>,
    pub(crate) verb: Verb,
    /// Without the query, safe to show.
    pub(crate) path: String,
}

impl ApiError {
    /// Reads an error reply. Everything taken over is hidden where it repeats a secret of the request, made safe to show, and bounded.
    pub(super) fn read(request: &Request<'_>, status: u16, request_id: Option<&str>, body: &[u8], secrets: &Secrets) -> Self {
        let parsed = Parsed::of(status, body);
        let safe = |text: &str, limit: usize| text::one_line(&text::shortened(&secrets.hide(text), limit)).into_owned();
        Self {
            status,
            error_code: safe(&parsed.code, 100),
            // Further lines are indented, so that none of them passes for one of ours, such as a hint.
            message: text::lines(&text::shortened(secrets.hide(&text::shortened(&parsed.message, 2 * LONGEST_MESSAGE)).trim_end(), LONGEST_MESSAGE))
                .replace('\n', "\n    "),
            request_id: parsed.request_id.as_deref().or(request_id).map(|id| safe(id, 100)),
            verb: request.verb,
            path: request.shown_path(),
        }
    }

    /// A 2xx whose body is a page: the host is not what it was taken for, or a sign-in page stands in between.
    pub(super) fn page(request: &Request<'_>, status: u16) -> Self {
        Self::told(request, status, "received HTML response instead of JSON")
    }

    /// A 3xx: says where it pointed to, as far as that is an origin; nothing was sent there.
    pub(super) fn redirect(request: &Request<'_>, host: &Host, status: u16, location: Option<&str>) -> Self {
        let target = reqwest::Url::parse(host.as_str()).ok().zip(location).and_then(|(base, location)| base.join(location).ok());
        if let Some(target) = &target
            && target.path() == "/login.html"
            && target.query_pairs().any(|(name, value)| name == "error" && value == "private-link-validation-error")
        {
            let (link, terms) = match host.cloud() {
                Cloud::Aws => ("AWS PrivateLink", "VPC endpoint"),
                Cloud::Azure => ("Azure Private Link", "private endpoint"),
                Cloud::Gcp => ("Private Service Connect", "VPC endpoint"),
            };
            let message = format!(
                "this workspace is reached through {link} only, and the request did not come that way: \
                 use a network that has the workspace's {terms}, and check that DNS resolves {} to it",
                host.name()
            );
            return Self { status: 403, error_code: "PRIVATE_LINK_VALIDATION_ERROR".to_owned(), ..Self::told(request, status, &message) };
        }
        let place = match target.map(|target| target.origin()) {
            Some(origin) if origin.is_tuple() && origin.ascii_serialization() == host.as_str() => "another place on the same host".to_owned(),
            Some(origin) if origin.is_tuple() => text::one_line(&text::shortened(&origin.ascii_serialization(), 300)).into_owned(),
            _ => "a place that cannot be read".to_owned(),
        };
        Self::told(
            request,
            status,
            &format!("{host} redirects {} to {place}; redirects are not followed, so nothing was sent there: check the host", request.place()),
        )
    }

    fn told(request: &Request<'_>, status: u16, message: &str) -> Self {
        Self { status, error_code: String::new(), message: message.to_owned(), request_id: None, verb: request.verb, path: request.shown_path() }
    }

    /// The credential is not accepted: missing, expired, revoked.
    pub(crate) fn is_unauthenticated(&self) -> bool {
        self.status == 401
    }

    /// The credential is accepted, but may not do this.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.status == 403
    }

    /// A limit is reached that does not pass by waiting, such as 600 tokens of one user.
    pub(crate) fn is_quota(&self) -> bool {
        self.error_code == "QUOTA_EXCEEDED" || (matches!(self.status, 400 | 403 | 429) && self.message.to_ascii_lowercase().contains("quota"))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for ApiError {}

/// What an error body says, still untrusted.
#[derive(Default)]
struct Parsed {
    code: String,
    message: String,
    request_id: Option<String>,
}

impl Parsed {
    fn of(status: u16, body: &[u8]) -> Self {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("unknown status");
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        if text.is_empty() {
            return Self { code: code_of(reason), message: reason.to_owned(), request_id: None };
        }
        if let Ok(Value::Object(fields)) = serde_json::from_str(text) {
            return Self::of_json(status, reason, &fields);
        }
        if let Some((code, message)) = text.split_once(": ")
            && !code.is_empty()
            && !message.contains('\n')
            && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        {
            return Self { code: code.to_owned(), message: message.to_owned(), request_id: None };
        }
        if text.starts_with('<') {
            let message = within(text, "pre").or_else(|| within(text, "title")).unwrap_or(reason);
            return Self { code: code_of(reason), message: message.to_owned(), request_id: None };
        }
        Self { code: "UNKNOWN".to_owned(), message: text.to_owned(), request_id: None }
    }

    fn of_json(status: u16, reason: &str, fields: &serde_json::Map<String, Value>) -> Self {
        let text = |name: &str| match fields.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let request_id = fields
            .get("details")
            .and_then(Value::as_array)
            .and_then(|details| details.iter().find_map(|detail| detail.get("request_id").or_else(|| detail.get("requestId"))?.as_str().map(str::to_owned)));
        // OAuth (RFC 6749, section 5.2).
        if let (Some(code), Some(message)) = (text("error"), text("error_description")) {
            return Self { code, message, request_id };
        }
        // Google and Azure put the error into an object of its own.
        if let Some(Value::Object(inner)) = fields.get("error") {
            return Self { request_id, ..Self::of_json(status, reason, inner) };
        }
        let mut code = text("error_code").or_else(|| text("code")).unwrap_or_default();
        // API 1.2: `error` wins over `message`.
        let mut message = text("error").or_else(|| text("message")).unwrap_or_default();
        // SCIM (RFC 7644, section 3.12).
        if message.is_empty()
            && let Some(detail) = text("detail")
        {
            let detail = if detail == "null" { "SCIM API Internal Error".to_owned() } else { detail };
            message = text("scimType").map_or_else(|| detail.clone(), |kind| format!("{kind} {detail}"));
            if code.is_empty() {
                code = format!("SCIM_{}", text("status").unwrap_or_else(|| status.to_string()));
            }
        }
        if message.is_empty() {
            message = if code.is_empty() { reason.to_owned() } else { code.clone() };
        }
        Self { code, message, request_id }
    }
}

/// `Bad Request` as `BAD_REQUEST`.
fn code_of(reason: &str) -> String {
    reason.to_ascii_uppercase().replace([' ', '-', '\''], "_")
}

/// The text of the first element of a name in a page.
fn within<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    // Lower-casing ASCII keeps every position.
    let lower = page.to_ascii_lowercase();
    let open = lower.find(&format!("<{name}>"))? + name.len() + 2;
    let close = open + lower[open..].find(&format!("</{name}>"))?;
    Some(page[open..close].trim()).filter(|text| !text.is_empty())
}

/// The credential was issued for another origin: nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignHost {
    /// Where the credential belongs.
    pub(crate) credential: Host,
    /// Where it should have been sent.
    pub(crate) target: Host,
}

impl fmt::Display for ForeignHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the credential is for {}, so it was not sent to {}", self.credential, self.target)
    }
}

impl Error for ForeignHost {}

/// Why there was no usable reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NetworkErrorKind {
    /// Nothing listens there.
    Refused,
    /// The name is unknown to DNS.
    Unresolvable,
    /// There is no way to the address.
    Unreachable,
    /// No connection, or no more data, within the time limit.
    Timeout,
    /// No secure connection: the certificate, or no TLS at all.
    Tls,
    /// The connection was closed before the whole reply came.
    Reset,
    /// The reply is larger than is ever read.
    TooLarge,
    /// What came is not HTTP.
    Protocol,
    /// The proxy did not let the connection through.
    Proxy,
    /// A request that creates something was sent, and its reply was lost: the service may have carried it out.
    LostReply,
}

/// There was no usable reply; says why, and what to check.
#[derive(Debug)]
pub(crate) struct NetworkError {
    kind: NetworkErrorKind,
    #[cfg_attr(not(test), expect(dead_code, reason = "tests ask for it; the message names it"))]
    host: Host,
    failure: Failure,
}

impl NetworkError {
    pub(crate) fn kind(&self) -> NetworkErrorKind {
        self.kind
    }

    #[cfg(test)]
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The message with its hints, for the rim.
    pub(crate) fn failure(&self) -> &Failure {
        &self.failure
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(formatter)
    }
}

impl Error for NetworkError {}

/// One sending that brought no reply: what happened, before it is known whether it is final.
#[derive(Debug)]
pub(super) struct Break {
    pub(super) kind: NetworkErrorKind,
    /// Whether any of the request may have reached the service.
    pub(super) sent: bool,
    /// A clause behind a colon: `the connection was refused`.
    reason: String,
    hint: Option<String>,
}

impl Break {
    pub(super) fn new(kind: NetworkErrorKind, reason: impl Into<String>) -> Self {
        Self { kind, sent: true, reason: reason.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }

    /// From an error of the HTTP library, whose own text is never shown: it may hold the address with its query.
    pub(super) fn from_library(error: &reqwest::Error, host: &Host, route: &Route) -> Self {
        let cause = Cause::of(error);
        let mut found = Self::from_cause(&cause, error, host);
        found.sent = !(error.is_connect() || error.is_builder() || cause.canceled);
        if let (Route::Through(proxy), false) = (route, found.sent)
            && found.kind != NetworkErrorKind::Tls
        {
            found.reason = match cause.tunnel.as_deref() {
                Some(tunnel) if tunnel.contains("authorization") => "the proxy asks for a user name and password".to_owned(),
                Some(_) => "the proxy refused to connect to it".to_owned(),
                None => found.reason,
            };
            found.kind = NetworkErrorKind::Proxy;
            found.hint = Some(format!(
                "The way leads through the proxy {} (from {}); put the host into NO_PROXY if it can be reached directly",
                proxy.shown, proxy.variable
            ));
        }
        found
    }

    fn from_cause(cause: &Cause<'_>, error: &reqwest::Error, host: &Host) -> Self {
        use NetworkErrorKind as Kind;
        if let Some(tls) = cause.tls {
            let (reason, hint) = tls_reason(tls, host);
            return Self { hint, ..Self::new(Kind::Tls, reason) };
        }
        if cause.dns {
            let hint = format!("Check the spelling of {}, and that this machine has a network", host.name());
            return Self { hint: Some(hint), ..Self::new(Kind::Unresolvable, "its name cannot be resolved") };
        }
        if error.is_timeout() {
            let hint = "Check the network, VPN or firewall between this machine and the host".to_owned();
            return Self {
                hint: Some(hint),
                ..Self::new(Kind::Timeout, if error.is_connect() { "no connection within the time limit" } else { "no reply within the time limit" })
            };
        }
        match cause.io {
            Some(io::ErrorKind::ConnectionRefused) => {
                let hint = if host.is_loopback() {
                    "Check that the local server runs, and its port"
                } else {
                    "Check the host and its port, and any VPN or firewall in between"
                };
                return Self { hint: Some(hint.to_owned()), ..Self::new(Kind::Refused, "the connection was refused") };
            }
            Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable | io::ErrorKind::AddrNotAvailable | io::ErrorKind::NetworkDown) => {
                return Self { hint: Some("Check that this machine has a network".to_owned()), ..Self::new(Kind::Unreachable, "no network leads there") };
            }
            Some(
                io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
                | io::ErrorKind::NotConnected,
            ) => {
                return Self::new(
                    Kind::Reset,
                    if error.is_connect() {
                        "it closed the connection while it was being opened"
                    } else {
                        "it closed the connection before the reply was complete"
                    },
                );
            }
            Some(kind) => return Self::new(Kind::Reset, format!("the connection broke ({kind})")),
            None => {}
        }
        match cause.http {
            // The library has no public question for this case; the text is fixed.
            Some(http) if http.to_string() == "message head is too large" => {
                Self::new(Kind::TooLarge, "the head of its reply is larger than any that makes sense")
            }
            Some(http) if http.is_incomplete_message() || http.is_canceled() || http.is_closed() => {
                Self::new(Kind::Reset, "it closed the connection before the reply was complete")
            }
            Some(http) if http.is_timeout() => Self::new(Kind::Timeout, "no reply within the time limit"),
            Some(http) if http.is_parse() => {
                Self { hint: Some("Check the host and its port".to_owned()), ..Self::new(Kind::Protocol, "its reply is not HTTP") }
            }
            _ => Self::new(Kind::Protocol, "its reply cannot be understood"),
        }
    }

    /// The final error. `creating`: the request may have an effect that the lost reply would have told.
    pub(super) fn into_error(self, host: &Host, request: &Request<'_>, creating: bool) -> NetworkError {
        let Self { kind, sent, reason, hint } = self;
        let (kind, mut failure) = if creating && sent {
            let failure =
                Failure::new(format!("{} was sent to {host}, but its reply was lost: {reason}; the service may have carried it out", request.place()))
                    .hint("See what exists now before you repeat it, so that nothing is created twice");
            (NetworkErrorKind::LostReply, failure)
        } else if sent {
            (kind, Failure::new(format!("no usable reply from {host} to {}: {reason}", request.place())))
        } else {
            (kind, Failure::new(format!("cannot connect to {host}: {reason}")))
        };
        if let Some(hint) = hint {
            failure = failure.hint(hint);
        }
        NetworkError { kind, host: host.clone(), failure }
    }
}

/// What the chain of an error of the HTTP library says, by type where there is one.
struct Cause<'a> {
    tls: Option<&'a rustls::Error>,
    io: Option<io::ErrorKind>,
    http: Option<&'a hyper::Error>,
    dns: bool,
    canceled: bool,
    tunnel: Option<String>,
}

impl<'a> Cause<'a> {
    fn of(error: &'a reqwest::Error) -> Self {
        let mut cause = Self { tls: None, io: None, http: None, dns: error.is_dns(), canceled: false, tunnel: None };
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = next {
            cause.look_at(error);
            next = error.source();
        }
        cause
    }

    fn look_at(&mut self, error: &'a (dyn Error + 'static)) {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            self.tls.get_or_insert(tls);
        } else if let Some(io) = error.downcast_ref::<io::Error>() {
            // `source` of an I/O error skips the error inside it.
            match io.get_ref() {
                Some(inner) => self.look_at(inner),
                None => self.io = Some(io.kind()),
            }
            if self.io.is_none() && io.kind() != io::ErrorKind::Other {
                self.io = Some(io.kind());
            }
        } else if let Some(http) = error.downcast_ref::<hyper::Error>() {
            self.canceled |= http.is_canceled();
            self.http.get_or_insert(http);
        } else {
            // Types of hyper-util that are not public: only their fixed beginnings are looked at.
            let text = error.to_string();
            self.dns |= text.starts_with("dns error");
            if self.tunnel.is_none() && text.starts_with("tunnel error") {
                self.tunnel = Some(text);
            }
        }
    }
}

/// Why no secure connection came about, and what helps.
fn tls_reason(error: &rustls::Error, host: &Host) -> (String, Option<String>) {
    let day = |time: &rustls::pki_types::UnixTime| {
        i64::try_from(time.as_secs()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).map(clock::minute).unwrap_or_default()
    };
    let trust = || Some("If a company CA or an inspecting proxy stands in between, point SSL_CERT_FILE at a PEM file with its CA certificate".to_owned());
    let watch = || Some("Check the clock of this machine; if it is right, the host needs a new certificate".to_owned());
    match error {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => ("its certificate was issued by a CA that is not trusted here".to_owned(), trust()),
            CertificateError::BadSignature => ("its certificate carries a signature that does not match its CA".to_owned(), trust()),
            CertificateError::Expired => ("its certificate has expired".to_owned(), watch()),
            CertificateError::ExpiredContext { not_after, .. } => (format!("its certificate expired on {}", day(not_after)), watch()),
            CertificateError::NotValidYet => ("its certificate is not valid yet".to_owned(), watch()),
            CertificateError::NotValidYetContext { not_before, .. } => (format!("its certificate is not valid before {}", day(not_before)), watch()),
            CertificateError::NotValidForName => (format!("its certificate is not for {}", host.name()), None),
            CertificateError::NotValidForNameContext { presented, .. } => {
                let names = presented.iter().take(5).map(|name| text::quoted(name)).collect::<Vec<_>>().join(", ");
                let names = if names.is_empty() { "no name".to_owned() } else { names };
                (format!("its certificate is not for {}, but for {names}", host.name()), None)
            }
            CertificateError::Revoked => ("its certificate was revoked".to_owned(), None),
            CertificateError::BadEncoding => ("its certificate cannot be read".to_owned(), None),
            // webpki's own errors have no type here.
            other if brief(other).contains("CaUsedAsEndEntity") => ("its certificate is that of a CA, not one for servers".to_owned(), None),
            other => (format!("its certificate is not acceptable ({})", brief(other)), None),
        },
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion | InvalidMessage::MessageTooLarge) => {
            ("it does not speak TLS on that port".to_owned(), Some("Check the port; plain http is accepted for loopback hosts only".to_owned()))
        }
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) | rustls::Error::PeerIncompatible(_) => {
            ("it offers only outdated TLS versions or ciphers; TLS 1.2 is the least".to_owned(), None)
        }
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => (format!("it does not know the name {}", host.name()), None),
        rustls::Error::AlertReceived(alert) => (format!("it refused the secure connection ({})", brief(alert)), None),
        other => (format!("no secure connection came about ({})", brief(other)), None),
    }
}

fn brief(value: &dyn fmt::Debug) -> String {
    text::one_line(&text::shortened(&format!("{value:?}"), 120)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn read(status: u16, body: &str) -> ApiError {
        ApiError::read(&Request::get("/api/x?y=z"), status, None, body.as_bytes(), &Secrets::default())
    }

    #[test]
    fn every_shape_of_error_body_is_read() {
        for (status, body, code, message) in [
            (400, r#"{"error_code":"INVALID_STATE","message":"no"}"#, "INVALID_STATE", "no"),
            (400, r#"{"error_code":17,"message":"no"}"#, "17", "no"),
            (400, r#"{"error":"old api","message":"no"}"#, "", "old api"),
            (400, r#"{"error":"invalid_grant","error_description":"expired"}"#, "invalid_grant", "expired"),
            (403, r#"{"error":{"code":"Forbidden","message":"not you"}}"#, "Forbidden", "not you"),
            (409, r#"{"detail":"taken","status":"409","scimType":"uniqueness"}"#, "SCIM_409", "uniqueness taken"),
            (500, r#"{"detail":"null","status":500}"#, "SCIM_500", "SCIM API Internal Error"),
            (400, r#"{"detail":"bad"}"#, "SCIM_400", "bad"),
            (400, r#"{"error_code":"ONLY_CODE"}"#, "ONLY_CODE", "ONLY_CODE"),
            (404, "{}", "", "Not Found"),
            (404, r#"{"message":["odd"]}"#, "", "Not Found"),
            (400, "MALFORMED_REQUEST: vpc_endpoints are odd: x", "MALFORMED_REQUEST", "vpc_endpoints are odd: x"),
            (500, "<html><body><PRE>\n worker gone </PRE></body>", "INTERNAL_SERVER_ERROR", "worker gone"),
            (502, "<html><title>502 Bad Gateway</title>", "BAD_GATEWAY", "502 Bad Gateway"),
            (503, "<html>nothing", "SERVICE_UNAVAILABLE", "Service Unavailable"),
            (400, "", "BAD_REQUEST", "Bad Request"),
            (400, "  \n", "BAD_REQUEST", "Bad Request"),
            (799, "", "UNKNOWN_STATUS", "unknown status"),
            (418, "plain words", "UNKNOWN", "plain words"),
            (400, "[1,2]", "UNKNOWN", "[1,2]"),
        ] {
            let error = read(status, body);
            assert_eq!((error.error_code.as_str(), error.to_string().as_str()), (code, message), "{body}");
        }
        assert_eq!(read(500, &"[".repeat(100_000)).message.chars().count(), LONGEST_MESSAGE + 1);
        let odd = ApiError::read(&Request::get("/x"), 500, None, b"caf\xe9", &Secrets::default());
        assert_eq!(odd.message, "caf\u{fffd}");
    }

    #[test]
    fn what_is_shown_is_safe_bounded_and_without_secrets() {
        let signed = [("Authorization", Secret::new("Bearer dapi0123456789abcdef"))];
        let secrets = Secrets::of(&signed, &super::super::message::Body::Empty);
        let body = r#"{"error_code":"A\u001b[2J","message":"no \u001b]0;x\u0007 Bearer dapi0123456789abcdef\nline","details":[{"request_id":"r\n1"}]}"#;
        let error = ApiError::read(&Request::get("/x"), 401, None, body.as_bytes(), &secrets);
        assert_eq!(error.message, "no \\u{1b}]0;x\\u{7} ***\n    line");
        assert_eq!(error.error_code, "A\\u{1b}[2J");
        assert_eq!(error.request_id.as_deref(), Some("r\\n1"));
        assert!(!format!("{error:?}").contains("dapi0"));
    }

    #[test]
    fn classes_follow_status_and_code() {
        assert!(read(401, "").is_unauthenticated() && read(403, "").is_forbidden());
        assert!(read(400, r#"{"error_code":"QUOTA_EXCEEDED","message":"x"}"#).is_quota() && !read(429, "").is_quota());
    }

    #[test]
    fn redirects_name_the_origin_only() {
        let redirect = |location| ApiError::redirect(&Request::get("/x"), &Host::parse("https://h.example").expect("a host"), 302, location).to_string();
        assert!(redirect(Some("https://evil.example/steal?token=1")).contains("to https://evil.example;"));
        assert!(redirect(Some("/login.html?next=x")).contains("to another place on the same host;"));
        for location in [None, Some("data:x"), Some("https://[")] {
            assert!(redirect(location).contains("to a place that cannot be read;"), "{location:?}");
        }
        let error = ApiError::redirect(
            &Request::get("/x"),
            &Host::parse("adb-1.2.azuredatabricks.net").expect("a host"),
            302,
            Some("/login.html?x=1&error=private-link-validation-error:1"),
        );
        assert_eq!(error.status, 302);
        let error = ApiError::redirect(
            &Request::get("/x"),
            &Host::parse("adb-1.2.azuredatabricks.net").expect("a host"),
            302,
            Some("/login.html?x=1&error=private-link-validation-error"),
        );
        assert_eq!((error.status, error.error_code.as_str()), (403, "PRIVATE_LINK_VALIDATION_ERROR"));
        assert!(error.message.contains("Azure Private Link"), "{error}");
    }
}
