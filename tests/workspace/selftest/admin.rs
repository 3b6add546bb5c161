//! What administrators and `api` see of the workspace.

use super::super::byte_at;
use super::*;

const TOKENS: &str = "/api/2.0/token-management/tokens";
const OBO: &str = "/api/2.0/token-management/on-behalf-of/tokens";
const PERMISSIONS: &str = "/api/2.0/permissions/authorization/tokens";

fn send_as(workspace: &Workspace, token: &str, method: &str, path: &str, body: &Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    exchange(workspace, &request(method, path, &bearer(token), &body))
}

#[test]
fn everybodys_tokens_are_for_administrators_only() {
    let workspace = Workspace::start();
    let bob = workspace.add_user("bob@example.com", "Bob");
    for (method, path) in [
        ("GET", TOKENS.to_owned()),
        ("GET", format!("{TOKENS}/{}", bob.id)),
        ("DELETE", format!("{TOKENS}/{}", bob.id)),
        ("PATCH", format!("{TOKENS}/{}", bob.id)),
        ("POST", OBO.to_owned()),
        ("GET", PERMISSIONS.to_owned()),
        ("PUT", PERMISSIONS.to_owned()),
        ("PATCH", PERMISSIONS.to_owned()),
        ("GET", format!("{PERMISSIONS}/permissionLevels")),
        ("GET", "/api/2.0/accounts/servicePrincipals/5678/credentials/secrets".to_owned()),
    ] {
        let refused = send_as(&workspace, &bob.value, method, &path, &json!({}));
        assert_eq!(refused.failure(), (403, json!("PERMISSION_DENIED")), "{method} {path}");
    }
    let listed = get(&workspace, TOKENS).json();
    let of_bob = listed["token_infos"].as_array().unwrap().iter().find(|info| info["token_id"] == json!(bob.id)).unwrap();
    assert_eq!((&of_bob["created_by_username"], &of_bob["comment"]), (&json!("bob@example.com"), &json!("first")));
    assert!(of_bob["created_by_id"].is_i64() && of_bob["created_by_id"] == of_bob["owner_id"]);
    assert!(of_bob["last_used_day"].as_i64().unwrap() % 86_400_000 == 0, "bob's token was used above");
}

#[test]
fn tokens_of_anybody_are_filtered_shown_changed_and_revoked() {
    let workspace = Workspace::builder().tokens(2).start();
    let bob = workspace.add_user("bob@example.com", "Bob");
    let count = |query: &str| get(&workspace, &format!("{TOKENS}{query}")).json()["token_infos"].as_array().map_or(0, Vec::len);
    assert_eq!(count(""), 3);
    assert_eq!(count("?created_by_username=bob%40example.com"), 1);
    assert_eq!(count("?created_by_id=7000000000000001"), 2);
    assert_eq!(get(&workspace, &format!("{TOKENS}?created_by_id=7")).json(), json!({}));
    assert_eq!(get(&workspace, &format!("{TOKENS}?created_by_id=x")).status, 400);
    assert_eq!(get(&workspace, &format!("{TOKENS}?created_by_username=nobody")).status, 404);

    let path = format!("{TOKENS}/{}", bob.id);
    assert_eq!(send(&workspace, "PATCH", &path, &json!({"token": {"comment": "new"}, "update_mask": "comment"})).json(), json!({}));
    assert_eq!(get(&workspace, &path).json()["token_info"]["comment"], "new");
    assert_eq!(send(&workspace, "PATCH", &path, &json!({"token": {"comment": "new"}})).status, 400);
    assert_eq!(send(&workspace, "DELETE", &path, &Value::Null).json(), json!({}));
    assert_eq!(send(&workspace, "DELETE", &path, &Value::Null).failure(), (404, json!("RESOURCE_DOES_NOT_EXIST")));
    assert_eq!(get_as(&workspace, &bob.value, ME).status, 403);
}

