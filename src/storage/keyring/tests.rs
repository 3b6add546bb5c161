//! The keyring as it is: a bus and a `gnome-keyring-daemon` of their own for each scene, in a folder of their own. A scene runs in a second process of this test program, on that bus.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use super::super::contract::{self, EARLY, token};
use super::*;
use crate::storage::{Choice, Mode, ModeSource, Pin, open_for_login, open_for_reading};

/// Tells the second process which scene it plays.
const SCENE: &str = "DATABRICKS_TEST_KEYRING_SCENE";

#[expect(clippy::disallowed_methods, reason = "the real keyring is the judge")]
fn command(program: &str) -> Command {
    Command::new(program)
}

/// Whether the programs are installed; `tests/install` sees to that where it may.
fn is_installed() -> bool {
    let there = ["dbus-run-session", "gnome-keyring-daemon", "secret-tool"]
        .iter()
        .all(|program| command("which").arg(program).stdout(Stdio::null()).status().is_ok_and(|status| status.success()));
    if !there {
        drop(std::io::stderr().write_all(b"no gnome-keyring here: not tested\n"));
    }
    there
}

/// Runs a scene on a bus of its own. `prepare` is what the shell does before it.
fn play(scene: &str, prepare: &str) {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = folder.path().join("run");
    crate::files::make_folder(&runtime).expect("mkdir");
    let script = format!("{prepare}\n\"$0\" --exact storage::keyring::tests::scene --nocapture --test-threads=1");
    let mut shell = command("dbus-run-session");
    shell.args(["--", "sh", "-ec", &script]).arg(std::env::current_exe().expect("this program"));
    shell
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder.path())
        .env("XDG_RUNTIME_DIR", &runtime)
        .env("XDG_DATA_HOME", folder.path().join("data"))
        .env(SCENE, scene);
    let Output { status, stdout, stderr } = shell.stdin(Stdio::null()).output().expect("dbus-run-session");
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && said.contains("1 passed"), "{scene}: {status}\n{said}");
}

/// Before any client talks to the bus: otherwise D-Bus starts a daemon without a collection to keep things in. Ends when the daemon has its name on the bus.
const UNLOCKED: &str = "printf pw | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
for attempt in $(seq 1000); do
  case $(dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner string:org.freedesktop.secrets) in *true*) break;; esac
done";

#[expect(clippy::disallowed_methods, reason = "the environment that the scene was given")]
fn env_of_scene() -> Option<(String, Env)> {
    Some((std::env::var(SCENE).ok()?, Env::of_process()))
}

#[test]
fn scene() {
    let Some((scene, env)) = env_of_scene() else { return };
    match scene.as_str() {
        "contract" => contract(&env),
        "other programs" => other_programs(&env),
        "locked" => locked(&env),
        "no collection" => no_collection(&env),
        "killed" => killed(&env),
        "silent" => silent(&env),
        "nobody" => nobody(&env),
        "refused" => refused(&env),
        other => panic!("{other}"),
    }
}

#[test]
fn a_real_keyring_holds_what_every_store_promises() {
    play("contract", UNLOCKED);
}

fn contract(env: &Env) {
    contract::holds(env, &Keyring::open(env).expect("a keyring"));
    let choice = Choice { mode: Mode::Secure, source: ModeSource::Default };
    let login = open_for_login(env, &choice).expect("a keyring");
    assert_eq!((login.mode, login.pin, login.fallback), (Mode::Secure, Some(Pin::Secure), None));
    assert_eq!(login.store.keys().expect("keys"), Vec::<String>::new(), "the probe is gone");
    let opened = open_for_reading(env, &choice).expect("a keyring");
    assert_eq!((opened.mode, opened.fallback), (Mode::Secure, None));
}

#[test]
fn entries_are_shared_with_other_programs() {
    play("other programs", UNLOCKED);
}

fn secret_tool(arguments: &[&str], input: &str) -> String {
    let mut child = command("secret-tool").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("secret-tool");
    child.stdin.take().expect("stdin").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("secret-tool");
    // It says attributes on the one stream and the rest on the other, by its version.
    format!("{}{}", String::from_utf8(output.stdout).expect("text"), String::from_utf8(output.stderr).expect("text"))
}

