//! A5: many processes that change one file at the same time.

use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::bench::{Bench, finish, has, wait};

const WRITERS: usize = 200;

fn start(bench: &Bench, arguments: &[&str], token: &str) -> Child {
    let mut child = bench.command(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    child
}

/// All end within one limit, and well: a deadlock would meet it.
fn all_succeed(children: Vec<Child>) {
    let until = Instant::now() + Duration::from_secs(120);
    for mut child in children {
        let status = wait(&mut child, until.saturating_duration_since(Instant::now())).expect("a writer hangs");
        let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
        assert!(status.success(), "{status}: {said}");
    }
}

#[test]
fn a5_two_hundred_at_once_lose_no_profile() {
    let bench = Bench::new();
    let children = (0..WRITERS).map(|n| {
        let (host, profile) = (format!("https://h{n}.example"), format!("p{n}"));
        start(&bench, &["configure", "--host", &host, "--profile", &profile], &format!("dapi{n}\n"))
    });
    all_succeed(children.collect());

    let listed = bench.run(&["auth", "profiles", "--skip-validate", "-o", "json"]).succeeded();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let mut hosts: Vec<_> = listed["profiles"].as_array().unwrap().iter().map(|profile| (profile["name"].as_str().unwrap(), &profile["host"])).collect();
    hosts.sort_unstable_by_key(|(name, _)| *name);
    hosts.dedup_by_key(|(name, _)| *name);
    assert_eq!(hosts.len(), WRITERS);
    for (name, host) in hosts {
        assert_eq!(*host, format!("https://h{}.example", &name[1..]), "{name}");
    }
    assert_eq!(bench.files().len(), 1, "{:?}", bench.files().iter().map(|(path, _)| path).collect::<Vec<_>>());

    if !has("python3", &["-c", "import configparser"]) {
        return;
    }
    let script = "import configparser, sys\nc = configparser.ConfigParser()\nc.read(sys.argv[1])\n\
                  for n in range(200):\n    assert c['p%d' % n]['token'] == 'dapi%d' % n and c['p%d' % n]['host'] == 'https://h%d.example' % n, n";
    finish(bench.program("python3").args(["-c", script]).arg(bench.config()), None).succeeded();
}

#[test]
fn a5_two_hundred_changes_of_one_profile_leave_one_whole_profile() {
    let bench = Bench::new();
    let children = (0..WRITERS).map(|n| match n % 4 {
        0 => start(&bench, &["configure", "--host", "https://other.example", "--profile", "other"], "dapi-other\n"),
        _ => start(&bench, &["configure", "--host", &format!("https://h{n}.example"), "--profile", "one"], &format!("dapi{n}\n")),
    });
    all_succeed(children.collect());
    let text = String::from_utf8(bench.read_config().unwrap()).unwrap();
    assert_eq!((text.matches("[one]").count(), text.matches("[other]").count()), (1, 1), "{text}");
    let shown = bench.run(&["auth", "env", "--profile", "one"]).succeeded();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let (host, token) = (shown["env"]["DATABRICKS_HOST"].as_str().unwrap(), shown["env"]["DATABRICKS_TOKEN"].as_str().unwrap());
    assert_eq!(host.trim_start_matches("https://h").trim_end_matches(".example"), token.trim_start_matches("dapi"), "host and token of different writers");
}
