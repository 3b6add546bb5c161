//! What an account knows of its workspaces, and what a token says about where it is.
//! Source: REST reference "Workspaces" of the account; field names from `databricks-sdk-py`, `service/provisioning.py`.

use super::api::{Access, Answer, Call, Route};
use super::http::Response;
use super::oauth::{HostKind, Realm};
use super::state::State;
use serde_json::{Value, json};

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/api/2.0/accounts/{account}/workspaces", access: Access::SignedIn, handle: workspaces },
    Route { method: "GET", path: "/api/2.0/tokens/introspect", access: Access::SignedIn, handle: introspect },
];

/// Id, name and status of every workspace of the account; the first is the one that is served.
pub(super) fn listed(state: &State) -> [(u64, &'static str, &'static str); 4] {
    let own = state.workspace_id;
    [(own, "production", "RUNNING"), (own + 1, "staging", "RUNNING"), (own + 2, "sandbox eu", "RUNNING"), (own + 3, "retired", "FAILED")]
}

/// A bare array, as the service sends it.
fn workspaces(call: &Call<'_>) -> Answer {
    let state = call.state;
    let account = call.part("account");
    if account != state.account_id {
        return Err(Response::error(404, "NOT_FOUND", &format!("Account {account} not found.")));
    }
    if call.realm() != Some(Realm::Account) {
        return Err(Response::error(403, "PERMISSION_DENIED", "This is an API of the account: sign in to the account, a token of a workspace is not enough."));
    }
    let list: Vec<Value> = listed(state)
        .iter()
        .map(|(id, name, status)| {
            json!({
                "account_id": state.account_id,
                "workspace_id": id,
                "workspace_name": name,
                "deployment_name": name.replace(' ', "-"),
                "workspace_status": status,
                "aws_region": "eu-central-1",
                "pricing_tier": "PREMIUM",
                "creation_time": 1_700_000_000_000_u64,
            })
        })
        .collect();
    Ok(Response::json(200, &json!(list)))
}

/// Where the caller's token is good: tokens of the account name no workspace.
fn introspect(call: &Call<'_>) -> Answer {
    let state = call.state;
    let mut scope = json!({"account_id": state.account_id});
    let account_wide = call.realm() == Some(Realm::Account) && state.oauth.host_kind() != HostKind::Workspace;
    if !account_wide {
        scope["workspace_id"] = json!(state.workspace_id);
    }
    Ok(Response::json(200, &json!({"principal_context": {"authentication_scope": scope}})))
}
