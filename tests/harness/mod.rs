//! What black-box tests stand on: a home of their own, the real binary in it, and the leak sweep at the end.
//!
//! ```ignore
//! let home = Home::new();
//! let workspace = home.joins(Workspace::start());
//! home.write_config(&format!("[DEFAULT]\nhost = {}\ntoken = {}\n", workspace.url(), workspace.token()));
//! home.run("tokens list").ok().shows("never");
//! home.command(["tokens", "create", "--comment", "for ci"]).env("DATABRICKS_HOST", workspace.url()).reveals().run().ok();
//! ```
//!
//! - [`Home`]: HOME, TMPDIR and a working folder that nobody else has; the environment is empty but for what a test sets.
//! - [`Run`]: one run of the binary, or of a shell script that finds it on PATH; [`Outcome`] is what came of it.
//! - [`Serving`]: a run that goes on while the test does other things.
//! - [`Typing`]: the binary on a terminal of its own, driven by keys.
//! - `sweep`: when a [`Home`] is dropped, every secret of the story is looked for wherever it must not be. Workspaces that joined, tokens that
//!   commands printed, and values given to [`Home::secret`] are swept for.

#![allow(dead_code, reason = "not every story needs every part")]

mod run;
mod serving;
mod sweep;
mod typing;

pub(crate) use run::{Outcome, Run, Words};
pub(crate) use serving::Serving;
pub(crate) use typing::Typing;

use crate::workspace::Workspace;
use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_databricks");

/// A person's or a job's place: its files, its environment, and what was seen of it.
pub(crate) struct Home {
    root: tempfile::TempDir,
    /// Set for every run.
    variables: RefCell<Vec<(OsString, OsString)>>,
    secrets: RefCell<Vec<sweep::Planted>>,
    /// Everything that was printed, and every command line.
    seen: RefCell<Vec<sweep::Seen>>,
    workspaces: RefCell<Vec<Arc<Workspace>>>,
    stores: RefCell<Vec<PathBuf>>,
    /// Whether stores may be readable by others: only where a test made them so and nothing is to be written.
    loose: Cell<bool>,
    swept: Cell<bool>,
}

impl Home {
    pub(crate) fn new() -> Home {
        let root = tempfile::Builder::new().prefix("story-").tempdir().unwrap();
        for folder in ["home", "tmp", "work", "bin"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(BINARY, root.path().join("bin/databricks")).unwrap();
        let home = Home {
            root,
            variables: RefCell::default(),
            secrets: RefCell::default(),
            seen: RefCell::default(),
            workspaces: RefCell::default(),
            stores: RefCell::default(),
            loose: Cell::new(false),
            swept: Cell::new(false),
        };
        home.store(home.config_path());
        home.store(home.path().join(".databricks/token-cache.json"));
        home
    }

    /// A home whose profile DEFAULT signs in to a new workspace, over http on loopback.
    pub(crate) fn signed_in() -> (Home, Arc<Workspace>) {
        let home = Home::new();
        let workspace = home.joins(Workspace::start());
        home.write_config(profile("DEFAULT", workspace.url(), workspace.token()));
        (home, workspace)
    }

    /// Takes a workspace into the story: its secrets may be sent to it and to nobody else, and its requests are swept.
    pub(crate) fn joins(&self, workspace: Workspace) -> Arc<Workspace> {
        let workspace = Arc::new(workspace);
        self.workspaces.borrow_mut().push(Arc::clone(&workspace));
        self.secret_of(&workspace, workspace.token());
        self.secret_of(&workspace, workspace.basic_password());
        workspace
    }

    /// Lets every run trust the authority of a workspace's https port.
    pub(crate) fn trusts(&self, workspace: &Workspace) {
        for name in ["SSL_CERT_FILE", "CURL_CA_BUNDLE"] {
            self.set(name, workspace.ca_file().to_str().unwrap());
        }
    }

    /// A secret that no workspace may ever see.
    pub(crate) fn secret(&self, value: &str) {
        self.secrets.borrow_mut().push(sweep::Planted::new(value, Vec::new()));
    }

    /// A secret that this workspace may see in `Authorization`.
    pub(crate) fn secret_of(&self, workspace: &Arc<Workspace>, value: &str) {
        let owner = self.workspaces.borrow().iter().position(|known| Arc::ptr_eq(known, workspace));
        let owner = owner.expect("the workspace has joined the story");
        self.secrets.borrow_mut().push(sweep::Planted::new(value, vec![owner]));
    }

    /// Sets a variable for every run from now on.
    pub(crate) fn set(&self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.variables.borrow_mut().push((name.into(), value.into()));
    }

    /// A file that may hold secrets, with mode 0600.
    pub(crate) fn store(&self, path: impl Into<PathBuf>) {
        self.stores.borrow_mut().push(path.into());
    }

    /// From now on stores may be readable by others: the test made one so, and only reads.
    pub(crate) fn allow_loose_stores(&self) {
        self.loose.set(true);
    }

    /// A command line: words as text separated by spaces, or as an array.
    pub(crate) fn command(&self, words: impl Words) -> Run<'_> {
        Run::new(self, words.words())
    }

