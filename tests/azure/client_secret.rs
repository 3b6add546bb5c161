//! `azure-client-secret`.

use super::*;
use crate::workspace::{OTHER_TENANT, RESOURCE_ID};

#[test]
fn a_member_of_the_workspace_mints_a_token() {
    let (home, workspace) = with_secret(AzureIdentity::Member, &[]);
    mints(&home, &workspace, true, false).notes("");
    assert_eq!(resources(&workspace), [DATABRICKS, MANAGEMENT]);
    for request in requests(&workspace, V1) {
        // One attempt, with the proof in the form and nowhere else.
        assert_eq!(
            (request.method.as_str(), request.header("Authorization"), request.form("grant_type").as_deref()),
            ("POST", None, Some("client_credentials"))
        );
        assert!(request.form("client_secret").is_some() && request.form("client_id").is_some() && request.form("scope").is_none());
    }
    nothing_astray(&workspace);
}

#[test]
fn whoever_is_no_member_needs_the_resource_id() {
    let (home, workspace) = with_secret(AzureIdentity::Stranger, &[]);
    let refused = home.run("tokens list -p azure");
    refused.fails().says("User not authorized.").says("set azure_workspace_resource_id");
    let (home, workspace_with_id) = with_secret(AzureIdentity::Stranger, &[("azure_workspace_resource_id", RESOURCE_ID)]);
    mints(&home, &workspace_with_id, true, true);
    nothing_astray(&workspace);
    nothing_astray(&workspace_with_id);
}

#[test]
fn tokens_are_kept_and_the_second_is_had_only_where_it_is_sent() {
    let (home, workspace) = with_secret(AzureIdentity::Member, &[]);
    let first = home.command("auth token -p azure -o text").reveals().run();
    assert_eq!(resources(&workspace), [DATABRICKS], "{first}");
    let again = home.command("auth token -p azure -o text").reveals().run();
    assert_eq!(first.ok().stdout, again.ok().stdout);
    assert_eq!(resources(&workspace).len(), 1);
    home.run("current-user me -p azure").ok();
    home.run("current-user me -p azure").ok();
    assert_eq!(resources(&workspace), [DATABRICKS, MANAGEMENT]);
    home.forget_tokens();
    let other = home.command("auth token -p azure -o text").reveals().run();
    assert_ne!(other.ok().stdout, first.stdout);
    assert_eq!(resources(&workspace), [DATABRICKS, MANAGEMENT, DATABRICKS]);
}

#[test]
fn a_token_that_is_about_to_end_is_renewed() {
    let (home, workspace) = with_secret(AzureIdentity::Member, &[]);
    workspace.set_azure_token_lifetime(30);
    let first = home.command("auth token -p azure -o text").reveals().run();
    let longer = home.command("auth token -p azure -o text --min-ttl 29s").reveals().run();
    workspace.set_azure_token_lifetime(3_600);
    let longest = home.command("auth token -p azure -o text --min-ttl 50m").reveals().run();
    assert_ne!(first.ok().stdout, longest.ok().stdout);
    longer.ok();
}

#[test]
fn the_tenant_is_found_from_the_host() {
    let (home, workspace) = azure();
    let secret = workspace.azure_secret(AzureIdentity::Member, DAY);
    let id = workspace.azure_client_id(AzureIdentity::Member).to_owned();
    profile(&home, &workspace, &[("azure_client_id", &id), ("azure_client_secret", &secret)]);
    mints(&home, &workspace, true, false);
    assert_eq!(requests(&workspace, "/aad/auth")[0].status, Some(302));
    assert_eq!(requests(&workspace, V1).len(), 2);
    // What is kept needs no tenant.
    workspace.clear_requests();
    home.command("auth token -p azure").reveals().run().ok();
    assert!(workspace.requests().is_empty());
    nothing_astray(&workspace);
}

