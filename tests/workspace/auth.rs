//! The sign-in gate in front of the APIs: who is calling, and is this the right workspace?

use super::account;
use super::google::Google;
use super::http::{Request, Response};
use super::oauth::{HostKind, Realm};
use super::state::{State, User};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;

/// Who is calling.
#[derive(Debug)]
pub(super) struct Caller {
    pub user: Arc<User>,
    /// The issuer of an OAuth access token; `None` for everything else.
    pub realm: Option<Realm>,
}

/// Finds the caller, or says why there is none.
pub(super) fn authenticate(state: &State, request: &Request) -> Result<Caller, Response> {
    let mut sent = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let Some((_, credential)) = sent.next() else {
        return Err(no_credential());
    };
    if sent.next().is_some() {
        return Err(Response::refusal(400, "More than one credential was sent."));
    }
    let (scheme, value) = credential.split_once(' ').unwrap_or((credential, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        bearer(state, request, value)
    } else if scheme.eq_ignore_ascii_case("basic") {
        basic(state, request, value)
    } else {
        Err(no_credential())
    }
}

/// Refuses a request that names another workspace: the header routes requests on hosts that serve
/// many workspaces, and a client that sends it wrongly must notice.
///
/// A unified host cannot do without it, except for what the account answers. Gives the id of the workspace that answers.
pub(super) fn check_workspace(state: &State, request: &Request) -> Result<u64, Response> {
    let unified = state.oauth.host_kind() == HostKind::Unified;
    let Some(wanted) = request.header("X-Databricks-Workspace-Id") else {
        if unified && !of_account(&request.path) {
            return Err(Response::error(
                400,
                "INVALID_PARAMETER_VALUE",
                "This host serves many workspaces: X-Databricks-Workspace-Id must say which one is meant.",
            ));
        }
        return Ok(state.workspace_id);
    };
    match wanted.parse::<u64>() {
        Ok(id) if id == state.workspace_id => Ok(id),
        Ok(id) if unified && account::listed(state).iter().any(|(known, _, status)| *known == id && *status == "RUNNING") => Ok(id),
        Ok(id) => Err(Response::error(
            403,
            "PERMISSION_DENIED",
            &format!("This host serves workspace {}, but X-Databricks-Workspace-Id asks for {id}.", state.workspace_id),
        )),
        Err(_) => Err(Response::error(400, "INVALID_PARAMETER_VALUE", &format!("X-Databricks-Workspace-Id is not a workspace id: '{wanted}'"))),
    }
}

/// A personal access token, or an OAuth access token: the two look different. An expired one of either kind is answered with 403
/// (n8n-io/n8n issue 34147 tells of it).
fn bearer(state: &State, request: &Request, value: &str) -> Result<Caller, Response> {
    if let Some(outcome) = state.entra.sign_in(state, request, value) {
        return outcome.map(|user| Caller { user, realm: None });
    }
    let now = state.clock.now_ms();
    if let Some(user) = Google::sign_in(state, value) {
        return Ok(Caller { user, realm: None });
    }
    let (owner, realm) = if value.starts_with("eyJ") {
        state.oauth.sign_in(value, now).map(|(owner, realm)| (owner, Some(realm)))
    } else {
        state.tokens.lock().unwrap().sign_in(value, now).map(|owner| (owner, None))
    }
    .unzip();
    let user = owner.and_then(|owner| state.user(|user| user.id == owner));
    user.map(|user| Caller { user, realm: realm.flatten() }).ok_or_else(|| Response::refusal(403, "Invalid access token."))
}

fn basic(state: &State, request: &Request, value: &str) -> Result<Caller, Response> {
    let refused = || Response::refusal(401, "Invalid username or password.");
    let decoded = STANDARD.decode(value).map_err(|_| refused())?;
    let decoded = String::from_utf8(decoded).map_err(|_| refused())?;
    let (name, password) = decoded.split_once(':').ok_or_else(refused)?;
    // The service documents this pair for netrc files and curl: user "token", password the PAT.
    if name == "token" {
        return bearer(state, request, password);
    }
    let user = state.user(|user| user.name == name && user.password.as_deref() == Some(password)).ok_or_else(refused)?;
    Ok(Caller { user, realm: None })
}

/// Paths that the account answers, and those that are the same everywhere.
pub(super) fn of_account(path: &str) -> bool {
    const EVERYWHERE: [&str; 3] = ["/api/2.0/tokens/introspect", "/api/2.0/echo", "/api/2.0/things/"];
    let account = path.strip_prefix("/api/2.0/accounts/").is_some_and(|rest| !rest.starts_with("servicePrincipals/"));
    account || !path.starts_with("/api/") || EVERYWHERE.iter().any(|start| path.starts_with(start))
}

fn no_credential() -> Response {
    Response::refusal(401, "Credential was not sent or was of an unsupported type for this API.")
}
