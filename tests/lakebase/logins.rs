//! `psql`, and what `database env|dsn|service|pgpass` write: a real server judges the passwords, and libpq what it reads.

use super::postgres::{Postgres, answering};
use crate::harness::Home;
use crate::oauth::SignedIn;
use crate::session::eventually;
use crate::workspace::Workspace;
use rustix::process::Signal;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

/// A home, its workspace, and a server behind `my-instance` and an endpoint, whose authority is trusted.
pub(super) fn setting() -> (Home, Arc<Workspace>, Postgres) {
    let (home, workspace) = Home::signed_in();
    let postgres = behind(&home, &workspace);
    (home, workspace, postgres)
}

/// A server for the databases of a workspace.
fn behind(home: &Home, workspace: &Workspace) -> Postgres {
    let postgres = Postgres::start(workspace);
    workspace.change_instance("my-instance", &json!({"read_write_dns": "localhost", "read_only_dns": "localhost"}));
    workspace.change_postgres("projects/my-project/branches/main/endpoints/primary", &json!({"hosts": {"host": "localhost"}}));
    home.set("SSL_CERT_FILE", postgres.ca_file());
    home.store(home.path().join(".databricks/token-cache.json"));
    home.store(home.path().join(".pgpass"));
    home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
    postgres
}

/// Every password that the workspace gave out is looked for where none may be.
pub(super) fn keep_secret(home: &Home, workspace: &Arc<Workspace>) {
    for token in workspace.database_tokens() {
        home.secret_of(workspace, &token);
    }
}

#[test]
fn psql_logs_in_and_ends_as_psql_does() {
    let (home, workspace, postgres) = setting();
    let port = postgres.port;
    let psql = |target: &str, rest: &str| home.script(&format!("databricks psql {target} -- -X -p {port} {rest}; echo \"code $?\"")).run();
    let who = "-Atc \"select current_user, current_database(), (select ssl from pg_stat_ssl where pid = pg_backend_pid())\"";
    let outcome = psql("my-instance", who);
    outcome.shows("ann@example.com|databricks_postgres|t\ncode 0").says("Instance: my-instance").says("Connecting to database instance...");
    psql("projects/my-project", who)
        .shows("ann@example.com|databricks_postgres|t\ncode 0")
        .says("Endpoint: primary")
        .says("Connecting to read-write endpoint (idle, waking up)...");
    psql("--project my-project --branch main --endpoint primary", who).shows("ann@example.com|databricks_postgres|t\ncode 0");
    psql("my-instance", "-d postgres -Atc 'select current_database()'").shows("postgres\ncode 0");
    psql("my-instance", "-c 'select 1/0'").shows("code 1").says("division by zero");
    psql("my-instance", "-v ON_ERROR_STOP=1 -f /dev/stdin <<< 'select 1/0;'").shows("code 3");
    psql("my-instance --max-retries 0", "-Atc 'select 7'").shows("7\ncode 0");
    // A signal to this command is one to psql, and how psql ends is how it ends.
    let mut sleeping = home.script(&format!("exec databricks psql my-instance -- -X -p {port} -c 'select pg_sleep(60)'")).serve();
    eventually("a question", || postgres.sql("select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'").as_deref() == Some("1"));
    sleeping.signal(Signal::TERM);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&sleeping.end()), Some(15));
    drop(sleeping);
    psql("my-instance", "-c 'select pg_terminate_backend(pg_backend_pid())'").shows("code 2").lacks("Retrying");
    let stranger = home.script("databricks psql my-instance -- -X -U nobody -p PORT -c 'select 1'".replace("PORT", &port.to_string()).as_str()).run();
    stranger.says("authentication failed").says("Hint: If there is no role for ann@example.com yet").lacks("Retrying");
    // Kept between the runs: one password was enough for each of the two resources.
    assert_eq!(workspace.database_tokens().len(), 2);
    keep_secret(&home, &workspace);
}

