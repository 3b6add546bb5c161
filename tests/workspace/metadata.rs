//! `/.well-known/databricks-config`: what a host says about itself to anyone.
//! Source: `databricks-sdk-py`, `oauth.py`, `HostMetadata`.

use super::api::{Access, Answer, Call, Route};
use super::http::Response;
use serde_json::json;

pub(super) const ROUTES: &[Route] = &[Route { method: "GET", path: "/.well-known/databricks-config", access: Access::Anyone, handle: config }];

#[expect(clippy::unnecessary_wraps, reason = "the shape of every handler")]
fn config(call: &Call<'_>) -> Answer {
    let url = call.state.url(call.request.plane);
    Ok(Response::json(
        200,
        &json!({
            "oidc_endpoint": format!("{url}/oidc"),
            "account_id": call.state.account_id,
            "workspace_id": call.state.workspace_id.to_string(),
            "cloud": "aws",
            "host_type": "workspace",
            "token_federation_default_oidc_audiences": [format!("{url}/oidc/v1/token")],
        }),
    ))
}
