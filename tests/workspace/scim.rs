//! `/api/2.0/preview/scim/v2`: who am I, and who else is there?
//! Source: RFC 7643, RFC 7644 (3.4.2.4 for pages, 3.9 for attribute selection); field names from
//! `databricks-sdk-py`, `service/iam.py`.

use super::api::{Access, Answer, Call, Route};
use super::http::Response;
use serde_json::{Value, json};

pub(super) const ROUTES: &[Route] = &[
    Route { method: "GET", path: "/api/2.0/preview/scim/v2/Me", access: Access::SignedIn, handle: me },
    Route { method: "GET", path: "/api/2.0/preview/scim/v2/Users", access: Access::SignedIn, handle: users },
];

fn me(call: &Call<'_>) -> Answer {
    let user = call.user();
    let (given, family) = user.display_name.split_once(' ').unwrap_or((&user.display_name, ""));
    let mut groups = vec![json!({
        "display": "users",
        "type": "direct",
        "value": "640000000000001",
        "$ref": "Groups/640000000000001",
    })];
    let mut entitlements = vec![json!({"value": "workspace-access"})];
    if user.admin {
        groups.push(json!({
            "display": "admins",
            "type": "direct",
            "value": "640000000000002",
            "$ref": "Groups/640000000000002",
        }));
        entitlements.push(json!({"value": "allow-cluster-create"}));
    }
    let mut resource = json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:workspace:2.0:User",
        ],
        "id": user.id,
        "userName": user.name,
        "displayName": user.display_name,
        "name": {"givenName": given, "familyName": family},
        "emails": [{"type": "work", "value": user.name, "primary": true}],
        "groups": groups,
        "entitlements": entitlements,
        "active": true,
    });
    select(call, &mut resource)?;
    Ok(Response::new(200).body("application/scim+json; charset=utf-8", resource.to_string()))
}

/// Pages by `startIndex`, which counts from 1, and `count`.
fn users(call: &Call<'_>) -> Answer {
    let number = |name: &str, default: usize| match call.request.query(name) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().map_err(|_| Response::scim_error(400, Some("invalidValue"), &format!("{name} must be a number"))),
    };
    let (start, count) = (number("startIndex", 1)?.max(1), number("count", 100)?.min(100));
    let users = call.state.users.read().unwrap();
    let page: Vec<Value> = users
        .iter()
        .skip(start - 1)
        .take(count)
        .map(|user| json!({"id": user.id, "userName": user.name, "displayName": user.display_name, "active": true}))
        .collect();
    let mut reply = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": users.len(),
        "startIndex": start,
        "itemsPerPage": page.len(),
    });
    if !page.is_empty() {
        reply["Resources"] = json!(page);
    }
    Ok(Response::new(200).body("application/scim+json; charset=utf-8", reply.to_string()))
}

/// `attributes` keeps only what it names, `excludedAttributes` removes; `id` and `schemas` are
/// always returned, and both together are an error.
fn select(call: &Call<'_>, resource: &mut Value) -> Result<(), Response> {
    let wanted = call.request.query("attributes");
    let unwanted = call.request.query("excludedAttributes");
    if wanted.is_some() && unwanted.is_some() {
        return Err(Response::scim_error(400, Some("invalidValue"), "attributes and excludedAttributes exclude each other"));
    }
    let named = |list: &str, name: &str| {
        list.split(',').map(str::trim).any(|path| {
            let attribute = path.split('.').next().unwrap_or(path);
            attribute.eq_ignore_ascii_case(name)
        })
    };
    if let Value::Object(attributes) = resource {
        attributes.retain(|name, _| {
            name == "id" || name == "schemas" || (wanted.is_none_or(|list| named(list, name)) && unwanted.is_none_or(|list| !named(list, name)))
        });
    }
    Ok(())
}
