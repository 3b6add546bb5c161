//! `session home`: a person in headless Chromium, and those who are none.

use super::{Job, eventually};
use crate::harness::free_port;
use crate::peers::oauth::{node, packages};
use crate::workspace::Workspace;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Profiles `p` and `q` as in every job, and `ann`, whom nobody has signed in yet.
fn job() -> Job {
    let job = Job::new();
    let ann = format!("[ann]\nhost = {}\nauth_type = databricks-cli\n", job.workspace.url());
    job.home.write_config(job.home.config() + &ann);
    job.home.set("DATABRICKS_OAUTH_CALLBACK_PORT", free_port().to_string());
    job
}

/// The page, served until this is dropped.
struct Home {
    child: Child,
    link: String,
    /// A host as somebody would type it.
    workspace: String,
    said: std::sync::mpsc::Receiver<String>,
}

impl Home {
    fn open(job: &Job, words: &[&str]) -> Home {
        let mut command = Command::new(env!("CARGO_BIN_EXE_databricks"));
        command.arg0("databricks").args(["session", "home"]).args(words).env_clear().current_dir(job.home.work());
        for (name, value) in job.home.environment() {
            command.env(name, value);
        }
        let parent = std::process::id().to_string();
        let mut child = command.args(["--parent", &parent]).env("BROWSER", "none").stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, said) = std::sync::mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        std::thread::spawn(move || lines.map_while(|line| tell.send(line).ok()).count());
        let link = std::iter::from_fn(|| said.recv_timeout(Duration::from_secs(10)).ok()).find(|line| line.starts_with("http://localhost:")).unwrap();
        Home { child, link, workspace: job.workspace.url().to_owned(), said }
    }

    fn port(&self) -> u16 {
        self.link.split(['/', ':']).nth(4).unwrap().parse().unwrap()
    }

    /// `/<secret>/`.
    fn place(&self) -> String {
        format!("/{}/", self.link.split('/').nth(3).unwrap())
    }

    /// What is answered to these bytes.
    fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // Refused before its end is there, it may not be taken to its end.
        let _taken = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _end = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The cookie that the link is exchanged for.
    fn cookie(&self) -> String {
        let target = self.link.splitn(4, '/').nth(3).unwrap();
        let answer = self.send(&format!("GET /{target} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", self.port()));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let set = answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).unwrap();
        assert!(set.ends_with(&format!("; Path={}; HttpOnly; SameSite=Strict", self.place())), "{set}");
        set.split(';').next().unwrap().to_owned()
    }

    fn get(&self, target: &str, fields: &str) -> String {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: localhost:{}\r\n{fields}\r\n", self.port()))
    }

    fn post(&self, tail: &str, fields: &str, body: &str) -> String {
        self.send(&format!(
            "POST {}{tail} HTTP/1.1\r\nHost: localhost:{}\r\n{fields}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.place(),
            self.port(),
            body.len()
        ))
    }

    /// What it has said since the last time, and its exit code.
    fn end(mut self) -> (String, Option<i32>) {
        // It may have ended already.
        let _gone = kill_process(Pid::from_child(&self.child), Signal::INT);
        let code = self.child.wait().unwrap().code();
        (self.said.iter().collect::<Vec<_>>().join("\n"), code)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gathered = self.child.wait();
    }
}

