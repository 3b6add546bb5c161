//! `token-management`: the tokens of everybody.

use crate::harness::{Home, profile};
use crate::workspace::{Fault, Response, Workspace};
use serde_json::{Value, json};
use std::time::Duration;

const TOKENS: &str = "/api/2.0/token-management/tokens";
const DAY: u64 = 86_400;

/// The requests since the last look: method, target and body.
fn sent(workspace: &Workspace) -> Vec<(String, String, String)> {
    let requests = workspace.requests().into_iter().map(|request| (request.method, request.target, request.body)).collect();
    workspace.clear_requests();
    requests
}

fn one(method: &str, target: &str, body: &str) -> Vec<(String, String, String)> {
    vec![(method.to_owned(), target.to_owned(), body.to_owned())]
}

#[test]
fn every_call_goes_where_it_should() {
    let (home, workspace) = Home::signed_in();
    let bob = workspace.add_user("bob@example.com", "Bob");
    home.secret_of(&workspace, &bob.value);
    let token = format!("{TOKENS}/{}", bob.id);
    let shown = home.run(["token-management", "get", &bob.id]).ok().json();
    assert_eq!(shown["token_info"]["created_by_username"], "bob@example.com");
    assert_eq!(sent(&workspace), one("GET", &token, ""));
    let update = r#"{"token":{"comment":"new"},"update_mask":"comment"}"#;
    home.run(["token-management", "update-token-management", &bob.id, "--json", update]).ok().prints("{}\n");
    assert_eq!(sent(&workspace), one("PATCH", &token, update));
    let levels = home.run("token-management get-permission-levels").ok().json();
    assert_eq!(levels["permission_levels"][0]["permission_level"], "CAN_USE");
    assert_eq!(sent(&workspace), one("GET", "/api/2.0/permissions/authorization/tokens/permissionLevels", ""));
    let acl = r#"{"access_control_list":[{"group_name":"users","permission_level":"CAN_USE"}]}"#;
    home.run(["token-management", "set-permissions", "--json", acl]).ok();
    assert_eq!(sent(&workspace), one("PUT", "/api/2.0/permissions/authorization/tokens", acl));
    home.run(["token-management", "update-permissions", "--json", acl]).ok();
    assert_eq!(sent(&workspace), one("PATCH", "/api/2.0/permissions/authorization/tokens", acl));
    let permissions = home.run("token-management get-permissions").ok().json();
    assert_eq!(permissions["access_control_list"].as_array().unwrap().len(), 2);
    assert_eq!(sent(&workspace), one("GET", "/api/2.0/permissions/authorization/tokens", ""));
    home.run(["token-management", "delete", &bob.id]).ok().silent();
    assert_eq!(sent(&workspace), one("DELETE", &token, ""));
    home.run(["token-management", "revoke", &bob.id]).error(&format!("Token with id {} does not exist", bob.id));
}

#[test]
fn a_token_on_behalf_of_a_service_principal_is_made_as_typed_or_not_at_all() {
    let (home, workspace) = Home::signed_in();
    let (_, application) = workspace.service_principal();
    let made = home.command(["token-management", "create-obo-token", application, "--comment", "ci", "--lifetime", "30d", "--debug"]).reveals().run();
    let value = made.ok().json()["token_value"].as_str().unwrap().to_owned();
    assert!(!made.stderr.contains(&value) && !made.stderr.contains(&value[4..]), "{made}");
    let requests = workspace.requests();
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/api/2.0/token-management/on-behalf-of/tokens"));
    assert_eq!(requests[0].json(), json!({"application_id": application, "comment": "ci", "lifetime_seconds": 2_592_000}));
    let body = json!({"application_id": application, "lifetime_seconds": 60, "comment": "j"}).to_string();
    let made = home.command(["token-management", "create-obo-token", "--json", &body]).reveals().run();
    assert_eq!(made.ok().json()["token_info"]["comment"], "j");

    workspace.clear_requests();
    let unknown = json!({"application_id": application, "lifetime": 60}).to_string();
    let refused = home.run(["token-management", "create-obo-token", "--json", &unknown]);
    refused
        .fails()
        .says("nothing was sent")
        .says("unknown field: lifetime")
        .says("It takes: application_id, autoscope_enabled, comment, lifetime_seconds, scopes");
    home.run(["token-management", "create-obo-token", application, "--json", "{}"])
        .error("when --json flag is specified, no positional arguments are allowed. Provide 'application_id' in your JSON input");
    home.run("token-management create-obo-token").error("expected to have Application ID of the service principal");
    home.run(["token-management", "create-obo-token", "--json", "{\"comment\": \"x\"}"]).error("expected to have Application ID of the service principal");
    home.run(["token-management", "create-obo-token", application, "--lifetime", "60", "--debug"]).fails().says("invalid duration \"60\"");
    assert!(workspace.requests().is_empty());
    home.run("token-management create-obo-token nobody").error("Service principal with application ID nobody does not exist");
}

