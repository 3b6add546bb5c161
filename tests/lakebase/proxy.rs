//! `database proxy`: programs that know only host, port and password stay logged in to a real server, whatever ends, restarts or hangs behind the door.

use super::door::Door;
use super::logins::{keep_secret, setting};
use super::postgres::{NATIVE_PASSWORD, Postgres, Served, answering};
use crate::harness::{Home, set_mode};
use crate::peers::oracle::installed;
use crate::session::eventually;
use crate::workspace::{Fault, Response};
use rustix::process::Signal;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

#[test]
fn everything_passes_through() {
    let (home, workspace, postgres) = setting();
    let door = Door::open(&home, postgres.port, "");
    let sql = |sql: &str| door.script(&format!("psql -XAt -c \"{sql}\""));
    sql("select current_user, current_database(), (select ssl from pg_stat_ssl where pid = pg_backend_pid())")
        .prints("ann@example.com|databricks_postgres|t\n");
    door.script("psql -XAt -d postgres -c 'select current_database()'").prints("postgres\n");
    // A large result, and COPY in both directions.
    let copied = "psql -XAtq -c 'create table t (n int)'; seq 200000 | psql -XAtq -c 'copy t from stdin'; psql -XAtq -c 'copy t to stdout' | md5sum; seq 200000 | md5sum; psql -XAtq -c 'drop table t'";
    let outcome = door.script(copied);
    let sums: Vec<&str> = outcome.stdout.lines().collect();
    assert!(sums.len() == 2 && sums[0] == sums[1], "{outcome}");
    // Many questions are sent before the first is answered; a notification comes by itself.
    let pipelined = "
import psycopg
with psycopg.connect('', autocommit=True) as connection:
    with connection.pipeline():
        asked = [connection.execute('select %s::int, repeat(%s, 1000)', (number, 'x')) for number in range(2000)]
    print(sum(cursor.fetchone()[0] for cursor in asked))
    connection.execute('listen bell')
    with psycopg.connect('', autocommit=True) as other:
        other.execute('notify bell')
    print(next(connection.notifies(timeout=10)).channel)
";
    std::fs::write(home.work().join("pipelined.py"), pipelined).unwrap();
    door.script(&format!("{} pipelined.py", installed("TEST_PSYCOPG", "target/test-psycopg/bin/python").display())).prints("1999000\nbell\n");
    // One row larger than any buffer on the way.
    door.script("psql -XAt -c \"select repeat('x', 50000000)\" | wc -c").prints("50000001\n");
    // A statement is cancelled from a second connection, as Ctrl-C in psql does.
    let cancelled = "psql -X -c 'select pg_sleep(60)' & pid=$!; until psql -XAt -c \"select 1 from pg_stat_activity where query like 'select pg_sleep%'\" | grep -q 1; do :; done; kill -INT $pid; wait $pid";
    door.script(cancelled).within(Duration::from_secs(20)).says("canceling statement due to user request");
    // Wrong passwords and databases are told as Postgres tells them.
    door.script("PGPASSWORD=wrong psql -X -c 'select 1'").says("this is not the password of the proxy");
    door.script("psql -X -d nope -c 'select 1'").says("database \"nope\" does not exist");
    door.script("pgbench -i -q 2>/dev/null; pgbench -n -S -c 8 -M extended -T 1 | grep failed").shows("failed transactions: 0");
    assert_eq!(workspace.database_tokens().len(), 1);
    keep_secret(&home, &workspace);
}

