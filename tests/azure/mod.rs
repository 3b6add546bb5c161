//! Azure, every method against the embedded Entra ID, Resource Manager, metadata service and GitHub: over https with the authority of the tests.
//!
//! The workspace is spoken to over http and Azure over https: two origins, so that a header which goes to the wrong one is seen. `az` is a script that behaves as the Azure
//! CLI's documentation says; `real_cli` runs the Azure CLI itself, where `tests/install azure` has put it.

mod cli;
mod client_secret;
mod faults;
mod github;
mod headers;
mod managed_identity;
mod readme;
mod real_cli;

use crate::harness::{Home, Outcome};
use crate::workspace::{AzureIdentity, DATABRICKS, MANAGEMENT, Recorded, TENANT, Workspace};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const MANAGEMENT_HEADER: &str = "X-Databricks-Azure-SP-Management-Token";
pub(crate) const RESOURCE_HEADER: &str = "X-Databricks-Azure-Workspace-Resource-Id";
/// Where Entra ID gives tokens.
pub(crate) const V1: &str = "/4d1c6b2e-7a10-4f7c-9d55-0f6f6f2b9a01/oauth2/token";
pub(crate) const V2: &str = "/4d1c6b2e-7a10-4f7c-9d55-0f6f6f2b9a01/oauth2/v2.0/token";

/// A home in which Azure is the embedded one.
pub(crate) fn azure() -> (Home, Arc<Workspace>) {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    home.trusts(&workspace);
    home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
    home.set("AZURE_AUTHORITY_HOST", workspace.https_url());
    home.set("AZURE_RESOURCE_MANAGER_HOST", workspace.https_url());
    home.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", workspace.url());
    (home, workspace)
}

/// A profile called `azure` with these lines, for the workspace over http.
pub(crate) fn profile(home: &Home, workspace: &Workspace, lines: &[(&str, &str)]) {
    let lines: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    home.write_config(format!("[azure]\nhost = {}\ncloud = azure\n{lines}", workspace.url()));
}

/// A home with a profile of a service principal and its secret.
pub(crate) fn with_secret(identity: AzureIdentity, more: &[(&str, &str)]) -> (Home, Arc<Workspace>) {
    let (home, workspace) = azure();
    let secret = workspace.azure_secret(identity, DAY);
    let id = workspace.azure_client_id(identity).to_owned();
    let own = [("azure_tenant_id", TENANT), ("azure_client_id", id.as_str()), ("azure_client_secret", secret.as_str())];
    profile(&home, &workspace, &[&own[..], more].concat());
    (home, workspace)
}

/// The requests to a path.
pub(crate) fn requests(workspace: &Workspace, path: &str) -> Vec<Recorded> {
    workspace.requests().into_iter().filter(|request| request.path.starts_with(path)).collect()
}

/// Which resources tokens of Entra ID were asked for.
pub(crate) fn resources(workspace: &Workspace) -> Vec<String> {
    requests(workspace, V1).iter().map(|request| request.form("resource").unwrap_or_default().trim_end_matches('/').to_owned()).collect()
}

/// It mints a token that works, with these extra headers on the request.
#[track_caller]
pub(crate) fn mints(home: &Home, workspace: &Workspace, management: bool, resource: bool) -> Outcome {
    let outcome = home.command(["tokens", "create", "--lifetime-seconds", "100", "--comment", "from azure", "-p", "azure"]).reveals().run();
    outcome.ok();
    let minted = outcome.json();
    let value = minted["token_value"].as_str().expect("a token").to_owned();
    let made = requests(workspace, "/api/2.0/token/create").pop().expect("a request");
    assert_eq!(made.header(MANAGEMENT_HEADER).is_some(), management, "{outcome}");
    assert_eq!(made.header(RESOURCE_HEADER).is_some(), resource, "{outcome}");
    let me = home.command("current-user me").env("DATABRICKS_HOST", workspace.url()).env("DATABRICKS_TOKEN", value).run();
    me.ok();
    outcome
}

/// No header for the workspace was seen by anybody else, and the other way around.
#[track_caller]
pub(crate) fn nothing_astray(workspace: &Workspace) {
    for request in workspace.requests() {
        let is_azure = request.path.contains("oauth2")
            || request.path.starts_with("/subscriptions")
            || request.path.starts_with("/metadata")
            || request.path == "/aad/auth";
        if is_azure {
            assert!(request.header(MANAGEMENT_HEADER).is_none() && request.header(RESOURCE_HEADER).is_none(), "{request:?}");
            let has_bearer = request.header("Authorization").is_some();
            assert_eq!(has_bearer, request.path.starts_with("/subscriptions"), "{request:?}");
        }
    }
}

/// The fake `az`, as somebody has signed in to it.
pub(crate) struct Az<'h> {
    home: &'h Home,
    workspace: Arc<Workspace>,
}

impl<'h> Az<'h> {
    pub(crate) fn installed(home: &'h Home, workspace: &Arc<Workspace>) -> Az<'h> {
        home.program("az", include_str!("az"));
        std::fs::create_dir_all(home.path().join(".fake-az")).unwrap();
        Az { home, workspace: Arc::clone(workspace) }
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        let path = self.home.path().join(".fake-az").join(name);
        self.home.store(&path);
        self.home.write(&path, text);
    }

    /// What `az account show` tells of whoever has signed in.
    pub(crate) fn account(kind: &str, name: &str) -> String {
        serde_json::json!({
            "environmentName": "AzureCloud", "homeTenantId": TENANT, "id": crate::workspace::SUBSCRIPTION, "isDefault": true, "name": "Embedded", "state": "Enabled",
            "tenantId": TENANT, "user": {"name": name, "type": kind},
        })
        .to_string()
    }

    pub(crate) fn signed_in(&self, kind: &str, name: &str) {
        self.put("account", &Az::account(kind, name));
    }

    pub(crate) fn is_signed_in(&self) -> bool {
        self.home.path().join(".fake-az/account").exists()
    }

    pub(crate) fn sign_out(&self) {
        let _none = std::fs::remove_file(self.home.path().join(".fake-az/account"));
    }

    /// Gives it a token of an identity for a resource, to be had with that `--tenant` (`-`: without).
    pub(crate) fn token(&self, asked: &str, tenant: &str, identity: AzureIdentity, resource: &str) -> String {
        let token = self.workspace.azure_token(identity, tenant, resource);
        self.put_token(asked, resource, &token, 3_600, tenant);
        token
    }

    pub(crate) fn put_token(&self, asked: &str, resource: &str, token: &str, life: i64, tenant: &str) {
        let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(life);
        let printed = serde_json::json!({
            "accessToken": token, "expiresOn": expires.strftime("%Y-%m-%d %H:%M:%S.000000").to_string(), "expires_on": expires.as_second(),
            "subscription": crate::workspace::SUBSCRIPTION, "tenant": tenant, "tokenType": "Bearer",
        });
        self.put(&format!("token.{asked}.{}", resource.trim_start_matches("https://").trim_end_matches('/')), &printed.to_string());
    }

    /// Both tokens that a workspace may want, for an identity of the workspace's tenant.
    pub(crate) fn both_tokens(&self, asked: &str, identity: AzureIdentity) {
        self.token(asked, TENANT, identity, DATABRICKS);
        self.token(asked, TENANT, identity, MANAGEMENT);
    }

    /// The command lines so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.home.path().join(".fake-az/calls")).unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    }
}
