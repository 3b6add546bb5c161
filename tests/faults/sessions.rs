//! A1, A3, A4, A7, A9, B5, E1, E2, E8 for sessions: their folder and the managed file, the keeper, its watcher, and brokers.
//!
//! Only the first thread of the keeper is traced: it is the one that writes.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::bench::{Bench, DATABRICKS, Outcome, PATH, finish, for_each, has, is_root, mode_of, skip, wait, write_private};
use super::token_store::calls_in;
use crate::workspace::{Fault, Response, Workspace};

/// The calls that change what lies in the folder, and the last one of all.
const CALLS: &str = "openat,mkdir,mkdirat,bind,chmod,fchmod,fchmodat,utimensat,write,fsync,rename,renameat,unlink,unlinkat,rmdir,ftruncate,flock,exit_group";

/// What runs in a session under test: it looks at the file, has it written anew, and looks again.
const PROGRAM: &str = r#"
    whole() { test "$(grep -c '^token *= *eyJ[A-Za-z0-9_.-]*$' "$DATABRICKS_CONFIG_FILE")" = 1 && test "$(grep -c '^\[workbench\]$' "$DATABRICKS_CONFIG_FILE")" = 1; }
    whole || exit 90
    "$0" session refresh >/dev/null 2>&1
    test ! -e "$DATABRICKS_CONFIG_FILE" || whole || exit 91
"#;

/// A home in which a service principal has its token already, with a runtime folder.
struct Scene {
    bench: Bench,
    workspace: Workspace,
    secret: String,
}

impl Scene {
    fn new() -> Self {
        let workspace = Workspace::start();
        let secret = workspace.mint_secret(None);
        let bench = Bench::new().set("DATABRICKS_AUTH_STORAGE", "plaintext");
        let runtime = bench.around().join("run");
        make_private(&runtime);
        let bench = bench.set("XDG_RUNTIME_DIR", &runtime.to_string_lossy());
        let (_, id) = workspace.service_principal();
        bench.write_config(format!("[p]\nhost = {}\nauth_type = oauth-m2m\nclient_id = {id}\nclient_secret = {secret}\n", workspace.url()));
        let scene = Self { bench, workspace, secret };
        scene.bench.run(&["auth", "token", "-p", "p"]).succeeded();
        // As if it had been had a while ago: one of this moment would count as new enough for `session refresh`.
        let store = scene.bench.home().join(".databricks/token-cache.json");
        let text = std::fs::read_to_string(&store).unwrap();
        assert!(text.contains("\"expires_in\": 3600"), "{text}");
        write_private(&store, text.replace("\"expires_in\": 3600", "\"expires_in\": 3700").as_bytes());
        scene
    }

    /// Where sessions lie.
    fn base(&self) -> PathBuf {
        self.bench.around().join("run/databricks")
    }

    fn folders(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.base()).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
    }

    /// A session in which [`PROGRAM`] runs, kept under the eyes of `strace`.
    fn traced(&self, options: &[&str]) -> Outcome {
        let mut command = self.bench.program("strace");
        command.args(["-qq", "-o"]).arg(self.bench.around().join("trace")).args(options).arg("--");
        command.arg(DATABRICKS).args(["session", "start", "p", "--", "sh", "-c", PROGRAM, DATABRICKS]);
        finish(&mut command, None)
    }

    /// The calls of such a session from the moment when it makes its folder.
    fn calls(&self) -> Vec<(String, u32)> {
        self.traced(&["-e", &format!("trace={CALLS},prctl")]).succeeded();
        let trace = std::fs::read_to_string(self.bench.around().join("trace")).unwrap();
        let all = calls_in(&trace);
        let first = all.iter().position(|(name, _)| name.starts_with("mkdir")).expect("it makes a folder");
        all[first..].to_vec()
    }

    /// The tokens that were ever had.
    fn tokens(&self) -> Vec<String> {
        let store: Value = serde_json::from_slice(&std::fs::read(self.bench.home().join(".databricks/token-cache.json")).unwrap()).unwrap();
        store["tokens"].as_object().unwrap().values().filter_map(|entry| Some(entry["access_token"].as_str()?.to_owned())).collect()
    }

    /// After the next command nothing is left of any session, and the next session works.
    #[track_caller]
    fn is_tidy_after_a_command(&self, what: &str) {
        self.bench.run(&["session", "list"]).succeeded();
        let until = Instant::now() + Duration::from_secs(10);
        while !self.folders().is_empty() {
            assert!(Instant::now() < until, "{what}: {:?} stays", self.folders());
            std::thread::sleep(Duration::from_millis(5));
            self.bench.run(&["session", "list"]).succeeded();
        }
        let places = [self.bench.home().join(".databricks/token-cache.json"), self.bench.config()];
        for (path, bytes) in self.bench.files().into_iter().filter(|(path, _)| !places.contains(path)) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(!text.contains("eyJ") && !text.contains(&self.secret), "{what}: a secret is in {}", path.display());
        }
        self.bench.run(&["session", "start", "p", "--", "true"]).succeeded();
        assert!(self.folders().is_empty(), "{what}: {:?}", self.folders());
    }
}