#[test]
fn what_is_connected_stays_so_and_a_server_that_is_gone_is_told() {
    let (home, workspace, mut postgres) = setting();
    workspace.database_lifetime(2);
    let door = Door::open(&home, postgres.port, "");
    // The second question is asked when the password of the first has ended.
    let more = home.work().join("more");
    rustix::fs::mkfifoat(rustix::fs::CWD, &more, rustix::fs::Mode::RWXU).unwrap();
    let asking = door.script_to_be("(echo 'select 1;'; cat more) | psql -XAt").serve();
    let mut pipe = std::fs::File::options().write(true).open(&more).unwrap();
    eventually("a login", || {
        postgres.sql("select count(*) from pg_stat_activity where state = 'idle' and usename = 'ann@example.com'").as_deref() == Some("1")
    });
    workspace.wait_for_database_expiry();
    pipe.write_all(b"select 2;\n").unwrap();
    drop(pipe);
    asking.wait_for("1\n2\n");
    postgres.stop();
    door.script("psql -X -c 'select 1'").says("cannot be reached").within(Duration::from_secs(15));
    postgres.restart();
    door.script("psql -XAt -c 'select 4'").prints("4\n");
    keep_secret(&home, &workspace);
}

#[test]
fn who_comes_while_the_server_restarts_waits_for_it() {
    let (home, workspace, mut postgres) = setting();
    let door = Door::open(&home, postgres.port, "");
    postgres.stop();
    let asking = door.script_to_be("psql -XAt -c 'select 5'").serve();
    door.wait_for("refuses connections");
    postgres.restart();
    asking.wait_for("5\n");
    keep_secret(&home, &workspace);
}

#[test]
fn a_workspace_that_is_down_is_told_and_a_good_password_stays_good() {
    let (home, workspace, postgres) = setting();
    workspace.database_lifetime(4);
    let door = Door::open(&home, postgres.port, "");
    let renewal = "/api/2.0/database/credentials";
    workspace.order(Fault::on("POST", renewal).reply(Response::error(500, "INTERNAL_ERROR", "the workspace is unwell")).forever());
    workspace.clear_requests();
    let started = Instant::now();
    // Logins go on, also after the renewal that half of a life brings, and its failure.
    while workspace.requests().is_empty() {
        door.script("psql -XAt -c 'select 1'").prints("1\n");
        assert!(started.elapsed() < Duration::from_secs(4), "nobody asked for the next password");
    }
    door.script("psql -XAt -c 'select 1'").prints("1\n");
    workspace.wait_for_database_expiry();
    // Each of many gets the same answer, and the workspace few requests.
    workspace.clear_requests();
    let many = "for i in $(seq 30); do psql -X -v VERBOSITY=verbose -c 'select 1' 2>&1 & done; wait";
    let outcome = door.script(many);
    assert_eq!(outcome.stdout.matches("no password for the database could be had: the workspace is unwell").count(), 30, "{outcome}");
    workspace.clear_faults();
    let started = Instant::now();
    while !door.script("psql -XAt -c 'select 2'").stdout.contains('2') {
        assert!(started.elapsed() < Duration::from_secs(10), "it did not recover");
    }
    keep_secret(&home, &workspace);
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let (home, workspace, postgres) = setting();
    let door = Door::open(&home, postgres.port, "");
    let startup = |version: u32, body: &[u8]| [&u32::try_from(body.len() + 8).unwrap().to_be_bytes()[..], &version.to_be_bytes(), body].concat();
    for bytes in [&b""[..], b"\0", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 9000], &[0, 0, 0, 8, 4, 210], &[0x16, 3, 1, 0, 200, 1, 0, 0]] {
        assert_eq!(door.say(bytes), b"", "{bytes:?}");
    }
    assert_eq!(door.say(&[0, 0, 0, 8, 4, 210, 22, 47]), b"N");
    assert_eq!(door.say(&[0, 0, 0, 8, 4, 210, 22, 48]), b"N");
    let shown = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    assert!(shown(door.say(&startup(2 << 16, b"user"))).contains("08P01"));
    assert!(shown(door.say(&startup(3 << 16, b"user\0ann"))).contains("invalid startup packet layout"));
    assert!(shown(door.say(&startup(3 << 16, b"database\0x\0\0"))).contains("no PostgreSQL user name"));
    // Asked for the password, and something else comes.
    let asked = [b'R', 0, 0, 0, 8, 0, 0, 0, 3];
    let login = startup(3 << 16, b"user\0ann\0\0");
    for (more, answer) in [
        (&b"Q\0\0\0\x0bselect\0"[..], ""),
        (&[b'p', 0xff, 0xff, 0xff, 0xff], ""),
        (&[b'p', 0, 0, 0, 9, b'x'], ""),
        (b"p\0\0\0\x06x\0", "28P01"),
        (b"X\0\0\0\x04", ""),
    ] {
        let said = door.say(&[&login, more].concat());
        assert_eq!(said.get(..9), Some(&asked[..]), "{more:?}");
        assert!(shown(said[9..].to_vec()).contains(answer) && (answer.is_empty() == said[9..].is_empty()), "{more:?} {said:?}");
    }
    door.script("psql -XAt -c 'select 9'").prints("9\n");
    keep_secret(&home, &workspace);
}

