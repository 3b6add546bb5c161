//! `database proxy`: programs that know only host, port and password stay logged in to a real server, whatever ends, restarts or hangs behind the door.

use super::logins::{keep_secret, setting};
use super::postgres::{NATIVE_PASSWORD, Postgres, free_port, wait_for_port};
use crate::harness::Home;
use crate::workspace::{Fault, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

/// A door that is open; dropping it closes it.
struct Proxy {
    child: Child,
    port: u16,
}

impl Proxy {
    /// In front of `my-instance`; its password is in `door.pgpass` of the working folder.
    fn open(home: &Home, postgres: u16, more: &str) -> Proxy {
        let port = free_port();
        let line = format!("database proxy my-instance --port {postgres} --listen 127.0.0.1:{port} --password-file door.pgpass {more}");
        let child = home.command(&*line).env("PGPASSWORD", NATIVE_PASSWORD).spawn();
        let kept = home.work().join("door.pgpass");
        let started = Instant::now();
        while !std::fs::read_to_string(&kept).is_ok_and(|kept| kept.contains(&format!(":{port}:"))) {
            assert!(started.elapsed() < Duration::from_secs(30), "the door did not open");
            std::thread::sleep(Duration::from_millis(10));
        }
        wait_for_port(port);
        home.store(kept);
        Proxy { child, port }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// A script in which libpq finds the door.
    fn script(&self, home: &Home, script: &str) -> crate::harness::Outcome {
        home.script(&format!("export PGPASSFILE=$PWD/door.pgpass PGHOST=127.0.0.1 PGPORT={} PGUSER=whoever\n{script}", self.port)).run()
    }

    /// The first bytes of a conversation, and what is answered until the end.
    fn say(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // It may have heard enough already.
        drop(stream.write_all(bytes));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        answer
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn everything_passes_through() {
    let (home, workspace, postgres) = setting();
    let proxy = Proxy::open(&home, postgres.port, "");
    let sql = |sql: &str| proxy.script(&home, &format!("psql -XAt -c \"{sql}\""));
    sql("select current_user, current_database(), (select ssl from pg_stat_ssl where pid = pg_backend_pid())")
        .prints("ann@example.com|databricks_postgres|t\n");
    proxy.script(&home, "psql -XAt -d postgres -c 'select current_database()'").prints("postgres\n");
    // A large result, and COPY in both directions.
    let copied = "psql -XAtq -c 'create table t (n int)'; seq 200000 | psql -XAtq -c 'copy t from stdin'; psql -XAtq -c 'copy t to stdout' | md5sum; seq 200000 | md5sum; psql -XAtq -c 'drop table t'";
    let outcome = proxy.script(&home, copied);
    let sums: Vec<&str> = outcome.stdout.lines().collect();
    assert!(sums.len() == 2 && sums[0] == sums[1], "{outcome}");
    // A statement is cancelled from a second connection, as Ctrl-C in psql does.
    let cancelled = "psql -X -c 'select pg_sleep(60)' & pid=$!; until psql -XAt -c \"select 1 from pg_stat_activity where query like 'select pg_sleep%'\" | grep -q 1; do :; done; kill -INT $pid; wait $pid";
    proxy.script(&home, cancelled).within(Duration::from_secs(20)).says("canceling statement due to user request");
    // Wrong passwords and databases are told as Postgres tells them.
    proxy.script(&home, "PGPASSWORD=wrong psql -X -c 'select 1'").says("this is not the password of the proxy");
    proxy.script(&home, "psql -X -d nope -c 'select 1'").says("database \"nope\" does not exist");
    proxy.script(&home, "pgbench -i -q 2>/dev/null; pgbench -n -S -c 8 -M extended -T 1 | grep failed").shows("failed transactions: 0");
    assert_eq!(workspace.database_tokens().len(), 1);
    keep_secret(&home, &workspace);
}

#[test]
fn logins_go_on_while_passwords_end_and_the_server_restarts() {
    let (home, workspace, mut postgres) = setting();
    workspace.database_lifetime(4);
    let proxy = Proxy::open(&home, postgres.port, "");
    proxy.script(&home, "echo 'select 1;' > one.sql; pgbench -n -C -c 3 -T 7 -f one.sql").ok().shows("number of failed transactions: 0");
    let tokens = workspace.database_tokens().len();
    assert!((3..=10).contains(&tokens), "{tokens} passwords in 7 seconds");
    // What is connected stays connected when its password has ended.
    proxy.script(&home, "(echo 'select 1;'; sleep 5; echo 'select 2;') | psql -XAt").prints("1\n2\n");
    postgres.stop();
    proxy.script(&home, "psql -X -c 'select 1'").says("cannot be reached");
    postgres.restart();
    proxy.script(&home, "psql -XAt -c 'select 4'").prints("4\n");
    keep_secret(&home, &workspace);
}

#[test]
fn a_pool_runs_through_the_door_without_an_error() {
    let (home, workspace, postgres) = setting();
    let python = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-psycopg/bin/python");
    workspace.database_lifetime(3);
    let proxy = Proxy::open(&home, postgres.port, "");
    let pool = "
import time
from psycopg_pool import ConnectionPool
done = 0
with ConnectionPool('dbname=databricks_postgres', min_size=1, max_size=4, max_lifetime=0.5) as pool:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        with pool.connection() as connection:
            assert connection.execute('select current_user').fetchone() == ('ann@example.com',)
            done += 1
print('done' if done > 100 else done, pool.get_stats().get('connections_errors', 0))
";
    std::fs::write(home.work().join("pool.py"), pool).unwrap();
    proxy.script(&home, &format!("{} pool.py", python.display())).prints("done 0\n");
    keep_secret(&home, &workspace);
}

#[test]
fn a_workspace_that_is_down_is_told_and_a_good_password_stays_good() {
    let (home, workspace, postgres) = setting();
    workspace.database_lifetime(6);
    let proxy = Proxy::open(&home, postgres.port, "");
    workspace.order(Fault::on("POST", "/api/2.0/database/credentials").reply(Response::error(500, "INTERNAL_ERROR", "the workspace is unwell")).forever());
    let started = Instant::now();
    std::thread::sleep(Duration::from_secs(4));
    proxy.script(&home, "psql -XAt -c 'select 1'").prints("1\n");
    std::thread::sleep(Duration::from_secs(7).saturating_sub(started.elapsed()));
    // Each of many gets the same answer, and the workspace few requests.
    workspace.clear_requests();
    let many = "for i in $(seq 30); do psql -X -v VERBOSITY=verbose -c 'select 1' 2>&1 & done; wait";
    let outcome = proxy.script(&home, many);
    assert_eq!(outcome.stdout.matches("no password for the database could be had: the workspace is unwell").count(), 30, "{outcome}");
    workspace.clear_faults();
    let started = Instant::now();
    while !proxy.script(&home, "psql -XAt -c 'select 2'").stdout.contains('2') {
        assert!(started.elapsed() < Duration::from_secs(10), "it did not recover");
    }
    keep_secret(&home, &workspace);
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let (home, workspace, postgres) = setting();
    let proxy = Proxy::open(&home, postgres.port, "");
    let startup = |version: u32, body: &[u8]| [&u32::try_from(body.len() + 8).unwrap().to_be_bytes()[..], &version.to_be_bytes(), body].concat();
    for bytes in [&b""[..], b"\0", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 9000], &[0, 0, 0, 8, 4, 210], &[0x16, 3, 1, 0, 200, 1, 0, 0]] {
        assert_eq!(proxy.say(bytes), b"", "{bytes:?}");
    }
    assert_eq!(proxy.say(&[0, 0, 0, 8, 4, 210, 22, 47]), b"N");
    assert_eq!(proxy.say(&[0, 0, 0, 8, 4, 210, 22, 48]), b"N");
    let shown = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    assert!(shown(proxy.say(&startup(2 << 16, b"user"))).contains("08P01"));
    assert!(shown(proxy.say(&startup(3 << 16, b"user\0ann"))).contains("invalid startup packet layout"));
    assert!(shown(proxy.say(&startup(3 << 16, b"database\0x\0\0"))).contains("no PostgreSQL user name"));
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
        let said = proxy.say(&[&login, more].concat());
        assert_eq!(said.get(..9), Some(&asked[..]), "{more:?}");
        assert!(shown(said[9..].to_vec()).contains(answer) && (answer.is_empty() == said[9..].is_empty()), "{more:?} {said:?}");
    }
    proxy.script(&home, "psql -XAt -c 'select 9'").prints("9\n");
    keep_secret(&home, &workspace);
}

#[test]
fn the_first_signal_waits_for_who_is_there() {
    let (home, workspace, postgres) = setting();
    let mut proxy = Proxy::open(&home, postgres.port, "");
    let pid = proxy.pid().as_raw_nonzero();
    let script = format!(
        "psql -XAt -c \"select 'done' from pg_sleep(1.5)\" & until psql -XAt -c \"select 1 from pg_stat_activity where query like '%pg_sleep(1.5)%' and pid <> pg_backend_pid()\" | grep -q 1; do :; done; kill -TERM {pid}; until ! psql -X -c 'select 1' 2>/dev/null; do :; done; wait"
    );
    proxy.script(&home, &script).ok().shows("done");
    assert!(proxy.child.wait().unwrap().success());
    keep_secret(&home, &workspace);
}

#[test]
fn sockets_need_no_password_and_folders_of_their_own() {
    let (home, workspace, postgres) = setting();
    let folder = home.work().join("door");
    let mut child = home.command(&*format!("database proxy my-instance --port {} --socket door", postgres.port)).spawn();
    let started = Instant::now();
    while !folder.join(".s.PGSQL.5432").exists() {
        assert!(started.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(10));
    }
    home.script("psql -XAt -h $PWD/door -c 'select current_user'").run().prints("ann@example.com\n");
    home.run(&*format!("database proxy my-instance --port {} --socket door", postgres.port)).fails().says("Another proxy listens there");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!folder.join(".s.PGSQL.5432").exists());
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
    let proxy = Proxy::open(&home, postgres.port, "--user native --native");
    proxy.script(&home, "psql -XAt -c 'select current_user'").prints("native\n");
}

/// A server that reads so many bytes, answers with these, and then hangs.
fn hanging(read: usize, answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            if stream.read_exact(&mut vec![0; read]).is_ok() {
                drop(stream.write_all(answer));
            }
            held.push(stream);
        }
    });
    port
}

