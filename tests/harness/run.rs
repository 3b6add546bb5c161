//! One run of the binary without a terminal, and what came of it.

use super::sweep::Seen;
use super::{BINARY, Home};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any run may take; a test that works never waits for it.
const DEADLINE: Duration = Duration::from_secs(40);

/// A command line, as text whose words are separated by spaces, or word by word.
pub(crate) trait Words {
    fn words(self) -> Vec<OsString>;
}

impl Words for &str {
    fn words(self) -> Vec<OsString> {
        self.split_whitespace().map(OsString::from).collect()
    }
}

impl<const N: usize> Words for [&str; N] {
    fn words(self) -> Vec<OsString> {
        self.iter().map(OsString::from).collect()
    }
}

impl Words for &[&str] {
    fn words(self) -> Vec<OsString> {
        self.iter().map(OsString::from).collect()
    }
}

impl Words for Vec<OsString> {
    fn words(self) -> Vec<OsString> {
        self
    }
}

/// A run to be made.
#[derive(Debug)]
#[must_use = "nothing runs before run()"]
pub(crate) struct Run<'h> {
    pub(super) home: &'h Home,
    program: OsString,
    words: Vec<OsString>,
    stdin: Option<Vec<u8>>,
    variables: Vec<(OsString, Option<OsString>)>,
    folder: PathBuf,
    limit: Duration,
    pub(super) reveals: bool,
    /// Whether this is the binary itself, whose exit codes are known.
    ours: bool,
}

impl<'h> Run<'h> {
    pub(super) fn new(home: &'h Home, words: Vec<OsString>) -> Run<'h> {
        Run { home, program: BINARY.into(), words, stdin: None, variables: Vec::new(), folder: home.work(), limit: DEADLINE, reveals: false, ours: true }
    }

    pub(super) fn script(home: &'h Home, script: &str) -> Run<'h> {
        let words = ["-c", script].map(OsString::from).to_vec();
        Run { program: "bash".into(), ours: false, ..Run::new(home, words) }
    }

    /// What the program reads on stdin; else it reads the end at once.
    pub(crate) fn stdin(mut self, text: impl AsRef<[u8]>) -> Run<'h> {
        self.stdin = Some(text.as_ref().to_vec());
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Run<'h> {
        self.variables.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Run<'h> {
        self.variables.push((name.into(), None));
        self
    }

    pub(crate) fn folder(mut self, folder: impl Into<PathBuf>) -> Run<'h> {
        self.folder = folder.into();
        self
    }

    /// Its stdout shows secrets, because that is its job.
    pub(crate) fn reveals(mut self) -> Run<'h> {
        self.reveals = true;
        self
    }

    /// It may take longer than runs usually do.
    pub(crate) fn at_most(mut self, limit: Duration) -> Run<'h> {
        self.limit = limit;
        self
    }

    /// Starts it and lets it run; nobody reads what it prints.
    pub(crate) fn spawn(self) -> std::process::Child {
        self.prepared().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub(super) fn line(&self) -> String {
        self.words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn prepared(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.words).current_dir(&self.folder).env_clear();
        if self.ours {
            // As found on PATH: a program started through a path tells SDKs where it is.
            command.arg0("databricks");
        }
        for (name, value) in environment(self.home, !self.ours) {
            command.env(name, value);
        }
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    pub(crate) fn run(self) -> Outcome {
        let (mut command, line) = (self.prepared(), self.line());
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        if let (Some(text), Some(mut pipe)) = (self.stdin, child.stdin.take()) {
            // A program that does not want its input closes the pipe; that is its right.
            thread::spawn(move || drop(pipe.write_all(&text)));
        }
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        let limit = Timespec { tv_sec: self.limit.as_secs().try_into().unwrap(), tv_nsec: 0 };
        let over = poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&limit)).unwrap();
        if over == 0 {
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        let outcome = Outcome {
            line,
            status,
            stdout: String::from_utf8_lossy(&stdout.join().unwrap()).into_owned(),
            stderr: String::from_utf8_lossy(&stderr.join().unwrap()).into_owned(),
            took: started.elapsed(),
        };
        assert!(over > 0, "it did not end within {:?}\n{outcome}", self.limit);
        self.home.saw(Seen { line: outcome.line.clone(), stdout: outcome.stdout.clone(), stderr: outcome.stderr.clone(), reveals: self.reveals });
        if self.ours {
            assert!(matches!(status.code(), Some(0 | 1)), "the exit code is neither 0 nor 1\n{outcome}");
            assert!(!outcome.stderr.contains("panicked at"), "it panicked\n{outcome}");
        }
        outcome
    }
}

