//! The authorization server, walked by bare sockets and curl.

use super::super::oauth::HostKind;
use super::super::{Document, Grants, RefreshMode, TokenReply};
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http://localhost:8020";
const TOKEN: &str = "/oidc/v1/token";
const SERVER: &str = "/oidc/.well-known/oauth-authorization-server";
const CONFIG: &str = "/.well-known/databricks-config";
const LIMIT: Duration = Duration::from_secs(10);

/// The query of an authorization request, with one parameter changed (`None` leaves it out).
fn query_with(name: &str, value: Option<&str>) -> String {
    let usual = [
        ("client_id", "databricks-cli"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("redirect_uri", "http%3A%2F%2Flocalhost%3A8020"),
        ("response_type", "code"),
        ("scope", "offline_access+all-apis"),
        ("state", "st4te"),
    ];
    let pairs = usual.iter().filter_map(|(key, usual)| if *key == name { value } else { Some(*usual) }.map(|value| format!("{key}={value}")));
    pairs.collect::<Vec<_>>().join("&")
}

fn authorize_url(workspace: &Workspace) -> String {
    format!("{}/oidc/v1/authorize?{}", workspace.url(), query_with("", None))
}

/// One parameter of a callback URL, decoded.
fn parameter(callback: &str, name: &str) -> Option<String> {
    let (_, query) = callback.split_once('?')?;
    super::super::http::parse_query(query).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn form_at(workspace: &Workspace, path: &str, headers: &str, form: &str) -> Reply {
    exchange(workspace, &request("POST", path, &format!("Content-Type: application/x-www-form-urlencoded\r\n{headers}"), form))
}

fn form(workspace: &Workspace, form: &str) -> Reply {
    form_at(workspace, TOKEN, "", form)
}

fn exchange_code(workspace: &Workspace, code: &str) -> Reply {
    form(workspace, &format!("client_id=databricks-cli&code={code}&code_verifier={VERIFIER}&grant_type=authorization_code&redirect_uri={REDIRECT}"))
}

fn fresh_code(workspace: &Workspace) -> String {
    parameter(&workspace.approve(&authorize_url(workspace)), "code").expect("a code")
}

fn refresh(workspace: &Workspace, token: &str) -> Reply {
    form(workspace, &format!("client_id=databricks-cli&grant_type=refresh_token&refresh_token={token}"))
}

fn text<'a>(reply: &'a Value, field: &str) -> &'a str {
    reply[field].as_str().unwrap_or_else(|| panic!("no {field} in {reply}"))
}

/// Status and OAuth error code.
fn refused(reply: &Reply) -> (u16, String) {
    (reply.status, text(&reply.json(), "error").to_owned())
}

fn error(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn basic(id: &str, secret: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{id}:{secret}")))
}

fn claims(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("three parts")).expect("base64url");
    serde_json::from_slice(&payload).expect("JSON")
}

fn me(workspace: &Workspace, token: &str) -> (u16, Value) {
    let reply = get_as(workspace, token, ME);
    (reply.status, reply.json()["userName"].clone())
}

#[test]
fn a_user_signs_in_refreshes_and_is_who_the_apis_see() {
    let workspace = Workspace::start();
    workspace.add_user("bob@example.com", "Bob Example");
    for user in ["ann@example.com", "bob@example.com"] {
        let callback = workspace.approve_as(&authorize_url(&workspace), user);
        assert!(callback.starts_with("http://localhost:8020/?code="), "{callback}");
        assert_eq!(parameter(&callback, "state").as_deref(), Some("st4te"));
        assert_eq!(parameter(&callback, "iss"), Some(format!("{}/oidc", workspace.url())));

        let reply = exchange_code(&workspace, &parameter(&callback, "code").unwrap());
        assert_eq!((reply.status, reply.header("Cache-Control")), (200, Some("no-store")));
        let first = reply.json();
        assert_eq!((text(&first, "token_type"), &first["expires_in"], text(&first, "scope")), ("Bearer", &json!(3600), "offline_access all-apis"));
        assert_eq!(me(&workspace, text(&first, "access_token")), (200, json!(user)));
        let claims = claims(text(&first, "access_token"));
        assert_eq!((&claims["sub"], &claims["client_id"], &claims["scope"]), (&json!(user), &json!("databricks-cli"), &json!("offline_access all-apis")));
        assert_eq!(claims["iss"], format!("{}/oidc", workspace.url()));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);

        let second = refresh(&workspace, text(&first, "refresh_token")).json();
        assert_ne!(second["refresh_token"], first["refresh_token"]);
        assert_ne!(second["access_token"], first["access_token"]);
        assert_eq!(me(&workspace, text(&second, "access_token")), (200, json!(user)));
        assert_eq!(me(&workspace, text(&first, "access_token")).0, 200, "a refresh does not end the token before it");
    }
    assert_eq!(workspace.grants(), Grants { codes: 2, refreshes: 2, ..Grants::default() });
    let seen = workspace.token_requests();
    assert_eq!(seen.iter().map(|seen| seen.form("grant_type").unwrap()).collect::<Vec<_>>(), ["authorization_code", "refresh_token"].repeat(2));
    assert_eq!(seen[0].form("redirect_uri").as_deref(), Some(REDIRECT));
}

