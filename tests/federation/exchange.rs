//! Id tokens of GitHub Actions, Azure Pipelines, the environment and files, exchanged for tokens (RFC 8693).

use super::{Case, EXCHANGE, Variables, forget, me, paths, place, says_what_is_missing, survives_faults, with, without};
use crate::harness::{Home, profile};
use crate::workspace::{AZURE_DEVOPS, Document, Fault, GITHUB, HostKind, Policy, Workspace};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const ISSUER: &str = "https://issuer.example";

fn principal(workspace: &Workspace) -> String {
    workspace.service_principal().1.to_owned()
}

pub(super) fn host(workspace: &Workspace) -> Variables {
    vec![("DATABRICKS_HOST", workspace.url().to_owned()), ("DATABRICKS_CLIENT_ID", principal(workspace))]
}

pub(super) fn github(workspace: &Workspace) -> Case {
    workspace.federate_principal(GITHUB, Workspace::GITHUB_SUBJECT);
    let needed = vec!["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"];
    Case { method: "github-oidc", variables: host(workspace).into_iter().chain(workspace.github_job()).collect(), first: ("GET", "/_github"), needed }
}

pub(super) fn azure_devops(workspace: &Workspace) -> Case {
    workspace.federate_principal(AZURE_DEVOPS, Workspace::AZURE_DEVOPS_SUBJECT);
    let job = workspace.azure_devops_job();
    let needed = job.iter().map(|(name, _)| *name).collect();
    Case { method: "azure-devops-oidc", variables: host(workspace).into_iter().chain(job).collect(), first: ("POST", "/_devops"), needed }
}

pub(super) fn env(workspace: &Workspace) -> Case {
    workspace.federate_principal(ISSUER, "somebody");
    let token = ("DATABRICKS_OIDC_TOKEN", workspace.id_token(&json!({})));
    Case {
        method: "env-oidc",
        variables: host(workspace).into_iter().chain([token]).collect(),
        first: ("POST", "/oidc/v1/token"),
        needed: vec!["DATABRICKS_OIDC_TOKEN"],
    }
}

fn file(home: &Home, workspace: &Workspace) -> Case {
    workspace.federate_principal(ISSUER, "somebody");
    let path = home.path().join("id-token");
    home.write(&path, format!("{}\n", workspace.id_token(&json!({}))));
    home.store(&path);
    let named = ("DATABRICKS_OIDC_TOKEN_FILEPATH", path.to_str().unwrap().to_owned());
    Case {
        method: "file-oidc",
        // Compat: beside a client id the file counts as a second method, as in the SDKs, unless one is named.
        variables: host(workspace).into_iter().chain([named, ("DATABRICKS_AUTH_TYPE", "file-oidc".to_owned())]).collect(),
        first: ("POST", "/oidc/v1/token"),
        needed: vec!["DATABRICKS_OIDC_TOKEN_FILEPATH"],
    }
}

fn all(home: &Home, workspace: &Workspace) -> [Case; 4] {
    [github(workspace), azure_devops(workspace), env(workspace), file(home, workspace)]
}

/// The secrets of a case: id tokens and what opens the services that make them.
fn plant(home: &Home, workspace: &Arc<Workspace>, case: &Case) {
    for (name, value) in &case.variables {
        if name.ends_with("TOKEN") {
            home.secret_of(workspace, value);
        }
    }
}

#[test]
fn each_signs_in_and_keeps_what_it_got() {
    let (home, workspace) = place();
    for case in all(&home, &workspace) {
        plant(&home, &workspace, &case);
        workspace.clear_requests();
        let before = workspace.grants().exchanges;
        let seen = me(&home, &case.variables);
        assert_eq!(seen.ok().json()["userName"], principal(&workspace), "{}", case.method);
        let exchange = workspace.token_requests().pop().expect("an exchange");
        assert_eq!(exchange.form("grant_type").as_deref(), Some(EXCHANGE));
        assert_eq!(exchange.form("subject_token_type").as_deref(), Some("urn:ietf:params:oauth:token-type:jwt"));
        assert_eq!(exchange.form("scope").as_deref(), Some("all-apis"));
        assert_eq!(exchange.form("client_id"), Some(principal(&workspace)));
        assert_eq!(exchange.header("Authorization"), None);
        let first = workspace.requests().into_iter().find(|request| request.path.starts_with(case.first.1)).expect("the first request");
        assert_eq!(first.method, case.first.0);
        // The next processes find it; also one that prints it.
        assert_eq!(with(&home, "current-user me -o json", &case.variables).run().ok().json()["userName"], principal(&workspace));
        let printed = with(&home, "auth token", &case.variables).reveals().run();
        assert!(workspace.access_token_works(printed.ok().json()["access_token"].as_str().unwrap()), "{}", case.method);
        assert_eq!(workspace.grants().exchanges, before + 1, "{}", case.method);
    }
}

