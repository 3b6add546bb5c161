//! F7: whatever is in a password or a name, its reader reads exactly that; and each file is the user's alone.

use super::logins::{keep_secret, setting};
use super::postgres::NATIVE_PASSWORD;
use crate::harness::Home;
use crate::peers::oracle::installed;
use crate::workspace::{Fault, Response};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

/// A database with everything that some form has to escape.
const DATABASE: &str = "o:d\\d 'base";

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Makes the workspace give the password of the role that Postgres alone knows: it has what tokens never have, and Postgres takes no other.
fn odd_passwords(home: &Home, workspace: &crate::workspace::Workspace) {
    home.secret(NATIVE_PASSWORD);
    let reply = json!({"token": NATIVE_PASSWORD, "expiration_time": "2099-01-01T00:00:00Z"});
    workspace.order(Fault::on("POST", "/api/2.0/database/credentials").reply(Response::json(200, &reply)).forever());
}

#[test]
fn odd_passwords_and_names_are_read_as_they_are() {
    let (home, workspace, postgres) = setting();
    odd_passwords(&home, &workspace);
    let flags = format!("my-instance --port {} --user native --database \"$DATABASE\"", postgres.port);
    let ask = "psql -XAtc 'select current_user, current_database()'";
    let answer = format!("native|{DATABASE}\n");
    let jdbc = installed("TEST_JDBC", "target/test-jdbc/java");
    let folder = jdbc.parent().unwrap().display().to_string();
    let java = format!("{} -XX:TieredStopAtLevel=1 -cp '{folder}/lib/*:{folder}/classes' Logins 0", jdbc.display());
    home.set("DATABASE", DATABASE);
    for (reader, script) in [
        ("the shell", format!("eval \"$(databricks database env {flags} --format sh)\" && {ask}")),
        ("a URL", format!("psql -XAt \"$(databricks database dsn {flags})\" -c 'select current_user, current_database()'")),
        ("keywords", format!("psql -XAt \"$(databricks database dsn {flags} --format keywords)\" -c 'select current_user, current_database()'")),
        (
            "the service file",
            format!("(umask 077; databricks database service {flags} --name x --with-password > service); PGSERVICEFILE=service PGSERVICE=x {ask}; rm service"),
        ),
        (
            "the password file",
            format!(
                "databricks database pgpass {flags} && psql -XAt \"$(databricks database dsn {flags} --no-password)\" -c 'select current_user, current_database()'"
            ),
        ),
    ] {
        let outcome = home.script(&script).run();
        assert_eq!(outcome.stdout, answer, "{reader}: {outcome}");
    }
    assert_eq!(mode(&home.path().join(".pgpass")), 0o600);
    let url = format!("databricks database dsn {flags} --format jdbc");
    // The driver's own certificates are Java's; the mode is another concern here.
    let outcome = home.script(&format!("{url} --sslmode require | {java}")).run();
    outcome.ok().shows("\"errors\": []").shows("native");
    keep_secret(&home, &workspace);
}

#[test]
fn a_password_with_a_line_break_is_none() {
    let (home, workspace, postgres) = setting();
    for token in ["two\nlines", "carriage\rreturn", "zero\0", ""] {
        let reply = json!({"token": token, "expiration_time": "2099-01-01T00:00:00Z"});
        workspace.order(Fault::on("POST", "/api/2.0/database/credentials").reply(Response::json(200, &reply)).forever());
        for command in ["env", "dsn", "service --with-password", "pgpass"] {
            let (name, flags) = command.split_once(' ').unwrap_or((command, ""));
            let outcome = home.run(&*format!("database {name} my-instance --port {} {flags}", postgres.port));
            outcome.fails().prints("").says("answered without a password for my-instance");
        }
        workspace.clear_faults();
    }
    assert!(!home.path().join(".pgpass").exists());
}

#[test]
fn the_files_are_private_from_their_first_moment() {
    let (home, workspace, postgres) = setting();
    let port = postgres.port;
    // Every file that is made, whatever the umask: its mode is in the call that makes it.
    let traced = format!(
        "umask 000; strace -f -qq -e trace=openat,fchmod,chmod,bind -e signal=none -o trace databricks database pgpass my-instance --port {port} && grep -c 'O_CREAT.*0600' trace && ! grep 'O_CREAT' trace | grep -v '0600\\|\\.cache'; rm trace"
    );
    let outcome = home.script(&traced).run();
    assert!(outcome.stdout.trim().parse::<u32>().is_ok_and(|made| made > 0), "{outcome}");
    let door =
        home.script(&format!("umask 000; exec databricks database proxy my-instance --port {port} --listen 127.0.0.1:0 --password-file door.pgpass")).serve();
    door.wait_for(" leads to ");
    home.store(home.work().join("door.pgpass"));
    assert_eq!((mode(&home.path().join(".pgpass")), mode(&home.work().join("door.pgpass"))), (0o600, 0o600));
    let socket = home.script(&format!("umask 000; exec databricks database proxy my-instance --port {port} --socket door")).serve();
    socket.wait_for(" leads to ");
    assert_eq!(mode(&home.work().join("door")), 0o700);
    keep_secret(&home, &workspace);
}
