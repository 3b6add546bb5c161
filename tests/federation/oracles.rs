//! The official SDKs at the same endpoints: the same requests to exchange the same id tokens, as far as they know the method.

use super::{Variables, forget, place, with};
use crate::harness::Home;
use crate::peers::oracle::Oracle;
use crate::workspace::{AZURE_DEVOPS, GITHUB, Recorded, Workspace};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What counts of a request that gets a token: method, path, query, and fields of the form but the id token itself, which is another each time.
type Essence = (String, String, BTreeMap<String, String>, BTreeMap<String, String>);

fn essence(request: &Recorded) -> Essence {
    let fields = ["grant_type", "subject_token_type", "scope", "client_id", "client_secret", "audience", "resource", "requested_token_type"];
    let form = fields.iter().filter_map(|name| Some(((*name).to_owned(), request.form(name)?))).collect();
    (request.method.clone(), request.path.clone(), request.query.iter().cloned().collect(), form)
}

/// The requests that get tokens, each kind once: SDKs repeat themselves.
fn seen(workspace: &Workspace) -> Vec<Essence> {
    let counts = |request: &&Recorded| request.path.ends_with("/v1/token") || request.path.starts_with("/_");
    let mut all: Vec<Essence> = workspace.requests().iter().filter(counts).map(essence).collect();
    all.sort();
    all.dedup();
    all
}

fn ask(oracle: &mut Oracle, home: &Home, variables: &Variables) -> Value {
    let mut env: Map<String, Value> = variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    env.insert("HOME".to_owned(), json!(home.path()));
    oracle.ask(&json!({"op": "resolve", "env": env}))
}

const BOTH: &[&str] = &["Python", "Go"];

/// Everybody makes the same requests, and whoever is asked gets a token that works.
fn agree(method: &str, variables: &Variables, home: &Home, workspace: &Workspace, peers: &[&str]) {
    let host = ("DATABRICKS_HOST", workspace.url().to_owned());
    let variables: Variables = variables.iter().cloned().chain([host, ("DATABRICKS_AUTH_TYPE", method.to_owned())]).collect();
    forget(home);
    workspace.clear_requests();
    with(home, "current-user me", &variables).run().ok();
    let ours = seen(workspace);
    assert!(!ours.is_empty(), "{method}");
    for name in peers {
        let mut oracle = if *name == "Go" { Oracle::go() } else { Oracle::python() };
        workspace.clear_requests();
        let answer = ask(&mut oracle, home, &variables);
        assert_eq!(answer["method"], method, "{name}: {answer}");
        let token = answer["authorization"].as_str().unwrap_or_default().trim_start_matches("Bearer ").to_owned();
        assert!(workspace.access_token_works(&token), "{name}: {answer}");
        assert_eq!(seen(workspace), ours, "{name} and {method}");
    }
}

fn principal(workspace: &Workspace) -> (&'static str, String) {
    ("DATABRICKS_CLIENT_ID", workspace.service_principal().1.to_owned())
}

#[test]
fn service_principals_with_a_secret() {
    let (home, workspace) = place();
    let variables = vec![principal(&workspace), ("DATABRICKS_CLIENT_SECRET", workspace.mint_secret(None))];
    agree("oauth-m2m", &variables, &home, &workspace, BOTH);
}

#[test]
fn id_tokens_of_the_environment_and_of_files() {
    let (home, workspace) = place();
    workspace.federate_principal("https://issuer.example", "somebody");
    let token = workspace.id_token(&json!({}));
    agree("env-oidc", &vec![principal(&workspace), ("DATABRICKS_OIDC_TOKEN", token.clone())], &home, &workspace, BOTH);
    // Without a line feed: Go sends it along.
    let path = home.path().join("id-token");
    home.write(&path, &token);
    home.store(&path);
    let named = ("DATABRICKS_OIDC_TOKEN_FILEPATH", path.to_str().unwrap().to_owned());
    agree("file-oidc", &vec![principal(&workspace), named], &home, &workspace, BOTH);
}

#[test]
fn jobs_of_github_actions() {
    let (home, workspace) = place();
    workspace.federate_principal(GITHUB, Workspace::GITHUB_SUBJECT);
    let variables = [principal(&workspace)].into_iter().chain(workspace.github_job()).collect();
    agree("github-oidc", &variables, &home, &workspace, BOTH);
}

#[test]
fn steps_of_azure_pipelines() {
    let (home, workspace) = place();
    workspace.federate_principal(AZURE_DEVOPS, Workspace::AZURE_DEVOPS_SUBJECT);
    // With the slash that Azure Pipelines puts at the end Go asks for a path with two.
    let job = workspace.azure_devops_job().into_iter().map(|(name, value)| (name, value.trim_end_matches('/').to_owned()));
    let variables = [principal(&workspace)].into_iter().chain(job).collect();
    agree("azure-devops-oidc", &variables, &home, &workspace, &["Go"]);
    // Without it Python joins the names of organisation and project.
    let variables = [principal(&workspace)].into_iter().chain(workspace.azure_devops_job()).collect();
    agree("azure-devops-oidc", &variables, &home, &workspace, &["Python"]);
}

#[test]
fn the_metadata_service() {
    let (home, workspace) = place();
    agree("metadata-service", &vec![("DATABRICKS_METADATA_SERVICE_URL", workspace.metadata_url())], &home, &workspace, BOTH);
}
