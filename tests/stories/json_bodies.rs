//! `--json`: what is sent, what is turned into something else, and what is refused.

use crate::harness::{Home, Outcome, made_up_token, profile};
use crate::workspace::Workspace;
use serde_json::{Value, json};
use std::sync::Arc;

/// The body of the last request.
fn sent(workspace: &Workspace) -> Value {
    workspace.requests().last().expect("a request").json()
}

fn create(home: &Home, more: &[&str]) -> Outcome {
    home.command(&[&["tokens", "create"], more].concat()[..]).reveals().run()
}

fn minting() -> (Home, Arc<Workspace>) {
    Home::signed_in()
}

#[test]
fn a_body_comes_inline_from_a_file_or_from_stdin() {
    let (home, workspace) = minting();
    let body = r#"{"comment": "from json", "lifetime_seconds": 60, "scopes": ["sql"]}"#;
    let expected = json!({"comment": "from json", "lifetime_seconds": 60, "scopes": ["sql"]});
    create(&home, &["--json", body]).ok().notes("");
    assert_eq!(sent(&workspace), expected);
    home.write(&home.work().join("body.json"), format!("\n{body}\n"));
    create(&home, &["--json", "@body.json"]).ok().notes("");
    assert_eq!(sent(&workspace), expected);
    create(&home, &["--json=@body.json"]).ok();
    home.command("tokens create --json -").stdin(body).reveals().run().ok().notes("");
    assert_eq!(sent(&workspace), expected);
    assert_eq!(workspace.requests()[0].header("content-type"), Some("application/json"));
}