#[test]
fn a_token_on_behalf_of_a_service_principal_is_the_principals() {
    let workspace = Workspace::start();
    let (id, application) = workspace.service_principal();
    let made = post(&workspace, OBO, &json!({"application_id": application, "comment": "ci", "lifetime_seconds": 60})).json();
    let info = &made["token_info"];
    assert_eq!((info["owner_id"].to_string(), &info["created_by_username"], &info["comment"]), (id.to_owned(), &json!(ADMIN_NAME), &json!("ci")));
    assert!(info["expiry_time"].as_i64().unwrap() > info["creation_time"].as_i64().unwrap());
    let me = get_as(&workspace, made["token_value"].as_str().unwrap(), ME).json();
    assert_eq!(me["userName"], application);
    assert_eq!(post(&workspace, OBO, &json!({"application_id": "nobody"})).status, 404);
    assert_eq!(post(&workspace, OBO, &json!({"comment": "x"})).status, 400);
    assert_eq!(post(&workspace, OBO, &json!({"application_id": application, "lifetime_seconds": 0})).status, 400);
}

const ADMIN_NAME: &str = "ann@example.com";

#[test]
fn permissions_are_set_and_added_to() {
    let workspace = Workspace::start();
    let names =
        |reply: &Reply| -> Vec<Value> { reply.json()["access_control_list"].as_array().unwrap().iter().map(|entry| entry["group_name"].clone()).collect() };
    let of = |group: &str| json!({"access_control_list": [{"group_name": group, "permission_level": "CAN_USE"}]});
    assert_eq!(names(&get(&workspace, PERMISSIONS)), ["admins"]);
    assert_eq!(names(&send(&workspace, "PATCH", PERMISSIONS, &of("users"))), ["admins", "users"]);
    assert_eq!(names(&send(&workspace, "PATCH", PERMISSIONS, &of("users"))), ["admins", "users"]);
    assert_eq!(names(&send(&workspace, "PUT", PERMISSIONS, &of("ci"))), ["admins", "ci"]);
    assert_eq!(names(&send(&workspace, "PUT", PERMISSIONS, &json!({}))), ["admins"]);
    assert_eq!(send(&workspace, "PUT", PERMISSIONS, &json!({"access_control_list": [{"group_name": "a", "permission_level": "CAN_FLY"}]})).status, 400);
    assert_eq!(send(&workspace, "PUT", PERMISSIONS, &json!({"access_control_list": [{"permission_level": "CAN_USE"}]})).status, 400);
    assert_eq!(get(&workspace, &format!("{PERMISSIONS}/permissionLevels")).json()["permission_levels"][0]["permission_level"], "CAN_USE");
}

#[test]
fn secrets_of_service_principals_are_five_and_shown_once() {
    let workspace = Workspace::start();
    let path = "/api/2.0/accounts/servicePrincipals/5678/credentials/secrets";
    let first = post(&workspace, path, &json!({"lifetime": "3600s"})).json();
    let time = |key: &str| first[key].as_str().unwrap().to_owned();
    assert!(time("secret").starts_with("dose") && time("create_time").ends_with('Z') && time("expire_time") > time("create_time"));
    for _ in 1..5 {
        assert_eq!(exchange(&workspace, &request("POST", path, &bearer(workspace.token()), "")).status, 200);
    }
    assert_eq!(post(&workspace, path, &json!({})).failure(), (400, json!("RESOURCE_LIMIT_EXCEEDED")));
    let listed = get(&workspace, path).json();
    assert_eq!(listed["secrets"].as_array().unwrap().len(), 5);
    assert!(!listed.to_string().contains(&time("secret")));
    let page = get(&workspace, &format!("{path}?page_size=2")).json();
    assert_eq!(page["secrets"].as_array().unwrap().len(), 2);
    assert!(page["next_page_token"].is_string());
    let one = format!("{path}/{}", time("id"));
    assert_eq!(send(&workspace, "DELETE", &one, &Value::Null).status, 200);
    assert_eq!(send(&workspace, "DELETE", &one, &Value::Null).status, 404);
    for lifetime in ["3600", "0s", "63072001s", "1h", ""] {
        assert_eq!(post(&workspace, path, &json!({"lifetime": lifetime})).status, 400, "{lifetime}");
    }
    assert_eq!(post(&workspace, path, &json!({"nope": 1})).status, 400);
    assert_eq!(get(&workspace, "/api/2.0/accounts/servicePrincipals/1/credentials/secrets").status, 404);
}

