//! OAuth secrets of service principals, through the workspace and through the account.

use crate::harness::{Home, profile};
use crate::workspace::Workspace;
use serde_json::json;
use std::sync::Arc;

const PROXY: &str = "service-principal-secrets-proxy";

/// A profile of the account beside that of the workspace.
fn with_account() -> (Home, Arc<Workspace>) {
    let (home, workspace) = Home::signed_in();
    let account = profile("acc", workspace.url(), workspace.token());
    home.write_config(format!("{}workspace_id = {}\n\n{account}account_id = {}\n", home.config(), workspace.workspace_id(), workspace.account_id()));
    (home, workspace)
}

#[test]
fn a_secret_is_made_shown_once_listed_and_deleted() {
    let (home, workspace) = with_account();
    let account_path = format!("/api/2.0/accounts/{}/servicePrincipals/5678/credentials/secrets", workspace.account_id());
    for (group, flag, path) in [
        (&[PROXY][..], "", "/api/2.0/accounts/servicePrincipals/5678/credentials/secrets"),
        (&["account", "service-principal-secrets"][..], "-pacc", account_path.as_str()),
    ] {
        let run = |words: &[&str]| {
            let all: Vec<&str> = group.iter().chain(words).copied().chain(Some(flag).filter(|flag| !flag.is_empty())).collect();
            home.command(all.as_slice())
        };
        workspace.clear_requests();
        let made = run(&["create", "5678", "--lifetime", "3600s", "--debug"]).reveals().run();
        let reply = made.ok().json();
        let keys: Vec<_> = reply.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["create_time", "expire_time", "id", "secret", "secret_hash", "status", "update_time"]);
        let secret = reply["secret"].as_str().unwrap();
        home.secret(secret);
        assert!(!made.stderr.contains(&secret[8..]), "{made}");
        let request = &workspace.requests()[0];
        assert_eq!((request.method.as_str(), request.target.as_str(), request.body.as_str()), ("POST", path, r#"{"lifetime":"3600s"}"#));
        assert_eq!(request.header("x-databricks-workspace-id").is_some(), group == [PROXY]);

        // In words, by JSON, and with what the service makes of nothing.
        run(&["create", "5678", "--lifetime", "90d"]).reveals().run().ok();
        run(&["create", "5678", "--json", r#"{"lifetime": "60s"}"#]).reveals().run().ok();
        run(&["create", "5678"]).reveals().run().ok();
        let bodies: Vec<_> = workspace.requests().iter().skip(1).map(|request| request.body.clone()).collect();
        assert_eq!(bodies, [r#"{"lifetime":"7776000s"}"#, r#"{"lifetime":"60s"}"#, "{}"]);

        let id = reply["id"].as_str().unwrap();
        let table = run(&["list", "5678"]).run();
        table.ok().shows(&format!("\n{id}  ACTIVE  20"));
        assert_eq!(table.stdout.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), ["ID", "Status", "Expiry", "time"]);
        let listed = run(&["list", "5678", "-o", "json", "--limit", "3"]).run();
        assert_eq!(listed.ok().json().as_array().unwrap().len(), 3);
        run(&["create", "5678"]).reveals().run().ok();
        run(&["create", "5678"]).run().error("A service principal may have at most 5 secrets.");

        workspace.clear_requests();
        run(&["delete", "5678", id]).run().ok().silent();
        let request = &workspace.requests()[0];
        assert_eq!((request.method.as_str(), request.target.as_str()), ("DELETE", format!("{path}/{id}").as_str()));
        run(&["revoke", "5678", id]).run().error(&format!("Secret {id} does not exist."));
        for other in run(&["list", "5678", "-o", "json"]).run().json().as_array().unwrap() {
            run(&["delete", "5678", other["id"].as_str().unwrap()]).run().ok();
        }
        assert_eq!(run(&["list", "5678", "-o", "json"]).run().ok().json(), json!([]));
    }
}

#[test]
fn what_is_not_understood_makes_no_secret() {
    let (home, workspace) = with_account();
    for (words, error) in [
        (&["create"] as &[&str], "expected to have The service principal ID"),
        (&["list"], "expected to have The service principal ID"),
        (&["delete", "5678"], "expected to have The secret ID"),
        (&["delete"], "expected to have The service principal ID"),
        (&["create", "5678", "x"], "accepts at most 1 arg(s), received 2"),
    ] {
        let all: Vec<&str> = [PROXY].iter().chain(words).copied().collect();
        home.run(all.as_slice()).error(error);
    }
    let refused = home.run([PROXY, "create", "5678", "--json", r#"{"life": "1s"}"#]);
    refused.fails().says("nothing was sent").says("unknown field: life").says("It takes: lifetime");
    home.run([PROXY, "create", "5678", "--json", r#"{"service_principal_id": "1"}"#]).fails().says("unknown field: service_principal_id");
    home.run([PROXY, "create", "5678", "--lifetime", "soon"])
        .fails()
        .says("invalid argument \"soon\" for \"--lifetime\" flag: time: invalid duration \"soon\"");
    assert!(workspace.requests().is_empty());
    // A lost reply may have made one: it is not sent again.
    workspace.order(crate::workspace::Fault::on("POST", "/api/2.0/accounts").reset_after());
    home.run([PROXY, "create", "5678"]).fails().says("the service may have carried it out");
    assert_eq!(workspace.requests().len(), 1);
}

#[test]
fn the_account_has_to_be_known() {
    let (home, workspace) = Home::signed_in();
    for verb in ["create 5678", "list 5678", "delete 5678 x"] {
        let outcome = home.run(format!("account service-principal-secrets {verb}").as_str());
        outcome
            .error("invalid Databricks Account configuration - host incorrect or account_id missing")
            .says("Hint: Add account_id to the profile, or set DATABRICKS_ACCOUNT_ID");
    }
    assert!(workspace.requests().is_empty());
    home.command("account service-principal-secrets list 5678").env("DATABRICKS_ACCOUNT_ID", workspace.account_id()).run().ok();
    home.command("account service-principal-secrets list 5678").env("DATABRICKS_ACCOUNT_ID", "../x").run().error("Account ../x not found.");
    assert_eq!(workspace.requests()[1].path, "/api/2.0/accounts/..%2Fx/servicePrincipals/5678/credentials/secrets");
}

#[test]
fn the_only_profile_of_an_account_is_taken() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    let account = |name: &str| format!("{}account_id = {}\n", profile(name, workspace.url(), workspace.token()), workspace.account_id());
    let of_workspace = profile("ws", workspace.url(), workspace.token());
    home.write_config(format!("{of_workspace}{}", account("acc")));
    home.run("account service-principal-secrets list 5678").ok();
    home.run(format!("api get /api/2.0/accounts/{}/servicePrincipals/5678/credentials/secrets -p acc", workspace.account_id()).as_str()).ok();
    // Two are one too many for a script, and a question for a person.
    home.write_config(format!("{of_workspace}{}{}", account("acc"), account("other")));
    home.run("account service-principal-secrets list 5678").fails().says("cannot configure default credentials");
    let mut typing = home.typing("account service-principal-secrets list 5678");
    typing.asked("Account profiles defined in").send("other\r");
    typing.end().ok();
}
