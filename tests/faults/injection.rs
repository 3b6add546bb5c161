//! B1, B7: text that would become something else where it is written or sent.

use std::collections::BTreeSet;

use super::bench::{Bench, DATABRICKS, finish, has};
use crate::workspace::Workspace;

const BEFORE: &str = "[DEFAULT]\nhost = https://a.example\ntoken = dapi-old\n";

/// Text that is refused wherever a line is written, and how it is shown.
fn hostile() -> Vec<(String, &'static str)> {
    vec![
        ("a]\n[evil".into(), "a]\\n[evil"),
        ("a\nhost = https://evil.example".into(), "a\\nhost"),
        ("a\rb".into(), "a\\rb"),
        ("a\u{1b}[2Jb".into(), "a\\u{1b}[2Jb"),
        ("a\u{9b}2J".into(), "a\\u{9b}2J"),
        ("a\u{202e}b".into(), "a\\u{202e}b"),
        ("a\u{7f}b".into(), "a\\u{7f}b"),
        ("a\u{2028}b".into(), "a\\u{2028}b"),
        ("a]b".into(), "a]b"),
        (";#[a".into(), ";#[a"),
        ("x".repeat(100_000), "xxxxxxxx"),
    ]
}

/// Nothing unsafe and nothing of that length was said, nor was anything written.
fn nothing_happened(bench: &Bench, outcome: &super::bench::Outcome) {
    assert!(outcome.stdout.is_empty(), "{outcome}");
    let said = outcome.stderr();
    assert!(!said.contains(|c: char| c.is_control() && c != '\n' && c != '\t') && !said.contains(['\u{202e}', '\u{2028}']), "{outcome}");
    assert!(said.len() < 8_000, "a message of {} bytes", said.len());
    assert_eq!(bench.read_config().unwrap(), BEFORE.as_bytes(), "{outcome}");
    assert_eq!(bench.files().len(), 1);
}

#[test]
fn b1_profile_names_that_would_change_the_file() {
    for (name, shown) in hostile() {
        let bench = Bench::new();
        bench.write_config(BEFORE);
        let outcome = bench.run_with_stdin(&["configure", "--host", "https://b.example", "--profile", &name], "dapi-new").failed_with(&[shown]);
        nothing_happened(&bench, &outcome);
        let outcome = bench.run(&["auth", "switch", "--profile", &name]).failed_with(&[shown]);
        nothing_happened(&bench, &outcome);
        if name.len() < 10_000 {
            let bench = bench.set("DATABRICKS_CONFIG_PROFILE", &name);
            let outcome = bench.run_with_stdin(&["configure", "--host", "https://b.example"], "dapi-new").failed_with(&[shown]);
            nothing_happened(&bench, &outcome);
        }
    }
}

