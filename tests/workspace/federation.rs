//! Who else's word the workspace takes: federation policies, and the issuers of id tokens that stand in for GitHub Actions and Azure Pipelines.
//! Source: <https://docs.databricks.com/api/workspace/serviceprincipalfederationpolicy>, RFC 8693, and the pages of GitHub and Microsoft that `src/auth/oidc.rs` names.
//!
//! The token-exchange grant itself is in `oauth/exchange.rs`.

use super::Workspace;
use super::api::{Access, Answer, Call, Route};
use super::http::Response;
use super::random;
use super::signed::{ISSUER, STRANGER};
use super::state::State;
use serde_json::{Map, Value, json};
use std::sync::{Mutex, MutexGuard};

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/_github/idtoken", access: Access::Anyone, handle: github },
    Route {
        method: "POST",
        path: "/_devops/org/{project}/_apis/distributedtask/hubs/{hub}/plans/{plan}/jobs/{job}/oidctoken",
        access: Access::Anyone,
        handle: azure_devops,
    },
    Route { method: "GET", path: "/_metadata/{path}", access: Access::Anyone, handle: metadata },
];

/// The issuer of GitHub Actions.
pub const GITHUB: &str = "https://token.actions.githubusercontent.com";
/// The issuer of an organisation of Azure DevOps.
pub const AZURE_DEVOPS: &str = "https://vstoken.dev.azure.com/0f0e0d0c";
/// The one audience that Azure Pipelines makes id tokens for.
const AZURE_AUDIENCE: &str = "api://AzureADTokenExchange";
/// How long id tokens of jobs live, in seconds.
const LIFE: i64 = 300;

/// Whose id tokens are good, and for whom.
#[derive(Debug, Clone)]
pub struct Policy {
    pub issuer: String,
    /// One of these has to be among the token's.
    pub audiences: Vec<String>,
    /// `None`: every subject, as policies of accounts may say.
    pub subject: Option<String>,
    /// The application id of the service principal that it belongs to; `None` is a policy of the account, for whoever the subject names.
    pub principal: Option<String>,
}

#[derive(Debug)]
struct Store {
    policies: Vec<Policy>,
    github_token: String,
    devops_token: String,
    metadata_path: String,
    /// Changes to replies of the metadata service; `None` leaves a field out.
    metadata_fields: Vec<(String, Option<Value>)>,
}

#[derive(Debug)]
pub(super) struct Federation {
    store: Mutex<Store>,
}

impl Default for Federation {
    fn default() -> Federation {
        let store = Store {
            policies: Vec::new(),
            github_token: format!("ghrt-{}", random::hex::<16>()),
            devops_token: format!("sysat-{}", random::hex::<16>()),
            metadata_path: random::hex::<16>(),
            metadata_fields: Vec::new(),
        };
        Federation { store: Mutex::new(store) }
    }
}