#[test]
fn missing_arguments_are_told_as_scripts_know_them() {
    let (home, workspace) = Home::signed_in();
    home.run("token-management get").error("expected to have The ID of the token to get");
    home.run("token-management delete").error("expected to have The ID of the token to revoke");
    home.run("token-management update-token-management").error("please provide command input in JSON format by specifying the --json flag");
    home.run("token-management update-token-management x").error("please provide command input in JSON format by specifying the --json flag");
    // An empty PUT would take the permission away from everybody.
    for words in ["token-management set-permissions", "token-management update-permissions", "token-management set-permissions --json {}"] {
        home.run(words).error("please provide command input in JSON format by specifying the --json flag");
    }
    home.run("token-management get a b").error("accepts at most 1 arg(s), received 2");
    home.run("token-management x").error("unknown command \"x\" for \"databricks token-management\"").says("Usage:");
    assert!(workspace.requests().is_empty());
    // The id of the path is no field of the body.
    let other = r#"{"token_id": "b", "token": {"comment": "x"}, "update_mask": "comment"}"#;
    home.run(["token-management", "update-token-management", "a", "--json", other]).fails().says("unknown field: token_id");
    assert_eq!(workspace.requests()[0].path, "/api/2.0/token-management/tokens/a");
    home.run(["token-management", "get", "../../x?y#z\n"]).fails();
    assert_eq!(workspace.requests()[1].target, "/api/2.0/token-management/tokens/..%2F..%2Fx%3Fy%23z%0A");
}

#[test]
fn the_table_has_owner_times_and_last_use_behind_the_known_columns() {
    let home = Home::new();
    let workspace = home.joins(Workspace::builder().tokens(1).start());
    home.write_config(profile("DEFAULT", workspace.url(), workspace.token()));
    let listed = home.run("token-management list");
    let today = home.run("token-management list -o json").ok().json()[0]["last_used_day"].as_i64().unwrap();
    let mut lines = listed.ok().stdout.lines();
    assert_eq!(
        lines.next().unwrap().split("  ").filter(|title| !title.is_empty()).map(str::trim).collect::<Vec<_>>(),
        ["ID", "Created By", "Comment", "Expiry time", "Last used"]
    );
    let day = jiff_day(today);
    let row = lines.next().unwrap();
    assert!(row.starts_with(workspace.token_id()) && row.contains("  ann@example.com  admin    never") && row.ends_with(&day), "{row}");

    let rows = json!({"token_infos": [
        {"token_id": "a", "created_by_username": "eve\u{1b}[2J\nbob", "comment": "x", "expiry_time": -1, "last_used_day": 1_600_000_000_000_i64},
        {"token_id": "b"},
    ]});
    workspace.order(Fault::on("GET", TOKENS).reply(Response::json(200, &rows)));
    let listed = home.run("token-management list");
    listed.ok().shows("eve\\u{1b}[2J\\nbob").shows("2020-09-13, ").shows(" days ago!").lacks("\u{1b}");
    assert_eq!(listed.stdout.lines().count(), 3);
}

