//! The questions on a real pseudo-terminal: this test binary starts itself with a terminal, and types.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;

use super::Ui;
use super::prompt::{Choice, Meanwhile};
use super::pty::Pty;
use crate::env::Env;
use crate::secret::Secret;

const CHILD: &str = "UI_PTY_CHILD";

fn must_be_https(text: &str) -> Result<String, String> {
    assert_ne!(text, "boom", "the check failed badly");
    if text.starts_with("https://") { Ok(text.trim_end().to_owned()) } else { Err("must start with https://".to_owned()) }
}

#[expect(clippy::unnecessary_wraps, reason = "a check may refuse")]
fn any_secret(text: &str) -> Result<Secret, String> {
    Ok(text.into())
}

/// The name of a socket; who comes there answers the question.
const DOOR: &str = "door";

struct Visitor(UnixListener);

impl Meanwhile for Visitor {
    fn turn(&mut self) -> bool {
        self.0.accept().is_ok()
    }

    fn sources(&self) -> Vec<PollFd<'_>> {
        vec![PollFd::new(&self.0, PollFlags::IN)]
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

fn ui_says(message: &str) {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), message.as_bytes());
}

/// What the program on the terminal does. Its answer goes to stdout, which is a pipe.
#[expect(clippy::exit, reason = "stands for the abort of the release build")]
fn act(scene: &str, ui: &Ui) -> anyhow::Result<String> {
    let prompter = ui.prompter();
    Ok(match scene {
        "text" => prompter.text("Host", None, &must_be_https)?,
        "default" => prompter.text("Name", Some("dev"), &|text| Ok(text.to_owned()))?,
        "secret" => prompter.secret("Token", &any_secret)?.expose().to_owned(),
        "both" => prompter.text("Host", None, &must_be_https)? + " " + prompter.secret("Token", &any_secret)?.expose(),
        "unless" => {
            let mut visitor = Visitor(UnixListener::bind(std::env::temp_dir().join(DOOR)).unwrap());
            visitor.0.set_nonblocking(true).unwrap();
            let secret = prompter.secret_unless("Paste", &any_secret, &mut visitor)?;
            format!("{:?}", secret.as_ref().map(Secret::expose))
        }
        "confirm" => prompter.confirm("Are you sure?")?.to_string(),
        "pick" => {
            let items: Vec<Choice> = (0..5_000).map(|number| Choice::new(format!("cluster-{number:04}")).detail("(RUNNING)")).collect();
            prompter.choose("Cluster", &items, true)?.to_string()
        }
        "hostile" => {
            let items = [Choice::new("a\u{1b}]0;pwned\u{7}b").detail("\u{1b}[2J\u{9b}2J\u{202e}\nfake"), Choice::new("日本".repeat(100))];
            prompter.choose("Pick\u{1b}[2J", &items, true)?.to_string()
        }
        "after" => {
            prompter.text("Host", None, &must_be_https)?;
            ui.note("answered");
            std::io::stdin().read_line(&mut String::new())?;
            String::new()
        }
        "panic" => {
            // As in the release build, where nothing is dropped after a panic.
            std::panic::set_hook(Box::new(|panic| {
                ui_says(&panic.to_string());
                std::process::exit(101);
            }));
            prompter.text("Host", None, &must_be_https)?
        }
        "gate" => {
            format!("{} {}", ui.can_prompt(), prompter.choose("the way", &[Choice::new("a")], true).map_or_else(|error| error.to_string(), |_| String::new()))
        }
        other => anyhow::bail!("no scene {other}"),
    })
}

/// Not a test by itself: the program that the tests below run on a terminal.
#[test]
#[expect(clippy::exit, reason = "the exit code is what the parent looks at")]
fn child() {
    let env = Env::of_process();
    let Some(scene) = env.get(CHILD) else { return };
    let ui = Ui::new(&env);
    let code = match act(scene, &ui) {
        Ok(answer) => {
            ui.out(&format!("<{answer}>"));
            let _ = ui.flush().unwrap();
            0
        }
        Err(error) => {
            ui.note(&format!("Error: {error}"));
            1
        }
    };
    std::process::exit(code);
}

