//! Programs of others that are asked for a token: started without a shell, without input, and with bounds on time and output.
//!
//! A program that was started is not trusted with anything: what it prints is bounded, what it says on stderr reaches a person as one safe line without the
//! words that look like secrets, and what it leaves running when its time is up is killed with it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::env::{self, Env};
use crate::http::looks_secret;
use crate::text;

/// How long a program may take.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(30);
/// More output than that is no token, in bytes.
pub(crate) const OUTPUT_LIMIT: usize = 1 << 20;
/// What is kept of stderr, in bytes: its end says what went wrong.
const STDERR_KEPT: usize = 16 << 10;
/// After the program has ended, how long to wait for the end of its output, which something that it started may hold open.
const FAREWELL: Duration = Duration::from_secs(1);

/// What came of a program.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Zeroizing<Vec<u8>>,
    /// The last line with text on stderr, safe to show; empty if there is none.
    pub(crate) last_words: String,
    /// All that was kept of stderr, as it came: not safe to show.
    pub(crate) stderr: Zeroizing<Vec<u8>>,
    /// Whether stderr ended within a line, as a question does.
    pub(crate) left_open: bool,
}

/// Why nothing came of a program.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// No such program on PATH, or at the path that was given.
    Missing,
    /// In the system's words.
    NotStarted(String),
    /// It did not end in time; what it said last.
    TooSlow(String),
    /// It wanted to read from the terminal, and was stopped by the system.
    Asks(String),
    /// It printed more than [`OUTPUT_LIMIT`].
    TooMuch,
}

