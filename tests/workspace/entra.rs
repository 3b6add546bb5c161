//! Azure around the workspace: Entra ID (both token endpoints), Azure Resource Manager, the metadata service of an Azure machine, and GitHub Actions as an issuer of id
//! tokens. What the Azure CLI asks on its way is there too.
//!
//! Source: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>, `…/reference-error-codes`, `…/access-token-claims-reference`;
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>; RFC 7523, 3 (assertions), RFC 7518, 3.4 (ES256);
//! <https://learn.microsoft.com/azure/databricks/dev-tools/service-prin-aad-token> for the two headers.

use super::Workspace;
use super::api::{Access, Answer, Call, Route};
use super::clouds;
use super::http::{Request, Response, parse_query};
use super::oauth::jwt;
use super::random;
use super::record::Plane;
use super::state::{State, User};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/aad/auth", access: Access::Anyone, handle: lead_to_sign_in },
    Route { method: "GET", path: "/oidc/oauth2/v2.0/authorize", access: Access::Anyone, handle: lead_to_sign_in },
    Route { method: "POST", path: "/{tenant}/oauth2/token", access: Access::Anyone, handle: token_v1 },
    Route { method: "POST", path: "/{tenant}/oauth2/v2.0/token", access: Access::Anyone, handle: token_v2 },
    Route { method: "GET", path: "/{tenant}/v2.0/.well-known/openid-configuration", access: Access::Anyone, handle: openid_configuration },
    Route {
        method: "GET",
        path: "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Databricks/workspaces/{name}",
        access: Access::Anyone,
        handle: resource,
    },
    // As Resource Manager, which does not mind.
    Route {
        method: "GET",
        path: "//subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Databricks/workspaces/{name}",
        access: Access::Anyone,
        handle: resource,
    },
    Route { method: "GET", path: "/subscriptions", access: Access::Anyone, handle: subscriptions },
    Route { method: "GET", path: "/metadata/endpoints", access: Access::Anyone, handle: endpoints },
    Route { method: "GET", path: "/metadata/identity/oauth2/token", access: Access::Anyone, handle: managed_identity },
    Route { method: "GET", path: "/_actions/idtoken", access: Access::Anyone, handle: id_token },
];

/// The tenant of the workspace.
pub const TENANT: &str = "4d1c6b2e-7a10-4f7c-9d55-0f6f6f2b9a01";
/// A tenant that exists, but not for this workspace.
pub const OTHER_TENANT: &str = "0b9d8c7e-1111-4222-8333-944445555666";
/// The application id of Databricks.
pub const DATABRICKS: &str = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d";
pub const SUBSCRIPTION: &str = "3f9a2b61-5c4d-4e7f-8a90-b1c2d3e4f506";
/// The workspace as a resource of Azure.
pub const RESOURCE_ID: &str = "/subscriptions/3f9a2b61-5c4d-4e7f-8a90-b1c2d3e4f506/resourceGroups/analytics/providers/Microsoft.Databricks/workspaces/main";
/// The resource of the second token.
pub const MANAGEMENT: &str = "https://management.core.windows.net";
/// The resource of Azure Resource Manager.
pub const RESOURCE_MANAGER: &str = "https://management.azure.com";

const GITHUB: &str = "https://token.actions.githubusercontent.com";
/// What a job of GitHub Actions is called.
const SUBJECT: &str = "repo:octo-org/octo-app:ref:refs/heads/main";
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// Who an identity of Azure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AzureIdentity {
    /// The administrator of the workspace.
    Person,
    /// The same as a guest of the tenant: its tokens have no `upn`.
    Guest,
    /// A service principal that is a user of the workspace.
    Member,
    /// A service principal that is none, but has a role on the workspace in Azure.
    Stranger,
}

impl AzureIdentity {
    fn index(self) -> usize {
        usize::from(self == AzureIdentity::Stranger)
    }

    fn is_person(self) -> bool {
        matches!(self, AzureIdentity::Person | AzureIdentity::Guest)
    }
}

/// A token that was given.
#[derive(Debug, Clone)]
struct Issued {
    identity: AzureIdentity,
    tenant: String,
    /// Without a slash at its end.
    resource: String,
    expires: i64,
}

