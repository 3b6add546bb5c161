//! The page that asks the user, and the page that finds out where to ask.
//! Source: RFC 6749, 4.1.1 and 4.1.2; RFC 7636, 4.3; RFC 8252, 7.3; RFC 9207 for `iss`.

use super::super::api::{Access, Answer, Call, Route};
use super::super::http::{Request as Message, Response};
use super::super::random;
use super::token::Form;
use super::{CODE_LIFETIME_MS, Code, HostKind, PAGE_LIFETIME_MS, PUBLIC_CLIENT, Pending, Realm, issuer, known_scopes, realm};
use std::fmt::Write as _;

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/oidc/v1/authorize", access: Access::Anyone, handle: ask },
    Route { method: "POST", path: "/oidc/v1/authorize", access: Access::Anyone, handle: answer },
    Route { method: "GET", path: "/oidc/accounts/{account}/v1/authorize", access: Access::Anyone, handle: ask },
    Route { method: "POST", path: "/oidc/accounts/{account}/v1/authorize", access: Access::Anyone, handle: answer },
    Route { method: "GET", path: "/", access: Access::Anyone, handle: discover },
];

/// What a client asks the user for.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub client: String,
    pub redirect: String,
    pub challenge: String,
    pub scope: String,
    pub state: String,
    pub realm: Realm,
}

/// Shows the sign-in page, or sends the browser back with an error.
fn ask(call: &Call<'_>) -> Answer {
    let realm = realm(call)?;
    // Until client and redirect are known to belong together, errors are for the user alone: RFC 6749, 4.1.2.1.
    let single = |name: &str| {
        let mut sent = call.request.query.iter().filter(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str());
        let first = sent.next();
        if sent.next().is_some() { Err(format!("{name} must not be repeated")) } else { Ok(first) }
    };
    let client = single("client_id").map_err(|problem| problem_page(&problem))?.unwrap_or_default();
    if client != PUBLIC_CLIENT {
        return Err(problem_page(&format!("OAuth application with client_id: '{client}' not available in this account.")));
    }
    let redirect = single("redirect_uri").map_err(|problem| problem_page(&problem))?.unwrap_or_default();
    if !registered(redirect) {
        return Err(problem_page(&format!("redirect_uri '{redirect}' not registered for OAuth application '{client}'.")));
    }
    let state = single("state").ok().flatten().unwrap_or_default();
    let refuse = |error: &str, description: &str| {
        Err(redirect_to(call, realm, redirect, &[("error", error), ("error_description", description), ("state", state)], 302))
    };
    for name in ["response_type", "code_challenge", "code_challenge_method", "scope", "state"] {
        if let Err(problem) = single(name) {
            return refuse("invalid_request", &problem);
        }
    }
    let value = |name: &str| single(name).ok().flatten().unwrap_or_default();
    if value("response_type") != "code" {
        return refuse("unsupported_response_type", "response_type must be code");
    }
    if state.is_empty() {
        return refuse("invalid_request", "state is missing");
    }
    let challenge = value("code_challenge");
    if value("code_challenge_method") != "S256" || !is_challenge(challenge) {
        return refuse("invalid_request", "a code_challenge of 43 to 128 characters with code_challenge_method S256 is required");
    }
    let scope = value("scope");
    if !known_scopes(scope) {
        return refuse("invalid_scope", &format!("scope '{scope}' holds something that is no scope"));
    }
    let request = Request {
        client: client.to_owned(),
        redirect: redirect.to_owned(),
        challenge: challenge.to_owned(),
        scope: scope.to_owned(),
        state: state.to_owned(),
        realm,
    };
    let id = random::hex::<16>();
    let (csrf, cookie) = (random::hex::<16>(), random::hex::<16>());
    let page = sign_in_page(call, &request, &id, &csrf);
    let secure = if call.state.url(call.request.plane).starts_with("https") { "; Secure" } else { "" };
    let set_cookie = format!("{}={cookie}; Path=/oidc; HttpOnly; SameSite=Strict{secure}", cookie_name(&id));
    let now = call.state.clock.now_ms();
    let mut store = call.state.oauth.store();
    store.pending.retain(|_, pending| pending.expires > now);
    store.pending.insert(id, Pending { request, csrf, cookie, expires: now + PAGE_LIFETIME_MS });
    Ok(page.header("Set-Cookie", &set_cookie))
}

/// The user pressed a button.
fn answer(call: &Call<'_>) -> Answer {
    let realm = realm(call)?;
    let form = Form::read(call.request).map_err(|_| problem_page("The form cannot be read."))?;
    let now = call.state.clock.now_ms();
    let id = form.value("request").unwrap_or_default();
    let mut store = call.state.oauth.store();
    // Whatever was pressed, the page is used up.
    let pending = store.pending.remove(id).filter(|pending| pending.expires > now && pending.request.realm == realm);
    let Some(Pending { request, csrf, cookie, .. }) = pending else {
        return Err(problem_page("This page is too old or was used already. Start signing in again."));
    };
    if form.value("csrf") != Some(&csrf) || cookie_of(call.request, &cookie_name(id)) != Some(&cookie) {
        return Err(Response { status: 403, ..problem_page("This form was not sent by the page that was shown.") });
    }
    if form.value("deny").is_some() {
        drop(store);
        let parameters = [("error", "access_denied"), ("error_description", "The user denied the request"), ("state", &request.state)];
        return Ok(redirect_to(call, realm, &request.redirect, &parameters, 303));
    }
    let name = form.value("user").unwrap_or_default();
    let Some(user) = call.state.users.read().unwrap().iter().find(|user| user.name == name).cloned() else {
        return Err(problem_page(&format!("There is no user '{name}'.")));
    };
    let code = format!("dcod{}", random::hex::<16>());
    store.codes.insert(code.clone(), Code { request: request.clone(), user: user.id.clone(), expires: now + CODE_LIFETIME_MS, used: false, family: None });
    drop(store);
    Ok(redirect_to(call, realm, &request.redirect, &[("code", &code), ("state", &request.state)], 303))
}

