//! F5: questions are asked of a person at a terminal, of nobody else, and a signal leaves the terminal as it was.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::bench::{Bench, DATABRICKS, Outcome};
use crate::terminal::pty::Pty;
use crate::workspace::Workspace;

/// Commands that would have to ask, and words of the flag or variable that does without.
const ASKING_BACK: &[(&[&str], &str)] = &[
    (&["configure"], "--host"),
    (&["configure", "--host", "https://h.example"], "token"),
    (&["configure", "--host", "https://h.example", "--configure-cluster"], "DATABRICKS_CLUSTER_ID"),
    (&["auth", "switch"], "--profile"),
    (&["tokens", "delete"], "tokens list"),
    (&["tokens", "update", "--json", "{\"token\":{\"comment\":\"x\"},\"update_mask\":\"comment\"}"], "tokens list"),
    (&["clusters", "get"], "clusters list"),
];

const TWO: &str = "[a]\nhost = https://a.example\ntoken = t\n[b]\nhost = https://b.example\ntoken = t\n[__settings__]\ndefault_profile = a\n";

fn refused(outcome: &Outcome, flag: &str, what: &str) {
    assert_eq!(outcome.code(), 1, "{what}: {outcome}");
    assert!(outcome.stderr().contains(flag), "{what}: {flag} is not named: {outcome}");
    assert!(outcome.took < Duration::from_secs(10), "{what}: {outcome}");
}

#[test]
fn f5_without_a_terminal_nothing_is_asked() {
    for (arguments, flag) in ASKING_BACK {
        let bench = Bench::new();
        bench.write_config(TWO);
        refused(&bench.run(arguments), flag, &format!("{arguments:?}, nothing on stdin"));
        // Whatever is piped in is no answer to a question that was never asked.
        if arguments.len() != 3 {
            refused(&bench.run_with_stdin(arguments, "\n\n\n"), flag, &format!("{arguments:?}, line feeds on stdin"));
        }
        assert_eq!(bench.read_config().unwrap(), TWO.as_bytes());
    }
}

/// Runs a command on a terminal of which only some streams are left to it.
fn partly(bench: &Bench, redirection: &str, variables: &[&str], arguments: &[&str]) -> (Option<i32>, String, Duration) {
    let mut command = Command::new("env");
    command.arg("-i");
    for (name, value) in bench.environment() {
        command.arg(format!("{name}={value}"));
    }
    command.args(variables).args(["sh", "-c", &format!("exec \"$0\" \"$@\" {redirection}"), DATABRICKS]).args(arguments).current_dir(bench.home());
    let started = std::time::Instant::now();
    let mut pty = Pty::spawn(&command);
    let status = pty.wait();
    pty.assert_restored();
    let mut said = String::from_utf8_lossy(pty.raw()).into_owned();
    said += &std::fs::read_to_string(bench.home().join("err")).unwrap_or_default();
    (status.code(), said, started.elapsed())
}

#[test]
fn f5_half_a_terminal_is_none() {
    let terminal: &[&str] = &["TERM=xterm"];
    for (arguments, flag) in ASKING_BACK {
        for (redirection, variables) in [
            ("2>err", terminal),
            ("</dev/null", terminal),
            ("</dev/null >out", terminal),
            (">out 2>err", terminal),
            ("", &["TERM=dumb"]),
            ("", &["TERM=xterm", "NO_COLOR=1"]),
        ] {
            let bench = Bench::new();
            bench.write_config(TWO);
            let (code, said, took) = partly(&bench, redirection, variables, arguments);
            let what = format!("{arguments:?} {redirection} {variables:?}: {said}");
            assert_eq!(code, Some(1), "{what}");
            assert!(said.contains(flag) && said.contains("Error: "), "{what}");
            assert!(took < Duration::from_secs(10), "{what}");
            assert_eq!(bench.read_config().unwrap(), TWO.as_bytes());
        }
    }
}

#[test]
fn f5_signals_in_the_questions_of_configure_leave_the_terminal_as_it_was() {
    use std::os::unix::process::ExitStatusExt as _;
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15), (Signal::HUP, 1), (Signal::QUIT, 3)] {
        for typed in [None, Some("https://h.example\r")] {
            let bench = Bench::new();
            bench.write_config(TWO);
            let mut pty = Pty::spawn(&bench.on_terminal(&["configure", "--profile", "new"]));
            pty.wait_for("host");
            pty.wait_raw();
            if let Some(typed) = typed {
                pty.send(typed);
                pty.wait_for("token");
                pty.wait_raw();
                pty.send("dapi-half");
            }
            pty.signal(signal);
            let status = pty.wait_within(Duration::from_secs(10));
            pty.assert_restored();
            assert!(status.signal() == Some(number) || status.code().is_some_and(|code| code != 0), "{signal:?}: {status}");
            assert_eq!(bench.read_config().unwrap(), TWO.as_bytes(), "something was written");
            assert_eq!(bench.files().len(), 1);
            assert!(!String::from_utf8_lossy(pty.raw()).contains("dapi-half"), "the token was echoed");
        }
    }
}

#[test]
fn f5_control_c_and_the_end_of_input_cancel() {
    for keys in ["\u{3}", "\u{4}", "\u{1b}"] {
        for arguments in [&["configure", "--profile", "new"][..], &["auth", "switch"]] {
            let bench = Bench::new();
            bench.write_config(TWO);
            let mut pty = Pty::spawn(&bench.on_terminal(arguments));
            pty.wait_raw();
            pty.send(keys);
            // An escape is a key only once nothing follows it, and in a line it does nothing.
            if keys == "\u{1b}" {
                pty.send("\u{3}");
            }
            let status = pty.wait_within(Duration::from_secs(10));
            pty.assert_restored();
            assert!(!status.success(), "{arguments:?} {keys:?}: {status}");
            assert_eq!(bench.read_config().unwrap(), TWO.as_bytes());
        }
    }
}

#[test]
fn f5_a_closed_terminal_ends_the_question() {
    let bench = Bench::new();
    let mut pty = Pty::spawn(&bench.on_terminal(&["configure"]));
    pty.wait_raw();
    pty.hang_up();
    let status = pty.wait_within(Duration::from_secs(10));
    assert!(!status.success());
    assert_eq!(bench.read_config(), None);
}

#[test]
fn f5_an_answer_typed_at_the_real_prompts_is_written_and_the_token_not_shown() {
    let workspace = Workspace::start();
    let bench = Bench::new();
    let mut pty = Pty::spawn(&bench.on_terminal(&["configure"]));
    pty.wait_for("host");
    pty.wait_raw();
    pty.send(format!("{}\r", workspace.url()));
    pty.wait_for("token");
    pty.wait_raw();
    pty.send(format!("{}\r", workspace.token()));
    assert!(pty.wait().success(), "{pty:?}");
    pty.assert_restored();
    let drawn = String::from_utf8_lossy(pty.raw()).into_owned();
    assert!(drawn.contains("ann@example.com") && !drawn.contains(workspace.token()), "{drawn}");
    assert!(String::from_utf8(bench.read_config().unwrap()).unwrap().contains(workspace.token()));
}