#[derive(Debug)]
struct Store {
    /// Secrets of the service principals, with the second in which they end.
    secrets: Vec<(AzureIdentity, String, i64)>,
    issued: HashMap<String, Issued>,
    lifetime: i64,
    /// How long id tokens of GitHub live.
    id_token_lifetime: i64,
    /// What the job of GitHub Actions asks with.
    request_token: String,
    subject: String,
    machine: Option<AzureIdentity>,
}

pub(super) struct Entra {
    key: [u8; 32],
    github: EcdsaKeyPair,
    store: Mutex<Store>,
}

impl fmt::Debug for Entra {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Entra").finish_non_exhaustive()
    }
}

impl Entra {
    pub(super) fn new() -> Entra {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        Entra {
            key: random::bytes(),
            github: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).expect("the key just made"),
            store: Mutex::new(Store {
                secrets: Vec::new(),
                issued: HashMap::new(),
                lifetime: 3_599,
                id_token_lifetime: 300,
                request_token: format!("ghrt{}", random::hex::<20>()),
                subject: SUBJECT.to_owned(),
                machine: Some(AzureIdentity::Stranger),
            }),
        }
    }

    /// A token with the claims that Entra ID gives it.
    fn issue(&self, state: &State, identity: AzureIdentity, tenant: &str, resource: &str) -> (String, i64) {
        let now = state.clock.now_seconds();
        let mut store = self.store.lock().unwrap();
        let expires = now + store.lifetime;
        let resource = resource.trim_end_matches('/');
        let mut claims = json!({
            "aud": resource, "iss": format!("https://sts.windows.net/{tenant}/"), "iat": now, "nbf": now, "exp": expires, "tid": tenant, "ver": "1.0",
            "uti": random::hex::<8>(),
        });
        let more = match identity {
            AzureIdentity::Person => json!({"upn": super::ADMIN, "unique_name": super::ADMIN, "scp": "user_impersonation", "idtyp": "user"}),
            AzureIdentity::Guest => json!({"unique_name": "live.com#ann@example.com", "scp": "user_impersonation"}),
            AzureIdentity::Member | AzureIdentity::Stranger => json!({"appid": state.principals[identity.index()].name, "idtyp": "app"}),
        };
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let token = jwt::sign(&self.key, &claims);
        store.issued.insert(token.clone(), Issued { identity, tenant: tenant.to_owned(), resource: resource.to_owned(), expires });
        (token, expires)
    }

    fn issued(&self, token: &str) -> Option<Issued> {
        self.store.lock().unwrap().issued.get(token).cloned()
    }

    /// Who a token of Entra ID signs in as; `None` if it is none.
    pub(super) fn sign_in(&self, state: &State, request: &Request, token: &str) -> Option<Result<Arc<User>, Response>> {
        let issued = self.issued(token)?;
        Some(self.admit(state, request, &issued))
    }

    fn admit(&self, state: &State, request: &Request, issued: &Issued) -> Result<Arc<User>, Response> {
        let refuse = |why: &str| Err(Response::refusal(403, why));
        let now = state.clock.now_seconds();
        if issued.expires <= now || issued.resource != DATABRICKS {
            return refuse("Invalid access token.");
        }
        if issued.tenant != TENANT {
            return refuse(&format!("The token is of tenant {}, not of that of this workspace.", issued.tenant));
        }
        let management = request.header("X-Databricks-Azure-SP-Management-Token");
        if let Some(token) = management {
            if issued.identity.is_person() {
                return Err(Response::refusal(400, "A person's token for Azure has no business here."));
            }
            let fits = self.issued(token).is_some_and(|own| own.identity == issued.identity && own.resource == MANAGEMENT && own.expires > now);
            if !fits {
                return refuse("X-Databricks-Azure-SP-Management-Token is not good.");
            }
        }
        let resource = request.header("X-Databricks-Azure-Workspace-Resource-Id");
        if resource.is_some_and(|id| !id.eq_ignore_ascii_case(RESOURCE_ID)) {
            return refuse("X-Databricks-Azure-Workspace-Resource-Id is that of another workspace.");
        }
        let user = match issued.identity {
            AzureIdentity::Person | AzureIdentity::Guest => state.user(|user| user.name == super::ADMIN),
            AzureIdentity::Stranger if management.is_none() || resource.is_none() => return refuse("User not authorized."),
            AzureIdentity::Member | AzureIdentity::Stranger => Some(Arc::clone(&state.principals[issued.identity.index()])),
        };
        user.ok_or_else(|| Response::refusal(403, "User not authorized."))
    }

    /// The id token of a job, signed as its issuer does.
    fn id_token(&self, state: &State, audience: &str) -> String {
        let now = state.clock.now_seconds();
        let store = self.store.lock().unwrap();
        let claims = json!({
            "iss": GITHUB, "sub": store.subject, "aud": audience, "iat": now, "nbf": now.min(now + store.id_token_lifetime), "exp": now + store.id_token_lifetime,
            "jti": random::hex::<16>(),
        });
        let header = json!({"typ": "JWT", "alg": "ES256", "kid": "github-1"});
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = self.github.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// Checks an assertion as RFC 7523, 3 wants it; the error is Entra ID's.
    fn check_assertion(&self, now: i64, assertion: &str) -> Result<(), Response> {
        let refuse = |code: u32, why: &str| Err(refusal(401, "invalid_client", code, why));
        let malformed = || refusal(400, "invalid_request", 50027, "JWT token is invalid or malformed.");
        let (signed, signature) = assertion.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()).ok_or_else(malformed);
        let (header, claims) = (part(header)?, part(claims)?);
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.github.public_key().as_ref());
        if header["alg"] != "ES256" || key.verify(signed.as_bytes(), &signature).is_err() {
            return refuse(700_027, "The certificate with identifier used to sign the client assertion is not registered on application.");
        }
        if claims["iss"] != GITHUB {
            return refuse(700_211, "No matching federated identity record found for presented assertion issuer.");
        }
        if claims["aud"] != EXCHANGE {
            return refuse(700_212, "No matching federated identity record found for presented assertion audience.");
        }
        if claims["sub"] != SUBJECT {
            return refuse(700_213, "No matching federated identity record found for presented assertion subject.");
        }
        if claims["exp"].as_i64().is_none_or(|end| end <= now) || claims["nbf"].as_i64().is_some_and(|start| start > now + 300) {
            return refuse(700_024, "Client assertion is not within its valid time range.");
        }
        Ok(())
    }
}