#[test]
fn nobody_gets_a_password_who_is_not_trusted() {
    let (home, workspace, postgres) = setting();
    let port = postgres.port;
    // Another authority than the server's.
    home.script(&format!("SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt databricks psql my-instance -- -X -p {port} -c 'select 1'; echo \"code $?\""))
        .run()
        .shows("code 2")
        .says("certificate verify failed")
        .lacks("Retrying");
    // Whoever asks for it gives the check up; the password is in no clear text even so.
    home.script(&format!("SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt databricks psql my-instance --sslmode require -- -X -p {port} -Atc 'select 6'"))
        .run()
        .prints("6\n");
    // Another name than the certificate's.
    workspace.change_instance("my-instance", &json!({"read_write_dns": "127.0.0.1"}));
    home.script(&format!("databricks psql my-instance -- -X -p {port} -c 'select 1'; echo \"code $?\"")).run().shows("code 2").says("does not match host name");
    workspace.change_instance("my-instance", &json!({"read_write_dns": "localhost"}));
    // A server that has no TLS, or whatever answers in its place.
    let (other, heard) = answering(b"N");
    home.script(&format!("databricks psql my-instance --max-retries 1 -- -X -p {other} -c 'select 1'")).run().fails().says("server does not support SSL");
    assert_eq!(*heard.lock().unwrap(), b"");
    home.run("psql my-instance --sslmode prefer").fails().says("may send the password in clear");
    // The environment does not lead the password elsewhere, nor weaken the check.
    home.script(&format!("PGSSLMODE=disable PGHOSTADDR=192.0.2.1 PGSERVICE=other databricks psql my-instance -- -X -p {port} -Atc 'select 5'"))
        .run()
        .prints("5\n");
    // And the server takes nobody without TLS.
    let plain =
        home.script(&format!("PGPASSWORD=x psql 'host=localhost port={port} user=ann@example.com dbname=postgres sslmode=disable' -c 'select 1'")).run();
    plain.says("no encryption");
    keep_secret(&home, &workspace);
}

#[test]
fn what_is_not_ready_says_what_to_do() {
    let (home, workspace) = Home::signed_in();
    home.set("PATH", "/usr/bin");
    home.run("psql sleeping-instance")
        .fails()
        .says("Instance status: STOPPED")
        .says("Error: database instance is not ready for accepting connections")
        .says("databricks database update-database-instance sleeping-instance stopped --stopped=false");
    workspace.change_instance("my-instance", &json!({"state": "STARTING", "held": true}));
    home.run("database env my-instance").fails().says("my-instance is STARTING");
    home.run("database dsn nope").fails().says("has no database instance \"nope\"").says("--profile NAME");
    home.run("database dsn projects/nope").fails().says("has no project \"projects/nope\"");
    home.run("database dsn projects/").error("invalid resource path: missing project ID");
    home.run("database dsn projects/two/branches/dev").fails().says("has no endpoint");
    home.run("database dsn").fails().says("there is no TARGET");
    home.run("psql a b").fails().says("expected at most one positional argument for target");
    home.run("psql --branch b").fails().says("--project is required when using --branch or --endpoint");
    home.run("psql --provisioned --project b").fails().says("cannot use --project, --branch, or --endpoint flags with --provisioned");
    home.run("psql x --project b").fails().says("cannot use --project, --branch, or --endpoint flags with a provisioned instance name");
    home.command("psql my-instance").env("PATH", "/nowhere").run().fails().says("exec: \"psql\": executable file not found in $PATH");
    // Of several the one that is meant: the branch that is the default, and the endpoint that can be written to.
    home.run("database dsn projects/two --no-password").ok().shows("@ep-writer.database.cloud.databricks.com:5432/");
    home.run("database dsn projects/two --read-only --no-password").ok().shows("@ep-reader.database.cloud.databricks.com:5432/");
}

