//! The embedded workspace: a Databricks workspace on loopback, for the tests and for `make demo`.
//!
//! It is strict where the service is strict, records every request, and fails on order. It shares
//! no types with the client in `src/`: both sides read the same public documentation, and a
//! mistake made twice must be made twice.
//!
//! ```ignore
//! let workspace = Workspace::start();
//! run(&["tokens", "list"], &[("DATABRICKS_HOST", workspace.url()), ("DATABRICKS_TOKEN", workspace.token())]);
//! assert_eq!(workspace.requests()[0].path, "/api/2.0/token/list");
//! ```
//!
//! - `server` sockets, one thread per connection; `http` messages; `tls` certificates
//! - `api` routing and shared checks; `auth` the sign-in gate
//! - `oauth` the authorization server: documents, sign-in page, token endpoint, and the one who walks it
//! - `entra` Azure around the workspace: Entra ID, Resource Manager, the metadata service of a machine, GitHub Actions as an issuer
//! - `tokens`, `token_management`, `permissions`, `service_principals`, `scim`, `clusters`, `database`, `files`, `account`,
//!   and for `api` the made-up `echo` and `things`: one API per file. A new one is a file
//!   with a `ROUTES` list and a line in [`ROUTES`] below; its data goes into `state`.
//! - `federation` whose id tokens are trusted, and who makes them; `google` the same of Google's; `signed` checks them
//! - `faults` what can go wrong on order; `record` the log

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each user of this module (tests, example) needs a part of its API")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test support: a broken assumption must end the test at once")]
#![allow(clippy::disallowed_methods, reason = "those rules are for the product")]

mod account;
mod api;
mod auth;
mod clock;
mod clouds;
mod clusters;
mod database;
mod echo;
mod entra;
mod faults;
mod federation;
mod files;
mod google;
mod http;
mod ldap;
mod oauth;
mod permissions;
mod postgres;
mod random;
mod record;
mod scim;
#[cfg(test)]
mod selftest;
mod server;
mod service_principals;
mod signed;
mod state;
mod things;
mod tls;
mod token_management;
mod tokens;

pub use self::clock::{http_date, rfc3339};
pub use self::database::DatabaseGrant;
pub use self::entra::{AzureIdentity, DATABRICKS, MANAGEMENT, OTHER_TENANT, RESOURCE_ID, RESOURCE_MANAGER, SUBSCRIPTION, TENANT};
pub use self::faults::{Fault, Gate};
pub use self::federation::{AZURE_DEVOPS, GITHUB, Policy};
pub use self::files::byte_at;
pub use self::http::{Framing, Response};
pub use self::ldap::Ldap;
pub use self::oauth::{Document, Grants, HostKind, Page, RefreshMode, SignedIn, TokenReply, approve, deny, visit};
pub use self::record::{Plane, Recorded};
pub use self::tls::TlsVariant;

use self::state::{State, User};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

/// Every API of the workspace, in the order routes are tried.
const ROUTES: &[&[api::Route]] = &[
    oauth::ROUTES[0],
    oauth::ROUTES[1],
    oauth::ROUTES[2],
    oauth::ROUTES[3],
    scim::ROUTES,
    tokens::ROUTES,
    token_management::ROUTES,
    account::ROUTES,
    permissions::ROUTES,
    service_principals::ROUTES,
    clusters::ROUTES,
    database::ROUTES,
    postgres::ROUTES,
    files::ROUTES,
    federation::ROUTES,
    google::ROUTES,
    entra::ROUTES,
    echo::ROUTES,
    things::ROUTES,
];

/// Who the admin is.
pub const ADMIN: &str = "ann@example.com";

/// A running workspace; dropping it closes its ports and connections.
#[derive(Debug)]
pub struct Workspace {
    // First, so that it is dropped first: nothing is served from a half-gone workspace.
    server: server::Server,
    state: Arc<State>,
    admin: User,
    /// The admin's token.
    token: Minted,
    ca_file: PathBuf,
    /// Holds `ca_file`; removed on drop.
    _directory: tempfile::TempDir,
}

