//! Sessions on a terminal: choosing, signing in, what goes wrong on the way, the terminal that closes, and a sign-in that dies.

use super::{Job, eventually, processes};
use crate::harness::{Home, free_port, set_mode};
use crate::oauth::entry;
use crate::workspace::{Fault, RefreshMode, Workspace};
use rustix::process::Signal;
use serde_json::json;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// What a session's program says of itself.
const SAYS: [&str; 3] = ["/bin/sh", "-c", "echo in ${DATABRICKS_CONFIG_PROFILE-none} at ${DATABRICKS_HOST-nowhere}"];

/// A person's home with a browser, whose links come through a pipe, and a workspace in which nobody has signed in yet.
struct Person {
    home: Home,
    workspace: Arc<Workspace>,
    links: PathBuf,
}

impl Person {
    fn new(workspace: Workspace) -> Person {
        let home = Home::new();
        let workspace = home.joins(workspace);
        let links = home.path().join("links");
        rustix::fs::mkfifoat(rustix::fs::CWD, &links, rustix::fs::Mode::RWXU).unwrap();
        let browser = home.path().join("browser");
        home.write(&browser, format!("#!/bin/sh\nprintf '%s\\n' \"$1\" > '{}'\n", links.display()));
        set_mode(&browser, 0o700);
        home.set("BROWSER", browser);
        home.set("DATABRICKS_OAUTH_CALLBACK_PORT", free_port().to_string());
        home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
        home.store(home.path().join(".databricks/token-cache.json"));
        Person { home, workspace, links }
    }

    /// Waits for a link and does what it asks for.
    fn approves(&self) -> JoinHandle<()> {
        let (links, workspace) = (self.links.clone(), Arc::clone(&self.workspace));
        std::thread::spawn(move || {
            let callback = workspace.approve(read(&links).trim_end());
            let first = workspace.visit(&callback);
            let (origin, _) = callback.split_once("/?").unwrap();
            workspace.visit(&format!("{origin}{}", first.header("Location").unwrap()));
        })
    }

    /// Looks at a link and does nothing.
    fn ignores(&self) -> JoinHandle<()> {
        let links = self.links.clone();
        std::thread::spawn(move || drop(read(&links)))
    }

    /// Somebody has signed in to the profile `me`.
    fn signed_in(workspace: Workspace, life: i64) -> Person {
        let person = Person::new(workspace);
        let granted = person.workspace.sign_in(person.workspace.basic_user());
        let own = entry(&granted.access_token, &granted.refresh_token, life, 0);
        std::fs::create_dir(person.home.path().join(".databricks")).unwrap();
        person.home.write(".databricks/token-cache.json".as_ref(), json!({"version": 1, "tokens": {"me": own}}).to_string());
        person.home.write_config(format!(
            "[me]\nhost         = {}\nworkspace_id = {}\nauth_type    = databricks-cli\n",
            person.workspace.url(),
            person.workspace.workspace_id()
        ));
        person
    }

    fn folders(&self) -> usize {
        super::folders_of(&self.home).len()
    }
}

fn read(pipe: &PathBuf) -> String {
    let mut link = String::new();
    std::fs::File::open(pipe).unwrap().read_to_string(&mut link).unwrap();
    link
}

#[test]
fn a_configured_workspace_a_typed_host_or_none() {
    let person = Person::new(Workspace::start());
    let (home, url) = (&person.home, person.workspace.url().to_owned());
    let workspaces = format!("Team A={url},nonsense=x y,Elsewhere=https://elsewhere.example");
    let words: Vec<&str> = ["session", "start", "--"].into_iter().chain(SAYS).collect();
    let words = || <[&str; 6]>::try_from(words.clone()).unwrap();
    let start = || home.typing_with(words(), &[("DATABRICKS_WORKSPACES", workspaces.as_str())]);

    // From the list, with a sign-in, because nobody has signed in there yet.
    let browser = person.approves();
    let mut typing = start();
    typing.asked("Workspace").answer("Team A");
    typing.asked("▸ Sign in with the browser").answer("");
    typing.asked("rofile name").answer("team");
    typing.end().ok().says(&format!("in workbench at {url}")).says("is no workspace");
    browser.join().unwrap();
    // The second time there is nothing to do.
    let mut typing = start();
    typing.asked("Workspace").answer("Team A");
    typing.end().ok().says(&format!("in workbench at {url}"));
    // The same host, typed; first with a mistake.
    let mut typing = start();
    typing.asked("Workspace").answer("Another");
    typing.asked("Databricks host").answer("no host at all");
    typing.wait_for("is not a workspace host");
    typing.answer(&format!("\x15{url}/"));
    typing.end().ok().says(&format!("in workbench at {url}"));
    let mut typing = start();
    typing.asked("Workspace").answer("None");
    typing.end().ok().says("in none at nowhere").says("No session");
    // By its name, also where nobody can be asked.
    home.command([&["session", "start", "Team A", "--"][..], &SAYS].concat().as_slice())
        .env("DATABRICKS_WORKSPACES", &workspaces)
        .run()
        .ok()
        .shows(&format!("in workbench at {url}"));
    assert_eq!(person.folders(), 0);
}

