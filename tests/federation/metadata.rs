//! The metadata service on this machine.

use super::{Case, Variables, me, paths, place, says_what_is_missing, survives_faults, with, without};
use crate::workspace::{Fault, Response, Workspace};
use serde_json::{Value, json};
use std::time::Duration;

fn case(workspace: &Workspace) -> Case {
    let variables = vec![("DATABRICKS_HOST", workspace.url().to_owned()), ("DATABRICKS_METADATA_SERVICE_URL", workspace.metadata_url())];
    Case { method: "metadata-service", variables, first: ("GET", "/_metadata"), needed: Vec::new() }
}

#[test]
fn the_service_is_asked_each_time() {
    let (home, workspace) = place();
    let case = case(&workspace);
    let path = workspace.metadata_url().rsplit('/').next().unwrap().to_owned();
    // A whole address may stand in the arguments of nobody, and in no message: its path is the secret.
    for _ in 0..2 {
        let seen = with(&home, "current-user me -o json", &case.variables).run();
        assert_eq!(seen.ok().json()["userName"], workspace.basic_user());
        seen.lacks(&path);
    }
    let asked: Vec<_> = workspace.requests().into_iter().filter(|request| request.path.starts_with("/_metadata")).collect();
    assert_eq!(asked.len(), 2, "the service is the cache");
    assert_eq!(asked[0].header("X-Databricks-Metadata-Version"), Some("1"));
    assert_eq!(asked[0].header("X-Databricks-Host"), Some(workspace.url()));
    assert_eq!(asked[0].header("Authorization"), None);
    let printed = with(&home, "auth token", &case.variables).reveals().run();
    assert!(workspace.access_token_works(printed.ok().json()["access_token"].as_str().unwrap()));
    with(&home, "current-user me --debug", &case.variables).run().ok().says("GET /***").lacks(&path);
    with(&home, "auth describe", &case.variables).run().ok().lacks(&path);
}

#[test]
fn times_are_numbers_or_text() {
    let (home, workspace) = place();
    let case = case(&workspace);
    let end = jiff::Timestamp::now().as_second() + 1_800;
    for good in [json!(end), json!(end.to_string())] {
        workspace.set_metadata_field("expires_on", Some(good));
        let printed = with(&home, "auth token", &case.variables).reveals().run();
        let expiry: jiff::Timestamp = printed.ok().json()["expiry"].as_str().unwrap().parse().unwrap();
        assert!((expiry.as_second() - end).abs() <= 2, "{expiry}");
    }
    for (bad, words) in [(json!(end - 3_600), "has ended already"), (json!("soon"), "no time in expires_on"), (json!([]), "no time in expires_on")] {
        workspace.set_metadata_field("expires_on", Some(bad));
        me(&home, &case.variables).fails().says("metadata-service").says(words);
    }
    workspace.set_metadata_field("expires_on", None);
    me(&home, &case.variables).ok();
    workspace.set_metadata_field("access_token", Some(Value::Null));
    me(&home, &case.variables).fails().says("without an access_token");
}

#[test]
fn only_this_machine_is_asked() {
    let (home, workspace) = place();
    let port = workspace.url().rsplit(':').next().unwrap().to_owned();
    let path = workspace.metadata_url().rsplit('/').next().unwrap().to_owned();
    let with_url = |url: &str| -> Variables { vec![("DATABRICKS_HOST", workspace.url().to_owned()), ("DATABRICKS_METADATA_SERVICE_URL", url.to_owned())] };
    me(&home, &with_url(&format!("http://localhost:{port}/_metadata/{path}"))).ok();
    for url in ["https://metadata.example/secret-path-1", "https://127.0.0.1.evil.example/secret-path-1", "http://127.9.9.9/secret-path-1"] {
        me(&home, &with_url(url)).fails().says("only localhost URLs are allowed").lacks("secret-path-1");
    }
    for url in ["http://169.254.169.254/secret-path-1", "http://metadata.example/secret-path-1", "no address secret-path-1"] {
        me(&home, &with_url(url)).fails().says("metadata_service_url").lacks("secret-path-1");
    }
    // A proxy never learns of it.
    let mut variables = with_url(&workspace.metadata_url());
    variables.push(("HTTPS_PROXY", "http://127.0.0.1:1".to_owned()));
    me(&home, &variables).ok();
}

#[test]
fn a_refusal_hides_the_path_too() {
    let (home, workspace) = place();
    let mut case = case(&workspace);
    let path = workspace.metadata_url().rsplit('/').next().unwrap().to_owned();
    // Another host than the one that the service has a token for.
    case.variables = without(&case.variables, "DATABRICKS_HOST");
    case.variables.push(("DATABRICKS_HOST", "https://other.cloud.databricks.com".to_owned()));
    me(&home, &case.variables).fails().says("gives no token for https://other.cloud.databricks.com").says("DATABRICKS_METADATA_SERVICE_URL").lacks(&path);
    workspace.order(Fault::on("GET", "/_metadata").reply(Response::error(400, "BAD", "the version is unknown")));
    me(&home, &case.variables).fails().says("the version is unknown").lacks(&path);
    workspace.order(Fault::on("GET", "/_metadata").reset_before().forever());
    me(&home, &case.variables).fails().says("metadata-service").lacks(&path);
    assert!(paths(&workspace.requests()).iter().all(|path| path.starts_with("GET /_metadata")));
}

#[test]
fn it_survives_faults() {
    let (home, workspace) = place();
    let case = case(&workspace);
    survives_faults(&home, &workspace, &case);
    workspace.order(Fault::on("GET", "/_metadata").silence().forever());
    me(&home, &case.variables).fails().says("metadata-service").within(Duration::from_secs(25));
    workspace.clear_faults();
    says_what_is_missing(&home, &case);
    let variables = vec![("DATABRICKS_HOST", workspace.url().to_owned()), ("DATABRICKS_AUTH_TYPE", "metadata-service".to_owned())];
    me(&home, &variables).fails().says("metadata-service auth: not configured: metadata_service_url is not set").says("DATABRICKS_METADATA_SERVICE_URL");
}
