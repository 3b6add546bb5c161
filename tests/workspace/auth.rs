//! The sign-in gate in front of the APIs: who is calling, and is this the right workspace?

use super::http::{Request, Response};
use super::state::{State, User};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;

/// Finds the caller, or says why there is none.
pub(super) fn authenticate(state: &State, request: &Request) -> Result<Arc<User>, Response> {
    let mut sent = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let Some((_, credential)) = sent.next() else {
        return Err(no_credential());
    };
    if sent.next().is_some() {
        return Err(Response::refusal(400, "More than one credential was sent."));
    }
    let (scheme, value) = credential.split_once(' ').unwrap_or((credential, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        personal_access_token(state, value)
    } else if scheme.eq_ignore_ascii_case("basic") {
        basic(state, value)
    } else {
        Err(no_credential())
    }
}

/// Refuses a request that names another workspace: the header routes requests on hosts that serve
/// many workspaces, and a client that sends it wrongly must notice.
pub(super) fn check_workspace(state: &State, request: &Request) -> Result<(), Response> {
    let Some(wanted) = request.header("X-Databricks-Workspace-Id") else {
        return Ok(());
    };
    match wanted.parse::<u64>() {
        Ok(id) if id == state.workspace_id => Ok(()),
        Ok(id) => Err(Response::error(
            403,
            "PERMISSION_DENIED",
            &format!("This host serves workspace {}, but X-Databricks-Workspace-Id asks for {id}.", state.workspace_id),
        )),
        Err(_) => Err(Response::error(400, "INVALID_PARAMETER_VALUE", &format!("X-Databricks-Workspace-Id is not a workspace id: '{wanted}'"))),
    }
}

fn personal_access_token(state: &State, value: &str) -> Result<Arc<User>, Response> {
    let now = state.clock.now_ms();
    let owner = state.tokens.lock().unwrap().sign_in(value, now);
    owner.and_then(|owner| state.user(|user| user.id == owner)).ok_or_else(|| Response::refusal(403, "Invalid access token."))
}

fn basic(state: &State, value: &str) -> Result<Arc<User>, Response> {
    let refused = || Response::refusal(401, "Invalid username or password.");
    let decoded = STANDARD.decode(value).map_err(|_| refused())?;
    let decoded = String::from_utf8(decoded).map_err(|_| refused())?;
    let (name, password) = decoded.split_once(':').ok_or_else(refused)?;
    // The service documents this pair for netrc files and curl: user "token", password the PAT.
    if name == "token" {
        return personal_access_token(state, password);
    }
    state.user(|user| user.name == name && user.password.as_deref() == Some(password)).ok_or_else(refused)
}

fn no_credential() -> Response {
    Response::refusal(401, "Credential was not sent or was of an unsupported type for this API.")
}