#[test]
fn each_says_what_it_lacks() {
    let (home, workspace) = place();
    for case in all(&home, &workspace) {
        says_what_is_missing(&home, &case);
    }
    assert_eq!(paths(&workspace.requests()), Vec::<String>::new(), "no host is asked before there is an id token");
}

#[test]
fn each_survives_faults() {
    let (home, workspace) = place();
    for case in all(&home, &workspace) {
        survives_faults(&home, &workspace, &case);
    }
}

#[test]
fn a_slow_reply_ends_in_time() {
    let (home, workspace) = place();
    let case = github(&workspace);
    workspace.order(Fault::on("GET", "/_github").silence().forever());
    me(&home, &case.variables).fails().says("github-oidc").within(Duration::from_secs(38));
}

#[test]
fn audiences_are_asked_for_as_the_host_wants_them() {
    let (home, workspace) = place();
    let case = github(&workspace);
    let audience = |variables: &Variables| {
        workspace.clear_requests();
        let outcome = me(&home, variables);
        let asked = workspace
            .requests()
            .into_iter()
            .find(|request| request.path == "/_github/idtoken")
            .and_then(|request| request.query("audience").map(str::to_owned));
        (outcome, asked)
    };
    let (outcome, asked) = audience(&case.variables);
    outcome.ok();
    assert_eq!(asked, Some(format!("{}/oidc/v1/token", workspace.url())));
    // The settings win, whatever they hold; it is encoded.
    let odd = "api://a b&c=d/é";
    workspace.federate(Policy { issuer: GITHUB.to_owned(), audiences: vec![odd.to_owned()], subject: None, principal: Some(principal(&workspace)) });
    let variables = case.variables.iter().cloned().chain([("DATABRICKS_TOKEN_AUDIENCE", odd.to_owned())]).collect();
    let (outcome, asked) = audience(&variables);
    outcome.ok();
    assert_eq!(asked.as_deref(), Some(odd));
    // A host that says nothing of it: the token endpoint.
    workspace.set_document_field(Document::HostConfig, "token_federation_default_oidc_audiences", None);
    let (outcome, asked) = audience(&case.variables);
    outcome.ok();
    assert_eq!(asked, Some(format!("{}/oidc/v1/token", workspace.url())));
    // An id token for somebody else's audience could be spent there: not asked for (C4).
    for foreign in ["sts.amazonaws.com", "api://AzureADTokenExchange", "https://evil.example/oidc/v1/token"] {
        workspace.set_document_field(Document::HostConfig, "token_federation_default_oidc_audiences", Some(json!([foreign])));
        let (outcome, asked) = audience(&case.variables);
        outcome.fails().says("github-oidc").says(foreign).says("DATABRICKS_TOKEN_AUDIENCE");
        assert_eq!(asked, None);
    }
}

#[test]
fn hosts_of_a_whole_account_want_its_id() {
    let (home, workspace) = place();
    let case = github(&workspace);
    let account = workspace.account_id().to_owned();
    workspace.federate(Policy { issuer: GITHUB.to_owned(), audiences: vec![account.clone()], subject: None, principal: Some(principal(&workspace)) });
    workspace.set_host_kind(HostKind::Unified);
    let id = workspace.workspace_id().to_string();
    let variables: Variables = case.variables.iter().cloned().chain([("DATABRICKS_ACCOUNT_ID", account.clone()), ("DATABRICKS_WORKSPACE_ID", id)]).collect();
    me(&home, &variables).ok();
    let asked = workspace.requests().into_iter().find(|request| request.path == "/_github/idtoken").expect("an id token");
    assert_eq!(asked.query("audience"), Some(account.as_str()));
    assert!(workspace.token_requests()[0].path.contains(&account));
}

#[test]
fn without_a_client_the_policy_of_the_account_decides() {
    let (home, workspace) = place();
    let case = env(&workspace);
    let issuer = |subject: Option<&str>| Policy {
        issuer: ISSUER.to_owned(),
        audiences: vec![format!("{}/oidc/v1/token", workspace.url())],
        subject: subject.map(str::to_owned),
        principal: None,
    };
    let variables = without(&case.variables, "DATABRICKS_CLIENT_ID");
    me(&home, &variables).fails().says("env-oidc").says("client_id is not set");
    workspace.add_user("bo@example.com", "Bo");
    workspace.federate(issuer(None));
    let mut variables = without(&variables, "DATABRICKS_OIDC_TOKEN");
    variables.push(("DATABRICKS_OIDC_TOKEN", workspace.id_token(&json!({"sub": "bo@example.com"}))));
    workspace.clear_requests();
    assert_eq!(me(&home, &variables).ok().json()["userName"], "bo@example.com");
    assert_eq!(workspace.token_requests()[0].form("client_id"), None);
}

