//! `github-oidc-azure`.

use super::*;
use crate::workspace::{Fault, Response};

/// A job of GitHub Actions with a federated credential.
fn job() -> (Home, Arc<Workspace>) {
    let (home, workspace) = azure();
    let (url, token) = workspace.github_request();
    home.set("ACTIONS_ID_TOKEN_REQUEST_URL", url);
    home.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", token);
    let id = workspace.azure_client_id(AzureIdentity::Member).to_owned();
    profile(&home, &workspace, &[("azure_tenant_id", TENANT), ("azure_client_id", &id), ("auth_type", "github-oidc-azure")]);
    (home, workspace)
}

#[test]
fn a_job_signs_in_with_one_id_token_for_each_exchange() {
    let (home, workspace) = job();
    // No second token: the workspace knows the service principal.
    mints(&home, &workspace, false, false);
    home.forget_tokens();
    home.command("auth token -p azure").reveals().run().ok();
    let (asked, exchanged) = (requests(&workspace, "/_actions"), requests(&workspace, V1));
    assert_eq!((asked.len(), exchanged.len()), (2, 2));
    assert!(asked.iter().all(|request| request.query("audience") == Some("api://AzureADTokenExchange")));
    assert_ne!(exchanged[0].form("client_assertion"), exchanged[1].form("client_assertion"));
    for request in &exchanged {
        assert_eq!(request.form("client_assertion_type").as_deref(), Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
        assert_eq!(request.form("client_secret"), None);
    }
}

#[test]
fn what_a_job_lacks_is_named() {
    let (home, workspace) = job();
    for name in ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"] {
        let outcome = home.command("tokens list -p azure").without(name).run();
        outcome.fails().says("github-oidc-azure auth: not configured").says(&format!("{} is not set", name.to_lowercase())).says(name);
    }
    profile(&home, &workspace, &[("azure_tenant_id", TENANT), ("auth_type", "github-oidc-azure")]);
    home.run("tokens list -p azure").fails().says("azure_client_id is not set").says("ARM_CLIENT_ID");
}

#[test]
fn an_assertion_that_does_not_hold_is_explained() {
    for (subject, lifetime, error, hint) in [
        ("repo:octo-org/octo-app:ref:refs/heads/main", -60, "AADSTS700024", "The id token has expired"),
        ("repo:octo-org/other:ref:refs/heads/main", 300, "AADSTS700213", "No federated credential of the application has this subject"),
    ] {
        let (home, workspace) = job();
        workspace.set_github_job(subject, lifetime);
        home.run("tokens list -p azure").fails().says("github-oidc-azure: ").says(error).says(hint).says("azure_client_id comes from the profile");
    }
    let (home, workspace) = job();
    home.command("tokens list -p azure")
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "another")
        .run()
        .fails()
        .says("GitHub Actions gives no id token")
        .says("id-token: write");
    assert!(requests(&workspace, V1).is_empty());
    // A signature that its issuer did not make.
    let forged = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL3Rva2VuLmFjdGlvbnMuZ2l0aHVidXNlcmNvbnRlbnQuY29tIn0.c2ln";
    workspace.order(Fault::on("GET", "/_actions").reply(Response::json(200, &serde_json::json!({"value": forged}))));
    home.run("tokens list -p azure").fails().says("AADSTS700027");
}
