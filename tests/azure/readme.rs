//! The README's chapter "Azure", word for word.

use super::*;
use crate::workspace::RESOURCE_ID;

/// The blocks of commands, with the embedded workspace in the place of the example's.
fn blocks(workspace: &Workspace) -> Vec<String> {
    let chapter = include_str!("../../README.md").split_once("\n## Azure\n").expect("the chapter").1.split("\n## ").next().unwrap();
    let blocks: Vec<String> = chapter
        .split("\n\n")
        .filter(|block| block.lines().all(|line| line.starts_with("    ") || line.is_empty()) && !block.trim().is_empty())
        .map(|block| block.replace("https://adb-1234567890123456.7.azuredatabricks.net", workspace.url()))
        .collect();
    assert_eq!(blocks.len(), 2);
    blocks
}

#[test]
fn with_the_azure_cli_and_as_a_service_principal() {
    let (home, workspace) = azure();
    // The name of the example's host says so; that of the embedded one does not.
    home.set("DATABRICKS_CLOUD", "Azure");
    let az = Az::installed(&home, &workspace);
    az.put("login", &Az::account("user", "ann@example.com"));
    az.both_tokens(TENANT, AzureIdentity::Person);
    let blocks = blocks(&workspace);
    let outcome = home.script(&format!("set -euo pipefail\n{}", blocks[0])).reveals().run();
    outcome.ok().shows("\"access_token\"").shows("made with az").notes("");
    let secret = workspace.azure_secret(AzureIdentity::Stranger, DAY);
    let principal = format!("set -euo pipefail\nunset DATABRICKS_HOST\n{}", blocks[1]);
    let id = workspace.azure_client_id(AzureIdentity::Stranger).to_owned();
    let outcome = home.script(&principal).env("APPLICATION_ID", id).env("APPLICATION_SECRET", &secret).reveals().run();
    outcome.ok().shows("dapi").shows("token_infos").shows("made by a service principal");
    let made = requests(&workspace, "/api/2.0/token/create").pop().expect("a request");
    assert_eq!(made.header(RESOURCE_HEADER), Some(RESOURCE_ID));
}
