//! What `__complete` answers, and what it costs.

use std::fs;
use std::process::Command;

use super::{Home, PROGRAM};
use crate::workspace::Workspace;

#[test]
fn the_protocol_is_the_one_that_installed_scripts_speak() {
    let home = Home::with_profiles(["dev", "a b"]);
    let output = home.run(&["__complete", "auth", "describe", "--profile", ""]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "dev\thttps://w0.cloud.databricks.com\na b\thttps://w1.cloud.databricks.com\n:4\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Completion ended with directive: ShellCompDirectiveNoFileComp\n");
    let output = home.run(&["__completeNoDesc", "-p", ""]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "dev\na b\n:4\n");
    let output = home.run(&["__complete"]);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), "Error: requires at least 1 arg(s), only received 0\n"));
}

#[test]
fn every_place_of_a_command_line_is_answered() {
    let home = Home::with_profiles(["dev", "prod-eu", "prod-us"]);
    let table: &[(&[&str], &[&str])] = &[
        (&["to"], &["token-management", "tokens"]),
        (&["tokens", ""], &["create", "delete", "list", "update"]),
        (&["tokens", "re"], &["revoke"]),
        (&["-p", "dev", "tokens", "cre"], &["create"]),
        (&["--debug", "tokens", "cre"], &["create"]),
        (&["-p", "pr"], &["prod-eu", "prod-us"]),
        (&["tokens", "list", "--profile", "pr"], &["prod-eu", "prod-us"]),
        // To --flag= the value alone; to a glued value the whole word.
        (&["tokens", "list", "--profile=prod-u"], &["prod-us"]),
        (&["tokens", "list", "-p=prod-u"], &["prod-us"]),
        (&["tokens", "list", "-pprod-u"], &["-pprod-us"]),
        (&["tokens", "list", "--prof"], &["--profile"]),
        (&["tokens", "list", "-p", "dev", "--prof"], &[]),
        (&["tokens", "list", "--lim"], &["--limit"]),
        (&["tokens", "create", "--li"], &["--lifetime-seconds", "--lifetime"]),
        (&["-o", ""], &["text", "json"]),
        (&["tokens", "list", "--output=j"], &["json"]),
        (&["--log-level", "w"], &["warn"]),
        (&["--debug="], &["true", "false"]),
        (&["auth", "describe", "--host", "https://w1"], &["https://w1.cloud.databricks.com"]),
        (&["auth", "describe", "--host", "w1"], &["w1.cloud.databricks.com"]),
        (&["configure", "--host="], &["https://w0.cloud.databricks.com", "https://w1.cloud.databricks.com", "https://w2.cloud.databricks.com"]),
        (&["completion", "install", "--shell", "power"], &["powershell", "powershell5"]),
        (&["auth", "env", "--format", "s"], &["sh", "systemd"]),
        (&["auth", "netrc", "s"], &["show"]),
        (&["api", "get", "/api/2.0/token/"], &["/api/2.0/token/list"]),
        (&["api", "post", "/api/2.0/token/"], &["/api/2.0/token/create", "/api/2.0/token/delete"]),
        (&["help", "env"], &["environment"]),
        (&["help", "tokens", "del"], &["delete"]),
        (&["help", "tokens", "nope", ""], &[]),
        // Behind -- there are no flags, and where nothing fits nothing is offered.
        (&["tokens", "list", "--", "--prof"], &[]),
        (&["version", ""], &[]),
        (&["auth", "describe", "--account-id", ""], &[]),
        (&["tokens", "create", "--comment", "--prof"], &[]),
        (&["nope", ""], &[]),
        (&["tokens", "nope", ""], &[]),
        (&["--nope", "toke"], &["token-management", "tokens"]),
        (&["-"], &["--version", "-v", "--help", "-h", "--profile", "-p", "--output", "-o", "--target", "-t", "--debug"]),
    ];
    for (words, wanted) in table {
        assert_eq!(&home.candidates(words), wanted, "{words:?}");
    }
    for (words, directive) in
        [(&["--log-file", ""][..], ":0\n"), (&["nope", ""], ":0\n"), (&["-p", "x"], ":4\n"), (&["tokens", "list", "--comment", ""], ":4\n")]
    {
        assert!(home.complete(words).ends_with(directive), "{words:?}");
    }
}