/// The stand-in for login.databricks.com: whoever has no host is led to one that asks.
fn discover(call: &Call<'_>) -> Answer {
    let Some(destination) = call.request.query("destination_url") else {
        return Err(Response::error(404, "ENDPOINT_NOT_FOUND", &format!("No API found for '{} {}'", call.request.method, call.request.path)));
    };
    let query = destination.strip_prefix("/oidc/v1/authorize?");
    let Some(query) = query else {
        return Err(problem_page(&format!("destination_url leads nowhere: '{destination}'")));
    };
    let (kind, leads_to) = {
        let store = call.state.oauth.store();
        (store.settings.host_kind, store.settings.leads_to.clone())
    };
    let base = leads_to.unwrap_or_else(|| call.state.url(call.request.plane).to_owned());
    let account = call.request.query("target") == Some("ACCOUNT") || kind == HostKind::Account;
    let path = if account { format!("/oidc/accounts/{}/v1/authorize", call.state.account_id) } else { "/oidc/v1/authorize".to_owned() };
    Ok(Response::new(302).header("Location", &format!("{base}{path}?{query}")))
}

/// Loopback with any port and nothing behind it.
fn registered(redirect: &str) -> bool {
    ["http://localhost:", "http://127.0.0.1:"].iter().any(|start| {
        redirect.strip_prefix(start).is_some_and(|port| port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0))
    })
}

fn is_challenge(text: &str) -> bool {
    (43..=128).contains(&text.len()) && is_unreserved(text)
}

/// RFC 3986, 2.3.
pub(super) fn is_unreserved(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// Sends the browser back to the client, with `iss` (RFC 9207) and whatever change was ordered.
fn redirect_to(call: &Call<'_>, realm: Realm, redirect: &str, parameters: &[(&str, &str)], status: u16) -> Response {
    let issuer = issuer(call, realm);
    let mut sent: Vec<(String, String)> = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    sent.push(("iss".to_owned(), issuer));
    for (name, value) in &call.state.oauth.store().settings.callback {
        sent.retain(|(key, _)| key != name);
        sent.extend(value.clone().map(|value| (name.clone(), value)));
    }
    let query: Vec<String> =
        sent.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value))).collect();
    Response::new(status).header("Location", &format!("{redirect}/?{}", query.join("&"))).header("Cache-Control", "no-store")
}

/// Everything but the unreserved characters of RFC 3986 becomes an escape.
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_unreserved(&char::from(byte).to_string()) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A cookie per page: two tabs do not disturb each other.
fn cookie_name(id: &str) -> String {
    format!("sign-in-{}", id.get(..8).unwrap_or_default())
}

fn cookie_of<'a>(request: &'a Message, name: &str) -> Option<&'a str> {
    request.header("Cookie")?.split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn sign_in_page(call: &Call<'_>, request: &Request, id: &str, csrf: &str) -> Response {
    let mut buttons = String::new();
    for user in call.state.users.read().unwrap().iter() {
        let name = escape(&user.name);
        let _ = writeln!(buttons, "<p><button type=\"submit\" name=\"user\" value=\"{name}\">Sign in as {name}</button></p>");
    }
    let scopes: String = request.scope.split(' ').map(|scope| format!("<li>{}</li>\n", escape(scope))).collect();
    let body = format!(
        "<h1>Sign in</h1>\n<p><strong>{}</strong> asks for access to {}:</p>\n<ul>\n{scopes}</ul>\n\
         <form method=\"post\" action=\"{}\">\n\
         <input type=\"hidden\" name=\"request\" value=\"{id}\">\n<input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
         {buttons}<p><button type=\"submit\" name=\"deny\" value=\"yes\">Deny</button></p>\n</form>",
        escape(&request.client),
        if request.realm == Realm::Account { "the account" } else { "the workspace" },
        escape(&call.request.path),
    );
    page(200, "Sign in", &body)
}

fn problem_page(problem: &str) -> Response {
    page(400, "Signing in is not possible", &format!("<h1>Signing in is not possible</h1>\n<p role=\"alert\">{}</p>", escape(problem)))
}

fn page(status: u16, title: &str, body: &str) -> Response {
    let text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 3rem auto; padding: 0 1rem; }} \
         button {{ font: inherit; padding: .5rem 1rem; }}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    );
    Response::new(status)
        .body("text/html; charset=utf-8", text)
        .header("Cache-Control", "no-store")
        .header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
        .header("X-Content-Type-Options", "nosniff")
        .header("Referrer-Policy", "same-origin")
}
