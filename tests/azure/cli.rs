//! `azure-cli`, with a script in the place of the Azure CLI.

use super::*;
use crate::workspace::{OTHER_TENANT, RESOURCE_ID, SUBSCRIPTION};

const SHOW: &str = "account show --output json";

fn get(resource: &str, more: &str) -> String {
    format!("account get-access-token --resource {resource} --output json{more}")
}

#[test]
fn a_person_mints_a_token_and_shows_no_rights() {
    for identity in [AzureIdentity::Person, AzureIdentity::Guest] {
        let (home, workspace) = azure();
        let az = Az::installed(&home, &workspace);
        az.signed_in("user", "ann@example.com");
        az.both_tokens(TENANT, identity);
        profile(&home, &workspace, &[("auth_type", "azure-cli")]);
        mints(&home, &workspace, false, false).notes("");
        assert_eq!(az.calls(), [SHOW.to_owned(), get(DATABRICKS, &format!(" --tenant {TENANT}"))]);
        // What is kept needs no program.
        home.command("auth token -p azure").reveals().run().ok();
        assert_eq!(az.calls().len(), 2);
        // Somebody else signs in to the program: what was kept is not theirs.
        std::fs::create_dir_all(home.path().join(".azure")).unwrap();
        home.write(&home.path().join(".azure/azureProfile.json"), "{}");
        home.command("auth token -p azure").reveals().run().ok();
        assert_eq!(az.calls().len(), 4);
        nothing_astray(&workspace);
    }
}

#[test]
fn a_service_principal_shows_its_rights() {
    let (home, workspace) = azure();
    let az = Az::installed(&home, &workspace);
    az.signed_in("servicePrincipal", workspace.azure_client_id(AzureIdentity::Stranger));
    az.both_tokens(TENANT, AzureIdentity::Stranger);
    profile(&home, &workspace, &[("auth_type", "azure-cli"), ("azure_workspace_resource_id", RESOURCE_ID)]);
    home.command("auth token -p azure").reveals().run().ok();
    assert_eq!(az.calls(), [SHOW.to_owned(), get(DATABRICKS, &format!(" --tenant {TENANT}"))], "one token is enough here");
    mints(&home, &workspace, true, true);
    let management = get("https://management.core.windows.net/", &format!(" --tenant {TENANT}"));
    assert_eq!(az.calls()[2..], [SHOW.to_owned(), management]);
}

#[test]
fn a_service_principal_is_asked_again_without_its_tenant() {
    let (home, workspace) = azure();
    let az = Az::installed(&home, &workspace);
    az.signed_in("servicePrincipal", workspace.azure_client_id(AzureIdentity::Member));
    az.both_tokens("-", AzureIdentity::Member);
    profile(&home, &workspace, &[("auth_type", "azure-cli"), ("azure_tenant_id", TENANT)]);
    mints(&home, &workspace, true, false);
    assert_eq!(az.calls()[..3], [SHOW.to_owned(), get(DATABRICKS, &format!(" --tenant {TENANT}")), get(DATABRICKS, "")]);
    assert!(requests(&workspace, "/aad/auth").is_empty(), "the tenant is set");
}

#[test]
fn a_managed_identity_hears_of_no_tenant() {
    for name in ["systemAssignedIdentity", "userAssignedIdentity"] {
        let (home, workspace) = azure();
        let az = Az::installed(&home, &workspace);
        az.signed_in("servicePrincipal", name);
        az.both_tokens("-", AzureIdentity::Member);
        profile(&home, &workspace, &[("auth_type", "azure-cli"), ("azure_tenant_id", TENANT)]);
        mints(&home, &workspace, true, false);
        assert_eq!(az.calls()[..2], [SHOW.to_owned(), get(DATABRICKS, "")]);
    }
}

