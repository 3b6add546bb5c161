//! A place for one test: an empty home, a cleared environment, the real binary, and a watch over how it ends.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::workspace::Workspace;

/// The program under test.
pub(super) const DATABRICKS: &str = env!("CARGO_BIN_EXE_databricks");

/// Long enough for a loaded machine: a command that takes longer hangs.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// A home and the commands that run in it.
#[derive(Debug)]
pub(super) struct Bench {
    outer: tempfile::TempDir,
    home: PathBuf,
    variables: Vec<(String, String)>,
    address_space: Option<u64>,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) took: Duration,
}

impl Bench {
    pub(super) fn new() -> Self {
        let outer = tempfile::Builder::new().prefix("faults-").tempdir().unwrap();
        let home = outer.path().join("home");
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
        Self { outer, home, variables: Vec::new(), address_space: None }
    }

    /// A home whose only profile, `DEFAULT`, leads to a workspace over plain http. `extra` are further lines of the profile.
    pub(super) fn with_profile(workspace: &Workspace, extra: &str) -> Self {
        let bench = Self::new();
        bench.write_config(format!("[DEFAULT]\nhost = {}\ntoken = {}\n{extra}", workspace.url(), workspace.token()));
        bench
    }

    /// Sets a variable for all commands to come.
    pub(super) fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets commands have that much address space: whoever needs more memory is ended by it.
    pub(super) fn megabytes(mut self, megabytes: u64) -> Self {
        self.address_space = Some(megabytes << 20);
        self
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// The folder that holds nothing but the home.
    pub(super) fn around(&self) -> &Path {
        self.outer.path()
    }

    pub(super) fn config(&self) -> PathBuf {
        self.home.join(".databrickscfg")
    }

    pub(super) fn write_config(&self, text: impl AsRef<[u8]>) {
        write_private(&self.config(), text.as_ref());
    }

    /// The bytes of the profile file; `None` if there is none.
    pub(super) fn read_config(&self) -> Option<Vec<u8>> {
        read(&self.config())
    }

    /// The variables that commands see.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let mut all = vec![("HOME".to_owned(), self.home.to_string_lossy().into_owned()), ("PATH".to_owned(), PATH.to_owned())];
        all.extend(self.variables.iter().cloned());
        all
    }

    /// A program with this environment, in this home, with nothing on stdin.
    pub(super) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment()).current_dir(&self.home).stdin(Stdio::null());
        command
    }

    pub(super) fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = match self.address_space {
            None => self.program(DATABRICKS),
            Some(bytes) => {
                let mut shell = self.program("sh");
                shell.args(["-c", &format!("ulimit -v {} && exec \"$0\" \"$@\"", bytes >> 10), DATABRICKS]);
                shell
            }
        };
        command.args(arguments);
        command
    }

    pub(super) fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Outcome {
        finish(&mut self.command(arguments), None)
    }

    pub(super) fn run_with_stdin<A: AsRef<OsStr>>(&self, arguments: &[A], stdin: impl AsRef<[u8]>) -> Outcome {
        finish(&mut self.command(arguments), Some(stdin.as_ref()))
    }

    /// A command line for a terminal: `Pty` hands on single variables only, so the clearing is left to `env -i`.
    pub(super) fn on_terminal(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("env");
        command.arg("-i");
        for (name, value) in self.environment() {
            command.arg(format!("{name}={value}"));
        }
        command.arg("TERM=xterm-256color").arg(DATABRICKS).args(arguments).current_dir(&self.home);
        command
    }

    /// Every file below the home with its bytes.
    pub(super) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.home.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    found.push((path.clone(), std::fs::read(&path).unwrap()));
                }
            }
        }
        found
    }
}