#[test]
fn the_first_signal_waits_for_who_is_there() {
    let (home, workspace, postgres) = setting();
    let mut door = Door::open(&home, postgres.port, "");
    let pid = door.pid().as_raw_nonzero();
    let script = format!(
        "psql -XAt -c \"select 'done' from pg_sleep(1.5)\" & until psql -XAt -c \"select 1 from pg_stat_activity where query like '%pg_sleep(1.5)%' and pid <> pg_backend_pid()\" | grep -q 1; do :; done; kill -TERM {pid}; until ! psql -X -c 'select 1' 2>/dev/null; do :; done; wait"
    );
    door.script(&script).ok().shows("done");
    assert!(door.wait().success());
    keep_secret(&home, &workspace);
}

#[test]
fn sockets_need_no_password_and_folders_of_their_own() {
    let (home, workspace, postgres) = setting();
    let folder = home.work().join("door");
    let mut serving = home.command(&*format!("database proxy my-instance --port {} --socket door", postgres.port)).serve();
    serving.wait_for(" leads to ");
    let mode = |path: &std::path::Path| std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777;
    assert_eq!((mode(&folder), mode(&folder.join(".s.PGSQL.5432"))), (0o700, 0o700));
    home.script("psql -XAt -h $PWD/door -c 'select current_user'").run().prints("ann@example.com\n");
    home.run(&*format!("database proxy my-instance --port {} --socket door", postgres.port)).fails().says("Another proxy listens there");
    serving.signal(Signal::INT);
    assert!(serving.end().success());
    assert!(!folder.join(".s.PGSQL.5432").exists());
    // One that was killed leaves its socket to the next; what is none is somebody's file.
    let line = format!("database proxy my-instance --port {} --socket door", postgres.port);
    let mut killed = home.command(&*line).serve();
    killed.wait_for(" leads to ");
    killed.signal(Signal::KILL);
    killed.end();
    let mut next = home.command(&*line).serve();
    next.wait_for(" leads to ");
    home.script("psql -XAt -h $PWD/door -c 'select 2'").run().prints("2\n");
    next.signal(Signal::INT);
    assert!(next.end().success());
    std::fs::write(folder.join(".s.PGSQL.5432"), "precious").unwrap();
    home.run(&*line).fails().says("another kind of file");
    assert_eq!(std::fs::read_to_string(folder.join(".s.PGSQL.5432")).unwrap(), "precious");
    std::fs::create_dir(home.work().join("open")).unwrap();
    home.script("chmod 755 open").run().ok();
    home.run("database proxy my-instance --socket open").fails().says("others can get into open");
    home.run("database proxy my-instance --socket door --listen 127.0.0.1:1").fails().says("give --socket alone");
    home.run("database proxy my-instance --listen 0.0.0.0:5432").fails().says("an address of this machine alone");
    keep_secret(&home, &workspace);
}