#[test]
fn servers_that_hang_or_have_no_tls_get_nothing() {
    let (home, workspace) = Home::signed_in();
    workspace.change_instance("my-instance", &json!({"read_write_dns": "localhost"}));
    let cases = [
        (hanging(8, b"N"), "offers no TLS; nothing was sent to it"),
        (hanging(8, b"HTTP"), "is no Postgres server"),
        (hanging(8, b""), "did not answer the request for TLS within 10 seconds"),
        (hanging(8, b"S"), "did not finish the TLS handshake within 10 seconds"),
    ];
    let proxies: Vec<Proxy> = cases.iter().enumerate().map(|(number, (port, _))| Proxy::open(&home, *port, &format!("--user u{number}"))).collect();
    // All at the same time.
    let ports: Vec<String> = proxies.iter().map(|proxy| proxy.port.to_string()).collect();
    let script = format!("for port in {}; do PGPORT=$port psql -X -c 'select 1' 2>&1 & done; wait", ports.join(" "));
    let outcome = proxies[0].script(&home, &script);
    for (_, said) in cases {
        outcome.shows(said);
    }
    keep_secret(&home, &workspace);
}

#[test]
fn a_server_with_another_certificate_gets_nothing() {
    let (home, workspace, postgres) = setting();
    let other = Postgres::start(&workspace);
    home.set("SSL_CERT_FILE", other.ca_file());
    let proxy = Proxy::open(&home, postgres.port, "");
    proxy.script(&home, "psql -X -c 'select 1'").says("was not trusted, and nothing was sent to it");
    assert!(!postgres.log().contains("ann@example.com"), "{}", postgres.log());
    keep_secret(&home, &workspace);
}

