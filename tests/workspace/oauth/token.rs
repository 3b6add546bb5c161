//! Giving tokens and taking them back.
//! Source: RFC 6749, 2.3.1, 4.1.3, 4.4, 5 and 6; RFC 7636, 4.6; RFC 7009.

use super::super::api::{Access, Answer, Call, Route};
use super::super::http::{Request, Response, parse_query, percent_decode};
use super::super::state::User;
use super::authorize::is_unreserved;
use super::{
    Family, Holder, PUBLIC_CLIENT, Realm, Refresh, RefreshMode, asks_for_refresh, audience, exchange, issuer, jwt, known_scopes, realm, refusal, uncached,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;

pub(super) const ROUTES: &[Route] = &[
    Route { method: "POST", path: "/oidc/v1/token", access: Access::Anyone, handle: token },
    Route { method: "POST", path: "/oidc/accounts/{account}/v1/token", access: Access::Anyone, handle: token },
    Route { method: "POST", path: "/oidc/v1/revoke", access: Access::Anyone, handle: revoke },
    Route { method: "POST", path: "/oidc/accounts/{account}/v1/revoke", access: Access::Anyone, handle: revoke },
];

/// The parameters of a request, each at most once; an empty one counts as absent (RFC 6749, 3.2).
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn read(request: &Request) -> Result<Form, Response> {
        let kind = request.header("Content-Type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(invalid_request("the body must be application/x-www-form-urlencoded"));
        }
        let Ok(text) = std::str::from_utf8(&request.body) else {
            return Err(invalid_request("the body is not UTF-8"));
        };
        let fields = parse_query(text);
        for (at, (name, _)) in fields.iter().enumerate() {
            if fields[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(invalid_request(&format!("{name} must not be repeated")));
            }
        }
        Ok(Form(fields))
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Response> {
        self.value(name).ok_or_else(|| invalid_request(&format!("{name} is missing")))
    }
}

pub(super) fn invalid_request(description: &str) -> Response {
    refusal(400, "invalid_request", description)
}

pub(super) fn invalid_grant(description: &str) -> Response {
    refusal(400, "invalid_grant", description)
}

/// What clients look for, letter for letter.
fn invalid_refresh_token() -> Response {
    invalid_grant("Refresh token is invalid")
}

fn token(call: &Call<'_>) -> Answer {
    let realm = realm(call)?;
    let given = Form::read(call.request).and_then(|form| match form.required("grant_type")? {
        "authorization_code" => code(call, realm, &form),
        "refresh_token" => refresh(call, realm, &form),
        "client_credentials" => client_credentials(call, realm, &form),
        exchange::GRANT => exchange::exchange(call, realm, &form),
        other => Err(refusal(400, "unsupported_grant_type", &format!("grant_type '{other}' is not supported"))),
    });
    if given.is_err() {
        let oauth = &call.state.oauth;
        oauth.count(&mut oauth.store(), |grants| grants.refused += 1);
    }
    given
}

/// The public client says who it is in the body and has no secret.
fn public_client(call: &Call<'_>, form: &Form) -> Result<(), Response> {
    if call.request.header("Authorization").is_some() || form.value("client_secret").is_some() {
        return Err(invalid_client(call, "this client has no secret"));
    }
    if form.required("client_id")? != PUBLIC_CLIENT {
        return Err(invalid_client(call, "there is no such client"));
    }
    Ok(())
}

fn invalid_client(call: &Call<'_>, description: &str) -> Response {
    let reply = refusal(401, "invalid_client", description);
    // RFC 6749, 5.2: the scheme that was tried.
    if call.request.header("Authorization").is_some() { reply.header("WWW-Authenticate", "Basic realm=\"DatabricksRealm\"") } else { reply }
}

fn user_of(call: &Call<'_>, id: &str) -> Result<Arc<User>, Response> {
    call.state.user(|user| user.id == id).ok_or_else(|| invalid_grant("the user is gone"))
}

fn code(call: &Call<'_>, realm: Realm, form: &Form) -> Answer {
    public_client(call, form)?;
    let value = form.required("code")?;
    let redirect = form.required("redirect_uri")?;
    let verifier = form.required("code_verifier")?;
    if !(43..=128).contains(&verifier.len()) || !is_unreserved(verifier) {
        return Err(invalid_request("code_verifier must be 43 to 128 unreserved characters"));
    }
    let (issuer, audience) = (issuer(call, realm), audience(call, realm));
    let now = call.state.clock.now_ms();
    let oauth = &call.state.oauth;
    let mut store = oauth.store();
    let Some(code) = store.codes.get_mut(value) else {
        return Err(invalid_grant("Authorization code is invalid"));
    };
    if code.used {
        // RFC 6749, 4.1.2: what the first use gave is taken back.
        if let Some(family) = code.family {
            store.families[family].revoked = true;
            oauth.count(&mut store, |grants| grants.reuse_detected += 1);
        }
        return Err(invalid_grant("Authorization code is invalid"));
    }
    // One try, right or wrong.
    code.used = true;
    if code.expires <= now {
        return Err(invalid_grant("Authorization code has expired"));
    }
    if code.request.realm != realm || code.request.redirect != redirect {
        return Err(invalid_grant("redirect_uri or issuer are not those of the authorization request"));
    }
    if jwt::challenge_of(verifier) != code.request.challenge {
        return Err(invalid_grant("code_verifier does not fit the code_challenge"));
    }
    let (user_id, scope) = (code.user.clone(), code.request.scope.clone());
    let user = user_of(call, &user_id)?;
    let holder = Holder { user: &user, client: PUBLIC_CLIENT, scope: &scope, realm, issuer: &issuer, audience: &audience };
    let family = store.new_family(holder);
    store.codes.get_mut(value).expect("it was there").family = Some(family);
    let access = oauth.access_token(&mut store, holder, Some(family), now);
    let refresh = asks_for_refresh(&scope).then(|| store.refresh_token(family, now));
    oauth.count(&mut store, |grants| grants.codes += 1);
    Ok(store.reply("authorization_code", &access, refresh.as_deref(), &scope))
}

fn refresh(call: &Call<'_>, realm: Realm, form: &Form) -> Answer {
    public_client(call, form)?;
    let value = form.required("refresh_token")?;
    let (issuer, audience) = (issuer(call, realm), audience(call, realm));
    let now = call.state.clock.now_ms();
    let oauth = &call.state.oauth;
    let mut store = oauth.store();
    let Some(&Refresh { family, expires, spent }) = store.refresh.get(value) else {
        return Err(invalid_refresh_token());
    };
    if spent {
        store.families[family].revoked = true;
        oauth.count(&mut store, |grants| grants.reuse_detected += 1);
        return Err(invalid_refresh_token());
    }
    let Family { revoked, realm: granted_in, user, scope, .. } = &store.families[family];
    if *revoked || expires <= now || *granted_in != realm {
        return Err(invalid_refresh_token());
    }
    let (user, granted) = (user_of(call, user)?, scope.clone());
    // RFC 6749, 6: a refresh may ask for less, never for more.
    let scope = form.value("scope").unwrap_or(&granted);
    if !scope.split(' ').all(|wanted| granted.split(' ').any(|scope| scope == wanted)) {
        return Err(refusal(400, "invalid_scope", "the refresh token was not granted that scope"));
    }
    let refresh = match store.settings.refresh {
        RefreshMode::Reusable => value.to_owned(),
        RefreshMode::Rotating => {
            store.refresh.get_mut(value).expect("it was there").spent = true;
            store.refresh_token(family, now)
        }
    };
    let holder = Holder { user: &user, client: PUBLIC_CLIENT, scope, realm, issuer: &issuer, audience: &audience };
    let access = oauth.access_token(&mut store, holder, Some(family), now);
    oauth.count(&mut store, |grants| grants.refreshes += 1);
    Ok(store.reply("refresh_token", &access, Some(&refresh), scope))
}

fn client_credentials(call: &Call<'_>, realm: Realm, form: &Form) -> Answer {
    let principal = confidential_client(call, form)?;
    let scope = form.value("scope").unwrap_or_default();
    if !known_scopes(scope) {
        return Err(refusal(400, "invalid_scope", &format!("scope '{scope}' holds something that is no scope")));
    }
    let (issuer, audience) = (issuer(call, realm), audience(call, realm));
    let now = call.state.clock.now_ms();
    let oauth = &call.state.oauth;
    let mut store = oauth.store();
    let holder = Holder { user: &principal, client: &principal.name, scope, realm, issuer: &issuer, audience: &audience };
    let access = oauth.access_token(&mut store, holder, None, now);
    oauth.count(&mut store, |grants| grants.client_credentials += 1);
    // RFC 6749, 4.4.3: there is never a refresh token here.
    Ok(store.reply("client_credentials", &access, None, scope))
}

/// The service principal whose id and secret were sent, either by HTTP Basic or in the body, never both.
fn confidential_client(call: &Call<'_>, form: &Form) -> Result<Arc<User>, Response> {
    let in_body = form.value("client_secret").map(|secret| Ok((form.required("client_id")?.to_owned(), secret.to_owned()))).transpose()?;
    let (id, secret) = match (call.request.header("Authorization"), in_body) {
        (Some(_), Some(_)) => return Err(invalid_request("more than one way to say who the client is")),
        (None, None) => return Err(invalid_client(call, "Client authentication failed")),
        (None, Some(pair)) => pair,
        (Some(header), None) => basic(header).ok_or_else(|| invalid_client(call, "Client authentication failed"))?,
    };
    if form.value("client_id").is_some_and(|in_body| in_body != id) {
        return Err(invalid_request("client_id is not the one of the Authorization header"));
    }
    let now = call.state.clock.now_seconds();
    let principal = call.state.principals.iter().find(|principal| principal.name == id);
    principal
        .filter(|principal| call.state.secrets.lock().unwrap().opens(&principal.id, &secret, now))
        .cloned()
        .ok_or_else(|| invalid_client(call, "Client authentication failed"))
}

/// RFC 6749, 2.3.1: both halves are form-encoded before they go into Basic.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, value) = header.split_once(' ')?;
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| (percent_decode(id, true), percent_decode(secret, true)))
}

/// RFC 7009: 200 even for what is unknown, and an access token is looked for under both names.
fn revoke(call: &Call<'_>) -> Answer {
    let realm = realm(call)?;
    let form = Form::read(call.request)?;
    let value = form.required("token")?;
    let client = if call.request.header("Authorization").is_some() || form.value("client_secret").is_some() {
        confidential_client(call, &form)?.name.clone()
    } else {
        public_client(call, &form)?;
        PUBLIC_CLIENT.to_owned()
    };
    let oauth = &call.state.oauth;
    let mut store = oauth.store();
    let mut found = false;
    if let Some(&Refresh { family, .. }) = store.refresh.get(value) {
        let family = &mut store.families[family];
        found = family.client == client && family.realm == realm && !family.revoked;
        family.revoked |= found;
    } else if let Some(access) = store.access.get_mut(value) {
        found = access.client == client && access.realm == realm && !access.revoked;
        access.revoked |= found;
    }
    if found {
        oauth.count(&mut store, |grants| grants.revocations += 1);
    }
    Ok(uncached(Response::new(200)))
}
