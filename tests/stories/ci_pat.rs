//! A job without a terminal: token from a pipe or the environment, and the command lines that people have in their scripts.

use crate::harness::{Home, Outcome, made_up_token, profile};
use crate::workspace::{Fault, Plane, Workspace};
use serde_json::json;
use std::sync::Arc;

#[test]
fn a_token_is_piped_in_and_nothing_is_said() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    // Transcript 10: no network, no output.
    home.command("configure --host x.cloud.databricks.com -p second").stdin(format!("{token}\n")).run().ok().silent();
    assert_eq!(home.config(), format!("[second]\nhost  = https://x.cloud.databricks.com\ntoken = {token}\n\n[__settings__]\ndefault_profile = second\n"));
    assert_eq!(home.config_mode(), 0o600);
    // The next profile does not take the default away; a missing final line feed and further lines do not matter.
    home.command("configure --host https://y.cloud.databricks.com/?o=1 -p third").stdin(format!("  {token}\nmore\n")).run().ok().silent();
    home.command("configure --host HTTPS://Z.cloud.databricks.com:443/ -p fourth").stdin(&token).run().ok().silent();
    assert!(home.config().ends_with(&format!(
        "[third]\nhost  = https://y.cloud.databricks.com\ntoken = {token}\n\n[fourth]\nhost  = https://z.cloud.databricks.com\ntoken = {token}\n"
    )));
    assert_eq!(home.config().matches("default_profile").count(), 1);
    assert_eq!(home.files(), [".databrickscfg"]);
}

#[test]
fn the_environment_gives_everything() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    home.set("DATABRICKS_HOST", "https://env.cloud.databricks.com");
    home.set("DATABRICKS_TOKEN", &token);
    home.set("DATABRICKS_CLUSTER_ID", "c-1");
    home.run("configure --configure-cluster").ok().silent();
    let written = "[DEFAULT]\nhost       = https://env.cloud.databricks.com\n";
    assert!(home.config().starts_with(written), "{}", home.config());
    assert!(home.config().contains(&format!("token      = {token}\n")) && home.config().contains("cluster_id = c-1\n"), "{}", home.config());
    // The flag beats the environment, and so does -p; stdin is not read.
    home.command("configure --host https://flag.cloud.databricks.com -p flag").env("DATABRICKS_CONFIG_PROFILE", "env").stdin("other").run().ok().silent();
    assert!(home.config().contains("[flag]\nhost       = https://flag.cloud.databricks.com\n") && !home.config().contains("other"), "{}", home.config());
    home.command("configure").env("DATABRICKS_CONFIG_PROFILE", "env").run().ok();
    assert!(home.config().contains("[env]\n"));
    // Another file, named by the environment.
    let other = home.path().join("other.cfg");
    home.store(&other);
    home.command("configure -p x").env("DATABRICKS_CONFIG_FILE", "~/other.cfg").run().ok().silent();
    assert!(std::fs::read_to_string(other).unwrap().contains("[x]\n"));
}

#[test]
fn a_job_that_gives_no_token_is_told_how() {
    let home = Home::new();
    for stdin in ["", "\n", "   \nlate\n"] {
        let outcome = home.command("configure --host https://h.example").stdin(stdin).run();
        outcome.fails().says("EOF").says("DATABRICKS_TOKEN").lacks("late");
    }
    home.run("configure --host https://h.example").fails().says("EOF");
    home.secret("two-words-of-a-secret");
    home.command("configure --host https://h.example").stdin("two-words-of-a-secret and").run().fails().says("space");
    home.command("configure --host http://h.example").stdin("two-words-of-a-secret").run().fails().says("must start with https://");
    assert_eq!(home.files(), [""; 0]);
}

