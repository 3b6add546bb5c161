//! Service principals and their OAuth secrets, by the workspace (`/api/2.0/accounts/servicePrincipals`) and by the account.
//! Source: REST reference "Service principal secrets"; field names from `databricks-sdk-py`, `service/oauth2.py`.

use super::api::{Access, Answer, Call, Page, Route, field, invalid};
use super::clock::rfc3339;
use super::http::Response;
use super::random;
use super::state::User;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) const ROUTES: &[Route] = &[
    Route { method: "POST", path: "/api/2.0/accounts/servicePrincipals/{principal}/credentials/secrets", access: Access::SignedIn, handle: by_workspace },
    Route { method: "GET", path: "/api/2.0/accounts/servicePrincipals/{principal}/credentials/secrets", access: Access::SignedIn, handle: by_workspace },
    Route {
        method: "DELETE",
        path: "/api/2.0/accounts/servicePrincipals/{principal}/credentials/secrets/{secret}",
        access: Access::SignedIn,
        handle: by_workspace,
    },
    Route {
        method: "POST",
        path: "/api/2.0/accounts/{account}/servicePrincipals/{principal}/credentials/secrets",
        access: Access::SignedIn,
        handle: by_account,
    },
    Route {
        method: "GET",
        path: "/api/2.0/accounts/{account}/servicePrincipals/{principal}/credentials/secrets",
        access: Access::SignedIn,
        handle: by_account,
    },
    Route {
        method: "DELETE",
        path: "/api/2.0/accounts/{account}/servicePrincipals/{principal}/credentials/secrets/{secret}",
        access: Access::SignedIn,
        handle: by_account,
    },
];

/// How many secrets a service principal may have.
const MOST: usize = 5;
/// How long a secret lives at most, and if nobody says: two years.
pub(super) const LONGEST: i64 = 730 * 86_400;

/// The service principals that every workspace has.
pub(super) fn made_up() -> Vec<Arc<User>> {
    let made_up = |id: &str, name: &str, display_name: &str| {
        Arc::new(User { id: id.to_owned(), name: name.to_owned(), display_name: display_name.to_owned(), password: None, admin: false })
    };
    vec![
        made_up("5678", "9b2c6a1e-0f2d-4c9a-8e55-3f3d1f0a7c11", "nightly ci"),
        // Nobody has added it to the workspace: it comes in by its role in Azure.
        made_up("5679", "7e4f1d20-93c5-4b8a-a6d7-58e2c1b0f934", "azure contributor"),
    ]
}

#[derive(Debug)]
struct Secret {
    principal: String,
    id: String,
    value: String,
    /// Its first characters, which the service keeps to recognise it by.
    hash: String,
    created: i64,
    expires: i64,
}

impl Secret {
    fn info(&self) -> Value {
        json!({
            "id": self.id,
            "secret_hash": self.hash,
            "status": "ACTIVE",
            "create_time": rfc3339(self.created),
            "update_time": rfc3339(self.created),
            "expire_time": rfc3339(self.expires),
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<Secret>);

impl Secrets {
    /// Makes a secret that lives `lifetime` seconds; gives what a list says of it, and its value.
    pub(super) fn add(&mut self, principal: &str, created: i64, lifetime: i64) -> (Value, String) {
        let value = format!("dose{}", random::hex::<16>());
        let secret = Secret {
            principal: principal.to_owned(),
            id: random::hex::<16>(),
            value: value.clone(),
            hash: random::hex::<32>(),
            created,
            expires: created + lifetime,
        };
        let info = secret.info();
        self.0.push(secret);
        (info, value)
    }

    /// Whether that is a secret of the principal that has not expired.
    pub(super) fn opens(&self, principal: &str, value: &str, now: i64) -> bool {
        self.0.iter().any(|secret| secret.principal == principal && secret.value == value && secret.expires > now)
    }
}

fn by_workspace(call: &Call<'_>) -> Answer {
    call.admin()?;
    serve(call)
}

/// The account's plane knows no workspaces, and one account only.
fn by_account(call: &Call<'_>) -> Answer {
    if let Some(id) = call.request.header("X-Databricks-Workspace-Id") {
        return Err(invalid(&format!("This is an API of the account, but X-Databricks-Workspace-Id names workspace {id}.")));
    }
    let account = call.part("account");
    if account != call.state.account_id {
        return Err(Response::error(404, "NOT_FOUND", &format!("Account {account} not found.")));
    }
    call.admin()?;
    serve(call)
}

fn serve(call: &Call<'_>) -> Answer {
    let principal = call.part("principal");
    if !call.state.principals.iter().any(|known| known.id == principal) {
        return Err(Response::error(404, "NOT_FOUND", &format!("Service principal with ID {principal} does not exist.")));
    }
    match call.request.method.as_str() {
        "POST" => create(call, principal),
        "DELETE" => delete(call, principal),
        _ => list(call, principal),
    }
}

fn create(call: &Call<'_>, principal: &str) -> Answer {
    let body = if call.request.body.is_empty() { serde_json::Map::new() } else { call.json()? };
    if let Some(unknown) = body.keys().find(|key| *key != "lifetime") {
        return Err(invalid(&format!("Unknown field: {unknown}")));
    }
    let lifetime = match field::string(&body, "lifetime")? {
        None => LONGEST,
        // A duration of protobuf's JSON: seconds with an s.
        Some(text) => match text.strip_suffix('s').and_then(|seconds| seconds.parse::<i64>().ok()) {
            Some(seconds @ 1..=LONGEST) => seconds,
            _ => return Err(invalid(&format!("lifetime must be from 1s to {LONGEST}s, got '{text}'"))),
        },
    };
    let created = call.state.clock.now_seconds();
    let mut secrets = call.state.secrets.lock().unwrap();
    if secrets.0.iter().filter(|secret| secret.principal == principal).count() >= MOST {
        return Err(Response::error(400, "RESOURCE_LIMIT_EXCEEDED", &format!("A service principal may have at most {MOST} secrets.")));
    }
    let (mut reply, value) = secrets.add(principal, created, lifetime);
    reply["secret"] = json!(value);
    Ok(Response::json(200, &reply))
}

fn list(call: &Call<'_>, principal: &str) -> Answer {
    let secrets = call.state.secrets.lock().unwrap();
    let own: Vec<Value> = secrets.0.iter().filter(|secret| secret.principal == principal).map(Secret::info).collect();
    let page = Page::cut(call.request, own.len(), principal)?;
    let mut reply = json!({});
    if page.start < page.end {
        reply["secrets"] = json!(own[page.start..page.end]);
    }
    if let Some(next) = page.next {
        reply["next_page_token"] = json!(next);
    }
    Ok(Response::json(200, &reply))
}

fn delete(call: &Call<'_>, principal: &str) -> Answer {
    let id = call.part("secret");
    let mut secrets = call.state.secrets.lock().unwrap();
    let before = secrets.0.len();
    secrets.0.retain(|secret| secret.principal != principal || secret.id != id);
    if secrets.0.len() == before {
        return Err(Response::error(404, "NOT_FOUND", &format!("Secret {id} does not exist.")));
    }
    Ok(Response::json(200, &json!({})))
}