/// The whole environment of a run.
pub(super) fn environment(home: &Home, with_system: bool) -> Vec<(OsString, OsString)> {
    let bin = home.root.path().join("bin").into_os_string().into_string().unwrap();
    let path = if with_system { format!("{bin}:/usr/local/bin:/usr/bin:/bin") } else { bin };
    let mut variables: Vec<(OsString, OsString)> = vec![
        ("HOME".into(), home.path().into()),
        ("TMPDIR".into(), home.root.path().join("tmp").into()),
        ("PATH".into(), path.into()),
        // Some loaders and languages tell more when asked; nothing of that may hold a secret.
        ("RUST_BACKTRACE".into(), "full".into()),
    ];
    variables.extend(home.variables.borrow().iter().cloned());
    variables
}

fn collect(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// What came of a run. Every assertion returns it, and shows all of it when it fails.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    line: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Outcome {
    /// It worked.
    #[track_caller]
    pub(crate) fn ok(&self) -> &Self {
        assert_eq!(self.status.code(), Some(0), "it failed\n{self}");
        self
    }

    /// It failed as commands fail: exit code 1 and an error on stderr, nothing on stdout.
    #[track_caller]
    pub(crate) fn fails(&self) -> &Self {
        assert_eq!(self.status.code(), Some(1), "the exit code is not 1\n{self}");
        assert!(self.stderr.starts_with("Error: ") || self.stderr.contains("\nError: "), "no line begins with Error:\n{self}");
        self.prints("")
    }

    /// As [`Outcome::fails`], on a terminal: there stderr is what the screen shows.
    #[track_caller]
    pub(crate) fn fails_on_terminal(&self, message: &str) -> &Self {
        assert_eq!(self.status.code(), Some(1), "the exit code is not 1\n{self}");
        self.says("Error: ").says(message)
    }

    /// All of stdout.
    #[track_caller]
    pub(crate) fn prints(&self, stdout: &str) -> &Self {
        assert!(self.stdout == stdout, "stdout is not\n{stdout}\nbut\n{self}");
        self
    }

    /// All of stderr.
    #[track_caller]
    pub(crate) fn notes(&self, stderr: &str) -> &Self {
        assert!(self.stderr == stderr, "stderr is not\n{stderr}\nbut\n{self}");
        self
    }

    /// Stdout contains this.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> &Self {
        assert!(self.stdout.contains(text), "stdout does not contain {text:?}\n{self}");
        self
    }

    /// Stderr contains this.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "stderr does not contain {text:?}\n{self}");
        self
    }

    /// Neither stdout nor stderr contains this.
    #[track_caller]
    pub(crate) fn lacks(&self, text: &str) -> &Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "{text:?} is there\n{self}");
        self
    }

    /// The first line of stderr is this error.
    #[track_caller]
    pub(crate) fn error(&self, message: &str) -> &Self {
        self.fails();
        let first = self.stderr.lines().find_map(|line| line.strip_prefix("Error: "));
        assert!(first == Some(message), "the error is not\n{message}\nbut\n{self}");
        self
    }

    /// Neither stdout nor stderr has anything.
    #[track_caller]
    pub(crate) fn silent(&self) -> &Self {
        self.prints("").notes("")
    }

    /// It took no longer than this.
    #[track_caller]
    pub(crate) fn within(&self, limit: Duration) -> &Self {
        assert!(self.took < limit, "it took {:?}\n{self}", self.took);
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("stdout is no JSON: {error}\n{self}"))
    }

    pub(super) fn new(line: String, status: ExitStatus, stdout: String, stderr: String, took: Duration) -> Outcome {
        Outcome { line, status, stdout, stderr, took }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.status.code().map_or_else(|| format!("signal {:?}", self.status.signal()), |code| code.to_string());
        write!(formatter, "command: {}\nstatus: {status}\nstdout:\n{}\nstderr:\n{}", self.line, self.stdout, self.stderr)
    }
}
