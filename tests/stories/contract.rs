//! What scripts rely on whatever they do: usage errors, help, forms of output, exit codes.

use crate::harness::{Home, Words, profile};
use crate::workspace::{Fault, Response, Workspace};
use serde_json::{Value, json};

/// The error, a blank line, the usage of that command without its long text, a blank line.
#[track_caller]
fn fails_with_usage(home: &Home, words: impl Words, error: &str, usage: &str) {
    let outcome = home.run(words);
    outcome.fails();
    let head = format!("Error: {error}\n\nUsage:\n  {usage}");
    assert!(outcome.stderr.starts_with(&head), "stderr does not begin with\n{head}\nbut\n{outcome}");
    assert!(outcome.stderr.ends_with("\n\n") && !outcome.stderr.ends_with("\n\n\n"), "no single blank line at the end\n{outcome}");
    outcome.lacks("Examples:");
}

#[test]
fn wrong_flags_are_told_in_the_words_that_scripts_know() {
    let home = Home::new();
    let list = "databricks tokens list [flags]\n";
    let create = "databricks tokens create [flags]\n";
    for (words, error, usage) in [
        (&["--nope"] as &[&str], "unknown flag: --nope", "databricks [command] [flags]\n"),
        (&["tokens", "--nope"], "unknown flag: --nope", "databricks tokens [command] [flags]\n"),
        (&["tokens", "list", "--nope"], "unknown flag: --nope", list),
        (&["tokens", "list", "--nope=secret"], "unknown flag: --nope", list),
        (&["tokens", "list", "-x"], "unknown shorthand flag: 'x' in -x", list),
        (&["tokens", "list", "-xyz"], "unknown shorthand flag: 'x' in -xyz", list),
        (&["tokens", "list", "--output"], "flag needs an argument: --output", list),
        (&["tokens", "list", "-o"], "flag needs an argument: 'o' in -o", list),
        (&["tokens", "create", "--comment"], "flag needs an argument: --comment", create),
        (&["tokens", "list", "-o", "yaml"], "invalid argument \"yaml\" for \"-o, --output\" flag: accepted arguments are json and text", list),
        (
            &["-o", "yaml", "version"],
            "invalid argument \"yaml\" for \"-o, --output\" flag: accepted arguments are json and text",
            "databricks version [flags]\n",
        ),
        (
            &["tokens", "create", "--lifetime-seconds", "abc"],
            "invalid argument \"abc\" for \"--lifetime-seconds\" flag: strconv.ParseInt: parsing \"abc\": invalid syntax",
            create,
        ),
        (&["tokens", "list", "--limit", "x"], "invalid argument \"x\" for \"--limit\" flag: strconv.ParseInt: parsing \"x\": invalid syntax", list),
        (
            &["tokens", "create", "--autoscope-enabled=maybe"],
            "invalid argument \"maybe\" for \"--autoscope-enabled\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            create,
        ),
        (&["tokens", "list", "--debug=maybe"], "invalid argument \"maybe\" for \"--debug\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax", list),
        (&["tokens", "create", "x"], "accepts 0 arg(s), received 1", create),
        (&["current-user", "me", "x"], "accepts 0 arg(s), received 1", "databricks current-user me [flags]\n"),
        (&["clusters", "get", "a", "b"], "accepts at most 1 arg(s), received 2", "databricks clusters get CLUSTER_ID [flags]\n"),
        (&["version", "x"], "unknown command \"x\" for \"databricks version\"", "databricks version [flags]\n"),
        (&["tokens", "x"], "unknown command \"x\" for \"databricks tokens\"", "databricks tokens [command] [flags]\n"),
        (&["current-user", "x"], "unknown command \"x\" for \"databricks current-user\"", "databricks current-user [command] [flags]\n"),
    ] {
        fails_with_usage(&home, words, error, usage);
    }
    let outcome = home.run(["tokens", "create", "--lifetime", "abc"]);
    outcome.fails().says("Error: invalid argument \"abc\" for \"--lifetime\" flag: time: invalid duration \"abc\"").says("\n\nUsage:\n");
}

#[test]
fn a_slip_in_a_flag_is_corrected_between_blank_lines() {
    let home = Home::new();
    for (words, error, meant) in [
        (&["configure", "--hots", "x"] as &[&str], "unknown flag: --hots", "--host"),
        (&["auth", "env", "--porfile", "x"], "unknown flag: --porfile", "--profile"),
        (&["tokens", "create", "--coment", "x"], "unknown flag: --coment", "--comment"),
        (&["tokens", "list", "-P", "x"], "unknown shorthand flag: 'P' in -P", "-p"),
    ] {
        home.run(words).fails().says(&format!("Error: {error}\n\nDid you mean \"{meant}\"?\n\nUsage:\n"));
    }
    home.run("tokens list --zzzzzz").fails().lacks("Did you mean");
}

