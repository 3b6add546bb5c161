//! Somebody with many workspaces: which profile is meant, which value counts, and which work.

use crate::harness::{Home, Outcome, made_up_token, profile};
use crate::workspace::{Fault, Workspace};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Two workspaces with a profile each, `a` and `b`; `a` is the default.
fn two() -> (Home, Arc<Workspace>, Arc<Workspace>) {
    let home = Home::new();
    let (a, b) = (home.joins(Workspace::start()), home.joins(Workspace::start()));
    home.write_config(format!("[__settings__]\ndefault_profile = a\n\n{}\n{}", profile("a", a.url(), a.token()), profile("b", b.url(), b.token())));
    (home, a, b)
}

/// Runs a call and says which of the workspaces it reached.
fn reached(home: &Home, a: &Workspace, b: &Workspace, words: &str, variables: &[(&str, &str)]) -> (&'static str, Outcome) {
    a.clear_requests();
    b.clear_requests();
    let run = variables.iter().fold(home.command(words), |run, (name, value)| run.env(name, value));
    let outcome = run.run();
    let place = match (a.requests().len(), b.requests().len()) {
        (0, 0) => "none",
        (_, 0) => "a",
        (0, _) => "b",
        _ => "both",
    };
    (place, outcome)
}

#[test]
fn profiles_are_listed_with_what_they_are_worth() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    let wrong = made_up_token();
    home.secret_of(&workspace, &wrong);
    let host = workspace.url();
    home.write_config(format!(
        "{}\n{}\n[nothing]\nkey = value\n\n[acc]\naccount_id = 6b3f\n\n[azure]\nhost = https://adb-1.2.azuredatabricks.net\nworkspace_id = 7\nauth_type = azure-cli\n\n[gcp]\nhost = https://1.2.gcp.databricks.com\n\n[__settings__]\ndefault_profile = a\n",
        profile("a", host, workspace.token()),
        profile("bad", host, &wrong)
    ));
    let offline = home.run("auth profiles --skip-validate -o json");
    offline.ok().notes("").prints(&format!(
        r#"{{
  "profiles": [
    {{
      "name": "a",
      "host": "{host}",
      "cloud": "aws",
      "auth_type": "",
      "valid": false,
      "default": true
    }},
    {{
      "name": "bad",
      "host": "{host}",
      "cloud": "aws",
      "auth_type": "",
      "valid": false
    }},
    {{
      "name": "acc",
      "account_id": "6b3f",
      "cloud": "",
      "auth_type": "",
      "valid": false
    }},
    {{
      "name": "azure",
      "host": "https://adb-1.2.azuredatabricks.net",
      "workspace_id": "7",
      "cloud": "azure",
      "auth_type": "azure-cli",
      "valid": false
    }},
    {{
      "name": "gcp",
      "host": "https://1.2.gcp.databricks.com",
      "cloud": "gcp",
      "auth_type": "",
      "valid": false
    }}
  ]
}}
"#
    ));
    assert!(workspace.requests().is_empty());
    home.run("auth profiles --skip-validate").ok().shows("a (Default)");

    // Transcript 6.
    home.write_config(format!("{}\n{}\n[__settings__]\ndefault_profile = a\n", profile("a", host, workspace.token()), profile("bad", host, &wrong)));
    let width = host.len();
    home.run("auth profiles")
        .ok()
        .says("bad")
        .says("Invalid access token.")
        .prints(&format!("Name         {:width$}  Valid\na (Default)  {host}  YES\nbad          {host}  NO\n", "Host"));
    // The environment plays no part.
    let listed = home.command("auth profiles -o json").env("DATABRICKS_TOKEN", &wrong).env("DATABRICKS_CONFIG_PROFILE", "bad").run();
    let listed = listed.ok().json();
    assert_eq!((&listed["profiles"][0]["valid"], &listed["profiles"][0]["auth_type"]), (&json!(true), &json!("pat")));
    assert_eq!((&listed["profiles"][1]["valid"], &listed["profiles"][1].get("default")), (&json!(false), &None));
}

