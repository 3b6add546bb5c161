//! The certified authorization server `oidc-provider` as a Databricks workspace: see `oauth/server.mjs`.

use std::process::Command;

use serde_json::Value;

use super::oracle::{installed, root};
use super::process::Companion;

/// What the server is to be like. The default is as Databricks is, with tokens of an hour.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// How long access tokens live, in seconds.
    pub(crate) access_token_seconds: u32,
    /// Whether a refresh token can be used more than once. If not, a second use revokes every token of the sign-in.
    pub(crate) reusable_refresh_tokens: bool,
    /// Whether access tokens are plain names that die when they are revoked, and not JWTs.
    pub(crate) opaque_access_tokens: bool,
    /// How long the token endpoint takes to answer, in milliseconds, to widen races.
    pub(crate) token_delay_ms: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self { access_token_seconds: 3600, reusable_refresh_tokens: false, opaque_access_tokens: false, token_delay_ms: 0 }
    }
}

/// A running authorization server, with the one API that tells who a token is. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct AuthorizationServer {
    process: Companion,
    url: String,
    client_secret: String,
}

impl AuthorizationServer {
    pub(crate) fn start() -> Self {
        Self::with(&Terms::default())
    }

    pub(crate) fn with(terms: &Terms) -> Self {
        let client_secret = format!("dose{}", uuid::Uuid::new_v4().simple());
        let mut command = Command::new(node());
        command.arg(script("server.mjs")).env_clear().env("PORT", "0").env("TEST_NODE", packages());
        command.env("TTL", terms.access_token_seconds.to_string()).env("TOKEN_DELAY_MS", terms.token_delay_ms.to_string());
        command.env("REFRESH", if terms.reusable_refresh_tokens { "reuse" } else { "rotate" });
        command.env("FORMAT", if terms.opaque_access_tokens { "opaque" } else { "jwt" });
        command.env("CLIENT_ID", Self::CLIENT_ID).env("CLIENT_SECRET", &client_secret);
        let process = Companion::start("oidc-provider", &mut command);
        let port = process.wait_for("its port", |lines| lines.first().cloned());
        Self { process, url: format!("http://127.0.0.1:{port}"), client_secret }
    }

    /// The client that may use `client_credentials`.
    pub(crate) const CLIENT_ID: &str = "service-principal";

    /// Its secret, another for each server.
    pub(crate) fn client_secret(&self) -> &str {
        &self.client_secret
    }

    /// The host of the workspace: `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What happened so far, in order; `oauth/server.mjs` tells what there is.
    pub(crate) fn events(&self) -> Vec<Value> {
        events(&self.process.lines())
    }

    /// How many events have all fields of this object, such as `{"event": "grant", "type": "refresh_token", "ok": true}`.
    pub(crate) fn count(&self, like: &Value) -> usize {
        self.events().iter().filter(|event| matches(event, like)).count()
    }

    /// Waits until so many events have all fields of this object.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize, like: &Value) {
        self.process.wait_for(&format!("{count} of {like}"), |lines| {
            let seen = events(lines).iter().filter(|event| matches(event, like)).count();
            (seen >= count).then_some(())
        });
    }
}

fn events(lines: &[String]) -> Vec<Value> {
    lines.iter().skip(1).map(|line| serde_json::from_str(line).expect("events in JSON")).collect()
}

fn matches(event: &Value, like: &Value) -> bool {
    like.as_object().expect("an object").iter().all(|(key, value)| event[key] == *value)
}

/// The Node.js that the packages were installed for.
pub(crate) fn node() -> std::path::PathBuf {
    installed("TEST_NODE_PROGRAM", "target/test-node/node")
}

/// Where the packages are.
pub(crate) fn packages() -> std::path::PathBuf {
    node().parent().expect("a folder").to_owned()
}

pub(super) fn script(name: &str) -> std::path::PathBuf {
    root().join("tests/peers/oauth").join(name)
}

