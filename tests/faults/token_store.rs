//! A1, A2, A3, A4, A7, A8, A10 for the token store in the file: killed at every call, every call failing, full disks, modes, links and things that are no file.
//!
//! Only the first thread of the program is traced: it is the one that reads and writes files, and its calls come in the same order in every run.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, DATABRICKS, Outcome, finish, for_each, has, is_root, mode_of, read, skip, write_private};
use crate::oauth::entry;
use crate::workspace::{Fault, RefreshMode, Workspace};

/// The calls that matter to files, and the last one of all.
pub(crate) const CALLS: &str =
    "openat,read,write,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,fchmod,fchown,ftruncate,flock,exit_group";

/// Those that are made to fail, as disks do.
const FALLIBLE: &[&str] = &[
    "openat",
    "write",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "fchmod",
    "fchown",
    "ftruncate",
    "flock",
];

const ERRORS: &[&str] = &["ENOSPC", "EIO", "EROFS"];

/// What stands in the store beside the sign-in; it is somebody else's, and stays as it is.
const FOREIGN: &str = "\"zz\": {\"access_token\":\"foreign\",  \"token_type\": \"Bearer\", \"own\": [1.50]}";

/// A command that changes the token store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    Refresh,
    Login,
    Logout,
    /// From the file to nowhere that is reachable: nothing may change.
    Describe,
}

/// A home in which somebody has signed in, and the workspace.
struct Scene {
    bench: Bench,
    workspace: Arc<Workspace>,
    old: String,
    secrets: Vec<String>,
    _person: Option<Person>,
}

impl Story {
    fn scene(self) -> Scene {
        let workspace = Arc::new(Workspace::builder().refresh_mode(RefreshMode::Reusable).start());
        let mut bench = Bench::new().set("DATABRICKS_AUTH_STORAGE", "plaintext");
        // Where a lock is looked for that cannot be had beside the store; not that of all scenes together.
        let temporary = bench.around().to_string_lossy().into_owned();
        bench = bench.set("TMPDIR", &temporary);
        let granted = workspace.sign_in(workspace.basic_user());
        let age = if self == Story::Refresh { 4_000 } else { 0 };
        let own = entry(&granted.access_token, &granted.refresh_token, 3_600, age);
        let old = format!("{{\n  \"version\": 1,\n  \"tokens\": {{\n    \"p\": {},\n    {FOREIGN}\n  }}\n}}", indented(&own));
        std::fs::create_dir(bench.home().join(".databricks")).unwrap();
        std::fs::set_permissions(bench.home().join(".databricks"), std::fs::Permissions::from_mode(0o700)).unwrap();
        write_private(&cache(&bench), old.as_bytes());
        bench.write_config(format!("[p]\nhost         = {}\nworkspace_id = {}\nauth_type    = databricks-cli\n", workspace.url(), workspace.workspace_id()));
        let mut person = None;
        if self == Story::Login {
            let one = Person::at_the_browser(&bench, &workspace);
            bench = bench.set("BROWSER", &one.program.to_string_lossy());
            person = Some(one);
        }
        let secrets = vec![granted.access_token, granted.refresh_token];
        Scene { bench, workspace, old, secrets, _person: person }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Story::Refresh => &["auth", "token", "-p", "p", "-o", "text"],
            Story::Login => &["auth", "login", "-p", "p", "--timeout", "20s"],
            Story::Logout => &["auth", "logout", "p", "--auto-approve"],
            Story::Describe => &["auth", "describe", "-p", "p", "--offline"],
        }
    }
}

pub(super) fn cache(bench: &Bench) -> PathBuf {
    bench.home().join(".databricks/token-cache.json")
}

/// An entry as the official CLI writes it, at its depth in the file.
fn indented(entry: &Value) -> String {
    let order = ["access_token", "token_type", "refresh_token", "expiry", "expires_in"];
    let members: Vec<String> = order.iter().map(|name| format!("      \"{name}\": {}", entry[name])).collect();
    format!("{{\n{}\n    }}", members.join(",\n"))
}