#[test]
fn silent_hosts_cost_five_seconds_together() {
    let home = Home::new();
    let silent = home.joins(Workspace::start());
    let good = home.joins(Workspace::start());
    silent.order(Fault::on("*", "/").silence().forever());
    let mut file = String::new();
    for number in 0..14 {
        file += &profile(&format!("silent-{number}"), silent.url(), silent.token());
    }
    file += &profile("good", good.url(), good.token());
    file += &profile("refused", "http://127.0.0.1:1", good.token());
    home.write_config(file);
    let listed = home.run("auth profiles -o json");
    listed.ok().within(Duration::from_secs(8));
    let listed = listed.json();
    let valid: Vec<_> = listed["profiles"].as_array().unwrap().iter().filter(|profile| profile["valid"] == true).map(|profile| &profile["name"]).collect();
    assert_eq!(valid, [&json!("good")]);
}

#[test]
fn without_a_file_there_are_no_profiles() {
    let home = Home::new();
    let path = home.config_path();
    let path = path.display();
    home.run("auth profiles")
        .fails()
        .says(&format!("Error: cannot parse config file: no configuration file found at {path}; please create one by running 'databricks "));
    home.run("auth switch -p a")
        .fails()
        .says(&format!("Error: cannot load Databricks config file: no configuration file found at {path}; please create one by running 'databricks "));
    home.run("tokens list").fails().says("Error: default auth: cannot configure default credentials, please check https://docs.databricks.com/en/dev-tools/auth.html#databricks-client-unified-authentication to configure credentials for your preferred authentication method\n");
    home.run("tokens list -p x").fails().says("to configure credentials for your preferred authentication method. Config: profile=x\n");
    home.secret("just-a-token");
    home.command("tokens list").env("DATABRICKS_TOKEN", "just-a-token").run().fails().says(
        "default auth: cannot configure default credentials, please check https://docs.databricks.com/en/dev-tools/auth.html#databricks-client-unified-authentication to configure credentials for your preferred authentication method. Config: token=***. Env: DATABRICKS_TOKEN\n",
    );
}

#[test]
fn what_names_no_workspace_is_told_in_one_line() {
    let home = Home::new();
    let hint = |words: &str, variables: &[(&str, &str)]| {
        let outcome = variables.iter().fold(home.command(words), |run, (name, value)| run.env(name, value)).run();
        outcome
            .fails()
            .says("cannot configure default credentials")
            .says("databricks configure --host")
            .says("databricks auth login --host")
            .lacks("Not set up");
        outcome.stderr.lines().find(|line| line.contains("No workspace is named")).unwrap_or_default().to_owned()
    };
    let missing = |place: &dyn std::fmt::Display| format!("Hint: No workspace is named: DATABRICKS_HOST is not set, and there is no {place}");
    assert_eq!(hint("tokens list", &[]), missing(&home.config_path().display()));
    assert_eq!(hint("tokens list", &[("DATABRICKS_CONFIG_FILE", "/nowhere/cfg"), ("DATABRICKS_TOKEN", "just-a-token")]), missing(&"/nowhere/cfg"));
    home.write_config("[a]\ntoken = t\n[b]\nhost = https://b.example\n");
    assert!(hint("tokens list -p a", &[]).ends_with("profile \"a\" has no host"));
    assert!(hint("tokens list", &[]).ends_with("has neither a default profile nor a host in [DEFAULT]; to choose a profile: --profile"));
    // Where there is one, what each auth type lacks is what counts.
    home.run("tokens list -p b").fails().says("Not set up: pat (token is not set)").lacks("No workspace is named");
}

#[test]
fn every_command_knows_the_file_of_the_variable_and_needs_no_home_that_can_be_written() {
    let (home, workspace) = Home::signed_in();
    let elsewhere = home.work().join("elsewhere.cfg");
    home.store(&elsewhere);
    home.write(&elsewhere, home.config().replace("[DEFAULT]", "[only]") + "[__settings__]\ndefault_profile = only\n");
    crate::harness::set_mode(&elsewhere, 0o600);
    std::fs::remove_file(home.config_path()).unwrap();
    let run = |words: &str| home.command(words).env("DATABRICKS_CONFIG_FILE", &elsewhere).env("HOME", "/proc/nobody").stdin("dapi-new\n").reveals().run();
    for words in [
        "tokens create --comment x",
        "tokens list",
        "clusters list",
        "clusters get 1234-567890-a12bcde3",
        "clusters spark-versions",
        "current-user me",
        "database generate-database-credential my-instance",
        "token-management list",
        "api get /api/2.0/token/list",
        "auth describe",
        "auth explain",
        "auth env -p only",
        "auth headers",
        "auth profiles",
        "auth token",
        "auth switch -p only",
    ] {
        run(words).ok();
    }
    assert!(run("__complete tokens list --profile=").ok().stdout.starts_with("only\t"));
    run(&format!("configure --host {} -p second", workspace.url())).ok();
    assert!(std::fs::read_to_string(&elsewhere).unwrap().contains("[second]\n"));
    assert_eq!(home.files(), [""; 0], "something is in the home that was not named");
}

