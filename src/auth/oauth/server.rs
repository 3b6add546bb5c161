//! [`Server`]: the authorization server of a host. Finds its endpoints (RFC 8414 and `/.well-known/databricks-config`), and asks them for tokens.
//!
//! A description that comes from the network cannot lead secrets astray: an endpoint counts only on the host that was asked, or in a domain of Databricks.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::auth::Ports;
use crate::auth::oauth::reply::{self, Flaw};
use crate::clock;
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::error::Failure;
use crate::files::{self, Care};
use crate::host::Host;
use crate::http::{ApiError, Client, Repeat, Request, Sign, Verb, push_form_encoded};
use crate::secret::{Secret, Wiped};
use crate::storage::StoredToken;
use crate::text;

/// Where RFC 8414 puts the description of a server, as Databricks does: behind the issuer.
const SERVER_DOCUMENT: &str = "/.well-known/oauth-authorization-server";
/// What a host of Databricks says of itself to anybody.
const HOST_DOCUMENT: &str = "/.well-known/databricks-config";
/// For a whole exchange with a token endpoint, waits and repeats included.
pub(crate) const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);
/// For a description: without it there is another way, or none.
const DESCRIPTION_LIMIT: Duration = Duration::from_secs(7);
/// Descriptions and tokens are small.
const LARGEST_REPLY: usize = 1 << 20;
/// Seconds for which found endpoints are believed without asking again, as long as the official CLI believes a host's description.
const ENDPOINTS_LIFE: i64 = 3_600;
/// More than the description of a server has.
const CACHE_LIMIT: u64 = 64 << 10;

/// What a host says of itself (`/.well-known/databricks-config`).
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct HostDescription {
    #[serde(default)]
    pub(crate) oidc_endpoint: Option<String>,
    #[serde(default)]
    pub(crate) account_id: Option<String>,
    #[serde(default)]
    pub(crate) workspace_id: Option<String>,
    /// `workspace`, `account` or `unified`.
    #[serde(default)]
    pub(crate) host_type: Option<String>,
    #[serde(default)]
    pub(crate) token_federation_default_oidc_audiences: Vec<String>,
}

/// The endpoints of an authorization server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    /// Absent where the server did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    /// RFC 7009; absent where tokens cannot be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revocation_endpoint: Option<String>,
    /// Whether every callback names its issuer (RFC 9207).
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

/// Endpoints as they are kept between runs.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// What they were found for: guards against a file of another host.
    of: String,
    /// Seconds since 1970-01-01 UTC.
    at: i64,
    endpoints: Endpoints,
}

/// The authorization server did not grant what was asked for.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Such as `invalid_grant` (RFC 6749, section 5.2).
    pub(crate) error: String,
    pub(crate) description: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} (error code: {})", self.description, self.error)
    }
}

impl std::error::Error for Refused {}

/// How a client tells who it is (RFC 6749, section 2.3).
pub(crate) enum ClientProof<'a> {
    /// A client without a secret: its name goes into the form.
    Public(&'a str),
    /// Name and secret in the header `Authorization`.
    Basic { id: &'a str, secret: &'a Secret },
    /// Whoever the form itself proves to be.
    Nobody,
}

/// A header that goes to one host.
pub(crate) struct Signed {
    pub(crate) host: Host,
    pub(crate) headers: Vec<(&'static str, Secret)>,
}

impl Sign for Signed {
    fn host(&self) -> &Host {
        &self.host
    }

    fn headers(&self) -> Vec<(&'static str, Secret)> {
        self.headers.clone()
    }

    fn auth_type(&self) -> Option<&str> {
        None
    }
}

/// The authorization server of one host.
pub(crate) struct Server<'a> {
    host: Host,
    account_id: Option<String>,
    /// The address of the server's own description, where the settings name it.
    discovery_url: Option<String>,
    ports: &'a Ports<'a>,
    client: OnceCell<Client>,
    description: OnceCell<Option<HostDescription>>,
}

impl<'a> Server<'a> {
    pub(crate) fn of(settings: &Settings, host: &Host, ports: &'a Ports<'a>) -> Self {
        let text = |attr| settings.text(attr).map(ToOwned::to_owned);
        Self::new(host.clone(), text(Attr::AccountId), text(Attr::DiscoveryUrl), ports)
    }

    pub(crate) fn new(host: Host, account_id: Option<String>, discovery_url: Option<String>, ports: &'a Ports<'a>) -> Self {
        Self { host, account_id, discovery_url, ports, client: OnceCell::new(), description: OnceCell::new() }
    }