#[test]
fn roles_with_passwords_of_their_own_log_in_by_scram() {
    let (home, _workspace, postgres) = setting();
    home.secret(NATIVE_PASSWORD);
    let door = Door::open(&home, postgres.port, "--user native --native");
    door.script("psql -XAt -c 'select current_user'").prints("native\n");
    drop(door);
    // Made as the documentation says.
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lakebase.md")).unwrap();
    let sql: Vec<&str> = guide.lines().skip_while(|line| !line.contains("CREATE ROLE app")).take_while(|line| line.starts_with("    ")).collect();
    let (password, statements) =
        ("another one", sql.join("\n").replace("CREATE ROLE app LOGIN", "SET password_encryption = 'scram-sha-256'; CREATE ROLE app LOGIN"));
    assert!(statements.contains("ALTER ROLE app PASSWORD 'another one' VALID UNTIL"), "{statements}");
    postgres.sql(&statements.replace("2027-01-01", "2999-01-01")).expect("the documented SQL");
    let port = super::postgres::free_port();
    let line = format!("database proxy my-instance --port {} --listen 127.0.0.1:{port} --password-file app.pgpass --user app --native", postgres.port);
    let serving = home.command(&*line).env("PGPASSWORD", password).serve();
    serving.wait_for(" leads to ");
    home.store(home.work().join("app.pgpass"));
    home.script(&format!("PGPASSFILE=$PWD/app.pgpass psql -XAt -h 127.0.0.1 -p {port} -U x -d databricks_postgres -c 'select current_user'"))
        .run()
        .prints("app\n");
    home.command(&*line).without("PGPASSWORD").run().fails().says("PGPASSWORD holds no password for app");
}

/// Each step at which a server may hang or lie is in `src/lakebase/upstream_tests.rs`, with limits that a test can wait for.
#[test]
fn servers_without_tls_get_nothing_and_who_waits_for_one_keeps_nobody() {
    let (home, workspace) = Home::signed_in();
    workspace.change_instance("my-instance", &json!({"read_write_dns": "localhost"}));
    for (answer, said) in [(&b"N"[..], "offers no TLS; nothing was sent to it"), (b"HTTP", "is no Postgres server")] {
        let (port, heard) = answering(answer);
        let door = Door::open(&home, port, "");
        door.script("psql -X -c 'select 1'").says(said);
        assert_eq!(*heard.lock().unwrap(), b"");
    }
    // While one hangs the others are served: here told that they are not let in.
    let door = Door::open(&home, answering(b"").0, "");
    let mut waiting = TcpStream::connect((Ipv4Addr::LOCALHOST, door.port)).unwrap();
    waiting.write_all(&door.login()).unwrap();
    door.script("PGPASSWORD=wrong psql -X -c 'select 1'").says("this is not the password of the proxy").within(Duration::from_secs(5));
    keep_secret(&home, &workspace);
}

#[test]
fn a_server_with_another_certificate_gets_nothing() {
    let (home, workspace, postgres) = setting();
    let other = Postgres::start(&workspace);
    let servers = [Served::AnotherName, Served::Expired].map(|served| (Postgres::serving(&workspace, served), served));
    // Whose authority nobody here knows; whose name is another; whose time is over.
    let mut cases = vec![(&postgres, other.ca_file(), "invalid peer certificate")];
    cases.extend(servers.iter().map(|(server, served)| (server, server.ca_file(), if *served == Served::Expired { "expired" } else { "not valid for name" })));
    for (server, ca, why) in cases {
        home.set("SSL_CERT_FILE", ca);
        let door = Door::open(&home, server.port, "");
        door.script("psql -X -c 'select 1'").says("was not trusted, and nothing was sent to it").says(why);
        assert!(!server.log().contains("ann@example.com"), "{}", server.log());
    }
    keep_secret(&home, &workspace);
}