#[test]
fn a_negative_limit_is_refused_without_usage() {
    let (home, workspace) = Home::signed_in();
    home.run("tokens list --limit -1").fails().notes("Error: --limit must be a non-negative integer, got -1\n");
    home.run("clusters list --limit=-7").fails().notes("Error: --limit must be a non-negative integer, got -7\n");
    assert!(workspace.requests().is_empty());
}

#[test]
fn auth_switch_tells_its_mistakes_without_usage() {
    let home = Home::new();
    home.run("auth switch --nope").fails().notes("Error: unknown flag: --nope\n");
    home.run("auth switch x").fails().notes("Error: accepts 0 arg(s), received 1\n");
}

#[test]
fn unknown_commands_fail_except_below_auth() {
    let home = Home::new();
    home.run("nope").fails().notes("Error: unknown command \"nope\" for \"databricks\"\n");
    home.run("toknes list").fails().notes("Error: unknown command \"toknes\" for \"databricks\"\n\nDid you mean this?\n\ttokens\n");
    // Scripts see success and the help.
    let nope = home.run("auth nope");
    nope.ok().notes("").shows("databricks auth [command] [flags]").shows("describe");
    assert_eq!(nope.stdout, home.run("auth").ok().stdout);
    assert_eq!(home.run("auth nope more").ok().stdout, nope.stdout);
}

#[test]
fn help_is_data_and_no_error() {
    let home = Home::new();
    for words in ["", "tokens", "auth", "clusters", "current-user", "database"] {
        home.run(words).ok().notes("").shows("Usage:").shows("Commands:").shows("--profile");
    }
    for words in
        ["configure", "auth env", "tokens create", "tokens revoke", "clusters get", "current-user me", "database generate-database-credential", "version"]
    {
        let help = home.run(format!("{words} --help").as_str());
        help.ok().notes("").shows("Usage:").shows("Examples:\n").lacks("Options:");
        assert_eq!(home.run(format!("help {words}").as_str()).ok().stdout, help.stdout, "help {words}");
        assert_eq!(home.run(format!("{words} -h").as_str()).ok().stdout, help.stdout, "{words} -h");
    }
    home.run("help nope").ok().prints("").says("Unknown help topic [");
    home.run("help tokens nope").ok().prints("").says("Unknown help topic [");
    // Help wins over whatever else is wrong, and asks nothing of file or network.
    home.write_config(b"\0binary");
    home.run("tokens list --help").ok().notes("");
}

#[test]
fn auth_env_has_help_whether_listed_or_not() {
    let home = Home::new();
    home.run("auth env --help").ok().shows("databricks auth env [flags]");
}

#[test]
fn the_version_has_the_forms_that_sdks_probe() {
    let home = Home::new();
    for words in ["version", "--version", "-v", "version -o text", "-o TEXT version"] {
        home.run(words).ok().notes("").prints("Databricks CLI v1.0.0\n");
    }
    let json = home.run("version --output json");
    json.ok().notes("");
    let keys: Vec<_> = json.stdout.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
    assert_eq!(
        keys,
        [
            "ProjectName",
            "Version",
            "Branch",
            "Tag",
            "ShortCommit",
            "FullCommit",
            "CommitTime",
            "Summary",
            "Major",
            "Minor",
            "Patch",
            "Prerelease",
            "IsSnapshot",
            "BuildTime"
        ]
    );
    let version = json.json();
    assert_eq!((&version["Major"], &version["Minor"], &version["Patch"]), (&json!(1), &json!(0), &json!(0)));
    assert_eq!(version["Version"], "1.0.0");
    assert!(json.stdout.ends_with("}\n"));
    home.command("version").env("DATABRICKS_OUTPUT_FORMAT", "json").run().ok().shows("\"Major\": 1");
    home.command("version").env("DATABRICKS_OUTPUT_FORMAT", "nope").run().ok().prints("Databricks CLI v1.0.0\n");
    home.command("version -o text").env("DATABRICKS_OUTPUT_FORMAT", "json").run().ok().prints("Databricks CLI v1.0.0\n");
}

