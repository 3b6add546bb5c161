//! Our program, run in a home of its own and with an environment that holds nothing else.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_databricks");

/// A home folder, gone when dropped.
#[derive(Debug)]
pub(super) struct Home {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Run {
    /// Standard output of a run that must have worked.
    #[track_caller]
    pub(super) fn text(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The same as JSON.
    #[track_caller]
    pub(super) fn json(self) -> Value {
        serde_json::from_str(&self.text()).expect("JSON")
    }
}

impl Home {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("home-").tempdir().expect("a temporary folder") }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The profile file.
    pub(super) fn file(&self) -> PathBuf {
        self.path().join(".databrickscfg")
    }

    #[expect(clippy::disallowed_methods, reason = "what a user wrote, not what the program writes")]
    pub(super) fn write(&self, text: &str) {
        std::fs::write(self.file(), text).expect("a home that can be written");
    }

    pub(super) fn read(&self) -> String {
        std::fs::read_to_string(self.file()).expect("a profile file")
    }

    pub(super) fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
        self.run_with_input(arguments, environment, "")
    }

    /// Runs our program with this text on a pipe as standard input.
    pub(super) fn run_with_input(&self, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Run {
        self.run_program(Path::new(BINARY), arguments, environment, input)
    }

    /// Runs any program the same way. Its `PATH` is empty unless given.
    #[expect(clippy::disallowed_methods, reason = "programs under test and their peers are started here")]
    pub(super) fn run_program(&self, program: &Path, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Run {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("HOME", self.path()).envs(environment.iter().copied());
        if program == Path::new(BINARY) {
            // As it stands in scripts: found on PATH. Started by a path it tells SDKs where it is, which shows in what it prints.
            command.arg0("databricks");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        // A program that reads nothing closes the pipe, which is no fault of this test.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("the program ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}