    /// Runs a command line without further ado: nothing on stdin, no terminal.
    pub(crate) fn run(&self, words: impl Words) -> Outcome {
        self.command(words).run()
    }

    /// The whole environment of a run, for those that a test starts by itself.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        run::environment(self, false)
    }

    /// Removes the tokens that are kept between runs, as if they had ended.
    pub(crate) fn forget_tokens(&self) {
        let _none = std::fs::remove_file(self.path().join(".databricks/token-cache.json"));
    }

    /// Puts a program on the PATH of every run: a script whose first line says what runs it.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.root.path().join("bin").join(name);
        std::fs::write(&path, script).unwrap();
        set_mode(&path, 0o755);
    }

    /// A script for bash, which finds `databricks` and the system's programs on PATH.
    pub(crate) fn script(&self, script: &str) -> Run<'_> {
        Run::script(self, script)
    }

    /// The binary on a terminal of its own.
    pub(crate) fn typing(&self, words: impl Words) -> Typing<'_> {
        self.typing_with(words, &[])
    }

    /// As [`Home::typing`], with more variables.
    pub(crate) fn typing_with(&self, words: impl Words, variables: &[(&str, &str)]) -> Typing<'_> {
        Typing::start(self, BINARY, &words.words(), variables)
    }

    /// A script for bash on a terminal of its own.
    pub(crate) fn typing_script(&self, script: &str) -> Typing<'_> {
        Typing::start(self, "bash", &["-c", script].words(), &[])
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The PATH of scripts: the program and the system's.
    pub(crate) fn search_path(&self) -> String {
        format!("{}:/usr/local/bin:/usr/bin:/bin", self.root.path().join("bin").display())
    }

    /// The working folder of every run.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.path().join(".databrickscfg")
    }

    /// The profile file; empty if there is none.
    pub(crate) fn config(&self) -> String {
        String::from_utf8(self.config_bytes()).expect("the profile file is text")
    }

    pub(crate) fn config_bytes(&self) -> Vec<u8> {
        std::fs::read(self.config_path()).unwrap_or_default()
    }

    /// Permission bits of the profile file.
    pub(crate) fn config_mode(&self) -> u32 {
        std::fs::metadata(self.config_path()).unwrap().permissions().mode() & 0o7777
    }

    pub(crate) fn write_config(&self, content: impl AsRef<[u8]>) {
        self.write(&self.config_path(), content);
    }

    /// Writes a file with mode 0600; a relative path begins at the home folder.
    pub(crate) fn write(&self, path: &Path, content: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        std::fs::write(&path, content).unwrap();
        set_mode(&path, 0o600);
    }

    /// What lies in the home folder.
    ///
    /// Without the names that completion has seen, which come and go with what commands list.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".cache");
        names.sort();
        names
    }

    /// Looks for leaks now; says where. The end of the story does the same and fails.
    pub(crate) fn sweep(&self) -> Result<(), String> {
        self.swept.set(true);
        sweep::sweep(self)
    }

    fn saw(&self, seen: sweep::Seen) {
        self.seen.borrow_mut().push(seen);
    }
}

impl std::fmt::Debug for Home {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Home at {}", self.root.path().display())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !std::thread::panicking()
            && !self.swept.get()
            && let Err(leaks) = self.sweep()
        {
            panic!("the leak sweep found secrets:\n{leaks}");
        }
    }
}

/// A profile as `configure` writes it.
pub(crate) fn profile(name: &str, host: &str, token: &str) -> String {
    format!("[{name}]\nhost  = {host}\ntoken = {token}\n")
}

/// A port that is free on both loopback addresses, for `DATABRICKS_OAUTH_CALLBACK_PORT`.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if TcpListener::bind(("::1", port)).is_ok() {
            return port;
        }
    }
}

/// Copies our program, by a process of its own: of a file that this process writes, a child that another test starts meanwhile has a handle until it becomes its program, and a file that
/// somebody writes cannot be started ("Text file busy").
pub(crate) fn copy_program(to: &Path) {
    assert!(std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_databricks")).arg(to).status().unwrap().success(), "{} was not written", to.display());
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A secret that looks like a personal access token and is none.
pub(crate) fn made_up_token() -> String {
    format!("dapi{}", uuid::Uuid::new_v4().simple())
}