/// Somebody who waits for links and walks them to their end, also where nobody waits for the outcome any more.
pub(super) struct Person {
    pub(super) program: PathBuf,
}

impl Person {
    pub(super) fn at_the_browser(bench: &Bench, workspace: &Arc<Workspace>) -> Person {
        let program = bench.around().join("browser");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::fs::write(&program, format!("#!/bin/bash\nexec 3<>/dev/tcp/127.0.0.1/{port} && echo \"$1\" >&3\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let workspace = Arc::clone(workspace);
        // One link each scene; where none comes, the thread ends with the test program.
        std::thread::spawn(move || {
            let Ok((stream, _)) = listener.accept() else { return };
            let mut link = String::new();
            if BufReader::new(stream).read_line(&mut link).is_ok() && link.starts_with("http") {
                arrive(&workspace.approve(link.trim_end()));
            }
        });
        Person { program }
    }
}

/// Goes to the callback and to the page behind it, if somebody is there.
fn arrive(callback: &str) -> Option<()> {
    let (host, target) = callback.strip_prefix("http://localhost:")?.split_once('/')?;
    for target in [format!("/{target}"), "/done".to_owned()] {
        let mut stream = TcpStream::connect(("127.0.0.1", host.parse().ok()?)).ok()?;
        write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost:{host}\r\nConnection: close\r\n\r\n").ok()?;
        std::io::copy(&mut stream, &mut std::io::sink()).ok()?;
    }
    Some(())
}

/// The calls in what `strace` wrote of one thread, after those of the loader: each as its name and how many of its name there were up to it.
pub(crate) fn calls_in(trace: &str) -> Vec<(String, u32)> {
    let mut begun = false;
    let mut counts: HashMap<&str, u32> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((name, _)) = line.split_once('(') else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let count = counts.entry(name).or_default();
        *count += 1;
        // No files: how the network code wakes itself, and what the browser gets for its input.
        let is_a_nudge = name == "write" && line.contains("\\1\\0\\0\\0\\0\\0\\0\\0\", 8)");
        let is_nothing = name == "openat" && line.contains("\"/dev/null\"");
        if begun && !is_a_nudge && !is_nothing {
            calls.push((name.to_owned(), *count));
        }
        begun |= line.contains("PR_SET_DUMPABLE");
    }
    calls
}

/// The store as it may look: the old one, the one without the entry, or one with another complete sign-in in the same frame.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Old,
    New,
}

impl Scene {
    fn traced(&self, story: Story, options: &[&str]) -> Outcome {
        let mut command = self.bench.program("strace");
        command.args(["-qq", "-o"]).arg(self.bench.around().join("trace")).args(options).arg("--").arg(DATABRICKS).args(story.arguments());
        finish(&mut command, None)
    }

    #[track_caller]
    fn state(&self, story: Story, what: &str) -> State {
        let bytes = read(&cache(&self.bench)).unwrap_or_else(|| panic!("{what}: the store is gone"));
        let text = String::from_utf8(bytes).expect("UTF-8");
        if text == self.old {
            return State::Old;
        }
        let parsed: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
        let expected = if story == Story::Logout {
            format!("{{\n  \"version\": 1,\n  \"tokens\": {{\n    {FOREIGN}\n  }}\n}}")
        } else {
            let own = &parsed["tokens"]["p"];
            assert!(self.workspace.access_token_works(own["access_token"].as_str().unwrap()), "{what}: {text}");
            assert!(self.workspace.refresh_token_works(own["refresh_token"].as_str().unwrap()), "{what}: {text}");
            let host = if story == Story::Login { format!("{}: {},\n    ", json!(self.workspace.url()), indented(own)) } else { String::new() };
            format!("{{\n  \"version\": 1,\n  \"tokens\": {{\n    {host}\"p\": {},\n    {FOREIGN}\n  }}\n}}", indented(own))
        };
        assert_eq!(text, expected, "{what}: neither the old store nor the new one");
        State::New
    }

