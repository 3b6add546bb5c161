//! B5: whatever a server or a file puts into a field, the terminal is told nothing by it.

use std::process::Stdio;

use serde_json::{Value, json};

use super::bench::{ASKING, Bench, for_each};
use crate::terminal::pty::Pty;
use crate::workspace::{Fault, Framing, Response, Workspace};

/// Title, clear, link, clipboard, C1 control, direction override, and a line that looks like a row.
const HOSTILE: &str = "\u{1b}]0;pwned\u{7}\u{1b}[2J\u{1b}]8;;http://evil.example\u{1b}\\x\u{1b}]8;;\u{1b}\\\u{1b}]52;c;cHduZWQ=\u{7}\u{9b}31m\u{85}\u{202e}abc\u{2066}\u{7f}\u{8}\r\nFAKE-ROW  never\r\n\tFAKE-ROW\n";

/// Replies for every command at once: each field of each shape is hostile, keys too.
fn hostile_reply(text: &str) -> Value {
    let mut reply = json!({
        "token_infos": [{"token_id": text, "comment": text, "creation_time": text, "expiry_time": -1, "created_by_username": text, text: text}],
        "clusters": [{"cluster_id": text, "cluster_name": text, "state": text, "spark_version": {text: [text]}}],
        "versions": [{"key": text, "name": text}],
        "token_value": text, "token_info": {"token_id": text, "comment": text},
        "token": text, "expiration_time": text,
        "userName": text, "displayName": text, "id": text, "emails": [{"value": text}],
        "cluster_id": text, "cluster_name": text,
    });
    reply[text] = json!({ text: text });
    reply
}

