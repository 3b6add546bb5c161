//! A person signs in: the link, the wait for the browser or for a pasted address, and the exchange of the code (RFC 6749, section 4.1; RFC 7636; RFC 9207).

use std::time::{Duration, Instant};

use anyhow::Result;

use super::browser::{self, Opening};
use super::callback::{self, Answer, Callback, Denied, Listener};
use super::guide::Guide;
use super::page::Page;
use super::pkce::{State, Verifier};
use super::server::{ClientProof, Endpoints, Server};
use super::{ALL_APIS, CLIENT_ID, query};
use crate::auth::Ports;
use crate::clock;
use crate::env::{self, Env};
use crate::error::Failure;
use crate::host::Host;
use crate::http::Repeat;
use crate::secret::Secret;
use crate::storage::StoredToken;
use crate::text;
use crate::ui::Ui;
use crate::ui::prompt::Cancelled;

/// Where people find the host that they are to sign in to.
const DISCOVERY_HOST: &str = "https://login.databricks.com";
/// How long the browser is waited for to come for the last page. It does so at once, or not at all.
const PAGE_LIMIT: Duration = Duration::from_secs(1);
/// The scope that a refresh token comes with.
const OFFLINE_ACCESS: &str = "offline_access";

/// Who is asked, and for how long.
pub(crate) struct Desk<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) ports: &'a Ports<'a>,
    /// Whether the link is only shown, for a browser on another machine.
    pub(crate) no_browser: bool,
    /// When to give up.
    pub(crate) deadline: Instant,
    /// The page that leads the person, where it is not the terminal.
    pub(crate) guide: Option<&'a Guide>,
}

/// What was granted.
pub(crate) struct Granted {
    pub(crate) token: StoredToken,
    pub(crate) ending: Ending,
}

/// What was granted by a host that the person found on the way.
pub(crate) struct Discovered {
    pub(crate) host: Host,
    /// Where the host's server grants for a whole account.
    pub(crate) account_id: Option<String>,
    pub(crate) granted: Granted,
}

/// The browser that waits for the last page. Dropped, it is told that the sign-in did not work.
#[derive(Debug)]
pub(crate) struct Ending {
    listener: Option<Listener>,
    host: String,
    /// Where the browser goes on, instead of being told here.
    back: Option<String>,
}

impl Ending {
    /// Tells the browser that the sign-in is done and kept.
    pub(crate) fn succeed(mut self) {
        if let Some(listener) = self.listener.take() {
            let page = self.back.as_deref().map_or(Page::SignedIn { host: &self.host }, |link| Page::Back { link });
            listener.conclude(&page, PAGE_LIMIT);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.take() {
            let page = self.back.as_deref().map_or(Page::Failed { host: &self.host }, |link| Page::Back { link });
            listener.conclude(&page, PAGE_LIMIT);
        }
    }
}

/// Nobody came in time.
#[derive(Debug)]
pub(crate) struct TimedOut {
    host: String,
}

impl std::fmt::Display for TimedOut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "authorize: nobody signed in to {} in the time that --timeout gives", self.host)
    }
}

impl std::error::Error for TimedOut {}

