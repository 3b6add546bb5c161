//! Everybody's tokens, for administrators: `/api/2.0/token-management`.
//! Source: REST reference "Token management"; field names from `databricks-sdk-py`, `service/settings.py`.

use super::api::{Access, Answer, Call, Route, field, invalid};
use super::http::Response;
use super::state::{State, User};
use super::tokens::{Token, Wish, change, no_such_token, wish};
use serde_json::{Value, json};

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/api/2.0/token-management/tokens", access: Access::SignedIn, handle: list },
    Route { method: "GET", path: "/api/2.0/token-management/tokens/{id}", access: Access::SignedIn, handle: get },
    Route { method: "DELETE", path: "/api/2.0/token-management/tokens/{id}", access: Access::SignedIn, handle: delete },
    Route { method: "PATCH", path: "/api/2.0/token-management/tokens/{id}", access: Access::SignedIn, handle: update },
    Route { method: "POST", path: "/api/2.0/token-management/on-behalf-of/tokens", access: Access::SignedIn, handle: create },
];

const DAY: i64 = 86_400_000;

/// The public fields, in the shape of `TokenInfo`.
fn info(state: &State, token: &Token) -> Value {
    let mut info = token.info();
    info["created_by_id"] = number(&token.created_by);
    info["owner_id"] = number(&token.owner);
    info["workspace_id"] = json!(state.workspace_id);
    if let Some(creator) = user_of(state, &token.created_by) {
        info["created_by_username"] = json!(creator);
    }
    // Accurate to the day only.
    if let Some(used) = token.last_accessed {
        info["last_used_day"] = json!(used.div_euclid(DAY) * DAY);
    }
    info
}

fn number(id: &str) -> Value {
    json!(id.parse::<i64>().expect("ids are numbers"))
}

fn user_of(state: &State, id: &str) -> Option<String> {
    state.user(|user: &User| user.id == id).map(|user| user.name.clone())
}

fn list(call: &Call<'_>) -> Answer {
    call.admin()?;
    let by_id = call.request.query("created_by_id").filter(|id| !id.is_empty());
    if by_id.is_some_and(|id| id.parse::<i64>().is_err()) {
        return Err(invalid("created_by_id must be a number"));
    }
    let by_name = call.request.query("created_by_username").filter(|name| !name.is_empty());
    let creator = match by_name {
        None => None,
        Some(name) => {
            let user = call.state.user(|user| user.name == name);
            Some(user.ok_or_else(|| Response::error(404, "RESOURCE_DOES_NOT_EXIST", &format!("User {name} does not exist")))?.id.clone())
        }
    };
    let tokens = call.state.tokens.lock().unwrap();
    let wanted = tokens.all().filter(|token| by_id.is_none_or(|id| token.created_by == id) && creator.as_ref().is_none_or(|id| token.created_by == *id));
    let infos: Vec<Value> = wanted.map(|token| info(call.state, token)).collect();
    Ok(Response::json(200, &if infos.is_empty() { json!({}) } else { json!({"token_infos": infos}) }))
}

fn get(call: &Call<'_>) -> Answer {
    call.admin()?;
    let id = call.part("id");
    let tokens = call.state.tokens.lock().unwrap();
    let token = tokens.get(id).ok_or_else(|| no_such_token(id))?;
    Ok(Response::json(200, &json!({"token_info": info(call.state, token)})))
}

fn delete(call: &Call<'_>) -> Answer {
    call.admin()?;
    let id = call.part("id");
    if call.state.tokens.lock().unwrap().remove(id) { Ok(Response::json(200, &json!({}))) } else { Err(no_such_token(id)) }
}

fn update(call: &Call<'_>) -> Answer {
    call.admin()?;
    let change = change(&call.json()?)?;
    let id = call.part("id");
    let mut tokens = call.state.tokens.lock().unwrap();
    change.apply(tokens.get_mut(id).ok_or_else(|| no_such_token(id))?);
    Ok(Response::json(200, &json!({})))
}

/// On behalf of a service principal: it owns the token, the administrator created it.
fn create(call: &Call<'_>) -> Answer {
    let admin = call.admin()?;
    let body = call.json()?;
    let application = field::string(&body, "application_id")?.filter(|id| !id.is_empty()).ok_or_else(|| invalid("Missing required field: application_id"))?;
    let unknown = || Response::error(404, "RESOURCE_DOES_NOT_EXIST", &format!("Service principal with application ID {application} does not exist"));
    let principal = call.state.principals.iter().find(|principal| principal.name == application).ok_or_else(unknown)?;
    let wish = wish(&body, call.state.clock.now_ms())?;
    let mut tokens = call.state.tokens.lock().unwrap();
    let (id, value) = tokens.mint(Wish { owner: &principal.id, created_by: &admin.id, ..wish });
    let info = tokens.get(&id).map(|token| info(call.state, token));
    Ok(Response::json(200, &json!({"token_value": value, "token_info": info})))
}
