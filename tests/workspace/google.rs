//! Google, as far as a workspace on its cloud needs it: the token endpoint, the IAM service account credentials API, and the metadata server of a machine.
//! Source: the pages that `src/auth/google.rs` names.

use super::Workspace;
use super::api::{Access, Answer, Call, Route};
use super::clock::rfc3339;
use super::federation::bearer;
use super::http::{Response, parse_query};
use super::random;
use super::signed::{GOOGLE, STRANGER};
use super::state::{State, User};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

pub(super) const ROUTES: &[Route] = &[
    Route { method: "POST", path: "/token", access: Access::Anyone, handle: token },
    Route { method: "POST", path: "/v1/projects/-/serviceAccounts/{call}", access: Access::Anyone, handle: iam },
    Route { method: "GET", path: "/computeMetadata/v1/instance/service-accounts/default/token", access: Access::Anyone, handle: machine },
];

/// The one service account.
const ACCOUNT: &str = "robot@project-1.iam.gserviceaccount.com";
const SCOPES: [&str; 2] = ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/compute"];
/// Enough to act as a service account.
const ACTING: &str = "https://www.googleapis.com/auth/iam";
const LIFE: i64 = 3_599;

#[derive(Debug)]
pub(super) struct Google {
    /// Access tokens that were given out.
    given: Mutex<HashSet<String>>,
    /// Of the person who is signed in with `gcloud`.
    client_secret: String,
    refresh_token: String,
}

impl Default for Google {
    fn default() -> Google {
        Google { given: Mutex::default(), client_secret: format!("GOCSPX-{}", random::hex::<12>()), refresh_token: format!("1//{}", random::hex::<24>()) }
    }
}

impl Google {
    fn access_token(&self) -> String {
        let token = format!("ya29.{}", random::hex::<24>());
        self.given.lock().unwrap().insert(token.clone());
        token
    }

    /// The service principal whose id token of Google's this is, made for this host. It stands for the service account.
    pub(super) fn sign_in(state: &State, token: &str) -> Option<Arc<User>> {
        let claims = GOOGLE.verify(token, state.clock.now_seconds()).ok()?;
        let for_this_host = [&state.http_url, &state.https_url].iter().any(|url| claims["aud"] == url.as_str())
            || claims["aud"].as_str().is_some_and(super::clouds::is_google_workspace);
        (claims["iss"] == "https://accounts.google.com" && for_this_host && claims["email"] == ACCOUNT).then(|| Arc::clone(&state.principals[0]))
    }
}

fn id_token(state: &State, audience: &str) -> String {
    let now = state.clock.now_seconds();
    GOOGLE.sign(&json!({
        "iss": "https://accounts.google.com",
        "aud": audience,
        "sub": "110000000000000000001",
        "email": ACCOUNT,
        "email_verified": true,
        "iat": now,
        "exp": now + LIFE,
    }))
}

fn refused(status: u16, error: &str, description: &str) -> Response {
    Response::json(status, &json!({"error": error, "error_description": description}))
}

fn token(call: &Call<'_>) -> Answer {
    let form = parse_query(std::str::from_utf8(&call.request.body).unwrap_or_default());
    let value = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let google = &call.state.google;
    match value("grant_type") {
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            let now = call.state.clock.now_seconds();
            let claims = GOOGLE.verify(value("assertion"), now).map_err(|why| refused(400, "invalid_grant", &format!("Invalid JWT: {why}")))?;
            if claims["iss"] != ACCOUNT {
                return Err(refused(400, "invalid_grant", "Invalid grant: account not found"));
            }
            let own = || call.state.url(call.request.plane).to_owned();
            let place = format!("{}{}", super::clouds::google_of(call.request).unwrap_or_else(own), call.request.path);
            if claims["aud"] != place.as_str() {
                return Err(refused(400, "invalid_grant", "Invalid JWT: the audience is another one"));
            }
            let (made, end) = (claims["iat"].as_i64().unwrap_or_default(), claims["exp"].as_i64().unwrap_or_default());
            if !(1..=3_600).contains(&(end - made)) {
                return Err(refused(400, "invalid_grant", "Invalid JWT: it must live an hour at most"));
            }
            match (claims["target_audience"].as_str(), claims["scope"].as_str()) {
                (Some(audience), None) => Ok(Response::json(200, &json!({"id_token": id_token(call.state, audience)}))),
                (None, Some(scope)) if scope.split(' ').all(|scope| SCOPES.contains(&scope) || scope == ACTING) => {
                    Ok(Response::json(200, &json!({"access_token": google.access_token(), "expires_in": LIFE, "token_type": "Bearer"})))
                }
                _ => Err(refused(400, "invalid_scope", "Give a scope or a target_audience")),
            }
        }
        "refresh_token" if value("refresh_token") == google.refresh_token && value("client_secret") == google.client_secret => {
            Ok(Response::json(200, &json!({"access_token": google.access_token(), "expires_in": LIFE, "token_type": "Bearer"})))
        }
        "refresh_token" => Err(refused(400, "invalid_grant", "Token has been expired or revoked.")),
        _ => Err(refused(400, "unsupported_grant_type", "Invalid grant_type")),
    }
}