#[test]
fn a_form_in_chunks_is_read_like_any_other() {
    let workspace = Workspace::start();
    let body = format!("client_id=databricks-cli&grant_type=refresh_token&refresh_token={}", workspace.sign_in("ann@example.com").refresh_token);
    let (first, second) = body.split_at(20);
    let chunks = format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    let head = "Host: here\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked";
    assert_eq!(exchange(&workspace, &format!("POST {TOKEN} HTTP/1.1\r\n{head}\r\n\r\n{chunks}")).status, 200);
}

#[test]
fn without_offline_access_there_is_no_refresh_token() {
    let workspace = Workspace::start();
    let url = format!("{}/oidc/v1/authorize?{}", workspace.url(), query_with("scope", Some("all-apis")));
    let reply = exchange_code(&workspace, &parameter(&workspace.approve(&url), "code").unwrap()).json();
    assert_eq!((&reply["refresh_token"], text(&reply, "scope")), (&Value::Null, "all-apis"));
}

#[test]
fn what_the_user_denies_and_what_the_client_gets_wrong_comes_back_as_an_error() {
    let workspace = Workspace::start();
    let denied = workspace.deny(&authorize_url(&workspace));
    assert_eq!(parameter(&denied, "error").as_deref(), Some("access_denied"));
    assert!(parameter(&denied, "error_description").is_some() && parameter(&denied, "code").is_none());
    assert_eq!(parameter(&denied, "state").as_deref(), Some("st4te"));
    assert_eq!(parameter(&denied, "iss"), Some(format!("{}/oidc", workspace.url())));

    for (name, value, error) in [
        ("response_type", Some("token"), "unsupported_response_type"),
        ("response_type", None, "unsupported_response_type"),
        ("state", None, "invalid_request"),
        ("state", Some("a&state=b"), "invalid_request"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", Some("short"), "invalid_request"),
        ("code_challenge", Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw%2FcM"), "invalid_request"),
        ("code_challenge_method", Some("plain"), "invalid_request"),
        ("code_challenge_method", None, "invalid_request"),
        ("scope", None, "invalid_scope"),
        ("scope", Some("all-apis+nonsense"), "invalid_scope"),
    ] {
        let reply = exchange(&workspace, &request("GET", &format!("/oidc/v1/authorize?{}", query_with(name, value)), "", ""));
        let location = reply.header("Location").unwrap_or_default();
        assert_eq!((reply.status, parameter(location, "error").as_deref()), (302, Some(error)), "{name} {value:?}: {location}");
        assert!(location.starts_with(REDIRECT));
    }
    // Nobody is sent to an address that is not the client's: RFC 6749, 4.1.2.1.
    let redirects = [
        "http://localhost:8020/callback",
        "http://localhost:8020/",
        "http://localhost:8020?x=1",
        "http://localhost:8020%23x",
        "https://localhost:8020",
        "http://localhost",
        "http://localhost:0",
        "http://localhost:99999",
        "http://localhost:8020@evil.example.com",
        "http://localhost.evil.example.com:8020",
        "http://evil.example.com:8020",
    ];
    let bad = redirects.iter().map(|redirect| ("redirect_uri", Some(*redirect)));
    for (name, value) in bad.chain([("redirect_uri", None), ("client_id", Some("other")), ("client_id", None)]) {
        let reply = exchange(&workspace, &request("GET", &format!("/oidc/v1/authorize?{}", query_with(name, value)), "", ""));
        assert_eq!((reply.status, reply.header("Location")), (400, None), "{name} {value:?}");
        assert_eq!(reply.header("Content-Type"), Some("text/html; charset=utf-8"));
    }
    for redirect in ["http://127.0.0.1:8040", "http://localhost:53123"] {
        let url = format!("{}/oidc/v1/authorize?{}", workspace.url(), query_with("redirect_uri", Some(redirect)));
        assert!(workspace.approve(&url).starts_with(&format!("{redirect}/?code=")));
    }
}

#[test]
fn the_page_is_for_people_and_only_its_own_form_counts() {
    let workspace = Workspace::start();
    let page = |cookie: &mut String| {
        let reply = exchange(&workspace, &request("GET", &format!("/oidc/v1/authorize?{}", query_with("", None)), "", ""));
        *cookie = reply.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
        assert!(reply.header("Set-Cookie").unwrap().contains("HttpOnly; SameSite=Strict"));
        String::from_utf8(reply.body).unwrap()
    };
    let hidden = |page: &str, name: &str| {
        let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let mut cookie = String::new();
    let html = page(&mut cookie);
    for part in ["<html lang=\"en\">", "<title>", "<main>", "<h1>", "Sign in as ann@example.com</button>", ">Deny</button>", "<li>all-apis</li>"] {
        assert!(html.contains(part), "{part} is missing: {html}");
    }
    let press = |cookie: &str, request: &str, csrf: &str, rest: &str| {
        form_at(&workspace, "/oidc/v1/authorize", &format!("Cookie: {cookie}\r\n"), &format!("request={request}&csrf={csrf}&{rest}"))
    };
    // A wrong form uses the page up.
    let (id, csrf) = (hidden(&html, "request"), hidden(&html, "csrf"));
    assert_eq!(press(&cookie, &id, "0123", "user=ann%40example.com").status, 403);
    assert_eq!(press(&cookie, &id, &csrf, "user=ann%40example.com").status, 400);
    let html = page(&mut cookie);
    let (id, csrf) = (hidden(&html, "request"), hidden(&html, "csrf"));
    assert_eq!(press("other=1", &id, &csrf, "user=ann%40example.com").status, 403);
    let html = page(&mut cookie);
    assert_eq!(press(&cookie, &hidden(&html, "request"), &hidden(&html, "csrf"), "user=eve%40example.com").status, 400);
    let html = page(&mut cookie);
    let (id, csrf) = (hidden(&html, "request"), hidden(&html, "csrf"));
    assert_eq!(press(&cookie, &id, &csrf, "user=ann%40example.com").status, 303);
    assert_eq!(press(&cookie, &id, &csrf, "user=ann%40example.com").status, 400);
    let html = page(&mut cookie);
    workspace.advance_clock(Duration::from_secs(601));
    assert_eq!(press(&cookie, &hidden(&html, "request"), &hidden(&html, "csrf"), "user=ann%40example.com").status, 400);
}

#[test]
fn a_code_is_good_once_for_a_minute_and_for_whom_it_was_made() {
    let workspace = Workspace::start();
    let usual = |code: &str| {
        [("client_id", "databricks-cli"), ("code", code), ("code_verifier", VERIFIER), ("grant_type", "authorization_code"), ("redirect_uri", REDIRECT)]
            .map(|(key, value)| (key, value.to_owned()))
    };
    for (name, value, expected) in [
        ("code_verifier", "x".repeat(43), error(400, "invalid_grant")),
        ("code_verifier", "x".repeat(42), error(400, "invalid_request")),
        ("code_verifier", "x".repeat(129), error(400, "invalid_request")),
        ("code_verifier", String::new(), error(400, "invalid_request")),
        ("redirect_uri", "http://localhost:8021".to_owned(), error(400, "invalid_grant")),
        ("redirect_uri", String::new(), error(400, "invalid_request")),
        ("client_id", "other".to_owned(), error(401, "invalid_client")),
        ("client_id", String::new(), error(400, "invalid_request")),
        ("code", "dcod0".to_owned(), error(400, "invalid_grant")),
        ("grant_type", "password".to_owned(), error(400, "unsupported_grant_type")),
        ("grant_type", String::new(), error(400, "invalid_request")),
    ] {
        let mut fields = usual(&fresh_code(&workspace));
        fields.iter_mut().find(|(key, _)| *key == name).unwrap().1 = value;
        let body = fields.map(|(key, value)| format!("{key}={value}")).join("&");
        assert_eq!(refused(&form(&workspace, &body)), expected, "{name}: {body}");
    }
    assert_eq!(workspace.grants().refused, 11);

    let old = fresh_code(&workspace);
    workspace.advance_clock(Duration::from_secs(61));
    assert_eq!(refused(&exchange_code(&workspace, &old)), error(400, "invalid_grant"));

    // RFC 6749, 4.1.2: using it again takes back what it gave.
    let code = fresh_code(&workspace);
    let given = exchange_code(&workspace, &code).json();
    assert_eq!(me(&workspace, text(&given, "access_token")).0, 200);
    assert_eq!(refused(&exchange_code(&workspace, &code)), error(400, "invalid_grant"));
    assert_eq!(get_as(&workspace, text(&given, "access_token"), ME).status, 403);
    assert_eq!(refused(&refresh(&workspace, text(&given, "refresh_token"))), error(400, "invalid_grant"));
    assert_eq!(workspace.grants().reuse_detected, 1);
}

#[test]
fn a_wrong_verifier_uses_the_code_up() {
    let workspace = Workspace::start();
    let code = fresh_code(&workspace);
    let wrong = "x".repeat(43);
    let body = format!("client_id=databricks-cli&code={code}&code_verifier={wrong}&grant_type=authorization_code&redirect_uri={REDIRECT}");
    assert_eq!(refused(&form(&workspace, &body)), error(400, "invalid_grant"));
    assert_eq!(refused(&exchange_code(&workspace, &code)), error(400, "invalid_grant"));
    assert_eq!(workspace.grants(), Grants { refused: 2, ..Grants::default() });
}

#[test]
fn a_spent_refresh_token_ends_the_family_and_a_reusable_one_does_not() {
    let workspace = Workspace::start();
    let (first, other) = (workspace.sign_in("ann@example.com"), workspace.sign_in("ann@example.com"));
    let second = refresh(&workspace, &first.refresh_token).json();
    let third = refresh(&workspace, text(&second, "refresh_token")).json();
    let reused = refresh(&workspace, &first.refresh_token);
    assert_eq!(reused.status, 400);
    assert_eq!(reused.json(), json!({"error": "invalid_grant", "error_description": "Refresh token is invalid"}));
    assert_eq!(refused(&refresh(&workspace, text(&third, "refresh_token"))), error(400, "invalid_grant"));
    assert!(!workspace.access_token_works(text(&third, "access_token")) && !workspace.refresh_token_works(text(&third, "refresh_token")));
    assert!(workspace.access_token_works(&other.access_token) && workspace.refresh_token_works(&other.refresh_token), "another sign-in of the same user");
    assert_eq!(workspace.grants().reuse_detected, 1);

    workspace.set_refresh_mode(RefreshMode::Reusable);
    for _ in 0..3 {
        assert_eq!(refresh(&workspace, &other.refresh_token).json()["refresh_token"], json!(other.refresh_token));
    }
    assert_eq!(workspace.grants().reuse_detected, 1);
}

#[test]
fn refreshing_at_the_same_time_succeeds_once() {
    let workspace = Workspace::start();
    let token = workspace.sign_in("ann@example.com").refresh_token;
    let good = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| refresh(&workspace, &token).status)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|status| *status == 200).count()
    });
    assert_eq!((good, workspace.grants().reuse_detected), (1, 3));
}