#[test]
fn none_has_none_of_our_variables_and_leaves_the_others() {
    let job = Job::new();
    let outcome = job.home.command(["session", "start", "none", "--", "/usr/bin/env"]).env("DATABRICKS_TOKEN", "dapi-of-the-persons-own").run();
    let names: Vec<&str> =
        outcome.ok().stdout.lines().filter_map(|line| Some(line.split_once('=')?.0)).filter(|name| name.starts_with("DATABRICKS_")).collect();
    assert_eq!(names, ["DATABRICKS_AUTH_STORAGE", "DATABRICKS_TOKEN"], "as it was before");
}

#[test]
fn a_sign_in_that_nobody_finishes_ends_in_time_and_is_tried_again() {
    let person = Person::new(Workspace::start());
    let url = person.workspace.url().to_owned();
    let words: Vec<&str> = ["session", "start", &url, "--timeout", "2s", "--"].into_iter().chain(SAYS).collect();
    let browser = person.ignores();
    let mut typing = person.home.typing(&words[..]);
    typing.asked("▸ Sign in with the browser").answer("");
    typing.asked("rofile name").answer("team");
    typing.wait_for("The sign-in did not work");
    browser.join().unwrap();
    let browser = person.approves();
    typing.asked("Try again?").answer("y");
    typing.end().ok().says(&format!("in workbench at {url}"));
    browser.join().unwrap();
    assert_eq!(person.folders(), 0);
}

#[test]
fn whoever_is_asked_can_leave() {
    let job = Job::new();
    for leave in ["key", "term", "hang-up"] {
        let mut typing = job.home.typing("session start -- true");
        typing.asked("Workspace");
        match leave {
            "key" => typing.send("\x03"),
            "term" => typing.signal(Signal::TERM),
            _ => typing.hang_up(),
        }
        let status = typing.wait_within(Duration::from_secs(5));
        assert!(!status.success(), "{leave}: {status}");
        if leave != "hang-up" {
            typing.assert_restored();
        }
    }
    // Also while a server takes its time.
    job.workspace.order(Fault::on("POST", "/oidc/v1/token").silence().forever());
    let mut typing = job.home.typing("session start p -- true");
    eventually("the question", || !job.workspace.token_requests().is_empty());
    typing.send("\x03");
    assert!(!typing.wait_within(Duration::from_secs(5)).success());
    assert!(job.folders().is_empty());
}

/// The terminal goes, and with it the session of its shell, or the program of a session.
#[test]
fn a_session_ends_with_its_terminal() {
    let job = Job::new();
    let mut typing = job.home.typing_script("eval \"$(databricks session start p)\"; echo ready $DATABRICKS_CONFIG_PROFILE; read -r line");
    typing.wait_for("ready workbench");
    assert_eq!(job.folders().len(), 1);
    typing.hang_up();
    typing.wait_within(Duration::from_secs(5));
    eventually("the end of the session", || job.folders().is_empty());
    let mut typing = job.home.typing(["session", "start", "p", "--", "/bin/sh", "-c", "echo ready; exec /bin/sleep 31.0812"]);
    typing.wait_for("ready");
    typing.hang_up();
    typing.wait_within(Duration::from_secs(5));
    eventually("the end of the session and its program", || job.folders().is_empty() && processes("sleep 31.0812").is_empty());
}

/// The sign-in behind a session ends at the server: the terminal and `session status` say so; after another one the session goes on, and so does its program.
#[test]
fn a_dead_sign_in_is_told_and_renewed_while_the_program_runs() {
    let life = Duration::from_secs(4);
    let workspace = Workspace::builder().refresh_mode(RefreshMode::Reusable).token_lifetime(life).start();
    let person = Person::signed_in(workspace, 4);
    let home = &person.home;
    let program = "echo running as $$; while [ ! -e stop ]; do sleep 0.05; done; databricks current-user me | grep -c userName; echo still $$";
    let mut typing = home.typing_script(&format!("databricks session start me -- bash -c '{program}'; echo code $?"));
    typing.wait_for("running as ");
    person.workspace.revoke_sign_ins(person.workspace.basic_user());
    typing.wait_for("could not be renewed");
    typing.wait_for("databricks auth login");
    eventually("the end of the last token", || home.run("session status").status.code() == Some(1));
    let status = home.run("session status");
    status.shows("Token ends  over").says("the token could not be renewed").says("To sign in again");
    assert!(home.run("session list").ok().stdout.contains("not renewed"));
    home.run("session refresh").fails().says("To sign in again");
    // Another terminal.
    let browser = person.approves();
    home.run("auth login --profile me").ok();
    browser.join().unwrap();
    home.run("session refresh").ok();
    home.run("session status").ok();
    typing.wait_for("the token is renewed again");
    std::fs::write(home.work().join("stop"), "").unwrap();
    let outcome = typing.end();
    outcome.ok().says("code 0");
    let of = |words: &str| outcome.stderr.split_once(words).map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    assert!(of("running as ").is_some_and(|own| of("still ") == Some(own)), "{outcome}");
    assert_eq!(person.folders(), 0);
}
