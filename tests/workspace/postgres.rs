//! Lakebase, autoscaling: `/api/2.0/postgres` projects, branches, endpoints and what else has a name there, and passwords for endpoints.
//! Source: REST reference "Postgres"; field names from `databricks-sdk-py`, `service/postgres.py`.

use super::api::{Access, Answer, Call, Page, Route, field, invalid};
use super::clock::rfc3339;
use super::database::claims;
use super::http::Response;
use super::random;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

pub(super) const ROUTES: &[Route] = &[
    Route { method: "POST", path: "/api/2.0/postgres/credentials", access: Access::SignedIn, handle: credentials },
    Route { method: "GET", path: "/api/2.0/postgres/{name*}", access: Access::SignedIn, handle: get },
    Route { method: "POST", path: "/api/2.0/postgres/{name*}", access: Access::SignedIn, handle: create },
    Route { method: "PATCH", path: "/api/2.0/postgres/{name*}", access: Access::SignedIn, handle: update },
    Route { method: "DELETE", path: "/api/2.0/postgres/{name*}", access: Access::SignedIn, handle: delete },
];

/// The longest life of a password.
const LONGEST: i64 = 3600;

/// What is kept, by full name, and the operations that made it.
#[derive(Debug)]
pub(super) struct Postgres {
    things: BTreeMap<String, Value>,
    /// With the number of times it is still shown as running.
    operations: HashMap<String, (u32, Value)>,
    deleted: BTreeMap<String, Value>,
}

impl Postgres {
    pub(super) fn new() -> Postgres {
        let mut postgres = Postgres { things: BTreeMap::new(), operations: HashMap::new(), deleted: BTreeMap::new() };
        for (name, status) in [
            (
                "projects/my-project",
                json!({"display_name": "My project", "owner": "ann@example.com", "pg_version": 17, "default_branch": "projects/my-project/branches/main"}),
            ),
            ("projects/my-project/branches/main", json!({"default": true, "current_state": "READY"})),
            (
                "projects/my-project/branches/main/endpoints/primary",
                json!({"endpoint_type": "ENDPOINT_TYPE_READ_WRITE", "current_state": "IDLE", "hosts": {"host": "ep-primary.database.cloud.databricks.com"}}),
            ),
            ("projects/my-project/branches/main/roles/ann", json!({"postgres_role": "ann@example.com", "identity_type": "USER"})),
            ("projects/two", json!({"display_name": "Two branches"})),
            ("projects/two/branches/dev", json!({"default": false, "current_state": "READY"})),
            ("projects/two/branches/prod", json!({"default": true, "current_state": "READY"})),
            (
                "projects/two/branches/prod/endpoints/reader",
                json!({"endpoint_type": "ENDPOINT_TYPE_READ_ONLY", "current_state": "ACTIVE", "hosts": {"host": "ep-reader.database.cloud.databricks.com"}}),
            ),
            (
                "projects/two/branches/prod/endpoints/writer",
                json!({"endpoint_type": "ENDPOINT_TYPE_READ_WRITE", "current_state": "ACTIVE", "hosts": {"host": "ep-writer.database.cloud.databricks.com"}}),
            ),
        ] {
            postgres.things.insert(name.to_owned(), thing(name, &status));
        }
        postgres
    }

    /// Changes the status of what has this name.
    pub(super) fn change(&mut self, name: &str, status: &Value) {
        let thing = self.things.get_mut(name).expect("something of that name");
        for (key, value) in status.as_object().expect("an object") {
            thing["status"][key] = value.clone();
        }
    }

    fn find(&self, name: &str) -> Result<&Value, Response> {
        self.things.get(name).ok_or_else(|| missing(name))
    }

    /// An operation that is shown as running twice, and then has made this.
    fn operation(&mut self, of: &str, response: &Value) -> Response {
        let parent = of.split('/').take(2).collect::<Vec<_>>().join("/");
        let name = format!("{parent}/operations/{}", random::hex::<8>());
        self.operations.insert(name.clone(), (1, json!({"name": name, "done": true, "response": response})));
        Response::json(200, &json!({"name": name, "done": false}))
    }
}

fn missing(name: &str) -> Response {
    Response::error(404, "NOT_FOUND", &format!("{name} does not exist."))
}

fn thing(name: &str, status: &Value) -> Value {
    let parts: Vec<&str> = name.split('/').collect();
    let (kind, id) = (parts[parts.len() - 2], parts[parts.len() - 1]);
    let singular = match kind {
        "branches" => "branch".to_owned(),
        other => other.trim_end_matches('s').replace('-', "_"),
    };
    let mut thing = json!({"name": name, "uid": format!("uid-{}", name.replace('/', "-")), "create_time": "2026-01-02T03:04:05Z", "status": status});
    thing[format!("{singular}_id")] = json!(id);
    if parts.len() > 2 {
        thing["parent"] = json!(parts[..parts.len() - 2].join("/"));
    }
    thing
}