#[test]
fn what_would_break_the_file_is_refused_and_not_shown() {
    let home = Home::new();
    home.set("DATABRICKS_HOST", "https://h.example");
    home.secret("s3cret-s3cret");
    for token in ["\"s3cret-s3cret\"", "s3cret-s3cret\u{1b}[2J", "s3cret-s3cret\\", "%s3cret-s3cret", "'s3cret-s3cret"] {
        home.command("configure").stdin(token).run().fails().lacks("\u{1b}");
    }
    home.command("configure").stdin("s3cret-s3cret".repeat(10_000)).run().fails();
    for name in ["a]\n[evil", "a\nb", "", " ", "__settings__", "default", "a\u{1b}]0;x\u{7}"] {
        let outcome = home.command(["configure", "-p", name]).stdin("s3cret-s3cret").run();
        if name.is_empty() {
            // An empty -p counts as not given.
            outcome.ok();
            assert!(home.config().starts_with("[DEFAULT]\n"));
        } else {
            outcome.fails().lacks("\u{1b}").lacks("[evil\n");
        }
    }
    assert_eq!(home.config().matches('[').count(), 2, "{}", home.config());
}

#[test]
fn configuring_again_replaces_how_to_sign_in_and_keeps_the_rest() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    home.secret("an-old-password");
    let before = "# by hand\n[other]\nhost = https://other.example ; mine\n\n[DEFAULT]\n; note\nhost = https://old.example\nusername = ann\npassword = an-old-password\n\
                  client_id = c\nauth_type = basic\nscopes = sql\nwarehouse_id = w-1\naccount_id = a-1\nworkspace_id = 7\nmy_key = my value\ncluster_id = c-1\n\n[__settings__]\ndefault_profile = other\n";
    home.write_config(before);
    home.command("configure --host https://new.example").stdin(&token).run().ok().silent();
    let after = "# by hand\n[other]\nhost = https://other.example ; mine\n\n[DEFAULT]\n; note\nhost = https://new.example\nwarehouse_id = w-1\naccount_id = a-1\nworkspace_id = 7\nmy_key = my value\n\
                 cluster_id = c-1\n";
    assert_eq!(home.config(), format!("{after}token = {token}\n\n[__settings__]\ndefault_profile = other\n"));
    // Once more changes nothing at all.
    let now = home.config();
    home.command("configure --host https://new.example").stdin(&token).run().ok().silent();
    assert_eq!(home.config(), now);
}

#[test]
fn a_job_may_have_the_token_checked() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    let wrong = made_up_token();
    home.secret_of(&workspace, &wrong);
    home.set("DATABRICKS_HOST", workspace.url());
    home.command("configure --verify").stdin(&wrong).run().fails().says("not written").says("Invalid access token.");
    assert_eq!(home.files(), [""; 0]);
    home.command("configure --verify").stdin(workspace.token()).run().ok().silent();
    assert!(home.config().contains(workspace.token()));
}

/// A home that trusts a workspace and reaches it over https.
fn over_https() -> (Home, Arc<Workspace>) {
    let home = Home::new();
    let workspace = home.joins(Workspace::builder().clusters(60).start());
    home.trusts(&workspace);
    (home, workspace)
}

#[track_caller]
fn token_value(outcome: &Outcome) -> (String, String) {
    let reply = outcome.json();
    (reply["token_info"]["token_id"].as_str().unwrap().to_owned(), reply["token_value"].as_str().unwrap().to_owned())
}