mod tests {
    use super::super::browser::{Answer, Browser};
    use super::*;
    use serde_json::json;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    /// The pair of RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn curl(arguments: &[&str]) -> Value {
        let output = Command::new("curl").args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "10"]).args(arguments).output().expect("curl");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }

    fn token(server: &AuthorizationServer, fields: &[(&str, &str)]) -> Value {
        let fields: Vec<String> = fields.iter().flat_map(|(key, value)| ["--data-urlencode".to_owned(), format!("{key}={value}")]).collect();
        let url = format!("{}/oidc/v1/token", server.url());
        let mut arguments: Vec<&str> = fields.iter().map(String::as_str).collect();
        arguments.push(&url);
        curl(&arguments)
    }

    fn refresh(server: &AuthorizationServer, token_before: &Value) -> Value {
        let refresh_token = token_before["refresh_token"].as_str().expect("a refresh token");
        token(server, &[("grant_type", "refresh_token"), ("client_id", "databricks-cli"), ("refresh_token", refresh_token)])
    }

    fn me(server: &AuthorizationServer, answer: &Value) -> Value {
        let header = format!("Authorization: Bearer {}", answer["access_token"].as_str().expect("an access token"));
        curl(&["-H", &header, &format!("{}/api/2.0/preview/scim/v2/Me", server.url())])
    }

    fn link(server: &AuthorizationServer, port: u16, scope: &str) -> String {
        format!(
            "{}/oidc/v1/authorize?client_id=databricks-cli&code_challenge={CHALLENGE}&code_challenge_method=S256&redirect_uri=http%3A%2F%2Flocalhost%3A{port}\
             &response_type=code&scope={scope}&state=the-state",
            server.url()
        )
    }

    /// Answers one request for the start page, also with stray ones in between, and gives its query.
    fn callback(listener: TcpListener) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().expect("a browser");
                let mut line = String::new();
                let mut reader = BufReader::new(&stream);
                reader.read_line(&mut line).expect("a request");
                let mut header = String::new();
                while reader.read_line(&mut header).expect("headers") > 2 {
                    header.clear();
                }
                let page = "<!doctype html><html lang=en><title>Signed in</title><h1>You are signed in</h1><p hidden>unseen</p>";
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len())
                    .expect("sent");
                if let Some(query) = line.strip_prefix("GET /?") {
                    return query.split(' ').next().expect("a target").to_owned();
                }
            }
        })
    }

    fn field(query: &str, name: &str) -> Option<String> {
        query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).map(ToOwned::to_owned)
    }

    /// Signs in with the browser; gives the query of the callback and the answer to its code.
    fn sign_in(server: &AuthorizationServer, scope: &str) -> Value {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let browser = Browser::new();
        let query = callback(listener);
        browser.open(&link(server, port, scope));
        let page = browser.page().ok();
        let query = query.join().expect("a callback");
        assert_eq!((page.title.as_str(), page.text.as_str()), ("Signed in", "You are signed in"));
        assert_eq!(page.url, format!("http://localhost:{port}/?{query}"));
        assert_eq!(page.steps.len(), 2, "login and consent: {:?}", page.steps);
        assert!(page.aria.contains("heading \"You are signed in\""), "{}", page.aria);
        assert!(std::fs::read(browser.screenshot()).expect("a screenshot").starts_with(b"\x89PNG"));
        assert!(page.requests.iter().any(|request| request.url == page.url && request.status == Some(200)), "{:?}", page.requests);
        // Whatever the pages name beyond this machine is not reached.
        assert!(page.requests.iter().all(|request| request.is_local() || request.failure.is_some()), "{:?}", page.requests);
        assert_eq!(field(&query, "state").as_deref(), Some("the-state"));
        let issuer = format!("{}/oidc", server.url()).replace(':', "%3A").replace('/', "%2F");
        assert_eq!(field(&query, "iss"), Some(issuer));
        let code = field(&query, "code").expect("a code");
        let redirect = format!("http://localhost:{port}");
        token(
            server,
            &[("grant_type", "authorization_code"), ("client_id", "databricks-cli"), ("code", &code), ("code_verifier", VERIFIER), ("redirect_uri", &redirect)],
        )
    }

    #[test]
    fn a_browser_signs_in_and_a_refresh_token_works_once() {
        let server = AuthorizationServer::start();
        let first = sign_in(&server, "offline_access+all-apis");
        assert_eq!(first["expires_in"], 3600, "{first}");
        assert_eq!(first["access_token"].as_str().expect("a token").split('.').count(), 3, "a JWT: {first}");
        assert_eq!(me(&server, &first)["userName"], "alice@example.com");
        let second = refresh(&server, &first);
        assert_ne!(second["refresh_token"], first["refresh_token"]);
        assert_eq!(me(&server, &second)["userName"], "alice@example.com");
        // A second use of the first one: somebody has stolen one of them, so the family is void.
        assert_eq!(refresh(&server, &first)["error"], "invalid_grant");
        assert_eq!(refresh(&server, &second)["error"], "invalid_grant");
        server.wait_for(1, &json!({"event": "family-revoked"}));
        let refreshes = |ok: bool| server.count(&json!({"event": "grant", "type": "refresh_token", "client": "databricks-cli", "ok": ok}));
        assert_eq!((refreshes(true), refreshes(false)), (1, 2), "{:?}", server.events());
        assert_eq!(server.count(&json!({"event": "api", "status": 200})), 2);
    }

    #[test]
    fn tokens_expire_and_are_revoked_and_refresh_tokens_can_be_reusable() {
        let terms = Terms { access_token_seconds: 1, reusable_refresh_tokens: true, opaque_access_tokens: true, ..Terms::default() };
        let server = AuthorizationServer::with(&terms);
        let first = sign_in(&server, "offline_access+all-apis");
        // Each call is answered until the token is expired.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while me(&server, &first)["error_code"] != "UNAUTHENTICATED" {
            assert!(std::time::Instant::now() < until, "it does not expire");
        }
        let again = refresh(&server, &first);
        assert_eq!(me(&server, &again)["userName"], "alice@example.com");
        assert_eq!(refresh(&server, &first)["refresh_token"], first["refresh_token"]);
        let revoke = format!("{}/oidc/v1/revoke", server.url());
        let token = format!("token={}", first["refresh_token"].as_str().expect("a refresh token"));
        let status = Command::new("curl").args(["-sf", "--noproxy", "*", "-d", "client_id=databricks-cli", "-d", &token, &revoke]).status().expect("curl");
        assert!(status.success());
        server.wait_for(1, &json!({"event": "revoke", "ok": true}));
        assert_eq!(refresh(&server, &first)["error"], "invalid_grant");
    }

    #[test]
    fn no_offline_access_no_refresh_token() {
        let server = AuthorizationServer::start();
        let answer = sign_in(&server, "all-apis");
        assert_eq!(answer["scope"], "all-apis");
        assert_eq!(answer["refresh_token"], Value::Null);
    }

    #[test]
    fn a_cancelled_sign_in_comes_back_as_access_denied() {
        let server = AuthorizationServer::start();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let browser = Browser::that(Answer::Cancels);
        let query = callback(listener);
        browser.open(&link(&server, port, "offline_access+all-apis"));
        browser.page().ok();
        let query = query.join().expect("a callback");
        assert_eq!(field(&query, "error").as_deref(), Some("access_denied"));
        assert_eq!(field(&query, "code"), None);
        server.wait_for(1, &json!({"event": "authorize", "ok": false, "error": "access_denied"}));
    }

    #[test]
    fn it_looks_like_a_workspace_and_is_strict() {
        let server = AuthorizationServer::start();
        let config = curl(&[&format!("{}/.well-known/databricks-config", server.url())]);
        let issuer = format!("{}/oidc", server.url());
        assert_eq!(config["oidc_endpoint"], issuer);
        let metadata = curl(&[&format!("{issuer}/.well-known/oauth-authorization-server")]);
        assert_eq!(metadata["issuer"], issuer);
        assert_eq!(metadata["authorization_endpoint"], format!("{issuer}/v1/authorize"));
        assert_eq!(metadata["token_endpoint"], format!("{issuer}/v1/token"));
        assert_eq!(metadata["revocation_endpoint"], format!("{issuer}/v1/revoke"));
        assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);

        let status = |url: &str| {
            let output = Command::new("curl").args(["-s", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", url]).output().expect("curl");
            String::from_utf8(output.stdout).expect("a number")
        };
        let good = link(&server, 8021, "offline_access+all-apis");
        assert_eq!(status(&good), "303", "any port of localhost is registered");
        assert_eq!(status(&good.replace("localhost", "evil.example")), "400");
        assert_eq!(status(&good.replace("3A8021", "3A8021%2Fpath")), "400");
        assert_eq!(status(&good.replace("client_id=databricks-cli", "client_id=other")), "400");
        // Errors that go back to the client.
        assert_eq!(status(&good.replace(&format!("code_challenge={CHALLENGE}&code_challenge_method=S256&"), "")), "303");
        server.wait_for(1, &json!({"event": "authorize", "ok": false, "error": "invalid_request"}));
        assert_eq!(status(&good.replace("S256", "plain")), "303");

        let url = format!("{issuer}/v1/token");
        let user = |secret: &str| format!("{}:{secret}", AuthorizationServer::CLIENT_ID);
        let fields = ["-d", "grant_type=client_credentials", "-d", "scope=all-apis", &url];
        let granted = curl(&[&["-u", &user(server.client_secret())], &fields[..]].concat());
        assert_eq!(me(&server, &granted)["userName"], AuthorizationServer::CLIENT_ID);
        let refused = curl(&[&["-u", &user("wrong")], &fields[..]].concat());
        assert_eq!(refused["error"], "invalid_client");
        server.wait_for(1, &json!({"event": "grant", "type": "client_credentials", "ok": false, "error": "invalid_client"}));
    }
}