#[test]
fn a_refresh_may_ask_for_less_and_not_for_more() {
    let workspace = Workspace::start();
    let token = workspace.sign_in("ann@example.com").refresh_token;
    let with = |token: &str, scope: &str| form(&workspace, &format!("client_id=databricks-cli&grant_type=refresh_token&refresh_token={token}&scope={scope}"));
    assert_eq!(refused(&with(&token, "all-apis+sql")), error(400, "invalid_scope"));
    let less = with(&token, "all-apis").json();
    assert_eq!(text(&less, "scope"), "all-apis");
    let again = refresh(&workspace, text(&less, "refresh_token")).json();
    assert_eq!(text(&again, "scope"), "offline_access all-apis", "what was granted stays granted");
}

#[test]
fn tokens_end_when_their_time_is_over() {
    let workspace = Workspace::builder().token_lifetime(Duration::from_secs(5)).refresh_lifetime(Duration::from_secs(60)).start();
    let signed_in = workspace.sign_in("ann@example.com");
    assert_eq!(me(&workspace, &signed_in.access_token).0, 200);
    workspace.advance_clock(Duration::from_secs(5));
    let late = get_as(&workspace, &signed_in.access_token, ME);
    assert_eq!((late.status, late.json()), (403, json!({"error_code": 403, "message": "Invalid access token."})));
    workspace.set_token_lifetime(Duration::from_secs(7));
    let renewed = refresh(&workspace, &signed_in.refresh_token).json();
    assert_eq!(renewed["expires_in"], 7);
    workspace.advance_clock(Duration::from_secs(60));
    assert_eq!(refused(&refresh(&workspace, text(&renewed, "refresh_token"))), error(400, "invalid_grant"));
    workspace.set_refresh_lifetime(Duration::from_secs(3600));
    let signed_in = workspace.sign_in("ann@example.com");
    workspace.advance_clock(Duration::from_secs(3000));
    assert!(workspace.refresh_token_works(&signed_in.refresh_token));
    // Three signatures short of a token is none.
    assert_eq!(get_as(&workspace, "eyJhbGciOiJub25lIn0.e30.", ME).status, 403);
}