#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn program(scene: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "ui::terminal_tests::child", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, scene).env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("MSYSTEM").env_remove("RUST_BACKTRACE");
    command
}

fn start(scene: &str) -> Pty {
    Pty::with_stdout(&program(scene), Stdio::piped())
}

/// Waits for success and returns the answer.
fn answer(mut pty: Pty) -> String {
    let status = pty.wait();
    assert!(status.success(), "{status} {pty:?}");
    pty.assert_restored();
    let mut stdout = String::new();
    pty.child().stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    stdout.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>')).unwrap().0.to_owned()
}

fn cancelled(pty: &mut Pty, message: &str) {
    let status = pty.wait_within(Duration::from_secs(1));
    assert_eq!(status.code(), Some(1), "{pty:?}");
    pty.assert_restored();
    assert!(pty.screen().ends_with(&format!("\nError: {message}")), "{pty:?}");
}

const SCENES: [(&str, &str); 4] = [("text", "Host: "), ("secret", "Token: "), ("pick", "▸ cluster-0000"), ("confirm", "[y/N]: ")];

fn waiting(scene: &str, prompt: &str) -> Pty {
    let mut pty = start(scene);
    pty.wait_for(prompt);
    pty.wait_raw();
    pty
}

#[test]
fn a_typed_answer_leaves_one_faint_line() {
    let mut pty = waiting("text", "Host: ");
    assert_eq!(pty.screen(), "✗ Host:");
    pty.send("https:/");
    pty.wait_until("typed", |screen| screen.contents() == "✗ Host: https:/");
    pty.send("/x");
    pty.wait_until("valid", |screen| screen.contents() == "✔ Host: https://x");
    assert_eq!(pty.emulator().cursor_position(), (0, 17));
    pty.send("\r");
    pty.wait();
    assert_eq!(pty.screen(), "Host: https://x");
    assert!(pty.emulator().cell(0, 0).unwrap().dim());
    assert_eq!(answer(pty), "https://x");
}

#[test]
fn an_invalid_answer_stays_and_says_why() {
    let mut pty = waiting("text", "Host: ");
    pty.send("http://x\r");
    pty.wait_until("complaint", |screen| screen.contents() == "✗ Host: http://x\n>> must start with https://");
    pty.send("\x01\x1b[C\x1b[C\x1b[C\x1b[Cs");
    pty.wait_until("edited", |screen| screen.contents() == "✔ Host: https://x");
    pty.send("\n");
    assert_eq!(answer(pty), "https://x");
}

#[test]
fn enter_alone_takes_the_default() {
    let mut pty = waiting("default", "Name [dev]: ");
    pty.send("\r");
    pty.wait();
    assert_eq!(pty.screen(), "Name: dev");
    assert_eq!(answer(pty), "dev");
}

#[test]
fn a_question_goes_away_when_something_else_answers_it() {
    let asked = || {
        let folder = tempfile::tempdir().unwrap();
        let mut program = program("unless");
        program.env("TMPDIR", folder.path());
        let mut pty = Pty::with_stdout(&program, Stdio::piped());
        pty.wait_for("Paste: ");
        pty.wait_raw();
        (folder, pty)
    };
    let (folder, mut pty) = asked();
    pty.send("half");
    pty.wait_for("****");
    UnixStream::connect(folder.path().join(DOOR)).unwrap();
    pty.wait();
    assert_eq!(pty.screen(), "");
    assert_eq!(answer(pty), "None");

    let (_folder, mut pty) = asked();
    pty.send("typed\r");
    pty.wait();
    assert_eq!(pty.screen(), "Paste: ********");
    assert_eq!(answer(pty), "Some(\"typed\")");

    let (_folder, mut pty) = asked();
    pty.send("\x03");
    cancelled(&mut pty, "^C");
}

#[test]
fn a_pasted_secret_is_never_shown() {
    let secret = "QZ".repeat(150);
    for paste in [format!("{secret}\nQQQ\nZZZ\n"), format!("\x1b[200~{secret}\nQQQ\nZZZ\x1b[201~")] {
        let mut pty = waiting("secret", "Token: ");
        pty.send(&paste);
        pty.wait();
        assert!(!pty.raw().iter().any(|byte| b"QZ".contains(byte)), "{pty:?}");
        assert_eq!(pty.screen(), "Token: ********");
        assert_eq!(answer(pty), secret);
    }
}