#[test]
fn flags_stand_anywhere_and_the_last_of_several_counts() {
    let (home, workspace) = Home::signed_in();
    home.write_config(format!("{}\n{}", home.config(), profile("other", "https://nobody.example", "dapi-of-nobody")));
    let plain = home.run("tokens list -o json").ok().stdout.clone();
    for words in [
        "-o json tokens list",
        "tokens -o json list",
        "tokens list --output=json",
        "tokens list --output JSON",
        "tokens list -ojson",
        "tokens list -o=json",
        "-p DEFAULT tokens list -o json",
        "-pDEFAULT tokens list -o json",
        "--profile=DEFAULT tokens list -o json",
        "tokens list -p other -p DEFAULT -o text -o json",
        "-p other tokens list -p DEFAULT -o json",
        "tokens list --debug=false -o json",
        "tokens list -o json -t dev",
        "tokens list ignored and ignored -o json",
        "tokens list -o json -- -x",
    ] {
        let outcome = home.run(words);
        let note =
            if words.ends_with("-t dev") { "Warning: target \"dev\" has no effect: neither this folder nor one above it has a databricks.yml\n" } else { "" };
        outcome.ok().notes(note);
        // The token's last use differs.
        let ids = |text: &str| -> Vec<Value> {
            let items: Vec<Value> = serde_json::from_str(text).unwrap();
            items.into_iter().map(|item| item["token_id"].clone()).collect()
        };
        assert_eq!(ids(&outcome.stdout), ids(&plain), "{words}");
    }
    assert!(workspace.requests().iter().all(|request| request.path == "/api/2.0/token/list"));
}

#[test]
fn deprecated_flags_are_told_and_work() {
    let home = Home::new();
    home.run("version -e dev").ok().notes("Flag --environment has been deprecated, use --target flag instead\n").prints("Databricks CLI v1.0.0\n");
    home.run("version --environment=dev").ok().notes("Flag --environment has been deprecated, use --target flag instead\n");
    home.run("version --progress-format append").ok().notes("Flag --progress-format has been deprecated, this flag is no longer functional\n");
    home.run("version --log-level nope --log-format json --log-file stderr").ok().notes("");
}

#[test]
fn extra_words_are_ignored_where_they_always_were() {
    let (home, workspace) = Home::signed_in();
    for words in ["auth describe a b", "auth profiles a", "tokens list a", "clusters list a b"] {
        home.run(words).ok();
    }
    home.command("auth env a b").reveals().run().ok();
    home.command("configure a b --host https://h.example -p other").stdin(workspace.token()).run().ok();
    assert!(home.config().contains("[other]"));
}

#[test]
fn json_is_sorted_indented_and_escaped_as_go_does_it() {
    let (home, workspace) = Home::signed_in();
    for format in ["text", "json"] {
        workspace.order(
            Fault::on("GET", "/api/2.1/clusters/get").reply(
                Response::new(200)
                    .body("application/json", r#"{"z":"<a> & b","empty":{},"none":[],"list":[1,{"b":2,"a":9007199254740993}],"a":1e400,"u":"é\u2028\u001b"}"#),
            ),
        );
        home.run(["clusters", "get", "x", "-o", format]).ok().notes("").prints(
            r#"{
  "a": 1e400,
  "empty": {},
  "list": [
    1,
    {
      "a": 9007199254740993,
      "b": 2
    }
  ],
  "none": [],
  "u": "é\u2028\u001b",
  "z": "\u003ca\u003e \u0026 b"
}
"#,
        );
    }
}

#[test]
fn lists_are_tables_or_arrays_of_the_contracts_form() {
    let (home, workspace) = Home::signed_in();
    let two =
        r#"{"token_infos":[{"token_id":"abc123","creation_time":1,"expiry_time":99999999999999999,"comment":"first <&>"},{"token_id":"d","expiry_time":-1}]}"#;
    let answer = |body: &str| workspace.order(Fault::on("GET", "/api/2.0/token/list").reply(Response::new(200).body("application/json", body.to_owned())));
    answer(two);
    home.run("tokens list -o json").ok().notes("").prints(
        "[\n  {\n    \"comment\": \"first \\u003c\\u0026\\u003e\",\n    \"creation_time\": 1,\n    \"expiry_time\": 99999999999999999,\n    \"token_id\": \"abc123\"\n  },\n  {\n    \"expiry_time\": -1,\n    \"token_id\": \"d\"\n  }\n]\n",
    );
    answer(two);
    home.run("tokens list").ok().notes("").prints("ID      Expiry time        Comment\nabc123  99999999999999999  first <&>\nd       never\n");
    answer(two);
    home.run("tokens list --limit 1 -o json").ok().shows("abc123").lacks("\"d\"").shows("\n]\n");
    answer(two);
    home.run("tokens list --limit 1").ok().prints("ID      Expiry time        Comment\nabc123  99999999999999999  first <&>\n");
    answer(two);
    home.run("tokens list --limit 0").ok().shows("\nd ");
    for empty in ["{}", r#"{"token_infos":[]}"#, r#"{"token_infos":null}"#] {
        answer(empty);
        home.run("tokens list -o json").ok().notes("").prints("[]\n");
        answer(empty);
        home.run("tokens list").ok().notes("").prints("ID  Expiry time  Comment\n");
    }
}