#[test]
fn connections_that_fail_are_tried_again_with_a_new_password() {
    let (home, workspace) = Home::signed_in();
    home.store(home.path().join(".databricks/token-cache.json"));
    home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
    let folder = home.work();
    let script = format!(
        "mkdir -p {0}/fake; printf '%s\\n' '#!/bin/sh' 'echo \"$PGPASSWORD\" >> {0}/passwords' 'echo \"$@\" >> {0}/arguments' '[ $(wc -l < {0}/arguments) -lt 2 ] && {{ echo refused >&2; exit 2; }}' 'exit 0' > {0}/fake/psql; chmod +x {0}/fake/psql; PATH={0}/fake:$PATH databricks psql db-instance-name -- -q",
        folder.display()
    );
    home.script(&script).run().ok().says("Connection attempt 1/3 failed, retrying in 1s...").says("Retrying connection (attempt 2/3)...").says("refused");
    let passwords = std::fs::read_to_string(folder.join("passwords")).unwrap();
    let passwords: Vec<&str> = passwords.lines().collect();
    assert_eq!(passwords.len(), 2);
    assert!(passwords.iter().all(|password| workspace.valid_database_token(password).is_some()));
    assert!(passwords[0] != passwords[1], "the second attempt has a new password");
    let arguments = std::fs::read_to_string(folder.join("arguments")).unwrap();
    let host = "--host=instance-8d2a1c5e-4f0b-4f7a-9d3e-1b2c3d4e5f60.database.cloud.databricks.com";
    assert_eq!(arguments.lines().next(), Some(&*format!("{host} --username=ann@example.com --port=5432 --dbname=databricks_postgres -q")));
    std::fs::remove_file(folder.join("passwords")).unwrap();
    keep_secret(&home, &workspace);
}

#[test]
fn libpq_reads_what_is_written_for_it() {
    let (home, workspace, postgres) = setting();
    let port = postgres.port;
    let ask = "psql -XAtc 'select current_user'";
    for script in [
        format!("eval \"$(databricks database env my-instance --port {port} --format sh)\" && {ask}"),
        format!("psql -XAt \"$(databricks database dsn my-instance --port {port})\" -c 'select current_user'"),
        format!("psql -XAt \"$(databricks database dsn projects/my-project --port {port} --format keywords)\" -c 'select current_user'"),
        format!(
            "databricks database service my-instance --port {port} --name x --with-password > .pg_service.conf && chmod 600 .pg_service.conf && PGSERVICEFILE=.pg_service.conf PGSERVICE=x {ask}; rm .pg_service.conf"
        ),
        // What would lead libpq elsewhere is taken out, where that can be.
        format!("export PGHOSTADDR=192.0.2.1 PGSERVICE=other; eval \"$(databricks database env my-instance --port {port} --format sh)\" && {ask}"),
        // The documented way, step by step.
        format!(
            "PGPASSWORD=$(databricks database generate-database-credential --request-id $(uuidgen) --json '{{\"instance_names\": [\"db-instance-name\"]}}' | jq -r .token) psql -XAt 'host=localhost port={port} user=ann@example.com dbname=databricks_postgres sslmode=verify-full sslrootcert={}' -c 'select current_user'",
            postgres.ca_file().display()
        ),
    ] {
        home.script(&script).run().prints("ann@example.com\n");
    }
    for form in ["env my-instance --format dotenv", "dsn my-instance"] {
        home.command(&*format!("database {form}")).env("PGSERVICE", "other").reveals().run().ok().says("PGSERVICE is set, and libpq goes by it");
    }
    home.script(&format!("databricks database dsn my-instance --port {port} --format jdbc --no-password")).run().prints(&format!(
        "jdbc:postgresql://localhost:{port}/databricks_postgres?sslmode=verify-full&sslfactory=org.postgresql.ssl.DefaultJavaSSLFactory&user=ann%40example.com\n"
    ));
    keep_secret(&home, &workspace);
}