#[test]
fn an_address_that_is_none_is_told_once_and_with_its_place() {
    let home = Home::new();
    home.write_config("[a]\nhost = http://a.example\ntoken = t\n[b]\nhost = https://b.example\nauth_type = pat\ntoken = t\n");
    for (words, place) in [
        ("tokens list -p a", "profile \"a\""),
        ("auth token -p a", "profile \"a\""),
        ("tokens list -p b", "DATABRICKS_HOST"),
        ("auth env -p a", "profile \"a\""),
    ] {
        home.write_config(home.config().replace("https://b.example", ""));
        let outcome = home.command(words).env("DATABRICKS_HOST", "http://a.example").run();
        outcome
            .fails()
            .says("Error: \"http://a.example\" is not a workspace host")
            .says("Hint: Try: --host https://a.example\n")
            .says(&format!("comes from the {place}"));
        assert_eq!(outcome.stderr.matches("is not a workspace host").count(), 1, "{outcome}");
    }
}

#[test]
fn the_console_of_an_account_is_no_workspace() {
    let home = Home::new();
    home.write_config("[acc]\nhost = https://accounts.cloud.databricks.com\naccount_id = a-1\ntoken = t\n[ids]\naccount_id = a-1\n");
    let wanted = "Error: profile \"acc\" has no workspace_id set (account-only); this command requires a workspace. Edit the profile to set workspace_id to a real ID, or pass --profile with a workspace-scoped profile\n";
    for words in ["tokens list", "current-user me", "clusters get x", "database generate-database-credential x"] {
        home.run(format!("{words} -p acc").as_str()).fails().notes(wanted);
    }
    home.command("tokens list")
        .env("DATABRICKS_HOST", "accounts.azuredatabricks.net")
        .env("DATABRICKS_TOKEN", "t")
        .run()
        .fails()
        .says("Error: the host has no workspace_id set");
    home.run("auth switch -p ids").fails().says("Error: profile \"ids\" not found\nHint: It stands in ").lacks("Did you mean");
}

#[test]
fn the_default_is_switched() {
    let (home, a, b) = two();
    home.run(["auth", "switch", "--host", b.url()]).ok().prints("").notes("Default profile set to \"b\".\n");
    home.run(["auth", "switch", "--host", a.url()]).ok().prints("").notes("Default profile set to \"a\".\n");
    home.run(["auth", "switch", "--host", a.url(), "-p", "b"]).fails().says("conflicts with --host");
    home.run("auth switch -p b").ok().prints("").notes("Default profile set to \"b\".\n");
    assert!(home.config().starts_with("[__settings__]\ndefault_profile = b\n\n[a]\n"), "{}", home.config());
    assert_eq!(reached(&home, &a, &b, "current-user me", &[]).0, "b");
    let before = home.config();
    home.run("auth switch -p nope").fails().says("Error: profile \"nope\" not found");
    home.run("auth switch -p __settings__").fails();
    assert_eq!(home.config(), before);
}