    /// What the host says of itself; `None` where it says nothing that can be read. Asked once.
    pub(crate) fn description(&self) -> Option<&HostDescription> {
        self.description.get_or_init(|| self.describe(HOST_DOCUMENT).ok()).as_ref()
    }

    /// Where the endpoints are: as the settings say, as earlier runs found, or as the host says.
    ///
    /// # Errors
    /// If the host cannot be asked, has no such server, or names endpoints that no secret may be sent to.
    pub(crate) fn endpoints(&self) -> Result<Endpoints> {
        self.kept().map_or_else(|| self.found(), Ok)
    }

    /// As the host says now; kept for later runs.
    fn found(&self) -> Result<Endpoints> {
        let found = self.find()?;
        self.keep(&found);
        Ok(found)
    }

    fn find(&self) -> Result<Endpoints> {
        if let Some(url) = &self.discovery_url {
            let (host, path) = self.place(url, "discovery_url")?;
            return self.document(&host, &path);
        }
        if self.host.is_account_console() {
            let account = self.account_id.as_ref().ok_or_else(|| {
                Failure::new(format!("{} is the console of accounts, and no account id is set", self.host))
                    .hint("Give it with --account-id, DATABRICKS_ACCOUNT_ID, or account_id in the profile")
            })?;
            let issuer = format!("{}/oidc/accounts/{account}", self.host);
            return Ok(Endpoints {
                authorization_endpoint: format!("{issuer}/v1/authorize"),
                token_endpoint: format!("{issuer}/v1/token"),
                issuer: Some(issuer),
                revocation_endpoint: None,
                authorization_response_iss_parameter_supported: false,
            });
        }
        let is_missing = |error: &anyhow::Error| error.downcast_ref::<ApiError>().is_some_and(|refusal| refusal.status == 404);
        if let Some(account) = &self.account_id
            && let Some(path) = self.account_server()?
        {
            let unknown =
                |error: anyhow::Error| if is_missing(&error) { error.context(format!("{} has no OAuth for account {account}", self.host)) } else { error };
            return self.document(&path.0, &path.1).map_err(unknown);
        }
        let workspace = self.document(&self.host, &format!("/oidc{SERVER_DOCUMENT}"));
        match workspace {
            Err(error) if is_missing(&error) => match self.account_server()? {
                Some((host, path)) => self.document(&host, &path),
                None => Err(Failure::new(format!("databricks OAuth is not supported for this host: {} has no {SERVER_DOCUMENT} below /oidc", self.host))
                    .hint("Check the host; a workspace has an address of its own, such as https://my-workspace.cloud.databricks.com")
                    .into()),
            },
            other => other,
        }
    }

    /// The description of the server that serves a whole account through this host, where the host says that there is one.
    fn account_server(&self) -> Result<Option<(Host, String)>> {
        let Some(description) = self.description() else { return Ok(None) };
        let Some(endpoint) = description.oidc_endpoint.as_deref().filter(|endpoint| endpoint.contains("/oidc/accounts/")) else { return Ok(None) };
        let Some(account) = self.account_id.as_ref().or(description.account_id.as_ref()) else { return Ok(None) };
        let url = format!("{}{SERVER_DOCUMENT}", endpoint.replace("{account_id}", account).trim_end_matches('/'));
        self.place(&url, "oidc_endpoint").map(Some)
    }

    /// Reads a server's description and holds its endpoints to where they may be.
    fn document(&self, host: &Host, path: &str) -> Result<Endpoints> {
        let endpoints: Endpoints = if *host == self.host { self.describe(path)? } else { describe(&self.connect(host, DESCRIPTION_LIMIT)?, path)? };
        self.judge(endpoints)
    }

    /// # Errors
    /// If an endpoint lies where no secret may be sent to.
    fn judge(&self, endpoints: Endpoints) -> Result<Endpoints> {
        self.place(&endpoints.authorization_endpoint, "authorization_endpoint")?;
        self.place(&endpoints.token_endpoint, "token_endpoint")?;
        for (url, name) in [(&endpoints.revocation_endpoint, "revocation_endpoint"), (&endpoints.issuer, "issuer")] {
            if let Some(url) = url {
                self.place(url, name)?;
            }
        }
        Ok(endpoints)
    }

