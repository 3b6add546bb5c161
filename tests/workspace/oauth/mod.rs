//! The OAuth authorization server of the workspace and of its account: who was granted what.
//!
//! `documents` says where everything is, `authorize` asks the user, `token` gives and takes back, `exchange` gives for id tokens, `browser` is the user, `knobs` sets it all over HTTP.
//! Source: RFC 6749, 7636 (PKCE), 7009 (revocation), 8252 (loopback redirects), 9700 (rotation of refresh tokens).

mod authorize;
mod browser;
mod documents;
mod exchange;
pub(super) mod jwt;
mod knobs;
mod token;

pub use self::browser::{Page, approve, deny, visit};

use super::api::{Call, Route};
use super::http::Response;
use super::random;
use super::record::Recorded;
use super::state::User;
use super::{Builder, Workspace};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub(super) const ROUTES: &[&[Route]] = &[documents::ROUTES, authorize::ROUTES, token::ROUTES, knobs::ROUTES];

/// The one public client this server knows.
const PUBLIC_CLIENT: &str = "databricks-cli";
/// How long an authorization code is good for.
const CODE_LIFETIME_MS: i64 = 60_000;
/// How long a sign-in page may lie open.
const PAGE_LIFETIME_MS: i64 = 600_000;

/// What becomes of a refresh token that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshMode {
    /// It is spent, a new one takes its place, and using it again revokes the whole family. There is no time of grace.
    Rotating,
    /// It stays good until it expires or is revoked.
    Reusable,
}

/// What kind of host `/.well-known/databricks-config` says this is, and which issuers it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// One workspace; the issuer is `<base>/oidc`.
    Workspace,
    /// Many workspaces of one account behind one name: `X-Databricks-Workspace-Id` says which one is meant. Both issuers.
    Unified,
    /// The account; the issuer is `<base>/oidc/accounts/<account_id>`, and the APIs of workspaces are not here.
    Account,
    /// An old host that has no such document (404). Both issuers.
    Absent,
}

impl Display for RefreshMode {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            RefreshMode::Rotating => "rotating",
            RefreshMode::Reusable => "reusable",
        })
    }
}

impl FromStr for RefreshMode {
    type Err = String;

    fn from_str(text: &str) -> Result<RefreshMode, String> {
        let all = [RefreshMode::Rotating, RefreshMode::Reusable];
        all.into_iter().find(|mode| mode.to_string() == text).ok_or_else(|| format!("refresh tokens are rotating or reusable, not '{text}'"))
    }
}

impl Display for HostKind {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            HostKind::Workspace => "workspace",
            HostKind::Unified => "unified",
            HostKind::Account => "account",
            HostKind::Absent => "absent",
        })
    }
}

impl FromStr for HostKind {
    type Err = String;

    fn from_str(text: &str) -> Result<HostKind, String> {
        let all = [HostKind::Workspace, HostKind::Unified, HostKind::Account, HostKind::Absent];
        all.into_iter().find(|kind| kind.to_string() == text).ok_or_else(|| format!("a host is workspace, unified, account or absent, not '{text}'"))
    }
}

/// The two documents a host shows to anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Document {
    /// `/.well-known/databricks-config`
    HostConfig,
    /// `.../.well-known/oauth-authorization-server`
    AuthorizationServer,
}

/// Which of the two issuers granted something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Realm {
    Workspace,
    Account,
}

/// A change to replies of the token endpoint, to be ordered with [`Workspace::order_token_reply`].
///
/// ```ignore
/// workspace.order_token_reply(TokenReply::on("refresh_token").omit("refresh_token").set("expires_in", json!("3600")));
/// ```
#[derive(Debug, Clone)]
pub struct TokenReply {
    grant: Option<String>,
    /// `None` leaves the field out.
    fields: Vec<(String, Option<Value>)>,
    left: u64,
}