#[test]
fn a_service_principal_signs_in_with_its_secret_until_the_secret_ends() {
    let workspace = Workspace::start();
    let (number, id) = workspace.service_principal();
    let (number, id) = (number.to_owned(), id.to_owned());
    let secrets = format!("/api/2.0/accounts/servicePrincipals/{number}/credentials/secrets");
    let made = post(&workspace, &secrets, &json!({"lifetime": "600s"})).json();
    let body = "grant_type=client_credentials&scope=all-apis";
    let by = |id: &str, secret: &str| form_at(&workspace, TOKEN, &basic(id, secret), body);

    let reply = by(&id, text(&made, "secret"));
    let given = reply.json();
    assert_eq!((reply.status, &given["refresh_token"], text(&given, "scope")), (200, &Value::Null, "all-apis"));
    assert_eq!(me(&workspace, text(&given, "access_token")), (200, json!(id)));
    assert_eq!(claims(text(&given, "access_token"))["sub"], json!(id));
    // RFC 6749, 2.3.1: every character may come as an escape.
    let escaped: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(by(&escaped, text(&made, "secret")).status, 200);
    let in_body = format!("{body}&client_id={id}&client_secret={}", text(&made, "secret"));
    assert_eq!(form(&workspace, &in_body).status, 200);
    assert_eq!(refused(&form_at(&workspace, TOKEN, &basic(&id, text(&made, "secret")), &in_body)), error(400, "invalid_request"), "both ways at once");

    let wrong = by(&id, "dose0");
    assert_eq!(refused(&wrong), error(401, "invalid_client"));
    assert!(wrong.header("WWW-Authenticate").unwrap().starts_with("Basic"));
    assert_eq!(refused(&by("someone", text(&made, "secret"))), error(401, "invalid_client"));
    assert_eq!(refused(&form(&workspace, body)), error(401, "invalid_client"));
    assert_eq!(refused(&form_at(&workspace, TOKEN, &basic(&id, text(&made, "secret")), "grant_type=client_credentials")), error(400, "invalid_scope"));

    assert_eq!(send(&workspace, "DELETE", &format!("{secrets}/{}", text(&made, "id")), &Value::Null).status, 200);
    assert_eq!(refused(&by(&id, text(&made, "secret"))), error(401, "invalid_client"));
    assert!(workspace.access_token_works(text(&given, "access_token")), "a token outlives its secret");
    let short = workspace.mint_secret(Some(Duration::from_secs(60)));
    assert_eq!(by(&id, &short).status, 200);
    workspace.advance_clock(Duration::from_secs(60));
    assert_eq!(refused(&by(&id, &short)), error(401, "invalid_client"));
    assert_eq!(workspace.grants().client_credentials, 4);
}