    /// Cuts an address into origin and path, if it lies on the host that was asked or in a domain of Databricks.
    fn place(&self, url: &str, what: &str) -> Result<(Host, String)> {
        let shown = text::quoted(&text::shortened(url, 300));
        let refuse = |why: &str| {
            Failure::new(format!("{} names {shown} as its {what}: {why}, so nothing is sent there", self.host))
                .hint("Check the host. If a proxy or a private address stands before the workspace, use the workspace's own address")
        };
        let origin_end = url.split_once("://").map_or(0, |(scheme, rest)| scheme.len() + 3 + rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (origin, path) = url.split_at(origin_end);
        let host = Host::parse(origin).map_err(|_| refuse("that is no address of a service over https"))?;
        if host != self.host && !host.is_databricks() {
            return Err(refuse("that is another host").into());
        }
        if path.contains('#') || !(path.is_empty() || path.starts_with('/')) {
            return Err(refuse("that is no endpoint").into());
        }
        Ok((host, if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
    }

    fn describe<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        // Descriptions and tokens mostly come from the same host: one connection serves both.
        describe(self.client()?, path)
    }

    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.connect(&self.host, EXCHANGE_LIMIT)?;
        Ok(self.client.get_or_init(|| client))
    }

    fn connect(&self, host: &Host, limit: Duration) -> Result<Client> {
        connect(self.ports, host, limit)
    }

    /// Asks the token endpoint for a token.
    ///
    /// `repeat` says whether the request may be sent again after a lost reply: never where it spends something that can be spent once.
    ///
    /// # Errors
    /// [`Refused`] if the server grants nothing; else as the HTTP layer.
    pub(crate) fn token(&self, proof: &ClientProof<'_>, form: Vec<(&'static str, Secret)>, repeat: Repeat) -> Result<StoredToken> {
        self.token_after(&|| (), proof, form, repeat)
    }