/// Where a program is: at the path that was given, or in an absolute folder of PATH. The current folder is never searched: somebody else may have put a program there.
pub(crate) fn find(name: &OsStr, env: &Env) -> Option<PathBuf> {
    let given = Path::new(name);
    if given.components().count() > 1 || given.is_absolute() {
        return is_program(given).then(|| given.to_owned());
    }
    let path = env.path(env::PATH)?;
    let names: Vec<OsString> =
        if cfg!(windows) { [".exe", ".cmd", ".bat"].map(|end| [name, OsStr::new(end)].iter().copied().collect()).to_vec() } else { vec![name.to_owned()] };
    std::env::split_paths(path.as_os_str())
        .filter(|folder| folder.is_absolute())
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|program| is_program(program))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Splits a line into words as a POSIX shell does: white space parts them; `'…'` is literal; within `"…"` a backslash escapes `"`, `\`, `$` and backquote; outside quotes it
/// escapes anything. Nothing is expanded: `$HOME`, `*` and `~` stay as they are.
///
/// # Errors
/// In words, if a quote is not closed, or something stands there that only a shell could do.
pub(crate) fn split(line: &str) -> Result<Vec<Zeroizing<String>>, &'static str> {
    let mut words: Vec<Zeroizing<String>> = Vec::new();
    let mut word: Option<Zeroizing<String>> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("a single quote is not closed"),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => match rest.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err("a double quote is not closed"),
                        },
                        Some(c) => word.push(c),
                        None => return Err("a double quote is not closed"),
                    }
                }
            }
            '\\' => match rest.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("it ends in a backslash"),
            },
            '|' | '<' | '>' | ';' | '&' => return Err("it holds | < > ; or & outside quotes, and no shell runs it; put such a line into a script"),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() { Err("it names no program") } else { Ok(words) }
}

/// Runs a program to its end. It reads nothing, and sees the environment of this process.
///
/// # Errors
/// If it cannot be started, does not end within `limit`, asks at the terminal, or prints too much.
pub(crate) fn run(program: &Path, arguments: &[impl AsRef<OsStr>], limit: Duration) -> Result<Ended, Trouble> {
    #[expect(clippy::disallowed_methods, reason = "this is the place where programs are started whose output is read")]
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        // A group of its own can be ended as a whole; and what is not in front cannot ask at the terminal.
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Trouble::Missing,
        _ => Trouble::NotStarted(error.to_string()),
    })?;
    let deadline = Instant::now() + limit;
    let (tell, told) = mpsc::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    read_on_thread(stdout, &tell, Event::Printed);
    read_on_thread(stderr, &tell, Event::Said);
    watch(&child, &tell);
    drop(tell);
    let outcome = wait(&told, deadline);
    let code = match outcome.end {
        // Gathered at last: until then its number, and that of its group, is nobody else's.
        End::Exited => child.wait().ok().and_then(|status| status.code()),
        _ => {
            kill(&mut child);
            None
        }
    };
    let (last_words, left_open) = last_line(&outcome.stderr);
    match outcome.end {
        End::Exited => Ok(Ended { code, stdout: outcome.stdout, last_words, stderr: outcome.stderr, left_open }),
        End::Late => Err(Trouble::TooSlow(last_words)),
        End::Stopped => Err(Trouble::Asks(last_words)),
        End::Flooded => Err(Trouble::TooMuch),
    }
}

enum Event {
    /// A piece of stdout.
    Printed(Zeroizing<Vec<u8>>),
    /// A piece of stderr.
    Said(Zeroizing<Vec<u8>>),
    /// One of the two has come to its end.
    Closed,
    Exited,
    Stopped,
}

enum End {
    Exited,
    Late,
    Stopped,
    Flooded,
}

struct Outcome {
    end: End,
    stdout: Zeroizing<Vec<u8>>,
    stderr: Zeroizing<Vec<u8>>,
}

/// Waits until the program has ended and all of its output is there, or something is wrong.
fn wait(told: &Receiver<Event>, mut deadline: Instant) -> Outcome {
    let mut outcome = Outcome { end: End::Late, stdout: Zeroizing::default(), stderr: Zeroizing::default() };
    let (mut open, mut exited) = (2, false);
    while open > 0 || !exited {
        match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Event::Printed(piece)) => {
                outcome.stdout.extend_from_slice(&piece);
                if outcome.stdout.len() > OUTPUT_LIMIT {
                    outcome.end = End::Flooded;
                    return outcome;
                }
            }
            Ok(Event::Said(piece)) => {
                outcome.stderr.extend_from_slice(&piece);
                let beyond = outcome.stderr.len().saturating_sub(STDERR_KEPT);
                outcome.stderr.drain(..beyond);
            }
            Ok(Event::Closed) => open -= 1,
            Ok(Event::Exited) => {
                exited = true;
                deadline = deadline.min(Instant::now() + FAREWELL);
            }
            Ok(Event::Stopped) => {
                outcome.end = End::Stopped;
                return outcome;
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    // Whatever holds the output open after the program's end has nothing to say for it.
    if exited {
        outcome.end = End::Exited;
    }
    outcome
}

fn read_on_thread<R: Read + Send + 'static>(pipe: Option<R>, tell: &Sender<Event>, event: fn(Zeroizing<Vec<u8>>) -> Event) {
    let tell = tell.clone();
    std::thread::spawn(move || {
        let mut piece = Zeroizing::new([0; 8192]);
        if let Some(mut pipe) = pipe {
            loop {
                match pipe.read(&mut piece[..]) {
                    // Nobody listens any more once the outcome is decided.
                    Ok(count @ 1..) if tell.send(event(Zeroizing::new(piece[..count].to_vec()))).is_ok() => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => break,
                }
            }
        }
        drop(tell.send(Event::Closed));
    });
}

/// Tells when the program ends or is stopped, without gathering it.
#[cfg(unix)]
fn watch(child: &Child, tell: &Sender<Event>) {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let (tell, pid) = (tell.clone(), Pid::from_child(child));
    std::thread::spawn(move || {
        loop {
            match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT) {
                Ok(Some(status)) => return drop(tell.send(if status.stopped() { Event::Stopped } else { Event::Exited })),
                Err(rustix::io::Errno::INTR) | Ok(None) => {}
                Err(_) => return drop(tell.send(Event::Exited)),
            }
        }
    });
}

/// There is no way to wait here without keeping the program for oneself: its end is that of its output.
#[cfg(not(unix))]
fn watch(_: &Child, tell: &Sender<Event>) {
    drop(tell.send(Event::Exited));
}

/// Ends the program and all that it started, and gathers it.
fn kill(child: &mut Child) {
    #[cfg(unix)]
    {
        // It has not been gathered: the number is still that of its group.
        let _ = rustix::process::kill_process_group(rustix::process::Pid::from_child(child), rustix::process::Signal::KILL);
    }
    #[cfg(not(unix))]
    drop(child.kill());
    drop(child.wait());
}

/// The last line with text, safe to show and without words that look like secrets; and whether nothing ended it.
fn last_line(stderr: &[u8]) -> (String, bool) {
    let said = String::from_utf8_lossy(stderr);
    let left_open = !said.trim().is_empty() && !said.ends_with('\n');
    let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let last = text::shortened(last, 500);
    let words: Vec<&str> = last.split_whitespace().map(|word| if hides_secret(word) { "***" } else { word }).collect();
    (text::one_line(&words.join(" ")).into_owned(), left_open)
}

/// Whether a word looks like a token, or holds one behind `=` or `:`, or between quotes; or is as long as no word of a language.
fn hides_secret(word: &str) -> bool {
    let parts = word.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.' | '+' | '/' | '~'));
    parts.into_iter().any(|part| looks_secret(part) || (part.len() >= 40 && !part.contains('/') && part.bytes().any(|b| b.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, &'static str> {
        split(line).map(|words| words.iter().map(|word| word.to_string()).collect())
    }

    #[test]
    fn lines_become_words_as_in_a_shell() {
        for (line, expected) in [
            ("a b  c", &["a", "b", "c"][..]),
            ("  a\t'b c' \"d e\" ", &["a", "b c", "d e"]),
            (r#"a "b\"c\\d\$e\n" f\ g h\\i"#, &["a", "b\"c\\d$e\\n", "f g", "h\\i"]),
            (r#"a'b'"c"d '' "" "#, &["abcd", "", ""]),
            (r"a $HOME * ~ $(x) `y` 'a|b'", &["a", "$HOME", "*", "~", "$(x)", "`y`", "a|b"]),
        ] {
            assert_eq!(words(line).expect(line), expected, "{line}");
        }
        for line in ["", "  ", "a 'b", "a \"b", "a\\", "a \"b\\", "a | b", "a > b", "a; b", "a && b"] {
            words(line).expect_err(line);
        }
    }

    #[test]
    fn last_words_are_one_safe_line() {
        assert_eq!(last_line(b"one\ntwo\x1b[2J\n\n"), ("two\\u{1b}[2J".to_owned(), false));
        assert_eq!(last_line(b"Password: "), ("Password:".to_owned(), true));
        assert_eq!(last_line(b""), (String::new(), false));
        let token = format!("dapi{}", "0".repeat(32));
        for said in [format!("bad token {token}"), format!("token={token}!"), format!("\"{token}\""), format!("got eyJhbGciOi.{}.sig", "a".repeat(30))] {
            let shown = last_line(said.as_bytes()).0;
            assert!(shown.contains("***") && !shown.contains("0000") && !shown.contains("aaaa"), "{shown}");
        }
    }

    #[cfg(unix)]
    mod running {
        use super::*;

        fn sh(script: &str, limit: Duration) -> Result<Ended, Trouble> {
            run(Path::new("/bin/sh"), &["-c", script], limit)
        }

        #[test]
        fn output_and_exit_code_come_back() {
            let ended = sh("echo out; echo err >&2; exit 3", TIME_LIMIT).expect("it ends");
            assert_eq!((ended.code, &ended.stdout[..], ended.last_words.as_str(), ended.left_open), (Some(3), &b"out\n"[..], "err", false));
            assert_eq!(sh("kill -9 $$", TIME_LIMIT).expect("it ends").code, None);
            assert!(matches!(run(Path::new("/no/such/program"), &["x"], TIME_LIMIT), Err(Trouble::Missing)));
        }

        #[test]
        fn nothing_is_there_to_be_read() {
            assert_eq!(&sh("cat; echo end", TIME_LIMIT).expect("it ends").stdout[..], b"end\n");
        }

        #[test]
        fn too_slow_is_killed_with_all_it_started() {
            let folder = tempfile::tempdir().expect("a folder");
            let file = folder.path().join("pid");
            let script = format!("sleep 600 & echo $! > {}; echo waiting >&2; sleep 600", file.display());
            let Err(Trouble::TooSlow(said)) = sh(&script, Duration::from_millis(300)) else { panic!("it should have been too slow") };
            assert_eq!(said, "waiting");
            let pid: i32 = std::fs::read_to_string(file).expect("its number").trim().parse().expect("a number");
            let pid = rustix::process::Pid::from_raw(pid).expect("a process");
            // Killed at once; gathered by whoever adopted it, which takes no time that anybody notices.
            let deadline = Instant::now() + Duration::from_secs(5);
            let is_running = || std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).is_ok_and(|stat| !stat.contains(") Z "));
            while cfg!(target_os = "linux") && is_running() {
                assert!(Instant::now() < deadline, "its child lives on");
                std::thread::yield_now();
            }
        }

        #[test]
        fn floods_are_cut() {
            assert!(matches!(sh("yes", TIME_LIMIT), Err(Trouble::TooMuch)));
            let ended = sh("head -c 3000000 /dev/zero | tr '\\0' 'x' >&2; echo; echo last >&2", TIME_LIMIT).expect("it ends");
            assert!(ended.last_words.ends_with("last") || ended.last_words.ends_with('…'), "{}", ended.last_words);
        }

        #[test]
        fn what_it_left_running_is_not_waited_for() {
            let started = Instant::now();
            let ended = sh("echo out; (sleep 5) & exit 0", TIME_LIMIT).expect("it ends");
            assert_eq!((ended.code, &ended.stdout[..]), (Some(0), &b"out\n"[..]));
            assert!(started.elapsed() < Duration::from_secs(4));
        }

        #[test]
        fn programs_are_found_on_absolute_paths_only() {
            let folder = tempfile::tempdir().expect("a folder");
            std::os::unix::fs::symlink("/bin/sh", folder.path().join("tool")).expect("a link");
            let env = |path: &str| Env::default().with(env::PATH, path);
            let place = folder.path().to_str().expect("text");
            assert_eq!(find(OsStr::new("tool"), &env(&format!(":.:relative:{place}"))), Some(folder.path().join("tool")));
            assert_eq!(find(OsStr::new("tool"), &env(".:")), None);
            assert_eq!(find(OsStr::new("tool"), &Env::default()), None);
            assert_eq!(find(OsStr::new("/bin/sh"), &Env::default()), Some("/bin/sh".into()));
        }
    }
}