#[test]
fn what_is_no_proper_form_is_refused() {
    let workspace = Workspace::start();
    let token = workspace.sign_in("ann@example.com").refresh_token;
    let body = format!("client_id=databricks-cli&grant_type=refresh_token&refresh_token={token}");
    let json = exchange(&workspace, &request("POST", TOKEN, "Content-Type: application/json\r\n", &body));
    assert_eq!(refused(&json), error(400, "invalid_request"));
    assert_eq!(refused(&form(&workspace, &format!("{body}&client_id=databricks-cli"))), error(400, "invalid_request"));
    assert_eq!(refused(&form_at(&workspace, TOKEN, &basic("databricks-cli", ""), &body)), error(401, "invalid_client"));
    assert_eq!(refused(&form(&workspace, "client_id=databricks-cli&grant_type=refresh_token")), error(400, "invalid_request"));
    assert_eq!(refused(&refresh(&workspace, "dorf0")), error(400, "invalid_grant"));
    assert!(workspace.refresh_token_works(&token));
}

#[test]
fn revoking_a_refresh_token_ends_the_family_and_an_access_token_only_itself() {
    let workspace = Workspace::start();
    let revoke = |token: &str| form_at(&workspace, "/oidc/v1/revoke", "", &format!("client_id=databricks-cli&token={token}&token_type_hint=refresh_token"));
    let signed_in = workspace.sign_in("ann@example.com");
    assert_eq!(revoke(&signed_in.access_token).status, 200, "the hint may be wrong");
    assert_eq!(get_as(&workspace, &signed_in.access_token, ME).status, 403);
    let renewed = refresh(&workspace, &signed_in.refresh_token).json();
    assert_eq!(revoke(text(&renewed, "refresh_token")).status, 200);
    assert!(!workspace.access_token_works(text(&renewed, "access_token")));
    assert_eq!(refused(&refresh(&workspace, text(&renewed, "refresh_token"))), error(400, "invalid_grant"));
    assert_eq!(workspace.grants().revocations, 2);
    // RFC 7009, 2.2: what is unknown is revoked already.
    assert_eq!(revoke("dorf0").status, 200);
    assert_eq!(refused(&form_at(&workspace, "/oidc/v1/revoke", "", "client_id=databricks-cli")), error(400, "invalid_request"));
    assert_eq!(refused(&form_at(&workspace, "/oidc/v1/revoke", "", "client_id=other&token=x")), error(401, "invalid_client"));
    assert_eq!(workspace.grants().revocations, 2);

    let signed_in = workspace.sign_in("ann@example.com");
    workspace.revoke_sign_ins("ann@example.com");
    assert!(!workspace.access_token_works(&signed_in.access_token) && !workspace.refresh_token_works(&signed_in.refresh_token));
}