#[test]
fn flag_environment_and_default_decide_in_that_order() {
    let (home, a, b) = two();
    home.write_config(format!("{}\n[DEFAULT]\nhost = {}\ntoken = {}\n", home.config(), b.url(), b.token()));
    let me = |words: &str, variables: &[(&str, &str)]| {
        let (place, outcome) = reached(&home, &a, &b, words, variables);
        outcome.ok();
        place
    };
    assert_eq!(me("current-user me", &[]), "a");
    assert_eq!(me("current-user me -p b", &[]), "b");
    assert_eq!(me("current-user me", &[("DATABRICKS_CONFIG_PROFILE", "b")]), "b");
    assert_eq!(me("current-user me -p a", &[("DATABRICKS_CONFIG_PROFILE", "b")]), "a");
    // The environment turns the default profile off, and never moves a profile that was asked for.
    assert_eq!(me("current-user me", &[("DATABRICKS_HOST", b.url()), ("DATABRICKS_TOKEN", b.token())]), "b");
    assert_eq!(me("current-user me -p a", &[("DATABRICKS_HOST", b.url()), ("DATABRICKS_TOKEN", b.token())]), "a");
    assert_eq!(me("current-user me", &[("DATABRICKS_CONFIG_PROFILE", "")]), "a");
    // Without a named default, DEFAULT is it.
    home.write_config(home.config().replace("default_profile = a", ""));
    assert_eq!(me("current-user me", &[]), "b");
    // Without that too, there is nothing: one profile of several is not guessed.
    home.write_config(home.config().replace("[DEFAULT]", "[c]"));
    let (place, outcome) = reached(&home, &a, &b, "current-user me", &[]);
    outcome.fails().says("cannot configure default credentials");
    assert_eq!(place, "none");
    // A host alone gets no token from anywhere.
    let (place, outcome) = reached(&home, &a, &b, "current-user me", &[("DATABRICKS_HOST", a.url())]);
    outcome.fails().says("cannot configure default credentials").says(&format!("Config: host={}", a.url()));
    assert_eq!(place, "none");
}

#[test]
fn a_token_of_the_environment_with_the_host_of_a_profile_is_said_aloud() {
    let (home, a, b) = two();
    let other = a.mint_token("from the environment", None);
    home.secret_of(&a, &other.value);
    let (place, outcome) = reached(&home, &a, &b, "tokens list", &[("DATABRICKS_TOKEN", &other.value), ("DATABRICKS_CONFIG_PROFILE", "a")]);
    outcome.ok().says("Warning: ").says("DATABRICKS_TOKEN").says("\"a\"");
    assert_eq!(place, "a");
    assert_eq!(a.requests()[0].header("authorization"), Some(format!("Bearer {}", other.value).as_str()));
    // With --profile the token of the profile counts, and there is nothing to say.
    let (_, outcome) = reached(&home, &a, &b, "tokens list -p a", &[("DATABRICKS_TOKEN", &other.value)]);
    outcome.ok().notes("");
    assert_eq!(a.requests()[0].header("authorization"), Some(format!("Bearer {}", a.token()).as_str()));
}

#[test]
fn the_token_of_a_profile_goes_to_the_host_of_that_profile_only() {
    let (home, a, b) = two();
    for words in ["tokens list", "auth env", "current-user me"] {
        let (place, outcome) = reached(&home, &a, &b, words, &[("DATABRICKS_HOST", b.url()), ("DATABRICKS_CONFIG_PROFILE", "a")]);
        outcome.fails().says("\"a\"").says(a.url()).says(b.url()).says("DATABRICKS_HOST");
        assert_eq!(place, "none", "{words}");
    }
    let (place, outcome) = reached(&home, &a, &b, "auth describe", &[("DATABRICKS_HOST", b.url()), ("DATABRICKS_CONFIG_PROFILE", "a")]);
    outcome.ok().shows("Unable to authenticate: ");
    assert_eq!(place, "none");
    // The same host in other words is the same host.
    let spelled = a.url().replace("http://", "HTTP://") + "/";
    let (place, outcome) = reached(&home, &a, &b, "tokens list", &[("DATABRICKS_HOST", &spelled), ("DATABRICKS_CONFIG_PROFILE", "a")]);
    outcome.ok();
    assert_eq!(place, "a");
}

