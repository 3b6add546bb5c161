//! Accounts, and hosts that serve an account and many workspaces: whose token it is, and which workspace is meant.

use crate::harness::Home;
use crate::workspace::{HostKind, Workspace};
use std::sync::Arc;

/// A job of a service principal at such a host, with these lines in its profile.
fn job(kind: HostKind, lines: &str) -> (Home, Arc<Workspace>) {
    let home = Home::new();
    let workspace = home.joins(Workspace::builder().host_kind(kind).start());
    let secret = workspace.mint_secret(None);
    home.secret_of(&workspace, &secret);
    home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
    home.store(home.path().join(".databricks/token-cache.json"));
    let (_, id) = workspace.service_principal();
    let account = workspace.account_id();
    let lines = lines.replace("ACCOUNT", account).replace("WORKSPACE", &workspace.workspace_id().to_string());
    home.write_config(format!("[sp]\nhost = {}\nclient_id = {id}\nclient_secret = {secret}\n{lines}", workspace.url()));
    (home, workspace)
}

fn issuers(workspace: &Workspace) -> Vec<String> {
    workspace.token_requests().into_iter().map(|request| request.path).collect()
}

#[test]
fn an_account_is_signed_in_to_and_asked_for_its_workspaces() {
    let (home, workspace) = job(HostKind::Account, "account_id = ACCOUNT\n");
    let account = workspace.account_id().to_owned();
    home.run(format!("api get /api/2.0/accounts/{account}/workspaces --account -p sp").as_str()).ok().shows("workspace_id");
    assert_eq!(issuers(&workspace), [format!("/oidc/accounts/{account}/v1/token")]);
    home.run("auth profiles").ok().shows("YES");
    home.run("auth describe -p sp").ok().shows("Authenticated with: oauth-m2m").lacks("Unable to authenticate");
    let described = home.run("auth describe -p sp -o json").ok().json();
    assert_eq!((described["status"].as_str(), described["account_id"].as_str()), (Some("success"), Some(account.as_str())));
    // Who may not do it is told whom they asked as.
    home.run("account service-principal-secrets list 5678 -p sp").fails().says("is no administrator").says("OAuth Machine-to-Machine (oauth-m2m)");
    assert!(workspace.requests().iter().all(|request| request.header("X-Databricks-Workspace-Id").is_none()), "an account has no workspace");
}

#[test]
fn a_host_of_many_workspaces_is_told_which_one() {
    let (home, workspace) = job(HostKind::Unified, "account_id = ACCOUNT\nworkspace_id = WORKSPACE\n");
    home.run("current-user me -p sp").ok().shows(workspace.service_principal().1);
    let account = workspace.account_id();
    assert_eq!(issuers(&workspace), [format!("/oidc/accounts/{account}/v1/token")]);
    let asked = workspace.requests().into_iter().rfind(|request| request.path.ends_with("/Me")).unwrap();
    assert_eq!(asked.header("X-Databricks-Workspace-Id"), Some(workspace.workspace_id().to_string().as_str()));
    home.run("auth profiles").ok().shows("YES");
}

#[test]
fn the_placeholder_none_is_never_sent_and_an_account_without_workspace_still_counts() {
    let (home, workspace) = job(HostKind::Unified, "account_id = ACCOUNT\nworkspace_id = none\n");
    home.run("auth profiles").ok().shows("YES");
    home.run(format!("api get /api/2.0/accounts/{}/workspaces -p sp", workspace.account_id()).as_str()).ok().shows("workspace_id");
    assert!(workspace.requests().iter().all(|request| request.header("X-Databricks-Workspace-Id").is_none()));
}

#[test]
fn a_secret_of_a_service_principal_is_made_used_and_ended() {
    let (home, workspace) = Home::signed_in();
    home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
    home.store(home.path().join(".databricks/token-cache.json"));
    let made = home.command("service-principal-secrets-proxy create 5678 -p DEFAULT").reveals().run().ok().json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    home.secret_of(&workspace, &secret);
    let (_, id) = workspace.service_principal();
    let with_new = |home: &Home| {
        home.command("current-user me").env("DATABRICKS_HOST", workspace.url()).env("DATABRICKS_CLIENT_ID", id).env("DATABRICKS_CLIENT_SECRET", &secret).run()
    };
    with_new(&home).ok().shows(id);
    home.run(format!("service-principal-secrets-proxy delete 5678 {} -p DEFAULT", made["id"].as_str().unwrap()).as_str()).ok();
    // Its last token lives on for its hour; a new one is not to be had.
    with_new(&home).ok();
    std::fs::remove_file(home.path().join(".databricks/token-cache.json")).unwrap();
    home.command("auth token").env("DATABRICKS_HOST", workspace.url()).env("DATABRICKS_CLIENT_ID", id).env("DATABRICKS_CLIENT_SECRET", &secret).run().fails();
}
