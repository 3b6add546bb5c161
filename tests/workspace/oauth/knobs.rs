//! `/_workspace/oauth`, which no real workspace has: what [`Workspace`](super::Workspace) sets, for administrators who only have HTTP.
//!
//! `curl -H "Authorization: Bearer $TOKEN" -X PATCH -d '{"token_lifetime_seconds": 5}' $URL/_workspace/oauth`

use super::super::api::{Access, Answer, Call, Route, field, invalid};
use super::super::http::Response;
use super::{HostKind, RefreshMode, Settings};
use serde_json::json;
use std::time::Duration;

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/_workspace/oauth", access: Access::SignedIn, handle: show },
    Route { method: "PATCH", path: "/_workspace/oauth", access: Access::SignedIn, handle: set },
];

/// The settings and the counters.
fn show(call: &Call<'_>) -> Answer {
    call.admin()?;
    let store = call.state.oauth.store();
    let Settings { token_lifetime, refresh_lifetime, refresh, host_kind, .. } = &store.settings;
    Ok(Response::json(
        200,
        &json!({
            "token_lifetime_seconds": token_lifetime.as_secs(),
            "refresh_lifetime_seconds": refresh_lifetime.as_secs(),
            "refresh": refresh.to_string(),
            "host_kind": host_kind.to_string(),
            "grants": {
                "codes": store.grants.codes,
                "refreshes": store.grants.refreshes,
                "client_credentials": store.grants.client_credentials,
                "exchanges": store.grants.exchanges,
                "revocations": store.grants.revocations,
                "reuse_detected": store.grants.reuse_detected,
                "refused": store.grants.refused,
            },
        }),
    ))
}

/// All of the body or nothing of it.
fn set(call: &Call<'_>) -> Answer {
    const NAMES: [&str; 5] = ["token_lifetime_seconds", "refresh_lifetime_seconds", "refresh", "host_kind", "revoke_user"];
    call.admin()?;
    let body = call.json()?;
    if let Some(unknown) = body.keys().find(|key| !NAMES.contains(&key.as_str())) {
        return Err(invalid(&format!("Unknown field: {unknown}")));
    }
    let seconds = |name: &str| match field::integer(&body, name)? {
        None => Ok(None),
        Some(seconds) => u64::try_from(seconds).map(|seconds| Some(Duration::from_secs(seconds))).map_err(|_| invalid(&format!("{name} must not be negative"))),
    };
    let (token_lifetime, refresh_lifetime) = (seconds("token_lifetime_seconds")?, seconds("refresh_lifetime_seconds")?);
    let refresh: Option<RefreshMode> = field::string(&body, "refresh")?.map(str::parse).transpose().map_err(|problem: String| invalid(&problem))?;
    let host_kind: Option<HostKind> = field::string(&body, "host_kind")?.map(str::parse).transpose().map_err(|problem: String| invalid(&problem))?;
    let revoked = field::string(&body, "revoke_user")?
        .map(|name| call.state.user(|user| user.name == name).ok_or_else(|| invalid(&format!("There is no user '{name}'"))))
        .transpose()?;
    let mut store = call.state.oauth.store();
    if let Some(user) = revoked {
        store.revoke_all_of(&user.id);
    }
    let settings = &mut store.settings;
    settings.token_lifetime = token_lifetime.unwrap_or(settings.token_lifetime);
    settings.refresh_lifetime = refresh_lifetime.unwrap_or(settings.refresh_lifetime);
    settings.refresh = refresh.unwrap_or(settings.refresh);
    settings.host_kind = host_kind.unwrap_or(settings.host_kind);
    drop(store);
    show(call)
}