impl Federation {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    /// Who an id token is good for: the application id of the service principal, or for policies of the account the subject itself. Else what is wrong with it.
    pub(super) fn holder(&self, token: &str, client_id: Option<&str>, now: i64) -> Result<String, String> {
        let claims = ISSUER.verify(token, now).map_err(|why| format!("the id token is not accepted: {why}"))?;
        let text = |name: &str| claims[name].as_str().unwrap_or_default();
        let audiences: Vec<&str> = match &claims["aud"] {
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        let store = self.store();
        let of_client: Vec<&Policy> = store.policies.iter().filter(|policy| policy.principal.as_deref() == client_id).collect();
        let problem = |what: &str| format!("no federation policy fits the id token: {what}");
        if of_client.is_empty() {
            return Err(problem("there is none for this client"));
        }
        let of_issuer: Vec<&Policy> = of_client.into_iter().filter(|policy| policy.issuer == text("iss")).collect();
        if of_issuer.is_empty() {
            return Err(problem(&format!("unknown issuer {}", text("iss"))));
        }
        let of_audience: Vec<&Policy> =
            of_issuer.into_iter().filter(|policy| policy.audiences.iter().any(|audience| audiences.contains(&audience.as_str()))).collect();
        if of_audience.is_empty() {
            return Err(problem(&format!("unknown audience {}", audiences.join(", "))));
        }
        let fits = of_audience.iter().any(|policy| policy.subject.as_deref().is_none_or(|subject| subject == text("sub")));
        if fits { Ok(client_id.unwrap_or(text("sub")).to_owned()) } else { Err(problem(&format!("unknown subject {}", text("sub")))) }
    }
}

/// The secret behind `Authorization: Bearer`.
pub(super) fn bearer<'a>(call: &'a Call<'_>) -> Option<&'a str> {
    call.request.header("Authorization")?.strip_prefix("Bearer ")
}

fn claims(state: &State, issuer: &str, subject: &str, audience: &str) -> Value {
    let now = state.clock.now_seconds();
    json!({"iss": issuer, "sub": subject, "aud": audience, "iat": now, "nbf": now - 5, "exp": now + LIFE, "jti": random::hex::<8>()})
}

fn github(call: &Call<'_>) -> Answer {
    if bearer(call) != Some(call.state.federation.store().github_token.as_str()) {
        return Err(Response::json(401, &json!({"message": "The request token is not that of a running job"})));
    }
    if call.request.query("api-version") != Some("2.0") {
        return Err(Response::json(400, &json!({"message": "api-version is not 2.0"})));
    }
    let Some(audience) = call.request.query("audience").filter(|audience| !audience.is_empty()) else {
        return Err(Response::json(400, &json!({"message": "audience is missing"})));
    };
    let mut claims = claims(call.state, GITHUB, Workspace::GITHUB_SUBJECT, audience);
    claims["repository"] = json!("octo-org/app");
    Ok(Response::json(200, &json!({"count": 1, "value": ISSUER.sign(&claims)})))
}

fn azure_devops(call: &Call<'_>) -> Answer {
    if bearer(call) != Some(call.state.federation.store().devops_token.as_str()) {
        return Err(Response::json(401, &json!({"message": "TF400813: The user is not authorized to access this resource."})));
    }
    if call.request.query("api-version") != Some("7.2-preview.1") {
        return Err(Response::json(400, &json!({"message": "The requested REST API version is out of range"})));
    }
    for (part, known) in [("project", "p-1"), ("hub", "build"), ("plan", "plan-1"), ("job", "job-1")] {
        if call.part(part) != known {
            return Err(Response::json(404, &json!({"message": format!("There is no {part} {}", call.part(part))})));
        }
    }
    let claims = claims(call.state, AZURE_DEVOPS, Workspace::AZURE_DEVOPS_SUBJECT, AZURE_AUDIENCE);
    Ok(Response::json(200, &json!({"oidcToken": ISSUER.sign(&claims)})))
}

fn metadata(call: &Call<'_>) -> Answer {
    let state = call.state;
    if call.part("path") != state.federation.store().metadata_path {
        return Err(Response::error(404, "NOT_FOUND", "There is nothing here"));
    }
    if call.request.header("X-Databricks-Metadata-Version") != Some("1") {
        return Err(Response::error(400, "INVALID_PARAMETER_VALUE", "X-Databricks-Metadata-Version is missing or unknown"));
    }
    let host = call.request.header("X-Databricks-Host").unwrap_or_default();
    if host != state.http_url && host != state.https_url {
        return Err(Response::error(404, "NOT_FOUND", &format!("There is no token for '{host}' here")));
    }
    let (token, expires_on) = state.oauth.token_of(state, super::ADMIN);
    let mut fields = Map::new();
    fields.insert("access_token".to_owned(), json!(token));
    fields.insert("token_type".to_owned(), json!("Bearer"));
    fields.insert("expires_on".to_owned(), json!(expires_on));
    for (name, value) in &state.federation.store().metadata_fields {
        match value {
            Some(value) => fields.insert(name.clone(), value.clone()),
            None => fields.remove(name),
        };
    }
    Ok(Response::json(200, &Value::Object(fields)))
}

/// Federation, seen by tests.
impl Workspace {
    /// Who a job of the embedded GitHub Actions is.
    pub const GITHUB_SUBJECT: &'static str = "repo:octo-org/app:ref:refs/heads/main";
    /// Who a job of the embedded Azure Pipelines is.
    pub const AZURE_DEVOPS_SUBJECT: &'static str = "sc://org/p/connection";

    /// Trusts id tokens from now on.
    pub fn federate(&self, policy: Policy) {
        self.state.federation.store().policies.push(policy);
    }

    /// Trusts this issuer and subject for the service principal, with the token endpoint (http) as the audience.
    pub fn federate_principal(&self, issuer: &str, subject: &str) {
        let audiences = vec![format!("{}/oidc/v1/token", self.state.http_url), AZURE_AUDIENCE.to_owned()];
        let principal = Some(self.service_principal().1.to_owned());
        self.federate(Policy { issuer: issuer.to_owned(), audiences, subject: Some(subject.to_owned()), principal });
    }

    /// An id token with these claims, over those of somebody who is trusted and whose token lives five minutes.
    pub fn id_token(&self, changes: &Value) -> String {
        ISSUER.sign(&self.id_claims(changes))
    }

    /// The same with a signature that nobody trusts.
    pub fn forged_id_token(&self, changes: &Value) -> String {
        STRANGER.sign(&self.id_claims(changes))
    }

    fn id_claims(&self, changes: &Value) -> Value {
        let mut claims = claims(&self.state, "https://issuer.example", "somebody", &format!("{}/oidc/v1/token", self.state.http_url));
        for (name, value) in changes.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        claims
    }

    /// What GitHub Actions tells a job: `ACTIONS_ID_TOKEN_REQUEST_URL` and `_TOKEN`.
    pub fn github_job(&self) -> [(&'static str, String); 2] {
        [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/_github/idtoken?api-version=2.0", self.state.http_url)),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", self.state.federation.store().github_token.clone()),
        ]
    }

    /// What Azure Pipelines tells a step.
    pub fn azure_devops_job(&self) -> [(&'static str, String); 6] {
        [
            ("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI", format!("{}/_devops/org/", self.state.http_url)),
            ("SYSTEM_TEAMPROJECTID", "p-1".to_owned()),
            ("SYSTEM_HOSTTYPE", "build".to_owned()),
            ("SYSTEM_PLANID", "plan-1".to_owned()),
            ("SYSTEM_JOBID", "job-1".to_owned()),
            ("SYSTEM_ACCESSTOKEN", self.state.federation.store().devops_token.clone()),
        ]
    }

    /// The address of the metadata service, which hands out tokens of the admin.
    pub fn metadata_url(&self) -> String {
        format!("{}/_metadata/{}", self.state.http_url, self.state.federation.store().metadata_path)
    }

    /// Replaces a field of the metadata service's replies, or leaves it out (`None`).
    pub fn set_metadata_field(&self, name: &str, value: Option<Value>) {
        self.state.federation.store().metadata_fields.push((name.to_owned(), value));
    }
}
