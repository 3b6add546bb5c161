//! [`Client`]: requests to one host, one after the other, over one connection that stays open.

use std::cell::{OnceCell, RefCell};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT};
use reqwest::{Method, StatusCode, Url};
use uuid::Uuid;

use super::error::{ApiError, Break, ForeignHost, NetworkErrorKind};
use super::message::{Repeat, Request, Response, Sign};
use super::proxy::Route;
use super::redaction::Secrets;
use super::retry::{Policy, Progress, Trouble};
use super::trace::Trace;
use super::trust::Sources;
use super::user_agent::UserAgent;
use crate::clock;
use crate::env::Env;
use crate::error::Failure;
use crate::host::Host;
use crate::secret::{Secret, Wiped};

/// More of an error reply is not read; none that is meant to be read is longer.
const LARGEST_ERROR: usize = 256 << 10;

/// A wait that is shorter goes by unnoticed.
const NOTICED_WAIT: Duration = Duration::from_secs(2);

/// The header that names the workspace on hosts that serve several.
const WORKSPACE_ID: HeaderName = HeaderName::from_static("x-databricks-workspace-id");

/// Takes a sentence for the person at the terminal.
pub(crate) type Notice = Box<dyn Fn(&str) + Send + Sync>;

/// Takes a reply as it comes.
pub(crate) type Sink<'a> = dyn FnMut(Part<'_>) -> anyhow::Result<()> + 'a;

/// A part of a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'p> {
    /// Once, of the reply that counts: success or final refusal.
    Head(Head<'p>),
    /// A piece of a body that is no JSON.
    Body(&'p [u8]),
}

/// Status and headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'h> {
    pub(crate) status: u16,
    headers: &'h HeaderMap,
}

impl<'h> Head<'h> {
    pub(super) fn new(status: u16, headers: &'h HeaderMap) -> Self {
        Self { status, headers }
    }

    /// All headers in the order of their names; values that are not ASCII are left out.
    pub(crate) fn headers(self) -> impl Iterator<Item = (&'h str, &'h str)> {
        self.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }

    /// As the first line of a reply shows it: `200 OK`.
    pub(crate) fn status_line(self) -> String {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        format!("{} {reason}", self.status).trim_end().to_owned()
    }

    /// What the reply says of its body.
    pub(crate) fn content(self) -> Content {
        let Some(kind) = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else { return Content::Unsaid };
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.rsplit('/').next() {
            Some("json") => Content::Json,
            Some(kind) if kind.ends_with("+json") => Content::Json,
            Some("html") => Content::Page,
            _ => Content::Other,
        }
    }

    /// Whether the body goes to the sink as it comes: success, and no JSON by its own words.
    fn is_poured(self) -> bool {
        (200..300).contains(&self.status) && self.content() == Content::Other
    }

    /// How many bytes the body has, where the reply says it.
    pub(crate) fn length(self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}

/// What a reply says that its body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Json,
    /// HTML: no API answers with it.
    Page,
    Other,
    Unsaid,
}

/// How a client behaves: bounds, and who is told.
pub(crate) struct Options {
    pub(crate) user_agent: UserAgent,
    /// For name resolution, connection and TLS handshake together.
    pub(crate) connect_timeout: Duration,
    /// Longest silence of the service: until the head of its reply, and between two pieces of it (`http_timeout_seconds`).
    pub(crate) inactivity_timeout: Duration,
    /// For one sending and its reply, however steadily that trickles in.
    pub(crate) total_timeout: Duration,
    /// For all sendings and waits of one request together (`retry_timeout_seconds`).
    pub(crate) retry_timeout: Duration,
    /// The first wait that is chosen without the service telling one.
    pub(crate) backoff: Duration,
    /// Sent with every request as `X-Databricks-Workspace-Id`. Compat: `none` counts as not set.
    pub(crate) workspace_id: Option<String>,
    /// Largest body of a reply, in bytes.
    pub(crate) max_body: usize,
    pub(crate) trace: Trace,
    /// Told in words before a wait that a person would notice.
    pub(crate) notice: Option<Notice>,
}

impl Options {
    /// The usual bounds, and nobody told.
    pub(crate) fn new(user_agent: UserAgent) -> Self {
        Self {
            user_agent,
            connect_timeout: Duration::from_secs(5),
            inactivity_timeout: Duration::from_secs(60),
            total_timeout: Duration::from_secs(5 * 60),
            retry_timeout: Duration::from_secs(300),
            backoff: Duration::from_millis(250),
            workspace_id: None,
            max_body: 32 << 20,
            trace: Trace::off(),
            notice: None,
        }
    }

    /// Another limit for silence, and with it for the whole of a sending.
    pub(crate) fn inactivity_timeout(mut self, timeout: Duration) -> Self {
        self.inactivity_timeout = timeout;
        self.total_timeout = timeout.saturating_mul(5);
        self
    }
}

/// Sends requests to one host and waits for the replies.
///
/// Making one is cheap: runtime, certificates and connection come with the first request. It blocks, so it must not be used within
/// an async runtime; several clients may work on several threads at once.
pub(crate) struct Client {
    host: Host,
    /// The same, ready for a path.
    origin: Url,
    options: Options,
    route: Route,
    roots: Sources,
    engine: OnceLock<Engine>,
}