#[test]
fn replies_are_changed_as_ordered() {
    let workspace = Workspace::builder().refresh_mode(RefreshMode::Reusable).start();
    let token = workspace.sign_in("ann@example.com").refresh_token;
    for value in [json!("3600"), json!(0), json!(-1), json!(1e300), json!(null)] {
        workspace.order_token_reply(TokenReply::any().set("expires_in", value.clone()));
        assert_eq!(refresh(&workspace, &token).json()["expires_in"], value);
    }
    workspace.order_token_reply(TokenReply::on("authorization_code").set("token_type", json!("mac")));
    workspace.order_token_reply(TokenReply::on("refresh_token").omit("refresh_token").omit("expires_in").set("token_type", json!("bearer")).times(2));
    for _ in 0..2 {
        let reply = refresh(&workspace, &token).json();
        let mut names: Vec<_> = reply.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!((names, text(&reply, "token_type")), (vec!["access_token", "scope", "token_type"], "bearer"));
        assert!(workspace.access_token_works(text(&reply, "access_token")));
    }
    assert_eq!(text(&refresh(&workspace, &token).json(), "token_type"), "Bearer");
    workspace.clear_token_replies();
    assert_eq!(text(&exchange_code(&workspace, &fresh_code(&workspace)).json(), "token_type"), "Bearer");
}

#[test]
fn the_token_endpoint_fails_on_order_like_any_other() {
    let workspace = Workspace::start();
    let token = workspace.sign_in("ann@example.com").refresh_token;
    workspace.order(Fault::on("POST", TOKEN).retry_after(429, "2"));
    workspace.order(Fault::on("POST", TOKEN).reply(Response::error(500, "INTERNAL_ERROR", "out of order")));
    workspace.order(Fault::on("POST", TOKEN).reply(Response::html_login()));
    let busy = refresh(&workspace, &token);
    assert_eq!((busy.status, busy.header("Retry-After")), (429, Some("2")));
    assert_eq!(refresh(&workspace, &token).status, 500);
    assert_eq!(refresh(&workspace, &token).body[0], b'<');
    assert!(workspace.refresh_token_works(&token), "nothing of that reached the server");

    let body = format!("client_id=databricks-cli&grant_type=refresh_token&refresh_token={token}");
    let bytes = request("POST", TOKEN, "Content-Type: application/x-www-form-urlencoded\r\n", &body);
    workspace.order(Fault::on("POST", TOKEN).silence());
    let mut silent = connect(&workspace);
    silent.write_all(bytes.as_bytes()).unwrap();
    workspace.wait_for_requests(4);
    silent.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert!(matches!(silent.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));

    // The reply that is lost: the token is spent, and nobody has the new one.
    workspace.order(Fault::on("POST", TOKEN).reset_after());
    let mut lost = connect(&workspace);
    lost.write_all(bytes.as_bytes()).unwrap();
    assert_eq!(lost.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(workspace.wait_for_grants(1, LIMIT).refreshes, 1);
    assert!(!workspace.refresh_token_works(&token));
}

#[test]
fn whoever_waits_for_a_grant_is_woken_by_it() {
    let workspace = Workspace::start();
    let token = workspace.sign_in("ann@example.com").refresh_token;
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| workspace.wait_for_oauth(LIMIT, |grants| grants.refreshes == 1 && grants.refused == 1));
        assert_eq!(refresh(&workspace, &token).status, 200);
        assert_eq!(refresh(&workspace, "dorf0").status, 400);
        assert_eq!(waiting.join().unwrap().given(), 1);
    });
}

