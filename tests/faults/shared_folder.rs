//! A9: profile file, token cache and locks in a folder that another user can write to, while that user plants, swaps, reads and locks whatever can be there.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::bench::{Bench, Outcome, finish, has, is_root, skip};
use crate::workspace::Workspace;

const ATTACKER: &str = "65534";
const VICTIM: u32 = 65533;

/// How long one folder is attacked; `TESTS_ATTACK_SECONDS` says otherwise.
const ATTACK: Duration = Duration::from_secs(6);
/// No command may be held up for longer than a second; the rest is for a busy machine.
const NO_HANG: Duration = Duration::from_secs(4);

/// Does everything that the names can be made into, as fast as it can, reads what can be read, and holds every lock that it can open. `fork` gives it four hands.
const ATTACK_SCRIPT: &str = r#"
import fcntl, os, random, sys
shared, precious, loot, evil = sys.argv[1:5]
os.umask(0)
for hand in range(3):
    if os.fork() == 0: break
else: hand = 3
random.seed(hand)
names = ["cfg", "token-cache.json", ".cfg.databricks-tmp", ".token-cache.json.databricks-tmp", "cfg.lock", "token-cache.json.lock",
         "token-cache.json.corrupt-1", "locks"]
hostile = "[p]\nhost = %s\n[m2m]\nhost = %s\ntoken_command = touch %s.ran\n" % (evil, evil, loot)
held = []
def tries(act, *arguments):
    try: return act(*arguments)
    except OSError: return None
def file(path, text):
    # A pipe has no other end: who waited for one would attack no more.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK, 0o666), "w") as out: out.write(text)
def hold(path):
    f = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    held.append(f)
    if len(held) > 200: os.close(held.pop(0))
    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
def look(path):
    f = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try: text = os.read(f, 1 << 20)
    finally: os.close(f)
    if text and hostile.encode() != text:
        with open("%s.%d" % (loot, hand), "ab") as out: out.write(text)
acts = [
    lambda p: os.symlink(precious, p), lambda p: os.symlink(loot, p), lambda p: os.symlink(loot + ".new", p), lambda p: os.symlink(os.path.dirname(precious), p),
    lambda p: os.link(precious, p), lambda p: os.mkfifo(p, 0o666), lambda p: os.mkdir(p, 0o777), lambda p: file(p, hostile), lambda p: file(p, "{"),
    lambda p: file(p, '{"version":1,"tokens":{}}'), lambda p: os.rename(p, p + ".taken"), lambda p: os.rename(p + ".taken", p), look, look, hold,
]
tries(hold, shared)
while True:
    path = os.path.join(shared, random.choice(names))
    if random.random() < 0.5:
        if tries(os.unlink, path) is None: tries(os.rmdir, path)
    tries(random.choice(acts), path)
    if random.random() < 0.1: tries(hold, shared)
    if random.random() < 0.02:
        for name in tries(os.listdir, shared) or []: tries(look, os.path.join(shared, name))
"#;

/// Two users, and a folder that both can write to.
struct Scene {
    bench: Bench,
    workspace: Workspace,
    evil: Workspace,
    program: PathBuf,
    shared: PathBuf,
    /// A file of the victim's that the attacker knows of.
    precious: PathBuf,
}