/// What sending needs.
struct Engine {
    http: reqwest::Client,
    /// `None` only while dropping.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Engine {
    fn wait_for<T>(&self, work: impl Future<Output = T>) -> anyhow::Result<T> {
        let runtime = self.runtime.as_ref().context("the client is shutting down")?;
        Ok(runtime.block_on(work))
    }
}

impl Drop for Engine {
    /// A name resolution that hangs in the system's resolver cannot be stopped, and must not keep the program from ending.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A request ready for the wire.
struct Prepared<'a> {
    request: &'a Request<'a>,
    wire: reqwest::Request,
    credentials: Vec<(&'static str, Secret)>,
    secrets: OnceCell<Secrets>,
}

impl Prepared<'_> {
    /// What must not be shown. Most replies are fine, and nobody asks.
    fn secrets(&self) -> &Secrets {
        self.secrets.get_or_init(|| Secrets::of(&self.credentials, &self.request.body))
    }
}

/// A reply with any status.
struct Reply {
    status: u16,
    headers: HeaderMap,
    /// `None`: not read, because the status says enough.
    body: Option<Wiped>,
}

/// A reply other than success.
struct Refusal {
    error: ApiError,
    retry_after: Option<String>,
    status: u16,
    headers: HeaderMap,
}

impl Reply {
    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Client {
    /// A client for one host. Opens nothing and reads no file.
    ///
    /// # Errors
    /// When a proxy variable cannot be used, and for plain http to anything but loopback.
    pub(crate) fn new(host: Host, env: &Env, options: Options) -> Result<Self, Failure> {
        if !host.as_str().starts_with("https://") && !host.is_loopback() && !host.is_instance_metadata() {
            return Err(Failure::new(format!("{host} is not loopback: plain http would send the credential unprotected")));
        }
        let origin = Url::parse(host.as_str()).ok().filter(|url| url.origin().ascii_serialization() == host.as_str());
        let origin = origin.ok_or_else(|| Failure::new(format!("{host} has a name that cannot be read")))?;
        let route = Route::of(&host, env)?;
        Ok(Self { host, origin, options, route, roots: Sources::of(env), engine: OnceLock::new() })
    }

    /// Sends a request, again where that is safe and makes sense, and waits for the reply: 2xx, read whole.
    ///
    /// # Errors
    /// To be told apart by type: [`ForeignHost`] before anything is sent, [`ApiError`] for an answer other than 2xx,
    /// [`NetworkError`](super::NetworkError) where there was no usable answer. Others are mistakes in the settings, such as certificates that cannot be read.
    pub(crate) fn send(&self, signer: Option<&dyn Sign>, request: &Request<'_>) -> anyhow::Result<Response> {
        self.send_to(None, signer, request)
    }

    /// As [`Client::send`], and `sink` learns the head of the reply, also of one that refuses. The body of a successful reply that says it is neither JSON nor a page
    /// goes there too, piece by piece and of any size; the response then has none.
    pub(crate) fn download(&self, sink: &mut Sink<'_>, signer: Option<&dyn Sign>, request: &Request<'_>) -> anyhow::Result<Response> {
        self.send_to(Some(&RefCell::new(sink)), signer, request)
    }

    fn send_to(&self, sink: Option<&RefCell<&mut Sink<'_>>>, signer: Option<&dyn Sign>, request: &Request<'_>) -> anyhow::Result<Response> {
        let prepared = self.prepare(signer, request)?;
        let engine = self.engine()?;
        let policy = Policy { budget: self.options.retry_timeout, backoff: self.options.backoff };
        let started = Instant::now();
        let mut repeats = 0;
        loop {
            let outcome = engine.wait_for(self.exchange(engine, &prepared, sink))?;
            let progress = Progress { repeats, elapsed: started.elapsed() };
            let retry = |trouble| policy.wait(trouble, request.repeat, progress, clock::now(), random());
            let (wait, cause) = match outcome {
                Ok(reply) => match self.judge(&prepared, reply) {
                    Ok(response) => {
                        let head = response.head();
                        if let Some(sink) = sink.filter(|_| !head.is_poured()) {
                            (sink.borrow_mut())(Part::Head(head))?;
                        }
                        return Ok(response);
                    }
                    Err(refusal) => {
                        let Refusal { error, retry_after, status, headers } = *refusal;
                        let trouble =
                            Trouble::Refused { status: error.status, retry_after: retry_after.as_deref(), message: &error.message, quota: error.is_quota() };
                        match retry(trouble) {
                            Some(wait) => (wait, if error.status == 429 { "asks for fewer requests" } else { "is not available right now" }),
                            None => {
                                if let Some(sink) = sink {
                                    (sink.borrow_mut())(Part::Head(Head { status, headers: &headers }))?;
                                }
                                return Err(error.into());
                            }
                        }
                    }
                },
                Err(broken) => {
                    self.options.trace.note(|| format!("{} failed: {broken:?}", request.place()));
                    let wait = (broken.kind == NetworkErrorKind::Reset).then(|| retry(if broken.sent { Trouble::Lost } else { Trouble::NeverSent })).flatten();
                    match wait {
                        Some(wait) => (wait, "closed the connection"),
                        None => return Err(broken.into_error(&self.host, request, request.repeat == Repeat::OnlyIfRefused).into()),
                    }
                }
            };
            self.announce(wait, cause);
            engine.wait_for(async { tokio::time::sleep(wait).await })?;
            repeats += 1;
        }
    }

    fn announce(&self, wait: Duration, cause: &str) {
        self.options.trace.note(|| format!("trying again in {} ms", wait.as_millis()));
        if wait >= NOTICED_WAIT
            && let Some(notice) = &self.options.notice
        {
            let span = jiff::SignedDuration::try_from(wait).map(clock::rough).unwrap_or_default();
            notice(&format!("{} {cause}; trying again in {span}", self.host));
        }
    }

    /// Everything but the connection. Holds the credential to its host.
    fn prepare<'a>(&self, signer: Option<&dyn Sign>, request: &'a Request<'a>) -> anyhow::Result<Prepared<'a>> {
        if let Some(signer) = signer
            && *signer.host() != self.host
        {
            return Err(ForeignHost { credential: signer.host().clone(), target: self.host.clone() }.into());
        }
        let credentials = signer.map(Sign::headers).unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, header_value(&self.options.user_agent.for_auth(signer.and_then(Sign::auth_type)), "the User-Agent")?);
        if let Some(id) = self.options.workspace_id.as_deref().map(str::trim).filter(|id| !id.is_empty() && !id.eq_ignore_ascii_case("none")) {
            headers.insert(WORKSPACE_ID, header_value(id, "the workspace id")?);
        }
        for (name, value) in &request.headers {
            headers.insert(header_name(name)?, header_value(value, name)?);
        }
        for (name, value) in &credentials {
            headers.insert(header_name(name)?, secret_value(name, value)?);
        }
        let mut wire = reqwest::Request::new(request.verb.method(), self.address(request)?);
        if let Some((kind, body)) = request.body.encoded() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            *wire.body_mut() = Some(body.to_vec().into());
        } else if !matches!(*wire.method(), Method::GET | Method::HEAD | Method::DELETE) {
            // Some servers ask for a length where a body might be; the library sends none for an empty body.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        *wire.headers_mut() = headers;
        Ok(Prepared { request, wire, credentials, secrets: OnceCell::new() })
    }