    /// The last word on a run that was disturbed: after a harmless command no secret is anywhere but in the store, and the sign-in works.
    #[track_caller]
    fn is_tidy_after_a_command(&self, story: Story, what: &str) {
        self.bench.run(Story::Describe.arguments()).code();
        let mut secrets = self.secrets.clone();
        let store = cache(&self.bench);
        let parsed: Value = serde_json::from_slice(&read(&store).unwrap_or_default()).unwrap_or_default();
        for entry in parsed["tokens"].as_object().into_iter().flatten().map(|(_, entry)| entry) {
            secrets.extend(
                [&entry["access_token"], &entry["refresh_token"]].into_iter().filter_map(Value::as_str).filter(|text| text.len() > 20).map(str::to_owned),
            );
        }
        for (path, bytes) in self.bench.files() {
            let text = String::from_utf8_lossy(&bytes);
            assert!(path == store || !secrets.iter().any(|secret| text.contains(secret)), "{what}: {} is left, with a secret", path.display());
            assert!(!text.contains("access_token") || path == store, "{what}: {} is left", path.display());
            assert_eq!(mode_of(&path), 0o600, "{what}: {}", path.display());
        }
        if story != Story::Logout {
            self.bench.run(&["current-user", "me", "-p", "p"]).succeeded();
        }
    }

    fn calls(&self, story: Story) -> Vec<(String, u32)> {
        self.traced(story, &["-e", &format!("trace=prctl,{CALLS}")]).succeeded();
        let trace = std::fs::read_to_string(self.bench.around().join("trace")).unwrap();
        let calls = calls_in(&trace);
        assert!(calls.iter().any(|(name, _)| name.starts_with("rename")), "too little was traced:\n{trace}");
        calls
    }
}

const WRITING: [Story; 3] = [Story::Refresh, Story::Login, Story::Logout];

#[test]
fn a1_a2_killed_before_any_call_the_store_is_the_old_or_the_new_one() {
    if !has("strace", &["-qq", "true"]) {
        return;
    }
    for story in WRITING {
        let calls = story.scene().calls(story);
        assert!(calls.len() > 15, "only {} points of {story:?}", calls.len());
        for_each(&calls, |(name, count)| {
            let what = format!("{story:?} killed before {name} {count}");
            let scene = story.scene();
            let outcome = scene.traced(story, &["-e", &format!("trace={name}"), "-e", &format!("inject={name}:signal=SIGKILL:when={count}")]);
            assert!(!outcome.status.success(), "{what}: it was not killed\n{outcome}");
            let state = scene.state(story, &what);
            assert!(name != "exit_group" || state == State::New, "{what}: nothing was written");
            scene.is_tidy_after_a_command(story, &what);
        });
    }
}

#[test]
fn a3_with_any_call_failing_nothing_is_lost_and_nothing_untrue_is_said() {
    if !has("strace", &["-qq", "true"]) {
        return;
    }
    for story in WRITING {
        let calls = story.scene().calls(story);
        let faults: Vec<_> = calls
            .iter()
            .filter(|(name, _)| FALLIBLE.contains(&name.as_str()))
            .flat_map(|(name, count)| ERRORS.iter().map(move |error| (name, count, *error)))
            .collect();
        for_each(&faults, |(name, count, error)| {
            let what = format!("{story:?} with {error} from {name} {count}");
            let scene = story.scene();
            let outcome = scene.traced(story, &["-e", &format!("trace={name}"), "-e", &format!("inject={name}:error={error}:when={count}")]);
            let state = scene.state(story, &what);
            let said = outcome.stderr();
            if outcome.code() != 0 {
                let place = scene.bench.home().to_string_lossy().into_owned();
                let names_a_place = [&*place, "~/.databricks", "standard output"].iter().any(|place| said.contains(place));
                assert!(said.contains("Error: ") && names_a_place, "{what}: the message names no place\n{outcome}");
            } else if state == State::Old {
                // A token can be handed out although it could not be kept; that is said.
                assert!(story == Story::Refresh && said.contains("token-cache.json"), "{what}: it reports success, but wrote nothing\n{outcome}");
            }
            for secret in &scene.secrets {
                assert!(!said.contains(secret), "{what}: a secret is in the output");
            }
            scene.is_tidy_after_a_command(story, &what);
        });
    }
}