/// The scopes to ask for, from a list as the flag and the profile have it. A refresh token is asked for too, unless that is turned off.
pub(crate) fn scopes(listed: Option<&str>, refreshable: bool) -> String {
    let listed = listed.unwrap_or(ALL_APIS).split([',', ' ']).map(str::trim).filter(|scope| !scope.is_empty() && *scope != OFFLINE_ACCESS);
    let mut scopes: Vec<&str> = refreshable.then_some(OFFLINE_ACCESS).into_iter().collect();
    for scope in listed {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.iter().all(|scope| *scope == OFFLINE_ACCESS) {
        scopes.push(ALL_APIS);
    }
    scopes.join(" ")
}

/// Signs a person in at the server of a host that is known.
///
/// # Errors
/// If the server cannot be found or refuses, nobody comes in time ([`TimedOut`]), or the person gives up.
pub(crate) fn sign_in(desk: &Desk<'_>, server: &Server<'_>, host: &Host, scopes: &str) -> Result<Granted> {
    let endpoints = server.endpoints()?;
    let mut attempt = Attempt::open(desk, host)?;
    let base = &endpoints.authorization_endpoint;
    let separator = if base.contains('?') { '&' } else { '?' };
    let link = format!("{base}{separator}{}", attempt.query(scopes));
    let callback = attempt.ask(desk, &link)?;
    check_issuer(&endpoints, callback.iss.as_deref(), host)?;
    attempt.exchange(server, &endpoints.token_endpoint, &callback)
}

/// Signs a person in at a host that they find on the way, by the page that knows all their workspaces and accounts.
///
/// `is_wanted` is asked whether a host outside the domains of Databricks may get the code.
///
/// # Errors
/// As [`sign_in`]; also if the callback does not say where it comes from.
pub(crate) fn discover(desk: &Desk<'_>, scopes: &str, is_wanted: &dyn Fn(&Host) -> Result<bool>) -> Result<Discovered> {
    let start = discovery_host(desk.ports.env)?;
    let mut attempt = Attempt::open(desk, &start)?;
    let destination = format!("/oidc/v1/authorize?{}", attempt.query(scopes));
    let link = format!("{start}/?{}", query::encode(&[("destination_url", &destination)]));
    let callback = attempt.ask(desk, &link)?;
    let Some(iss) = callback.iss.as_deref() else {
        return Err(Failure::new("discovery login failed: callback did not include an issuer (iss) parameter").into());
    };
    let (host, account_id) = read_issuer(iss)?;
    attempt.ending.host = host.to_string();
    if !host.is_databricks() && !host.is_loopback() && !is_wanted(&host)? {
        return Err(Failure::new(format!("{host} lies in no domain of Databricks, so it did not get the code"))
            .hint(format!("If it is your workspace, name it: databricks auth login --host {host}"))
            .into());
    }
    let server = Server::new(host.clone(), account_id.clone(), None, desk.ports);
    let granted = attempt.exchange(&server, &format!("{iss}/v1/token"), &callback)?;
    Ok(Discovered { host, account_id, granted })
}

/// `DATABRICKS_DISCOVERY_HOST`, or the one of Databricks.
fn discovery_host(env: &Env) -> Result<Host> {
    let named = env.get(env::DISCOVERY_HOST).unwrap_or(DISCOVERY_HOST);
    Ok(Host::parse(named).map_err(|failure| failure.hint(format!("It comes from {}", env::DISCOVERY_HOST)))?)
}

/// Host and account of an issuer such as `https://host/oidc` or `https://host/oidc/accounts/ID`.
fn read_issuer(iss: &str) -> Result<(Host, Option<String>)> {
    let refuse = |why: &str| Failure::new(format!("discovery login failed: deriving host from issuer: {why}: {}", text::quoted(iss)));
    let Some((scheme, rest)) = iss.split_once("://") else { return Err(refuse("issuer must use https scheme").into()) };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = Host::parse(&format!("{scheme}://{authority}"))
        .map_err(|failure| if scheme == "https" { refuse(&failure.to_string()) } else { refuse("issuer must use https scheme") })?;
    let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match path.strip_prefix("/oidc/accounts/") {
        Some(id) if is_id(id) => Ok((host, Some(id.to_owned()))),
        None if path == "/oidc" => Ok((host, None)),
        _ => Err(refuse("this is no issuer of Databricks").into()),
    }
}

/// Holds the callback to the server that was asked (RFC 9207, section 2.4): one that another server sent would make us send its code, and ours, to the wrong place.
///
/// # Errors
/// If the issuer is another, or is missing although the server says that it names itself.
fn check_issuer(endpoints: &Endpoints, iss: Option<&str>, host: &Host) -> Result<()> {
    let hint = format!("Try again: databricks auth login --host {host}. If it happens again, another server answers in the place of this host");
    match (iss, endpoints.issuer.as_deref()) {
        (None, _) if endpoints.authorization_response_iss_parameter_supported => {
            Err(Failure::new(format!("authorize: the callback does not say who issued it, and {host} always does, so the code was not used")).hint(hint).into())
        }
        (Some(iss), Some(issuer)) if iss != issuer => Err(Failure::new(format!(
            "authorize: the callback comes from the issuer {}, not from {}, so the code was not used",
            text::quoted(iss),
            text::quoted(issuer)
        ))
        .hint(hint)
        .into()),
        // A server that does not name itself is known by its address.
        (Some(iss), None) if !endpoints.authorization_endpoint.strip_prefix(iss).is_some_and(|rest| rest.starts_with('/')) => {
            Err(Failure::new(format!("authorize: the callback comes from {}, and not from {host}, so the code was not used", text::quoted(iss)))
                .hint(hint)
                .into())
        }
        _ => Ok(()),
    }
}

/// One try: the place that waits, and what ties it to this process.
struct Attempt {
    ending: Ending,
    verifier: Verifier,
    redirect_uri: String,
}

impl Attempt {
    fn open(desk: &Desk<'_>, host: &Host) -> Result<Self> {
        let mut listener = Listener::open(desk.ports.env, State::new()?, desk.deadline)?;
        if desk.guide.is_some() {
            listener.keep_page_private();
        }
        let redirect_uri = listener.redirect_uri();
        let back = desk.guide.map(|guide| guide.back.clone());
        Ok(Self { ending: Ending { listener: Some(listener), host: host.to_string(), back }, verifier: Verifier::new()?, redirect_uri })
    }

    /// The request, its parameters in the order of the alphabet, as the official CLI has them.
    fn query(&self, scopes: &str) -> String {
        let challenge = self.verifier.challenge();
        let state = self.ending.listener.as_ref().map_or("", |listener| listener.state().as_parameter());
        query::encode(&[
            ("client_id", CLIENT_ID),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("redirect_uri", &self.redirect_uri),
            ("response_type", "code"),
            ("scope", scopes),
            ("state", state),
        ])
    }

    fn ask(&mut self, desk: &Desk<'_>, link: &str) -> Result<Callback> {
        if let Some(guide) = desk.guide {
            return self.ask_by(guide, link);
        }
        let opening = if desk.no_browser { Opening::Elsewhere } else { Opening::of(desk.ports.env) };
        let host = self.ending.host.clone();
        let Some(listener) = &mut self.ending.listener else { return Err(TimedOut { host }.into()) };
        match ask(desk.ui, desk.ports.env, listener, link, &opening)? {
            Some(Answer::Granted(callback)) => Ok(callback),
            Some(Answer::Denied(denied)) => Err(refusal(&denied, &host).into()),
            None => {
                // Nobody has come, so nobody waits for a page.
                self.ending.listener = None;
                Err(TimedOut { host }.into())
            }
        }
    }

    fn ask_by(&mut self, guide: &Guide, link: &str) -> Result<Callback> {
        browser::check_link(link)?;
        guide.lead(link);
        let host = self.ending.host.clone();
        let answer = self.ending.listener.as_mut().and_then(|listener| listener.wait_unless(guide));
        match answer {
            Some(Answer::Granted(callback)) => Ok(callback),
            Some(Answer::Denied(denied)) => Err(refusal(&denied, &host).into()),
            None => {
                self.ending.listener = None;
                Err(if guide.is_given_up() { Cancelled::Interrupt.into() } else { TimedOut { host }.into() })
            }
        }
    }

    fn exchange(self, server: &Server<'_>, endpoint: &str, callback: &Callback) -> Result<Granted> {
        let form = vec![
            ("grant_type", Secret::new("authorization_code")),
            ("code", callback.code.clone()),
            ("code_verifier", self.verifier.secret().clone()),
            ("redirect_uri", Secret::new(&*self.redirect_uri)),
        ];
        // A code is good once.
        let host = &self.ending.host;
        let token = server
            .token_at(endpoint, &ClientProof::Public(CLIENT_ID), form, Repeat::OnlyIfRefused)
            .map_err(|error| error.context(format!("the sign-in to {host} was not completed")))?;
        Ok(Granted { token, ending: self.ending })
    }
}

fn refusal(denied: &Denied, host: &str) -> Failure {
    let failure = Failure::new(format!("authorize: {denied}"));
    match denied.error.as_str() {
        "access_denied" => failure.hint(format!("Sign in with a user who may use {host}, and agree to what is asked there")),
        "invalid_scope" => failure.hint("Ask for other scopes: databricks auth login --scopes all-apis"),
        _ => failure.hint(format!("{host} said so. Try again, or ask the administrator of the workspace")),
    }
}

/// Shows the link, opens it where there is a browser, and waits for what comes back: to the listener, or pasted at the terminal. `None` if the time is up.
///
/// # Errors
/// If the link is none for a browser, or the person gives up.
fn ask(ui: &Ui, env: &Env, listener: &mut Listener, link: &str, opening: &Opening) -> Result<Option<Answer>> {
    browser::check_link(link)?;
    let port = listener.port();
    match opening {
        Opening::Program(..) => {
            // An hour is said to be one, though a moment of it has passed.
            let left = listener.deadline().saturating_duration_since(Instant::now()).saturating_add(Duration::from_millis(999));
            let left = clock::rough(jiff::SignedDuration::try_from(left).unwrap_or(jiff::SignedDuration::MAX));
            ui.note(&format!(
                "Opening the sign-in page in your browser. If it does not appear, open this link yourself:\n{link}\nWaiting for at most {left}; Ctrl-C ends it."
            ));
            if let Err(failure) = opening.open(link) {
                ui.warn(&failure.to_string());
            }
            return Ok(listener.wait());
        }
        Opening::Missing(named) => ui.warn(&format!("{} is {}, and there is no such program", env::BROWSER, text::quoted(named))),
        Opening::Printed | Opening::Elsewhere => {}
    }
    ui.note(&format!("To sign in, open this link in a browser:\n{link}"));
    let tunnel = browser::tunnel(env, port);
    let is_elsewhere = *opening == Opening::Elsewhere || tunnel.is_some();
    if is_elsewhere {
        let line = tunnel.unwrap_or_else(|| format!("ssh -N -L {port}:localhost:{port} USER@THIS-MACHINE"));
        ui.note(&format!("\nIf the browser is on another machine, first start this there, and end it afterwards:\n  {line}"));
    }
    if !ui.can_prompt() {
        return Ok(listener.wait());
    }
    let start = if is_elsewhere { "Or" } else { "\nIf nothing happens here after that," };
    ui.note(&format!("{start} paste the address at which the browser ends, even if it shows an error there: http://localhost:{port}/?..."));
    let state = listener.state().clone();
    let check = |pasted: &str| callback::read_pasted(pasted, port, &state).map(|_| Secret::new(pasted));
    let pasted = ui.prompter().secret_unless("Address from the browser (stays hidden)", &check, listener)?;
    Ok(match pasted {
        Some(pasted) => callback::read_pasted(pasted.expose(), port, &state).ok(),
        None => listener.take_answer(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_is_asked_for_first_and_nothing_twice() {
        assert_eq!(scopes(None, true), "offline_access all-apis");
        assert_eq!(scopes(Some("sql, files,sql,offline_access"), true), "offline_access sql files");
        assert_eq!(scopes(Some(" , "), true), "offline_access all-apis");
        assert_eq!(scopes(None, false), "all-apis");
    }

    #[test]
    fn issuers_are_hosts_of_databricks_servers() {
        let read = |iss| read_issuer(iss).map(|(host, account)| (host.to_string(), account)).ok();
        assert_eq!(read("https://x.cloud.databricks.com/oidc"), Some(("https://x.cloud.databricks.com".into(), None)));
        assert_eq!(read("https://accounts.cloud.databricks.com/oidc/accounts/a-1"), Some(("https://accounts.cloud.databricks.com".into(), Some("a-1".into()))));
        assert_eq!(read("http://127.0.0.1:8080/oidc"), Some(("http://127.0.0.1:8080".into(), None)));
        for iss in [
            "",
            "x.cloud.databricks.com/oidc",
            "http://x.cloud.databricks.com/oidc",
            "ftp://x/oidc",
            "https://x.cloud.databricks.com",
            "https://x.cloud.databricks.com/oidc/",
            "https://x.cloud.databricks.com/oidc?x",
            "https://x.cloud.databricks.com/oidc/accounts/../x",
            "https://u@evil/oidc",
            "https://x.cloud.databricks.com/evil",
        ] {
            assert!(read_issuer(iss).is_err(), "{iss}");
        }
    }

    #[test]
    fn a_callback_of_another_server_is_not_used() {
        let host = Host::parse("https://h.example").unwrap();
        let endpoints = |issuer: Option<&str>, named| Endpoints {
            issuer: issuer.map(ToOwned::to_owned),
            authorization_endpoint: "https://h.example/oidc/v1/authorize".to_owned(),
            token_endpoint: String::new(),
            revocation_endpoint: None,
            authorization_response_iss_parameter_supported: named,
        };
        let own = Some("https://h.example/oidc");
        for (known, named, iss, taken) in [
            (own, true, own, true),
            (own, false, own, true),
            (own, false, None, true),
            (None, false, own, true),
            (None, false, Some("https://h.example/oid"), false),
            (None, false, Some("https://other.example"), false),
            (own, true, None, false),
            (own, true, Some("https://evil.example/oidc"), false),
            (own, false, Some("https://h.example/oidc/"), false),
        ] {
            assert_eq!(check_issuer(&endpoints(known, named), iss, &host).is_ok(), taken, "{known:?} {named} {iss:?}");
        }
    }
}