#[test]
fn the_password_file_keeps_everything_else() {
    let (home, workspace, postgres) = setting();
    let port = postgres.port;
    let before = "# mine\nodd line\n\nother:5432:*:me:a\\:b\\\\c\n*:*:*:ann@example.com:old\r\n";
    home.write(std::path::Path::new(".pgpass"), before);
    crate::harness::set_mode(&home.path().join(".pgpass"), 0o644);
    home.run(["database", "pgpass", "my-instance", "--port", &port.to_string()]).ok().says("could be read by others (mode 0644)");
    let after = std::fs::read_to_string(home.path().join(".pgpass")).unwrap();
    let line = after.lines().find(|line| line.starts_with("localhost:")).unwrap();
    assert_eq!(after.replace(&format!("{line}\r\n"), ""), before);
    assert!(after.find(line) < after.find("*:*:*:"), "above what would be taken instead");
    assert_eq!(std::fs::metadata(home.path().join(".pgpass")).unwrap().permissions().mode() & 0o777, 0o600);
    home.script(&format!("psql -XAt \"$(databricks database dsn my-instance --port {port} --no-password)\" -c 'select 3'")).run().prints("3\n");
    // What cannot be written whole is not written at all.
    let whole = std::fs::read(home.path().join(".pgpass")).unwrap();
    home.script("ulimit -f 0; databricks database pgpass my-instance 2>&1; echo \"code $?\"").run().shows("code 1").shows(".pgpass");
    assert_eq!(std::fs::read(home.path().join(".pgpass")).unwrap(), whole);
    // Nor on a disk that is full; the file system ends with its namespace.
    let full = "mkdir disk; unshare --mount $([ $(id -u) = 0 ] || echo --map-root-user) bash -c '
mount -t tmpfs -o size=64k,mode=700 none disk || exit 77
cp -p ~/.pgpass disk; cat /dev/zero > disk/fill 2>/dev/null
i=0; while mkdir disk/d$i 2>/dev/null && [ $i -lt 200 ]; do i=$((i + 1)); done
PGPASSFILE=$PWD/disk/.pgpass databricks database pgpass my-instance 2>&1; echo \"code $?\"; cmp ~/.pgpass disk/.pgpass && ls -A disk | grep -c pgpass'; code=$?; rmdir disk; exit $code";
    let outcome = home.script(full).run();
    if !outcome.stdout.is_empty() {
        outcome.shows("No space left on device").shows("code 1\n1\n");
    }
    // A link is followed, and stays one.
    home.script("mv ~/.pgpass ~/real; ln -s real ~/.pgpass; PGPASSFILE=~/.pgpass databricks database pgpass my-instance && test -L ~/.pgpass && grep -c localhost ~/real; rm ~/real ~/.pgpass").run().prints("2\n");
    keep_secret(&home, &workspace);
}

#[test]
fn a_watched_password_file_always_logs_in() {
    let (home, workspace, postgres) = setting();
    let port = postgres.port.to_string();
    workspace.database_lifetime(2);
    let mut watch = home.command(["database", "pgpass", "my-instance", "--watch", "--port", &port]).serve();
    watch.wait_for("Keeping the password");
    let first = workspace.database_tokens();
    watch.wait_for("a new password, good until");
    // Each can be logged in with to its end, and beyond the end of the first.
    workspace.wait_for_database_expiry_of(&first[0]);
    assert!(workspace.valid_database_token(&first[0]).is_none());
    let old = format!("psql -X 'host=localhost port={port} user=ann@example.com dbname=databricks_postgres sslmode=require' -c 'select 1'");
    home.script(&old).env("PGPASSWORD", &first[0]).run().says("authentication failed");
    let ask =
        format!("PGSSLMODE=verify-full PGSSLROOTCERT=$SSL_CERT_FILE psql -XAt -h localhost -p {port} -U ann@example.com -d databricks_postgres -c 'select 9'");
    home.script(&ask).run().prints("9\n");
    watch.signal(Signal::TERM);
    assert!(watch.end().success());
    assert!(watch.said().contains("is no longer renewed"));
    keep_secret(&home, &workspace);
}

#[test]
fn who_signed_in_and_service_principals_log_in_as_themselves() {
    // In the browser, with a token that has ended: it is renewed on the way.
    let signed_in = SignedIn::new();
    signed_in.expire();
    let SignedIn { home, workspace } = signed_in;
    let postgres = behind(&home, &workspace);
    let port = postgres.port;
    let ask = |profile: &str| home.script(&format!("databricks psql my-instance -p {profile} -- -X -p {port} -Atc 'select current_user'")).run();
    ask("p").prints("ann@example.com\n");
    // Its role is the application id.
    let (_, id) = workspace.service_principal();
    let secret = workspace.mint_secret(None);
    home.secret_of(&workspace, &secret);
    let config = format!("{}\n[sp]\nhost = {}\nclient_id = {id}\nclient_secret = {secret}\n", home.config(), workspace.url());
    home.write_config(config);
    ask("sp").says("Hint: If there is no role for");
    postgres.sql(&format!("create role \"{id}\" login")).unwrap();
    ask("sp").prints(&format!("{id}\n"));
    // A password is of who asked for it, also where it is kept.
    ask("p").prints("ann@example.com\n");
    assert_eq!(workspace.database_tokens().len(), 2);
    keep_secret(&home, &workspace);
}
