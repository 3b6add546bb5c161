//! `auth serve --unit`: what a supervisor is given, judged by its own tools and by doing as it would.

use super::Job;
use crate::peers::oracle::python;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

const WORDS: &str = "auth serve p --write-profile live";

/// systemd's own reader finds nothing wrong with the unit.
#[test]
fn systemd_takes_the_unit() {
    let job = Job::new();
    let unit = job.home.work().join("databricks-tokens.service");
    std::fs::write(&unit, job.home.run(format!("{WORDS} --unit systemd").as_str()).ok().stdout.clone()).unwrap();
    let script = format!(
        "systemd-analyze verify --user --man=no '{}' 2>&1 | grep -i databricks-tokens; sed 's/^Restart=.*/Restart=never-heard-of/' databricks-tokens.service > broken.service; systemd-analyze verify --user --man=no ./broken.service 2>&1 | grep -c never-heard-of",
        unit.display()
    );
    job.home.script(&script).env("XDG_RUNTIME_DIR", job.home.work()).run().ok().prints("1\n");
}

/// launchd's is not here; its format is, in Python.
#[test]
fn launchd_gets_a_property_list() {
    let job = Job::new();
    let list = job.home.work().join("list");
    std::fs::write(&list, job.home.run(format!("{WORDS} --unit launchd").as_str()).ok().stdout.clone()).unwrap();
    let read = "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    let read = job.home.script(&format!("'{}' -c \"{read}\" '{}'", python().display(), list.display())).run();
    let read = read.ok().json();
    assert_eq!(read["Label"], "databricks-tokens");
    assert_eq!((&read["RunAtLoad"], &read["KeepAlive"]["SuccessfulExit"], &read["Umask"]), (&true.into(), &false.into(), &63.into()));
    let words: Vec<&str> = read["ProgramArguments"].as_array().unwrap().iter().skip(1).map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words.join(" "), WORDS);
}

/// What systemd does with `Type=notify`: it starts the line, waits to hear that it is ready, ends it with SIGTERM, and finds it ended well.
#[test]
fn what_the_unit_starts_says_when_it_is_ready_and_ends_well() {
    let job = Job::new();
    let unit = job.home.run(format!("{WORDS} --unit systemd").as_str()).ok().stdout.clone();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap().to_owned();
    let socket = UnixDatagram::bind(job.home.work().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut child = job.home.script(&format!("exec {line}")).env("NOTIFY_SOCKET", job.home.work().join("notify")).spawn();
    let mut said = [0; 64];
    let count = socket.recv(&mut said).unwrap();
    assert_eq!(&said[..count], b"READY=1");
    // From now on clients can come.
    job.home.run("current-user me -p live -o json").ok().shows("userName");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!job.home.config().contains("[live]"), "{}", job.home.config());
}
