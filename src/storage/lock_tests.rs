//! What a lock promises: one holder, known by its id; free at once when it ends, however it ends; a place for it nearly everywhere.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;

const CHILD: &str = "DATABRICKS_TEST_LOCK_HOME";

fn env_of(folder: &Path) -> Env {
    let text = |path: PathBuf| path.to_str().expect("text").to_owned();
    Env::default().with(env::HOME, &text(folder.join("home"))).with(env::TEMPORARY_FOLDER, &text(folder.join("tmp")))
}

fn folder() -> (tempfile::TempDir, Env) {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["home", "tmp"] {
        fs::create_dir(folder.path().join(name)).expect("mkdir");
    }
    let env = env_of(folder.path());
    (folder, env)
}

/// Something that cannot be made into a folder, whoever tries; root can write into any that is only read-only.
fn block(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    drop(options.write(true).create_new(true).open(path).expect("a file in the way"));
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn one_holds_it_and_is_named() {
    let (folder, env) = folder();
    let first = Lock::acquire(&env, "dev", Duration::ZERO).expect("free");
    let _other = Lock::acquire(&env, "prod", Duration::ZERO).expect("another credential");
    let started = Instant::now();
    let error = Lock::acquire(&env, "dev", Duration::from_millis(20)).expect_err("held");
    assert!(started.elapsed() >= Duration::from_millis(20));
    let own = std::process::id();
    assert!(error.to_string().starts_with(&format!("another process ({own}) has for 0.02 seconds held the lock of \"dev\"")), "{error}");
    assert!(error.downcast_ref::<Failure>().is_some_and(|failure| failure.hints()[0].contains(&format!("ps -fp {own}"))));
    assert!(error.downcast_ref::<LockUnavailable>().is_none());
    drop(first);
    drop(Lock::acquire(&env, "dev", Duration::ZERO).expect("free again"));
    let locks = folder.path().join("home/.databricks/locks");
    let files = files_in(&locks);
    assert_eq!(files.len(), 2, "they stay");
    for file in &files {
        let name = file.file_name().and_then(|name| name.to_str()).expect("text");
        assert!(name.len() == 21 && file.extension().is_some_and(|extension| extension == "lock"), "{name}");
        assert_eq!(fs::metadata(file).expect("metadata").permissions().mode() & 0o7777, 0o600);
    }
    assert_eq!(fs::metadata(&locks).expect("metadata").permissions().mode() & 0o7777, 0o700);
}

#[test]
fn who_waits_gets_it_when_it_is_free() {
    let (_folder, env) = folder();
    let held = Lock::acquire(&env, "dev", Duration::ZERO).expect("free");
    let own = env.clone();
    let waiter = std::thread::spawn(move || Lock::acquire(&own, "dev", Duration::from_secs(30)).map(drop));
    drop(held);
    waiter.join().expect("joined").expect("its turn");
}

/// The second process: holds a lock until it is killed.
#[test]
fn child() {
    #[expect(clippy::disallowed_methods, reason = "what the test told it")]
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let _lock = Lock::acquire(&env_of(Path::new(&folder)), "dev", Duration::ZERO).expect("free");
    println!("held");
    let mut line = String::new();
    // Until the test is gone too, so that nothing stays behind.
    drop(io::stdin().read_line(&mut line));
}

#[test]
fn a_killed_holder_frees_it_at_once() {
    let (folder, env) = folder();
    #[expect(clippy::disallowed_methods, reason = "the process that is killed")]
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "storage::lock::tests::child", "--nocapture", "--test-threads=1"]).env(CHILD, folder.path());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("started");
    let mut said = io::BufReader::new(child.stdout.take().expect("stdout"));
    let mut line = String::new();
    while !line.ends_with("held\n") {
        line.clear();
        assert!(io::BufRead::read_line(&mut said, &mut line).expect("read") > 0, "it ended");
    }
    let error = Lock::acquire(&env, "dev", Duration::ZERO).expect_err("held").to_string();
    assert!(error.contains(&format!("({})", child.id())), "{error}");
    let waiter = std::thread::spawn(move || Lock::acquire(&env, "dev", Duration::from_secs(30)).map(drop));
    child.kill().expect("killed");
    waiter.join().expect("joined").expect("free");
    child.wait().expect("reaped");
}

#[test]
fn where_the_home_cannot_be_written_another_place_serves() {
    let (folder, env) = folder();
    block(&folder.path().join("home/.databricks"));
    let runtime = folder.path().join("run");
    fs::create_dir(&runtime).expect("mkdir");
    let with_runtime = env.clone().with(env::XDG_RUNTIME_DIR, runtime.to_str().expect("text"));
    let _held = Lock::acquire(&with_runtime, "dev", Duration::ZERO).expect("the runtime folder");
    assert_eq!(files_in(&runtime.join("databricks/locks")).len(), 1);
    Lock::acquire(&with_runtime, "dev", Duration::ZERO).expect_err("held");

    let _held = Lock::acquire(&env, "dev", Duration::ZERO).expect("the temporary folder");
    let own = folder.path().join(format!("tmp/databricks-{}", system::user()));
    assert_eq!(fs::metadata(&own).expect("metadata").permissions().mode() & 0o7777, 0o700);
    assert_eq!(files_in(&own.join("locks")).len(), 1);

    // A folder that others can write is not trusted.
    fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).expect("chmod");
    let error = Lock::acquire(&env, "dev", Duration::ZERO).expect_err("no place");
    assert!(error.downcast_ref::<LockUnavailable>().is_some());
    let shown = format!("{error:#}");
    assert!(shown.contains("not yours alone") && shown.contains("home/.databricks") && shown.contains("\"dev\""), "{shown}");
    assert!(error.chain().any(|cause| cause.downcast_ref::<Failure>().is_some_and(|failure| failure.hints()[0].contains("DATABRICKS_TOKEN_CACHE_DIR"))));
}

#[test]
fn a_lock_file_that_is_a_link_or_has_a_second_name_is_not_touched() {
    let (folder, env) = folder();
    let victim = folder.path().join("victim");
    block(&victim);
    let locks = folder.path().join("home/.databricks/locks");
    files::make_folder(&locks).expect("mkdir");
    block(&folder.path().join("tmp").join(format!("databricks-{}", system::user())));
    let lock = locks.join(file_name("dev"));
    for arrange in [|victim: &Path, lock: &Path| symlink(victim, lock), |victim: &Path, lock: &Path| fs::hard_link(victim, lock)] {
        arrange(&victim, &lock).expect("arranged");
        let error = Lock::acquire(&env, "dev", Duration::ZERO).expect_err("refused");
        assert!(error.downcast_ref::<LockUnavailable>().is_some(), "{error:#}");
        assert_eq!(fs::metadata(&victim).expect("metadata").len(), 0, "nothing written");
        fs::remove_file(&lock).expect("rm");
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, &lock, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).expect("mkfifo");
    assert!(Lock::acquire(&env, "dev", Duration::ZERO).expect_err("a pipe").downcast_ref::<LockUnavailable>().is_some());
}