#[test]
fn without_a_tenant_the_subscription_counts_and_is_given_up() {
    let (home, workspace) = azure();
    let az = Az::installed(&home, &workspace);
    az.signed_in("user", "ann@example.com");
    az.token(TENANT, TENANT, AzureIdentity::Person, DATABRICKS);
    az.token("-", TENANT, AzureIdentity::Person, "https://management.azure.com");
    // No host, and so nobody who would tell the tenant.
    home.write_config(format!("[azure]\nauth_type = azure-cli\nazure_workspace_resource_id = {RESOURCE_ID}\n"));
    home.run("tokens list -p azure").ok();
    assert_eq!(az.calls()[..2], [SHOW.to_owned(), get("https://management.azure.com/", &format!(" --subscription {SUBSCRIPTION}"))]);
    let other = RESOURCE_ID.replace(SUBSCRIPTION, "99999999-5c4d-4e7f-8a90-b1c2d3e4f506");
    home.write_config(format!("[azure]\nauth_type = azure-cli\nazure_workspace_resource_id = {other}\n"));
    home.run("tokens list -p azure").fails().says("was not found");
    let calls = az.calls();
    assert_eq!(calls[calls.len() - 1], get("https://management.azure.com/", ""), "{calls:?}");
}

#[test]
fn a_program_that_is_not_there_is_told_with_the_way_to_it() {
    let (home, workspace) = azure();
    profile(&home, &workspace, &[("auth_type", "azure-cli")]);
    let outcome = home.run("tokens list -p azure");
    outcome.fails().says("Error: azure-cli: az is not installed: no folder of PATH has it").says("https://aka.ms/azure-cli").says("az login");
    // One that lies in the current folder is nobody's.
    std::fs::write(home.work().join("az"), "#!/bin/sh\necho hijacked >&2\nexit 1\n").unwrap();
    crate::harness::set_mode(&home.work().join("az"), 0o755);
    for path in [".", "", ":", "./:../work"] {
        home.command("tokens list -p azure").env("PATH", path).run().fails().says("az is not installed").lacks("hijacked");
    }
}

#[test]
fn nobody_signed_in_is_told_with_the_tenant_to_sign_in_to() {
    let (home, workspace) = azure();
    let az = Az::installed(&home, &workspace);
    profile(&home, &workspace, &[("auth_type", "azure-cli")]);
    home.run("tokens list -p azure")
        .fails()
        .says("Error: azure-cli: nobody is signed in to the Azure CLI: Please run 'az login'")
        .says(&format!("az login --tenant {TENANT}"));
    az.signed_in("user", "ann@example.com");
    let outcome = home.run("tokens list -p azure");
    outcome.fails().says("azure-cli: az gives no token for 2ff814a6").says("AADSTS50020").says(&format!("az login --tenant {TENANT}")).says("az account show");
    // Automatic mode on Azure: what SDKs look for stays, and the way on is told.
    home.write_config(format!("[azure]\nhost = {}\ncloud = azure\n", workspace.url()));
    std::fs::remove_file(home.path().join(".fake-az/account")).unwrap();
    let outcome = home.run("auth token -p azure");
    outcome
        .fails()
        .says("databricks OAuth is not configured for this host")
        .says("azure-cli did not work: azure-cli: nobody is signed in")
        .says("az login --tenant");
}

#[test]
fn what_it_prints_is_believed_only_if_it_is_a_token() {
    let (home, workspace) = azure();
    let az = Az::installed(&home, &workspace);
    az.signed_in("user", "ann@example.com");
    profile(&home, &workspace, &[("auth_type", "azure-cli")]);
    let name = format!("token.{TENANT}.{DATABRICKS}");
    let secret = "c2VjcmV0LXRoYXQtbm9ib2R5LW1heS1zZWU";
    home.secret(secret);
    for (printed, why) in [
        (format!("{secret} is no JSON"), "it is not the JSON of a token"),
        (String::new(), "it is not the JSON of a token"),
        (format!("\"{secret}\""), "it is not the JSON of a token"),
        ("{}".to_owned(), "it has no accessToken"),
        ("{\"accessToken\": \"\"}".to_owned(), "it has no accessToken"),
        (format!("{{\"accessToken\": \"{secret}\"}}"), "it has no expiry"),
        (format!("{{\"accessToken\": \"{secret}\\nX: y\", \"expires_on\": 99999999999}}"), "characters that no token has"),
    ] {
        az.put(&name, &printed);
        home.run("tokens list -p azure")
            .fails()
            .says("azure-cli: what az account get-access-token prints cannot be used: ")
            .says(why)
            .says("az account get-access-token --output json");
    }
    az.put_token(TENANT, DATABRICKS, secret, -5, TENANT);
    home.run("tokens list -p azure").fails().says("a token that has ended already");
    az.put("account", "garbage");
    home.run("tokens list -p azure").fails().says("what az account show prints cannot be used: it is no JSON");
}