#[test]
fn a_typed_secret_shows_stars_and_an_empty_one_is_empty() {
    let mut pty = waiting("secret", "Token: ");
    pty.send("QäZ");
    pty.wait_until("masked", |screen| screen.contents() == "✔ Token: ***");
    pty.send("\x15\r");
    assert_eq!(answer(pty), "");
}

#[test]
fn what_follows_a_pasted_line_is_not_the_next_answer() {
    // More than a terminal holds, so that forgetting what it holds is not enough.
    let rest = "QZQZ\n".repeat(4_000);
    for paste in [format!("https://x\n{rest}"), format!("\x1b[200~https://x\n{rest}\x1b[201~")] {
        let mut pty = waiting("both", "Host: ");
        pty.send(&paste);
        pty.wait_for("Token: ");
        pty.wait_raw();
        pty.send("\x04");
        cancelled(&mut pty, "EOF");
        assert!(!pty.raw().iter().any(|byte| b"QZ".contains(byte)), "{pty:?}");
    }
}

#[test]
fn control_characters_are_left_out_and_escape_does_nothing() {
    let mut pty = waiting("text", "Host: ");
    pty.send("https://\x1b[200~a\tb\u{9b}c\u{202e}d\x1b[201~");
    pty.wait_for(">> control characters are left out");
    pty.send("\x1b");
    pty.wait_until("inert", |screen| screen.contents() == "✔ Host: https://abcd");
    pty.send("\r");
    assert_eq!(answer(pty), "https://abcd");
}

#[test]
fn control_c_ends_every_question() {
    for (scene, prompt) in SCENES {
        let mut pty = waiting(scene, prompt);
        pty.send("a\x03");
        cancelled(&mut pty, "^C");
    }
}

#[test]
fn end_of_input_ends_every_empty_question() {
    for ((scene, prompt), key) in SCENES.into_iter().zip(["\x04", "\x1b[3~", "\x04", "\x04"]) {
        let mut pty = waiting(scene, prompt);
        pty.send(key);
        cancelled(&mut pty, "EOF");
    }
}

#[test]
fn signals_from_outside_leave_the_terminal_in_order() {
    for (scene, prompt) in SCENES {
        for (signal, number) in [(Signal::TERM, 15), (Signal::HUP, 1), (Signal::QUIT, 3)] {
            let mut pty = waiting(scene, prompt);
            pty.send("a");
            pty.signal(signal);
            let status = pty.wait_within(Duration::from_secs(1));
            assert_eq!(status.signal(), Some(number), "{scene} {pty:?}");
            pty.assert_restored();
        }
        let mut pty = waiting(scene, prompt);
        pty.signal(Signal::INT);
        cancelled(&mut pty, "^C");
    }
}

#[test]
fn after_the_question_signals_do_what_they_always_do() {
    for (signal, number) in [(Signal::INT, 2), (Signal::TERM, 15)] {
        let mut pty = waiting("after", "Host: ");
        pty.send("https://x\r");
        pty.wait_for("answered");
        pty.assert_restored();
        pty.signal(signal);
        assert_eq!(pty.wait_within(Duration::from_secs(1)).signal(), Some(number));
    }
}

#[test]
fn a_stop_gives_the_terminal_back_and_takes_it_again() {
    let mut pty = waiting("text", "Host: ");
    pty.send("https://x");
    pty.wait_until("typed", |screen| screen.contents() == "✔ Host: https://x");
    pty.signal(Signal::TSTP);
    pty.wait_stopped();
    pty.assert_restored();
    pty.signal(Signal::CONT);
    pty.wait_for("Host: https://x");
    pty.wait_raw();
    pty.send("y\r");
    assert_eq!(answer(pty), "https://xy");
}

#[test]
fn a_hang_up_ends_the_program_at_once() {
    for (scene, prompt) in SCENES {
        let mut pty = waiting(scene, prompt);
        pty.hang_up();
        assert!(!pty.wait_within(Duration::from_secs(1)).success());
    }
}