/// A personal access token and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minted {
    /// 64 hexadecimal digits; what the API calls `token_id`.
    pub id: String,
    /// `dapi` and 32 hexadecimal digits: the secret.
    pub value: String,
}

/// What a workspace starts with.
#[derive(Debug, Clone)]
pub struct Builder {
    clusters: usize,
    tokens: usize,
    token_quota: usize,
    clock_offset: i64,
    workspace_id: u64,
    tls: TlsVariant,
    port: u16,
    https_port: u16,
    oauth: oauth::Settings,
}

impl Builder {
    /// How many clusters there are; 3 unless told. The first is `1234-567890-a12bcde3`.
    pub fn clusters(mut self, count: usize) -> Builder {
        self.clusters = count;
        self
    }

    /// How many tokens the admin has, the one used to sign in included; 3 unless told.
    pub fn tokens(mut self, count: usize) -> Builder {
        self.tokens = count;
        self
    }

    /// How many tokens a user may have; 600 unless told.
    pub fn token_quota(mut self, count: usize) -> Builder {
        self.token_quota = count;
        self
    }

    /// Seconds the workspace's clock is ahead of the real one (or behind, if negative).
    pub fn clock_offset(mut self, seconds: i64) -> Builder {
        self.clock_offset = seconds;
        self
    }

    /// The id of the workspace; 900800700600 unless told.
    pub fn workspace_id(mut self, id: u64) -> Builder {
        self.workspace_id = id;
        self
    }

    /// What the https port presents; [`TlsVariant::Trusted`] unless told.
    pub fn tls(mut self, variant: TlsVariant) -> Builder {
        self.tls = variant;
        self
    }

    /// The port for http; a free one unless told.
    pub fn port(mut self, port: u16) -> Builder {
        self.port = port;
        self
    }

    /// The port for https; a free one unless told.
    pub fn https_port(mut self, port: u16) -> Builder {
        self.https_port = port;
        self
    }

    /// Starts, or says why a port cannot be had.
    pub fn try_start(self) -> std::io::Result<Workspace> {
        let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))?;
        let secure = TcpListener::bind((Ipv4Addr::LOCALHOST, self.https_port))?;
        let plain_url = format!("http://127.0.0.1:{}", plain.local_addr()?.port());
        let secure_url = format!("https://localhost:{}", secure.local_addr()?.port());

        let directory = tempfile::Builder::new().prefix("workspace-").tempdir()?;
        let ca_file = directory.path().join("ca.pem");
        let tls::Material { ca_pem, config } = tls::make(self.tls);
        std::fs::write(&ca_file, ca_pem)?;

        let admin = User {
            id: "7000000000000001".to_owned(),
            name: ADMIN.to_owned(),
            display_name: "Ann Example".to_owned(),
            password: Some(random::hex::<12>()),
            admin: true,
        };
        let clock = clock::Clock::new(self.clock_offset);
        let now = clock.now_ms();
        let mut tokens = tokens::Tokens::new(self.token_quota);
        let (id, value) = tokens.mint(tokens::Wish { owner: &admin.id, comment: "admin", created: now, ..tokens::Wish::default() });
        tokens.seed(&admin.id, self.tokens, now);

        let state = Arc::new(State {
            clock,
            workspace_id: self.workspace_id,
            account_id: "6b3f8e0a-2c51-4d7e-9b1f-0a4d5c6e7f80".to_owned(),
            http_url: plain_url,
            https_url: secure_url,
            users: RwLock::new(vec![Arc::new(admin.clone())]),
            principals: service_principals::made_up(),
            tokens: Mutex::new(tokens),
            clusters: clusters::Clusters::new(self.clusters),
            database: Mutex::new(database::Database::new()),
            postgres: Mutex::new(postgres::Postgres::new()),
            secrets: Mutex::default(),
            permissions: Mutex::default(),
            files: Mutex::default(),
            log: record::Log::default(),
            faults: faults::Faults::default(),
            oauth: oauth::OAuth::new(self.oauth),
            federation: federation::Federation::default(),
            google: google::Google::default(),
            entra: entra::Entra::new(),
            stop: state::Stop::default(),
            connections: AtomicU64::new(0),
        });
        Ok(Workspace {
            server: server::Server::start(Arc::clone(&state), plain, secure, config),
            state,
            admin,
            token: Minted { id, value },
            ca_file,
            _directory: directory,
        })
    }

    pub fn start(self) -> Workspace {
        self.try_start().expect("the workspace can start")
    }
}

