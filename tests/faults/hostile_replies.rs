//! C6: replies that do not end, do not begin, or are no replies.

use std::time::Duration;

use super::bench::{Bench, Outcome, for_each_on};
use crate::workspace::{Fault, Framing, Response, Workspace};

/// One trouble, and whether a command that asks for a list may still succeed.
type Trouble = (&'static str, fn(Fault) -> Fault, bool);

const TROUBLES: &[Trouble] = &[
    ("silence", Fault::silence, false),
    ("a byte every ten seconds", |fault| fault.drip(Duration::from_secs(10)), false),
    ("a byte every half second", |fault| fault.drip(Duration::from_millis(500)), false),
    ("endless headers", Fault::endless_headers, false),
    ("an endless body", |fault| fault.reply(Response::endless()), false),
    ("an endless body until the end of the connection", |fault| fault.reply(Response::repeated("\"", "aaaaaaaa", u64::MAX, "", Framing::UntilClose)), false),
    ("an error that stops", |fault| fault.reply(Response::new(400).body("text/plain", "x").header("Content-Length", "100000")), false),
    ("ten announced gigabytes", |fault| fault.reply(Response::huge(10 << 30)), false),
    ("ten announced gigabytes that never come", |fault| fault.reply(Response::stalled(10 << 30)), false),
    ("a body that stops", |fault| fault.reply(Response::stalled(1000)), false),
    ("a million tokens", |fault| fault.reply(Response::many_tokens(1_000_000)), false),
    ("half a body", Fault::half_body, false),
    ("a reset before the reply", Fault::reset_before, false),
    ("a reset instead of the reply", Fault::reset_after, false),
    ("brackets", |fault| fault.reply(Response::deep_json(100_000)), false),
    ("objects in objects", |fault| fault.reply(Response::repeated("", "{\"token_infos\":", 100_000, "", Framing::Length)), false),
    ("bad UTF-8", |fault| fault.reply(Response::invalid_utf8(200)), true),
    ("bad UTF-8 in an error", |fault| fault.reply(Response::invalid_utf8(400)), false),
    ("a sign-in page", |fault| fault.reply(Response::html_login()), false),
    ("text", |fault| fault.reply(Response::new(200).body("text/plain", "hello")), false),
    ("a page that says it is JSON", |fault| fault.reply(Response::new(200).body("application/json", "<html>")), false),
    ("nothing", |fault| fault.reply(Response::new(204)), true),
    ("an empty body", |fault| fault.reply(Response::new(200)), true),
    ("a list", |fault| fault.reply(Response::new(200).body("application/json", "[1,2]")), true),
    ("null", |fault| fault.reply(Response::new(200).body("application/json", "null")), true),
    ("wrong types", |fault| fault.reply(Response::new(200).body("application/json", "{\"token_infos\":5,\"clusters\":{},\"userName\":[]}")), true),
    ("rows of wrong types", |fault| fault.reply(Response::new(200).body("application/json", "{\"token_infos\":[5,null,[]],\"clusters\":[\"x\"]}")), true),
    ("the same page again and again", |fault| fault.reply(Response::new(200).body("application/json", "{\"next_page_token\":\"x\"}")), true),
    ("a status that is none", |fault| fault.reply(Response::new(999)), false),
    ("a continue that does not end", |fault| fault.reply(Response::new(101)), false),
    ("framed twice", |fault| fault.reply(Response::new(200).body("application/json", "{}").header("Content-Length", "2").header("Content-Length", "3")), false),
    ("a negative length", |fault| fault.reply(Response::new(200).header("Content-Length", "-1")), false),
    ("a length beyond numbers", |fault| fault.reply(Response::new(200).header("Content-Length", "99999999999999999999999")), false),
    (
        "compressed without being asked",
        |fault| fault.reply(Response::new(200).body("application/json", "\u{1f}\u{8b}").header("Content-Encoding", "gzip")),
        true,
    ),
];

const COMMANDS: &[&[&str]] = &[
    &["tokens", "list"],
    &["tokens", "list", "-o", "json"],
    &["tokens", "create"],
    &["tokens", "delete", "0123"],
    &["clusters", "list"],
    &["clusters", "get", "x"],
    &["current-user", "me"],
    &["database", "generate-database-credential", "x"],
    &["auth", "describe"],
    &["auth", "profiles"],
];

/// The profile's own limits: one second of silence, two for repeats.
const LIMITS: &str = "http_timeout_seconds = 1\nretry_timeout_seconds = 2\n";

fn ended_well(outcome: &Outcome, what: &str) {
    outcome.code();
    assert!(outcome.took < Duration::from_secs(45), "{what} took {:?}", outcome.took);
    assert!(!outcome.stderr().contains("panic") && !outcome.stderr().contains("stack overflow"), "{what}: {outcome}");
}

#[test]
fn c6_every_command_ends_in_time_and_in_little_memory_with_an_error() {
    let cases: Vec<_> = TROUBLES.iter().flat_map(|trouble| COMMANDS.iter().map(move |command| (trouble, *command))).collect();
    for_each_on(24, &cases, |((name, make, may_succeed), arguments)| {
        let what = format!("{arguments:?} with {name}");
        let workspace = Workspace::start();
        // Sixteen threads and their stacks take address space, not memory.
        let bench = Bench::with_profile(&workspace, LIMITS).megabytes(if arguments[1] == "profiles" { 300 } else { 100 });
        workspace.order(make(Fault::on("*", "/")).forever());
        let outcome = bench.run(arguments);
        ended_well(&outcome, &what);
        let diagnosis = arguments[0] == "auth";
        let silent_success = arguments[1] == "delete" || *may_succeed || diagnosis;
        assert!(outcome.code() == 1 || silent_success, "{what}: {outcome}");
        assert!(!outcome.stderr().contains(workspace.token()) && !outcome.stdout().contains(workspace.token()), "{what}: {outcome}");
        if diagnosis && !may_succeed {
            let said = outcome.stdout() + &outcome.stderr();
            assert!(said.contains("Unable to authenticate") || said.contains("NO") || said.contains("DEFAULT: "), "{what}: {outcome}");
        }
    });
}

#[test]
fn c6_errors_of_any_length_are_cut() {
    let workspace = Workspace::start();
    let bench = Bench::with_profile(&workspace, LIMITS).megabytes(100);
    let mut long = Response::error(400, &"C".repeat(1 << 20), &"m".repeat(1 << 20));
    for name in ["X-Request-Id", "X-Databricks-Reason-Phrase"] {
        long = long.header(name, &"h".repeat(8_000));
    }
    for reply in [long, Response::html_error(500, &"x".repeat(1 << 20)), Response::new(500).body("text/plain", "y".repeat(1 << 20))] {
        workspace.clear_faults();
        workspace.order(Fault::on("*", "/").reply(reply).forever());
        let outcome = bench.run(&["tokens", "list"]).failed_with(&[]);
        assert!(outcome.stderr.len() < 10_000, "{} bytes", outcome.stderr.len());
    }
}

#[test]
fn c6_many_tokens_below_the_limit_are_all_shown() {
    let workspace = Workspace::start();
    workspace.order(Fault::on("GET", "/").reply(Response::many_tokens(100_000)).forever());
    let bench = Bench::with_profile(&workspace, "").megabytes(150);
    assert_eq!(bench.run(&["tokens", "list"]).succeeded().stdout().lines().count(), 100_001);
    let listed: serde_json::Value = serde_json::from_slice(&bench.run(&["tokens", "list", "-o", "json"]).succeeded().stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 100_000);
}

#[test]
fn c6_nobody_there_is_told_at_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bench = Bench::new();
    bench.write_config(format!("[DEFAULT]\nhost = http://127.0.0.1:{port}\ntoken = t\n"));
    let outcome = bench.run(&["tokens", "list"]).failed_with(&["refused", &port.to_string()]);
    assert!(outcome.took < Duration::from_secs(10), "{outcome}");
}