fn other_programs(env: &Env) {
    let keyring = Keyring::open(env).expect("a keyring");
    let lock = Lock::acquire(env, "dev", Duration::ZERO).expect("a lock");
    let theirs = r#"{"token":{"access_token":"a","token_type":"Bearer","refresh_token":"r","expiry":"2026-11-21T23:19:30.02191483-05:00","expires_in":3600,"scopes":[1.0]},"note":"x"}"#;
    secret_tool(&["store", "--label=theirs", "service", SERVICE, "username", "dev"], theirs);
    let read = keyring.load("dev").expect("read").expect("a token");
    assert_eq!((read.access_token, read.expires_in), (Secret::new("a"), Some(3600)));
    assert_eq!(keyring.keys().expect("keys"), ["dev"]);

    keyring.save(&lock, &["dev"], &token(1, EARLY), Some(&"r".into())).expect("saved");
    let ours = secret_tool(&["lookup", "service", SERVICE, "username", "dev"], "");
    assert_eq!(
        ours,
        r#"{"token":{"access_token":"at1\u003c\u0026\u003e\"\\ä","token_type":"Bearer","refresh_token":"rt1","expiry":"2026-11-22T04:19:30.02191483Z","expires_in":3600,"scopes":[1.0]},"note":"x"}"#
    );
    let found = secret_tool(&["search", "--all", "service", SERVICE], "");
    assert_eq!(found.matches("attribute.").count(), 2, "one item with exactly two attributes:\n{found}");
    assert!(found.contains("label = Password for 'dev' on 'databricks-cli'"), "{found}");
    let search = ["--dest=org.freedesktop.secrets", "/org/freedesktop/secrets/collection/login", "org.freedesktop.Secret.Collection.SearchItems"];
    let items = command("dbus-send").args(["--session", "--print-reply=literal"]).args(search).arg(format!("dict:string:string:service,{SERVICE}")).output();
    let items = String::from_utf8(items.expect("dbus-send").stdout).expect("text");
    assert_eq!(items.matches("/collection/login/").count(), 1, "{items}");

    secret_tool(&["store", "--label=broken", "service", SERVICE, "username", "broken"], "not JSON");
    let error = keyring.load("broken").expect_err("broken").to_string();
    assert!(error.contains("\"broken\"") && error.contains("no JSON"), "{error}");
    for empty in ["{}", r#"{"token":null}"#, r#"{"token":{}}"#] {
        secret_tool(&["store", "--label=empty", "service", SERVICE, "username", "empty"], empty);
        assert_eq!(keyring.load("empty").expect("a miss"), None, "{empty}");
    }
}

#[test]
fn a_locked_keyring_says_so() {
    let lock = "printf '{\"token\":{\"access_token\":\"a\"}}' | secret-tool store --label=x service databricks-cli username dev && dbus-send --session --print-reply --dest=org.freedesktop.secrets /org/freedesktop/secrets org.freedesktop.Secret.Service.Lock array:objpath:/org/freedesktop/secrets/collection/login";
    play("locked", &format!("{UNLOCKED}\n{lock}"));
}

fn locked(env: &Env) {
    let keyring = Keyring::open(env).expect("it is there");
    let started = Instant::now();
    for error in [keyring.load("dev").expect_err("locked"), keyring.writable().expect_err("locked")] {
        assert!(error.to_string().starts_with("the OS keyring is locked"), "{error}");
    }
    assert_eq!(keyring.probe(), Err(KeyringError::Locked));
    assert_eq!(keyring.load("absent").expect("no such entry"), None);
    let error = open_for_login(env, &Choice { mode: Mode::Secure, source: ModeSource::Default }).expect_err("no silent file").to_string();
    assert!(error.starts_with("the OS keyring is locked"), "{error}");
    assert!(started.elapsed() < KEYRING_LIMIT, "nobody was asked");
}

#[test]
fn a_keyring_that_can_keep_nothing_counts_as_none() {
    play("no collection", "");
}

/// D-Bus starts the daemon, which has no collection.
fn no_collection(env: &Env) {
    let choice = Choice { mode: Mode::Secure, source: ModeSource::Default };
    let login = open_for_login(env, &choice).expect("the file");
    assert_eq!((login.mode, login.pin), (Mode::Plaintext, Some(Pin::Plaintext)), "{:?}", login.fallback);
}

#[test]
fn a_keyring_that_dies_is_no_hang() {
    play("killed", UNLOCKED);
}