#[test]
fn a4_on_a_full_disk_the_sign_in_stays_and_nothing_is_spent() {
    let scene = Story::Refresh.scene();
    let bench = &scene.bench;
    let disk = bench.home().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let script = r#"
        mount -t tmpfs -o size=1m,mode=700 none "$1" || exit 77
        cp -p "$2" "$1/token-cache.json"
        cat /dev/zero >"$1/fill" 2>/dev/null
        i=0; while mkdir "$1/d$i" 2>/dev/null && test $i -lt 200; do i=$((i + 1)); done
        DATABRICKS_TOKEN_CACHE_DIR="$1" "$3" auth token -p p -o text >/dev/null
        echo "code $?"
        cmp "$1/token-cache.json" "$2" && echo same
        rm "$1/fill"; rmdir "$1"/d*
        DATABRICKS_TOKEN_CACHE_DIR="$1" "$3" auth token -p p -o text >/dev/null
        echo "code $?"
        cmp -s "$1/token-cache.json" "$2" || echo renewed
        ls -A "$1"
    "#;
    let mut command = bench.program("unshare");
    command.args(if is_root() { ["--mount"].as_slice() } else { ["--mount", "--map-root-user"].as_slice() });
    command.args(["sh", "-c", script, "sh"]).args([&disk, &cache(bench)]).arg(DATABRICKS);
    let outcome = finish(&mut command, None);
    if !outcome.status.success() && outcome.stdout.is_empty() {
        return skip(&format!("a tmpfs cannot be mounted in a namespace: {outcome}"));
    }
    assert_eq!(outcome.stdout(), "code 1\nsame\ncode 0\nrenewed\nlocks\ntoken-cache.json\n", "{outcome}");
    assert!(outcome.stderr().contains("No space left on device") && outcome.stderr().contains("token-cache.json"), "{outcome}");
    assert_eq!(scene.workspace.grants().refreshes, 1, "none before there was room to keep it");
}