#[test]
fn what_commands_saw_is_offered_at_its_workspace_only() {
    let workspace = Workspace::builder().clusters(3).start();
    let home = Home::new();
    let url = workspace.url();
    home.write(
        ".databrickscfg",
        &format!("[ours]\nhost = {url}\ntoken = {}\n[other]\nhost = https://other.cloud.databricks.com\ntoken = dapi\n", workspace.token()),
    );
    let ids = |words: &[&str]| home.candidates(words);
    assert_eq!(ids(&["clusters", "get", "-p", "ours", ""]), [""; 0]);

    assert!(home.run(&["clusters", "list", "-p", "ours"]).status.success());
    assert!(home.run(&["tokens", "list", "-p", "ours", "-o", "json"]).status.success());
    assert_eq!(ids(&["clusters", "get", "-p", "ours", ""]).len(), 3);
    assert_eq!(ids(&["-p", "ours", "clusters", "get", "1234-567890-a12"]), ["1234-567890-a12bcde3"]);
    assert!(home.complete(&["clusters", "get", "-p", "ours", "1234-567890-a12"]).starts_with("1234-567890-a12bcde3\t"), "with its name");
    assert_eq!(ids(&["clusters", "get", "-p", "other", ""]), [""; 0]);
    assert_eq!(ids(&["clusters", "get", "x", "-p", "ours", ""]), [""; 0], "it takes one");

    // A part of a list takes nothing away; what is deleted is offered no more.
    assert!(home.run(&["clusters", "list", "-p", "ours", "--limit", "1"]).status.success());
    assert_eq!(ids(&["clusters", "get", "-p", "ours", ""]).len(), 3);
    let minted = workspace.mint_token("to go", None);
    assert!(home.run(&["tokens", "list", "-p", "ours"]).status.success());
    assert!(ids(&["tokens", "delete", "-p", "ours", ""]).contains(&minted.id));
    assert!(home.run(&["tokens", "delete", &minted.id, "-p", "ours"]).status.success());
    let left = ids(&["tokens", "delete", "-p", "ours", ""]);
    assert!(!left.is_empty() && !left.contains(&minted.id), "{left:?}");

    let minting = ["database", "generate-database-credential", "-p", "ours"];
    assert!(home.run(&[&minting[..], &["my-instance"]].concat()).status.success());
    assert!(!home.run(&[&minting[..], &["-p", "other", "--json", "{"]].concat()).status.success());
    assert_eq!(ids(&[&minting[..], &["my"]].concat()), ["my-instance"]);
    assert_eq!(ids(&[&minting[..], &["my-instance", "my"]].concat()), [""; 0], "each once");

    // Private, without a secret, and gone when it is turned off.
    let folder = home.path(".cache/databricks/names");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&files[0])), (0o700, 0o600));
    }
    assert!(!fs::read_to_string(&files[0]).unwrap().contains("dapi"));
    let off = home.command(PROGRAM).args(["__complete", "clusters", "get", "-p", "ours", ""]).env("DATABRICKS_CACHE_ENABLED", "false").output().unwrap();
    assert_eq!(off.stdout, b":4\n");
}