/// "Done when" of the first issue, word for word; `<…>` are what a reader fills in.
#[test]
fn the_command_lines_of_the_first_issue_run_word_for_word() {
    let (home, workspace) = over_https();

    let mut typing = home.typing_script("databricks configure --profile DEFAULT");
    typing.asked("host").answer(workspace.https_url());
    typing.asked("token").answer(workspace.token());
    typing.end().ok();

    let mut typing = home.typing_script("databricks configure --configure-cluster --profile DEFAULT");
    typing.asked("host").answer("");
    typing.asked("token").answer("");
    typing.asked("Search: ").answer("my-cluster");
    typing.end().ok();
    assert!(home.config().contains("cluster_id = 1234-567890-a12bcde3\n"), "{}", home.config());

    let env = home.script("databricks auth env --profile DEFAULT").reveals().run();
    let env = env.ok().json();
    assert_eq!((env["env"]["DATABRICKS_HOST"].as_str(), env["env"]["DATABRICKS_TOKEN"].as_str()), (Some(workspace.https_url()), Some(workspace.token())));

    let create = "databricks tokens create --comment <comment> --lifetime-seconds <lifetime-seconds> -p <profile-name>"
        .replace("<comment>", "'made by a job'")
        .replace("<lifetime-seconds>", "3600")
        .replace("<profile-name>", "DEFAULT");
    let created = home.script(&create).reveals().run();
    let (id, _) = token_value(created.ok().notes(""));
    assert!(home.run("tokens list").ok().stdout.contains(&id));

    home.script("databricks clusters get 1234-567890-a12bcde3").run().ok().notes("").shows("\"cluster_name\": \"my-cluster\"");

    workspace.clear_requests();
    let line = r#"databricks database generate-database-credential --request-id $(uuidgen) --json '{"instance_names": ["db-instance-name"]}'"#;
    let credential = home.script(line).reveals().run();
    let credential = credential.ok().notes("").json();
    let grant = workspace.valid_database_token(credential["token"].as_str().unwrap()).expect("the database takes it");
    assert_eq!((grant.user.as_str(), grant.instances), ("ann@example.com", vec!["db-instance-name".to_owned()]));
    let sent = workspace.requests()[0].json();
    assert_eq!(sent["instance_names"], json!(["db-instance-name"]));
    assert_eq!(uuid::Uuid::parse_str(sent["request_id"].as_str().unwrap()).unwrap().to_string(), sent["request_id"]);

    home.set("HOST", workspace.https_url().strip_prefix("https://").unwrap());
    home.set("TOKEN", workspace.token());
    let filled = |line: &str| line.replace("<host>", "$HOST").replace("<token>", "$TOKEN");
    let listed = home.script(&filled(r#"curl https://<host>/api/2.0/token/list -X GET -H "Authorization: Bearer <token>""#)).run();
    assert!(listed.ok().json()["token_infos"].as_array().unwrap().iter().any(|token| token["token_id"] == id.as_str()));
    let line = r#"curl -X POST https://<host>/api/2.0/token/create -H "Authorization: Bearer <token>" -H "Content-Type: application/json" -d '{"comment": "New PAT using DB API", "lifetime_seconds": 86400}'"#;
    let made = home.script(&filled(line)).reveals().run().ok().json();
    let value = made["token_value"].as_str().unwrap();
    home.secret_of(&workspace, value);
    let expires = made["token_info"]["expiry_time"].as_i64().unwrap() - made["token_info"]["creation_time"].as_i64().unwrap();
    assert_eq!(expires, 86_400_000);
    home.command("tokens list").env("DATABRICKS_HOST", workspace.https_url()).env("DATABRICKS_TOKEN", value).run().ok().shows("New PAT using DB API");
    assert!(workspace.requests().iter().all(|request| request.plane == Plane::Https));
}

#[test]
fn a_token_that_nobody_could_read_is_named_for_revoking() {
    let (home, workspace) = Home::signed_in();
    let lost = home.script("databricks tokens create --comment lost > /dev/full").run();
    lost.fails().says("could not be handed over");
    let made = workspace.requests().iter().filter(|request| request.path == "/api/2.0/token/create").count();
    let id = lost.stderr.rsplit_once("tokens delete ").unwrap().1.trim().to_owned();
    home.run(["tokens", "revoke", &id]).ok();
    assert_eq!(made, 1);
}

#[test]
fn an_empty_id_names_nothing() {
    let (home, workspace) = Home::signed_in();
    home.run(["tokens", "update", "", "--json", "{\"token\": {}}"]).fails().says("expected to have");
    home.run(["tokens", "delete", ""]).fails().says("expected to have");
    assert!(workspace.requests().is_empty());
}

#[test]
fn a_token_is_made_used_revoked_and_refused() {
    let (home, workspace) = over_https();
    home.write_config(profile("DEFAULT", workspace.https_url(), workspace.token()));
    workspace.clear_requests();
    let created = home.command("tokens create --comment nightly --lifetime-seconds 86400").reveals().run();
    let (id, value) = token_value(created.ok().notes(""));
    assert_eq!(workspace.requests()[0].json(), json!({"comment": "nightly", "lifetime_seconds": 86400}));
    let keys: Vec<_> = created.stdout.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
    assert_eq!(keys, ["token_info", "comment", "creation_time", "expiry_time", "token_id", "token_value"]);

    let with_it = |words: &str| home.command(words).env("DATABRICKS_HOST", workspace.https_url()).env("DATABRICKS_TOKEN", &value).run();
    with_it("current-user me").ok().shows("\"userName\": \"ann@example.com\"");
    let human = home.command("tokens create --lifetime 90d").reveals().run();
    assert_eq!(workspace.requests().last().unwrap().json(), json!({"lifetime_seconds": 90 * 86400}));
    let (second, _) = token_value(human.ok());

    home.run(["tokens", "revoke", &id]).ok().silent();
    home.run(["tokens", "delete", &second]).ok().silent();
    let refused = with_it("current-user me");
    refused.fails();
    assert!(refused.stderr.starts_with("Error: Invalid access token.\n\nHost:      https://localhost:"), "{refused}");
    home.run(["tokens", "delete", &id]).fails().notes(&format!("Error: Token with id {id} does not exist\n"));
    home.run("tokens list").ok().lacks(&id).lacks(&second);
}

#[test]
fn a_full_quota_is_explained() {
    let home = Home::new();
    let workspace = home.joins(Workspace::builder().token_quota(3).start());
    home.write_config(profile("DEFAULT", workspace.url(), workspace.token()));
    let outcome = home.command("tokens create --comment one-more").reveals().run();
    outcome.fails().says("quota of 3");
    assert_eq!(workspace.requests().len(), 1);
}

#[test]
fn a_token_is_never_made_twice_when_the_reply_is_lost() {
    let (home, workspace) = Home::signed_in();
    workspace.order(Fault::on("POST", "/api/2.0/token/create").reset_after());
    home.command("tokens create --comment once").reveals().run().fails();
    assert_eq!(workspace.requests().len(), 1);
    assert_eq!(home.run("tokens list").ok().stdout.matches("once").count(), 1);
    // A database password is asked for again under the same id.
    workspace.clear_requests();
    workspace.order(Fault::on("POST", "/api/2.0/token/create").retry_after(429, "0"));
    home.command("tokens create --comment again").reveals().run().ok();
    assert_eq!(workspace.requests().len(), 2);
}

#[test]
fn a_wrong_authority_ends_the_job_before_the_token_is_sent() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    home.write_config(profile("DEFAULT", workspace.https_url(), workspace.token()));
    home.run("current-user me").fails().says("certificate");
    assert!(workspace.requests().is_empty());
    for name in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
        home.command("current-user me").env(name, workspace.ca_file()).run().ok();
    }
}

