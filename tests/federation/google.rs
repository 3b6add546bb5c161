//! Google service accounts: by key, and by acting as one.

use super::{Case, Variables, forget, me, paths, place, survives_faults, with, without};
use crate::harness::Home;
use crate::workspace::{Fault, Response, Workspace};
use serde_json::json;

const HEADER: &str = "X-Databricks-GCP-SA-Access-Token";

fn base(workspace: &Workspace) -> Variables {
    vec![("DATABRICKS_HOST", workspace.url().to_owned()), ("DATABRICKS_CLOUD", "GCP".to_owned())]
}

pub(super) fn key(workspace: &Workspace) -> Case {
    let variables = base(workspace).into_iter().chain([("GOOGLE_CREDENTIALS", workspace.google_key_file().to_string())]).collect();
    Case { method: "google-credentials", variables, first: ("POST", "/token"), needed: Vec::new() }
}

pub(super) fn acting(home: &Home, workspace: &Workspace) -> Case {
    let path = home.path().join("adc.json");
    home.write(&path, workspace.google_key_file().to_string());
    home.store(&path);
    let more = [
        ("DATABRICKS_GOOGLE_SERVICE_ACCOUNT", Workspace::GOOGLE_ACCOUNT.to_owned()),
        ("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap().to_owned()),
        ("DATABRICKS_GOOGLE_ENDPOINT", workspace.url().to_owned()),
    ];
    Case { method: "google-id", variables: base(workspace).into_iter().chain(more).collect(), first: ("POST", "/v1/projects"), needed: Vec::new() }
}

#[test]
fn a_key_signs_in_with_two_tokens() {
    let (home, workspace) = place();
    let case = key(&workspace);
    let path = home.path().join("key.json");
    home.write(&path, workspace.google_key_file().to_string());
    home.store(&path);
    let mut by_path = without(&case.variables, "GOOGLE_CREDENTIALS");
    by_path.push(("GOOGLE_CREDENTIALS", path.to_str().unwrap().to_owned()));
    for variables in [&case.variables, &by_path] {
        workspace.clear_requests();
        let seen = me(&home, variables);
        assert_eq!(seen.ok().json()["userName"], workspace.service_principal().1);
        seen.notes("");
        let requests = workspace.requests();
        let call = requests.iter().find(|request| request.path.ends_with("/Me")).expect("the call");
        assert!(workspace.google_gave(call.header(HEADER).expect("the second token")));
        assert_eq!(requests.iter().filter(|request| request.path == "/token").count(), 2);
        // Kept between processes, both of them.
        with(&home, "current-user me", variables).run().ok();
        assert_eq!(workspace.requests().iter().filter(|request| request.path == "/token").count(), 2);
    }
    let printed = with(&home, "auth token", &case.variables).reveals().run();
    assert!(printed.ok().json()["access_token"].as_str().unwrap().starts_with("eyJ"));
}

#[test]
fn the_second_token_may_fail() {
    let (home, workspace) = place();
    let case = key(&workspace);
    workspace
        .order(Fault::on("POST", "/token").after(1).reply(Response::json(403, &json!({"error": "access_denied", "error_description": "no scopes"}))).forever());
    let seen = me(&home, &case.variables);
    seen.ok().says(HEADER).says("no scopes");
    let call = workspace.requests().into_iter().find(|request| request.path.ends_with("/Me")).expect("the call");
    assert_eq!(call.header(HEADER), None);
}

#[test]
fn keys_that_cannot_be_used_say_why() {
    let (home, workspace) = place();
    let case = key(&workspace);
    let mut evil = workspace.google_key_file();
    evil["token_uri"] = json!("https://evil.example/token");
    let mut other = workspace.google_key_file();
    other["client_email"] = json!("other@project-1.iam.gserviceaccount.com");
    let secret = "MIIEvgIBADANBgkqhkiG9w0BAQ";
    for (value, words) in [
        (evil.to_string(), "that is no host of Google's"),
        (other.to_string(), "account not found"),
        (workspace.forged_google_key_file().to_string(), "signature is not valid"),
        (workspace.google_person().to_string(), "its type is \"authorized_user\""),
        ("{\"type\":".to_owned(), "no JSON of Google's"),
        ("/no/such/file".to_owned(), "neither JSON nor the path of a file"),
        (home.path().to_str().unwrap().to_owned(), "it is a folder"),
        (format!("{secret}="), "neither JSON nor the path of a file"),
    ] {
        let mut variables = without(&case.variables, "GOOGLE_CREDENTIALS");
        variables.push(("GOOGLE_CREDENTIALS", value));
        me(&home, &variables).fails().says("google-credentials").says(words).lacks(secret).lacks("BEGIN");
    }
    assert!(paths(&workspace.requests()).iter().all(|path| path == "POST /token"));
}

#[test]
fn only_workspaces_on_google_cloud_get_googles_tokens() {
    let (home, workspace) = place();
    for case in [key(&workspace), acting(&home, &workspace)] {
        let variables = without(&case.variables, "DATABRICKS_CLOUD");
        me(&home, &variables).fails().says(case.method).says("the host is not on Google Cloud");
    }
    assert_eq!(paths(&workspace.requests()), Vec::<String>::new());
}

#[test]
fn whoever_may_act_as_the_account_gets_its_tokens() {
    let (home, workspace) = place();
    let case = acting(&home, &workspace);
    let person = home.path().join("person.json");
    home.write(&person, workspace.google_person().to_string());
    home.store(&person);
    let without_file = without(&case.variables, "GOOGLE_APPLICATION_CREDENTIALS");
    let mut by_person = without_file.clone();
    by_person.push(("GOOGLE_APPLICATION_CREDENTIALS", person.to_str().unwrap().to_owned()));
    let mut by_machine = without_file.clone();
    by_machine.push(("GCE_METADATA_HOST", workspace.url().trim_start_matches("http://").to_owned()));
    for variables in [&case.variables, &by_person, &by_machine] {
        workspace.clear_requests();
        assert_eq!(me(&home, variables).ok().json()["userName"], workspace.service_principal().1);
        let call = workspace.requests().into_iter().find(|request| request.path.ends_with("/Me")).expect("the call");
        assert!(workspace.google_gave(call.header(HEADER).expect("the second token")));
    }
    // Where gcloud puts it.
    let folder = home.path().join(".config/gcloud");
    std::fs::create_dir_all(&folder).unwrap();
    home.store(folder.join("application_default_credentials.json"));
    home.write(&folder.join("application_default_credentials.json"), workspace.google_person().to_string());
    me(&home, &without_file).ok();
    // Somebody whose sign-in has ended.
    let mut ended = workspace.google_person();
    ended["refresh_token"] = json!("1//0-spent");
    home.write(&person, ended.to_string());
    me(&home, &by_person).fails().says("google-id").says("expired or revoked");
    home.write(&person, "{\"type\":\"external_account\"}");
    me(&home, &by_person).fails().says("google-id").says("external_account").says("gcloud auth application-default login");
    std::fs::remove_file(&person).unwrap();
    me(&home, &by_person).fails().says("there is no file").says("GOOGLE_APPLICATION_CREDENTIALS");
    let mut other = without(&case.variables, "DATABRICKS_GOOGLE_SERVICE_ACCOUNT");
    other.push(("DATABRICKS_GOOGLE_SERVICE_ACCOUNT", "nobody@project-1.iam.gserviceaccount.com".to_owned()));
    me(&home, &other).fails().says("Unknown service account").says("Service Account Token Creator");
    other.pop();
    other.push(("DATABRICKS_GOOGLE_SERVICE_ACCOUNT", "../../x".to_owned()));
    me(&home, &other).fails().says("no address of a service account");
}

#[test]
fn googles_services_move_to_this_machine_only() {
    let (home, workspace) = place();
    let case = acting(&home, &workspace);
    for (name, value) in [("DATABRICKS_GOOGLE_ENDPOINT", "https://evil.example"), ("GCE_METADATA_HOST", "evil.example")] {
        let mut variables = without(&case.variables, name);
        variables.push((name, value.to_owned()));
        if name == "GCE_METADATA_HOST" {
            variables = without(&variables, "GOOGLE_APPLICATION_CREDENTIALS");
        }
        me(&home, &variables).fails().says("google-id").says(name);
    }
    forget(&home);
}

#[test]
fn each_survives_faults() {
    let (home, workspace) = place();
    for case in [key(&workspace), acting(&home, &workspace)] {
        survives_faults(&home, &workspace, &case);
    }
}