#[test]
fn the_kind_of_host_decides_what_it_says_and_what_it_serves() {
    let workspace = Workspace::start();
    let account = workspace.account_id().to_owned();
    let of_account = format!("/oidc/accounts/{account}/.well-known/oauth-authorization-server");
    let fetch = |path: &str| exchange(&workspace, &request("GET", path, "", ""));
    let url = workspace.url();

    assert_eq!(fetch(CONFIG).json()["workspace_id"], workspace.workspace_id().to_string());
    let server = fetch(SERVER).json();
    assert_eq!(text(&server, "issuer"), format!("{url}/oidc"));
    assert_eq!(text(&server, "authorization_endpoint"), format!("{url}/oidc/v1/authorize"));
    assert_eq!(text(&server, "token_endpoint"), format!("{url}/oidc/v1/token"));
    assert_eq!(text(&server, "revocation_endpoint"), format!("{url}/oidc/v1/revoke"));
    assert_eq!((&server["code_challenge_methods_supported"], &server["authorization_response_iss_parameter_supported"]), (&json!(["S256"]), &json!(true)));
    assert_eq!(fetch(&of_account).status, 404);

    for (kind, name) in [(HostKind::Unified, "unified"), (HostKind::Account, "account")] {
        workspace.set_host_kind(kind);
        let config = fetch(CONFIG).json();
        assert_eq!(text(&config, "oidc_endpoint"), format!("{url}/oidc/accounts/{{account_id}}"));
        assert_eq!((text(&config, "host_type"), &config["workspace_id"], text(&config, "account_id")), (name, &Value::Null, &*account));
        assert_eq!(text(&fetch(&of_account).json(), "token_endpoint"), format!("{url}/oidc/accounts/{account}/v1/token"));
        assert_eq!(fetch("/oidc/accounts/0/.well-known/oauth-authorization-server").status, 404);
    }
    assert_eq!(fetch(SERVER).status, 404, "an account host has no issuer of a workspace");
    workspace.set_host_kind(HostKind::Absent);
    assert_eq!((fetch(CONFIG).status, fetch(SERVER).status, fetch(&of_account).status), (404, 200, 200));

    workspace.set_host_kind(HostKind::Workspace);
    workspace.set_document_field(Document::AuthorizationServer, "issuer", Some(json!("https://evil.example.com/oidc")));
    workspace.set_document_field(Document::HostConfig, "oidc_endpoint", None);
    assert_eq!(text(&fetch(SERVER).json(), "issuer"), "https://evil.example.com/oidc");
    assert_eq!(fetch(CONFIG).json()["oidc_endpoint"], Value::Null);
    workspace.clear_document_fields();
    assert_eq!(text(&fetch(SERVER).json(), "issuer"), format!("{url}/oidc"));
    let built = Workspace::builder().host_kind(HostKind::Unified).document_field(Document::HostConfig, "cloud", Some(json!("gcp"))).start();
    assert_eq!(text(&exchange(&built, &request("GET", CONFIG, "", "")).json(), "cloud"), "gcp");
}

#[test]
fn an_account_signs_in_lists_its_workspaces_and_reaches_them() {
    let workspace = Workspace::builder().host_kind(HostKind::Unified).start();
    let (account, own) = (workspace.account_id().to_owned(), workspace.workspace_id());
    let issuer = format!("{}/oidc/accounts/{account}", workspace.url());
    let callback = workspace.approve(&format!("{issuer}/v1/authorize?{}", query_with("", None)));
    assert_eq!(parameter(&callback, "iss").as_ref(), Some(&issuer));
    let body = |code: &str| format!("client_id=databricks-cli&code={code}&code_verifier={VERIFIER}&grant_type=authorization_code&redirect_uri={REDIRECT}");
    let path = format!("/oidc/accounts/{account}/v1/token");
    let given = form_at(&workspace, &path, "", &body(&parameter(&callback, "code").unwrap())).json();
    let token = text(&given, "access_token").to_owned();
    assert_eq!(claims(&token)["iss"], json!(issuer));
    assert_eq!(refused(&refresh(&workspace, text(&given, "refresh_token"))), error(400, "invalid_grant"), "the other issuer did not grant it");

    let list = format!("/api/2.0/accounts/{account}/workspaces");
    let workspaces = get_as(&workspace, &token, &list).json();
    let ids: Vec<u64> = workspaces.as_array().unwrap().iter().map(|entry| entry["workspace_id"].as_u64().unwrap()).collect();
    assert_eq!((ids.len(), ids[0]), (4, own));
    assert_eq!(workspaces[1]["workspace_name"], "staging");
    assert_eq!(get(&workspace, &list).failure(), (403, json!("PERMISSION_DENIED")), "a personal access token is of a workspace");
    assert_eq!(get_as(&workspace, &token, "/api/2.0/accounts/0/workspaces").status, 404);

    let at = |id: &str| exchange(&workspace, &request("GET", ME, &format!("{}X-Databricks-Workspace-Id: {id}\r\n", bearer(&token)), ""));
    assert_eq!(at(&ids[1].to_string()).header("X-Databricks-Org-Id"), Some(&*ids[1].to_string()));
    assert_eq!((at(&ids[3].to_string()).status, at("1").status, at("none").status), (403, 403, 400));
    assert_eq!(get_as(&workspace, &token, ME).failure(), (400, json!("INVALID_PARAMETER_VALUE")), "which workspace?");

    let introspect = |token: &str| get_as(&workspace, token, "/api/2.0/tokens/introspect").json()["principal_context"]["authentication_scope"].clone();
    assert_eq!(introspect(&token), json!({"account_id": account}));
    assert_eq!(introspect(&workspace.sign_in("ann@example.com").access_token), json!({"account_id": account, "workspace_id": own}));

    workspace.set_host_kind(HostKind::Account);
    assert_eq!(get_as(&workspace, &token, LIST).failure(), (404, json!("ENDPOINT_NOT_FOUND")));
    assert_eq!(get_as(&workspace, &token, &list).status, 200);
    let signed_in = workspace.sign_in_with("ann@example.com", "all-apis", HostKind::Account);
    assert_eq!((get_as(&workspace, &signed_in.access_token, &list).status, &*signed_in.refresh_token), (200, ""));
}