fn get(call: &Call<'_>) -> Answer {
    let name = call.part("name");
    let mut postgres = call.state.postgres.lock().unwrap();
    if let Some((running, operation)) = postgres.operations.get_mut(name) {
        if *running > 0 {
            *running -= 1;
            return Ok(Response::json(200, &json!({"name": name, "done": false})));
        }
        return Ok(Response::json(200, operation));
    }
    if name.split('/').count().is_multiple_of(2) {
        return Ok(Response::json(200, postgres.find(name)?));
    }
    let (parent, kind) = name.rsplit_once('/').unwrap_or(("", name));
    if !parent.is_empty() {
        postgres.find(parent)?;
    }
    let below = format!("{name}/");
    let found: Vec<&Value> =
        postgres.things.iter().filter(|(own, _)| own.strip_prefix(&below).is_some_and(|rest| !rest.contains('/'))).map(|(_, thing)| thing).collect();
    let page = Page::cut(call.request, found.len(), name)?;
    let mut reply = json!({kind.replace('-', "_"): found[page.start..page.end]});
    if let Some(next) = page.next {
        reply["next_page_token"] = json!(next);
    }
    Ok(Response::json(200, &reply))
}

fn create(call: &Call<'_>) -> Answer {
    let name = call.part("name");
    let mut postgres = call.state.postgres.lock().unwrap();
    if let Some(name) = name.strip_suffix("/undelete") {
        let thing = postgres.deleted.remove(name).ok_or_else(|| missing(name))?;
        postgres.things.insert(name.to_owned(), thing.clone());
        return Ok(postgres.operation(name, &thing));
    }
    let body = call.json()?;
    let (parent, kind) = name.rsplit_once('/').unwrap_or(("", name));
    if name.split('/').count().is_multiple_of(2) {
        return Err(missing(name));
    }
    if !parent.is_empty() {
        postgres.find(parent)?;
    }
    let key = match kind {
        "branches" => "branch_id".to_owned(),
        other => format!("{}_id", other.trim_end_matches('s').replace('-', "_")),
    };
    let id = match (call.request.query(&key), kind) {
        (Some(id), _) if !id.is_empty() => id.to_owned(),
        (_, "roles" | "databases" | "cdf-configs") => format!("made-{}", random::hex::<4>()),
        _ => return Err(invalid(&format!("{key} is missing"))),
    };
    let full = format!("{name}/{id}");
    if postgres.things.contains_key(&full) && call.request.query("replace_existing") != Some("true") {
        return Err(Response::error(409, "ALREADY_EXISTS", &format!("{full} already exists.")));
    }
    let mut made = thing(&full, &field::object(&body, "spec")?.map_or(json!({}), |spec| Value::Object(spec.clone())));
    for (key, value) in body {
        made[key] = value;
    }
    postgres.things.insert(full.clone(), made.clone());
    Ok(postgres.operation(&full, &made))
}

fn update(call: &Call<'_>) -> Answer {
    let name = call.part("name");
    let body = call.json()?;
    let mask = call.request.query("update_mask").unwrap_or_default();
    if mask.is_empty() {
        return Err(invalid("update_mask must not be empty"));
    }
    let mut postgres = call.state.postgres.lock().unwrap();
    postgres.find(name)?;
    let spec = field::object(&body, "spec")?.ok_or_else(|| invalid("spec is missing"))?;
    let mut status = json!({});
    for field in mask.split(',') {
        let key = field.strip_prefix("spec.").ok_or_else(|| invalid(&format!("{field} cannot be changed")))?;
        status[key] = spec.get(key).cloned().unwrap_or(Value::Null);
    }
    postgres.change(name, &status);
    let changed = postgres.find(name)?.clone();
    Ok(postgres.operation(name, &changed))
}

fn delete(call: &Call<'_>) -> Answer {
    let name = call.part("name");
    let mut postgres = call.state.postgres.lock().unwrap();
    let thing = postgres.find(name)?.clone();
    let below = format!("{name}/");
    postgres.things.retain(|own, _| own != name && !own.starts_with(&below));
    postgres.deleted.insert(name.to_owned(), thing);
    Ok(postgres.operation(name, &json!({})))
}

fn credentials(call: &Call<'_>) -> Answer {
    let body = call.json()?;
    let endpoint = field::string(&body, "endpoint")?.filter(|name| !name.is_empty()).ok_or_else(|| invalid("endpoint must be specified."))?;
    claims(&body)?;
    call.state.postgres.lock().unwrap().find(endpoint)?;
    let now = call.state.clock.now_seconds();
    let mut database = call.state.database.lock().unwrap();
    let mut life = database.lifetime;
    if let Some(ttl) = field::string(&body, "ttl")? {
        life = ttl
            .strip_suffix('s')
            .and_then(|seconds| seconds.parse().ok())
            .filter(|life| (1..=LONGEST).contains(life))
            .ok_or_else(|| invalid("ttl must be between 1s and 3600s"))?;
    }
    let user = call.user().name.clone();
    let expires_at = now + life;
    let claims = json!({"sub": user, "aud": call.state.workspace_id.to_string(), "iat": now, "exp": expires_at, "jti": random::hex::<16>()});
    let token = database.issue(&claims, &user, vec![endpoint.to_owned()], expires_at);
    Ok(Response::json(200, &json!({"token": token, "expire_time": rfc3339(expires_at)})))
}