#[test]
fn what_can_be_turned_without_loss_is_turned() {
    let (home, workspace) = minting();
    create(&home, &["--json", r#"{"comment": 5, "lifetime_seconds": "60", "autoscope_enabled": "true"}"#]).ok().notes("");
    assert_eq!(sent(&workspace), json!({"comment": "5", "lifetime_seconds": 60, "autoscope_enabled": true}));
    create(&home, &["--json", r#"{"comment": true, "lifetime_seconds": null}"#]).ok().notes("");
    assert_eq!(sent(&workspace), json!({"comment": "true"}));
}

#[test]
fn big_numbers_keep_their_digits() {
    let (home, workspace) = minting();
    create(&home, &["--json", r#"{"lifetime_seconds": 9007199254740993}"#]);
    assert!(workspace.requests()[0].body.contains("9007199254740993"), "{}", workspace.requests()[0].body);
    create(&home, &["--lifetime-seconds", "9007199254740993"]);
    assert!(workspace.requests()[1].body.contains("9007199254740993"));
    create(&home, &["--json", r#"{"lifetime_seconds": 99999999999999999999}"#]).fails().says("99999999999999999999");
    assert_eq!(workspace.requests().len(), 2);
}

#[test]
fn json_wins_over_flags() {
    let (home, workspace) = minting();
    create(&home, &["--comment", "flag", "--lifetime-seconds", "60", "--json", r#"{"comment": "json"}"#]).ok();
    assert_eq!(sent(&workspace), json!({"comment": "json", "lifetime_seconds": 60}));
}

#[test]
fn empty_flags_are_not_sent() {
    let (home, workspace) = minting();
    create(&home, &["--comment", "", "--lifetime-seconds", "0", "--autoscope-enabled=false"]).ok();
    assert_eq!(sent(&workspace), json!({}));
    create(&home, &["--autoscope-enabled"]).ok();
    assert_eq!(sent(&workspace), json!({"autoscope_enabled": true}));
}

#[test]
fn a_token_is_not_made_from_less_than_its_user_typed() {
    let (home, workspace) = minting();
    let unknown = r#"{"comment":"j","nope":1}"#;
    create(&home, &["--json", unknown]).fails().says("unknown field: nope\n  in (inline):1:17").says("--lenient");
    create(&home, &["--json", r#"{"lifetime_seconds": "abc"}"#]).fails().says("cannot parse \"abc\" as an integer\n  at lifetime_seconds\n  in (inline):1:23");
    create(&home, &["--json", r#"{"comment": {}, "lifetime_seconds": 1.5}"#]).fails().says("at comment").says("at lifetime_seconds");
    home.write(&home.work().join("b.json"), "{\n  \"scopez\": [\"sql\"]\n}");
    create(&home, &["--json", "@b.json"]).fails().says("unknown field: scopez\n  in b.json:2:4");
    home.command(["database", "generate-database-credential", "--json", r#"{"instance_names":["my-instance"],"instance":"x"}"#])
        .reveals()
        .run()
        .fails()
        .says("unknown field: instance");
    assert!(workspace.requests().is_empty());

    // Transcript 11: who wants it as before gets it as before.
    create(&home, &["--lenient", "--json", unknown]).ok().notes("Warning: unknown field: nope\n  in (inline):1:17\n\n");
    assert_eq!(sent(&workspace), json!({"comment": "j"}));
    create(&home, &["--lenient", "--json", r#"{"comment":"x","lifetime_seconds":"abc"}"#])
        .ok()
        .says("Warning: cannot parse \"abc\" as an integer\n  at lifetime_seconds\n");
    assert_eq!(sent(&workspace), json!({"comment": "x"}));
}

#[test]
fn calls_that_mint_nothing_warn_and_go_on() {
    let (home, workspace) = minting();
    let extra = workspace.mint_token("old words", None);
    home.run(["tokens", "update", &extra.id, "--json", r#"{"token": {"comment": "new words"}, "update_mask": "comment", "nope": 1}"#])
        .ok()
        .prints("{}\n")
        .notes("Warning: unknown field: nope\n  in (inline):1:64\n\n");
    assert_eq!(workspace.requests()[0].method, "PATCH");
    assert_eq!(workspace.requests()[0].path, format!("/api/2.0/token/{}", extra.id));
    assert_eq!(sent(&workspace), json!({"token": {"comment": "new words"}, "update_mask": "comment"}));
    home.run("tokens list").ok().shows("new words").lacks("old words");
}

#[test]
fn what_is_no_object_is_refused_with_its_place() {
    let (home, workspace) = minting();
    for (given, error) in [
        ("{bad", "error decoding JSON at (inline):1:2: invalid character 'b'"),
        (r#"{"a":1} x"#, "error decoding JSON at (inline):1:9: unexpected additional content"),
        (r#"{"a":"#, "error decoding JSON at (inline):1:5: unexpected end of JSON input"),
        ("[1]", "expected JSON object, received sequence"),
        ("5", "expected JSON object, received int"),
        (r#""x""#, "expected JSON object, received string"),
    ] {
        create(&home, &["--json", given]).fails().notes(&format!("Error: {error}\n"));
    }
    create(&home, &["--json", ""])
        .fails()
        .says("Error: invalid argument \"\" for \"--json\" flag: expected inline JSON or @path/to/file, got an empty string\n\nUsage:\n");
    create(&home, &["--json", "@nofile"])
        .fails()
        .says("Error: invalid argument \"@nofile\" for \"--json\" flag: read nofile: open nofile: no such file or directory\n\nUsage:\n");
    create(&home, &["--json", "@."]).fails().says("invalid argument \"@.\" for \"--json\" flag: read .: ");
    create(&home, &["--json", &format!("{{\"comment\": {}", "[".repeat(50_000))]).fails();
    assert!(workspace.requests().is_empty());
}

#[test]
fn ids_stand_in_the_json_or_beside_the_command_but_not_in_both() {
    let (home, workspace) = minting();
    let extra = workspace.mint_token("extra", None);
    home.run(["tokens", "delete", "x", "--json", &json!({"token_id": extra.id}).to_string()])
        .error("when --json flag is specified, no positional arguments are allowed. Provide 'token_id' in your JSON input");
    assert!(workspace.requests().is_empty());
    home.run(["tokens", "delete", "--json", &json!({"token_id": extra.id}).to_string()]).ok().silent();
    assert_eq!(sent(&workspace), json!({"token_id": extra.id}));
    assert_eq!(workspace.requests()[0].path, "/api/2.0/token/delete");
}

#[test]
fn an_update_without_a_body_is_refused() {
    let (home, workspace) = minting();
    let outcome = home.run(["tokens", "update", workspace.token_id()]);
    outcome.fails().notes("Error: please provide command input in JSON format by specifying the --json flag\nHint: It takes: token, update_mask\n");
    // A body of which nothing is left is told as such.
    home.run(["tokens", "update", "x", "--json", r#"{"comment": "y"}"#])
        .fails()
        .says("nothing was sent")
        .says("unknown field: comment")
        .says("Hint: It takes: token, update_mask\n");
    assert!(workspace.requests().is_empty());
    home.run(["tokens", "update", "--json", "{}"]).error("expected to have The SHA-256 hash of the token to be updated");
    // An id is one segment of the path, whatever it holds.
    home.run(["tokens", "update", "../list?x=1", "--json", r#"{"comment": "x"}"#]).fails();
    assert!(workspace.requests().is_empty() || workspace.requests()[0].target.starts_with("/api/2.0/token/..%2Flist%3Fx%3D1"), "{:?}", workspace.requests());
}

#[test]
fn a_database_credential_has_one_request_id() {
    let (home, workspace) = minting();
    let generate = |more: &[&str]| home.command(&[&["database", "generate-database-credential"], more].concat()[..]).reveals().run();
    for more in [&["--json", r#"{"instance_names":["my-instance"]}"#] as &[&str], &["my-instance"], &["my-instance", "-o", "json"]] {
        let outcome = generate(more);
        outcome.ok().notes("");
        assert_eq!(sent(&workspace)["instance_names"], json!(["my-instance"]));
        let id = sent(&workspace)["request_id"].as_str().unwrap().to_owned();
        assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 4);
        let reply = outcome.json();
        let keys: Vec<_> = reply.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["expiration_time", "token"]);
        assert!(outcome.stdout.starts_with("{\n  \"expiration_time\": \"2") && outcome.stdout.ends_with("\"\n}\n"), "{outcome}");
    }
    let ids: std::collections::HashSet<_> = workspace.requests().iter().map(|request| request.json()["request_id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
    generate(&["--request-id", "mine", "--json", r#"{"instance_names":["my-instance"]}"#]).ok();
    assert_eq!(sent(&workspace)["request_id"], "mine");
    generate(&["--request-id", "flag", "--json", r#"{"instance_names":["my-instance"],"request_id":"json"}"#]).ok();
    assert_eq!(sent(&workspace)["request_id"], "json");
    generate(&["--json", r#"{"claims":[{"permission_set":"READ_ONLY","resources":[{"table_name":"a.b.c"}]}]}"#]).ok();
    assert_eq!(sent(&workspace)["claims"][0]["permission_set"], "READ_ONLY");
    generate(&["nowhere"]).fails().notes("Error: Database instance 'nowhere' not found.\n");
    generate(&[]).fails();
}

#[test]
fn a_secret_in_a_body_is_shown_by_no_error() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    let token = made_up_token();
    home.write_config(profile("DEFAULT", workspace.url(), workspace.token()));
    home.secret(&token);
    home.store(home.work().join("body.json"));
    home.write(&home.work().join("body.json"), format!(r#"{{"comment": 1, "lifetime_seconds": "{}", "x": "{token}"}}"#, 5));
    create(&home, &["--json", "@body.json"]).fails().says("unknown field: x");
    home.write(&home.work().join("body.json"), format!(r#"{{"comment" "{token}"}}"#));
    create(&home, &["--json", "@body.json"]).fails().says("error decoding JSON at body.json:1:");
}