#[test]
fn the_password_is_said_once_and_kept_where_somebody_wants_it() {
    let (home, workspace, postgres) = setting();
    let proxy = Proxy::open(&home, postgres.port, "");
    let kept = std::fs::read_to_string(home.work().join("door.pgpass")).unwrap();
    assert_eq!(kept.lines().count(), 2, "one for the address, one for localhost");
    let port = proxy.port;
    drop(proxy);
    // The next start on that port has the same one.
    let child = home.command(&*format!("database proxy my-instance --port {} --listen 127.0.0.1:{port} --password-file door.pgpass", postgres.port)).spawn();
    wait_for_port(port);
    let proxy = Proxy { child, port };
    assert_eq!(std::fs::read_to_string(home.work().join("door.pgpass")).unwrap(), kept);
    proxy.script(&home, "psql -XAt -h localhost -c 'select 1'").prints("1\n");
    // Without a file it is said on standard error.
    let shown = "databricks database proxy my-instance --port PORT --listen 127.0.0.1:0 2> said & pid=$!; until grep -q leads said; do :; done; \
                 sed -n 's/^Password: //p' said > secret; PGPASSWORD=$(cat secret) psql -XAt -h 127.0.0.1 -p $(sed -n 's/^127.0.0.1:\\([0-9]*\\) leads.*/\\1/p' said) -c 'select 6'; kill $pid; wait $pid; rm said secret";
    home.script(&shown.replace("PORT", &postgres.port.to_string())).run().ok().shows("6\n");
    keep_secret(&home, &workspace);
}

#[test]
fn five_hundred_clients_make_one_request() {
    let (home, workspace, postgres) = setting();
    workspace.database_lifetime(2);
    let proxy = Proxy::open(&home, postgres.port, "");
    std::thread::sleep(Duration::from_millis(2_100));
    workspace.database_lifetime(3_600);
    let before = workspace.database_tokens().len();
    let kept = std::fs::read_to_string(home.work().join("door.pgpass")).unwrap();
    let password = kept.lines().next().unwrap().rsplit(':').next().unwrap().to_owned();
    let body = b"user\0x\0\0";
    let startup = [&u32::try_from(body.len() + 8).unwrap().to_be_bytes()[..], &(3_u32 << 16).to_be_bytes(), body].concat();
    let answer = [&b"p"[..], &u32::try_from(password.len() + 5).unwrap().to_be_bytes(), password.as_bytes(), b"\0"].concat();
    let mut clients: Vec<TcpStream> = (0..500).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).unwrap()).collect();
    for client in &mut clients {
        client.write_all(&[&startup[..], &answer].concat()).unwrap();
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
    let proxy = Proxy::open(&home, postgres.port, "--user nobody@example.com");
    proxy.script(&home, "psql -X -c 'select 1'").says("FATAL");
    keep_secret(&home, &workspace);
}
