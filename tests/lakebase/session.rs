//! `session start --database`: libpq logs in at any moment of a session, and nothing is left behind.

use super::logins::{keep_secret, setting};
use crate::workspace::{Fault, Response};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What lies in the folders of sessions.
fn left(home: &crate::harness::Home) -> Vec<PathBuf> {
    let bases = std::fs::read_dir(home.path().parent().unwrap().join("tmp")).unwrap().flatten();
    let bases = bases.filter(|entry| entry.file_name().to_string_lossy().starts_with("databricks-"));
    bases.flat_map(|base| std::fs::read_dir(base.path()).unwrap().flatten().map(|entry| entry.path())).collect()
}

#[test]
fn psql_logs_in_across_the_ends_of_passwords() {
    let (home, workspace, postgres) = setting();
    let port = postgres.port;
    workspace.database_lifetime(3);
    // Variables that would lead libpq elsewhere are there, and taken out.
    let script = format!(
        r#"export PGPASSWORD=wrong PGHOSTADDR=192.0.2.1 PGSERVICE=other
        databricks session start --database my-instance --database-port {port} -- bash -c '
            stat -c %a "$PGPASSFILE"; dirname "$PGPASSFILE" | xargs stat -c %a; echo "$PGHOST $PGUSER $PGDATABASE $PGSSLMODE ${{PGPASSWORD-none}} ${{PGSERVICE-none}}"
            end=$((SECONDS + 8)); logins=0
            while [ $SECONDS -lt $end ]; do psql -XAtc "select 1" > answer 2> trouble && [ "$(cat answer)" = 1 ] || {{ cat trouble; exit 3; }}; logins=$((logins + 1)); done
            databricks session status | grep -c "^Database    my-instance (ann@example.com at localhost)$\|^Password    ends in"; [ $logins -gt 5 ] && echo many'; echo "code $?""#
    );
    let outcome = home.script(&script).run();
    outcome.ok().prints("600\n700\nlocalhost ann@example.com databricks_postgres verify-full none none\n2\nmany\ncode 0\n");
    let passwords = workspace.database_tokens().len();
    assert!((4..=9).contains(&passwords), "{passwords} passwords in 8 seconds");
    assert!(left(&home).is_empty(), "{:?}", left(&home));
    keep_secret(&home, &workspace);
}

#[test]
fn a_session_in_the_background_has_a_database_too() {
    let (home, workspace, postgres) = setting();
    let port = postgres.port;
    workspace.database_lifetime(3);
    let script = format!(
        r#"eval "$(databricks session start --database projects/my-project --database-name postgres --database-port {port})"; cp "$PGPASSFILE" first
        env | grep -c ^PG; id=$(databricks session list -o json | jq -r '.[0].id')
        (unset $(env | grep -o '^PG[A-Z]*'); export PGPASSWORD=wrong; eval "$(databricks session env $id)"; psql -XAtc 'select current_database()')
        until [ "$(cut -d: -f5 first)" != "$(cut -d: -f5 "$PGPASSFILE")" ]; do sleep 0.02; done; sleep 1.6; psql -XAtc 'select 2'
        rm first; databricks session end; ls "$PGPASSFILE" 2> /dev/null; echo over"#
    );
    home.script(&script).run().ok().prints("7\npostgres\n2\nover\n");
    assert!(left(&home).is_empty(), "{:?}", left(&home));
    keep_secret(&home, &workspace);
}

#[test]
fn trouble_with_the_database_is_told_and_ends_by_itself() {
    let (home, workspace, postgres) = setting();
    let port = postgres.port;
    home.run("session start --database sleeping-instance").fails().says("sleeping-instance is stopped");
    home.run("session start --database nope -- true").fails().says("has no database instance \"nope\"");
    home.run("session start --database-port 5 -- true").fails().says("--database TARGET");
    assert!(left(&home).is_empty(), "{:?}", left(&home));
    workspace.database_lifetime(2);
    let mut session = home.command(["session", "start", "--database", "my-instance", "--database-port", &port.to_string(), "--", "/bin/sleep", "60"]).spawn();
    let status = || home.run("session status -o json");
    let wait = |what: &str, holds: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(20), "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait("no session came about", &|| home.run("session list -o json").stdout.contains("my-instance"));
    let refusal = Response::error(403, "PERMISSION_DENIED", "Not today.");
    // Two tries fail, a second apart.
    workspace.order(Fault::on("POST", "/api/2.0/database/credentials").times(2).reply(refusal));
    wait("the trouble was not told", &|| status().status.code() == Some(1) && status().stdout.contains("\"trouble\""));
    home.run("session status").says("the password of my-instance could not be renewed");
    wait("it did not go on", &|| status().status.code() == Some(0) && !status().stdout.contains("\"trouble\""));
    home.run("session end").ok();
    session.wait().unwrap();
    assert!(left(&home).is_empty(), "{:?}", left(&home));
    keep_secret(&home, &workspace);
}
