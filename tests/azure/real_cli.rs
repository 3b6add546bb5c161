//! The Azure CLI itself, where `tests/install azure` has put it (733 MB): `TESTS_AZURE_CLI=1 cargo test --test main azure::real_cli`.

use super::*;
use std::path::Path;

#[test]
fn the_azure_cli_itself_signs_in() {
    if std::env::var_os("TESTS_AZURE_CLI").is_none() {
        return;
    }
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-azure/bin");
    assert!(bin.join("az").exists(), "run tests/install azure");
    let (home, workspace) = azure();
    let secret = workspace.azure_secret(AzureIdentity::Stranger, DAY);
    let id = workspace.azure_client_id(AzureIdentity::Stranger).to_owned();
    for (name, value) in [
        ("REQUESTS_CA_BUNDLE", workspace.ca_file().to_str().unwrap()),
        ("AZURE_CORE_INSTANCE_DISCOVERY", "false"),
        ("AZURE_CORE_COLLECT_TELEMETRY", "false"),
        ("AZURE_CORE_NO_COLOR", "true"),
    ] {
        home.set(name, value);
    }
    home.set("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    for file in ["msal_token_cache.json", "service_principal_entries.json", "azureProfile.json"] {
        home.store(home.path().join(".azure").join(file));
    }
    let entra = workspace.https_url();
    let script = format!(
        "set -e
         az cloud register -n Embedded --endpoint-active-directory {entra} --endpoint-resource-manager {entra} --endpoint-management {entra} \
            --endpoint-active-directory-resource-id {entra} --endpoint-active-directory-graph-resource-id {entra}
         az cloud set -n Embedded
         printf %s \"$SECRET\" | az login --service-principal --username {id} --password \"$SECRET\" --tenant {TENANT} --output none"
    );
    home.script(&script).env("SECRET", &secret).run().ok();
    profile(&home, &workspace, &[("auth_type", "azure-cli"), ("azure_workspace_resource_id", crate::workspace::RESOURCE_ID)]);
    mints(&home, &workspace, true, true);
    nothing_astray(&workspace);
}