impl Workspace {
    /// A workspace with the default data, on two free ports of 127.0.0.1.
    pub fn start() -> Workspace {
        Workspace::builder().start()
    }

    pub fn builder() -> Builder {
        Builder {
            clusters: 3,
            tokens: 3,
            token_quota: tokens::QUOTA,
            clock_offset: 0,
            workspace_id: 900_800_700_600,
            tls: TlsVariant::Trusted,
            port: 0,
            https_port: 0,
            oauth: oauth::Settings::default(),
        }
    }

    /// A workspace whose https port presents something else.
    pub fn tls_variant(variant: TlsVariant) -> Workspace {
        Workspace::builder().tls(variant).start()
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> &str {
        &self.state.http_url
    }

    /// `https://localhost:PORT`
    pub fn https_url(&self) -> &str {
        &self.state.https_url
    }

    /// The PEM file of the authority behind `https_url`; it exists as long as the workspace.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    pub fn workspace_id(&self) -> u64 {
        self.state.workspace_id
    }

    pub fn account_id(&self) -> &str {
        &self.state.account_id
    }

    /// The admin's personal access token: random in every run, never expires.
    pub fn token(&self) -> &str {
        &self.token.value
    }

    /// The id of [`Workspace::token`].
    pub fn token_id(&self) -> &str {
        &self.token.id
    }

    /// The admin's user name, for basic authentication and for comparisons.
    pub fn basic_user(&self) -> &str {
        &self.admin.name
    }

    /// The admin's password: random in every run.
    pub fn basic_password(&self) -> &str {
        self.admin.password.as_deref().expect("the admin has a password")
    }

    /// Makes a token of the admin; `None` never expires.
    pub fn mint_token(&self, comment: &str, lifetime: Option<Duration>) -> Minted {
        let created = self.state.clock.now_ms();
        let lifetime = lifetime.map(|lifetime| i64::try_from(lifetime.as_millis()).expect("a sane lifetime"));
        self.mint(tokens::Wish { owner: &self.admin.id, comment, created, expires: lifetime.map(|lifetime| created + lifetime), ..tokens::Wish::default() })
    }

    fn mint(&self, wish: tokens::Wish<'_>) -> Minted {
        let (id, value) = self.state.tokens.lock().unwrap().mint(wish);
        Minted { id, value }
    }

    /// Ends the life of a token now; it stays listed, as expired ones do.
    pub fn expire_token(&self, id: &str) {
        let now = self.state.clock.now_ms();
        let known = self.state.tokens.lock().unwrap().set_expiry(id, now);
        assert!(known, "there is no token with id {id}");
    }

    /// Deletes a token, as its owner would.
    pub fn revoke_token(&self, id: &str) {
        let known = self.state.tokens.lock().unwrap().remove(id);
        assert!(known, "there is no token with id {id}");
    }

    /// Adds somebody without admin rights and gives a token of theirs.
    pub fn add_user(&self, name: &str, display_name: &str) -> Minted {
        let mut users = self.state.users.write().unwrap();
        let user = User {
            id: (7_000_000_000_000_001 + users.len()).to_string(),
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            password: None,
            admin: false,
        };
        users.push(Arc::new(user.clone()));
        drop(users);
        self.mint(tokens::Wish { owner: &user.id, comment: "first", created: self.state.clock.now_ms(), ..tokens::Wish::default() })
    }