/// No byte may command a terminal but those that we are known to send ourselves; no line of ours begins as theirs.
fn is_clean(bytes: &[u8], terminal: bool, what: &str) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{what}: not UTF-8: {error}"));
    let mut text = text.to_owned();
    if terminal {
        // Colours, the end of a progress line, and what the terminal makes of a line feed.
        for colour in ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[32m", "\u{1b}[31m", "\u{1b}[36m", "\u{1b}[34m", "\u{1b}[1;34m", "\u{1b}[33m", "\u{1b}[K", "\u{1b}[2m"]
        {
            text = text.replace(colour, "");
        }
        text = text.replace("\r\n", "\n").replace('\r', "");
    }
    let odd = text.find(|c: char| {
        (c < ' ' && c != '\n' && c != '\t')
            || matches!(c, '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    });
    if let Some(at) = odd {
        let before: String = text[..at].chars().rev().take(60).collect();
        let before: String = before.chars().rev().collect();
        panic!("{what}: {:?} behind {before:?}", text[at..].chars().next());
    }
    assert!(!text.lines().any(|line| line.starts_with("FAKE-ROW") || line.starts_with("\tFAKE-ROW")), "{what}: a line of the server's own\n{text}");
}

fn run_everywhere(bench: &Bench, what: &str) {
    let configure: &[&str] = &["configure", "--host", "", "--profile", "new", "--verify"];
    let extra: &[&[&str]] = &[&["tokens", "list", "--debug"], &["current-user", "me", "--debug"], configure];
    for arguments in ASKING.iter().chain(extra) {
        let host = bench.environment().into_iter().find(|(name, _)| name == "WORKSPACE").unwrap().1;
        let arguments: Vec<&str> = arguments.iter().map(|word| if word.is_empty() { host.as_str() } else { word }).collect();
        let what = format!("{what}: {arguments:?}");
        let outcome = bench.run_with_stdin(&arguments, "dapi123\n");
        outcome.code();
        is_clean(&outcome.stdout, false, &what);
        is_clean(&outcome.stderr, false, &what);
        let command = bench.on_terminal(&arguments);
        if arguments[0] == "configure" {
            continue;
        }
        let mut pty = Pty::spawn(&command);
        pty.wait();
        is_clean(pty.raw(), true, &format!("{what} on a terminal"));
    }
}

/// A bench whose commands find the workspace.
fn bench(workspace: &Workspace) -> Bench {
    let bench = Bench::new().set("WORKSPACE", workspace.url());
    bench.write_config(format!("[DEFAULT]\nhost = {}\ntoken = {}\nretry_timeout_seconds = 0\nhttp_timeout_seconds = 2\n", workspace.url(), workspace.token()));
    bench
}

#[test]
fn b5_fields_of_good_replies() {
    let workspace = Workspace::start();
    workspace.order(Fault::on("*", "/").reply(Response::json(200, &hostile_reply(HOSTILE))).forever());
    run_everywhere(&bench(&workspace), "fields");
}

#[test]
fn b5_fields_that_are_huge() {
    let workspace = Workspace::start();
    let text = HOSTILE.repeat((1 << 20) / HOSTILE.len());
    workspace.order(Fault::on("*", "/").reply(Response::json(200, &hostile_reply(&text))).forever());
    let bench = bench(&workspace);
    for_each(ASKING, |arguments| {
        let outcome = bench.run(arguments);
        outcome.code();
        is_clean(&outcome.stdout, false, &format!("{arguments:?}"));
        is_clean(&outcome.stderr, false, &format!("{arguments:?}"));
        assert!(outcome.stderr.len() < 20_000, "{arguments:?}: {} bytes of talk", outcome.stderr.len());
    });
}

#[test]
fn b5_error_replies_of_every_shape() {
    let raw = HOSTILE.as_bytes();
    let page = [b"<html><pre>".as_slice(), raw, b"\x1b[31m\x9b\xff</pre></html>"].concat();
    let replies = [
        Response::error(400, HOSTILE, HOSTILE),
        Response::error(403, "PERMISSION_DENIED", HOSTILE),
        Response::refusal(401, HOSTILE),
        Response::scim_error(409, Some(HOSTILE), HOSTILE),
        Response::json(400, &json!({"error": HOSTILE, "error_description": HOSTILE})),
        Response::json(500, &json!({"error": {"code": HOSTILE, "message": HOSTILE, "details": [{"request_id": HOSTILE}]}})),
        Response::new(500).body("text/html", page),
        Response::new(500).body("text/plain", [b"CODE: ", raw, b"\x9b31m\xff"].concat()),
        Response::new(502).body("text/plain", raw),
        Response::new(404).body("application/json", b"{\"message\": \"a\x1b[31m\x9b\xff\"}".to_vec()),
        Response::new(200).body("application/json", b"{\"token_infos\": \"a\x1b[31m\x9b\xff\"}".to_vec()),
        Response::new(200).body("application/json", raw),
        Response::new(302).header("Location", "https://evil.example/\u{1b}[2J\u{9b}31m"),
        Response::new(307).header("Location", "https://\u{202e}evil\u{9b}.example/"),
        Response::new(400).header("X-Request-Id", "\u{9b}31m\u{202e}").header("X-Databricks-Reason-Phrase", "\u{9b}31m"),
    ];
    for_each(&replies, |reply| {
        let workspace = Workspace::start();
        // Header texts pass through unchecked by the workspace; a bare line feed would only make another header.
        workspace.order(Fault::on("*", "/").reply(reply.clone()).forever());
        run_everywhere(&bench(&workspace), &format!("{reply:?}").chars().take(200).collect::<String>());
    });
}

#[test]
fn b5_json_gives_the_value_back_as_it_was() {
    let workspace = Workspace::start();
    workspace.order(Fault::on("*", "/").reply(Response::json(200, &hostile_reply(HOSTILE))).forever());
    let bench = bench(&workspace);
    let parsed = |arguments: &[&str]| -> Value { serde_json::from_slice(&bench.run(arguments).succeeded().stdout).unwrap() };
    assert_eq!(parsed(&["tokens", "list", "-o", "json"])[0]["comment"], HOSTILE);
    assert_eq!(parsed(&["clusters", "list", "-o", "json"])[0]["cluster_name"], HOSTILE);
    assert_eq!(parsed(&["current-user", "me"])["userName"], HOSTILE);
    assert_eq!(parsed(&["tokens", "create"])[HOSTILE][HOSTILE], HOSTILE);
    assert_eq!(parsed(&["auth", "describe", "-o", "json"])["username"], HOSTILE);
}

#[test]
fn b5_a_table_has_one_line_for_a_row() {
    let workspace = Workspace::start();
    workspace.order(Fault::on("*", "/").reply(Response::json(200, &hostile_reply(HOSTILE))).forever());
    let bench = bench(&workspace);
    for arguments in [&["tokens", "list"], &["clusters", "list"]] {
        assert_eq!(bench.run(arguments).succeeded().stdout().lines().count(), 2, "{arguments:?}");
    }
}

#[test]
fn b5_a_picker_on_a_terminal_draws_safe_text() {
    let workspace = Workspace::start();
    let names = json!({"token_infos": [{"token_id": HOSTILE, "comment": HOSTILE}, {"token_id": "2", "comment": "b"}], "clusters": [
        {"cluster_id": HOSTILE, "cluster_name": HOSTILE, "state": HOSTILE, "spark_version": HOSTILE, "cluster_source": "UI"},
        {"cluster_id": "2", "cluster_name": "b", "state": "RUNNING", "spark_version": "x", "cluster_source": "UI"}], "versions": [{"key": HOSTILE, "name": HOSTILE}]});
    workspace.order(Fault::on("GET", "/").reply(Response::json(200, &names)).forever());
    let bench = bench(&workspace);
    for arguments in [&["tokens", "delete"], &["clusters", "get"]] {
        let mut pty = Pty::spawn(&bench.on_terminal(arguments));
        pty.wait_raw();
        pty.wait_until("the list", |screen| screen.contents().contains("pwned"));
        pty.send("\u{1b}");
        pty.send("\u{3}");
        pty.wait();
        pty.assert_restored();
        for part in ["\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}", "\u{7f}"] {
            let drawn = String::from_utf8_lossy(pty.raw()).into_owned();
            assert!(!drawn.contains(part), "{arguments:?}: {part:?} in {drawn:?}");
        }
    }
}

#[test]
fn b5_files_are_as_foreign_as_servers() {
    let bench = Bench::new().set("WORKSPACE", "x");
    let escape = "\u{1b}]0;pwned\u{7}\u{9b}31m\u{202e}";
    bench.write_config(format!(
        "[{escape}]\nhost = https://{escape}.example\ntoken = t\n[DEFAULT]\nhost = http://127.0.0.1:1\ntoken = t\ncluster_id = {escape}\n{escape} = {escape}\nauth_type = {escape}\n\
         [n]\nhost = https://n.example\nhttp_timeout_seconds = {escape}\ntoken = t\n[__settings__]\ndefault_profile = {escape}\n"
    ));
    for arguments in [
        &["auth", "profiles", "--skip-validate"][..],
        &["auth", "profiles"],
        &["auth", "profiles", "-o", "json"],
        &["auth", "describe", "--offline"],
        &["auth", "describe", "--offline", "--profile", "n"],
        &["auth", "describe", "--offline", "--profile", "DEFAULT", "-o", "json"],
        &["auth", "describe", "--offline", "--profile", "DEFAULT"],
        &["auth", "env", "--profile", "DEFAULT"],
        &["auth", "env"],
        &["auth", "env", "--profile", "nope"],
        &["auth", "env", "--host", "https://n.example"],
        &["tokens", "list"],
        &["tokens", "list", "--profile", "DEFAULT"],
        &["tokens", "list", "--profile", "n"],
        &["auth", "switch", "--profile", "x"],
        &["auth", "switch", "--profile", escape],
        &["tokens", "list", escape],
        &["tokens", escape],
        &[escape],
        &["tokens", "create", &format!("--{escape}")],
        &["tokens", "create", &format!("-{escape}")],
        &["tokens", "list", "-o", escape],
        &["tokens", "create", "--lifetime-seconds", escape],
        &["tokens", "create", "--lifetime", escape],
        &["tokens", "create", "--json", escape],
        &["tokens", "create", "--json", &format!("@{escape}")],
        &["tokens", "list", "--debug", "--log-file", &format!("/nowhere/{escape}")],
        &["help", escape],
        &["configure", "--host", escape],
        &["configure", escape],
    ] {
        let outcome = bench.run(arguments);
        outcome.code();
        is_clean(&outcome.stdout, false, &format!("{arguments:?}"));
        is_clean(&outcome.stderr, false, &format!("{arguments:?}"));
    }
}

#[test]
fn b5_a_stream_of_rows_keeps_to_its_memory() {
    let workspace = Workspace::start();
    let row = "{\"token_id\":\"\\u001b]0;x\\u0007\",\"comment\":\"\\nFAKE-ROW\"},";
    workspace.order(
        Fault::on("GET", "/").reply(
            Response::repeated("{\"token_infos\":[", row, 100_000, "{\"token_id\":\"1\"}]}", Framing::Length).header("Content-Type", "application/json"),
        ),
    );
    let bench = bench(&workspace).megabytes(200);
    let output = bench.command(&["tokens", "list"]).stdout(Stdio::piped()).output().unwrap();
    assert!(output.status.success());
    is_clean(&output.stdout, false, "100,000 rows");
}
