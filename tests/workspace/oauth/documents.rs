//! What a host says about itself and its authorization server to anyone.
//! Source: RFC 8414 for the server; for the host, `databricks-sdk-py`, `oauth.py`, `HostMetadata`.

use super::super::api::{Access, Answer, Call, Route};
use super::super::clouds;
use super::super::http::Response;
use super::{Document, HostKind, issuer, realm};
use serde_json::{Map, Value, json};

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/.well-known/databricks-config", access: Access::Anyone, handle: host },
    Route { method: "GET", path: "/oidc/.well-known/oauth-authorization-server", access: Access::Anyone, handle: server },
    Route { method: "GET", path: "/oidc/accounts/{account}/.well-known/oauth-authorization-server", access: Access::Anyone, handle: server },
];

fn host(call: &Call<'_>) -> Answer {
    let state = call.state;
    let (url, cloud) = clouds::place_of(call.request).unwrap_or_else(|| (state.url(call.request.plane).to_owned(), "aws"));
    let account_wide = |host_type: &str| {
        json!({
            // A client puts the account in, letter for letter.
            "oidc_endpoint": format!("{url}/oidc/accounts/{{account_id}}"),
            "account_id": state.account_id,
            "cloud": cloud,
            "host_type": host_type,
            "token_federation_default_oidc_audiences": [state.account_id],
        })
    };
    let document = match state.oauth.host_kind() {
        HostKind::Workspace => json!({
            "oidc_endpoint": format!("{url}/oidc"),
            "account_id": state.account_id,
            "workspace_id": state.workspace_id.to_string(),
            "cloud": cloud,
            "host_type": "workspace",
            "token_federation_default_oidc_audiences": [format!("{url}/oidc/v1/token")],
        }),
        HostKind::Unified => account_wide("unified"),
        HostKind::Account => account_wide("account"),
        HostKind::Absent => return Err(Response::error(404, "ENDPOINT_NOT_FOUND", "No API found for 'GET /.well-known/databricks-config'")),
    };
    Ok(finished(call, Document::HostConfig, document))
}

fn server(call: &Call<'_>) -> Answer {
    let issuer = issuer(call, realm(call)?);
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/v1/authorize"),
        "token_endpoint": format!("{issuer}/v1/token"),
        "revocation_endpoint": format!("{issuer}/v1/revoke"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "scopes_supported": ["all-apis", "email", "offline_access", "openid", "profile", "sql"],
        "authorization_response_iss_parameter_supported": true,
    });
    Ok(finished(call, Document::AuthorizationServer, document))
}

/// The document with the fields replaced that were ordered.
fn finished(call: &Call<'_>, which: Document, mut document: Value) -> Response {
    if let Value::Object(fields) = &mut document {
        replace(call, which, fields);
    }
    Response::json(200, &document)
}

fn replace(call: &Call<'_>, which: Document, fields: &mut Map<String, Value>) {
    let store = call.state.oauth.store();
    for ((_, name), value) in store.settings.fields.iter().filter(|((document, _), _)| *document == which) {
        match value {
            Some(value) => fields.insert(name.clone(), value.clone()),
            None => fields.remove(name),
        };
    }
}