#[test]
fn the_account_knows_no_workspaces_and_no_other_account() {
    let workspace = Workspace::start();
    let path = |account: &str| format!("/api/2.0/accounts/{account}/servicePrincipals/5678/credentials/secrets");
    let own = path(workspace.account_id());
    assert_eq!(post(&workspace, &own, &json!({})).status, 200);
    assert_eq!(get(&workspace, &own).json()["secrets"].as_array().unwrap().len(), 1);
    let headers = format!("{}X-Databricks-Workspace-Id: {}\r\n", bearer(workspace.token()), workspace.workspace_id());
    assert_eq!(exchange(&workspace, &request("GET", &own, &headers, "")).status, 400);
    assert_eq!(get(&workspace, &path("another")).status, 404);
}

#[test]
fn files_are_as_large_as_was_said_and_break_in_the_middle() {
    let workspace = Workspace::start();
    workspace.put_file("/Volumes/a/b.bin", 1000);
    let path = "/api/2.0/fs/files/Volumes/a/b.bin";
    let reply = get(&workspace, path);
    assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("application/octet-stream")));
    assert_eq!(reply.body, (0..1000).map(byte_at).collect::<Vec<_>>());
    let mut stream = connect(&workspace);
    stream.write_all(request("HEAD", path, &bearer(workspace.token()), "").as_bytes()).unwrap();
    let mut head = [0; 4096];
    let count = stream.read(&mut head).unwrap();
    let head = String::from_utf8_lossy(&head[..count]).into_owned();
    assert!(head.contains("Content-Length: 1000\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(get(&workspace, "/api/2.0/fs/files/none").status, 404);

    workspace.put_file("/large", 1_000_000);
    workspace.order(Fault::on("GET", "/api/2.0/fs/files/large").half_body());
    let mut stream = connect(&workspace);
    stream.write_all(request("GET", "/api/2.0/fs/files/large", &bearer(workspace.token()), "").as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert!((499_000..501_000).contains(&all.len()), "{}", all.len());
}

#[test]
fn the_echo_keeps_every_digit() {
    let workspace = Workspace::start();
    let body = "{\"a\":9007199254740993,\"b\":1.10}";
    let reply = exchange(&workspace, &request("POST", "/api/2.0/echo?x=%20y", &bearer(workspace.token()), body));
    let text = String::from_utf8(reply.body.clone()).unwrap();
    assert!(text.contains(&format!("\"body\":{body}")) && text.contains("[[\"x\",\" y\"]]"), "{text}");
    assert!(!text.contains(workspace.token()));
    let reply = exchange(&workspace, &request("PUT", "/api/2.0/echo", &bearer(workspace.token()), "plain"));
    assert_eq!(reply.json()["body"], "plain");
}

#[test]
fn things_come_in_pages() {
    let workspace = Workspace::start();
    let mut path = "/api/2.0/things/list?count=45".to_owned();
    let mut seen = 0;
    loop {
        let page = get(&workspace, &path).json();
        seen += page["things"].as_array().unwrap().len();
        let Some(next) = page["next_page_token"].as_str() else { break };
        path = format!("/api/2.0/things/list?count=45&page_token={next}");
    }
    assert_eq!((seen, workspace.requests().len()), (45, 3));
    assert!(String::from_utf8(get(&workspace, "/api/2.0/things/list?count=1").body).unwrap().contains("\"big\":9007199254740993,\"price\":1.10"));
}

#[test]
fn users_come_by_their_place() {
    let workspace = Workspace::start();
    for number in 0..4 {
        workspace.add_user(&format!("u{number}@example.com"), "U");
    }
    let page = get(&workspace, "/api/2.0/preview/scim/v2/Users?startIndex=4&count=3").json();
    assert_eq!((page["totalResults"].as_u64(), page["startIndex"].as_u64(), page["itemsPerPage"].as_u64()), (Some(5), Some(4), Some(2)));
    assert_eq!(page["Resources"][1]["userName"], "u3@example.com");
    assert_eq!(get(&workspace, "/api/2.0/preview/scim/v2/Users?startIndex=x").status, 400);
}
