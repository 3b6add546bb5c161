//! `/api/2.0/echo`, which no real workspace has: what came in, letter for letter, so that a test sees what a client sent.

use super::api::{Access, Answer, Call, Route};
use super::http::Response;
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/api/2.0/echo", access: Access::SignedIn, handle: echo },
    Route { method: "POST", path: "/api/2.0/echo", access: Access::SignedIn, handle: echo },
    Route { method: "PUT", path: "/api/2.0/echo", access: Access::SignedIn, handle: echo },
    Route { method: "PATCH", path: "/api/2.0/echo", access: Access::SignedIn, handle: echo },
    Route { method: "DELETE", path: "/api/2.0/echo", access: Access::SignedIn, handle: echo },
];

/// Credentials are left out: what the client prints is swept for them.
#[expect(clippy::unnecessary_wraps, reason = "the shape of every handler")]
fn echo(call: &Call<'_>) -> Answer {
    let request = call.request;
    let headers: serde_json::Map<String, Value> = request
        .headers
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("authorization"))
        .map(|(name, value)| (name.to_ascii_lowercase(), json!(value)))
        .collect();
    // JSON stays as it was written, number for number; anything else becomes a string.
    let body = match serde_json::from_slice::<&RawValue>(&request.body) {
        Ok(json) => json.get().to_owned(),
        Err(_) if request.body.is_empty() => "null".to_owned(),
        Err(_) => json!(String::from_utf8_lossy(&request.body)).to_string(),
    };
    let text = format!(
        "{{\"method\":{},\"target\":{},\"query\":{},\"headers\":{},\"body\":{body}}}",
        json!(request.method),
        json!(request.target),
        json!(request.query),
        Value::Object(headers)
    );
    Ok(Response::new(200).body("application/json", text))
}
