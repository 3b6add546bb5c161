//! D10: a sign-in at a terminal that gives a profile another host, killed at every call: never is the token of one host under the profile of another.

use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::bench::{Bench, DATABRICKS, for_each, has, mode_of, read, write_private};
use super::token_store::{CALLS, Person, cache, calls_in};
use crate::oauth::entry;
use crate::terminal::pty::Pty;
use crate::workspace::{RefreshMode, Workspace};

/// A home whose profile `p` has signed in to one workspace, and somebody who is about to sign it in to another.
struct Scene {
    bench: Bench,
    old: Arc<Workspace>,
    new: Arc<Workspace>,
    /// The access token that was there.
    token: String,
    config: Vec<u8>,
    _person: Person,
}

/// What a run left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Profile and token as they were.
    Old,
    /// The profile of one of both, and no token: two files cannot change at once, so between them nobody is signed in.
    SignedOut,
    /// Profile and token of the other workspace.
    New,
}

impl Scene {
    fn new() -> Scene {
        let start = || Arc::new(Workspace::builder().refresh_mode(RefreshMode::Rotating).start());
        let (old, new) = (start(), start());
        let bench = Bench::new().set("DATABRICKS_AUTH_STORAGE", "plaintext");
        let granted = old.sign_in(old.basic_user());
        let own = entry(&granted.access_token, &granted.refresh_token, 3_600, 0);
        let mirror = old.url().to_owned();
        std::fs::create_dir(bench.home().join(".databricks")).unwrap();
        write_private(&cache(&bench), json!({"version": 1, "tokens": {"p": own, mirror: own}}).to_string().as_bytes());
        let config = format!("[p]\nhost         = {}\nworkspace_id = {}\nauth_type    = databricks-cli\n", old.url(), old.workspace_id());
        bench.write_config(&config);
        let person = Person::at_the_browser(&bench, &new);
        let bench = bench.set("BROWSER", &person.program.to_string_lossy());
        Scene { bench, old, new, token: granted.access_token, config: config.into_bytes(), _person: person }
    }

    /// Signs in at a terminal, says yes to the other host, and waits for the end.
    fn sign_in(&self, strace: &[&str]) -> (std::process::ExitStatus, String) {
        let trace = self.bench.around().join("trace");
        let mut command = std::process::Command::new("env");
        command.arg("-i").args(self.bench.environment().iter().map(|(name, value)| format!("{name}={value}"))).arg("TERM=xterm-256color");
        command.args(["strace", "-qq", "-o"]).arg(&trace).args(strace).args([
            "--",
            DATABRICKS,
            "auth",
            "login",
            "--profile",
            "p",
            "--timeout",
            "20s",
            "--host",
        ]);
        command.arg(self.new.url()).current_dir(self.bench.home());
        let mut pty = Pty::spawn(&command);
        if pty.draws("Change it?") {
            pty.send("y\r");
        }
        (pty.wait(), pty.screen())
    }

    /// What is there now, and that it belongs together.
    #[track_caller]
    fn left(&self, what: &str) -> Left {
        let config = String::from_utf8(self.bench.read_config().unwrap_or_else(|| panic!("{what}: no profile file"))).unwrap();
        let host = config.lines().find_map(|line| line.strip_prefix("host")).map(|rest| rest.trim_start_matches([' ', '=']));
        let workspace = [&self.old, &self.new].into_iter().find(|workspace| Some(workspace.url()) == host);
        let workspace = workspace.unwrap_or_else(|| panic!("{what}: the profile is of neither\n{config}"));
        let is_new = Arc::ptr_eq(workspace, &self.new);
        assert!(is_new || config.as_bytes() == self.config, "{what}: half a profile\n{config}");
        assert!(
            !is_new || !config.contains(&format!("= {}", self.old.workspace_id())) || self.old.workspace_id() == self.new.workspace_id(),
            "{what}: {config}"
        );
        let store: Value = serde_json::from_slice(&read(&cache(&self.bench)).unwrap_or_default()).unwrap_or_else(|error| panic!("{what}: {error}"));
        for (key, entry) in store["tokens"].as_object().unwrap() {
            let owner = if key == "p" { workspace } else { [&self.old, &self.new].into_iter().find(|workspace| workspace.url() == key).unwrap() };
            let token = entry["access_token"].as_str().unwrap();
            assert!(owner.access_token_works(token), "{what}: under {key} is a token of another host\n{config}");
            assert!(owner.refresh_token_works(entry["refresh_token"].as_str().unwrap()), "{what}: {key}");
        }
        match store["tokens"]["p"]["access_token"].as_str() {
            None => Left::SignedOut,
            Some(token) if !is_new => {
                assert_eq!(token, self.token, "{what}");
                Left::Old
            }
            Some(_) => Left::New,
        }
    }

    /// What was left works, or says what to do; nothing lies around.
    #[track_caller]
    fn goes_on(&self, left: Left, what: &str) {
        let me = self.bench.run(&["current-user", "me", "-p", "p"]);
        match left {
            Left::SignedOut => drop(me.failed_with(&["databricks auth login"])),
            Left::Old | Left::New => drop(me.succeeded()),
        }
        for (path, bytes) in self.bench.files() {
            let has_tokens = String::from_utf8_lossy(&bytes).contains("access_token");
            assert!(!has_tokens || path == cache(&self.bench), "{what}: {} is left", path.display());
            assert_eq!(mode_of(&path), 0o600, "{what}: {}", path.display());
        }
    }
}

#[test]
fn d10_a_sign_in_over_another_host_that_is_killed_mixes_nothing() {
    if !has("strace", &["-qq", "true"]) {
        return;
    }
    let scene = Scene::new();
    let (status, screen) = scene.sign_in(&["-e", &format!("trace=prctl,{CALLS}")]);
    assert!(status.success(), "{screen}");
    assert_eq!(scene.left("undisturbed"), Left::New, "{screen}");
    let calls = calls_in(&std::fs::read_to_string(scene.bench.around().join("trace")).unwrap());
    // What is read from and drawn on the terminal comes in as many pieces as it likes.
    let calls: Vec<_> = calls.into_iter().filter(|(name, _)| name != "read").collect();
    assert!(calls.iter().filter(|(name, _)| name.starts_with("rename")).count() >= 3, "token, profile and token are written: {calls:?}");
    let seen = Mutex::new(Vec::new());
    for_each(&calls, |(name, count)| {
        let what = format!("killed before {name} {count}");
        let scene = Scene::new();
        let (status, screen) = scene.sign_in(&["-e", &format!("trace={name}"), "-e", &format!("inject={name}:signal=SIGKILL:when={count}")]);
        let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(Signal::KILL.as_raw());
        // The terminal may have needed fewer pieces this time.
        assert!(killed || name == "write", "{what}: it was not killed\n{screen}");
        let left = scene.left(&what);
        scene.goes_on(left, &what);
        seen.lock().unwrap().push((name.clone(), left));
    });
    let seen = seen.into_inner().unwrap();
    let count = |left| seen.iter().filter(|(_, seen)| *seen == left).count();
    assert!(count(Left::Old) > 10 && count(Left::New) > 0, "{seen:?}");
    assert!(seen.contains(&("exit_group".to_owned(), Left::New)), "the last call comes after everything");
}
