//! Whatever the auth type behind a session: the file has a living token, also after it was renewed, and the broker has one too.

use crate::azure::with_secret;
use crate::harness::{Home, set_mode};
use crate::workspace::{AzureIdentity, Workspace};
use serde_json::json;
use std::sync::Arc;

/// Who vouches for jobs here.
const ISSUER: &str = "https://issuer.example";

/// Starts a session with a profile, and uses the token in the file before and after it was renewed, and the broker.
#[track_caller]
fn works(home: &Home, profile: &str, auth_type: &str) {
    let script = format!(
        "databricks session start {profile} --live -- sh -c '
            databricks session status | grep -c \"({auth_type})\"
            databricks current-user me -p workbench -o json | grep -c userName
            databricks session refresh 2> /dev/null && databricks current-user me -p workbench -o json | grep -c userName
            databricks current-user me -p workbench-live -o json | grep -c userName'"
    );
    let outcome = home.script(&script).run();
    outcome.ok().prints("1\n1\n1\n1\n");
}

fn place() -> (Home, Arc<Workspace>) {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
    home.store(home.path().join(".databricks/token-cache.json"));
    (home, workspace)
}

#[test]
fn each_method_with_tokens_makes_a_session() {
    let (home, workspace) = place();
    let url = workspace.url().to_owned();
    let mint = home.path().join("mint");
    home.write(&mint, format!("#!/bin/sh\necho {}\n", workspace.token()));
    set_mode(&mint, 0o700);
    home.store(&mint);
    // A job with an id token that the workspace has learned to trust.
    workspace.federate_principal(ISSUER, "somebody");
    let id_token = workspace.id_token(&json!({}));
    home.write("id-token".as_ref(), &id_token);
    home.store(home.path().join("id-token"));
    home.secret_of(&workspace, &id_token);
    let granted = workspace.sign_in(workspace.basic_user());
    let own = crate::oauth::entry(&granted.access_token, &granted.refresh_token, 3_600, 0);
    std::fs::create_dir(home.path().join(".databricks")).unwrap();
    home.write(".databricks/token-cache.json".as_ref(), json!({"version": 1, "tokens": {"databricks-cli": own}}).to_string());
    let secret = workspace.mint_secret(None);
    home.secret_of(&workspace, &secret);
    let (_, id) = workspace.service_principal();
    let cases = [
        ("pat", format!("token = {}", workspace.token())),
        ("oauth-m2m", format!("client_id = {id}\nclient_secret = {secret}")),
        ("databricks-cli", format!("workspace_id = {}\nauth_type = databricks-cli", workspace.workspace_id())),
        ("token-command", format!("token_command = {}", mint.display())),
        ("metadata-service", format!("metadata_service_url = {}", workspace.metadata_url())),
        ("file-oidc", format!("client_id = {id}\noidc_token_filepath = {}\nauth_type = file-oidc", home.path().join("id-token").display())),
    ];
    let profiles: String = cases.iter().map(|(name, lines)| format!("[{name}]\nhost = {url}\n{lines}\n\n")).collect();
    home.write_config(profiles);
    for (name, _) in &cases {
        works(&home, name, name);
    }
}

#[test]
fn a_service_principal_of_azure_makes_a_session() {
    let (home, _workspace) = with_secret(AzureIdentity::Member, &[]);
    home.store(home.path().join(".databricks/token-cache.json"));
    works(&home, "azure", "azure-client-secret");
}

/// A user name with its password is no token: that is said, and nothing is left.
#[test]
fn what_has_no_token_makes_none() {
    let (home, workspace) = place();
    home.write_config(format!("[b]\nhost = {}\nusername = {}\npassword = {}\n", workspace.url(), workspace.basic_user(), workspace.basic_password()));
    home.run("session start b -- /bin/true").fails().says("the auth type basic has no token that could be handed on");
    assert!(super::folders_of(&home).is_empty());
}
