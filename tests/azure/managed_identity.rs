//! `azure-msi`.

use super::*;
use crate::workspace::{Fault, RESOURCE_ID, Response};

const MSI: (&str, &str) = ("azure_use_msi", "true");

#[test]
fn the_machine_signs_in() {
    let (home, workspace) = azure();
    profile(&home, &workspace, &[MSI, ("azure_workspace_resource_id", RESOURCE_ID)]);
    // A proxy must not be asked what only the machine knows.
    home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    mints(&home, &workspace, true, true);
    let asked = requests(&workspace, "/metadata");
    let wanted: Vec<_> = asked.iter().map(|request| request.query("resource").unwrap_or_default().trim_end_matches('/')).collect();
    assert_eq!(wanted, [DATABRICKS, MANAGEMENT]);
    assert!(asked.iter().all(|request| request.header("Metadata") == Some("true") && request.query("client_id").is_none()));
    nothing_astray(&workspace);
}

#[test]
fn one_of_several_identities_is_named() {
    let (home, workspace) = azure();
    workspace.set_machine_identity(Some(AzureIdentity::Member));
    let id = workspace.azure_client_id(AzureIdentity::Member).to_owned();
    profile(&home, &workspace, &[MSI, ("azure_client_id", &id)]);
    mints(&home, &workspace, true, false);
    assert!(requests(&workspace, "/metadata").iter().all(|request| request.query("client_id") == Some(&id)));
    profile(&home, &workspace, &[MSI, ("azure_client_id", "another"), ("auth_type", "azure-msi")]);
    home.run("tokens list -p azure")
        .fails()
        .says("azure-msi: ")
        .says("Identity not found")
        .says("the managed identity another is assigned to this machine (azure_client_id)");
}

#[test]
fn the_host_is_found_with_it() {
    let (home, workspace) = azure();
    home.write_config(format!("[azure]\nazure_workspace_resource_id = {RESOURCE_ID}\nazure_use_msi = true\n"));
    home.run("tokens list -p azure").ok();
    assert_eq!(requests(&workspace, "/subscriptions").len(), 1);
}

#[test]
fn what_is_missing_is_named() {
    let (home, workspace) = azure();
    profile(&home, &workspace, &[("auth_type", "azure-msi")]);
    home.run("tokens list -p azure").fails().says("azure-msi auth: not configured: azure_use_msi is not set").says("ARM_USE_MSI");
    profile(&home, &workspace, &[("auth_type", "azure-msi"), ("azure_use_msi", "false")]);
    home.run("tokens list -p azure").fails().says("azure_use_msi is not true");
    workspace.set_machine_identity(None);
    profile(&home, &workspace, &[MSI, ("auth_type", "azure-msi")]);
    home.run("tokens list -p azure").fails().says("Identity not found").says("az vm identity assign").says("azure_client_id in the profile, or ARM_CLIENT_ID");
}

#[test]
fn a_machine_that_is_none_of_azure_is_told_so() {
    let (home, workspace) = azure();
    profile(&home, &workspace, &[MSI, ("auth_type", "azure-msi")]);
    let hint = "A managed identity is had on machines of Azure only";
    home.command("tokens list -p azure").env("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9").run().fails().says("cannot be asked").says(hint);
    let elsewhere = home.command("tokens list -p azure").env("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://10.0.0.1").run();
    elsewhere.fails().says("AZURE_POD_IDENTITY_AUTHORITY_HOST is \"http://10.0.0.1\", which is no address of this machine");
    for (reply, error) in [
        (Response::html_login(), "azure-msi: "),
        (Response::huge(4 << 20), "cannot be asked"),
        (Response::error(500, "INTERNAL", "broken"), "broken (HTTP status 500)"),
        (Response::json(200, &serde_json::json!({"token_type": "Bearer"})), "answered without a token"),
        (Response::new(200).body("application/json", "garbage"), "did not answer with JSON"),
    ] {
        workspace.clear_faults();
        workspace.order(Fault::on("GET", "/metadata").reply(reply).forever());
        home.run("tokens list -p azure").fails().says(error);
    }
    workspace.clear_faults();
    workspace.order(Fault::on("GET", "/metadata").retry_after(429, "0"));
    home.command("auth token -p azure -o text").reveals().run().ok();
    assert_eq!(requests(&workspace, "/metadata").last().and_then(|request| request.status), Some(200));
}