/// A person who walks through a scenario of `home.mjs`; `meanwhile` happens when they say that they wait.
fn person(home: &Home, scenario: &str, meanwhile: impl FnOnce()) -> (Value, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("session-home-{scenario}"));
    let scratch = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/session/home.mjs");
    let mut command = Command::new(node());
    command.arg(script).args([&home.link, scenario]).arg(&folder).env_clear().env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
    command.env("HOME", scratch.path()).env("TMPDIR", scratch.path()).env("TEST_NODE", packages()).env("WORKSPACE", &home.workspace);
    let mut browser = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(browser.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut line = lines.next().unwrap();
    if line == "ready" {
        meanwhile();
        line = lines.next().unwrap();
    }
    browser.wait().unwrap();
    let result: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(result["error"], Value::Null, "{result:#}");
    let complaints: Vec<&Value> = result["console"].as_array().unwrap().iter().filter(|text| !text.as_str().unwrap().contains("status of 403")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    (result, folder)
}

/// Tokens that were granted to Ann are looked for where none may be.
fn plant(job: &Job) {
    plant_of(job, |_| &job.workspace);
}

/// As [`plant`]; `workspace` is the one that granted what is kept under a key.
fn plant_of<'w>(job: &'w Job, workspace: impl Fn(&str) -> &'w Arc<Workspace>) {
    let bytes = std::fs::read(job.home.path().join(".databricks/token-cache.json")).unwrap();
    let store: Value = serde_json::from_slice(&bytes).unwrap();
    for (key, entry) in store["tokens"].as_object().unwrap() {
        for field in ["access_token", "refresh_token"] {
            if let Some(token) = entry[field].as_str().filter(|token| !token.is_empty()) {
                job.home.secret_of(workspace(key), token);
            }
        }
    }
}

fn sessions(job: &Job) -> Vec<Value> {
    job.home.run("session list -o json").ok().json().as_array().unwrap().clone()
}