#[test]
fn pages_are_walked_and_a_limit_ends_the_walk() {
    let home = Home::new();
    let workspace = home.joins(Workspace::builder().clusters(250).start());
    home.write_config(profile("DEFAULT", workspace.url(), workspace.token()));
    let all = home.run("clusters list -o json");
    assert_eq!(all.ok().json().as_array().unwrap().len(), 250);
    assert_eq!(workspace.requests().len(), 3);
    let table = home.run("clusters list");
    assert_eq!(table.ok().stdout.lines().count(), 251);
    assert!(table.stdout.starts_with("ID                    Name"), "{table}");
    assert!(table.stdout.lines().nth(1).unwrap().starts_with("1234-567890-a12bcde3  my-cluster"), "{table}");
    workspace.clear_requests();
    assert_eq!(home.run("clusters list --limit 5 --page-size 5 -o json").ok().json().as_array().unwrap().len(), 5);
    assert_eq!(workspace.requests().len(), 1);
    assert_eq!(workspace.requests()[0].query("page_size"), Some("5"));
    workspace.clear_requests();
    home.run("clusters list --cluster-states RUNNING,,PENDING, --is-pinned --policy-id p --limit 1").ok();
    let query = &workspace.requests()[0].query;
    let states: Vec<_> = query.iter().filter(|(name, _)| name == "filter_by.cluster_states").map(|(_, value)| value.as_str()).collect();
    assert_eq!(states, ["RUNNING", "PENDING"]);
    assert_eq!(workspace.requests()[0].query("filter_by.is_pinned"), Some("true"));
    assert_eq!(workspace.requests()[0].query("filter_by.policy_id"), Some("p"));
}

#[test]
fn requests_carry_what_the_service_looks_at() {
    let (home, workspace) = Home::signed_in();
    home.write_config(format!("{}workspace_id = {}\n", home.config(), workspace.workspace_id()));
    home.run("current-user me").ok();
    let request = &workspace.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/api/2.0/preview/scim/v2/Me"));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {}", workspace.token()).as_str()));
    assert_eq!(request.header("x-databricks-workspace-id"), Some(workspace.workspace_id().to_string().as_str()));
    let agent = request.header("user-agent").unwrap();
    for part in [" cmd/current-user_me", " auth/pat", " interactive/none", " os/linux", " cmd-exec-id/"] {
        assert!(agent.contains(part), "{agent}");
    }
}

#[test]
fn an_invalid_token_is_told_with_who_asked_whom() {
    let (home, workspace) = Home::signed_in();
    let refusal = |status, message: &str| {
        workspace.order(Fault::on("GET", "/").reply(Response::error(status, "UNAUTHENTICATED", message)));
    };
    home.write_config(profile("bad", workspace.url(), workspace.token()));
    refusal(401, "Invalid access token.");
    let outcome = home.run("tokens list -p bad");
    let head = format!(
        "Error: Invalid access token.\n\nProfile:   bad\nHost:      {}\nAuth type: Personal Access Token (pat)\n\nNext steps:\n  - Regenerate your access token",
        workspace.url()
    );
    outcome.fails();
    assert!(outcome.stderr.starts_with(&head), "{outcome}");
    assert!(outcome.stderr.ends_with("  - Check your identity: databricks auth describe --profile bad\n"), "{outcome}");

    refusal(403, "You may not.");
    home.run("tokens list -p bad").fails().notes(&format!(
        "Error: You may not.\n\nProfile:   bad\nHost:      {}\nAuth type: Personal Access Token (pat)\n\nNext steps:\n  - Verify you have the required permissions for this operation\n  - Check your identity: databricks auth describe --profile bad\n",
        workspace.url()
    ));

    // Without a profile: no such line, and the advice to make one.
    refusal(403, "You may not.");
    home.command("tokens list").env("DATABRICKS_HOST", workspace.url()).env("DATABRICKS_TOKEN", workspace.token()).run().fails().notes(&format!(
        "Error: You may not.\n\nHost:      {}\nAuth type: Personal Access Token (pat)\n\nNext steps:\n  - Verify you have the required permissions for this operation\n  - Check your identity: databricks auth describe\n  - Consider setting up a profile: databricks configure --profile <name>\n",
        workspace.url()
    ));

    // A variable would win over whatever is stored.
    refusal(401, "Invalid access token.");
    home.command("tokens list -p bad").env("DATABRICKS_TOKEN", "other").run().fails().says("and store it: databricks configure --profile bad");
    refusal(401, "Invalid access token.");
    home.command("tokens list")
        .env("DATABRICKS_HOST", workspace.url())
        .env("DATABRICKS_TOKEN", workspace.token())
        .run()
        .fails()
        .says("  - Regenerate your access token (it comes from the DATABRICKS_TOKEN environment variable), or unset DATABRICKS_TOKEN to use a profile\n");

    let basic = |run: crate::harness::Run<'_>| {
        run.env("DATABRICKS_HOST", workspace.url()).env("DATABRICKS_USERNAME", workspace.basic_user()).env("DATABRICKS_PASSWORD", "not-the-password").run()
    };
    let outcome = basic(home.command("current-user me"));
    outcome.fails().says("Auth type: Basic\n").says("  - Check your username/password");
}