#[test]
fn statements_that_are_not_good_enough_are_refused_with_what_they_say() {
    let (home, workspace) = place();
    let case = env(&workspace);
    let ago = jiff::Timestamp::now().as_second() - 600;
    for (what, token, words) in [
        ("expired", workspace.id_token(&json!({"exp": ago})), "it ended 10 minutes ago"),
        ("audience", workspace.id_token(&json!({"aud": "https://other.example"})), "audience \"https://other.example\""),
        ("issuer", workspace.id_token(&json!({"iss": "https://other.example"})), "issuer \"https://other.example\""),
        ("subject", workspace.id_token(&json!({"sub": "somebody else"})), "subject \"somebody else\""),
        ("signature", workspace.forged_id_token(&json!({})), "signature is not valid"),
    ] {
        home.secret_of(&workspace, &token);
        let mut variables = without(&case.variables, "DATABRICKS_OIDC_TOKEN");
        variables.push(("DATABRICKS_OIDC_TOKEN", token));
        variables.push(("DATABRICKS_AUTH_TYPE", "env-oidc".to_owned()));
        me(&home, &variables)
            .fails()
            .says(&format!("env-oidc: {} grants no token", workspace.url()))
            .says(words)
            .says("DATABRICKS_CLIENT_ID environment variable");
        assert_eq!(workspace.grants().exchanges, 0, "{what}");
    }
}

#[test]
fn what_is_no_id_token_is_not_sent() {
    let (home, workspace) = place();
    let case = env(&workspace);
    for other in [workspace.token().to_owned(), "AKIAEXAMPLE.wJalrXUtnFEMI.bPxRfiCY".to_owned(), "<html></html>".to_owned()] {
        let mut variables = without(&case.variables, "DATABRICKS_OIDC_TOKEN");
        variables.push(("MY_VARIABLE", other.clone()));
        variables.push(("DATABRICKS_OIDC_TOKEN_ENV", "MY_VARIABLE".to_owned()));
        variables.push(("DATABRICKS_AUTH_TYPE", "env-oidc".to_owned()));
        me(&home, &variables).fails().says("env-oidc").says("the variable MY_VARIABLE holds no id token").lacks(&other);
    }
    assert_eq!(paths(&workspace.requests()), Vec::<String>::new());
    // By the name that the settings give it works.
    let token = case.variables.iter().find(|(name, _)| *name == "DATABRICKS_OIDC_TOKEN").unwrap().1.clone();
    let mut variables = without(&case.variables, "DATABRICKS_OIDC_TOKEN");
    variables.extend([("MY_VARIABLE", token), ("DATABRICKS_OIDC_TOKEN_ENV", "MY_VARIABLE".to_owned()), ("DATABRICKS_AUTH_TYPE", "env-oidc".to_owned())]);
    me(&home, &variables).ok();
}

#[test]
fn a_file_is_read_each_time_and_its_identity_counts() {
    let (home, workspace) = place();
    let case = file(&home, &workspace);
    let path = home.path().join("id-token");
    let run = || with(&home, "current-user me -o json", &case.variables).run();
    run().ok();
    // A newer statement of the same identity: what was got for the old one is still good.
    home.write(&path, workspace.id_token(&json!({"jti": "another", "exp": jiff::Timestamp::now().as_second() + 900})));
    run().ok();
    assert_eq!(workspace.grants().exchanges, 1);
    // Another identity gets nothing of what the first one got.
    home.write(&path, workspace.id_token(&json!({"sub": "somebody else"})));
    run().fails().says("somebody else");
    workspace.federate_principal(ISSUER, "somebody else");
    run().ok();
    assert_eq!(workspace.grants().exchanges, 2);
    // Taken away, or something that cannot be read without waiting.
    std::fs::remove_file(&path).unwrap();
    run().fails().says("there is no file").says("DATABRICKS_OIDC_TOKEN_FILEPATH environment variable");
    let fifo = home.script(&format!("mkfifo {}", path.display())).run();
    fifo.ok();
    run().fails().says("it is not a regular file").within(Duration::from_secs(5));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
    run().fails().says("larger than 1 MiB");
}