#[test]
fn discovery_leads_to_the_workspace_and_says_which_one_it_was() {
    let (login, workspace) = (Workspace::start(), Workspace::start());
    let destination = query_with("", None).replace('%', "%25").replace('&', "%26").replace('=', "%3D").replace('+', "%2B");
    let url = format!("{}/?destination_url=%2Foidc%2Fv1%2Fauthorize%3F{destination}", login.url());
    assert_eq!(parameter(&login.approve(&url), "iss"), Some(format!("{}/oidc", login.url())));
    login.discovery_leads_to(workspace.url());
    let callback = login.approve(&url);
    assert_eq!(parameter(&callback, "iss"), Some(format!("{}/oidc", workspace.url())));
    assert_eq!(exchange_code(&workspace, &parameter(&callback, "code").unwrap()).status, 200);

    let of_account = exchange(&login, &request("GET", &format!("/?target=ACCOUNT&destination_url=%2Foidc%2Fv1%2Fauthorize%3F{destination}"), "", ""));
    assert!(of_account.header("Location").unwrap().contains(&format!("/oidc/accounts/{}/v1/authorize?", login.account_id())));
    for elsewhere in ["//evil.example.com", "https://evil.example.com", "/login"] {
        let reply = exchange(&login, &request("GET", &format!("/?destination_url={elsewhere}"), "", ""));
        assert_eq!((reply.status, reply.header("Location")), (400, None), "{elsewhere}");
    }
    assert_eq!(exchange(&login, &request("GET", "/", "", "")).status, 404);
}

#[test]
fn administrators_turn_the_knobs_over_http() {
    let workspace = Workspace::start();
    let knobs = "/_workspace/oauth";
    let signed_in = workspace.sign_in("ann@example.com");
    let set = json!({"token_lifetime_seconds": 5, "refresh": "reusable", "host_kind": "unified", "revoke_user": "ann@example.com"});
    let now = send(&workspace, "PATCH", knobs, &set).json();
    assert_eq!((&now["token_lifetime_seconds"], &now["refresh"], &now["host_kind"]), (&json!(5), &json!("reusable"), &json!("unified")));
    assert!(!workspace.refresh_token_works(&signed_in.refresh_token));
    let reply = refresh(&workspace, &workspace.sign_in("ann@example.com").refresh_token).json();
    assert_eq!(reply["expires_in"], 5);
    assert_eq!(get(&workspace, knobs).json()["grants"]["refreshes"], 1);
    for bad in
        [json!({"refresh": "twice"}), json!({"token_lifetime_seconds": -1}), json!({"nonsense": 1, "refresh": "rotating"}), json!({"revoke_user": "eve"})]
    {
        assert_eq!(send(&workspace, "PATCH", knobs, &bad).status, 400, "{bad}");
    }
    assert_eq!(get(&workspace, knobs).json()["refresh"], "reusable");
    let bob = workspace.add_user("bob@example.com", "Bob Example");
    assert_eq!(get_as(&workspace, &bob.value, knobs).status, 403);
}

#[test]
fn a_callback_lies_on_order() {
    let workspace = Workspace::start();
    workspace.set_callback_parameter("iss", None);
    workspace.set_callback_parameter("state", Some("forged"));
    let callback = workspace.approve(&authorize_url(&workspace));
    assert_eq!((parameter(&callback, "iss"), parameter(&callback, "state").as_deref()), (None, Some("forged")));
    workspace.clear_callback_parameters();
    assert_eq!(parameter(&workspace.approve(&authorize_url(&workspace)), "state").as_deref(), Some("st4te"));
}

#[test]
fn the_pages_are_walked_over_https_and_curl_agrees() {
    let workspace = Workspace::start();
    let url = format!("{}/oidc/v1/authorize?{}", workspace.https_url(), query_with("", None));
    let callback = workspace.approve(&url);
    assert_eq!(parameter(&callback, "iss"), Some(format!("{}/oidc", workspace.https_url())));
    let code = format!("code={}", parameter(&callback, "code").unwrap());
    let fields =
        ["client_id=databricks-cli", "grant_type=authorization_code", &code, &format!("code_verifier={VERIFIER}"), "redirect_uri=http://localhost:8020"];
    let mut arguments = vec!["--cacert", workspace.ca_file().to_str().unwrap()];
    arguments.extend(fields.iter().flat_map(|field| ["--data-urlencode", *field]));
    let endpoint = format!("{}{TOKEN}", workspace.https_url());
    arguments.push(&endpoint);
    let reply: Value = serde_json::from_slice(&curl(&arguments).stdout).unwrap();
    assert_eq!(me(&workspace, text(&reply, "access_token")), (200, json!("ann@example.com")));
    assert_eq!(workspace.visit(&format!("{}{CONFIG}", workspace.https_url())).status, 200);
}