#[test]
fn a_token_of_another_tenant_is_not_sent() {
    let (home, workspace) = azure();
    let az = Az::installed(&home, &workspace);
    az.signed_in("user", "ann@example.com");
    az.token(TENANT, OTHER_TENANT, AzureIdentity::Person, DATABRICKS);
    profile(&home, &workspace, &[("auth_type", "azure-cli")]);
    let outcome = home.run("tokens list -p azure");
    outcome
        .fails()
        .says(&format!("a token of tenant {OTHER_TENANT}, but the workspace belongs to tenant {TENANT}"))
        .says(&format!("az login --tenant {TENANT}"));
    assert!(requests(&workspace, "/api").is_empty());
}

#[test]
fn old_versions_tell_the_time_on_the_wall() {
    let (home, workspace) = azure();
    let az = Az::installed(&home, &workspace);
    az.signed_in("user", "ann@example.com");
    home.set("TZ", "CET-1");
    let token = workspace.azure_token(AzureIdentity::Person, TENANT, DATABRICKS);
    let wall = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3_600 + 1_800)).strftime("%Y-%m-%d %H:%M:%S.123456").to_string();
    az.put(&format!("token.{TENANT}.{DATABRICKS}"), &format!("{{\"accessToken\": \"{token}\", \"expiresOn\": \"{wall}\", \"tokenType\": \"Bearer\"}}"));
    profile(&home, &workspace, &[("auth_type", "azure-cli")]);
    let printed = home.command("auth token -p azure").reveals().run();
    let life = printed.ok().json()["expires_in"].as_i64().expect("a life");
    assert!((1_700..=1_800).contains(&life), "{life}");
}

#[test]
fn complaints_carry_no_secrets() {
    let (home, workspace) = azure();
    let az = Az::installed(&home, &workspace);
    let token = workspace.azure_token(AzureIdentity::Person, TENANT, DATABRICKS);
    az.put("behaviour", &format!("echo 'ERROR: something with {token} went wrong\x1b[2J' >&2; exit 1\n"));
    profile(&home, &workspace, &[("auth_type", "azure-cli")]);
    home.run("tokens list -p azure").fails().says("something with *** went wrong\\u{1b}[2J").lacks(&token).lacks("\x1b");
    az.put("behaviour", "exit 7\n");
    home.run("tokens list -p azure").fails().says("az account get-access-token ended with exit code 7 and said nothing");
    az.put("behaviour", "kill -9 $$\n");
    home.run("tokens list -p azure").fails().says("ended with a signal");
    az.put("behaviour", "head -c 3000000 /dev/zero\n");
    home.run("tokens list -p azure").fails().says("printed more than a token has and was stopped");
    home.program("az", "#!/no/such/interpreter\n");
    home.run("tokens list -p azure").fails().says("azure-cli: ").says("bin/az gives no token").says("Install the Azure CLI anew");
}

#[test]
fn a_program_that_hangs_is_stopped() {
    // The limit is what is shown here; the time goes by without work.
    let (home, workspace) = azure();
    let az = Az::installed(&home, &workspace);
    az.put("behaviour", "sleep 300 & echo $! >$state/child; wait\n");
    profile(&home, &workspace, &[("auth_type", "azure-cli")]);
    home.run("tokens list -p azure").fails().says("did not end within 30 seconds and was stopped").within(Duration::from_secs(36));
    let child = std::fs::read_to_string(home.path().join(".fake-az/child")).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z ") || !stat.contains("sleep"), "what it started lives on: {stat}");
}
