//! The Python SDK and curl at work over https, with the profiles, variables and tokens of our program; and our program with theirs.

use std::path::Path;

use serde_json::{Value, json};

use super::binary::Home;
use super::oracle::{python, root};
use crate::workspace::Workspace;

/// A workspace over https and a home whose profile DEFAULT was made by `configure`.
struct Scene {
    workspace: Workspace,
    home: Home,
    ca: String,
}

impl Scene {
    fn new() -> Self {
        let workspace = Workspace::start();
        let ca = workspace.ca_file().to_str().expect("a plain path").to_owned();
        let scene = Self { workspace, home: Home::new(), ca };
        scene.configure("DEFAULT", scene.workspace.token());
        scene
    }

    fn configure(&self, profile: &str, token: &str) {
        let host = self.workspace.https_url();
        self.home.run_with_input(&["configure", "--host", host, "--profile", profile, "--verify"], &self.trust(), &format!("{token}\n")).text();
    }

    /// Each program has its own way to be told whom to trust.
    fn trust(&self) -> [(&str, &str); 1] {
        [("SSL_CERT_FILE", &self.ca)]
    }

    fn run(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["-o", "json"]].concat();
        self.home.run(&arguments, &self.trust()).json()
    }

    /// The tour of `python_sdk.py`.
    fn tour(&self, profile: Option<&str>, environment: &[(&str, &str)]) -> Value {
        let script = root().join("tests/peers/python_sdk.py");
        let mut arguments = vec![script.to_str().expect("a plain path")];
        arguments.extend(profile);
        let environment = [environment, &[("REQUESTS_CA_BUNDLE", self.ca.as_str()), ("PYTHONDONTWRITEBYTECODE", "1"), ("PATH", "/nowhere")]].concat();
        let seen = self.home.run_program(&python(), &arguments, &environment, "").json();
        let listed = |name: &str| seen[name].as_array().expect("ids").clone();
        assert_eq!(seen["host"], self.workspace.https_url());
        assert_eq!(seen["method"], "pat");
        assert_eq!(seen["clusters"].as_array().map(Vec::len), Some(3));
        assert!(listed("listed").contains(&seen["made"]), "{seen}");
        assert!(!listed("left").contains(&seen["made"]), "{seen}");
        let password = seen["database"].as_str().expect("a password");
        assert!(self.workspace.valid_database_token(password).is_some());
        seen
    }

    fn curl(&self, arguments: &[&str]) -> Value {
        let arguments = [&["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "10", "--cacert", &self.ca], arguments].concat();
        self.home.run_program(Path::new("/usr/bin/curl"), &arguments, &[], "").json()
    }
}

#[test]
fn the_sdk_works_with_the_profile_that_configure_wrote() {
    let scene = Scene::new();
    let user = scene.workspace.basic_user();
    assert_eq!(scene.tour(Some("DEFAULT"), &[])["user"], user);
    assert_eq!(scene.tour(None, &[])["user"], user);
    assert_eq!(scene.tour(None, &[("DATABRICKS_CONFIG_PROFILE", "DEFAULT")])["user"], user);
}

#[test]
fn the_sdk_follows_the_default_profile_and_the_variables_of_auth_env() {
    let scene = Scene::new();
    let bob = scene.workspace.add_user("bob@example.com", "Bob Example");
    scene.configure("bob's own", &bob.value);
    assert_eq!(scene.tour(Some("bob's own"), &[])["user"], "bob@example.com");

    scene.home.run(&["auth", "switch", "--profile", "bob's own"], &[]).text();
    assert_eq!(scene.tour(None, &[])["user"], "bob@example.com");

    let handed = scene.run(&["auth", "env", "--profile", "bob's own"]);
    let variables: Vec<(&str, &str)> =
        handed["env"].as_object().expect("variables").iter().map(|(name, value)| (name.as_str(), value.as_str().expect("text"))).collect();
    assert_eq!(scene.tour(None, &variables)["user"], "bob@example.com");
    // And without the file behind them.
    let alone: Vec<_> = variables.into_iter().filter(|(name, _)| *name != "DATABRICKS_CONFIG_PROFILE").collect();
    std::fs::remove_file(scene.home.file()).expect("a profile file");
    assert_eq!(scene.tour(None, &alone)["user"], "bob@example.com");
}

#[test]
fn tokens_pass_between_the_sdk_and_our_program() {
    let scene = Scene::new();
    let ours = scene.run(&["tokens", "create", "--comment", "for the SDK", "--lifetime-seconds", "600"]);
    let (value, id) = (ours["token_value"].as_str().expect("a token"), ours["token_info"]["token_id"].as_str().expect("an id"));
    let host = scene.workspace.https_url();
    let seen = scene.tour(None, &[("DATABRICKS_HOST", host), ("DATABRICKS_TOKEN", value)]);
    assert!(seen["listed"].as_array().expect("ids").contains(&json!(id)), "{seen}");

    let theirs = seen["kept"]["value"].as_str().expect("a token");
    scene.configure("theirs", theirs);
    let me = scene.run(&["current-user", "me", "--profile", "theirs"]);
    assert_eq!(me["userName"], scene.workspace.basic_user());
    let listed = scene.run(&["tokens", "list", "--profile", "theirs"]);
    let with_id = |id: &Value| listed.as_array().expect("tokens").iter().find(|token| token["token_id"] == *id).cloned();
    assert_eq!(with_id(&seen["kept"]["id"]).expect("listed")["comment"], "for the CLI");
    assert_eq!(with_id(&json!(id)).expect("listed")["comment"], "for the SDK");

    scene.home.run(&["tokens", "revoke", id], &scene.trust()).text();
    let refused = scene.home.run(&["current-user", "me"], &[("DATABRICKS_HOST", host), ("DATABRICKS_TOKEN", value), ("SSL_CERT_FILE", &scene.ca)]);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
}

#[test]
fn curl_works_with_the_token_that_auth_env_hands_over() {
    let scene = Scene::new();
    let handed = scene.run(&["auth", "env", "--profile", "DEFAULT"]);
    let variable = |name: &str| handed["env"][name].as_str().expect("text").to_owned();
    let (host, header) = (variable("DATABRICKS_HOST"), format!("Authorization: Bearer {}", variable("DATABRICKS_TOKEN")));

    let listed = scene.curl(&[&format!("{host}/api/2.0/token/list"), "-X", "GET", "-H", &header]);
    assert_eq!(listed["token_infos"].as_array().map(Vec::len), Some(3));
    let body = r#"{"comment": "New PAT using DB API", "lifetime_seconds": 86400}"#;
    let create = format!("{host}/api/2.0/token/create");
    let made = scene.curl(&["-X", "POST", &create, "-H", &header, "-H", "Content-Type: application/json", "-d", body]);
    scene.configure("curl", made["token_value"].as_str().expect("a token"));
    assert_eq!(scene.run(&["current-user", "me", "--profile", "curl"])["userName"], scene.workspace.basic_user());

    // What our program lists is what curl is told, word for word.
    let listed = scene.curl(&[&format!("{host}/api/2.0/token/list"), "-H", &header]);
    let mut ours = scene.run(&["tokens", "list"]);
    let mut theirs = listed["token_infos"].clone();
    for tokens in [&mut ours, &mut theirs] {
        for token in tokens.as_array_mut().expect("tokens") {
            token.as_object_mut().expect("an object").remove("last_accessed_time");
        }
    }
    assert_eq!(ours, theirs);
}