impl TokenReply {
    /// Meets the next successful reply, whatever the grant.
    pub fn any() -> TokenReply {
        TokenReply { grant: None, fields: Vec::new(), left: 1 }
    }

    /// Meets the next successful reply to that `grant_type`.
    pub fn on(grant_type: &str) -> TokenReply {
        TokenReply { grant: Some(grant_type.to_owned()), ..TokenReply::any() }
    }

    /// Puts that value in place of what the field would hold.
    pub fn set(mut self, field: &str, value: Value) -> TokenReply {
        self.fields.push((field.to_owned(), Some(value)));
        self
    }

    /// Leaves the field out.
    pub fn omit(mut self, field: &str) -> TokenReply {
        self.fields.push((field.to_owned(), None));
        self
    }

    /// Meets the next `count` replies.
    pub fn times(mut self, count: u64) -> TokenReply {
        self.left = count;
        self
    }

    /// Meets every reply from now on.
    pub fn forever(self) -> TokenReply {
        self.times(u64::MAX)
    }
}

/// How often each thing happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grants {
    /// Authorization codes exchanged for tokens.
    pub codes: usize,
    /// Refresh tokens exchanged for tokens.
    pub refreshes: usize,
    /// Tokens given to service principals for their secret.
    pub client_credentials: usize,
    /// Tokens given for id tokens.
    pub exchanges: usize,
    /// Tokens taken back on request at the revocation endpoint.
    pub revocations: usize,
    /// Codes and refresh tokens used again after they were spent.
    pub reuse_detected: usize,
    /// Requests to the token endpoint that were refused.
    pub refused: usize,
}

impl Grants {
    /// How many times tokens were given.
    pub fn given(&self) -> usize {
        self.codes + self.refreshes + self.client_credentials + self.exchanges
    }
}

/// What somebody holds who has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub access_token: String,
    /// Empty if `offline_access` was not among the scopes.
    pub refresh_token: String,
    pub scope: String,
    /// Seconds since 1970, by the clock of the workspace.
    pub expires_at: i64,
}

/// What can be set while the server runs.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    token_lifetime: Duration,
    refresh_lifetime: Duration,
    refresh: RefreshMode,
    host_kind: HostKind,
    /// Fields of the documents to replace, or to leave out.
    fields: BTreeMap<(Document, String), Option<Value>>,
    /// Parameters of the callback to replace, or to leave out.
    callback: BTreeMap<String, Option<String>>,
    /// Where the discovery page leads; this host, if nothing is set.
    leads_to: Option<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            // What the service gives; the refresh lifetime is this server's own choice.
            token_lifetime: Duration::from_secs(3600),
            refresh_lifetime: Duration::from_secs(90 * 86_400),
            refresh: RefreshMode::Rotating,
            host_kind: HostKind::Workspace,
            fields: BTreeMap::new(),
            callback: BTreeMap::new(),
            leads_to: None,
        }
    }
}

/// A sign-in page that waits for its answer.
#[derive(Debug)]
struct Pending {
    request: authorize::Request,
    csrf: String,
    cookie: String,
    expires: i64,
}

#[derive(Debug)]
struct Code {
    request: authorize::Request,
    user: String,
    expires: i64,
    used: bool,
    /// What it gave, once it was exchanged.
    family: Option<usize>,
}

/// Everything that came out of one sign-in.
#[derive(Debug)]
struct Family {
    client: String,
    user: String,
    scope: String,
    realm: Realm,
    revoked: bool,
}

#[derive(Debug)]
struct Refresh {
    family: usize,
    expires: i64,
    spent: bool,
}

#[derive(Debug)]
struct Access {
    /// Tokens of service principals belong to none.
    family: Option<usize>,
    user: String,
    client: String,
    realm: Realm,
    expires: i64,
    revoked: bool,
}