#[test]
fn what_is_ambiguous_or_missing_is_told_in_the_words_of_the_sdks() {
    let (home, a, _b) = two();
    let path = home.config_path();
    let path = path.display();
    for words in ["tokens list -p nosuch", "auth env --profile nosuch"] {
        let outcome = home.run(words);
        outcome.fails().says(&format!("Error: resolve: {path} has no nosuch profile configured. Config: profile=nosuch\n"));
        outcome.says("a, b");
    }
    home.secret("the-client-secret");
    let outcome = home.command("tokens list -p a").env("DATABRICKS_CLIENT_ID", "cid").env("DATABRICKS_CLIENT_SECRET", "the-client-secret").run();
    outcome.fails().says(&format!(
        "Error: validate: more than one authorization method configured: oauth and pat. Config: host={}, token=***, profile=a, client_id=cid, client_secret=***. Env: DATABRICKS_CLIENT_ID, DATABRICKS_CLIENT_SECRET\n",
        a.url()
    ));
    home.secret("the-password");
    home.command("tokens list")
        .env("DATABRICKS_HOST", "https://h.example")
        .env("DATABRICKS_TOKEN", a.token())
        .env("DATABRICKS_USERNAME", "u")
        .env("DATABRICKS_PASSWORD", "the-password")
        .run()
        .fails()
        .says("Error: validate: more than one authorization method configured: basic and pat. Config: host=https://h.example, token=***, username=u, password=***. Env: DATABRICKS_HOST, DATABRICKS_TOKEN, DATABRICKS_USERNAME, DATABRICKS_PASSWORD\n");
    home.command("tokens list").env("DATABRICKS_AUTH_TYPE", "foo").run().fails().says(
        "Error: default auth: auth type \"foo\" not found, please check https://docs.databricks.com/en/dev-tools/auth.html#databricks-client-unified-authentication for a list of supported auth types. Config: ",
    );
    // auth_type decides between two.
    home.command("current-user me")
        .env("DATABRICKS_HOST", a.url())
        .env("DATABRICKS_TOKEN", a.token())
        .env("DATABRICKS_USERNAME", a.basic_user())
        .env("DATABRICKS_PASSWORD", a.basic_password())
        .env("DATABRICKS_AUTH_TYPE", "basic")
        .run()
        .ok();
    assert!(a.requests().last().unwrap().header("authorization").unwrap().starts_with("Basic "));
}

#[test]
fn auth_env_is_what_scripts_parse() {
    let (home, a, b) = two();
    home.write_config(format!("{}\n[DEFAULT]\nhost = {}\ntoken = {}\ncluster_id = c-1\nmy_key = x\n", home.config(), b.url(), b.token()));
    // Without a flag DEFAULT is meant, whatever the default profile is. No final line feed.
    home.command("auth env").reveals().run().ok().notes("").prints(&format!(
        "{{\n  \"env\": {{\n    \"DATABRICKS_AUTH_TYPE\": \"pat\",\n    \"DATABRICKS_CLOUD\": \"AWS\",\n    \"DATABRICKS_CLUSTER_ID\": \"c-1\",\n    \"DATABRICKS_CONFIG_PROFILE\": \"DEFAULT\",\n    \"DATABRICKS_HOST\": \"{}\",\n    \"DATABRICKS_TOKEN\": \"{}\"\n  }}\n}}",
        b.url(),
        b.token()
    ));
    for words in ["auth env --profile a", "auth env -p a -o text", "auth env --host HOST"] {
        let outcome = home.command(words.replace("HOST", a.url()).as_str()).reveals().run();
        assert_eq!(outcome.ok().json()["env"]["DATABRICKS_TOKEN"], a.token(), "{words}");
    }
    home.run("auth env --host https://nowhere.example").fails().says("Error: no profile found matching host \"https://nowhere.example\"").says("a, b");
    home.write_config(format!("{}\n{}", home.config(), profile("b2", b.url(), b.token())));
    let two_match = home.run(format!("auth env --host {}", b.url()).as_str());
    two_match.fails().says("match").says("--profile");
    home.run(format!("auth env -p a --host {}", b.url()).as_str()).fails().says(&format!(
        "Error: --profile \"a\" has host \"{}\", which conflicts with --host \"{}\". Use --profile only to select a profile\n",
        a.url(),
        b.url()
    ));
    assert!(a.requests().is_empty() && b.requests().is_empty());
    // A wrong token is printed like a right one.
    let wrong = made_up_token();
    home.secret(&wrong);
    let outcome =
        home.command("auth env").env("DATABRICKS_HOST", "https://h.example").env("DATABRICKS_TOKEN", &wrong).env("DATABRICKS_CONFIG_PROFILE", "none").run();
    outcome.fails().says("has no none profile configured");
}