    /// As [`Server::token`], and calls `about_to` when the endpoint is known and its request comes next.
    pub(crate) fn token_after(&self, about_to: &dyn Fn(), proof: &ClientProof<'_>, form: Vec<(&'static str, Secret)>, repeat: Repeat) -> Result<StoredToken> {
        let kept = self.kept();
        let was_kept = kept.is_some();
        let endpoints = kept.map_or_else(|| self.found(), Ok)?;
        about_to();
        match self.token_at(&endpoints.token_endpoint, proof, form.clone(), repeat) {
            // The server has moved since its description was kept.
            Err(error) if was_kept && error.downcast_ref::<ApiError>().is_some_and(|refusal| matches!(refusal.status, 404 | 405)) => {
                self.token_at(&self.found()?.token_endpoint, proof, form, repeat)
            }
            other => other,
        }
    }

    /// As [`Server::token`], at an endpoint that is already known and judged.
    pub(crate) fn token_at(&self, endpoint: &str, proof: &ClientProof<'_>, form: Vec<(&'static str, Secret)>, repeat: Repeat) -> Result<StoredToken> {
        let body = self.post(endpoint, "token_endpoint", proof, form, repeat)?;
        let reply = reply::read(&body, clock::now());
        let host = &self.host;
        match reply {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(Flaw::Refused { error, description })) => {
                Err(Refused { error: text::one_line(&error).into_owned(), description: text::one_line(&description).into_owned() }.into())
            }
            Ok(Err(Flaw::NoToken)) => Err(Failure::new(format!("the token endpoint of {host} answered without a token"))
                .hint("Check that the host is a Databricks workspace or account, and try again")
                .into()),
            Err(_) => Err(Failure::new(format!("the token endpoint of {host} did not answer with JSON"))
                .hint("Check that the host is a Databricks workspace or account, and that no sign-in page of a proxy stands before it")
                .into()),
        }
    }

    /// Tells the server to forget a token (RFC 7009). A refresh token takes with it what was granted by it.
    ///
    /// # Errors
    /// If the server cannot be asked, offers no revocation (`Ok(false)`), or refuses.
    pub(crate) fn revoke(&self, client_id: &str, token: &Secret, kind: &str) -> Result<bool> {
        let Some(endpoint) = self.endpoints()?.revocation_endpoint else { return Ok(false) };
        let form = vec![("token", token.clone()), ("token_type_hint", Secret::new(kind))];
        self.post(&endpoint, "revocation_endpoint", &ClientProof::Public(client_id), form, Repeat::Freely).map(|_| true)
    }

    fn post(&self, endpoint: &str, what: &str, proof: &ClientProof<'_>, mut form: Vec<(&'static str, Secret)>, repeat: Repeat) -> Result<Wiped> {
        let (host, path) = self.place(endpoint, what)?;
        let mut signed = Signed { host: host.clone(), headers: Vec::new() };
        match proof {
            ClientProof::Public(id) => form.insert(0, ("client_id", Secret::new(*id))),
            ClientProof::Basic { id, secret } => signed.headers.push(("Authorization", basic(id, secret))),
            ClientProof::Nobody => {}
        }
        let mut request = Request::new(Verb::Post, path).form(form);
        request.repeat = repeat;
        let elsewhere;
        let client = if host == self.host {
            self.client()?
        } else {
            elsewhere = self.connect(&host, EXCHANGE_LIMIT)?;
            &elsewhere
        };
        let response = client.send(Some(&signed), &request).map_err(|error| match error.downcast_ref::<ApiError>() {
            // Only what RFC 6749 has: a page of a proxy with status 400 refuses no grant.
            Some(refusal) if is_oauth_code(&refusal.error_code) => {
                anyhow::Error::new(Refused { error: refusal.error_code.clone(), description: refusal.message.clone() })
            }
            Some(refusal) if refusal.error_code.is_empty() && is_oauth_code(&refusal.message) => {
                anyhow::Error::new(Refused { error: refusal.message.clone(), description: refusal.message.clone() })
            }
            _ => error,
        })?;
        Ok(response.body)
    }

    fn cache_file(&self) -> Option<PathBuf> {
        let name: String = self.host.as_str().chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).take(150).collect();
        Some(self.ports.env.cache_folder()?.join("oauth").join(format!("{name}.json")))
    }

    /// What kept endpoints stand for: another account or another description may lead elsewhere.
    fn cache_key(&self) -> String {
        [self.host.as_str(), self.account_id.as_deref().unwrap_or_default(), self.discovery_url.as_deref().unwrap_or_default()].join(" ")
    }

    /// Endpoints that an earlier run found. Judged again: the file is but a file.
    fn kept(&self) -> Option<Endpoints> {
        let bytes = files::read(&self.cache_file()?, CACHE_LIMIT).ok()??;
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        let age = clock::now().as_second() - kept.at;
        if kept.of != self.cache_key() || !(0..ENDPOINTS_LIFE).contains(&age) {
            return None;
        }
        self.judge(kept.endpoints).ok()
    }

    /// Keeps endpoints for later runs; whatever prevents it only makes them ask again.
    fn keep(&self, endpoints: &Endpoints) {
        let kept = Kept { of: self.cache_key(), at: clock::now().as_second(), endpoints: endpoints.clone() };
        if let (Some(path), Ok(bytes)) = (self.cache_file(), serde_json::to_vec(&kept))
            && path.parent().is_some_and(|folder| files::make_folder(folder).is_ok())
        {
            drop(files::update_with(&path, CACHE_LIMIT, Care::Cache, |_| Ok(Some(bytes.clone()))));
        }
    }
}

/// A client for a host that hands out tokens: small replies, and no more than `limit` for a request with all its waits and repeats.
///
/// # Errors
/// If a proxy variable cannot be used.
pub(crate) fn connect(ports: &Ports<'_>, host: &Host, limit: Duration) -> Result<Client> {
    let mut options = (ports.options)();
    options.total_timeout = limit.min(options.total_timeout);
    options.inactivity_timeout = options.inactivity_timeout.min(limit);
    options.retry_timeout = limit.min(options.retry_timeout);
    options.max_body = LARGEST_REPLY;
    options.workspace_id = None;
    Ok(Client::new(host.clone(), ports.env, options)?)
}

fn describe<T: serde::de::DeserializeOwned>(client: &Client, path: &str) -> Result<T> {
    let mut request = Request::get(path);
    request.limit = Some(DESCRIPTION_LIMIT);
    Ok(client.send(None, &request)?.json()?)
}

/// The header of RFC 6749, section 2.3.1: both parts form-encoded before they are joined.
fn basic(id: &str, secret: &Secret) -> Secret {
    let mut pair = Zeroizing::new(Vec::new());
    push_form_encoded(&mut pair, id);
    pair.push(b':');
    push_form_encoded(&mut pair, secret.expose());
    Secret::new(["Basic ", Zeroizing::new(STANDARD.encode(&pair)).as_str()].concat())
}

/// Whether a code is one that a token or revocation endpoint gives (RFC 6749, section 5.2, and RFC 7009).
fn is_oauth_code(code: &str) -> bool {
    !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}