#[test]
fn other_errors_are_the_services_words_alone() {
    let (home, workspace) = Home::signed_in();
    for (body, words) in [
        (r#"{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Cluster x does not exist"}"#, "Cluster x does not exist"),
        (r#"{"error":"old form"}"#, "old form"),
        (r#"{"detail":"No such user","scimType":"invalidValue","status":"404"}"#, "invalidValue No such user"),
        ("<html><body><pre>\n  no page\n</pre></body></html>", "no page"),
        ("MALFORMED_REQUEST: not this way", "not this way"),
        ("something else", "something else"),
        ("", "Not Found"),
    ] {
        workspace.order(Fault::on("GET", "/").reply(Response::new(404).body("text/plain", body)));
        home.run("clusters get x").fails().notes(&format!("Error: {words}\n"));
    }
    workspace.order(Fault::on("GET", "/").reply(Response::html_login()));
    home.run("clusters get x").fails().says("Error: received HTML response instead of JSON");
}

#[test]
fn what_needs_an_answer_asks_nobody_without_a_terminal() {
    let (home, workspace) = Home::signed_in();
    home.write_config(format!("{}\n{}", home.config(), profile("other", workspace.url(), workspace.token())));
    for (words, error) in [
        ("tokens delete", "expected to have The ID of the token to be revoked"),
        ("tokens revoke", "expected to have The ID of the token to be revoked"),
        ("clusters get", "expected to have The cluster about which to retrieve information"),
        ("auth switch", "the command is being run in a non-interactive environment, please specify a profile using --profile"),
        ("configure -p new", "host must be set in non-interactive mode"),
        ("configure -p new --host=", "host must be set in non-interactive mode"),
        ("configure -p new --host https://h.example --configure-cluster", "cluster ID must be set in non-interactive mode"),
    ] {
        home.command(words).stdin("typed\ntoo\n").run().error(error);
        home.run(words).error(error);
    }
    assert!(workspace.requests().is_empty());
}

#[test]
fn on_a_terminal_with_no_color_nothing_is_asked_either() {
    let (home, _workspace) = Home::signed_in();
    for variables in [[("NO_COLOR", "1")], [("TERM", "dumb")], [("MSYSTEM", "MINGW64")]] {
        let outcome = home.typing_with("tokens delete", &variables).end();
        assert_eq!(outcome.status.code(), Some(1), "{outcome}");
        outcome.says("expected to have The ID of the token to be revoked");
    }
}

#[test]
fn e5_data_has_the_same_bytes_whether_a_person_watches_or_not() {
    let (home, workspace) = Home::signed_in();
    let words = [
        "version",
        "help tokens",
        "auth profiles",
        "auth describe",
        "auth describe -o json",
        "auth env",
        "auth env --format sh",
        "tokens list",
        "clusters list",
        "clusters list -o json",
        "clusters get 1234-567890-a12bcde3",
        "current-user me",
        "api get /api/2.1/clusters/list --paginate",
        "completion bash",
    ];
    for words in words {
        // Only what hands a credential over shows it.
        let hands_over = words.starts_with("auth env");
        let run = home.command(words);
        let piped = if hands_over { run.reveals().run() } else { run.run() };
        home.typing_script(&format!("databricks {words} > data")).end().ok().lacks("\u{1b}[").lacks(workspace.token());
        let watched = std::fs::read_to_string(home.work().join("data")).unwrap();
        assert_eq!(watched, piped.ok().stdout, "{words}");
        assert_eq!(watched.contains(workspace.token()), hands_over, "{words}");
        std::fs::remove_file(home.work().join("data")).unwrap();
    }
}