impl Scene {
    fn new(mode: u32) -> Scene {
        let (workspace, evil) = (Workspace::start(), Workspace::start());
        let secret = workspace.mint_secret(None);
        let bench = Bench::new().set("DATABRICKS_AUTH_STORAGE", "plaintext");
        std::fs::set_permissions(bench.around(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (_, id) = workspace.service_principal();
        bench.write_config(format!("[m2m]\nhost = {}\nauth_type = oauth-m2m\nclient_id = {id}\nclient_secret = {secret}\n", workspace.url()));
        let precious = bench.home().join("precious");
        std::fs::write(&precious, "precious").unwrap();
        let program = bench.around().join("databricks");
        crate::harness::copy_program(&program);
        finish(bench.program("chown").args(["-R", "65533:65533"]).arg(bench.home()), None).succeeded();
        let shared = bench.around().join("shared");
        std::fs::create_dir(&shared).unwrap();
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(mode)).unwrap();
        let loot = bench.around().join("loot");
        std::fs::create_dir(&loot).unwrap();
        std::fs::set_permissions(&loot, std::fs::Permissions::from_mode(0o777)).unwrap();
        Scene { bench, workspace, evil, program, shared, precious }
    }

    fn as_user(&self, user: &str) -> Command {
        let mut command = self.bench.program("setpriv");
        command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
        command
    }

    /// A command of the victim's with its files in the shared folder.
    fn run(&self, arguments: &[&str], stdin: Option<&str>) -> Outcome {
        let mut command = self.as_user("65533");
        let own_config = arguments.contains(&"m2m");
        if !own_config {
            command.env("DATABRICKS_CONFIG_FILE", self.shared.join("cfg"));
        }
        command.env("DATABRICKS_TOKEN_CACHE_DIR", &self.shared).arg(&self.program).args(arguments);
        let outcome = finish(&mut command, stdin.map(str::as_bytes));
        outcome.code();
        assert!(outcome.took < NO_HANG, "{arguments:?} was held up: {outcome}");
        outcome
    }
}

/// Everything below a folder that is a file, without following links.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => files_below(&path, found),
            Ok(metadata) if metadata.is_file() => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn a9_another_user_who_swaps_files_links_pipes_and_locks_gets_nothing_breaks_nothing_and_holds_nobody_up() {
    if !is_root() {
        return skip("two other users are needed, and only root can be both");
    }
    if !has("setpriv", &["--reuid", ATTACKER, "true"]) || !has("/usr/bin/python3", &["--version"]) {
        return;
    }
    let attack = std::env::var("TESTS_ATTACK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).map_or(ATTACK, Duration::from_secs);
    // As /tmp is, and as a careless administrator leaves a folder.
    for mode in [0o1777, 0o777] {
        let scene = Scene::new(mode);
        let loot = scene.bench.around().join("loot/loot");
        let mut attacker = scene.as_user(ATTACKER);
        attacker.args(["/usr/bin/python3", "-c", ATTACK_SCRIPT]).arg(&scene.shared).arg(&scene.precious).arg(&loot).arg(scene.evil.url());
        std::os::unix::process::CommandExt::process_group(&mut attacker, 0);
        let mut attacking = attacker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + attack;
        let mut secrets = BTreeSet::new();
        let (mut worked, mut refused) = (0, 0);
        for number in 0.. {
            if Instant::now() > until {
                break;
            }
            let pat = format!("dapi-of-the-victim-{number}");
            let outcomes = [
                scene.run(&["configure", "--host", scene.workspace.url(), "--profile", "p"], Some(&format!("{pat}\n"))),
                scene.run(&["auth", "token", "-p", "m2m", "-o", "text", "--min-ttl", "59m"], None),
                scene.run(&["auth", "profiles", "--skip-validate"], None),
                scene.run(&["auth", "switch", "-p", "p"], None),
            ];
            secrets.insert(pat);
            secrets.extend(outcomes[1].stdout().split_whitespace().map(ToOwned::to_owned));
            for outcome in outcomes {
                *(if outcome.status.success() { &mut worked } else { &mut refused }) += 1;
            }
        }
        // It and its hands are a group of their own.
        rustix::process::kill_process_group(rustix::process::Pid::from_child(&attacking), rustix::process::Signal::KILL).unwrap();
        attacking.wait().unwrap();
        println!("{mode:o}: {worked} worked, {refused} refused");
        assert!(worked > 4 && refused > 4, "{mode:o}: {worked} worked, {refused} refused: nothing was planted in time, or nothing works");
        assert_eq!(std::fs::read(&scene.precious).unwrap(), b"precious", "{mode:o}");
        let home: BTreeSet<String> = std::fs::read_dir(scene.bench.home()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let expected = [".cache", ".databricks", ".databrickscfg", "precious"];
        assert!(home.iter().all(|name| expected.contains(&name.as_str())), "{mode:o}: the victim's home has {home:?}");
        assert_eq!(scene.evil.connections(), 0, "{mode:o}: a planted profile led to another host");
        let mut files = Vec::new();
        files_below(&scene.shared, &mut files);
        files_below(loot.parent().unwrap(), &mut files);
        assert!(!loot.with_extension("ran").exists(), "{mode:o}: a planted command was run");
        for path in files {
            let (bytes, metadata) = (std::fs::read(&path).unwrap(), std::fs::metadata(&path).unwrap());
            let text = String::from_utf8_lossy(&bytes);
            let is_private = metadata.uid() == VICTIM && metadata.mode().trailing_zeros() >= 6;
            let leaked = secrets.iter().find(|secret| text.contains(secret.as_str()));
            assert!(is_private || leaked.is_none(), "{mode:o}: a secret is in {}, mode {:o} of {}", path.display(), metadata.mode(), metadata.uid());
        }
    }
}