#[test]
fn a_person_chooses_signs_in_and_sees_it() {
    let job = job();
    let home = Home::open(&job, &[]);
    let (result, folder) = person(&home, "whole", || ());
    let seen = &result["seen"];
    assert_eq!(seen["title"], "Choose a workspace · databricks");
    assert_eq!((&seen["empty"], &seen["other"], &seen["typed"]), (&Value::Bool(true), &Value::Bool(false), &Value::Bool(true)));
    // The ticket is gone from the address, and the cookie is not for scripts.
    assert_eq!(seen["address"], format!("http://localhost:{}{}", home.port(), home.place()));
    assert_eq!(
        (seen["byScript"].as_str(), seen["cookies"][0]["httpOnly"].as_bool(), seen["cookies"][0]["sameSite"].as_str()),
        (Some(""), Some(true), Some("Strict"))
    );
    let id = sessions(&job)[0]["id"].as_str().unwrap().to_owned();
    let text = seen["text"].as_str().unwrap();
    for part in [&*format!("eval \"$(databricks session env {id})\""), "profile workbench", ".databrickscfg", "New token", "End"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let aria = seen["aria"].as_str().unwrap();
    for part in ["heading \"Databricks sessions\" [level=1]", "combobox \"Workspace\"", "button \"Sign In\"", &*format!("button \"End session {id}\"")] {
        assert!(aria.contains(part), "{part} is not in {aria}");
    }
    assert!(seen["contrast"].as_f64().unwrap() >= 4.5, "{}", seen["contrast"]);
    assert_eq!(seen["stranger"], "This link was used already");
    assert_eq!(seen["locked"], "This browser is not let in");
    // The link and the path are nobody's but ours.
    for request in result["requests"].as_array().unwrap() {
        let (url, referer) = (request["url"].as_str().unwrap(), request["referer"].as_str().unwrap_or_default());
        assert!(url.starts_with(&format!("http://localhost:{}/", home.port())) || !referer.contains(&home.place()), "{request}");
        assert!(!referer.contains("ticket="), "{request}");
    }
    // It is a session like any other, and outlives the page.
    let (said, code) = home.end();
    assert_eq!(code, Some(0));
    assert!(said.contains("a link that was used already was tried again") && said.contains("Sessions go on"), "{said}");
    job.home
        .script(&format!("eval \"$(databricks session env {id})\"; databricks current-user me -o json | jq -r .userName"))
        .run()
        .ok()
        .prints("ann@example.com\n");
    job.home.run("session end --all").ok();
    plant(&job);
    assert!(job.folders().is_empty());
    if std::env::var_os("UPDATE_SCREENSHOTS").is_some() {
        for picture in std::fs::read_dir(folder).unwrap().flatten() {
            let name = picture.file_name().into_string().unwrap().replace("signed-in-", "session-home-");
            std::fs::copy(picture.path(), Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap();
        }
    }
}

#[test]
fn sessions_end_at_the_page_and_the_page_when_it_is_asked() {
    let job = job();
    let home = Home::open(&job, &[]);
    let (result, _) = person(&home, "end", || drop(job.home.run("session end --all").ok().clone()));
    assert_eq!((&result["seen"]["empty"], &result["seen"]["closed"]), (&Value::Bool(true), &Value::Bool(true)));
    let mut home = home;
    assert!(home.child.wait().unwrap().success());
    assert!(job.folders().is_empty(), "{:?}", job.folders());
    plant(&job);
}

#[test]
fn who_comes_too_late_can_try_again() {
    let job = job();
    let home = Home::open(&job, &["--timeout", "4s"]);
    let (result, _) = person(&home, "late", || ());
    let seen = &result["seen"];
    assert!(seen["waiting"].as_str().unwrap().contains("Go to the sign-in page"), "{seen}");
    assert!(seen["alert"].as_str().unwrap().contains("nobody signed in to"), "{seen}");
    assert_eq!(seen["focus"], "retry");
    assert!(seen["contrast"].as_f64().unwrap() >= 4.5, "{}", seen["contrast"]);
    job.home.run("session end --all").ok();
    plant(&job);
}

#[test]
fn a_refusal_is_told_and_a_person_can_think_better_of_it() {
    let job = job();
    let home = Home::open(&job, &[]);
    let (result, _) = person(&home, "denied", || ());
    let seen = &result["seen"];
    assert!(seen["alert"].as_str().unwrap().contains("access_denied"), "{seen}");
    assert_eq!(seen["waiting"], 0);
    assert!(seen["host"].as_str().unwrap().contains("<b>"), "shown as it was typed: {seen}");
    assert!(sessions(&job).is_empty());
}

#[test]
fn the_keyboard_is_enough() {
    let job = job();
    let home = Home::open(&job, &[]);
    let (result, _) = person(&home, "keys", || ());
    let seen = &result["seen"];
    assert_eq!((seen["first"].as_str(), seen["chosen"].as_str(), seen["second"].as_str()), (Some("workspace"), Some("profile:p"), Some("sign-in")), "{seen}");
    assert!(seen["reached"].as_array().unwrap().last().unwrap().as_str().unwrap().starts_with("end-"), "{seen}");
    assert_eq!(seen["outline"], "solid");
    assert!(sessions(&job).is_empty());
}

#[test]
fn scripts_are_not_needed() {
    let job = job();
    let mut home = Home::open(&job, &[]);
    let other = job.home.joins(Workspace::start());
    home.workspace = other.url().to_owned();
    let (result, _) = person(&home, "plain", || ());
    let remembered = job.home.config().split_once("[new one]").map(|(_, rest)| rest.contains(other.url()));
    assert_eq!(remembered, Some(true), "{}", job.home.config());
    assert!(result["seen"]["text"].as_str().unwrap().contains("databricks session env"));
    plant_of(&job, |key| if key == "new one" || key == other.url() { &other } else { &job.workspace });
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

/// The number that forms of the page have.
fn proof(page: &str) -> &str {
    page.split_once("name=\"proof\" value=\"").unwrap().1.split('"').next().unwrap()
}

#[test]
fn nobody_else_gets_anything() {
    let job = job();
    let home = Home::open(&job, &[]);
    let place = home.place();
    // Without the cookie there is nothing, whatever is asked; and no answer names the secrets.
    for (answer, expected) in [
        (home.get("/", ""), "404"),
        (home.get("/favicon.ico", ""), "404"),
        (home.get(&place, ""), "403"),
        (home.get(&place, "Cookie: session-home=x\r\n"), "403"),
        (home.get(&format!("{place}open?ticket=x"), ""), "403"),
        (home.get(&format!("{place}../{place}"), ""), "403"),
        (home.post("close", "", ""), "403"),
        (home.send("\u{16}\u{3}\u{1}\r\n\r\n"), "400"),
        (home.send(&format!("OPTIONS {place} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", home.port())), "405"),
    ] {
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(!answer.contains(place.trim_matches('/')) && !answer.contains("Set-Cookie"), "{answer}");
        for header in ["frame-ancestors 'none'", "X-Frame-Options: DENY", "Cache-Control: no-store", "Cross-Origin-Resource-Policy: same-origin"] {
            assert!(answer.contains(header), "{header} is missing in {answer}");
        }
    }
    // A name that leads here gets nothing even with the ticket, which stays good.
    let ticket = home.link.splitn(4, '/').nth(3).unwrap();
    let rebound = home.send(&format!("GET /{ticket} HTTP/1.1\r\nHost: evil.example:{}\r\n\r\n", home.port()));
    assert_eq!(status(&rebound), "403");
    let prefetched = home.get(&format!("/{ticket}"), "Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: cross-site\r\n");
    assert_eq!(status(&prefetched), "403");
    let cookie = format!("Cookie: {}\r\n", home.cookie());
    assert_eq!(status(&home.get(&format!("/{ticket}"), "")), "403", "it was good once");
    let page = home.get(&place, &cookie);
    assert_eq!(status(&page), "200");
    let proof = proof(&page).to_owned();
    let origin = format!("Origin: http://localhost:{}\r\n", home.port());
    let good = format!("proof={proof}&workspace=profile%3Ap&host=");
    for (fields, body) in [
        (cookie.clone(), good.clone()),
        (origin.clone(), good.clone()),
        (format!("{cookie}Origin: http://evil.example\r\n"), good.clone()),
        (format!("{cookie}Origin: null\r\n"), good.clone()),
        (format!("{cookie}{origin}Sec-Fetch-Site: cross-site\r\n"), good.clone()),
        (format!("{cookie}{origin}"), good.replace(&proof, "AAAA")),
        (format!("{cookie}{origin}"), good.replace("proof", "prof")),
    ] {
        assert_eq!(status(&home.post("start", &fields, &body)), "403", "{fields}{body}");
    }
    assert!(sessions(&job).is_empty() && job.workspace.token_requests().is_empty(), "nothing was done");
    assert_eq!(status(&home.post("start", &format!("{cookie}{origin}"), &good)), "303");
    assert_eq!(sessions(&job).len(), 1);
    job.home.run("session end --all").ok();
    drop(home);
    plant(&job);
}

#[test]
fn configured_workspaces_are_offered_and_lead_to_the_sign_in_of_their_host() {
    let job = job();
    let other = job.home.joins(Workspace::builder().start());
    job.home.set("DATABRICKS_WORKSPACES", format!("Team A={},x=no workspace", other.url()));
    job.home.write_config(job.home.config() + &crate::harness::profile("own", other.url(), other.token()));
    let home = Home::open(&job, &[]);
    let fields = format!("Cookie: {}\r\nOrigin: http://localhost:{}\r\n", home.cookie(), home.port());
    let page = home.get(&home.place(), &fields);
    let option = format!("<option value=\"configured:{0}\">Team A ({0})</option>", other.url());
    for part in [option.as_str(), "DATABRICKS_WORKSPACES: &quot;x=no workspace&quot; is no workspace"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let chosen = other.url().replace(':', "%3A").replace('/', "%2F");
    assert_eq!(status(&home.post("start", &fields, &format!("proof={}&workspace=configured%3A{chosen}", proof(&page)))), "303");
    let running = sessions(&job);
    assert_eq!((running.len(), running[0]["host"].as_str(), running[0]["profile"].as_str()), (1, Some(other.url()), Some("own")));
    job.home.run("session end --all").ok();
}

#[test]
fn why_a_session_cannot_be_started_is_told_on_the_page() {
    let job = job();
    let home = Home::open(&job, &["--database", "no-such-instance"]);
    let fields = format!("Cookie: {}\r\nOrigin: http://localhost:{}\r\n", home.cookie(), home.port());
    let page = home.get(&home.place(), &fields);
    assert_eq!(status(&home.post("start", &fields, &format!("proof={}&workspace=profile%3Ap", proof(&page)))), "303");
    let page = home.get(&home.place(), &fields);
    for part in
        ["The sign-in to p did not work", "has no database instance &quot;no-such-instance&quot;", "databricks database list-database-instances", ">Retry<"]
    {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    assert!(sessions(&job).is_empty() && job.folders().is_empty());
}

#[test]
fn floods_and_slow_clients_keep_nobody_out() {
    let job = job();
    let home = Home::open(&job, &["--idle", "3s"]);
    let cookie = format!("Cookie: {}\r\n", home.cookie());
    // Some say half a word and wait; some say far too much.
    let slow: Vec<TcpStream> = (0..80)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", home.port())).unwrap();
            stream.write_all(b"POST /").unwrap();
            stream
        })
        .collect();
    for huge in [
        format!("GET /{} HTTP/1.1\r\n", "a".repeat(1 << 20)),
        format!("POST {}start HTTP/1.1\r\nHost: localhost:{}\r\nContent-Length: 1000000\r\n\r\n", home.place(), home.port()),
    ] {
        let answer = home.send(&huge);
        assert!(answer.is_empty() || status(&answer) == "413", "{answer}");
    }
    let started = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(status(&home.get(&home.place(), &cookie)), "200");
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let peak = std::fs::read_to_string(format!("/proc/{}/status", home.child.id())).unwrap();
    let peak: u64 = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 64 * 1024, "{peak} kB");
    drop(slow);
    // Those who are not let in do not keep it awake.
    let mut home = home;
    let until = Instant::now() + Duration::from_secs(10);
    while home.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it did not end by itself");
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", home.port())) {
            let _gone = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(home.said.iter().any(|line| line.contains("nobody came")));
}

/// Another user who has the link, because it stood in a list of processes, does not even get an answer.
#[test]
fn another_user_is_not_answered() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let job = job();
    let home = Home::open(&job, &[]);
    let ask = |uid: &str| {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={uid}"), "--clear-groups", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", &home.link]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(ask("65534"), "000");
    assert_eq!(ask("0"), "200", "the ticket was still good");
    let (said, _) = home.end();
    assert!(said.contains("another user (uid 65534)"), "{said}");
}

#[test]
fn at_a_terminal_enter_gives_another_link_and_ctrl_c_ends_it() {
    let job = job();
    let mut typing = job.home.typing_with(["session", "home"], &[("BROWSER", "none")]);
    typing.wait_for("Ctrl-C ends it");
    typing.wait_for("http://localhost:");
    typing.send("\r");
    typing.wait_for("Another link");
    typing.send("\x03");
    typing.end().ok().says("The page has ended.");
}

#[test]
fn the_link_is_opened_in_the_browser_as_one_argument() {
    let job = job();
    let script = job.home.path().join("browser");
    job.home.write(&script, "#!/bin/sh\nprintf '%s %s' $# \"$1\" > \"${0%/*}/opened\"\nkill -INT $PPID 2> /dev/null; :\n");
    crate::harness::set_mode(&script, 0o700);
    let mut child = job.home.command("session home").env("BROWSER", &script).spawn();
    let opened = job.home.path().join("opened");
    eventually("a browser", || std::fs::read_to_string(&opened).is_ok_and(|text| text.starts_with("1 http://localhost:") && text.contains("/open?ticket=")));
    assert!(child.wait().unwrap().success());
    let mut child = job.home.command("session home --no-browser --idle 1s").env("BROWSER", &script).spawn();
    std::fs::remove_file(&opened).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!opened.exists());
}