#[test]
fn a7_the_store_and_its_folders_are_private_under_any_umask() {
    for umask in ["000", "022", "077"] {
        let mut scene = Story::Login.scene();
        scene.bench = scene.bench.set("UMASK", umask);
        std::fs::remove_dir_all(scene.bench.home().join(".databricks")).unwrap();
        let mut command = scene.bench.program("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]).arg(DATABRICKS).args(Story::Login.arguments());
        finish(&mut command, None).succeeded();
        for folder in [".databricks", ".databricks/locks"] {
            assert_eq!(mode_of(&scene.bench.home().join(folder)), 0o700, "{folder} under {umask}");
        }
        for (path, _) in scene.bench.files() {
            assert_eq!(mode_of(&path), 0o600, "{} under {umask}", path.display());
        }
    }
    // What others could read is tightened, and that is said; a folder that was made by somebody else keeps its mode.
    let scene = Story::Refresh.scene();
    std::fs::set_permissions(cache(&scene.bench), std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::set_permissions(scene.bench.home().join(".databricks"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let outcome = scene.bench.run(Story::Refresh.arguments()).succeeded();
    assert_eq!(mode_of(&cache(&scene.bench)), 0o600);
    assert!(outcome.stderr().contains("was readable by others (mode 0644)"), "{outcome}");
    assert_eq!(mode_of(&scene.bench.home().join(".databricks")), 0o755);
}

#[test]
fn a8_a_link_to_the_store_stays_and_its_target_is_replaced() {
    for story in WRITING {
        let scene = story.scene();
        let target = scene.bench.home().join("elsewhere/tokens");
        std::fs::create_dir(scene.bench.home().join("elsewhere")).unwrap();
        std::fs::rename(cache(&scene.bench), &target).unwrap();
        symlink("../elsewhere/tokens", cache(&scene.bench)).unwrap();
        scene.bench.run(story.arguments()).succeeded();
        assert_eq!(std::fs::read_link(cache(&scene.bench)).unwrap(), Path::new("../elsewhere/tokens"), "{story:?}");
        assert_eq!(scene.state(story, "through a link"), State::New, "{story:?}");
        assert_eq!(mode_of(&target), 0o600);
        let beside: Vec<_> = std::fs::read_dir(target.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(beside, ["tokens"], "{story:?}");
    }
}

#[test]
fn a10_what_is_no_file_is_an_error_at_once() {
    #[expect(clippy::type_complexity, reason = "a table")]
    let odd: [(&str, fn(&Path)); 5] = [
        ("a pipe", |path| rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap()),
        ("a folder", |path| std::fs::create_dir(path).unwrap()),
        ("a socket", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
        ("/dev/zero", |path| symlink("/dev/zero", path).unwrap()),
        ("a link to itself", |path| symlink("token-cache.json", path).unwrap()),
    ];
    for (name, make) in odd {
        for story in WRITING {
            let scene = story.scene();
            let path = cache(&scene.bench);
            std::fs::remove_file(&path).unwrap();
            make(&path);
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            let outcome = scene.bench.run(story.arguments()).failed_with(&["token-cache.json"]);
            assert!(outcome.took < Duration::from_secs(5), "{name}: {outcome}");
            assert_eq!(std::fs::symlink_metadata(&path).unwrap().file_type(), kind, "{name}");
            assert_eq!(scene.workspace.grants().refreshes, 0, "{name}");
            assert!(story != Story::Login || scene.workspace.grants().codes == 0, "{name}: nobody is sent to a browser for nothing");
        }
    }
}

/// The lock is in nobody's way either: a file of another kind, or one that somebody keeps.
#[test]
fn a9_a_lock_that_is_no_file_of_ours_is_not_followed() {
    let scene = Story::Refresh.scene();
    // Learn its name.
    scene.bench.run(Story::Refresh.arguments()).succeeded();
    let locks = scene.bench.home().join(".databricks/locks");
    let name = std::fs::read_dir(&locks).unwrap().next().unwrap().unwrap().path();
    let victim = scene.bench.home().join("victim");
    let odd: [(&str, &dyn Fn()); 3] = [
        ("a symbolic link", &|| symlink(&victim, &name).unwrap()),
        ("a hard link", &|| std::fs::hard_link(&victim, &name).unwrap()),
        ("a pipe", &|| rustix::fs::mkfifoat(rustix::fs::CWD, &name, rustix::fs::Mode::RWXU).unwrap()),
    ];
    for (what, make) in odd {
        write_private(&victim, b"precious");
        std::fs::remove_file(&name).unwrap();
        make();
        let force: Vec<&str> = [Story::Refresh.arguments(), &["--force-refresh", "--min-ttl", "59m"]].concat();
        let outcome = scene.bench.run(&force);
        outcome.code();
        assert!(outcome.took < Duration::from_secs(5), "{what}: {outcome}");
        assert_eq!(read(&victim).unwrap(), b"precious", "{what}");
    }
}

/// A refresh that is cut off while it waits for the server leaves the store alone.
#[test]
fn a_refresh_that_is_killed_while_it_waits_leaves_the_store_as_it_was() {
    let scene = Story::Refresh.scene();
    scene.workspace.order(Fault::on("POST", "/oidc/v1/token").silence());
    let mut child = scene.bench.command(Story::Refresh.arguments()).spawn().unwrap();
    while scene.workspace.token_requests().is_empty() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(scene.state(Story::Refresh, "killed while it waits"), State::Old);
    scene.is_tidy_after_a_command(Story::Refresh, "killed while it waits");
}
