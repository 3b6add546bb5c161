//! A minute of logins: pgbench connects anew for each transaction, through the door and with a password file that is kept fresh, while passwords live six seconds and the server restarts.

use super::door::Door;
use super::logins::{keep_secret, setting};
use std::time::Duration;

/// So many logins a second, of each kind: enough to meet every expiry, and little work for the machine.
const RATE: usize = 12;

#[test]
fn a_minute_of_logins_without_one_that_fails() {
    let (home, workspace, mut postgres) = setting();
    workspace.database_lifetime(6);
    let port = postgres.port;
    let door = Door::open(&home, port, "");
    let watch = home.command(["database", "pgpass", "my-instance", "--watch", "--port", &port.to_string()]).serve();
    watch.wait_for("Keeping the password");
    std::fs::write(home.work().join("one.sql"), "select 1;\n").unwrap();
    let pgbench = |seconds: usize| format!("pgbench -n -C -c 2 -R {RATE} -f one.sql -T {seconds}");
    let settings = format!("PGHOST=localhost PGPORT={port} PGUSER=ann@example.com PGDATABASE=databricks_postgres PGSSLMODE=verify-full");
    let by_file = |seconds: usize| {
        let script = format!("env {settings} PGSSLROOTCERT=$SSL_CERT_FILE {}", pgbench(seconds));
        home.script(&script).at_most(Duration::from_secs(60)).run().ok().stdout.clone()
    };
    let mut through_the_door = door.script_to_be(&pgbench(62)).serve();
    let mut files = vec![by_file(29)];
    // Who asks the server by itself has to wait until it is back; who comes through the door need not know.
    postgres.restart_gently();
    files.push(by_file(31));
    let ended = through_the_door.end();
    let door_said = through_the_door.said();
    assert!(ended.success(), "{door_said}");
    let number = |text: &str, words: &str| -> usize {
        let rest = text.split(words).nth(1).unwrap_or_else(|| panic!("no {words} in {text}"));
        rest.split(|character: char| !character.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    for (said, seconds) in [(&door_said, 62), (&files[0], 29), (&files[1], 31)] {
        assert_eq!(number(said, "number of failed transactions: "), 0, "{said}");
        assert!(number(said, "number of transactions actually processed: ") > seconds * RATE / 4, "{said}");
    }
    // For each of the two a new one when half of a life is over.
    assert!(workspace.database_tokens().len() >= 20, "{} passwords", workspace.database_tokens().len());
    keep_secret(&home, &workspace);
}