#[derive(Debug, Default)]
struct Store {
    settings: Settings,
    pending: HashMap<String, Pending>,
    codes: HashMap<String, Code>,
    families: Vec<Family>,
    refresh: HashMap<String, Refresh>,
    access: HashMap<String, Access>,
    changes: Vec<TokenReply>,
    grants: Grants,
}

/// Who gets a token, and from whom.
#[derive(Debug, Clone, Copy)]
struct Holder<'a> {
    user: &'a User,
    client: &'a str,
    scope: &'a str,
    realm: Realm,
    issuer: &'a str,
    audience: &'a str,
}

#[derive(Debug)]
pub(super) struct OAuth {
    store: Mutex<Store>,
    granted: Condvar,
    key: [u8; 32],
}

impl OAuth {
    pub(super) fn new(settings: Settings) -> OAuth {
        OAuth { store: Mutex::new(Store { settings, ..Store::default() }), granted: Condvar::new(), key: random::bytes() }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    pub(super) fn host_kind(&self) -> HostKind {
        self.store().settings.host_kind
    }

    /// The id of the user or service principal an access token is good for at that moment (milliseconds since 1970), and who granted it.
    pub(super) fn sign_in(&self, token: &str, now: i64) -> Option<(String, Realm)> {
        let store = self.store();
        let access = store.access.get(token)?;
        let family_revoked = access.family.is_some_and(|family| store.families[family].revoked);
        (access.expires > now && !access.revoked && !family_revoked).then(|| (access.user.clone(), access.realm))
    }

    /// Makes an access token; the lifetime is the one set now.
    fn access_token(&self, store: &mut Store, holder: Holder<'_>, family: Option<usize>, now: i64) -> String {
        // A bench may refresh for hours: what has long expired need not be remembered.
        if store.access.len() >= 10_000 {
            store.access.retain(|_, access| access.expires > now);
        }
        let lifetime = millis(store.settings.token_lifetime);
        let claims = json!({
            "iss": holder.issuer,
            "sub": holder.user.name,
            "aud": holder.audience,
            "client_id": holder.client,
            "scope": holder.scope,
            "iat": now.div_euclid(1000),
            "exp": (now + lifetime).div_euclid(1000),
            "jti": random::hex::<16>(),
        });
        let token = jwt::sign(&self.key, &claims);
        let access =
            Access { family, user: holder.user.id.clone(), client: holder.client.to_owned(), realm: holder.realm, expires: now + lifetime, revoked: false };
        store.access.insert(token.clone(), access);
        token
    }

    /// Counts something and wakes whoever waits for it.
    fn count(&self, store: &mut Store, what: impl FnOnce(&mut Grants)) {
        what(&mut store.grants);
        self.granted.notify_all();
    }
}

impl Store {
    fn new_family(&mut self, holder: Holder<'_>) -> usize {
        self.families.push(Family {
            client: holder.client.to_owned(),
            user: holder.user.id.clone(),
            scope: holder.scope.to_owned(),
            realm: holder.realm,
            revoked: false,
        });
        self.families.len() - 1
    }

    fn refresh_token(&mut self, family: usize, now: i64) -> String {
        let token = format!("dorf{}", random::hex::<32>());
        let expires = now + millis(self.settings.refresh_lifetime);
        self.refresh.insert(token.clone(), Refresh { family, expires, spent: false });
        token
    }

    /// Ends every sign-in of the user, and the access tokens a service principal got.
    fn revoke_all_of(&mut self, user_id: &str) {
        for family in self.families.iter_mut().filter(|family| family.user == user_id) {
            family.revoked = true;
        }
        for access in self.access.values_mut().filter(|access| access.user == user_id) {
            access.revoked = true;
        }
    }