#[test]
fn other_names_for_the_file_are_understood() {
    let (home, workspace) = place();
    let case = file(&home, &workspace);
    let path = home.path().join("id-token");
    let variables = without(&case.variables, "DATABRICKS_OIDC_TOKEN_FILEPATH");
    let mut python = variables.clone();
    python.push(("DATABRICKS_OIDC_TOKEN_FILE", path.to_str().unwrap().to_owned()));
    me(&home, &python).ok();
    for key in ["databricks_id_token_filepath", "oidc_token_filepath"] {
        home.write_config(format!(
            "[p]\nhost = {}\nclient_id = {}\n{key} = {}\nauth_type = file-oidc\n",
            workspace.url(),
            principal(&workspace),
            path.display()
        ));
        forget(&home);
        home.run("current-user me -p p").ok();
    }
}

#[test]
fn callers_at_once_exchange_once() {
    for make in [github as fn(&Workspace) -> Case, azure_devops, env] {
        let (home, workspace) = place();
        let case = make(&workspace);
        workspace.order(Fault::on("POST", "/oidc/v1/token").delay(Duration::from_millis(300)));
        let script =
            "pids=; for i in 1 2 3 4; do databricks current-user me >/dev/null & pids=\"$pids $!\"; done; for pid in $pids; do wait $pid || exit 1; done";
        case.variables.iter().fold(home.script(script), |run, (name, value)| run.env(name, value)).run().ok();
        assert_eq!(workspace.grants().exchanges, 1, "{}", case.method);
    }
}

#[test]
fn another_job_on_the_same_machine_gets_its_own_token() {
    let (home, workspace) = place();
    let case = github(&workspace);
    with(&home, "current-user me", &case.variables).run().ok();
    let other: Variables = case
        .variables
        .iter()
        .map(|(name, value)| (*name, if *name == "ACTIONS_ID_TOKEN_REQUEST_URL" { format!("{value}&job=2") } else { value.clone() }))
        .collect();
    with(&home, "current-user me", &other).run().ok();
    assert_eq!(workspace.grants().exchanges, 2);
}

#[test]
fn an_id_token_goes_to_the_profiles_host_only() {
    let (home, workspace) = place();
    let case = github(&workspace);
    let elsewhere = home.joins(Workspace::start());
    let token = &case.variables.iter().find(|(name, _)| *name == "ACTIONS_ID_TOKEN_REQUEST_TOKEN").unwrap().1;
    let url = &case.variables.iter().find(|(name, _)| *name == "ACTIONS_ID_TOKEN_REQUEST_URL").unwrap().1;
    home.write_config(format!(
        "[p]\nhost = {}\nclient_id = {}\nactions_id_token_request_url = {url}\nactions_id_token_request_token = {token}\nauth_type = github-oidc\n",
        workspace.url(),
        principal(&workspace)
    ));
    home.secret_of(&workspace, token);
    home.run("current-user me -p p").ok();
    forget(&home);
    home.command("current-user me").env("DATABRICKS_CONFIG_PROFILE", "p").env("DATABRICKS_HOST", elsewhere.url()).run().fails().says("belongs to");
    assert_eq!(paths(&elsewhere.requests()), Vec::<String>::new());
    // Plain http beyond this machine is no place for it either.
    let mut variables = without(&case.variables, "ACTIONS_ID_TOKEN_REQUEST_URL");
    variables.push(("ACTIONS_ID_TOKEN_REQUEST_URL", "http://pipelines.example/x?api-version=2.0".to_owned()));
    me(&home, &variables).fails().says("actions_id_token_request_url cannot be used");
}

#[test]
fn an_endpoint_on_a_foreign_host_gets_no_id_token() {
    let (home, workspace) = place();
    let case = env(&workspace);
    let elsewhere = home.joins(Workspace::start());
    workspace.set_document_field(Document::AuthorizationServer, "token_endpoint", Some(json!(format!("{}/oidc/v1/token", elsewhere.url()))));
    me(&home, &case.variables).fails().says("that is another host");
    assert_eq!(paths(&elsewhere.requests()), Vec::<String>::new());
}

#[test]
fn a_token_of_a_profile_is_not_mixed_with_an_id_token() {
    // Compat: id tokens belong to no family; a token that is set comes first.
    let (home, workspace) = place();
    let case = env(&workspace);
    home.write_config(profile("p", workspace.url(), workspace.token()));
    let variables: Variables = without(&case.variables, "DATABRICKS_CLIENT_ID");
    let seen = with(&home, "current-user me -o json -p p", &variables).run();
    assert_eq!(seen.ok().json()["userName"], Value::from(workspace.basic_user()));
    assert_eq!(workspace.grants().exchanges, 0);
}

#[test]
fn debug_output_shows_no_secret() {
    let (home, workspace) = place();
    for case in all(&home, &workspace) {
        plant(&home, &workspace, &case);
        forget(&home);
        with(&home, "current-user me --debug", &case.variables).run().ok().says("POST /oidc/v1/token");
        with(&home, "auth describe", &case.variables).run().ok().shows(case.method);
    }
}