#[test]
fn clients_may_go_at_any_moment() {
    let (home, workspace, postgres) = setting();
    let mut door = Door::open(&home, postgres.port, "");
    let login = door.login();
    // After each byte of a login, and, logged in, in the middle of a message and of a result.
    for end in 0..=login.len() {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, door.port)).unwrap();
        stream.write_all(&login[..end]).unwrap();
    }
    for more in [&b"Q\0\0"[..], b"Q\0\0\0\x35select repeat('x', 1000) from generate_series(1,9999)\0"] {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, door.port)).unwrap();
        stream.write_all(&login).unwrap();
        let mut answer = [0; 18];
        stream.read_exact(&mut answer).unwrap();
        stream.write_all(more).unwrap();
        stream.read_exact(&mut answer).unwrap();
    }
    door.script("psql -XAt -c 'select 8'").prints("8\n");
    // Nobody is left to be waited for, here or at the server.
    assert!(door.end(Signal::TERM).success());
    eventually("the last logout", || postgres.sql("select count(*) from pg_stat_activity where usename = 'ann@example.com'").as_deref() == Some("0"));
    keep_secret(&home, &workspace);
}

#[test]
fn a_password_file_that_cannot_be_written_opens_no_door() {
    let (home, workspace, postgres) = setting();
    let line = format!("databricks database proxy my-instance --port {} --listen 127.0.0.1:0 --password-file door.pgpass", postgres.port);
    home.script(&format!("ulimit -f 0; {line} 2>&1; echo \"code $?\"")).run().shows("code 1").shows("door.pgpass");
    assert!(!home.work().join("door.pgpass").exists());
    keep_secret(&home, &workspace);
}

#[test]
fn the_password_is_said_once_and_kept_where_somebody_wants_it() {
    let (home, workspace, postgres) = setting();
    let door = Door::open(&home, postgres.port, "");
    let kept = std::fs::read_to_string(home.work().join("door.pgpass")).unwrap();
    assert_eq!(kept.lines().count(), 2, "one for the address, one for localhost");
    let port = door.port;
    drop(door);
    // The next start on that port has the same one.
    let door = Door::open_at(&home, port, postgres.port, "");
    assert_eq!(std::fs::read_to_string(home.work().join("door.pgpass")).unwrap(), kept);
    door.script("psql -XAt -h localhost -c 'select 1'").prints("1\n");
    // Without a file it is said on standard error.
    let shown = "databricks database proxy my-instance --port PORT --listen 127.0.0.1:0 2> said & pid=$!; until grep -q leads said; do :; done; \
                 sed -n 's/^Password: //p' said > secret; PGPASSWORD=$(cat secret) psql -XAt -h 127.0.0.1 -p $(sed -n 's/^127.0.0.1:\\([0-9]*\\) leads.*/\\1/p' said) -c 'select 6'; kill $pid; wait $pid; rm said secret";
    home.script(&shown.replace("PORT", &postgres.port.to_string())).run().ok().shows("6\n");
    keep_secret(&home, &workspace);
}

#[test]
fn five_hundred_clients_make_one_request() {
    let (home, workspace, postgres) = setting();
    workspace.database_lifetime(1);
    let door = Door::open(&home, postgres.port, "");
    workspace.wait_for_database_expiry();
    workspace.database_lifetime(3_600);
    let before = workspace.database_tokens().len();
    let login = door.login();
    let mut clients: Vec<TcpStream> = (0..500).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, door.port)).unwrap()).collect();
    for client in &mut clients {
        client.write_all(&login).unwrap();
    }
    // The server takes fewer than that: whoever is let in or refused is answered.
    let mut first = vec![0; 10];
    for client in &mut clients {
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        client.read_exact(&mut first).unwrap();
        assert!(matches!(first[9], b'R' | b'E'), "{first:?}");
    }
    assert_eq!(workspace.database_tokens().len() - before, 1);
    keep_secret(&home, &workspace);
}

#[test]
fn a_role_that_is_missing_is_told_as_the_server_tells_it() {
    let (home, workspace, postgres) = setting();
    let door = Door::open(&home, postgres.port, "--user nobody@example.com");
    door.script("psql -X -c 'select 1'").says("FATAL");
    keep_secret(&home, &workspace);
}