    /// The whole address; never leaves the client's origin, whatever the path holds.
    fn address(&self, request: &Request<'_>) -> Result<Url, Failure> {
        let refuse = || Failure::new(format!("{} is no path on {}: it must start with /", crate::text::quoted(&request.path), self.host));
        if !request.path.starts_with('/') {
            return Err(refuse());
        }
        // A URL's path is normalised, also where the dots are percent-encoded: such a value would call another API than the one that was meant.
        let is_dots = |segment: &str| segment.len() <= "%2e%2e".len() && matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
        if request.path.split(['/', '?', '#']).any(is_dots) {
            return Err(Failure::new(format!("{} is no path on {}: . and .. cannot be part of it", crate::text::quoted(&request.path), self.host)));
        }
        let target = request.path.split('#').next().unwrap_or_default();
        // As the reader of whole addresses does it.
        let target = if target.len() == request.path.len() { target.trim_end_matches(|last| last <= ' ') } else { target };
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut url = self.origin.clone();
        url.set_path(path);
        url.set_query(query);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url)
    }

    fn engine(&self) -> anyhow::Result<&Engine> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let engine = self.start()?;
        Ok(self.engine.get_or_init(|| engine))
    }

    fn start(&self) -> anyhow::Result<Engine> {
        let secure = self.host.as_str().starts_with("https://");
        let tls = if secure { self.roots.tls()? } else { Sources::nobody()? };
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(secure)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(self.options.connect_timeout)
            .pool_max_idle_per_host(1)
            // The library would read the environment by itself; the route was decided from the snapshot.
            .no_proxy();
        if let Route::Through(proxy) = &self.route {
            let proxy = reqwest::Proxy::all(proxy.address.expose()).map_err(|_| Failure::new(format!("{} holds no usable proxy address", proxy.variable)))?;
            builder = builder.proxy(proxy);
        }
        if self.host.name() == "localhost" {
            // RFC 6761, section 6.3: localhost is loopback, whatever a resolver says; and asking none saves a thread.
            builder = builder.resolve_to_addrs("localhost", &[([127, 0, 0, 1], 0).into(), (std::net::Ipv6Addr::LOCALHOST, 0).into()]);
        }
        let http = builder.build().map_err(reqwest::Error::without_url).context("the HTTP client cannot be set up")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().context("the network runtime cannot be started")?;
        Ok(Engine { http, runtime: Some(runtime) })
    }

    /// One sending, and its reply.
    async fn exchange(&self, engine: &Engine, prepared: &Prepared<'_>, sink: Option<&RefCell<&mut Sink<'_>>>) -> Result<Reply, Break> {
        if sink.is_some() {
            // How long a body of any size takes, nobody can say; that it does not stand still is checked within.
            return self.exchange_unbounded(engine, prepared, sink).await;
        }
        let timed_out = || Break::new(NetworkErrorKind::Timeout, "the reply is not complete within the time limit");
        let limit = prepared.request.limit.map_or(self.options.total_timeout, |limit| limit.min(self.options.total_timeout));
        tokio::time::timeout(limit, self.exchange_unbounded(engine, prepared, sink)).await.unwrap_or_else(|_| Err(timed_out()))
    }

    async fn exchange_unbounded(&self, engine: &Engine, prepared: &Prepared<'_>, sink: Option<&RefCell<&mut Sink<'_>>>) -> Result<Reply, Break> {
        // Lets the connection notice that the service closed it since the last request, before anything is written to it.
        tokio::task::yield_now().await;
        let started = Instant::now();
        let wire = prepared.wire.try_clone().ok_or_else(|| Break::new(NetworkErrorKind::Protocol, "the request cannot be sent"))?;
        if self.options.trace.is_on() {
            self.options.trace.request(self.host.as_str(), prepared.request, wire.url(), wire.headers(), prepared.secrets());
        }
        let broken = |error: &reqwest::Error| Break::from_library(error, &self.host, &self.route);
        let silent = || Break::new(NetworkErrorKind::Timeout, format!("nothing came for {} seconds", self.options.inactivity_timeout.as_secs_f32()));
        let head = tokio::time::timeout(self.options.connect_timeout + self.options.inactivity_timeout, engine.http.execute(wire));
        let mut incoming = head.await.map_err(|_| silent())?.map_err(|error| broken(&error))?;
        let status = incoming.status();
        let headers = incoming.headers().clone();
        let body = if status.is_redirection() {
            None
        } else if let Some(sink) = sink.filter(|_| Head { status: status.as_u16(), headers: &headers }.is_poured()) {
            self.pour(&mut incoming, Head { status: status.as_u16(), headers: &headers }, sink).await?;
            None
        } else {
            let limit = if status.is_success() { self.options.max_body } else { LARGEST_ERROR.min(self.options.max_body) };
            let too_large = || {
                Break::new(NetworkErrorKind::TooLarge, format!("it is larger than {limit} bytes, the most that is read at once"))
                    .hint("Ask for less: with the filters of the call, or in pages (page_size)")
            };
            let told = incoming.content_length().and_then(|length| usize::try_from(length).ok());
            if status.is_success() && incoming.content_length().is_some() && told.is_none_or(|told| told > limit) && prepared.request.verb != super::Verb::Head
            {
                return Err(too_large());
            }
            let mut body = Wiped::new(Vec::with_capacity(told.unwrap_or_default().min(limit).min(1 << 20)));
            loop {
                let piece = match tokio::time::timeout(self.options.inactivity_timeout, incoming.chunk()).await {
                    Ok(Ok(None)) => break,
                    Ok(Ok(Some(piece))) => piece,
                    // Half an error message is better than none.
                    _ if !status.is_success() => break,
                    Ok(Err(error)) => return Err(broken(&error)),
                    Err(_) => return Err(silent()),
                };
                let room = limit - body.len();
                if piece.len() > room {
                    if status.is_success() {
                        return Err(too_large());
                    }
                    body.extend_from_slice(&piece[..room]);
                    break;
                }
                body.extend_from_slice(&piece);
            }
            Some(body)
        };
        let status = status.as_u16();
        if self.options.trace.is_on() {
            self.options.trace.reply(status, &headers, body.as_deref().map(Vec::as_slice), started.elapsed(), prepared.secrets());
        }
        Ok(Reply { status, headers, body })
    }

    /// Hands a body on as it comes. What went wrong after the first piece is final: the piece cannot be taken back.
    async fn pour(&self, incoming: &mut reqwest::Response, head: Head<'_>, sink: &RefCell<&mut Sink<'_>>) -> Result<(), Break> {
        let mut poured = 0;
        let of_all = head.length().map_or(String::new(), |length| format!(" of {length}"));
        let broken_off = |poured: usize, why: &str| Break::new(NetworkErrorKind::Protocol, format!("it broke off after {poured}{of_all} bytes: {why}"));
        let pass_on = |part: Part<'_>, poured| (sink.borrow_mut())(part).map_err(|error| broken_off(poured, &format!("{error:#}")));
        pass_on(Part::Head(head), poured)?;
        loop {
            let piece = match tokio::time::timeout(self.options.inactivity_timeout, incoming.chunk()).await {
                Ok(Ok(None)) => return Ok(()),
                Ok(Ok(Some(piece))) => piece,
                Ok(Err(_)) => return Err(broken_off(poured, "the connection was closed")),
                Err(_) => return Err(broken_off(poured, "nothing more came")),
            };
            pass_on(Part::Body(&piece), poured)?;
            poured += piece.len();
        }
    }

    /// Success, or the error with the wait that the service asked for.
    fn judge(&self, prepared: &Prepared<'_>, reply: Reply) -> Result<Response, Box<Refusal>> {
        let request = prepared.request;
        let status = reply.status;
        let refusal = |reply: &Reply, error, retry_after| Err(Box::new(Refusal { error, retry_after, status, headers: reply.headers.clone() }));
        if (300..400).contains(&status) {
            // A service that puts what it was sent into the name of the place must not make us print it.
            let location = reply.header(&LOCATION).filter(|location| !prepared.secrets().are_in(location));
            let mut error = ApiError::redirect(request, &self.host, status, location);
            error.message = prepared.secrets().hide(&error.message).into_owned();
            return refusal(&reply, error, None);
        }
        let request_id = ["x-request-id", "x-databricks-request-id", "x-ms-request-id"].iter().find_map(|name| reply.headers.get(*name)?.to_str().ok());
        let body = reply.body.as_deref().map_or(&[][..], Vec::as_slice);
        if !(200..300).contains(&status) {
            let error = ApiError::read(request, status, request_id, body, prepared.secrets());
            return refusal(&reply, error, reply.header(&RETRY_AFTER).map(str::to_owned));
        }
        if body.trim_ascii_start().starts_with(b"<") {
            return refusal(&reply, ApiError::page(request, status), None);
        }
        Ok(Response { status, body: reply.body.unwrap_or_default(), headers: reply.headers, place: request.place() })
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").field("host", &self.host).field("route", &self.route).finish_non_exhaustive()
    }
}

