//! Services that take a request and do not answer, or a byte a second, or ask to come back in an hour, or answer without end: every method ends in its time, and says who did
//! not answer and what to do.
//!
//! The limits are what is shown here, so the time has to go by: half a minute for all of them together, without work.

use super::google::{acting, key};
use super::{Case, Variables, exchange, with, without};
use crate::azure::{self, Az, V1, with_secret};
use crate::harness::Home;
use crate::workspace::{AzureIdentity, Fault, RESOURCE_ID, RESOURCE_MANAGER, Response, TENANT, Workspace};
use std::sync::Arc;
use std::time::Duration;

/// A method about to ask a service.
struct Stall {
    method: &'static str,
    /// The request that gets no answer.
    asked: (&'static str, &'static str),
    /// Seconds after which it is given up.
    limit: u64,
    place: fn() -> (Home, Arc<Workspace>, Variables),
}

/// As the cases of this module have it.
fn of(case: fn(&Home, &Workspace) -> Case) -> (Home, Arc<Workspace>, Variables) {
    let (home, workspace) = super::place();
    let Case { method, mut variables, .. } = case(&home, &workspace);
    variables.push(("DATABRICKS_AUTH_TYPE", method.to_owned()));
    (home, workspace, variables)
}

/// A profile on Azure with these lines.
fn on_azure(lines: &[(&str, &str)]) -> (Home, Arc<Workspace>, Variables) {
    let (home, workspace) = azure::azure();
    azure::profile(&home, &workspace, lines);
    (home, workspace, profile())
}

fn profile() -> Variables {
    vec![("DATABRICKS_CONFIG_PROFILE", "azure".to_owned())]
}