    /// A successful reply of the token endpoint, after every change that was ordered for it.
    fn reply(&mut self, grant: &str, access: &str, refresh: Option<&str>, scope: &str) -> Response {
        let mut fields = Map::new();
        fields.insert("access_token".to_owned(), json!(access));
        fields.insert("token_type".to_owned(), json!("Bearer"));
        fields.insert("expires_in".to_owned(), json!(self.settings.token_lifetime.as_secs()));
        fields.insert("scope".to_owned(), json!(scope));
        if let Some(refresh) = refresh {
            fields.insert("refresh_token".to_owned(), json!(refresh));
        }
        let change = self.changes.iter_mut().find(|change| change.left > 0 && change.grant.as_deref().is_none_or(|wanted| wanted == grant));
        if let Some(change) = change {
            if change.left != u64::MAX {
                change.left -= 1;
            }
            for (name, value) in &change.fields {
                match value {
                    Some(value) => fields.insert(name.clone(), value.clone()),
                    None => fields.remove(name),
                };
            }
        }
        uncached(Response::json(200, &Value::Object(fields)))
    }
}

/// RFC 6749, 5.1: what holds a token must not be kept by anything on the way.
fn uncached(response: Response) -> Response {
    response.header("Cache-Control", "no-store").header("Pragma", "no-cache")
}

/// The error shape of the token endpoint (RFC 6749, 5.2).
fn refusal(status: u16, error: &str, description: &str) -> Response {
    uncached(Response::json(status, &json!({"error": error, "error_description": description})))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("a sane lifetime")
}

/// The issuer a path belongs to; 404 if this kind of host has no such one.
fn realm(call: &Call<'_>) -> Result<Realm, Response> {
    let kind = call.state.oauth.host_kind();
    let not_here = || Response::error(404, "ENDPOINT_NOT_FOUND", &format!("No API found for '{} {}'", call.request.method, call.request.path));
    if !call.request.path.starts_with("/oidc/accounts/") {
        return if kind == HostKind::Account { Err(not_here()) } else { Ok(Realm::Workspace) };
    }
    if kind == HostKind::Workspace || call.part("account") != call.state.account_id {
        return Err(not_here());
    }
    Ok(Realm::Account)
}

/// `<base>/oidc`, or the one of the account.
fn issuer(call: &Call<'_>, realm: Realm) -> String {
    let base = super::clouds::place_of(call.request).map_or_else(|| call.state.url(call.request.plane).to_owned(), |(url, _)| url);
    match realm {
        Realm::Workspace => format!("{base}/oidc"),
        Realm::Account => format!("{base}/oidc/accounts/{}", call.state.account_id),
    }
}

/// Whom the token is for: the workspace or the account.
fn audience(call: &Call<'_>, realm: Realm) -> String {
    match realm {
        Realm::Workspace => call.state.workspace_id.to_string(),
        Realm::Account => call.state.account_id.clone(),
    }
}

/// Whether every scope is spelt as RFC 6749, 3.3 has it and begins with the name of something that has an API.
fn known_scopes(scopes: &str) -> bool {
    const NAMES: [&str; 44] = [
        "access-management",
        "account",
        "all-apis",
        "apps",
        "authentication",
        "billing",
        "catalog",
        "cleanrooms",
        "clusters",
        "command-execution",
        "dashboards",
        "database",
        "dataclassification",
        "email",
        "file",
        "files",
        "genie",
        "global-init-scripts",
        "iam",
        "identity",
        "instance-pools",
        "instance-profiles",
        "jobs",
        "libraries",
        "marketplace",
        "mlflow",
        "model-serving",
        "networking",
        "notifications",
        "offline_access",
        "openid",
        "pipelines",
        "postgres",
        "profile",
        "scim",
        "secrets",
        "serving",
        "settings",
        "sharing",
        "sql",
        "tokens",
        "unity-catalog",
        "vector-search",
        "workspace",
    ];
    !scopes.is_empty()
        && scopes.split(' ').all(|scope| {
            let name = scope.split(['.', ':']).next().unwrap_or_default();
            NAMES.contains(&name) && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
        })
}

fn asks_for_refresh(scopes: &str) -> bool {
    scopes.split(' ').any(|scope| scope == "offline_access")
}

/// What the OAuth server starts with.
impl Builder {
    /// How long access tokens live; an hour unless told.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Builder {
        self.oauth.token_lifetime = lifetime;
        self
    }

