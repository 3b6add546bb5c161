//! Who may use tokens: `/api/2.0/permissions/authorization/tokens`.
//! Source: REST reference "Token management", permissions; field names from `databricks-sdk-py`, `service/settings.py`.

use super::api::{Access, Answer, Call, Route, field, invalid};
use super::http::Response;
use serde_json::{Value, json};

const PATH: &str = "/api/2.0/permissions/authorization/tokens";

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/api/2.0/permissions/authorization/tokens/permissionLevels", access: Access::SignedIn, handle: levels },
    Route { method: "GET", path: PATH, access: Access::SignedIn, handle: get },
    Route { method: "PUT", path: PATH, access: Access::SignedIn, handle: set },
    Route { method: "PATCH", path: PATH, access: Access::SignedIn, handle: update },
];

/// Who may, as (kind of name, name); administrators always may.
#[derive(Debug, Default)]
pub(super) struct Permissions(Vec<(String, String)>);

impl Permissions {
    fn shown(&self) -> Value {
        let admins = [("group_name".to_owned(), "admins".to_owned())];
        let list: Vec<Value> = admins
            .iter()
            .chain(&self.0)
            .map(|(kind, name)| json!({kind.as_str(): name, "all_permissions": [{"permission_level": "CAN_USE", "inherited": name == "admins"}]}))
            .collect();
        json!({"object_id": "authorization/tokens", "object_type": "tokens", "access_control_list": list})
    }
}

fn levels(call: &Call<'_>) -> Answer {
    call.admin()?;
    Ok(Response::json(200, &json!({"permission_levels": [{"permission_level": "CAN_USE", "description": "Can use tokens"}]})))
}

fn get(call: &Call<'_>) -> Answer {
    call.admin()?;
    Ok(Response::json(200, &call.state.permissions.lock().unwrap().shown()))
}

/// What PUT does: also with an empty body, which takes the permission away from everybody.
fn set(call: &Call<'_>) -> Answer {
    call.admin()?;
    let wanted = entries(call)?;
    let mut permissions = call.state.permissions.lock().unwrap();
    permissions.0 = wanted;
    Ok(Response::json(200, &permissions.shown()))
}

fn update(call: &Call<'_>) -> Answer {
    call.admin()?;
    let wanted = entries(call)?;
    let mut permissions = call.state.permissions.lock().unwrap();
    for entry in wanted {
        if !permissions.0.contains(&entry) {
            permissions.0.push(entry);
        }
    }
    Ok(Response::json(200, &permissions.shown()))
}

fn entries(call: &Call<'_>) -> Result<Vec<(String, String)>, Response> {
    let body = call.json()?;
    let mut entries = Vec::new();
    for entry in field::array(&body, "access_control_list")?.unwrap_or_default() {
        let Value::Object(entry) = entry else {
            return Err(invalid("access_control_list must hold objects"));
        };
        if field::string(entry, "permission_level")? != Some("CAN_USE") {
            return Err(invalid("permission_level must be CAN_USE"));
        }
        let mut names = Vec::new();
        for kind in ["user_name", "group_name", "service_principal_name"] {
            names.extend(field::string(entry, kind)?.map(|name| (kind.to_owned(), name.to_owned())));
        }
        let [name] = names.as_slice() else {
            return Err(invalid("each entry names exactly one user, group or service principal"));
        };
        entries.push(name.clone());
    }
    Ok(entries)
}