/// Evenly distributed, for spreading waits; no secret depends on it.
fn random() -> u32 {
    let bytes = *Uuid::new_v4().as_bytes();
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn header_name(name: &str) -> Result<HeaderName, Failure> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Failure::new(format!("{} is no name of a header", crate::text::quoted(name))))
}

fn header_value(value: &str, what: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(value).map_err(|_| Failure::new(format!("{what} holds characters that cannot be sent: {}", crate::text::quoted(value))))
}

/// As [`header_value`], but the text is neither shown nor logged.
fn secret_value(name: &str, value: &Secret) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
        Failure::new(format!("the credential for the header {name} holds characters that cannot be sent, such as a line break"))
            .hint("Check that the token was copied whole and alone")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::error::NetworkError;
    use super::super::loopback::{Act, Server, ok, raw, reply};
    use super::super::message::Verb;
    use super::super::user_agent::Interactive;
    use super::*;

    struct Pat(Host);

    impl Sign for Pat {
        fn host(&self) -> &Host {
            &self.0
        }

        fn headers(&self) -> Vec<(&'static str, Secret)> {
            vec![("Authorization", "Bearer dapi0123456789abcdef".into()), ("X-Databricks-Azure-SP-Management-Token", "eyJmanagement.token.here".into())]
        }

        fn auth_type(&self) -> Option<&'static str> {
            Some("pat")
        }
    }

    /// Bounds so short that a test that meets them is over at once, yet long enough for a busy machine.
    fn options() -> Options {
        let mut options = Options::new(UserAgent::new(&Env::default(), None, Uuid::nil(), Interactive::None));
        options.connect_timeout = Duration::from_secs(2);
        options.backoff = Duration::from_millis(1);
        options
    }

    fn impatient() -> Options {
        let mut options = options().inactivity_timeout(Duration::from_millis(50));
        options.connect_timeout = Duration::from_millis(50);
        options
    }

    fn client_with(host: Host, options: Options) -> Client {
        Client::new(host, &Env::default(), options).expect("a client")
    }

    fn client(server: &Server) -> Client {
        client_with(server.host(), options())
    }

    fn get(server: &Server) -> anyhow::Result<Response> {
        client(server).send(Some(&Pat(server.host())), &Request::get("/api/x"))
    }

    fn post(server: &Server) -> anyhow::Result<Response> {
        client(server).send(Some(&Pat(server.host())), &Request::new(Verb::Post, "/api/create").json(r#"{"comment":"c"}"#))
    }

    fn api(outcome: anyhow::Result<Response>) -> ApiError {
        outcome.expect_err("an error").downcast().expect("an ApiError")
    }

    fn network(outcome: anyhow::Result<Response>) -> NetworkError {
        outcome.expect_err("an error").downcast().expect("a NetworkError")
    }

    #[test]
    fn a_request_carries_what_it_should_and_no_more() {
        let server = Server::start(vec![ok(r#"{"a":1}"#)]);
        let mut options = options();
        options.workspace_id = Some("123".into());
        let request = Request::get("/api/2.0/x?a=b").query("page token", "ä&=").header("X-Plain", "yes");
        let response = client_with(server.host(), options).send(Some(&Pat(server.host())), &request).expect("a response");
        assert_eq!((response.status, response.header("content-TYPE")), (200, Some("application/json")));
        assert_eq!(response.json::<serde_json::Value>().expect("JSON")["a"], 1);
        let sent = &server.requests()[0];
        assert!(sent.starts_with("GET /api/2.0/x?a=b&page+token=%C3%A4%26%3D HTTP/1.1\r\n"), "{sent}");
        let sent = sent.to_ascii_lowercase();
        for header in ["authorization: bearer dapi0123456789abcdef", "accept: application/json", "x-databricks-workspace-id: 123", "x-plain: yes", "auth/pat"] {
            assert!(sent.contains(header), "{header} in {sent}");
        }
        for absent in ["accept-encoding", "referer", "cookie", "content-length", "proxy"] {
            assert!(!sent.contains(absent), "{absent} in {sent}");
        }
    }

    #[test]
    fn unsigned_requests_and_unset_workspaces_leave_no_header() {
        for unset in [None, Some(""), Some("  "), Some("none"), Some("NONE")] {
            let server = Server::start(vec![ok("{}")]);
            let mut options = options();
            options.workspace_id = unset.map(str::to_owned);
            client_with(server.host(), options).send(None, &Request::get("/")).expect("a response");
            let sent = server.requests()[0].to_ascii_lowercase();
            assert!(!sent.contains("workspace-id") && !sent.contains("authorization") && !sent.contains("auth/"), "{sent}");
        }
    }

    #[test]
    fn the_connection_stays_open_and_a_closed_one_is_replaced() {
        let server = Server::start(vec![ok("{}"), ok("{}"), [ok("{}"), vec![Act::CloseWhenTold]].concat(), ok("{}")]);
        let client = client(&server);
        for _ in 0..3 {
            client.send(None, &Request::get("/")).expect("a response");
        }
        assert_eq!(server.connections(), 1);
        server.close();
        client.send(None, &Request::new(Verb::Post, "/").json("{}")).expect("a creating request is not lost on a connection that was closed before");
        assert_eq!((server.connections(), server.requests().len()), (2, 4));
    }

    #[test]
    fn a_credential_is_held_to_its_host() {
        let server = Server::start(vec![ok("{}")]);
        for foreign in
            ["https://other.example".to_owned(), format!("https://127.0.0.1:{}", server.address.port()), format!("http://localhost:{}", server.address.port())]
        {
            let signer = Pat(Host::parse(&foreign).expect("a host"));
            let error: ForeignHost = client(&server).send(Some(&signer), &Request::get("/")).expect_err("refused").downcast().expect("its type");
            assert_eq!(error.credential.as_str(), foreign);
        }
        assert_eq!(server.connections(), 0);
    }

    #[test]
    fn redirects_are_never_followed() {
        for status in ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
            let evil = Server::start(vec![ok("{}")]);
            let server = Server::start(vec![reply(status, &[&format!("Location: {}/steal?token=1", evil.host())], "")]);
            for outcome in [get(&server), post(&server)] {
                let error = api(outcome);
                assert!(error.message.contains(evil.host().as_str()) && !error.message.contains("steal"), "{error}");
            }
            assert_eq!((evil.connections(), server.requests().len()), (0, 2));
        }
        let server = Server::start(vec![reply("302 Found", &["Location: /other"], "")]);
        assert!(api(get(&server)).message.contains("another place on the same host"));
        assert_eq!(server.requests().len(), 1);
    }

    #[test]
    fn paths_do_not_leave_the_host() {
        let server = Server::start(vec![ok("{}")]);
        let client = client(&server);
        for path in ["", "x", "@evil.example/", ":1/", ".evil.example", "https://evil.example/", "/../../x", "/a/%2E%2e", "/.?x"] {
            assert!(client.send(None, &Request::get(path)).is_err(), "{path}");
        }
        for path in ["//evil.example/x", "/\\evil.example", "/a..b/x", "/a b\r\nX: y", "/@evil.example", "/x#fragment"] {
            client.send(None, &Request::get(path)).expect(path);
        }
        for sent in server.requests() {
            assert!(
                sent.contains(&format!("host: 127.0.0.1:{}\r\n", server.address.port())) && !sent.contains("\nX: y") && !sent.contains("fragment"),
                "{sent}"
            );
        }
    }

    proptest::proptest! {
        /// An address is put together from its parts as it would be read as a whole.
        #[test]
        fn addresses_are_read_as_a_whole(path in "/[a-z/?#&=%+;:@.\\\\ \t\n\u{1}\"'<>|{}^`~ä€0-9\\[\\]]{0,24}") {
            let client = Client::new(Host::parse("https://h.example:8443").expect("a host"), &Env::default(), options()).expect("a client");
            let mut whole = Url::parse(&format!("{}{path}", client.host)).expect("an address");
            whole.set_fragment(None);
            if let Ok(address) = client.address(&Request::get(path.as_str())) {
                proptest::prop_assert_eq!(address, whole);
            }
        }
    }

    #[test]
    fn errors_of_the_service_speak_for_themselves() {
        let server =
            Server::start(vec![reply("403 Forbidden", &["X-Request-Id: r-1"], r#"{"error_code":"PERMISSION_DENIED","message":"Invalid access token."}"#)]);
        let error = api(get(&server));
        assert_eq!((error.to_string().as_str(), error.request_id.as_deref(), error.path.as_str()), ("Invalid access token.", Some("r-1"), "/api/x"));
        assert_eq!(server.requests().len(), 1, "403 is not retried");
        let echo = Server::start(vec![reply("401 Unauthorized", &[], r#"{"message":"bad header Bearer dapi0123456789abcdef / eyJmanagement.token.here"}"#)]);
        assert_eq!(api(get(&echo)).message, "bad header *** / ***");
        let page = Server::start(vec![reply("200 OK", &["Content-Type: text/html"], "\n<html>sign in</html>")]);
        assert_eq!(api(get(&page)).message, "received HTML response instead of JSON");
        let unfinished = Server::start(vec![raw("HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\nhalf a mess")]);
        assert_eq!(api(get(&unfinished)).message, "half a mess");
        let huge = Server::start(vec![vec![
            Act::Send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec()),
            Act::Endless(vec![b'x'; 9000], Duration::ZERO),
        ]]);
        assert_eq!(api(get(&huge)).message.chars().count(), 4097);
    }

    #[test]
    fn empty_and_odd_replies_are_taken_as_they_are() {
        let server = Server::start(vec![
            vec![Act::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())],
            reply("200 OK", &["Content-Type: image/png"], "{}"),
            raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\"\xff\"".to_vec()),
            ok(&"[".repeat(100_000)),
            vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n".to_vec())],
        ]);
        let client = client(&server);
        let send = |verb| client.send(None, &Request::new(verb, "/")).expect("a response");
        assert!(send(Verb::Get).body.is_empty());
        assert_eq!(&**send(Verb::Get).body, b"{}");
        assert!(send(Verb::Get).json::<String>().is_err());
        assert!(send(Verb::Get).json::<serde_json::Value>().is_err());
        assert!(send(Verb::Head).body.is_empty());
    }

    #[test]
    fn nothing_is_endless() {
        let head = b"HTTP/1.1 200 OK\r\n".to_vec();
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for (acts, kind) in [
            (vec![Act::Send(head.clone()), Act::Endless(b"X-A: bbbbbbbbbbbbbbbb\r\n".to_vec(), Duration::ZERO)], NetworkErrorKind::TooLarge),
            (vec![Act::Send(head.clone()), Act::Endless(b"X".to_vec(), Duration::from_millis(5))], NetworkErrorKind::Timeout),
            (
                vec![Act::Send(chunked.clone()), Act::Endless(b"400\r\n".iter().copied().chain([b'x'; 1024]).chain(*b"\r\n").collect(), Duration::ZERO)],
                NetworkErrorKind::TooLarge,
            ),
            (vec![Act::Send(chunked.clone()), Act::Endless(b"1\r\nx\r\n".to_vec(), Duration::from_millis(5))], NetworkErrorKind::Timeout),
            (vec![Act::Send(chunked), Act::Silence], NetworkErrorKind::Timeout),
            (vec![Act::Silence], NetworkErrorKind::Timeout),
            (vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n".to_vec()), Act::Silence], NetworkErrorKind::TooLarge),
            (vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n".to_vec()), Act::Silence], NetworkErrorKind::Protocol),
        ] {
            let server = Server::start(vec![acts]);
            // Only where it is time that ends it: a busy machine must not turn one bound into another.
            let mut options = if kind == NetworkErrorKind::Timeout { impatient() } else { options() };
            options.max_body = 100_000;
            let error = network(client_with(server.host(), options).send(None, &Request::get("/")));
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(server.requests().len(), 1, "{error}");
        }
    }

    #[test]
    fn what_is_no_http_is_said() {
        let server = Server::start(vec![raw("SSH-2.0-OpenSSH_9.2\r\n")]);
        let error = network(get(&server));
        assert_eq!(error.kind(), NetworkErrorKind::Protocol, "{error}");
    }

    #[test]
    fn a_host_that_is_not_there_is_said_at_once() {
        let host = Host::parse("http://127.0.0.1:1").expect("a host");
        let error = network(client_with(host.clone(), options()).send(None, &Request::new(Verb::Post, "/")));
        assert_eq!((error.kind(), error.host()), (NetworkErrorKind::Refused, &host));
        assert!(error.to_string().contains(host.as_str()) && !error.failure().hints().is_empty(), "{error}");
        let error = network(client_with(Host::parse("https://no-such-host.invalid").expect("a host"), options()).send(None, &Request::get("/?secret=1")));
        assert!(matches!(error.kind(), NetworkErrorKind::Unresolvable | NetworkErrorKind::Timeout), "{error:?}");
        assert!(!error.to_string().contains("secret=1"), "{error}");
    }

    #[test]
    fn localhost_is_loopback_without_asking() {
        let server = Server::start(vec![ok("{}")]);
        client_with(server.host_named("localhost"), options()).send(None, &Request::get("/")).expect("a response");
    }

    #[test]
    fn reads_survive_lost_replies_and_creating_requests_do_not_repeat() {
        for lost in [vec![Act::Close], raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), raw("HTTP/1.1 200 O")] {
            let server = Server::start(vec![lost.clone(), lost.clone(), ok("{}")]);
            get(&server).expect("the third reply");
            assert_eq!(server.requests().len(), 3);
            let server = Server::start(vec![lost.clone()]);
            assert_eq!(network(get(&server)).kind(), NetworkErrorKind::Reset);
            assert_eq!(server.requests().len(), 3, "two repeats, no more");
            let server = Server::start(vec![lost, ok("{}")]);
            let error = network(post(&server));
            assert_eq!((error.kind(), server.requests().len()), (NetworkErrorKind::LostReply, 1));
            assert!(error.to_string().contains("POST /api/create") && error.to_string().contains("may have carried it out"), "{error}");
        }
        let server = Server::start(vec![vec![Act::CloseUnread]]);
        let error = network(post(&server));
        assert_eq!((error.kind(), server.requests().len()), (NetworkErrorKind::LostReply, 1), "{error}");
        let server = Server::start(vec![vec![Act::Silence]]);
        let error = network(client_with(server.host(), impatient()).send(None, &Request::new(Verb::Post, "/x")));
        assert_eq!((error.kind(), server.requests().len()), (NetworkErrorKind::LostReply, 1), "{error}");
        let server = Server::start(vec![reply("502 Bad Gateway", &[], ""), ok("{}")]);
        assert_eq!(api(post(&server)).status, 502);
        assert_eq!(server.requests().len(), 1);
    }

    #[test]
    fn refusals_are_repeated_within_the_budget() {
        let busy = |headers: &[&str]| reply("429 Too Many Requests", headers, r#"{"message":"slow down"}"#);
        let server = Server::start(vec![busy(&["Retry-After: 0"]), reply("503 Service Unavailable", &["retry-after: 0"], ""), ok("{}")]);
        post(&server).expect("the third reply");
        assert_eq!(server.requests().len(), 3);
        let server = Server::start(vec![reply("503 Service Unavailable", &[], ""), ok("{}")]);
        assert_eq!(api(post(&server)).status, 503);
        get(&server).expect("a read goes on");
        let server = Server::start(vec![busy(&["Retry-After: 30"])]);
        let mut options = options();
        options.retry_timeout = Duration::from_secs(20);
        let error = api(client_with(server.host(), options).send(None, &Request::get("/")));
        assert_eq!((error.message.as_str(), server.requests().len()), ("slow down", 1), "a wait beyond the budget is not begun");
    }

    #[test]
    fn long_waits_are_announced() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut options = options();
        let list = told.clone();
        options.notice = Some(Box::new(move |text| list.lock().expect("the list").push(text.to_owned())));
        let client = client_with(Host::parse("https://h.example").expect("a host"), options);
        client.announce(Duration::from_millis(1_999), "is busy");
        client.announce(Duration::from_secs(12), "is busy");
        assert_eq!(*told.lock().expect("the list"), ["https://h.example is busy; trying again in 12 seconds"]);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_without_being_shown() {
        struct Odd(Host);
        impl Sign for Odd {
            fn host(&self) -> &Host {
                &self.0
            }
            fn headers(&self) -> Vec<(&'static str, Secret)> {
                vec![("Authorization", "Bearer dapi\nX-Evil: 1".into())]
            }
            fn auth_type(&self) -> Option<&'static str> {
                Some("pat")
            }
        }
        let server = Server::start(vec![ok("{}")]);
        let error = client(&server).send(Some(&Odd(server.host())), &Request::get("/")).expect_err("refused").to_string();
        assert!(error.contains("Authorization") && !error.contains("dapi"), "{error}");
        assert_eq!(server.connections(), 0);
    }

    /// A writer that several threads can look into.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("the text").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_trace_shows_requests_without_secrets() {
        let out = Shared::default();
        let body = r#"{"token_value":"dapiNEW","echo":"Bearer dapi0123456789abcdef","comment":"\u001b[2J"}"#;
        let server = Server::start(vec![reply("200 OK", &["Set-Cookie: session=cookie-secret", "X-Odd: odd-value"], body), vec![Act::Close]]);
        let mut options = options();
        options.trace = Trace::to(out.clone());
        let client = client_with(server.host(), options);
        let request = Request::new(Verb::Post, "/api/x?code=query-secret&a=b")
            .form(vec![("grant_type", "refresh_token".into()), ("refresh_token", "form-secret".into())]);
        client.send(Some(&Pat(server.host())), &request).expect("a response");
        client.send(Some(&Pat(server.host())), &request).expect_err("a lost reply");
        let text = String::from_utf8(out.0.lock().expect("the text").clone()).expect("UTF-8");
        for shown in [
            " Debug: POST /api/x?code=**REDACTED**&a=b\n",
            &format!("> * Host: {}\n", server.host()),
            "> * Authorization: **REDACTED**\n",
            "> * X-Databricks-Azure-Sp-Management-Token: **REDACTED**\n",
            "> grant_type=refresh_token&refresh_token=**REDACTED**\n",
            "< 200 OK (",
            "< * Set-Cookie: **REDACTED**\n",
            "< * X-Odd: (9 bytes)\n",
            "\"token_value\":\"**REDACTED**\"",
            "Debug: POST /api/x failed: ",
        ] {
            assert!(text.contains(shown), "{shown} in {text}");
        }
        for secret in ["dapi", "eyJ", "cookie-secret", "form-secret", "query-secret", "\u{1b}"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }

    #[test]
    fn a_proxy_sees_connect_and_nothing_else() {
        let through = |script| {
            let proxy = Server::start(vec![script]);
            let address = format!("http://user:p%40ss^|w'd@127.0.0.1:{}", proxy.address.port());
            let client =
                Client::new(Host::parse("https://h.example").expect("a host"), &Env::default().with("HTTPS_PROXY", &address), options()).expect("a client");
            let error = network(client.send(Some(&Pat(client.host.clone())), &Request::new(Verb::Post, "/api/create").json("{}")));
            (proxy.requests(), error)
        };
        let (requests, error) = through(reply("407 Proxy Authentication Required", &[], ""));
        assert_eq!((error.kind(), requests.len()), (NetworkErrorKind::Proxy, 1), "{error}");
        assert!(requests[0].starts_with("CONNECT h.example:443 HTTP/1.1\r\n"), "{requests:?}");
        let sent = requests[0].to_ascii_lowercase();
        assert!(
            sent.contains("proxy-authorization: basic ") && !sent.contains("\r\nauthorization") && !sent.contains("dapi") && !sent.contains("management"),
            "{sent}"
        );
        let shown = format!("{error} {error:?} {:?}", error.failure().hints());
        assert!(shown.contains("HTTPS_PROXY") && !shown.contains("p%40ss") && !shown.contains("p@ss"), "{shown}");
        let (_, error) = through(reply("403 Forbidden", &[], ""));
        assert!(error.to_string().contains("the proxy refused to connect"), "{error}");
        let (_, error) = through(raw("HTTP/1.1 200 OK\r\n\r\n"));
        assert_eq!(error.kind(), NetworkErrorKind::Proxy, "{error}");
    }

    #[test]
    fn loopback_goes_around_proxies() {
        let (proxy, server) = (Server::start(vec![ok("{}")]), Server::start(vec![ok("{}")]));
        let mut env = Env::default();
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            env = env.with(name, proxy.host().as_str());
        }
        Client::new(server.host(), &env, options()).expect("a client").send(None, &Request::get("/")).expect("a response");
        assert_eq!((proxy.connections(), server.connections()), (0, 1));
    }

    #[test]
    fn clients_work_side_by_side() {
        let server = Server::start(vec![ok("{}")]);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| get(&server).expect("a response"));
            }
        });
        assert_eq!(server.requests().len(), 8);
    }
}