#[test]
fn a_panic_leaves_the_terminal_in_order() {
    for scene in ["text", "panic"] {
        let mut pty = waiting(scene, "Host: ");
        pty.send("boom");
        assert_eq!(pty.wait().code(), Some(101));
        pty.assert_restored();
        assert!(pty.screen().contains("the check failed badly"), "{pty:?}");
    }
}

#[test]
fn a_narrow_terminal_scrolls_sideways() {
    let mut pty = Pty::with_stdout(&program("text"), Stdio::piped());
    pty.wait_for("Host: ");
    pty.wait_raw();
    pty.resize(5, 20);
    pty.send("https://日本日本日本日本日本日本.example.com/end");
    pty.wait_until("scrolled", |screen| screen.contents().ends_with("/end"));
    assert_eq!(pty.screen().lines().count(), 1, "{pty:?}");
    assert!(pty.screen().starts_with("✔ Host: "), "{pty:?}");
    pty.send("\x1b[H");
    pty.wait_until("at the start", |screen| screen.contents().starts_with("✔ Host: https://"));
    assert_eq!(pty.emulator().cursor_position(), (0, 8));
    // A change of size is drawn at once.
    pty.resize(5, 60);
    pty.wait_until("wide", |screen| screen.contents().contains("/end"));
    pty.send("\r");
    assert_eq!(answer(pty), "https://日本日本日本日本日本日本.example.com/end");
}

#[test]
fn one_of_five_thousand_is_found_by_typing() {
    let mut pty = waiting("pick", "▸ cluster-0000");
    assert!(pty.screen().starts_with("Search:\nCluster\n  ▸ cluster-0000 (RUNNING)\n    cluster-0001 (RUNNING)\n"), "{pty:?}");
    assert!(pty.screen().ends_with("\n↓   cluster-0009 (RUNNING)"), "{pty:?}");
    assert_eq!(pty.emulator().cursor_position(), (0, 8));
    pty.send("4999 run");
    pty.wait_until("found", |screen| screen.contents() == "Search: 4999 run\nCluster\n  ▸ cluster-4999 (RUNNING)");
    pty.send("\r");
    pty.wait();
    assert_eq!(pty.screen(), "Cluster: cluster-4999");
    assert_eq!(answer(pty), "4999");
}

#[test]
fn arrows_and_pages_move_the_choice() {
    let mut pty = waiting("pick", "▸ cluster-0000");
    pty.send("\x1b[B\x0e\x1b[B\x10\x1b[C");
    pty.wait_for("▸ cluster-0012");
    pty.send("\x1b[F");
    pty.wait_for("▸ cluster-4999");
    pty.send("zzz\r");
    pty.wait_for("nothing matches");
    pty.send("\x15\x1b[B\r");
    assert_eq!(answer(pty), "1");
}

#[test]
fn items_cannot_speak_to_the_terminal() {
    let mut pty = waiting("hostile", "a\\u{1b}]0;pwned\\u{7}b");
    assert!(pty.screen().contains("▸ a\\u{1b}]0;pwned\\u{7}b \\u{1b}[2J\\u{9b}2J\\u{202e}\\nfake"), "{pty:?}");
    pty.send("\r");
    pty.wait();
    let raw = String::from_utf8(pty.raw().to_vec()).unwrap();
    assert!(!raw.contains("\u{1b}]") && !raw.contains(['\u{7}', '\u{9b}', '\u{202e}']) && !raw.contains("\u{1b}[2J"), "{raw:?}");
    assert_eq!(answer(pty), "0");
}

#[test]
fn yes_has_to_be_said() {
    for (typed, meant) in [("y\r", "true"), ("YES\r", "true"), ("\r", "false"), ("no\r", "false")] {
        let mut pty = waiting("confirm", "Are you sure? [y/N]: ");
        pty.send(typed);
        assert_eq!(answer(pty), meant);
    }
}

#[test]
fn nobody_is_asked_where_the_environment_forbids_it() {
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb"), ("MSYSTEM", "MINGW64")] {
        let mut command = program("gate");
        command.env(name, value);
        assert_eq!(answer(Pty::with_stdout(&command, Stdio::piped())), "false expected to have the way", "{name}");
    }
}