/// An error of Entra ID.
fn refusal(status: u16, error: &str, code: u32, message: &str) -> Response {
    let (trace, correlation) = (random::hex::<16>(), random::hex::<16>());
    let description = format!("AADSTS{code}: {message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: 2026-01-01 00:00:00Z");
    let body = json!({
        "error": error, "error_description": description, "error_codes": [code], "trace_id": trace, "correlation_id": correlation,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    Response::json(status, &body).header("Cache-Control", "no-store")
}

/// Where the workspace sends browsers for a sign-in: how its tenant is known.
fn lead_to_sign_in(call: &Call<'_>) -> Answer {
    let entra = clouds::entra_of(call.request).unwrap_or_else(|| call.state.url(Plane::Https).to_owned());
    let version = if call.request.path.contains("v2.0") { "v2.0/" } else { "" };
    Ok(Response::new(302).header("Location", &format!("{entra}/{TENANT}/oauth2/{version}authorize?client_id={DATABRICKS}&response_type=code")))
}

fn token_v1(call: &Call<'_>) -> Answer {
    let (identity, form) = client(call)?;
    let resource = field(&form, "resource").ok_or_else(|| missing("resource"))?;
    let (token, expires, life) = grant(call, identity, &resource)?;
    // This endpoint tells numbers as text.
    Ok(Response::json(
        200,
        &json!({
            "token_type": "Bearer", "expires_in": life.to_string(), "ext_expires_in": life.to_string(), "expires_on": expires.to_string(),
            "not_before": (expires - life).to_string(), "resource": resource, "access_token": token,
        }),
    ))
}

fn token_v2(call: &Call<'_>) -> Answer {
    let (identity, form) = client(call)?;
    let scope = field(&form, "scope").ok_or_else(|| missing("scope"))?;
    // Libraries add scopes of OpenID Connect, which mean nothing here.
    let resource = scope.split(' ').find_map(|scope| scope.strip_suffix("/.default")).ok_or_else(|| {
        refusal(
            400,
            "invalid_scope",
            1_002_012,
            &format!("The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default."),
        )
    })?;
    let (token, _, life) = grant(call, identity, resource)?;
    Ok(Response::json(200, &json!({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token})))
}

fn grant(call: &Call<'_>, identity: AzureIdentity, resource: &str) -> Result<(String, i64, i64), Response> {
    let own = call.state.url(Plane::Https);
    let name = resource.trim_end_matches('/');
    let known = if name == own { Some(RESOURCE_MANAGER) } else { Some(name).filter(|name| *name == DATABRICKS).or_else(|| clouds::public_resource(name)) };
    let Some(name) = known else {
        let message = format!("The resource principal named {resource} was not found in the tenant named {}.", call.part("tenant"));
        return Err(refusal(400, "invalid_resource", 500_011, &message));
    };
    let (token, expires) = call.state.entra.issue(call.state, identity, call.part("tenant"), name);
    Ok((token, expires, expires - call.state.clock.now_seconds()))
}

fn field(form: &[(String, String)], name: &str) -> Option<String> {
    form.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.clone())
}

fn missing(name: &str) -> Response {
    refusal(400, "invalid_request", 900_144, &format!("The request body must contain the following parameter: '{name}'."))
}

/// The service principal that asks, and its form.
fn client(call: &Call<'_>) -> Result<(AzureIdentity, Vec<(String, String)>), Response> {
    if call.request.plane != Plane::Https {
        return Err(refusal(400, "invalid_request", 90_014, "Entra ID is spoken to over https."));
    }
    let tenant = call.part("tenant");
    if ![TENANT, OTHER_TENANT].contains(&tenant) {
        return Err(refusal(400, "invalid_request", 90_002, &format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.")));
    }
    let form = parse_query(std::str::from_utf8(&call.request.body).unwrap_or_default());
    let grant = field(&form, "grant_type").ok_or_else(|| missing("grant_type"))?;
    if grant != "client_credentials" {
        return Err(refusal(400, "unsupported_grant_type", 70_003, &format!("The app requested an unsupported grant type '{grant}'.")));
    }
    let id = field(&form, "client_id").ok_or_else(|| missing("client_id"))?;
    let identity = [AzureIdentity::Member, AzureIdentity::Stranger].into_iter().find(|identity| call.state.principals[identity.index()].name == id);
    let Some(identity) = identity.filter(|_| tenant == TENANT) else {
        let message = format!("Application with identifier '{id}' was not found in the directory '{tenant}'.");
        return Err(refusal(400, "unauthorized_client", 700_016, &message));
    };
    let now = call.state.clock.now_seconds();
    match (field(&form, "client_secret"), field(&form, "client_assertion"), field(&form, "client_assertion_type")) {
        (Some(secret), None, None) => {
            let store = call.state.entra.store.lock().unwrap();
            let known = store.secrets.iter().find(|(owner, value, _)| *owner == identity && *value == secret);
            match known {
                None => {
                    let message = format!(
                        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret \
                         added to app '{id}'."
                    );
                    Err(refusal(401, "invalid_client", 7_000_215, &message))
                }
                Some((_, _, end)) if *end <= now => {
                    Err(refusal(401, "invalid_client", 7_000_222, &format!("The provided client secret keys for app '{id}' are expired.")))
                }
                Some(_) => Ok(()),
            }?;
        }
        (None, Some(assertion), Some(kind)) if kind == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" => {
            call.state.entra.check_assertion(now, &assertion)?;
        }
        (None, None, None) => {
            return Err(refusal(401, "invalid_client", 7_000_218, "The request body must contain 'client_assertion' or 'client_secret'."));
        }
        _ => return Err(refusal(400, "invalid_request", 50_012, "There must be one proof of who the client is, and its kind.")),
    }
    Ok((identity, form))
}

fn openid_configuration(call: &Call<'_>) -> Answer {
    let (entra, tenant) = (call.state.url(Plane::Https), call.part("tenant"));
    Ok(Response::json(
        200,
        &json!({
            "issuer": format!("{entra}/{tenant}/v2.0"), "token_endpoint": format!("{entra}/{tenant}/oauth2/v2.0/token"),
            "authorization_endpoint": format!("{entra}/{tenant}/oauth2/v2.0/authorize"), "device_authorization_endpoint": format!("{entra}/{tenant}/oauth2/v2.0/devicecode"),
        }),
    ))
}

/// The clouds that there are, for the Azure CLI: one, and as an object.
fn endpoints(call: &Call<'_>) -> Answer {
    let own = call.state.url(Plane::Https);
    Ok(Response::json(
        200,
        &json!({
            "name": "Embedded", "resourceManager": own, "portal": own, "graph": own, "gallery": own, "batch": own,
            "authentication": {"loginEndpoint": own, "audiences": [own], "tenant": TENANT, "identityProvider": "AAD"},
            "suffixes": {}, "media": own, "graphAudience": own, "vmImageAliasDoc": own, "sqlManagement": own, "activeDirectoryDataLake": own,
        }),
    ))
}

/// Whoever may ask Resource Manager.
fn manager(call: &Call<'_>) -> Result<AzureIdentity, Response> {
    let refuse = |status: u16, code: &str, message: &str| Response::json(status, &json!({"error": {"code": code, "message": message}}));
    let token = call.request.header("Authorization").and_then(|value| value.strip_prefix("Bearer "));
    let Some(issued) = token.and_then(|token| call.state.entra.issued(token)) else {
        return Err(refuse(401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing or invalid."));
    };
    if ![RESOURCE_MANAGER, MANAGEMENT].contains(&issued.resource.as_str()) || issued.expires <= call.state.clock.now_seconds() {
        return Err(refuse(401, "InvalidAuthenticationToken", "The access token has been obtained for wrong audience or resource, or has expired."));
    }
    if issued.identity == AzureIdentity::Member {
        let message = "The client does not have authorization to perform action 'Microsoft.Databricks/workspaces/read'.";
        return Err(refuse(403, "AuthorizationFailed", message));
    }
    Ok(issued.identity)
}

fn resource(call: &Call<'_>) -> Answer {
    manager(call)?;
    if call.request.query("api-version") != Some("2018-04-01") {
        return Err(Response::json(400, &json!({"error": {"code": "MissingApiVersionParameter", "message": "The api-version query parameter is required."}})));
    }
    if !call.request.path.trim_start_matches('/').eq_ignore_ascii_case(RESOURCE_ID.trim_start_matches('/')) {
        let message = format!("The Resource 'Microsoft.Databricks/workspaces/{}' was not found.", call.part("name"));
        return Err(Response::json(404, &json!({"error": {"code": "ResourceNotFound", "message": message}})));
    }
    let url = clouds::workspace_of(call.request).unwrap_or_else(|| call.state.url(Plane::Https).trim_start_matches("https://"));
    Ok(Response::json(
        200,
        &json!({"id": RESOURCE_ID, "name": "main", "properties": {"workspaceUrl": url, "workspaceId": call.state.workspace_id.to_string(), "provisioningState": "Succeeded"}}),
    ))
}

fn subscriptions(call: &Call<'_>) -> Answer {
    // Whoever has no role sees none, which is no error.
    let sees = manager(call).map(|_| json!([{"id": format!("/subscriptions/{SUBSCRIPTION}"), "subscriptionId": SUBSCRIPTION, "tenantId": TENANT, "displayName": "Embedded", "state": "Enabled", "managedByTenants": []}]));
    Ok(Response::json(200, &json!({"value": sees.unwrap_or_else(|_| json!([])), "count": {"type": "Total", "value": 1}})))
}

/// The metadata service: on the machine itself, hence never over https.
fn managed_identity(call: &Call<'_>) -> Answer {
    let refuse = |message: &str| Response::json(400, &json!({"error": "invalid_request", "error_description": message}));
    if call.request.plane != Plane::Http || call.request.header("Metadata") != Some("true") || call.request.header("X-Forwarded-For").is_some() {
        return Err(refuse("Required metadata header not specified"));
    }
    if call.request.query("api-version") != Some("2018-02-01") {
        return Err(refuse("Bad request. api-version is invalid or was not specified in the request."));
    }
    let Some(identity) = call.state.entra.store.lock().unwrap().machine else { return Err(refuse("Identity not found")) };
    let id = &call.state.principals[identity.index()].name;
    if call.request.query("client_id").is_some_and(|wanted| wanted != id) {
        return Err(refuse("Identity not found"));
    }
    let resource = call.request.query("resource").ok_or_else(|| refuse("Bad request. resource is missing."))?.to_owned();
    let name = resource.trim_end_matches('/');
    let (token, expires) = call.state.entra.issue(call.state, identity, TENANT, clouds::public_resource(name).unwrap_or(name));
    let life = expires - call.state.clock.now_seconds();
    Ok(Response::json(
        200,
        &json!({
            "access_token": token, "client_id": id, "expires_in": life.to_string(), "expires_on": expires.to_string(), "ext_expires_in": life.to_string(),
            "not_before": (expires - life).to_string(), "resource": resource, "token_type": "Bearer",
        }),
    ))
}

/// What a job of GitHub Actions asks for its id token.
fn id_token(call: &Call<'_>) -> Answer {
    let wanted = format!("Bearer {}", call.state.entra.store.lock().unwrap().request_token);
    if call.request.header("Authorization").is_none_or(|sent| !sent.eq_ignore_ascii_case(&wanted)) {
        return Err(Response::json(401, &json!({"message": "The token of the job is not good."})));
    }
    let audience = call.request.query("audience").unwrap_or("https://github.com/octo-org");
    Ok(Response::json(200, &json!({"count": 1, "value": call.state.entra.id_token(call.state, audience)})))
}

/// Azure, seen by tests.
impl Workspace {
    /// The application id of a service principal.
    pub fn azure_client_id(&self, identity: AzureIdentity) -> &str {
        &self.state.principals[identity.index()].name
    }

    /// Makes a secret of a service principal that is good for so long.
    pub fn azure_secret(&self, identity: AzureIdentity, lifetime: Duration) -> String {
        let secret = format!("{}~{}", &random::hex::<2>()[..3], random::hex::<18>());
        let end = self.state.clock.now_seconds() + i64::try_from(lifetime.as_secs()).expect("a sane lifetime");
        self.state.entra.store.lock().unwrap().secrets.push((identity, secret.clone(), end));
        secret
    }

    /// A token as the Azure CLI would have it for that identity.
    pub fn azure_token(&self, identity: AzureIdentity, tenant: &str, resource: &str) -> String {
        self.state.entra.issue(&self.state, identity, tenant, resource).0
    }

    /// Every token that was given, and what a job asks with: what nobody else must see.
    pub fn azure_secrets(&self) -> Vec<String> {
        let store = self.state.entra.store.lock().unwrap();
        store.issued.keys().cloned().chain([store.request_token.clone()]).chain(store.secrets.iter().map(|(_, secret, _)| secret.clone())).collect()
    }

    /// How long tokens live from now on.
    pub fn set_azure_token_lifetime(&self, seconds: i64) {
        self.state.entra.store.lock().unwrap().lifetime = seconds;
    }

    /// Which managed identity the machine has.
    pub fn set_machine_identity(&self, identity: Option<AzureIdentity>) {
        self.state.entra.store.lock().unwrap().machine = identity;
    }

    /// Address and token with which a job of GitHub Actions asks for its id token.
    pub fn github_request(&self) -> (String, String) {
        (format!("{}/_actions/idtoken?api-version=2.0", self.https_url()), self.state.entra.store.lock().unwrap().request_token.clone())
    }

    /// What the id tokens of the job say from now on: how they call it, and for how many seconds they are good.
    pub fn set_github_job(&self, subject: &str, lifetime: i64) {
        let mut store = self.state.entra.store.lock().unwrap();
        subject.clone_into(&mut store.subject);
        store.id_token_lifetime = lifetime;
    }
}
