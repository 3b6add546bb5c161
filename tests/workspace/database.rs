//! Lakebase, provisioned: `/api/2.0/database` instances, what belongs to them, and their passwords.
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

const fn route(method: &'static str, path: &'static str, handle: fn(&Call<'_>) -> Answer) -> Route {
    Route { method, path, access: Access::SignedIn, handle }
}

pub(super) const ROUTES: &[Route] = &[
    route("GET", "/api/2.0/database/instances", list),
    route("POST", "/api/2.0/database/instances", create),
    route("GET", "/api/2.0/database/instances:findByUid", find_by_uid),
    route("GET", "/api/2.0/database/instances/{name}", get),
    route("PATCH", "/api/2.0/database/instances/{name}", update),
    route("DELETE", "/api/2.0/database/instances/{name}", delete),
    route("GET", "/api/2.0/database/instances/{instance}/roles", |call| list_things(call, "roles", "database_instance_roles")),
    route("POST", "/api/2.0/database/instances/{instance}/roles", |call| create_thing(call, "roles")),
    route("GET", "/api/2.0/database/instances/{instance}/roles/{name}", |call| get_thing(call, "roles")),
    route("DELETE", "/api/2.0/database/instances/{instance}/roles/{name}", |call| delete_thing(call, "roles")),
    route("GET", "/api/2.0/database/instances/{instance}/catalogs", |call| list_things(call, "catalogs", "database_catalogs")),
    route("GET", "/api/2.0/database/instances/{instance}/synced_tables", |call| list_things(call, "synced_tables", "synced_tables")),
    route("POST", "/api/2.0/database/catalogs", |call| create_thing(call, "catalogs")),
    route("GET", "/api/2.0/database/catalogs/{name}", |call| get_thing(call, "catalogs")),
    route("PATCH", "/api/2.0/database/catalogs/{name}", |call| update_thing(call, "catalogs")),
    route("DELETE", "/api/2.0/database/catalogs/{name}", |call| delete_thing(call, "catalogs")),
    route("POST", "/api/2.0/database/tables", |call| create_thing(call, "tables")),
    route("GET", "/api/2.0/database/tables/{name}", |call| get_thing(call, "tables")),
    route("DELETE", "/api/2.0/database/tables/{name}", |call| delete_thing(call, "tables")),
    route("POST", "/api/2.0/database/synced_tables", |call| create_thing(call, "synced_tables")),
    route("GET", "/api/2.0/database/synced_tables/{name}", |call| get_thing(call, "synced_tables")),
    route("PATCH", "/api/2.0/database/synced_tables/{name}", |call| update_thing(call, "synced_tables")),
    route("DELETE", "/api/2.0/database/synced_tables/{name}", |call| delete_thing(call, "synced_tables")),
    route("POST", "/api/2.0/database/credentials", credentials),
];

/// Database passwords live one hour, unless a test says otherwise.
pub(super) const LIFETIME_SECONDS: i64 = 3600;

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
    /// Catalogs, tables, synced tables and roles: the collection, and what was sent.
    things: Vec<(&'static str, Value)>,
    pub(super) lifetime: i64,
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
            things: Vec::new(),
            lifetime: LIFETIME_SECONDS,
        }
    }

    /// What that password opens at that time, if anything.
    pub(super) fn grant(&self, token: &str, now_seconds: i64) -> Option<DatabaseGrant> {
        let grant = self.grants.get(token)?;
        (grant.expires_at > now_seconds).then(|| grant.clone())
    }

    /// Makes a password for somebody, which opens these instances or endpoints.
    pub(super) fn issue(&mut self, claims: &Value, user: &str, instances: Vec<String>, expires_at: i64) -> String {
        let token = sign(claims);
        self.grants.insert(token.clone(), DatabaseGrant { user: user.to_owned(), instances, expires_at });
        token
    }

    /// When the last password ends, in seconds since 1970.
    pub(super) fn last_expiry(&self) -> i64 {
        self.grants.values().map(|grant| grant.expires_at).max().unwrap_or(0)
    }

    pub(super) fn expiry(&self, token: &str) -> i64 {
        self.grants.get(token).map_or(0, |grant| grant.expires_at)
    }

    pub(super) fn tokens(&self) -> Vec<String> {
        self.grants.keys().cloned().collect()
    }

    /// Changes keys of an instance.
    pub(super) fn change(&mut self, name: &str, keys: &Value) {
        let instance = self.instances.iter_mut().find(|instance| instance["name"] == name).expect("an instance of that name");
        merge(instance, keys);
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
    let mut database = call.state.database.lock().unwrap();
    database.find(call.part("name"))?;
    let instance = database.instances.iter_mut().find(|instance| instance["name"] == call.part("name")).expect("it was found");
    Ok(Response::json(200, &started(instance)))
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
    let expires_at = now + database.lifetime;
    let claims = json!({
        "iss": state.url(call.request.plane),
        "sub": user.name,
        "aud": state.workspace_id.to_string(),
        "client_id": "databricks-session",
        "scope": "iam.current-user:read iam.groups:read iam.service-principals:read iam.users:read",
        "iat": now,
        "exp": expires_at,
        "jti": random::hex::<16>(),
    });
    let token = database.issue(&claims, &user.name, instances, expires_at);
    let answer = reply(&token, expires_at);
    database.issued.insert(key, Issued { wish, token, expires_at });
    Ok(answer)
}

/// Puts every key of the second object into the first.
fn merge(object: &mut Value, keys: &Value) {
    for (key, value) in keys.as_object().expect("an object") {
        object[key] = value.clone();
    }
}