#[test]
fn the_host_is_found_from_the_resource_id() {
    let (home, workspace) = azure();
    let secret = workspace.azure_secret(AzureIdentity::Stranger, DAY);
    let id = workspace.azure_client_id(AzureIdentity::Stranger).to_owned();
    home.write_config(format!(
        "[azure]\nazure_workspace_resource_id = {RESOURCE_ID}\nazure_tenant_id = {TENANT}\nazure_client_id = {id}\nazure_client_secret = {secret}\n"
    ));
    home.command("tokens list -p azure").run().ok();
    home.command("tokens list -p azure").run().ok();
    let asked = requests(&workspace, "/subscriptions");
    assert_eq!(asked.len(), 1, "the place is kept");
    assert_eq!((asked[0].path.as_str(), asked[0].query("api-version")), (RESOURCE_ID, Some("2018-04-01")));
    let list = requests(&workspace, "/api/2.0/token/list");
    assert!(list.len() == 2 && list.iter().all(|request| request.header(RESOURCE_HEADER) == Some(RESOURCE_ID)));
    nothing_astray(&workspace);
}

#[test]
fn a_host_that_is_not_found_is_told_with_the_way_out() {
    let (home, workspace) = azure();
    for (identity, id, error, hint) in [
        (AzureIdentity::Member, RESOURCE_ID, "does not have authorization", "role Reader"),
        (AzureIdentity::Stranger, &RESOURCE_ID.replace("/main", "/other") as &str, "was not found", "Check it"),
        (AzureIdentity::Stranger, "/subscriptions/x/resourceGroups/y", "is not the id of a workspace", "It looks like /subscriptions/"),
    ] {
        let secret = workspace.azure_secret(identity, DAY);
        let client = workspace.azure_client_id(identity).to_owned();
        home.write_config(format!(
            "[azure]\nazure_workspace_resource_id = {id}\nazure_tenant_id = {TENANT}\nazure_client_id = {client}\nazure_client_secret = {secret}\nauth_type = azure-client-secret\n"
        ));
        home.run("tokens list -p azure").fails().says(error).says(hint).says(".databrickscfg");
    }
}

#[test]
fn every_value_that_is_missing_is_named() {
    let (home, workspace) = azure();
    let secret = workspace.azure_secret(AzureIdentity::Member, DAY);
    let id = workspace.azure_client_id(AzureIdentity::Member).to_owned();
    let own = [("azure_client_id", id.as_str()), ("azure_client_secret", secret.as_str())];
    for (missing, _) in own {
        let rest: Vec<_> = own.iter().copied().filter(|(name, _)| *name != missing).chain([("auth_type", "azure-client-secret")]).collect();
        profile(&home, &workspace, &rest);
        home.run("tokens list -p azure")
            .fails()
            .says(&format!("azure-client-secret auth: not configured: {missing} is not set"))
            .says(&format!("Set {missing} in the profile, or ARM_"));
    }
    home.write_config(format!(
        "[azure]\nhost = {}\nauth_type = azure-client-secret\nazure_client_id = {id}\nazure_client_secret = {secret}\n",
        workspace.url()
    ));
    home.run("tokens list -p azure").fails().says("neither the host nor cloud nor azure_workspace_resource_id says");
    home.write_config(format!("[azure]\nauth_type = azure-client-secret\nazure_client_id = {id}\nazure_client_secret = {secret}\n"));
    home.run("tokens list -p azure").fails().says("host is not set");
    let mut all = own.to_vec();
    all.extend([("azure_environment", "MARS"), ("auth_type", "azure-client-secret")]);
    profile(&home, &workspace, &all);
    home.run("tokens list -p azure").fails().says("azure_environment is \"MARS\", but it takes PUBLIC, USGOVERNMENT or CHINA");
    all[2] = ("azure_token_version", "3");
    profile(&home, &workspace, &all);
    home.run("tokens list -p azure").fails().says("azure_token_version is \"3\" in the profile \"azure\"");
    assert!(workspace.requests().is_empty());
}

