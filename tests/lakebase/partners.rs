//! Drivers that other people wrote log in again and again while passwords live three seconds: through the door, and over TLS with the password file where they read it.

use super::door::Door;
use super::logins::{keep_secret, setting};
use crate::harness::Outcome;
use crate::peers::oracle::installed;
use crate::workspace::Workspace;
use serde::Deserialize;

/// So many seconds passwords live, and drivers log in: several of them end meanwhile.
const LIFE: i64 = 3;
const SECONDS: u32 = 10;

/// How the logins of a program went.
#[derive(Debug, Deserialize)]
struct Logins {
    ok: usize,
    errors: Vec<String>,
    users: Vec<String>,
}

/// What so many of them said, a line each.
#[track_caller]
fn check(outcome: &Outcome, programs: usize, workspace: &Workspace) {
    let lines: Vec<&str> = outcome.ok().stdout.lines().collect();
    assert_eq!(lines.len(), programs, "{outcome}");
    for line in lines {
        let seen: Logins = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}\n{outcome}"));
        assert!(seen.errors.is_empty() && seen.users == ["ann@example.com"] && seen.ok > 50, "{outcome}");
    }
    assert!(workspace.database_tokens().len() >= 4, "{} passwords", workspace.database_tokens().len());
}

/// A line for a shell, which takes the URL on standard input.
fn jdbc(seconds: u32) -> String {
    let java = installed("TEST_JDBC", "target/test-jdbc/java");
    let folder = java.parent().unwrap().display().to_string();
    format!("{} -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp '{folder}/lib/*:{folder}/classes' Logins {seconds}", java.display())
}

/// The same with libpq's variables.
fn pgx(way: &str, seconds: u32) -> String {
    format!("{} {way} {seconds}", installed("TEST_PGX", "target/test-pgx/logins").display())
}

#[test]
fn pools_of_pgx_and_psycopg_and_jdbc_run_through_the_door() {
    let (home, workspace, postgres) = setting();
    let python = installed("TEST_PSYCOPG", "target/test-psycopg/bin/python");
    workspace.database_lifetime(LIFE);
    let door = Door::open(&home, postgres.port, "");
    std::fs::write(home.work().join("pool.py"), POOL).unwrap();
    // All at the same time, each with its own outcome.
    let url = format!("jdbc:postgresql://127.0.0.1:{}/databricks_postgres?user=me&sslmode=disable", door.port);
    let all = format!(
        "{} > pgx & {} > psycopg & printf %s '{url}' | {} > jdbc; wait; cat pgx psycopg jdbc",
        pgx("pool", SECONDS),
        format_args!("{} pool.py {SECONDS}", python.display()),
        jdbc(SECONDS)
    );
    check(&door.script(&all), 3, &workspace);
    keep_secret(&home, &workspace);
}

/// A pool of psycopg whose connections live half a second.
const POOL: &str = "
import json, logging, sys, time
from psycopg_pool import ConnectionPool
errors = []
class Errors(logging.Handler):
    def emit(self, record):
        errors.append(record.getMessage())
logging.getLogger('psycopg.pool').addHandler(Errors(logging.WARNING))
ok, users = 0, set()
with ConnectionPool('dbname=databricks_postgres', min_size=1, max_size=4, max_lifetime=0.5, open=True) as pool:
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        with pool.connection() as connection:
            users.add(connection.execute('select current_user').fetchone()[0])
            ok += 1
        time.sleep(0.02)
    errors += ['connections_errors'] * pool.get_stats().get('connections_errors', 0)
print(json.dumps({'ok': ok, 'errors': errors, 'users': sorted(users)}))
";

#[test]
fn drivers_that_read_the_password_file_log_in_over_tls() {
    let (home, workspace, postgres) = setting();
    // Who has read the file may be slow to log in: half of a life is what they have.
    let (life, seconds) = (2 * LIFE, 15);
    workspace.database_lifetime(life);
    let watch = home.command(["database", "pgpass", "my-instance", "--watch", "--port", &postgres.port.to_string()]).serve();
    watch.wait_for("Keeping the password");
    let (ca, port) = (postgres.ca_file(), postgres.port);
    let url = format!("jdbc:postgresql://localhost:{port}/databricks_postgres?user=ann%40example.com&sslmode=verify-full&sslrootcert={}", ca.display());
    let settings =
        format!("PGHOST=localhost PGPORT={port} PGUSER=ann@example.com PGDATABASE=databricks_postgres PGSSLMODE=verify-full PGSSLROOTCERT={}", ca.display());
    // Java and Go take the home folder of the user's account, not HOME.
    let both = format!(
        "export PGPASSFILE=~/.pgpass; env {settings} {} > pgx & printf %s '{url}' | {} > jdbc; wait; cat pgx jdbc",
        pgx("single", seconds),
        jdbc(seconds)
    );
    check(&home.script(&both).run(), 2, &workspace);
    keep_secret(&home, &workspace);
}
