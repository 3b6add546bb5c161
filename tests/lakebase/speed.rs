//! What the door costs against a direct connection. Not part of the usual tests:
//!
//! ```text
//! cargo build --profile quick --bin databricks && cargo test --test main lakebase::speed -- --ignored --nocapture
//! ```

use super::logins::setting;
use super::postgres::{free_port, wait_for_port};
use std::path::Path;
use std::process::Stdio;

/// The number behind these words of what pgbench printed.
fn figure(output: &str, words: &str) -> f64 {
    let rest = output.split(words).nth(1).unwrap_or_else(|| panic!("no {words} in {output}"));
    rest.trim().split([' ', '\n']).next().unwrap().parse().unwrap()
}

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    figure(&status, "VmRSS:")
}

#[test]
#[ignore = "it measures, and wants an optimised program"]
fn the_door_against_a_direct_connection() {
    let (home, workspace, postgres) = setting();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/quick/databricks");
    let port = free_port();
    let mut proxy = std::process::Command::new(&program)
        .args([
            "database",
            "proxy",
            "my-instance",
            "--port",
            &postgres.port.to_string(),
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--password-file",
            "door.pgpass",
        ])
        .current_dir(home.work())
        .env_clear()
        .env("HOME", home.path())
        .env("SSL_CERT_FILE", postgres.ca_file())
        .env("DATABRICKS_AUTH_STORAGE", "plaintext")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_port(port);
    std::thread::sleep(std::time::Duration::from_millis(200));
    let idle = resident(proxy.id());
    let token = &workspace.database_tokens()[0];
    let direct =
        format!("PGPASSWORD={token} PGSSLMODE=verify-full PGSSLROOTCERT=$SSL_CERT_FILE PGHOST=localhost PGPORT={} PGUSER=ann@example.com", postgres.port);
    let door = format!("PGPASSFILE=$PWD/door.pgpass PGHOST=127.0.0.1 PGPORT={port} PGUSER=x");
    let bench = |way: &str, options: &str| {
        home.script(&format!("export {way}; echo 'select 1;' > one.sql; pgbench -n {options} databricks_postgres")).reveals().run().ok().stdout.clone()
    };
    bench(&direct, "-i -q -s 1");
    println!("idle memory {idle} KiB");
    for (name, options, words) in [
        ("32 connections, transactions/s", "-S -c 32 -j 2 -T 6", "tps ="),
        ("1 connection, latency ms", "-S -c 1 -T 4", "latency average ="),
        ("new connections, ms each", "-C -c 4 -j 1 -T 5 -f one.sql", "average connection time ="),
        ("new connections/s", "-C -c 4 -j 1 -T 5 -f one.sql", "tps ="),
    ] {
        // In turns, so that what else the machine does meets both.
        let (one, two) = (figure(&bench(&direct, options), words), figure(&bench(&door, options), words));
        let (three, four) = (figure(&bench(&direct, options), words), figure(&bench(&door, options), words));
        println!("{name}: direct {one} {three}, through the door {two} {four}, ratio {:.3}", (two + four) / (one + three));
    }
    let held = format!(
        "export {door}; for i in $(seq 100); do (echo 'select 1;'; sleep 3) | psql -XAtq > /dev/null & done; sleep 2; grep VmRSS /proc/{}/status; wait",
        proxy.id()
    );
    let with = figure(&home.script(&held).run().stdout, "VmRSS:");
    println!("100 connections: {:.1} KiB each", (with - idle) / 100.0);
    proxy.kill().unwrap();
    proxy.wait().unwrap();
}