/// Several clients at once, each with its own user and database: the user does not matter, and the database is the one that is named.
#[test]
fn clients_get_the_database_that_they_name() {
    let (home, workspace, postgres) = setting();
    postgres.sql("create database shop").unwrap();
    let door = Door::open(&home, postgres.port, "");
    let ask = "psql -XAt -c \"select current_user, current_database() from pg_sleep(0.3)\"";
    // libpq asks for the database of the user's name where nobody names one: that is meant if it is there.
    let script = format!(
        "unset PGDATABASE; {ask} -U shop -d shop > 1 & {ask} -U shop > 2 & {ask} -U nobody > 3 & {ask} -U nobody -d postgres > 4 & {ask} -U 'o:d user' -d shop > 5 & wait; cat 1 2 3 4 5"
    );
    let answers = ["shop", "shop", "databricks_postgres", "postgres", "shop"].map(|name| format!("ann@example.com|{name}\n"));
    door.script(&script).ok().prints(&answers.concat());
    door.script("psql -X -U shop -d nope -c 'select 1'").says("database \"nope\" does not exist");
    keep_secret(&home, &workspace);
}

/// `localhost` is `::1` first: what another user put there would be given the door's password.
#[test]
fn the_other_address_of_localhost_is_the_doors_too() {
    let (home, workspace, postgres) = setting();
    let Ok(taken) = std::net::TcpListener::bind((std::net::Ipv6Addr::LOCALHOST, 0)) else { return };
    let door = Door::open(&home, postgres.port, "");
    door.script("PGPASSWORD=$(sed -n 's/^localhost:.*://p' door.pgpass) psql -XAt -h ::1 -c 'select 3'").prints("3\n");
    drop(door);
    let port = taken.local_addr().unwrap().port();
    let line = |address: String| home.run(&*format!("database proxy my-instance --port {} --listen {address} --password-file door.pgpass", postgres.port));
    line(format!("127.0.0.1:{port}")).fails().says(&format!("cannot listen on 127.0.0.1:{port}")).says("--listen 127.0.0.1:6432");
    drop(taken);
    // By its name, and on the other address alone.
    for (address, host) in [("localhost:0", "127.0.0.1"), ("[::1]:0", "::1")] {
        let serving = home.command(&*format!("database proxy my-instance --port {} --listen {address} --password-file {host}.pgpass", postgres.port)).serve();
        let said = serving.wait_for(" leads to ");
        home.store(home.work().join(format!("{host}.pgpass")));
        let port = said.lines().find_map(|line| line.split_once(" leads to ")).unwrap().0.rsplit(':').next().unwrap().to_owned();
        home.script(&format!("PGPASSFILE={host}.pgpass psql -XAt -h {host} -p {port} -U me -d databricks_postgres -c 'select 4'")).run().prints("4\n");
    }
    keep_secret(&home, &workspace);
}

#[test]
fn a_server_may_renew_its_certificate() {
    let (home, workspace, postgres) = setting();
    let door = Door::open(&home, postgres.port, "");
    door.script("psql -XAt -c 'select 1'").prints("1\n");
    postgres.renew_certificate();
    door.script("psql -XAt -c 'select 2'").prints("2\n");
    home.script(&format!("databricks psql my-instance -- -X -p {} -Atc 'select 3'", postgres.port)).run().prints("3\n");
    keep_secret(&home, &workspace);
}

#[test]
fn a_socket_whose_path_is_too_long_is_told() {
    let (home, workspace, postgres) = setting();
    let long = "x".repeat(100);
    home.run(&*format!("database proxy my-instance --port {} --socket {long}", postgres.port)).fails().says("letters at most: take another folder");
    let runtime = home.work().join(&long);
    set_mode(&runtime, 0o700);
    home.command("session start -- true").env("XDG_RUNTIME_DIR", &runtime).run().fails().says("shorter than");
    assert_eq!(std::fs::read_dir(runtime.join("databricks")).unwrap().count(), 0, "nothing is left");
    keep_secret(&home, &workspace);
}