#[test]
fn debug_output_shows_requests_without_secrets() {
    let (home, workspace) = Home::signed_in();
    let debug = home.run("tokens list --debug");
    debug.ok().says("/api/2.0/token/list").lacks(workspace.token());
    let created = home.command("tokens create --debug --log-level trace").env("RUST_LOG", "trace").reveals().run();
    let (_, value) = token_value(created.ok());
    assert!(!created.stderr.contains(&value), "{created}");
    home.command("database generate-database-credential my-instance --debug").reveals().run().ok();
    let log = home.path().join("debug.log");
    home.command("tokens create --debug --log-file").reveals().run().fails();
    home.command(["tokens", "create", "--debug", "--log-file", log.to_str().unwrap()]).reveals().run().ok();
    assert!(std::fs::read_to_string(&log).unwrap().contains("/api/2.0/token/create"));
    // As a variable of a script that is not set.
    home.run(["tokens", "list", "--debug", "--log-file", ""]).ok().says("/api/2.0/token/list");
    // A server that repeats what it was sent.
    workspace.order(Fault::on("GET", "/").reply(crate::workspace::Response::error(400, "BAD", &format!("bad header: Bearer {}", workspace.token()))));
    home.run("tokens list --debug").fails().lacks(workspace.token());
}

#[test]
fn user_name_and_password_sign_in_too() {
    let (home, workspace) = over_https();
    home.set("DATABRICKS_HOST", workspace.https_url());
    home.set("DATABRICKS_USERNAME", workspace.basic_user());
    home.set("DATABRICKS_PASSWORD", workspace.basic_password());
    home.run("current-user me").ok().shows("ann@example.com");
    home.run("current-user me --debug").ok();
    home.run("auth describe").ok().shows("Authenticated with: basic\n").lacks(workspace.basic_password());
}