fn make_private(path: &Path) {
    std::fs::create_dir(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// A background session that ends with this process.
fn background(scene: &Scene) -> Value {
    scene.bench.run(&["session", "start", "p", "--live", "--parent", &std::process::id().to_string()]).succeeded();
    let listed: Value = serde_json::from_slice(&scene.bench.run(&["session", "list", "-o", "json"]).succeeded().stdout).unwrap();
    listed[0].clone()
}

#[test]
fn a1_a_keeper_that_is_killed_at_any_call_leaves_a_whole_file_or_none_and_the_next_command_removes_it() {
    if !has("strace", &["-qq", "true"]) {
        return;
    }
    let calls = Scene::new().calls();
    println!("{} points", calls.len());
    assert!(calls.len() > 30, "only {} points", calls.len());
    for_each(&calls, |(name, count)| {
        let what = format!("killed before {name} {count}");
        let scene = Scene::new();
        // Without a watcher, whose program is the first that is started: what a kill leaves stays to be looked at.
        let no_watcher = "inject=clone3,clone,vfork,fork:error=EAGAIN:when=1";
        let outcome = scene.traced(&[
            "-e",
            &format!("trace={name},clone3,clone,vfork,fork"),
            "-e",
            no_watcher,
            "-e",
            &format!("inject={name}:signal=SIGKILL:when={count}"),
        ]);
        assert_eq!(outcome.status.signal(), Some(9), "{what}: it was not killed\n{outcome}");
        let tokens = scene.tokens();
        for folder in scene.folders() {
            assert_eq!(mode_of(&folder), 0o700, "{what}");
            for entry in std::fs::read_dir(&folder).unwrap().flatten().filter(|entry| entry.file_type().unwrap().is_file()) {
                assert_eq!(mode_of(&entry.path()) & 0o177, 0, "{what}: {}", entry.path().display());
            }
            let Ok(text) = std::fs::read_to_string(folder.join(".databrickscfg")) else { continue };
            let is_whole = tokens.iter().any(|token| {
                text == format!(
                    "[workbench]\nhost      = {}\ntoken     = {token}\nauth_type = pat\n\n[__settings__]\ndefault_profile = workbench\n",
                    scene.workspace.url()
                )
            });
            let token = text.lines().find_map(|line| line.strip_prefix("token     = ")).unwrap_or_default();
            assert!(is_whole || (text.ends_with("default_profile = workbench\n") && scene.workspace.access_token_works(token)), "{what}: torn\n{text}");
        }
        scene.is_tidy_after_a_command(&what);
    });
}

#[test]
fn a3_with_any_call_failing_no_reader_sees_a_torn_file_and_nothing_is_left() {
    if !has("strace", &["-qq", "true"]) {
        return;
    }
    let calls = Scene::new().calls();
    let faults: Vec<_> = calls
        .iter()
        .filter(|(name, _)| name != "exit_group")
        .flat_map(|(name, count)| ["ENOSPC", "EIO"].iter().map(move |error| (name, count, *error)))
        .collect();
    for_each(&faults, |(name, count, error)| {
        let what = format!("{error} from {name} {count}");
        let scene = Scene::new();
        let outcome = scene.traced(&["-e", &format!("trace={name}"), "-e", &format!("inject={name}:error={error}:when={count}")]);
        let said = outcome.stderr();
        assert!(!said.contains("panicked"), "{what}\n{outcome}");
        match outcome.status.code() {
            Some(0) => {}
            Some(1) => {
                let place = scene.bench.around().to_string_lossy().into_owned();
                assert!(said.contains("Error: ") && (said.contains(&place) || said.contains("standard")), "{what}: the message names no place\n{outcome}");
            }
            _ => panic!("{what}: a reader saw a torn file, or worse\n{outcome}"),
        }
        assert!(!said.contains("eyJ") && !said.contains(&scene.secret), "{what}\n{outcome}");
        scene.is_tidy_after_a_command(&what);
    });
}

#[test]
fn a4_on_a_full_disk_the_old_token_stays_and_the_next_one_comes_when_there_is_room() {
    let scene = Scene::new();
    let script = r#"
        mount -t tmpfs -o size=128k,mode=700 none "$XDG_RUNTIME_DIR" || exit 77
        eval "$("$0" session start p --parent $$ 2>/dev/null)"
        cp "$DATABRICKS_CONFIG_FILE" "$HOME/before"
        cat /dev/zero >"$XDG_RUNTIME_DIR/fill" 2>/dev/null
        "$0" session refresh; echo "code $?"
        cmp "$DATABRICKS_CONFIG_FILE" "$HOME/before" && echo same
        env -u DATABRICKS_CONFIG_FILE -u DATABRICKS_CONFIG_PROFILE -u DATABRICKS_HOST "$0" session start p -- true; echo "code $?"
        rm "$XDG_RUNTIME_DIR/fill"
        "$0" session refresh 2>/dev/null; echo "code $?"
        cmp -s "$DATABRICKS_CONFIG_FILE" "$HOME/before" || echo renewed
        "$0" session end 2>/dev/null
        ls -A "$XDG_RUNTIME_DIR/databricks"
        rm "$HOME/before"
    "#;
    let mut command = scene.bench.program("unshare");
    command.args(if is_root() { ["--mount"].as_slice() } else { ["--mount", "--map-root-user"].as_slice() });
    let outcome = finish(command.args(["sh", "-c", script, DATABRICKS]), None);
    if outcome.status.code() == Some(77) || outcome.stdout.is_empty() {
        return skip(&format!("a tmpfs cannot be mounted in a namespace: {outcome}"));
    }
    assert_eq!(outcome.stdout(), "code 1\nsame\ncode 1\ncode 0\nrenewed\n", "{outcome}");
    assert_eq!(outcome.stderr().matches("No space left on device").count(), 2, "{outcome}");
}

#[test]
fn a7_everything_of_a_session_is_private_under_any_umask() {
    for umask in ["000", "022", "077"] {
        let scene = Scene::new();
        let script = format!(
            "umask {umask}; exec \"$0\" session start p --live -- sh -c 'umask; cd \"$(dirname \"$DATABRICKS_CONFIG_FILE\")\"; stat -c \"%a %n\" .. . .[!.]* *'"
        );
        let mut command = scene.bench.program("sh");
        let outcome = finish(command.args(["-c", &script, DATABRICKS]), None).succeeded();
        let seen = outcome.stdout();
        let wanted = format!("0{umask}\n700 ..\n700 .\n600 .databrickscfg\n600 control\n600 lock\n600 session.json\n");
        assert_eq!(seen, wanted, "umask {umask}");
    }
    if !has("strace", &["-qq", "true"]) {
        return;
    }
    // And from the first moment on: no file is made open and closed afterwards, but for the socket, which lies in the folder.
    let scene = Scene::new();
    scene.traced(&["-e", "trace=openat,mkdir,mkdirat,chmod,fchmodat"]).succeeded();
    let trace = std::fs::read_to_string(scene.bench.around().join("trace")).unwrap();
    let made: Vec<&str> = trace.lines().filter(|line| line.contains("O_CREAT") || line.starts_with("mkdir")).collect();
    assert!(made.len() >= 5, "{made:?}");
    for line in made.iter().filter(|line| line.contains("session-")) {
        assert!(line.contains(", 0600)") || line.contains(", 0700)"), "{line}");
        assert!(line.starts_with("mkdir") || line.contains("O_EXCL") || line.contains("O_NOFOLLOW"), "{line}");
    }
}

/// Who runs something as somebody else.
fn as_user(bench: &Bench, user: &str) -> std::process::Command {
    let mut command = bench.program("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
    command
}

/// Another user of this machine, who does in a folder for everybody whatever can be done there, thousands of times a second: plants something at the name where sessions lie,
/// swaps it for something else in one step, and looks for what came of it, through each name, for as long as a session may be there.
const ATTACKER: &str = r#"
import ctypes, glob, os, socket, sys
name, victim, loot = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
own = name + "-own"
os.makedirs(own + "/open", exist_ok=True)
os.chmod(own, 0o777); os.chmod(own + "/open", 0o777)
open(own + "/file", "w").close()
def attempt(work, *words):
    try: return work(*words)
    except OSError: return None
def clear(path):
    attempt(os.unlink, path); attempt(os.rmdir, path)
def bound(path):
    listener = socket.socket(socket.AF_UNIX); listener.bind(path); os.chmod(path, 0o777)
plants = [
    lambda path: os.symlink(victim, path),
    lambda path: os.symlink(own + "/open", path),
    lambda path: os.symlink(name + "-elsewhere", path),
    lambda path: os.link(own + "/file", path),
    lambda path: os.link(victim, path),
    lambda path: os.mkfifo(path, 0o666),
    lambda path: (os.mkdir(path), os.chmod(path, 0o777)),
    lambda path: os.mkdir(path, 0o700),
    bound,
]
rounds = 0
with open(loot, "ab", buffering=0) as taken:
    def look():
        for base in (name, own + "/open", name + "-elsewhere"):
            for folder in [base] + glob.glob(base + "/*"):
                for file in (".databrickscfg", ".session.json.databricks-tmp", "..databrickscfg.databricks-tmp", "session.json", "control", "lock"):
                    path = folder + "/" + file
                    bytes = attempt(lambda: os.read(os.open(path, os.O_RDWR | os.O_NONBLOCK), 4096))
                    if bytes is not None: taken.write(b"read " + bytes)
                    if attempt(os.link, path, own + "/kept") is not None: taken.write(b"kept")
                    if attempt(os.rename, path, own + "/moved") is not None: taken.write(b"moved")
                    control = socket.socket(socket.AF_UNIX)
                    if attempt(control.connect, path) is None and attempt(control.send, b"end\n"): taken.write(b"ordered")
                    control.close()
    print("ready", flush=True)
    while True:
        plant, other = plants[rounds % len(plants)], plants[(rounds * 7 + 3) % len(plants)]
        rounds += 1
        attempt(plant, name)
        attempt(other, own + "/swap")
        # One for the other, without a moment in between.
        if libc.renameat2(-100, name.encode(), -100, (own + "/swap").encode(), 2) == 0: look()
        clear(name); clear(own + "/swap")
        if rounds % 8 == 0: look()
        if rounds % 64 == 0:
            # The user's turn.
            os.sched_yield()
            look()
"#;

#[test]
fn a9_another_user_in_a_shared_folder_gets_nothing_and_breaks_nothing() {
    if !is_root() {
        return skip("two other users are needed, and only root can be both");
    }
    if !has("setpriv", &["--reuid", "65534", "true"]) {
        return;
    }
    let (attacker, user) = ("65534", "65533");
    let workspace = Workspace::start();
    let bench = Bench::new();
    let open = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    open(bench.around(), 0o755);
    let shared = bench.around().join("shared");
    std::fs::create_dir(&shared).unwrap();
    open(&shared, 0o1777);
    bench.write_config(format!("[p]\nhost = {}\ntoken = {}\n", workspace.url(), workspace.token()));
    let victim = bench.home().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    open(bench.home(), 0o755);
    open(&victim, 0o644);
    let program = bench.around().join("databricks");
    crate::harness::copy_program(&program);
    assert_eq!(finish(bench.program("chown").args(["-R", "65533:65533"]).arg(bench.home()), None).code(), 0);
    let (name, loot, script) = (shared.join("databricks-65533"), shared.join("loot"), shared.join("attacker.py"));
    std::fs::write(&script, ATTACKER).unwrap();
    open(&script, 0o644);
    let session = |runtime: Option<&Path>| {
        let mut command = as_user(&bench, user);
        command.env("TMPDIR", &shared);
        if let Some(runtime) = runtime {
            command.env("XDG_RUNTIME_DIR", runtime);
        }
        // There for a moment, with everything that a session has.
        finish(command.arg(&program).args(["session", "start", "p", "--live", "--", "sleep", "0.03"]), None)
    };
    let mut attacking = as_user(&bench, attacker);
    attacking.arg("python3").arg(&script).args([&name, &victim, &loot]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut attacking: Child = attacking.spawn().unwrap();
    let mut ready = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(attacking.stdout.take().unwrap()), &mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let until = Instant::now() + Duration::from_secs(8);
    let (mut worked, mut refused) = (0, 0);
    while Instant::now() < until {
        // Now and then the user is first: then it is the user's, and the attack is one on a session that runs.
        if worked <= refused / 8 {
            kill_process(Pid::from_child(&attacking), Signal::STOP).unwrap();
            let _planted = std::fs::remove_dir_all(&name).or_else(|_| std::fs::remove_file(&name));
            std::fs::create_dir(&name).unwrap();
            open(&name, 0o700);
            std::os::unix::fs::chown(&name, Some(65533), Some(65533)).unwrap();
            kill_process(Pid::from_child(&attacking), Signal::CONT).unwrap();
        }
        let outcome = session(None);
        assert!(outcome.took < Duration::from_secs(5), "{outcome}");
        if outcome.code() == 0 {
            worked += 1;
            // It is the user's now and the attacker cannot take it away; the attack goes on with the next one.
            let metadata = std::fs::symlink_metadata(&name).unwrap();
            assert_eq!((mode_of(&name), std::os::unix::fs::MetadataExt::uid(&metadata)), (0o700, 65533));
            assert_eq!(std::fs::read_dir(&name).unwrap().count(), 0, "something of the session stays");
            std::fs::remove_dir(&name).unwrap();
        } else {
            refused += 1;
            assert!(outcome.stderr().contains("is not a folder of this user") || outcome.stderr().contains(&*name.to_string_lossy()), "{outcome}");
        }
    }
    attacking.kill().unwrap();
    attacking.wait().unwrap();
    println!("{worked} sessions, {refused} refused");
    assert!(refused > 5 && worked > 5, "{worked} sessions, {refused} refused");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!((mode_of(&victim), mode_of(bench.home())), (0o644, 0o755), "modes of what is not a session's stay");
    let taken = std::fs::read(&loot).unwrap();
    assert!(taken.is_empty(), "the attacker has got something: {}", String::from_utf8_lossy(&taken));
    let own = shared.join("databricks-65533-own");
    let in_theirs: Vec<_> = std::fs::read_dir(own.join("open")).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(in_theirs.is_empty() && !shared.join("databricks-65533-elsewhere").exists(), "{in_theirs:?}");
    for kept in ["kept", "moved"] {
        assert!(!own.join(kept).exists());
    }
    // Runtime folders that somebody else has prepared are none: the session is elsewhere, and nothing comes into them.
    let _planted = std::fs::remove_dir_all(&name).or_else(|_| std::fs::remove_file(&name));
    let run = shared.join("run");
    let prepared = |made: &str| {
        let script = format!("cd '{}'; rm -rf run; {made}", shared.display());
        assert_eq!(finish(as_user(&bench, attacker).args(["sh", "-c", &script]), None).code(), 0, "{made}");
    };
    for made in [
        "mkdir -m 777 run",
        "mkdir -m 700 run",
        "mkdir -m 777 run run/databricks",
        "ln -s databricks-65533-own/open run",
        "mkfifo -m 666 run",
        "touch run; chmod 666 run",
    ] {
        prepared(made);
        let mut find = as_user(&bench, "0");
        assert_eq!(session(Some(&run)).code(), 0, "{made}");
        let found = finish(find.args(["find", "-H"]).arg(&run).args(["-mindepth", "1", "!", "-uid", attacker]), None);
        assert_eq!(found.stdout(), "", "{made}");
    }
    // A socket at a name that is somebody else's is none either, and what is there stays.
    let socket = shared.join("socket");
    for made in ["ln -s '{victim}' socket", "mkfifo -m 666 socket", "touch socket", "mkdir -m 777 socket"] {
        prepared(&format!("rm -rf socket; {}", made.replace("{victim}", &victim.to_string_lossy())));
        let mut command = as_user(&bench, user);
        let outcome = finish(command.arg(&program).args(["auth", "serve", "p", "-o", "json", "--socket"]).arg(&socket), None);
        outcome.failed_with(&["there is a file that is no socket"]);
        assert!(std::fs::symlink_metadata(&socket).is_ok(), "{made}");
    }
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    // A folder in which others can rename is none at all.
    open(&shared, 0o777);
    let mut command = as_user(&bench, user);
    let owned = finish(command.env("TMPDIR", &shared).arg(&program).args(["session", "start", "p", "--", "true"]), None);
    owned.failed_with(&["other users can change", "XDG_RUNTIME_DIR"]);
}

#[test]
fn b5_what_a_server_says_of_a_failure_cannot_draw_on_the_terminal() {
    let scene = Scene::new();
    let id = background(&scene)["id"].as_str().unwrap().to_owned();
    let evil = "no\u{1b}]0;pwned\u{7}\u{1b}[2J\u{9b}1m\u{202e}\r\nToken ends  in 9 hours";
    let refusal = Response::json(401, &json!({"error": "invalid_client", "error_description": evil}));
    scene.workspace.order(Fault::on("POST", "/oidc/v1/token").forever().reply(refusal));
    let refused = scene.bench.run(&["session", "refresh", &id]).failed_with(&["invalid_client"]);
    let status = scene.bench.run(&["session", "status", &id]).succeeded();
    let as_json = scene.bench.run(&["session", "status", &id, "-o", "json"]).succeeded();
    let listed = scene.bench.run(&["session", "list"]).succeeded();
    std::fs::remove_file(scene.bench.home().join(".databricks/token-cache.json")).unwrap();
    let started = scene.bench.run(&["session", "start", "p", "--", "true"]).failed_with(&["invalid_client"]);
    let serving = scene.bench.run(&["auth", "exec", "-p", "p", "--", "true"]).failed_with(&["invalid_client"]);
    for outcome in [&refused, &status, &as_json, &listed, &started, &serving] {
        for text in [outcome.stdout(), outcome.stderr()] {
            let odd = text.chars().find(|character| (character.is_control() && *character != '\n') || *character == '\u{202e}');
            assert_eq!(odd, None, "{outcome}");
            assert!(!text.lines().any(|line| line.starts_with("Token ends  in 9")), "{outcome}");
        }
    }
    scene.bench.run(&["session", "end", "--all"]).succeeded();
}

/// The command lines of all processes, as everybody can read them.
fn command_lines() -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok()).map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

#[test]
fn e1_no_process_of_a_session_shows_a_secret() {
    let scene = Scene::new();
    let script = r#"
        for i in 1 2 3; do "$0" session refresh; "$0" session status; "$0" session list; "$0" session env; done >/dev/null 2>&1
        "$0" auth exec -p p -- sh -c 'exec sleep 0.2'
        "$0" auth serve p --write-profile live >/dev/null & sleep 0.2; kill $!; wait
    "#;
    let mut command = scene.bench.command(&["session", "start", "p", "--live", "--", "sh", "-c", script, DATABRICKS]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut seen, mut addresses) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    while child.try_wait().unwrap().is_none() {
        for folder in scene.folders() {
            let text = std::fs::read_to_string(folder.join(".databrickscfg")).unwrap_or_default();
            addresses.extend(
                text.lines()
                    .filter_map(|line| line.split_once("http://127.0.0.1:")?.1.split_once('/').map(|(_, path)| path.to_owned()))
                    .filter(|path| path.len() > 20),
            );
        }
        for line in command_lines() {
            assert!(!scene.tokens().iter().any(|token| line.contains(token.as_str())) && !line.contains(&scene.secret), "{line}");
            assert!(!addresses.iter().any(|address| line.contains(address.as_str())), "{line}");
            seen.extend(
                ["session start", "session watch", "session refresh", "auth exec", "auth serve"].iter().filter(|words| line.contains(**words)).copied(),
            );
        }
    }
    assert_eq!(seen.len(), 5, "not all were seen: {seen:?}");
    assert!(!addresses.is_empty());
}

#[test]
fn e2_nobody_looks_into_keeper_watcher_or_broker_and_no_core_is_left() {
    let other = "65534";
    if is_root() && !has("setpriv", &["--reuid", other, "true"]) {
        return;
    }
    let workspace = Workspace::start();
    let bench = Bench::new();
    let runtime = bench.around().join("run");
    make_private(&runtime);
    let bench = bench.set("XDG_RUNTIME_DIR", &runtime.to_string_lossy());
    std::fs::set_permissions(bench.around(), std::fs::Permissions::from_mode(0o755)).unwrap();
    bench.write_config(format!("[p]\nhost = {}\ntoken = {}\n", workspace.url(), workspace.token()));
    let program = bench.around().join("databricks");
    crate::harness::copy_program(&program);
    let own = |words: &[&str]| {
        let mut command = if is_root() { as_user(&bench, other) } else { bench.program("env") };
        command.args(words);
        command
    };
    if is_root() {
        for path in [bench.home(), runtime.as_path()] {
            assert_eq!(finish(bench.program("chown").args(["-R", "65534:65534"]).arg(path), None).code(), 0);
        }
    }
    let program = program.to_string_lossy().into_owned();
    let parent = std::process::id().to_string();
    finish(&mut own(&["sh", "-c", "ulimit -c unlimited; exec \"$@\"", "sh", &program, "session", "start", "p", "--live", "--parent", &parent]), None)
        .succeeded();
    let listed: Value = serde_json::from_slice(&finish(&mut own(&[&program, "session", "list", "-o", "json"]), None).succeeded().stdout).unwrap();
    let (id, keeper) = (listed[0]["id"].as_str().unwrap().to_owned(), listed[0]["keeper"].as_i64().unwrap());
    let mut serving =
        own(&["sh", "-c", "ulimit -c unlimited; exec \"$@\"", "sh", &program, "auth", "serve", "p", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(serving.stdout.take().unwrap()), &mut line).unwrap();
    let watchers: Vec<i64> = crate::session::processes(&format!("session watch {id}")).into_iter().map(|pid| pid.as_raw_nonzero().get().into()).collect();
    assert_eq!(watchers.len(), 1);
    for process in [keeper, watchers[0], serving.id().into()] {
        for file in ["environ", "mem", "maps"] {
            let outcome = finish(&mut own(&["head", "-c", "10", &format!("/proc/{process}/{file}")]), None);
            assert!(!outcome.status.success() && outcome.stdout.is_empty(), "{file} of {process} can be read: {outcome}");
        }
    }
    kill_process(Pid::from_child(&serving), Signal::ABORT).unwrap();
    let status = wait(&mut serving, Duration::from_secs(20)).unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    // A keeper that breaks down leaves no core either, and its watcher tidies up.
    kill_process(Pid::from_raw(i32::try_from(keeper).unwrap()).unwrap(), Signal::ABORT).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while std::fs::read_dir(runtime.join("databricks")).unwrap().next().is_some() {
        assert!(Instant::now() < until, "the watcher did not remove the folder");
        std::thread::sleep(Duration::from_millis(5));
    }
    for folder in [bench.home(), bench.around()] {
        let cores: Vec<_> =
            std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().starts_with("core")).collect();
        assert!(cores.is_empty(), "{cores:?}");
    }
}

/// Those whose environment names this home; a process that hides it is asked by its parent's word, as root may.
fn processes_of(bench: &Bench) -> Vec<String> {
    let home = format!("HOME={}", bench.home().display());
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let own = all.filter(|process| {
        std::fs::read(process.path().join("environ")).is_ok_and(|environ| String::from_utf8_lossy(&environ).split('\0').any(|one| one == home))
    });
    own.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok()).map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

#[test]
fn e8_after_a_hundred_runs_no_process_is_left() {
    if !is_root() {
        return skip("only root sees the environment of processes that hide it");
    }
    let scene = Scene::new();
    let script = r#"
        for i in $(seq 25); do
            "$0" session start p -- true; "$0" session start p --live -- true; "$0" auth exec -p p -- true
            sh -c 'eval "$("$0" session start p 2>/dev/null)"' "$0"
        done
    "#;
    // As a program on a desktop: where no bus runs, one that a display allows to be started must not be.
    let mut command = scene.bench.program("sh");
    let outcome = finish(command.args(["-c", script, DATABRICKS]).env("DISPLAY", ":77").env("PATH", PATH), None).succeeded();
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let left = processes_of(&scene.bench);
        if left.is_empty() && scene.folders().is_empty() {
            break;
        }
        assert!(Instant::now() < until, "{left:?} {:?}", scene.folders());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(outcome.stderr(), "");
}