fn killed(env: &Env) {
    let keyring = Keyring::open(env).expect("a keyring");
    let output = command("dbus-send")
        .args([
            "--session",
            "--print-reply=literal",
            "--dest=org.freedesktop.DBus",
            "/",
            "org.freedesktop.DBus.GetConnectionUnixProcessID",
            "string:org.freedesktop.secrets",
        ])
        .output()
        .expect("dbus-send");
    let said = String::from_utf8(output.stdout).expect("text");
    let id = said.split_whitespace().last().expect("an id").to_owned();
    assert!(command("kill").args(["-STOP", &id]).status().expect("kill").success());
    let waiter = std::thread::spawn(move || command("sh").args(["-c", &format!("sleep 0.2; kill -KILL {id}")]).status());
    let started = Instant::now();
    let error = keyring.load("dev").expect_err("killed").to_string();
    assert!(error.starts_with("OS keyring unreachable: it ended while it was asked") && error.contains("\"dev\""), "{error}");
    assert!(started.elapsed() < KEYRING_LIMIT);
    waiter.join().expect("joined").expect("kill");
}

#[test]
fn a_keyring_that_does_not_answer_times_out() {
    play("silent", UNLOCKED);
}

fn silent(env: &Env) {
    let keyring = Keyring::open(env).expect("a keyring");
    let (sender, receiver) = mpsc::channel::<()>();
    keyring
        .jobs
        .send(Box::new(move |_| {
            let _ = receiver.recv();
        }))
        .expect("the thread hangs");
    let started = Instant::now();
    // Nothing but the limit can end this wait: the keyring hangs until the line below it.
    let error = keyring.load("dev").expect_err("silent");
    assert_eq!(error.to_string(), "keyring get timed out (entry \"dev\" of databricks-cli)");
    assert!(started.elapsed() >= KEYRING_LIMIT, "{:?}", started.elapsed());
    drop(sender);
    assert_eq!(keyring.load("dev").expect("it answers again"), None);
}

#[test]
fn a_bus_without_a_keyring_and_a_bus_that_is_gone_count_as_none() {
    // This bus has no service files, so it can start nothing.
    let config = r#"<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>"#;
    let start = "dbus-daemon --fork --print-address=3 --print-pid=4 3>$HOME/address 4>$HOME/id";
    let bare = format!("printf '%s' '{config}' >$HOME/bus.conf\n{start} --config-file=$HOME/bus.conf\nexport DBUS_SESSION_BUS_ADDRESS=$(cat $HOME/address)");
    play("nobody", &format!("{bare}\ntrap 'kill $(cat $HOME/id)' EXIT"));
    let gone = format!(
        "{start} --session --address=unix:path=$HOME/bus\nexport DBUS_SESSION_BUS_ADDRESS=$(cat $HOME/address)\nid=$(cat $HOME/id)\nkill -KILL $id\nwhile [ -n \"$(ls /proc/$id/fd 2>/dev/null)\" ]; do :; done"
    );
    play("nobody", &gone);
}

#[test]
fn a_keyring_that_may_not_be_asked_says_so_and_no_file_stands_in() {
    let config = r#"<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><deny send_destination="org.freedesktop.secrets"/></policy></busconfig>"#;
    let start = "dbus-daemon --fork --print-address=3 --print-pid=4 3>$HOME/address 4>$HOME/id";
    let bus = format!(
        "printf '%s' '{config}' >$HOME/bus.conf\n{start} --config-file=$HOME/bus.conf\nexport DBUS_SESSION_BUS_ADDRESS=$(cat $HOME/address)\ntrap 'kill $(cat $HOME/id)' EXIT"
    );
    play("refused", &format!("{bus}\n{UNLOCKED}"));
}

fn refused(env: &Env) {
    let error = Keyring::open(env).expect_err("refused");
    assert!(matches!(&error, KeyringError::Denied(_)), "{error:?}");
    let opened = open_for_reading(env, &Choice { mode: Mode::Secure, source: ModeSource::Default });
    assert!(opened.expect_err("no file stands in").to_string().starts_with("the OS keyring refused access"));
}

fn nobody(env: &Env) {
    let started = Instant::now();
    let error = Keyring::open(env).expect_err("none");
    assert!(matches!(&error, KeyringError::Unreachable(_)), "{error:?}");
    let opened = open_for_reading(env, &Choice { mode: Mode::Secure, source: ModeSource::Default }).expect("the file");
    assert_eq!(opened.mode, Mode::Plaintext);
    assert!(started.elapsed() < KEYRING_LIMIT, "known without waiting");
}
