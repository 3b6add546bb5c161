//! E1, E2, E5: who else sees a password. The sweep at the end of each test looks through what was printed and written; this looks at the processes.

use super::door::Door;
use super::logins::{keep_secret, setting};
use super::postgres::free_port;
use crate::harness::{copy_program, set_mode};
use std::collections::BTreeSet;
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What `/proc` shows of processes while something is done: command lines of all, environments of those whose name this is.
fn watched<T>(name: &str, work: impl FnOnce() -> T) -> (T, BTreeSet<String>, BTreeSet<String>) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut lines, mut environments) = (BTreeSet::new(), BTreeSet::new());
            while !over.load(Ordering::Relaxed) {
                for process in std::fs::read_dir("/proc").unwrap().flatten() {
                    let text =
                        |file: &str| std::fs::read(process.path().join(file)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
                    let line = text("cmdline");
                    if line.split('\0').next().is_some_and(|program| program.ends_with(name)) {
                        let environment = text("environ");
                        // What has become another program meanwhile has that one's environment.
                        if text("cmdline") == line {
                            environments.insert(environment);
                        }
                    }
                    lines.insert(line);
                }
                std::thread::yield_now();
            }
            (lines, environments)
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        let (lines, environments) = watcher.join().unwrap();
        (done, lines, environments)
    })
}

#[test]
fn e1_no_password_stands_in_a_command_line_nor_in_our_environment() {
    let (home, workspace, postgres) = setting();
    let port = postgres.port;
    workspace.database_lifetime(2);
    let (password, lines, environments) = watched("databricks", || {
        let watch = home.command(["database", "pgpass", "my-instance", "--watch", "--port", &port.to_string()]).serve();
        watch.wait_for("Keeping the password");
        let door = Door::open(&home, port, "");
        for command in
            ["env my-instance --format sh", "dsn my-instance", "dsn my-instance --format jdbc", "service my-instance --with-password", "pgpass my-instance"]
        {
            home.command(&*format!("database {command}")).reveals().run().ok();
        }
        door.script("psql -XAtc 'select pg_sleep(0.2)'").ok();
        home.script(&format!("databricks psql my-instance -- -X -p {port} -c 'select pg_sleep(0.2)'")).run().ok();
        home.command("database generate-database-credential my-instance").reveals().run().ok();
        home.command("postgres generate-database-credential projects/my-project/branches/main/endpoints/primary").reveals().run().ok();
        door.password.clone()
    });
    let mut secrets = workspace.database_tokens();
    secrets.extend([password, workspace.token().to_owned()]);
    assert!(lines.iter().any(|line| line.contains("psql\0--host=localhost")), "psql was not seen");
    assert!(environments.len() >= 3, "{} of our environments were seen", environments.len());
    for secret in &secrets {
        assert!(!lines.iter().any(|line| line.contains(secret)), "a password stands in a command line");
        assert!(!environments.iter().any(|environment| environment.contains(secret)), "a password stands in our environment");
    }
    keep_secret(&home, &workspace);
}

#[test]
fn e2_nobody_looks_into_the_door_and_it_leaves_no_core() {
    let (home, workspace, postgres) = setting();
    // Root sees everything: the door and who wants to look belong to somebody else.
    let root = rustix::process::geteuid().is_root();
    let other = if root { "setpriv --reuid=65534 --regid=65534 --clear-groups" } else { "env" };
    let around = home.path().parent().unwrap().to_owned();
    copy_program(&home.work().join("databricks"));
    if root {
        give(&around);
    }
    let port = free_port();
    for command in [
        format!("database proxy my-instance --port {} --listen 127.0.0.1:{port} --password-file door.pgpass", postgres.port),
        format!("database pgpass my-instance --watch --port {}", postgres.port),
    ] {
        let serving = home.script(&format!("ulimit -c unlimited; exec {other} $PWD/databricks {command}")).serve();
        serving.wait_until("that it works", |said| said.contains(" leads to ") || said.contains("Keeping the password"));
        let pid = serving.pid().as_raw_nonzero();
        for file in ["environ", "mem", "maps", "io"] {
            let looked = home.script(&format!("exec {other} head -c 10 /proc/{pid}/{file}")).run();
            looked.prints("").says("Permission denied");
        }
        home.script(&format!("exec {other} timeout 5 strace -p {pid}")).run().says("Operation not permitted");
        let mut serving = serving;
        serving.signal(rustix::process::Signal::ABORT);
        let status = serving.end();
        assert_eq!((std::os::unix::process::ExitStatusExt::signal(&status), std::os::unix::process::ExitStatusExt::core_dumped(&status)), (Some(6), false));
    }
    if root {
        for store in [home.work().join("door.pgpass"), home.path().join(".pgpass")] {
            set_mode(&store, 0o600);
        }
    }
    home.store(home.work().join("door.pgpass"));
    keep_secret(&home, &workspace);
}

/// Makes everything below a folder that of nobody.
fn give(path: &Path) {
    chown(path, Some(65534), Some(65534)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in std::fs::read_dir(path).unwrap().flatten() {
            if !entry.path().is_symlink() {
                give(&entry.path());
            }
        }
    }
}

#[test]
fn e5_standard_output_is_what_was_asked_for_and_nothing_else() {
    let (home, workspace, _postgres) = setting();
    let token = |outcome: &crate::harness::Outcome| {
        let tokens: Vec<String> = workspace.database_tokens().into_iter().filter(|token| outcome.stdout.contains(token)).collect();
        assert_eq!(tokens.len(), 1, "one of the workspace's passwords");
        assert_eq!(outcome.stdout.matches(&tokens[0]).count(), 1, "once");
        assert!(!outcome.stderr.contains(&tokens[0]));
    };
    for command in [
        "env my-instance --format sh",
        "env my-instance",
        "dsn my-instance",
        "dsn my-instance --format jdbc",
        "dsn my-instance --format keywords",
        "service my-instance --with-password",
    ] {
        for loud in ["", " --debug"] {
            token(home.command(&*format!("database {command}{loud}")).reveals().run().ok());
        }
    }
    for command in ["dsn my-instance --no-password", "dsn my-instance --no-password --format jdbc", "service my-instance", "pgpass my-instance"] {
        home.command(&*format!("database {command} --debug")).run().ok();
    }
    home.run("database pgpass my-instance").ok().prints("");
    keep_secret(&home, &workspace);
}