fn github_azure() -> (Home, Arc<Workspace>, Variables) {
    let (home, workspace, mut variables) = on_azure(&[("azure_tenant_id", TENANT), ("azure_client_id", "an-id"), ("auth_type", "github-oidc-azure")]);
    let (url, token) = workspace.github_request();
    variables.extend([("ACTIONS_ID_TOKEN_REQUEST_URL", url), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", token)]);
    (home, workspace, variables)
}

const STALLS: &[Stall] = &[
    Stall {
        method: "azure-client-secret",
        asked: ("POST", V1),
        limit: 30,
        place: || {
            let (home, workspace) = with_secret(AzureIdentity::Member, &[("auth_type", "azure-client-secret")]);
            (home, workspace, profile())
        },
    },
    Stall {
        method: "azure-client-secret",
        asked: ("GET", "/aad/auth"),
        limit: 20,
        place: || on_azure(&[("azure_client_id", "an-id"), ("azure_client_secret", "a~secret"), ("auth_type", "azure-client-secret")]),
    },
    Stall {
        method: "azure-cli",
        asked: ("GET", "/subscriptions"),
        limit: 20,
        place: || {
            let (home, workspace) = azure::azure();
            home.write_config(format!("[azure]\nazure_workspace_resource_id = {RESOURCE_ID}\nazure_tenant_id = {TENANT}\nauth_type = azure-cli\n"));
            let az = Az::installed(&home, &workspace);
            az.signed_in("user", "ann@example.com");
            az.both_tokens(TENANT, AzureIdentity::Person);
            az.token(TENANT, TENANT, AzureIdentity::Person, RESOURCE_MANAGER);
            (home, workspace, profile())
        },
    },
    Stall {
        method: "azure-msi",
        asked: ("GET", "/metadata/identity"),
        limit: 10,
        place: || on_azure(&[("azure_use_msi", "true"), ("auth_type", "azure-msi")]),
    },
    Stall { method: "github-oidc-azure", asked: ("GET", "/_actions"), limit: 30, place: github_azure },
    Stall { method: "github-oidc-azure", asked: ("POST", V1), limit: 30, place: github_azure },
    Stall { method: "github-oidc", asked: ("POST", "/oidc/v1/token"), limit: 30, place: || of(|_, workspace| exchange::github(workspace)) },
    Stall { method: "azure-devops-oidc", asked: ("POST", "/_devops"), limit: 30, place: || of(|_, workspace| exchange::azure_devops(workspace)) },
    Stall { method: "env-oidc", asked: ("POST", "/oidc/v1/token"), limit: 30, place: || of(|_, workspace| exchange::env(workspace)) },
    Stall {
        method: "oauth-m2m",
        asked: ("POST", "/oidc/v1/token"),
        limit: 30,
        place: || {
            let (home, workspace) = super::place();
            let secret = workspace.mint_secret(None);
            let more = [("DATABRICKS_CLIENT_SECRET", secret), ("DATABRICKS_AUTH_TYPE", "oauth-m2m".to_owned())];
            let variables = exchange::host(&workspace).into_iter().chain(more).collect();
            (home, workspace, variables)
        },
    },
    Stall { method: "google-credentials", asked: ("POST", "/token"), limit: 30, place: || of(|_, workspace| key(workspace)) },
    Stall { method: "google-id", asked: ("POST", "/v1/projects"), limit: 30, place: || of(acting) },
    Stall {
        method: "google-id",
        asked: ("GET", "/computeMetadata"),
        limit: 5,
        place: || {
            let (home, workspace, variables) = of(acting);
            let mut variables = without(&variables, "GOOGLE_APPLICATION_CREDENTIALS");
            variables.push(("GCE_METADATA_HOST", workspace.url().trim_start_matches("http://").to_owned()));
            (home, workspace, variables)
        },
    },
    Stall {
        method: "metadata-service",
        asked: ("GET", "/_metadata"),
        limit: 10,
        place: || {
            let (home, workspace) = super::place();
            let variables = vec![("DATABRICKS_HOST", workspace.url().to_owned()), ("DATABRICKS_METADATA_SERVICE_URL", workspace.metadata_url())];
            (home, workspace, variables)
        },
    },
];

#[test]
fn every_method_ends_in_time_and_says_who_did_not_answer() {
    #[expect(clippy::type_complexity, reason = "a table")]
    let faults: [(&str, fn(Fault) -> Fault); 4] = [
        ("nothing", Fault::silence),
        ("a byte a second", |fault| fault.drip(Duration::from_secs(1))),
        ("come back in an hour", |fault| fault.retry_after(429, "3600")),
        ("without end", |fault| fault.reply(Response::huge(64 << 20))),
    ];
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = STALLS.iter().flat_map(|stall| faults.map(|fault| (stall, fault))).collect();
        let threads: Vec<_> = runs.into_iter().map(|(stall, (what, fault))| scope.spawn(move || stall.trial(what, fault))).collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("a trial")).collect()
    });
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

impl Stall {
    /// What is wrong with how it ends, if anything is.
    fn trial(&self, what: &str, fault: fn(Fault) -> Fault) -> Option<String> {
        let (home, workspace, variables) = (self.place)();
        let (verb, path) = self.asked;
        workspace.order(fault(Fault::on(verb, path)).forever());
        let outcome = with(&home, "current-user me", &variables).run();
        let ports = [workspace.url(), workspace.https_url()].map(|url| url.rsplit(':').next().unwrap_or_default().to_owned());
        let asked = workspace.requests().iter().any(|request| request.path.starts_with(path));
        let problem = match () {
            () if !asked => "it was not asked",
            () if outcome.status.code() != Some(1) => "the exit code is not 1",
            // Where a machine is busy everything takes longer, but not for ever.
            () if outcome.took > Duration::from_secs(self.limit + 9) => "it took too long",
            () if !outcome.stderr.contains(self.method) => "the method is not named",
            () if !ports.iter().any(|port| outcome.stderr.contains(&format!(":{port}"))) => "the host is not named",
            () if !outcome.stderr.contains("Hint: ") => "nothing says what to do",
            () => return None,
        };
        Some(format!("{what} from {verb} {path} ({}): {problem}\n{outcome}", self.method))
    }
}