#[test]
fn b1_odd_names_that_are_taken_are_one_profile_for_every_reader() {
    let python = has("python3", &["-c", "import configparser"]);
    for name in [";a", "#a", "a;b", "a#b", "a = b", "a: b", "%(x)s", "../../x", "-rf", "\\", "a\\", "\"a\"", "'a'", "$(touch P)", "\u{e9}", "a\u{a0}b", "`a`"] {
        let bench = Bench::new();
        bench.write_config(BEFORE);
        let outcome = bench.run_with_stdin(&["configure", "--host", "https://b.example", &format!("--profile={name}")], "dapi-new");
        if outcome.code() != 0 {
            nothing_happened(&bench, &outcome);
            continue;
        }
        let listed = bench.run(&["auth", "profiles", "--skip-validate", "-o", "json"]).succeeded();
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        let names: Vec<_> = listed["profiles"].as_array().unwrap().iter().map(|profile| profile["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["DEFAULT", name]);
        bench.run(&["auth", "env", &format!("--profile={name}")]).succeeded();
        if python {
            let script =
                "import configparser, sys\nc = configparser.ConfigParser()\nc.read(sys.argv[1])\nassert c[sys.argv[2]]['token'] == 'dapi-new', list(c)";
            finish(bench.program("python3").args(["-c", script]).arg(bench.config()).arg(name), None).succeeded();
        }
    }
}

#[test]
fn b1_hosts_that_would_change_the_file() {
    for (name, shown) in hostile() {
        for host in [format!("https://{name}"), format!("https://h.example/{name}"), name.clone()] {
            let bench = Bench::new();
            bench.write_config(BEFORE);
            let outcome = bench.run_with_stdin(&["configure", "--host", &host, "--profile", "b"], "dapi-new");
            // In a path, which is dropped, brackets do no harm.
            if host.starts_with("https://h.example/") && outcome.code() == 0 {
                let text = String::from_utf8(bench.read_config().unwrap()).unwrap();
                assert!(text.contains("\nhost  = https://h.example\n") && !name.contains(char::is_control), "{outcome}: {text}");
                continue;
            }
            nothing_happened(&bench, &outcome.failed_with(&[shown.trim_end_matches('b')]));
            if host.len() < 10_000 {
                let bench = bench.set("DATABRICKS_HOST", &host);
                nothing_happened(&bench, &bench.run_with_stdin(&["configure", "--profile", "b"], "dapi-new").failed_with(&[]));
            }
        }
    }
}

#[test]
fn b1_tokens_that_would_change_the_file_are_refused_and_never_shown() {
    let mut tokens: Vec<Vec<u8>> = hostile().into_iter().map(|(text, _)| format!("s3cr{text}s3cr").into_bytes()).collect();
    tokens.retain(|token| !token.starts_with(b"s3cra]b") && !token.starts_with(b"s3cr;#["));
    tokens.extend([
        b"s3cr\0et".to_vec(),
        b"\0".to_vec(),
        b"s3cr et".to_vec(),
        b"s3cr\xff\xfe".to_vec(),
        b"s3cr\tet".to_vec(),
        b";s3cr".to_vec(),
        b"#s3cr".to_vec(),
    ]);
    tokens.extend([b"s3cr%et".to_vec(), b"\"s3cr\"".to_vec(), b"`s3cr`".to_vec(), b"s3cr\\".to_vec(), b"s3cr\xe2\x80\xaeet".to_vec()]);
    for token in tokens {
        let configure = ["configure", "--host", "https://b.example", "--profile", "b"];
        let bench = Bench::new();
        bench.write_config(BEFORE);
        let stdin_ends_at_a_line = token.contains(&b'\n');
        let outcome = bench.run_with_stdin(&configure, &token);
        if stdin_ends_at_a_line && outcome.code() == 0 {
            // Of standard input the first line counts.
            assert!(!String::from_utf8(bench.read_config().unwrap()).unwrap().contains("evil"));
        } else {
            let outcome = outcome.failed_with(&["token"]);
            assert!(!outcome.stderr().contains("s3cr"), "{outcome}");
            nothing_happened(&bench, &outcome);
        }
        let Ok(text) = String::from_utf8(token) else { continue };
        if !text.contains('\0') && text.len() < 10_000 {
            let bench = Bench::new().set("DATABRICKS_TOKEN", &text);
            bench.write_config(BEFORE);
            let outcome = bench.run_with_stdin(&configure, "").failed_with(&["token"]);
            assert!(!outcome.stderr().contains("s3cr"), "{outcome}");
            nothing_happened(&bench, &outcome);
        }
    }
}

#[test]
fn b1_cluster_ids_that_would_change_the_file() {
    for (id, _) in hostile() {
        if id.len() > 10_000 || !id.contains(char::is_control) {
            continue;
        }
        let bench = Bench::new().set("DATABRICKS_CLUSTER_ID", &id);
        bench.write_config(BEFORE);
        let outcome = bench.run_with_stdin(&["configure", "--host", "https://b.example", "--profile", "b"], "dapi-new").failed_with(&["cluster_id"]);
        nothing_happened(&bench, &outcome);
    }
}

#[test]
fn b1_what_is_sent_stays_one_value_of_one_field() {
    let workspace = Workspace::start();
    let bench = Bench::with_profile(&workspace, "");
    for (text, _) in hostile() {
        workspace.clear_requests();
        let created = bench.run(&["tokens", "create", "--comment", &text]);
        for request in workspace.requests() {
            assert_eq!(request.json(), serde_json::json!({ "comment": text }), "{created}");
        }
        bench.run(&["tokens", "update", &text, "--json", "{\"token\":{\"comment\":\"x\"},\"update_mask\":\"comment\"}"]).code();
        bench.run(&["clusters", "get", &text]).code();
        for request in workspace.requests() {
            match request.method.as_str() {
                "GET" => {
                    assert_eq!(request.path, "/api/2.1/clusters/get");
                    assert_eq!(request.query, [("cluster_id".to_owned(), text.clone())]);
                }
                "PATCH" => assert_eq!(request.path.matches('/').count(), 4, "{}", request.path),
                _ => assert_eq!(request.path, "/api/2.0/token/create"),
            }
        }
    }
    workspace.clear_requests();
    // An id that is a path leads nowhere else.
    for id in ["../create", "..", ".", "a/b", "a?b", "a#b", "%2e%2e", "//evil.example", "\\..\\x", ""] {
        let outcome = bench.run(&["tokens", "update", id, "--json", "{\"token\":{\"comment\":\"x\"},\"update_mask\":\"comment\"}"]);
        assert_eq!(outcome.code(), 1, "{id:?}: {outcome}");
    }
    for request in workspace.requests() {
        assert!(request.path.starts_with("/api/2.0/token/") && request.path.matches('/').count() == 4 && request.query.is_empty(), "{}", request.target);
        assert_ne!(request.path, "/api/2.0/token/create");
    }
}

#[test]
fn b1_json_with_odd_bytes_is_refused_and_shown_escaped() {
    let workspace = Workspace::start();
    let bench = Bench::with_profile(&workspace, "");
    let deep = "[".repeat(100_000);
    let big = format!("{{\"comment\":\"{}\"", "x".repeat(90_000));
    for json in
        ["{\"comment\":\"a\u{1b}[2J\"}", "\u{1b}]0;pwned\u{7}", "{\"a\nb\":1}", "{\"\\u001b]0;x\\u0007\":1}", "{\"comment\":\"a\u{0}", "\u{202e}", &deep, &big]
    {
        let outcomes = [
            bench.run_with_stdin(&["tokens", "create", "--json", "-"], json),
            if json.contains('\0') { continue } else { bench.run(&["tokens", "create", "--json", json]) },
        ];
        for outcome in outcomes {
            let outcome = outcome.failed_with(&[]);
            let said = outcome.stderr();
            assert!(!said.contains(|c: char| c.is_control() && c != '\n' && c != '\t') && !said.contains('\u{202e}') && said.len() < 8_000, "{outcome}");
        }
    }
    assert_eq!(workspace.requests().len(), 0, "a token was asked for");
}

#[test]
fn b1_credentials_from_files_and_environment_that_no_header_can_hold_are_not_sent() {
    let workspace = Workspace::start();
    for token in ["s3cr\u{1b}et", "s3cr\ret", "s3cr\net", "s3cr\u{1}"] {
        let bench = Bench::new().set("DATABRICKS_HOST", workspace.url()).set("DATABRICKS_TOKEN", token);
        let outcome = bench.run(&["tokens", "list"]).failed_with(&[]);
        assert!(!outcome.stderr().contains("s3cr"), "{outcome}");
    }
    assert_eq!(workspace.requests().len(), 0);
}

#[test]
fn b7_names_that_are_paths_open_nothing_outside() {
    if !has("strace", &["-qq", "true"]) {
        return;
    }
    for name in ["../../x", "/abs", ".", "..", "CON", "a/b", "~root"] {
        let bench = Bench::new();
        bench.write_config(BEFORE);
        let trace = bench.around().join("trace");
        let mut opened = BTreeSet::new();
        let profile = format!("--profile={name}");
        for arguments in [
            &["configure", "--host", "https://b.example", &profile][..],
            &["auth", "env", &profile],
            &["auth", "describe", "--offline", &profile],
            &["auth", "switch", &profile],
            &["tokens", "list", &profile],
        ] {
            let mut command = bench.program("strace");
            command.args(["-f", "-qq", "-e", "trace=%file", "-o"]).arg(&trace).arg(DATABRICKS).args(arguments);
            command.env("HTTPS_PROXY", "http://127.0.0.1:9");
            finish(&mut command, Some(b"dapi-new\n"));
            let traced = std::fs::read_to_string(&trace).unwrap();
            opened.extend(traced.lines().filter_map(|line| Some(line.split('"').nth(1)?.to_owned())));
        }
        let home = bench.home().to_string_lossy().into_owned();
        let system = ["/etc/", "/lib", "/usr/", "/proc/self/", "/sys/", "/dev/null", "/opt/", "/nix/"];
        for path in &opened {
            let allowed = path.starts_with(&home) || system.iter().any(|folder| path.starts_with(folder)) || path == DATABRICKS || path.is_empty();
            assert!(allowed && !path.split('/').any(|part| part == ".."), "profile {name:?}: {path} was touched");
            assert!(
                !path.starts_with(&home) || *path == home || path.contains("databrickscfg") || path.contains("netrc"),
                "profile {name:?}: {path} was touched"
            );
        }
    }
}