fn create(call: &Call<'_>) -> Answer {
    let body = call.json()?;
    let name = field::string(&body, "name")?.filter(|name| !name.is_empty()).ok_or_else(|| invalid("name is missing"))?.to_owned();
    let mut database = call.state.database.lock().unwrap();
    if database.find(&name).is_ok() {
        return Err(Response::error(409, "ALREADY_EXISTS", &format!("Database instance '{name}' already exists.")));
    }
    let mut made = instance(&name, &uuid::Uuid::new_v4().to_string(), "STARTING");
    merge(&mut made, &Value::Object(body));
    made["creator"] = json!(call.user().name);
    database.instances.push(made.clone());
    Ok(Response::json(200, &made))
}

/// As `get`; whoever asks for an instance that starts finds it available the next time.
fn started(instance: &mut Value) -> Value {
    let shown = instance.clone();
    if instance["state"] == "STARTING" && instance["held"] != true {
        instance["state"] = json!("AVAILABLE");
    }
    shown
}

fn update(call: &Call<'_>) -> Answer {
    let body = call.json()?;
    let mask = call.request.query("update_mask").unwrap_or_default().to_owned();
    let mut database = call.state.database.lock().unwrap();
    database.find(call.part("name"))?;
    if mask.is_empty() {
        return Err(invalid("update_mask must not be empty"));
    }
    let name = call.part("name").to_owned();
    for key in mask.split(',') {
        let value = body.get(key).cloned().unwrap_or(Value::Null);
        let effective = format!("effective_{key}");
        database.change(&name, &json!({key: value, effective: value}));
        if key == "stopped" {
            database.change(&name, &json!({"state": if value == true { "STOPPED" } else { "STARTING" }}));
        }
    }
    Ok(Response::json(200, database.find(&name)?))
}

fn delete(call: &Call<'_>) -> Answer {
    let mut database = call.state.database.lock().unwrap();
    database.find(call.part("name"))?;
    database.instances.retain(|instance| instance["name"] != call.part("name"));
    Ok(Response::json(200, &json!({})))
}

fn find_by_uid(call: &Call<'_>) -> Answer {
    let uid = call.request.query("uid").unwrap_or_default();
    let database = call.state.database.lock().unwrap();
    let found = database.instances.iter().find(|instance| instance["uid"] == uid);
    let found = found.ok_or_else(|| Response::error(404, "NOT_FOUND", &format!("Database instance with uid '{uid}' not found.")))?;
    Ok(Response::json(200, found))
}

fn missing(collection: &str, name: &str) -> Response {
    Response::error(404, "NOT_FOUND", &format!("There is no '{name}' in {collection}."))
}

fn create_thing(call: &Call<'_>, collection: &'static str) -> Answer {
    let mut body = call.json()?;
    let name = field::string(&body, "name")?.filter(|name| !name.is_empty()).ok_or_else(|| invalid("name is missing"))?.to_owned();
    let mut database = call.state.database.lock().unwrap();
    if collection == "roles" {
        database.find(call.part("instance"))?;
        body.insert("instance_name".to_owned(), json!(call.part("instance")));
    }
    if let Some(instance) = field::string(&body, "database_instance_name")? {
        database.find(instance)?;
    }
    if database.things.iter().any(|(own, thing)| *own == collection && thing["name"] == name.as_str()) {
        return Err(Response::error(409, "ALREADY_EXISTS", &format!("'{name}' already exists.")));
    }
    let thing = Value::Object(body);
    database.things.push((collection, thing.clone()));
    Ok(Response::json(200, &thing))
}

fn get_thing(call: &Call<'_>, collection: &'static str) -> Answer {
    let database = call.state.database.lock().unwrap();
    let found = database.things.iter().find(|(own, thing)| *own == collection && thing["name"] == call.part("name"));
    found.map(|(_, thing)| Response::json(200, thing)).ok_or_else(|| missing(collection, call.part("name")))
}

fn update_thing(call: &Call<'_>, collection: &'static str) -> Answer {
    let body = call.json()?;
    let mut database = call.state.database.lock().unwrap();
    let found = database.things.iter_mut().find(|(own, thing)| *own == collection && thing["name"] == call.part("name"));
    let (_, thing) = found.ok_or_else(|| missing(collection, call.part("name")))?;
    merge(thing, &Value::Object(body));
    Ok(Response::json(200, thing))
}

fn delete_thing(call: &Call<'_>, collection: &'static str) -> Answer {
    let mut database = call.state.database.lock().unwrap();
    let before = database.things.len();
    database.things.retain(|(own, thing)| !(*own == collection && thing["name"] == call.part("name")));
    if database.things.len() == before && call.request.query("allow_missing") != Some("true") {
        return Err(missing(collection, call.part("name")));
    }
    Ok(Response::json(200, &json!({})))
}

fn list_things(call: &Call<'_>, collection: &'static str, key: &str) -> Answer {
    let database = call.state.database.lock().unwrap();
    database.find(call.part("instance"))?;
    let of_instance = |thing: &Value| thing["instance_name"] == call.part("instance") || thing["database_instance_name"] == call.part("instance");
    let found: Vec<&Value> = database.things.iter().filter(|(own, thing)| *own == collection && of_instance(thing)).map(|(_, thing)| thing).collect();
    let page = Page::cut(call.request, found.len(), collection)?;
    let mut reply = json!({key: found[page.start..page.end]});
    if let Some(next) = page.next {
        reply["next_page_token"] = json!(next);
    }
    Ok(Response::json(200, &reply))
}

fn reply(token: &str, expires_at: i64) -> Response {
    Response::json(200, &json!({"token": token, "expiration_time": rfc3339(expires_at)}))
}

/// `claims` as sent, once every part of it is what the API knows.
pub(super) fn claims(body: &Map<String, Value>) -> Result<Vec<Value>, Response> {
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