fn iam_error(code: u16, status: &str, message: &str) -> Response {
    Response::json(code, &json!({"error": {"code": code, "message": message, "status": status}}))
}

fn iam(call: &Call<'_>) -> Answer {
    let google = &call.state.google;
    if !bearer(call).is_some_and(|token| google.given.lock().unwrap().contains(token)) {
        return Err(iam_error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."));
    }
    let (account, action) = call.part("call").split_once(':').unwrap_or_default();
    if account != ACCOUNT {
        return Err(iam_error(404, "NOT_FOUND", &format!("Unknown service account {account}")));
    }
    let body = call.json()?;
    match action {
        "generateIdToken" if body.get("includeEmail") == Some(&Value::Bool(true)) => match body.get("audience").and_then(Value::as_str) {
            Some(audience) => Ok(Response::json(200, &json!({"token": id_token(call.state, audience)}))),
            None => Err(iam_error(400, "INVALID_ARGUMENT", "audience is missing")),
        },
        "generateAccessToken" if body.get("scope") == Some(&json!(SCOPES)) && body.get("lifetime") == Some(&json!("3600s")) => {
            let end = call.state.clock.now_seconds() + 3_600;
            Ok(Response::json(200, &json!({"accessToken": google.access_token(), "expireTime": rfc3339(end)})))
        }
        _ => Err(iam_error(400, "INVALID_ARGUMENT", "Invalid action or body")),
    }
}

fn machine(call: &Call<'_>) -> Answer {
    if call.request.header("Metadata-Flavor") != Some("Google") {
        return Err(Response::new(403).body("text/html", "Missing Metadata-Flavor:Google header."));
    }
    let reply = json!({"access_token": call.state.google.access_token(), "expires_in": LIFE, "token_type": "Bearer"});
    Ok(Response::json(200, &reply).header("Metadata-Flavor", "Google"))
}

/// Google, seen by tests.
impl Workspace {
    pub const GOOGLE_ACCOUNT: &'static str = ACCOUNT;

    /// The key file of the service account; its token endpoint is here.
    pub fn google_key_file(&self) -> Value {
        json!({
            "type": "service_account",
            "project_id": "project-1",
            "private_key_id": GOOGLE.id,
            "private_key": GOOGLE.pem,
            "client_email": ACCOUNT,
            "client_id": "1",
            "token_uri": format!("{}/token", self.state.http_url),
        })
    }

    /// The same with a key that is not the account's.
    pub fn forged_google_key_file(&self) -> Value {
        let mut file = self.google_key_file();
        file["private_key"] = json!(STRANGER.pem);
        file
    }

    /// What `gcloud auth application-default login` writes.
    pub fn google_person(&self) -> Value {
        let Google { client_secret, refresh_token, .. } = &self.state.google;
        json!({"type": "authorized_user", "client_id": "c.apps.googleusercontent.com", "client_secret": client_secret, "refresh_token": refresh_token})
    }

    /// Whether this is an access token of the embedded Google.
    pub fn google_gave(&self, token: &str) -> bool {
        self.state.google.given.lock().unwrap().contains(token)
    }
}