/// A day as the civil calendar writes it, computed apart from the product.
fn jiff_day(millis: i64) -> String {
    let output = std::process::Command::new("date").args(["-u", "-d", &format!("@{}", millis / 1000), "+%Y-%m-%d"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn lists_are_filtered_by_the_server_and_by_time() {
    let home = Home::new();
    let workspace = home.joins(Workspace::builder().tokens(1).start());
    home.write_config(profile("DEFAULT", workspace.url(), workspace.token()));
    let bob = workspace.add_user("bob@example.com", "Bob");
    home.secret_of(&workspace, &bob.value);
    let soon = workspace.mint_token("soon", Some(Duration::from_secs(10 * DAY)));
    let later = workspace.mint_token("later", Some(Duration::from_secs(100 * DAY)));
    let over = workspace.mint_token("over", None);
    workspace.expire_token(&over.id);
    for minted in [&soon, &later, &over] {
        home.secret_of(&workspace, &minted.value);
    }
    let ids = |words: &str| -> Vec<String> {
        let outcome = home.run(format!("{words} -o json").as_str());
        outcome.ok().json().as_array().unwrap().iter().map(|item| item["token_id"].as_str().unwrap().to_owned()).collect()
    };
    workspace.clear_requests();
    assert_eq!(ids("token-management list --created-by-username bob@example.com"), std::slice::from_ref(&bob.id));
    assert_eq!(sent(&workspace), one("GET", "/api/2.0/token-management/tokens?created_by_username=bob%40example.com", ""));
    assert_eq!(ids("token-management list --created-by-id 7000000000000002"), std::slice::from_ref(&bob.id));
    assert_eq!(sent(&workspace), one("GET", "/api/2.0/token-management/tokens?created_by_id=7000000000000002", ""));
    for group in ["token-management", "tokens"] {
        assert_eq!(ids(&format!("{group} list --expiring-within 14d")), std::slice::from_ref(&soon.id), "{group}");
        assert_eq!(ids(&format!("{group} list --expiring-within 101d --limit 1")), std::slice::from_ref(&soon.id), "{group}");
        assert_eq!(ids(&format!("{group} list --expiring-within 101d")), [soon.id.clone(), later.id.clone()], "{group}");
        assert!(ids(&format!("{group} list --unused-for 60d")).is_empty(), "{group}");
        home.run(format!("{group} list --expiring-within 14").as_str())
            .fails()
            .says("invalid argument \"14\" for \"--expiring-within\" flag: time: invalid duration \"14\"");
        home.run(format!("{group} list --expiring-within 14d").as_str()).ok().shows("expires in 9 days!").lacks("never");
    }
    home.run("token-management list --created-by-id x")
        .fails()
        .says("invalid argument \"x\" for \"--created-by-id\" flag: strconv.ParseInt: parsing \"x\": invalid syntax");
    home.run("token-management list --limit -1").error("--limit must be a non-negative integer, got -1");
    home.run("token-management list --created-by-username nobody").error("User nobody does not exist");
    // Never used counts from creation, and an old use as much as none; zero is no moment.
    let old = json!({"token_infos": [
        {"token_id": "fresh", "creation_time": 1_600_000_000_000_i64, "last_used_day": 4_000_000_000_000_i64},
        {"token_id": "stale", "creation_time": 1_600_000_000_000_i64, "last_used_day": 1_600_000_000_000_i64},
        {"token_id": "never", "creation_time": 1_600_000_000_000_i64, "last_used_day": 0},
        {"token_id": "unknown"},
    ]});
    workspace.order(Fault::on("GET", TOKENS).reply(Response::json(200, &old)));
    assert_eq!(ids("token-management list --unused-for 60d"), ["stale", "never"]);
}

#[test]
fn nothing_to_list_is_told_to_a_person() {
    let (home, workspace) = Home::signed_in();
    home.run("token-management list --unused-for 60d").ok().notes("").prints("ID  Created By  Comment  Expiry time  Last used\n");
    home.typing("token-management list --unused-for 60d").end().ok().says("None of 3 is like that.");
    workspace.order(Fault::on("GET", "/api/2.0/token/list").reply(Response::json(200, &json!({}))));
    home.typing("tokens list").end().ok().says("ID  Expiry time  Comment\nThere are none.");
}

#[test]
fn who_is_no_administrator_is_told_what_to_do() {
    let (home, workspace) = Home::signed_in();
    let bob = workspace.add_user("bob@example.com", "Bob");
    home.secret_of(&workspace, &bob.value);
    home.write_config(profile("bob", workspace.url(), &bob.value));
    for words in [
        "token-management list",
        "token-management get x",
        "token-management delete x",
        "token-management get-permissions",
        "service-principal-secrets-proxy list 5678",
    ] {
        let refused = home.run(format!("{words} -p bob").as_str());
        refused.error("User bob@example.com is no administrator and may not do this.");
        refused.says(&format!("\n\nProfile:   bob\nHost:      {}\nAuth type: Personal Access Token (pat)\n\nNext steps:\n", workspace.url()));
        refused.says("  - Verify you have the required permissions for this operation\n  - Check your identity: databricks auth describe --profile bob\n");
    }
    // The same by `api` is the server's message alone.
    home.run(["api", "get", TOKENS, "-p", "bob"]).notes("Error: User bob@example.com is no administrator and may not do this.\n").fails();
}

#[test]
fn one_is_picked_where_none_is_named() {
    let (home, workspace) = Home::signed_in();
    let bob = workspace.add_user("bob@example.com", "Bob");
    home.secret_of(&workspace, &bob.value);
    let mut typing = home.typing("token-management delete");
    typing.asked("The ID of the token to revoke").send("first\r");
    typing.end().ok();
    let gone: Vec<Value> = workspace.requests().iter().filter(|request| request.method == "DELETE").map(|request| json!(request.path)).collect();
    assert_eq!(gone, [json!(format!("{TOKENS}/{}", bob.id))]);
}
