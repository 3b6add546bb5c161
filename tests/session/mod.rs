//! Brokers and managed sessions: the SDKs, readers of the managed file, signals, kills, and what lies around.

mod broker;
mod conflicts;
mod ends;
mod exec;
mod home;
mod managed;
mod methods;
mod several;
mod soak;
mod terminal;
mod unit;

use crate::harness::Home;
use crate::workspace::Workspace;
use rustix::process::Pid;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A home whose profile `p` is a service principal, the tokens of which live as long as wanted.
pub(crate) struct Job {
    pub(crate) home: Home,
    pub(crate) workspace: Arc<Workspace>,
}

impl Job {
    pub(crate) fn with_tokens_of(life: Duration) -> Job {
        let home = Home::new();
        let workspace = home.joins(Workspace::builder().token_lifetime(life).start());
        let secret = workspace.mint_secret(None);
        home.secret_of(&workspace, &secret);
        home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
        home.store(home.path().join(".databricks/token-cache.json"));
        let (_, id) = workspace.service_principal();
        let profile = |name: &str| format!("[{name}]\nhost = {}\nauth_type = oauth-m2m\nclient_id = {id}\nclient_secret = {secret}\n", workspace.url());
        home.write_config(profile("p") + &profile("q"));
        Job { home, workspace }
    }

    pub(crate) fn new() -> Job {
        Job::with_tokens_of(Duration::from_secs(3_600))
    }

    /// The folders of sessions that are there.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        folders_of(&self.home)
    }

    /// Requests that were refused for their token.
    pub(crate) fn refused(&self) -> usize {
        self.workspace.requests().iter().filter(|request| request.status == Some(401)).count()
    }
}

/// The folders of sessions of a home.
pub(crate) fn folders_of(home: &Home) -> Vec<PathBuf> {
    let bases = std::fs::read_dir(home.path().parent().unwrap().join("tmp")).unwrap().flatten();
    let bases = bases.filter(|entry| entry.file_name().to_string_lossy().starts_with("databricks-"));
    bases.flat_map(|base| std::fs::read_dir(base.path()).unwrap().flatten().map(|entry| entry.path())).collect()
}

/// The processes whose command line holds this text.
pub(crate) fn processes(text: &str) -> Vec<Pid> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let own = all.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, std::fs::read(entry.path().join("cmdline")).ok()?)));
    own.filter(|(_, line)| String::from_utf8_lossy(line).replace('\0', " ").contains(text)).filter_map(|(number, _)| Pid::from_raw(number)).collect()
}

/// Waits until something holds; for what no event tells.
#[track_caller]
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A broker that runs, and how to ask it.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) address: String,
    /// The path of each profile.
    pub(crate) paths: Vec<String>,
    pub(crate) host: String,
}

impl Serving {
    pub(crate) fn start(job: &Job, words: &[&str]) -> Serving {
        let mut command = Command::new(env!("CARGO_BIN_EXE_databricks"));
        command.arg0("databricks").args(["auth", "serve", "-o", "json"]).args(words).env_clear();
        command.env("HOME", job.home.path()).env("DATABRICKS_AUTH_STORAGE", "plaintext").current_dir(job.home.work());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let profiles = words.iter().filter(|word| word.len() == 1).count();
        let served: Vec<serde_json::Value> = (0..profiles).map(|_| serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()).collect();
        let url = |value: &serde_json::Value| value["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        let address = url(&served[0]).split('/').next().unwrap().to_owned();
        let paths = served.iter().map(|one| format!("/{}", url(one).split_once('/').unwrap().1)).collect();
        Serving { child, address, paths, host: served[0]["host"].as_str().unwrap().to_owned() }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// The request of an SDK for the first profile.
    pub(crate) fn request(&self) -> String {
        self.request_for(&self.paths[0], &self.host)
    }

    pub(crate) fn request_for(&self, path: &str, host: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\nX-Databricks-Metadata-Version: 1\r\nX-Databricks-Host: {host}\r\n\r\n", self.address)
    }

    /// Status and body of the answer to one request on a connection of its own.
    pub(crate) fn ask(&self, request: &str) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(&mut stream)
    }

    /// Ends it as a supervisor does; its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        rustix::process::kill_process(Pid::from_child(&self.child), rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gathered = self.child.wait();
    }
}

/// Reads one answer; the connection stays usable.
pub(crate) fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "the connection ended within {:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
}
