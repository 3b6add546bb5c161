//! Lakebase, provisioned: `/api/2.0/database` instances and the passwords for them.
//! Source: REST reference "Database Instances"; field names from `databricks-sdk-py`,
//! `service/database.py`.

use super::api::{Access, Answer, Call, Page, Route, field, invalid};
use super::clock::rfc3339;
use super::http::Response;
use super::random;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/api/2.0/database/instances", access: Access::SignedIn, handle: list },
    Route { method: "GET", path: "/api/2.0/database/instances/{name}", access: Access::SignedIn, handle: get },
    Route { method: "POST", path: "/api/2.0/database/credentials", access: Access::SignedIn, handle: credentials },
];

/// Database passwords live one hour.
const LIFETIME_SECONDS: i64 = 3600;

/// What a database password opens, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseGrant {
    /// The Postgres role to log in as.
    pub user: String,
    pub instances: Vec<String>,
    /// Seconds since 1970.
    pub expires_at: i64,
}

/// A password given out under a `request_id`.
#[derive(Debug, Clone)]
struct Issued {
    /// What was asked for: the same id for something else is refused.
    wish: Value,
    token: String,
    expires_at: i64,
}

#[derive(Debug)]
pub(super) struct Database {
    instances: Vec<Value>,
    /// By user and `request_id`.
    issued: HashMap<(String, String), Issued>,
    grants: HashMap<String, DatabaseGrant>,
}

impl Database {
    pub(super) fn new() -> Database {
        Database {
            instances: vec![
                instance("db-instance-name", "8d2a1c5e-4f0b-4f7a-9d3e-1b2c3d4e5f60", "AVAILABLE"),
                instance("my-instance", "1f6c2b3a-7d8e-4c9f-8a0b-5e4d3c2b1a09", "AVAILABLE"),
                instance("sleeping-instance", "c0ffee00-1234-4abc-8def-0123456789ab", "STOPPED"),
            ],
            issued: HashMap::new(),
            grants: HashMap::new(),
        }
    }

    /// What that password opens at that time, if anything.
    pub(super) fn grant(&self, token: &str, now_seconds: i64) -> Option<DatabaseGrant> {
        let grant = self.grants.get(token)?;
        (grant.expires_at > now_seconds).then(|| grant.clone())
    }

    fn find(&self, name: &str) -> Result<&Value, Response> {
        self.instances
            .iter()
            .find(|instance| instance["name"] == name)
            .ok_or_else(|| Response::error(404, "NOT_FOUND", &format!("Database instance '{name}' not found.")))
    }
}

fn instance(name: &str, uid: &str, state: &str) -> Value {
    let stopped = state == "STOPPED";
    json!({
        "name": name,
        "uid": uid,
        "state": state,
        "creator": "ann@example.com",
        "creation_time": "2025-09-01T08:30:00Z",
        "capacity": "CU_1",
        "effective_capacity": "CU_1",
        "pg_version": "PG_VERSION_16",
        "read_write_dns": format!("instance-{uid}.database.cloud.databricks.com"),
        "read_only_dns": format!("instance-ro-{uid}.database.cloud.databricks.com"),
        "node_count": 1,
        "effective_node_count": 1,
        "enable_readable_secondaries": false,
        "effective_enable_readable_secondaries": false,
        "enable_pg_native_login": false,
        "effective_enable_pg_native_login": false,
        "retention_window_in_days": 7,
        "effective_retention_window_in_days": 7,
        "stopped": stopped,
        "effective_stopped": stopped,
    })
}

fn list(call: &Call<'_>) -> Answer {
    let database = call.state.database.lock().unwrap();
    let page = Page::cut(call.request, database.instances.len(), "database instances")?;
    let mut reply = json!({"database_instances": database.instances[page.start..page.end]});
    // Unlike clusters, this API leaves the token out on the last page.
    if let Some(next) = page.next {
        reply["next_page_token"] = json!(next);
    }
    Ok(Response::json(200, &reply))
}

fn get(call: &Call<'_>) -> Answer {
    let database = call.state.database.lock().unwrap();
    Ok(Response::json(200, database.find(call.part("name"))?))
}

fn credentials(call: &Call<'_>) -> Answer {
    let body = call.json()?;
    let request_id = field::string(&body, "request_id")?.unwrap_or_default();
    let instances = field::strings(&body, "instance_names")?.unwrap_or_default();
    let claims = claims(&body)?;
    if instances.is_empty() && claims.is_empty() {
        return Err(invalid("At least one of instance_names or claims must be specified."));
    }
    let state = call.state;
    let mut database = state.database.lock().unwrap();
    for name in &instances {
        database.find(name)?;
    }
    let user = call.user();
    let now = state.clock.now_seconds();
    let wish = json!({"instance_names": instances, "claims": claims});
    let key = (user.id.clone(), request_id.to_owned());
    let repeated = database.issued.get(&key).filter(|issued| !request_id.is_empty() && issued.expires_at > now);
    if let Some(issued) = repeated {
        if issued.wish != wish {
            return Err(invalid(&format!("request_id '{request_id}' was already used for a different request")));
        }
        return Ok(reply(&issued.token, issued.expires_at));
    }
    let expires_at = now + LIFETIME_SECONDS;
    let token = sign(&json!({
        "iss": state.url(call.request.plane),
        "sub": user.name,
        "aud": state.workspace_id.to_string(),
        "client_id": "databricks-session",
        "scope": "iam.current-user:read iam.groups:read iam.service-principals:read iam.users:read",
        "iat": now,
        "exp": expires_at,
        "jti": random::hex::<16>(),
    }));
    database.grants.insert(token.clone(), DatabaseGrant { user: user.name.clone(), instances, expires_at });
    let answer = reply(&token, expires_at);
    database.issued.insert(key, Issued { wish, token, expires_at });
    Ok(answer)
}

fn reply(token: &str, expires_at: i64) -> Response {
    Response::json(200, &json!({"token": token, "expiration_time": rfc3339(expires_at)}))
}

/// `claims` as sent, once every part of it is what the API knows.
fn claims(body: &Map<String, Value>) -> Result<Vec<Value>, Response> {
    let claims = field::array(body, "claims")?.unwrap_or_default();
    for claim in claims {
        let Value::Object(claim) = claim else {
            return Err(invalid("claims must be objects"));
        };
        match field::string(claim, "permission_set")? {
            None | Some("READ_ONLY") => {}
            Some(other) => {
                return Err(invalid(&format!("permission_set has no value '{other}'")));
            }
        }
        for resource in field::array(claim, "resources")?.unwrap_or_default() {
            let Value::Object(resource) = resource else {
                return Err(invalid("resources must be objects"));
            };
            let table = field::string(resource, "table_name")?;
            let other = field::string(resource, "unspecified_resource_name")?;
            if table.is_none() && other.is_none() {
                return Err(invalid("A resource must have a table_name"));
            }
        }
    }
    Ok(claims.to_vec())
}

/// A JWT in shape: header and claims are real, the signature is random bytes, since nobody but
/// this workspace checks it.
fn sign(claims: &Value) -> String {
    let header = json!({"alg": "RS256", "kid": "embedded-workspace", "typ": "JWT"});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = URL_SAFE_NO_PAD.encode(random::bytes::<256>());
    format!("{}.{}.{signature}", part(&header), part(claims))
}