#[test]
fn describe_tells_where_each_value_comes_from() {
    let (home, a, _b) = two();
    let path = home.config_path();
    let path = path.display();
    let host = a.url();
    let described = home.run("auth describe");
    described.ok().notes("");
    let head = format!(
        "Host: {host}\nUser: ann@example.com\nAuthenticated with: pat\n-----\nCurrent configuration:\n  ✓ host: {host} (from {path} config file)\n  ✓ token: ******** (from {path} config file)\n  ✓ profile: a\n  ✓ auth_type: pat\n  ✓ cloud: AWS\n"
    );
    assert!(described.stdout.starts_with(&head), "{described}");
    home.command("auth describe --sensitive").reveals().run().ok().shows(&format!("✓ token: {} (from {path} config file)\n", a.token()));
    home.run("auth describe -p a").ok().shows("✓ profile: a (from --profile flag)\n");
    home.run(format!("auth describe --host {host}/").as_str()).ok().shows("✓ profile: a (from --");
    home.command("auth describe")
        .env("DATABRICKS_CONFIG_PROFILE", "a")
        .run()
        .ok()
        .shows("✓ profile: a (from DATABRICKS_CONFIG_PROFILE environment variable)\n");

    // Transcript 8.
    let missing = home.run("auth describe -p nosuch");
    missing.ok();
    let head = format!(
        "Unable to authenticate: resolve: {path} has no nosuch profile configured. Config: profile=nosuch\n-----\nCurrent configuration:\n  ✓ profile: nosuch (from --profile flag)\n"
    );
    assert!(missing.stdout.starts_with(&head), "{missing}");

    // What another value hides, and what the method has no use for.
    let env = home
        .command("auth describe -p a")
        .env("DATABRICKS_HOST", "https://other.example")
        .env("DATABRICKS_USERNAME", "u")
        .env("DATABRICKS_AUTH_TYPE", "pat")
        .run();
    env.ok().shows("shadowed").shows("DATABRICKS_HOST");
    let mixed = home
        .command("auth describe")
        .env("DATABRICKS_HOST", host)
        .env("DATABRICKS_TOKEN", a.token())
        .env("DATABRICKS_USERNAME", "u")
        .env("DATABRICKS_AUTH_TYPE", "pat")
        .env("DATABRICKS_CLUSTER_ID", "c-1")
        .run();
    mixed
        .ok()
        .shows("  ~ username: u (from DATABRICKS_USERNAME environment variable, not used for auth type pat)\n")
        .shows("  ✓ cluster_id: c-1 (from DATABRICKS_CLUSTER_ID environment variable)\n")
        .shows("  ✓ auth_type: pat (from DATABRICKS_AUTH_TYPE environment variable)\n")
        .shows("  ✓ profile: default\n");
}

#[test]
fn describe_never_fails_and_its_json_keeps_the_message() {
    let (home, a, _b) = two();
    let ok = home.run("auth describe -o json");
    let report = ok.ok().json();
    assert!(!ok.stdout.ends_with('\n'), "{ok}");
    assert_eq!((&report["status"], &report["username"], &report["details"]["auth_type"]), (&json!("success"), &json!("ann@example.com"), &json!("pat")));
    assert_eq!(
        report["details"]["configuration"]["token"],
        json!({"value": "********", "source": {"type": "config file", "name": home.config_path()}, "auth_type_mismatch": false})
    );
    assert_eq!(report["details"]["configuration"]["cloud"]["source"], json!({"type": "dynamic configuration", "name": ""}));

    let wrong = made_up_token();
    home.secret_of(&a, &wrong);
    home.write_config(profile("a", a.url(), &wrong));
    home.run("auth describe -p a").ok().shows("Unable to authenticate: Invalid access token.\n-----\n");
    let report = home.run("auth describe -p a -o json").ok().json();
    assert_eq!((&report["status"], &report["error"]), (&json!("error"), &json!("Invalid access token.")));
    a.clear_requests();
    home.run("auth describe -p a --offline").ok().shows("Authenticated with: pat").lacks("User:");
    assert!(a.requests().is_empty());
}