/// Where the tools of the system are.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Outcome {
    /// The exit code; ends the test if a signal ended the program, or if it panicked.
    pub(super) fn code(&self) -> i32 {
        let said = self.stderr();
        assert!(!said.contains("panicked at") && !said.contains("RUST_BACKTRACE"), "it panicked\n{self}");
        let code = self.status.code().unwrap_or_else(|| panic!("ended by signal {:?}\n{self}", self.status.signal()));
        assert!(code == 0 || code == 1, "odd exit code {code}\n{self}");
        code
    }

    pub(super) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(super) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Ends the test unless the command succeeded.
    pub(super) fn succeeded(self) -> Self {
        assert_eq!(self.code(), 0, "{self}");
        self
    }

    /// Ends the test unless the command failed with a message that holds all these words.
    pub(super) fn failed_with(self, words: &[&str]) -> Self {
        assert_eq!(self.code(), 1, "{self}");
        let said = self.stderr();
        assert!(said.contains("Error: "), "{self}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in the message\n{self}");
        }
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]).into_owned();
        write!(formatter, "{} after {:?}\nstdout: {:?}\nstderr: {:?}", self.status, self.took, short(&self.stdout), short(&self.stderr))
    }
}

/// Runs a command to its end with all its pipes; ends the test if that takes longer than [`LIMIT`].
pub(super) fn finish(command: &mut Command, stdin: Option<&[u8]>) -> Outcome {
    let started = Instant::now();
    if stdin.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (input, mut output, mut talk) = (pipes.0, pipes.1.unwrap(), pipes.2.unwrap());
    let status = std::thread::scope(|scope| {
        if let (Some(mut input), Some(bytes)) = (input, stdin) {
            // A program that ends without reading everything is within its rights.
            scope.spawn(move || drop(input.write_all(bytes)));
        }
        scope.spawn(|| output.read_to_end(&mut stdout).unwrap());
        scope.spawn(|| talk.read_to_end(&mut stderr).unwrap());
        wait(&mut child, LIMIT)
    });
    let outcome = Outcome { status: status.unwrap_or_default(), stdout, stderr, took: started.elapsed() };
    assert!(status.is_some(), "{command:?} did not end\n{outcome}");
    outcome
}

/// Waits for the end of a program; kills it and returns `None` if it takes too long.
pub(super) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        let left = Timespec { tv_sec: left.as_secs().try_into().unwrap(), tv_nsec: left.subsec_nanos().into() };
        let _ = poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&left));
    }
}

/// Writes a file with mode 0600.
pub(super) fn write_private(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The bytes of a file; `None` if there is none.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

pub(super) fn mode_of(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says why a check does not run here.
pub(super) fn skip(reason: &str) {
    assert!(std::env::var_os("TESTS_SKIP_NOTHING").is_none(), "this check must not be skipped: {reason}");
    eprintln!("skipped: {reason}");
}

/// Whether a tool of the system is there and works with these arguments; says so if not.
pub(super) fn has(program: &str, arguments: &[&str]) -> bool {
    let works = Command::new(program)
        .args(arguments)
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        skip(&format!("`{program} {}` does not work here", arguments.join(" ")));
    }
    works
}

/// Does a piece of work for every item, on as many threads as pay off while a program runs for each.
pub(super) fn for_each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    for_each_on(6, items, work);
}

/// As [`for_each`], on that many threads: more, where most of the work is to wait.
pub(super) fn for_each_on<T: Sync>(threads: usize, items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

/// What asks a workspace, one line for each command; ids are those of the embedded workspace.
pub(super) const ASKING: &[&[&str]] = &[
    &["tokens", "list"],
    &["tokens", "list", "-o", "json"],
    &["tokens", "create", "--comment", "c", "--lifetime-seconds", "60"],
    &["tokens", "delete", "0123456789abcdef"],
    &["tokens", "update", "0123456789abcdef", "--json", "{\"token\":{\"comment\":\"x\"},\"update_mask\":\"comment\"}"],
    &["clusters", "list"],
    &["clusters", "list", "-o", "json"],
    &["clusters", "get", "1234-567890-a12bcde3"],
    &["clusters", "spark-versions"],
    &["current-user", "me"],
    &["database", "generate-database-credential", "db-instance-name"],
    &["auth", "describe"],
    &["auth", "describe", "-o", "json"],
    &["auth", "profiles"],
    &["auth", "profiles", "-o", "json"],
];

/// Whether a command reports trouble with the workspace in its output, and ends with 0 all the same.
pub(super) fn is_diagnosis(arguments: &[&str]) -> bool {
    arguments.first() == Some(&"auth")
}