    /// How long a refresh token lives; 90 days unless told.
    pub fn refresh_lifetime(mut self, lifetime: Duration) -> Builder {
        self.oauth.refresh_lifetime = lifetime;
        self
    }

    /// What becomes of used refresh tokens; [`RefreshMode::Rotating`] unless told.
    pub fn refresh_mode(mut self, mode: RefreshMode) -> Builder {
        self.oauth.refresh = mode;
        self
    }

    /// What kind of host this is; [`HostKind::Workspace`] unless told.
    pub fn host_kind(mut self, kind: HostKind) -> Builder {
        self.oauth.host_kind = kind;
        self
    }

    /// Replaces one field of a document, or leaves it out (`None`), as a hostile or broken host would.
    pub fn document_field(mut self, document: Document, field: &str, value: Option<Value>) -> Builder {
        self.oauth.fields.insert((document, field.to_owned()), value);
        self
    }
}

/// The OAuth server, seen by tests.
impl Workspace {
    /// From now on, access tokens live this long.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.state.oauth.store().settings.token_lifetime = lifetime;
    }

    /// From now on, refresh tokens live this long.
    pub fn set_refresh_lifetime(&self, lifetime: Duration) {
        self.state.oauth.store().settings.refresh_lifetime = lifetime;
    }

    pub fn set_refresh_mode(&self, mode: RefreshMode) {
        self.state.oauth.store().settings.refresh = mode;
    }

    pub fn set_host_kind(&self, kind: HostKind) {
        self.state.oauth.store().settings.host_kind = kind;
    }

    /// Replaces one field of a document, or leaves it out (`None`), until [`Workspace::clear_document_fields`].
    pub fn set_document_field(&self, document: Document, field: &str, value: Option<Value>) {
        self.state.oauth.store().settings.fields.insert((document, field.to_owned()), value);
    }

    /// Both documents tell the truth again.
    pub fn clear_document_fields(&self) {
        self.state.oauth.store().settings.fields.clear();
    }

    /// Replaces one parameter of the callback (`code`, `state`, `iss`, `error`), or leaves it out (`None`), until [`Workspace::clear_callback_parameters`].
    pub fn set_callback_parameter(&self, name: &str, value: Option<&str>) {
        self.state.oauth.store().settings.callback.insert(name.to_owned(), value.map(str::to_owned));
    }

    pub fn clear_callback_parameters(&self) {
        self.state.oauth.store().settings.callback.clear();
    }

    /// The discovery page (`/?destination_url=`) leads to that host (`http://127.0.0.1:PORT`) from now on instead of to this one.
    pub fn discovery_leads_to(&self, base: &str) {
        self.state.oauth.store().settings.leads_to = Some(base.to_owned());
    }

    /// Orders a change to replies of the token endpoint. The one ordered first is met first.
    pub fn order_token_reply(&self, change: TokenReply) {
        self.state.oauth.store().changes.push(change);
    }

    pub fn clear_token_replies(&self) {
        self.state.oauth.store().changes.clear();
    }

    pub fn grants(&self) -> Grants {
        self.state.oauth.store().grants
    }

    /// Waits until tokens were given that many times since the start. Ends the test after `limit`.
    pub fn wait_for_grants(&self, count: usize, limit: Duration) -> Grants {
        self.wait_for_oauth(limit, |grants| grants.given() >= count)
    }

    /// Waits until the counters are as wanted. Ends the test after `limit`.
    pub fn wait_for_oauth(&self, limit: Duration, wanted: impl Fn(&Grants) -> bool) -> Grants {
        let oauth = &self.state.oauth;
        let deadline = Instant::now() + limit;
        let mut store = oauth.store();
        while !wanted(&store.grants) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {limit:?}, but only this happened: {:?}", store.grants);
            store = oauth.granted.wait_timeout(store, left).unwrap().0;
        }
        store.grants
    }

    /// Every request to a token endpoint, oldest first. [`Recorded::form`] reads what was sent.
    pub fn token_requests(&self) -> Vec<Recorded> {
        self.requests().into_iter().filter(|seen| seen.method == "POST" && seen.path.ends_with("/v1/token")).collect()
    }

    /// Signs that user in at the workspace's issuer as if the browser had been through it, with `offline_access all-apis`: for tests that begin later.
    pub fn sign_in(&self, user_name: &str) -> SignedIn {
        self.sign_in_with(user_name, "offline_access all-apis", HostKind::Workspace)
    }

    /// The same with other scopes, or at the account's issuer ([`HostKind::Account`] and [`HostKind::Unified`]).
    pub fn sign_in_with(&self, user_name: &str, scope: &str, at: HostKind) -> SignedIn {
        let state = &self.state;
        let user = state.user(|user| user.name == user_name).expect("a user of that name");
        let (realm, issuer, audience) = match at {
            HostKind::Workspace | HostKind::Absent => (Realm::Workspace, format!("{}/oidc", state.http_url), state.workspace_id.to_string()),
            HostKind::Unified | HostKind::Account => {
                (Realm::Account, format!("{}/oidc/accounts/{}", state.http_url, state.account_id), state.account_id.clone())
            }
        };
        let holder = Holder { user: &user, client: PUBLIC_CLIENT, scope, realm, issuer: &issuer, audience: &audience };
        let now = state.clock.now_ms();
        let mut store = state.oauth.store();
        let family = store.new_family(holder);
        let access_token = state.oauth.access_token(&mut store, holder, Some(family), now);
        let refresh_token = if asks_for_refresh(scope) { store.refresh_token(family, now) } else { String::new() };
        let expires_at = (now + millis(store.settings.token_lifetime)).div_euclid(1000);
        SignedIn { access_token, refresh_token, scope: scope.to_owned(), expires_at }
    }

    /// Ends every sign-in of that user now, as an administrator would: access and refresh tokens both.
    pub fn revoke_sign_ins(&self, user_name: &str) {
        let user = self.state.user(|user| user.name == user_name).expect("a user of that name");
        self.state.oauth.store().revoke_all_of(&user.id);
    }

    /// Whether an access token opens the APIs now.
    pub fn access_token_works(&self, token: &str) -> bool {
        self.state.oauth.sign_in(token, self.state.clock.now_ms()).is_some()
    }

    /// Whether a refresh token could be used now.
    pub fn refresh_token_works(&self, token: &str) -> bool {
        let now = self.state.clock.now_ms();
        let store = self.state.oauth.store();
        store.refresh.get(token).is_some_and(|refresh| !refresh.spent && refresh.expires > now && !store.families[refresh.family].revoked)
    }

    /// Walks an authorize (or discovery) URL of this workspace as Ann would who agrees; gives the callback URL the browser is sent to.
    pub fn approve(&self, authorize_url: &str) -> String {
        self.approve_as(authorize_url, &self.admin.name)
    }

    /// The same for another user.
    pub fn approve_as(&self, authorize_url: &str, user_name: &str) -> String {
        approve(authorize_url, user_name, Some(&self.ca_file))
    }

    /// Walks an authorize URL as somebody who says no; gives the callback URL the browser is sent to.
    pub fn deny(&self, authorize_url: &str) -> String {
        deny(authorize_url, Some(&self.ca_file))
    }

    /// Fetches a page as the browser would, say the callback URL that [`Workspace::approve`] gave.
    pub fn visit(&self, url: &str) -> Page {
        visit(url, Some(&self.ca_file))
    }
}
