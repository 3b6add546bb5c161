//! `auth headers` and `auth token --headers`: everything that curl needs, for every auth type.

use super::*;
use crate::workspace::RESOURCE_ID;

/// The names of the headers that are printed, and that they open the workspace.
#[track_caller]
fn opens(home: &Home, workspace: &Workspace, names: &[&str]) {
    for command in ["auth headers -p p", "auth headers p", "auth token -p p --headers"] {
        let printed = home.command(command).reveals().run();
        let shown: Vec<&str> = printed.ok().stdout.lines().map(|line| line.split_once(": ").expect("a header").0).collect();
        assert_eq!(shown, names, "{command}");
    }
    let json = home.command("auth headers -p p -o json").reveals().run();
    assert_eq!(json.ok().json().as_object().expect("an object").len(), names.len());
    let script = format!("set -euo pipefail; curl -fsS -H @<(databricks auth headers -p p) {}/api/2.0/preview/scim/v2/Me", workspace.url());
    home.script(&script).run().ok().shows("userName");
}

#[test]
fn every_auth_type_has_headers() {
    let (home, workspace) = azure();
    let (host, token) = (workspace.url().to_owned(), workspace.token().to_owned());
    home.write_config(format!("[p]\nhost = {host}\ntoken = {token}\nworkspace_id = {}\n", workspace.workspace_id()));
    opens(&home, &workspace, &["Authorization", "X-Databricks-Workspace-Id"]);
    home.write_config(format!("[p]\nhost = {host}\nusername = {}\npassword = {}\n", workspace.basic_user(), workspace.basic_password()));
    opens(&home, &workspace, &["Authorization"]);
    let secret = workspace.mint_secret(None);
    home.secret_of(&workspace, &secret);
    home.write_config(format!("[p]\nhost = {host}\nclient_id = {}\nclient_secret = {secret}\nworkspace_id = none\n", workspace.service_principal().1));
    opens(&home, &workspace, &["Authorization"]);
    let secret = workspace.azure_secret(AzureIdentity::Stranger, DAY);
    let id = workspace.azure_client_id(AzureIdentity::Stranger).to_owned();
    home.write_config(format!(
        "[p]\nhost = {host}\nazure_tenant_id = {TENANT}\nazure_client_id = {id}\nazure_client_secret = {secret}\nazure_workspace_resource_id = {RESOURCE_ID}\n"
    ));
    opens(&home, &workspace, &["Authorization", MANAGEMENT_HEADER, RESOURCE_HEADER]);
}

#[test]
fn a_header_is_one_line() {
    let (home, workspace) = azure();
    home.write_config(format!("[p]\nhost = {}\ntoken = \"a\u{1}b-and-so-on\"\n", workspace.url()));
    home.run("auth headers -p p").fails().says("the value for the header Authorization holds a control character").says("databricks auth describe");
    home.run("auth headers -p nope").fails();
}
