//! Entra ID that is away, busy, broken, or somebody else.

use super::*;
use crate::workspace::{Fault, Response};

#[test]
fn entra_that_cannot_be_reached_is_named() {
    let (home, _workspace) = with_secret(AzureIdentity::Member, &[("auth_type", "azure-client-secret")]);
    let outcome = home.command("tokens list -p azure").env("AZURE_AUTHORITY_HOST", "https://localhost:9").run();
    outcome.fails().says("azure-client-secret: no token of Entra ID (https://localhost:9)").says("the connection was refused").within(Duration::from_secs(10));
}

#[test]
fn a_busy_entra_is_asked_again() {
    let (home, workspace) = with_secret(AzureIdentity::Member, &[("auth_type", "azure-client-secret")]);
    workspace.order(Fault::on("POST", V1).retry_after(429, "0"));
    workspace.order(Fault::on("POST", V1).after(1).retry_after(503, "0"));
    mints(&home, &workspace, true, false);
    let statuses: Vec<_> = requests(&workspace, V1).iter().filter_map(|request| request.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 2, "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn a_busy_entra_that_asks_for_too_much_patience_is_told() {
    let (home, workspace) = with_secret(AzureIdentity::Member, &[("auth_type", "azure-client-secret")]);
    workspace.order(Fault::on("POST", V1).retry_after(429, "3600").forever());
    home.run("tokens list -p azure").fails().says("The service is busy").within(Duration::from_secs(10));
    assert_eq!(requests(&workspace, V1).len(), 1);
}

#[test]
fn what_is_no_answer_of_entra_is_not_taken_for_one() {
    let (home, workspace) = with_secret(AzureIdentity::Member, &[("auth_type", "azure-client-secret")]);
    for (reply, error) in [
        (Response::html_login(), "received HTML response instead of JSON"),
        (Response::html_error(500, "worker gone"), "worker gone"),
        (Response::error(500, "INTERNAL", "broken"), "broken"),
        (Response::huge(4 << 20), "larger than"),
        (Response::deep_json(100_000), "did not answer with JSON"),
        (Response::new(200).body("application/json", "{"), "did not answer with JSON"),
        (Response::json(200, &serde_json::json!({"token_type": "Bearer", "expires_in": 5})), "answered without a token"),
        (Response::json(200, &serde_json::json!({"error": "invalid_client", "error_description": "AADSTS7000215: no"})), "AADSTS7000215"),
    ] {
        workspace.clear_faults();
        workspace.order(Fault::on("POST", V1).reply(reply).forever());
        home.run("tokens list -p azure").fails().says("azure-client-secret").says("localhost").says(error);
    }
}

#[test]
fn no_redirect_is_followed() {
    let elsewhere = Workspace::start();
    let (home, workspace) = with_secret(AzureIdentity::Member, &[("auth_type", "azure-client-secret")]);
    for status in [301, 302, 303, 307, 308] {
        for path in [V1, "/api/2.0/token/list"] {
            workspace.clear_faults();
            home.forget_tokens();
            workspace.order(Fault::on("*", path).redirect(status, &format!("{}/steal", elsewhere.url())));
            home.run("tokens list -p azure").fails().says("redirects are not followed").says(elsewhere.url());
        }
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_host_that_names_no_tenant_of_entra_is_not_believed() {
    let (home, workspace) = azure();
    let secret = workspace.azure_secret(AzureIdentity::Member, DAY);
    let id = workspace.azure_client_id(AzureIdentity::Member).to_owned();
    profile(&home, &workspace, &[("azure_client_id", &id), ("azure_client_secret", &secret), ("auth_type", "azure-client-secret")]);
    for location in [
        "https://evil.example/4d1c6b2e-7a10-4f7c-9d55-0f6f6f2b9a01/oauth2/authorize".to_owned(),
        format!("{}/common/oauth2/authorize", workspace.https_url()),
        format!("{}/..%2fx/oauth2/authorize", workspace.https_url()),
        format!("{}/", workspace.https_url()),
        "/login.html".to_owned(),
        "garbage".to_owned(),
    ] {
        workspace.clear_faults();
        workspace.order(Fault::on("GET", "/aad/auth").redirect(302, &location).forever());
        home.run("tokens list -p azure").fails().says("does not tell the tenant of its workspace").says("azure_tenant_id in the profile, or ARM_TENANT_ID");
    }
    for reply in [Response::html_login(), Response::new(200), Response::endless(), Response::error(404, "NOT_FOUND", "nothing here")] {
        workspace.clear_faults();
        workspace.order(Fault::on("GET", "/aad/auth").reply(reply).forever());
        home.run("tokens list -p azure").fails().says("does not tell the tenant of its workspace").within(Duration::from_secs(10));
    }
    assert!(requests(&workspace, V1).is_empty() && workspace.requests().iter().all(|request| !request.path.ends_with("/oauth2/token")));
}

#[test]
fn a_host_that_azure_does_not_run_is_not_believed() {
    let (home, workspace) = azure();
    let secret = workspace.azure_secret(AzureIdentity::Stranger, DAY);
    let id = workspace.azure_client_id(AzureIdentity::Stranger).to_owned();
    home.write_config(format!(
        "[azure]\nazure_workspace_resource_id = {}\nazure_tenant_id = {TENANT}\nazure_client_id = {id}\nazure_client_secret = {secret}\nauth_type = azure-client-secret\n",
        crate::workspace::RESOURCE_ID
    ));
    for url in [
        "evil.example",
        "adb-1.2.azuredatabricks.net.evil.example",
        "x.cloud.databricks.com",
        "http://adb-1.2.azuredatabricks.net",
        "",
        "adb-1.2.databricks.azure.us",
    ] {
        workspace.clear_faults();
        workspace.order(Fault::on("GET", "/subscriptions").reply(Response::json(200, &serde_json::json!({"properties": {"workspaceUrl": url}}))));
        home.run("tokens list -p azure").fails().says("so nothing is sent there").says("Set host in the profile");
    }
    assert!(!resources(&workspace).contains(&DATABRICKS.to_owned()));
}

#[test]
fn a_second_token_that_is_refused_is_a_remark() {
    let (home, workspace) = with_secret(AzureIdentity::Member, &[("auth_type", "azure-client-secret")]);
    let refusal = serde_json::json!({"error": "invalid_resource", "error_description": "AADSTS500011: The resource principal was not found."});
    workspace.order(Fault::on("POST", V1).after(1).reply(Response::json(400, &refusal)));
    home.run("current-user me -p azure").ok().says("there is no token for Azure itself").says("AADSTS500011");
    assert!(requests(&workspace, "/api").iter().all(|request| request.header(MANAGEMENT_HEADER).is_none()));
}