#[test]
fn a_cache_that_cannot_be_written_fails_no_command() {
    let workspace = Workspace::start();
    let home = Home::new();
    home.write("taken", "a file where the folder should be");
    for (variable, value) in [
        ("DATABRICKS_CACHE_DIR", home.path("taken").display().to_string()),
        ("DATABRICKS_CACHE_DIR", "/proc/none".to_owned()),
        ("DATABRICKS_CACHE_ENABLED", "0".to_owned()),
    ] {
        let mut command = home.command(PROGRAM);
        let output = command
            .args(["tokens", "list"])
            .env("DATABRICKS_HOST", workspace.url())
            .env("DATABRICKS_TOKEN", workspace.token())
            .env(variable, value)
            .output()
            .unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    assert!(!home.path(".cache").exists());
}

#[test]
fn names_are_data_whatever_they_are() {
    let long = "n".repeat(10_000);
    let home = Home::new();
    let file = format!(
        "[{long}]\nhost = h.example\n[tab\there]\nhost = h.example\n[esc\u{1b}[2J]\nhost = h.example\n[bidi\u{202e}x]\nhost = h.example\n[told]\nhost = a\tb\u{1b}c\n[no-host]\ntoken = x\n[dev]\nhost = h.example\n[dev]\ntoken = x\n"
    );
    home.write(".databrickscfg", &file);
    assert_eq!(home.candidates(&["-p", ""]), [long.as_str(), "told", "dev"]);
    assert!(home.complete(&["-p", "to"]).starts_with("told\ta b c\n"));
    assert_eq!(home.candidates(&["-p", &long]), [long.as_str()]);
    assert_eq!(home.candidates(&[long.as_str()]), [""; 0]);
}

#[test]
fn a_file_that_cannot_be_read_has_no_names() {
    let home = Home::new();
    for bytes in [&b"\0binary"[..], b"[open\nhost", b"\xff\xfe[x]", b""] {
        fs::write(home.path(".databrickscfg"), bytes).unwrap();
        for words in [&["-p", ""][..], &["clusters", "get", ""], &["auth", "describe", "--host", ""]] {
            assert_eq!(home.complete(words), ":4\n");
        }
    }
    fs::write(home.path(".databrickscfg"), "= broken\n[good]\nhost = h.example\nno delimiter\n").unwrap();
    assert_eq!(home.candidates(&["-p", ""]), ["good"]);
    fs::remove_file(home.path(".databrickscfg")).unwrap();
    fs::create_dir(home.path(".databrickscfg")).unwrap();
    assert_eq!(home.complete(&["-p", ""]), ":4\n");
}

#[test]
fn twenty_thousand_profiles_are_answered_whole() {
    let names: Vec<String> = (0..20_000).map(|number| format!("profile-{number}")).collect();
    let home = Home::with_profiles(names.iter().map(String::as_str));
    assert_eq!(home.candidates(&["-p", ""]), names);
    assert_eq!(home.candidates(&["-p", "profile-19999"]), ["profile-19999"]);
}

#[test]
fn the_scripts_in_the_repository_are_the_ones_that_are_printed() {
    let home = Home::new();
    for (shell, file) in [("bash", "databricks.bash"), ("zsh", "_databricks"), ("fish", "databricks.fish"), ("powershell", "databricks.ps1")] {
        let output = home.run(&["completion", shell]);
        let script = fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(file)).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), script);
        let bare = String::from_utf8(home.run(&["completion", shell, "--no-descriptions"]).stdout).unwrap();
        assert!(bare.contains("__completeNoDesc") && !bare.contains("__complete "), "{shell}");
    }
}

#[test]
fn every_topic_is_told() {
    let home = Home::new();
    let help = String::from_utf8(home.run(&["help"]).stdout).unwrap();
    for (topic, word) in [
        ("auth-types", "auth_type"),
        ("completion", "completion install"),
        ("config", ".databrickscfg"),
        ("environment", "DATABRICKS_CACHE_DIR"),
        ("exit-codes", "Error: "),
    ] {
        assert!(help.contains(&format!("  {topic} ")), "{topic}");
        let output = home.run(&["help", topic]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains(word), "{topic}");
    }
}

/// Security rule: nothing but the profile file is asked.
#[cfg(target_os = "linux")]
#[test]
fn no_socket_no_thread_and_one_read() {
    let home = Home::with_profiles(["dev"]);
    let trace = home.path("trace");
    for (words, reads) in
        [(&["-p", ""][..], 1), (&["tokens", ""], 0), (&["tokens", "list", "--"], 0), (&["clusters", "get", "-p", "dev", ""], 1), (&["nope", ""], 0)]
    {
        let output = home.command("/usr/bin/strace").arg("-f").arg("-o").arg(&trace).arg(PROGRAM).arg("__complete").args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let calls = fs::read_to_string(&trace).unwrap();
        for call in ["socket(", "connect(", "clone(", "clone3(", "fork(", "O_CREAT", "mkdir"] {
            assert!(!calls.contains(call), "{words:?}: {call}\n{calls}");
        }
        assert_eq!(calls.lines().filter(|line| line.contains("open") && line.contains(".databrickscfg\"")).count(), reads, "{words:?}\n{calls}");
    }
}

/// The completion script that the official CLI installs, for bash with its package: what it does is call `__complete` and split at tabs and the last colon.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_can_be_taken_apart_as_installed_scripts_do() {
    let home = Home::with_profiles(["a b", "c:d"]);
    let script = r#"out=$("$1" __complete -p '' 2>/dev/null); directive=${out##*:}; out=${out%:*}; printf '%s|' "$directive"; while IFS='' read -r comp; do [ -z "$comp" ] || printf '%s|' "${comp%%$(printf '\t')*}"; done <<EOF
$out
EOF"#;
    let mut command: Command = home.command("/bin/bash");
    let output = command.args(["-c", script, "sh", PROGRAM]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "4|a b|c:d|");
}