    /// The numeric id and the application id of the service principal.
    pub fn service_principal(&self) -> (&str, &str) {
        let principal = &self.state.principals[0];
        (&principal.id, &principal.name)
    }

    /// Makes an OAuth secret of the service principal; `None` lives two years.
    pub fn mint_secret(&self, lifetime: Option<Duration>) -> String {
        let lifetime = lifetime.map_or(service_principals::LONGEST, |lifetime| i64::try_from(lifetime.as_secs()).expect("a sane lifetime"));
        let now = self.state.clock.now_seconds();
        self.state.secrets.lock().unwrap().add(&self.state.principals[0].id, now, lifetime).1
    }

    /// Puts a file of that many bytes below `/api/2.0/fs/files`, such as `/Volumes/main/default/files/data.bin`. [`byte_at`] tells what is in it.
    pub fn put_file(&self, path: &str, size: u64) {
        self.state.files.lock().unwrap().put(path, size);
    }

    /// Lets time pass here, without waiting.
    pub fn advance_clock(&self, by: Duration) {
        self.state.clock.advance(by);
    }

    /// From now on database passwords live so many seconds.
    pub fn database_lifetime(&self, seconds: i64) {
        self.state.database.lock().unwrap().lifetime = seconds;
    }

    /// Changes keys of a database instance, such as `read_write_dns` or `state`.
    pub fn change_instance(&self, name: &str, keys: &serde_json::Value) {
        self.state.database.lock().unwrap().change(name, keys);
    }

    /// Changes the status of a Postgres resource, such as the hosts of an endpoint.
    pub fn change_postgres(&self, name: &str, status: &serde_json::Value) {
        self.state.postgres.lock().unwrap().change(name, status);
    }

    /// An LDAP server on loopback whose simple bind takes living database passwords.
    pub fn ldap(&self) -> Ldap {
        Ldap::start(Arc::clone(&self.state))
    }

    /// Every database password that was ever given out.
    pub fn database_tokens(&self) -> Vec<String> {
        self.state.database.lock().unwrap().tokens()
    }

    /// What a database password opens now; `None` if it is unknown or expired.
    pub fn valid_database_token(&self, token: &str) -> Option<DatabaseGrant> {
        let now = self.state.clock.now_seconds();
        self.state.database.lock().unwrap().grant(token, now)
    }

    /// Waits until every database password that was given out so far has ended.
    pub fn wait_for_database_expiry(&self) {
        let end = self.state.database.lock().unwrap().last_expiry();
        self.wait_until(end);
    }

    /// Waits until this one has ended.
    pub fn wait_for_database_expiry_of(&self, token: &str) {
        let end = self.state.database.lock().unwrap().expiry(token);
        self.wait_until(end);
    }

    fn wait_until(&self, end: i64) {
        let left = end.saturating_mul(1000).saturating_sub(self.state.clock.now_ms());
        std::thread::sleep(Duration::from_millis(u64::try_from(left).unwrap_or(0)));
    }

    /// Orders a fault. The one ordered first is met first.
    pub fn order(&self, fault: Fault) {
        self.state.faults.order(fault);
    }

    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }

    /// Everything that came in, oldest first; only the last 10,000 are kept.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.log.all()
    }

    pub fn clear_requests(&self) {
        self.state.log.clear();
    }

    /// Waits until that many requests came in (since the last clear), and gives them. A request
    /// counts when it was read, answered or not. Ends the test after ten seconds.
    pub fn wait_for_requests(&self, count: usize) -> Vec<Recorded> {
        if let Err(have) = self.state.log.wait(count, Duration::from_secs(10)) {
            panic!("waited for {count} requests, only {have} came");
        }
        self.requests()
    }

    /// TCP connections so far, also those over which no request came (failed handshakes).
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }
}