#[test]
fn what_entra_refuses_is_said_with_the_place_of_each_value() {
    let (home, workspace) = azure();
    let good = workspace.azure_secret(AzureIdentity::Member, DAY);
    let expired = workspace.azure_secret(AzureIdentity::Member, Duration::ZERO);
    let id = workspace.azure_client_id(AzureIdentity::Member).to_owned();
    for (tenant, client, secret, error, hint) in [
        (TENANT, id.as_str(), "wr0ng~secret-of-somebody", "AADSTS7000215: Invalid client secret provided.", "Check the secret"),
        (TENANT, &id, &expired, "AADSTS7000222", "az ad app credential reset"),
        (OTHER_TENANT, &id, &good, "AADSTS700016", "check azure_client_id and azure_tenant_id"),
        ("11111111-2222-4333-8444-555555555555", &id, &good, "AADSTS90002", "Check the tenant"),
        (TENANT, "no-such-app", &good, "AADSTS700016", "The tenant has no such application"),
    ] {
        profile(
            &home,
            &workspace,
            &[("azure_tenant_id", tenant), ("azure_client_id", client), ("azure_client_secret", secret), ("auth_type", "azure-client-secret")],
        );
        let outcome = home.run("tokens list -p azure");
        outcome.fails().says("azure-client-secret: https://localhost:").says(error).says(hint).says("azure_tenant_id comes from the profile \"azure\"");
        outcome.lacks("Trace ID").lacks(secret);
    }
    profile(
        &home,
        &workspace,
        &[("azure_tenant_id", "../evil"), ("azure_client_id", &id), ("azure_client_secret", &good), ("auth_type", "azure-client-secret")],
    );
    workspace.clear_requests();
    home.run("tokens list -p azure").fails().says("azure_tenant_id is \"../evil\" in the profile \"azure\"");
    assert!(workspace.requests().is_empty());
}

#[test]
fn the_second_endpoint_is_asked_where_it_is_wanted() {
    let (home, workspace) = with_secret(AzureIdentity::Member, &[("azure_token_version", "2")]);
    mints(&home, &workspace, true, false);
    let scopes: Vec<_> = requests(&workspace, V2).iter().map(|request| request.form("scope").unwrap_or_default()).collect();
    assert_eq!(scopes, [format!("{DATABRICKS}/.default"), format!("{MANAGEMENT}//.default")]);
    assert!(requests(&workspace, V1).is_empty());
}

#[test]
fn a_secret_of_the_environment_completes_a_profile() {
    let (home, workspace) = azure();
    let secret = workspace.azure_secret(AzureIdentity::Member, DAY);
    let id = workspace.azure_client_id(AzureIdentity::Member).to_owned();
    profile(&home, &workspace, &[("azure_tenant_id", TENANT), ("azure_client_id", &id), ("auth_type", "azure-client-secret")]);
    home.command("auth token -p azure").env("ARM_CLIENT_SECRET", &secret).reveals().run().ok();
    home.command("tokens list -p azure").env("ARM_CLIENT_SECRET", &secret).run().ok();
}

#[test]
fn sdks_that_ask_for_a_sign_in_get_none() {
    let (home, workspace) = azure();
    let secret = workspace.azure_secret(AzureIdentity::Stranger, DAY);
    for (name, value) in [
        ("DATABRICKS_HOST", workspace.url()),
        ("DATABRICKS_CLOUD", "azure"),
        ("ARM_TENANT_ID", TENANT),
        ("ARM_CLIENT_ID", workspace.azure_client_id(AzureIdentity::Stranger)),
        ("ARM_CLIENT_SECRET", &secret),
    ] {
        home.set(name, value);
    }
    home.run(["auth", "token", "--host", workspace.url()]).fails().says("databricks OAuth is not configured for this host");
    assert!(workspace.requests().is_empty());
    home.command("auth token").reveals().run().ok();
}

#[test]
fn who_moved_entra_is_told() {
    let (home, workspace) = with_secret(AzureIdentity::Member, &[("auth_type", "azure-client-secret")]);
    home.run("auth describe -p azure")
        .ok()
        .shows("Authenticated with: azure-client-secret")
        .shows(&format!("Entra ID is asked at {} (from AZURE_AUTHORITY_HOST", workspace.https_url()));
    let outcome = home.command("tokens list -p azure").env("AZURE_AUTHORITY_HOST", "http://evil.example").run();
    outcome.fails().says("AZURE_AUTHORITY_HOST cannot be used: ");
}
