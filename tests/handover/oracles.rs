//! What curl and Python make of the same files.

use super::program;
use crate::harness::Home;
use crate::peers::oracle;
use crate::workspace::Workspace;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Login and password.
pub(super) type Pair = (String, String);

/// Reads files by Python's `netrc`: JSON of paths in; for each, the hosts with login and password, or what it refused.
const READ_NETRC: &str = "\
import json, netrc, sys
def read(path):
    try:
        return {host: [login, password] for host, (login, _, password) in netrc.netrc(path).hosts.items()}
    except Exception as error:
        return type(error).__name__
print(json.dumps([read(path) for path in json.load(sys.stdin)]))";

/// For each file what Python finds by host; `None` where it refuses the file.
pub(super) fn python<'p>(home: &Home, files: impl IntoIterator<Item = &'p Path>) -> Vec<Option<HashMap<String, Pair>>> {
    let files: Vec<&Path> = files.into_iter().collect();
    let mut child = Command::new(oracle::python())
        .env_clear()
        .env("HOME", home.path())
        .args(["-c", READ_NETRC])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), &files).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let read: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    read.into_iter().map(|hosts| serde_json::from_value(hosts).ok()).collect()
}

/// For each file and host what curl sends; `None` where it sends nothing.
pub(super) fn curl<'p>(home: &Home, files: impl IntoIterator<Item = &'p Path>, hosts: &[&str]) -> Vec<HashMap<String, Pair>> {
    let files: Vec<&Path> = files.into_iter().collect();
    let workspace = Workspace::start();
    let port = workspace.url().rsplit(':').next().unwrap().to_owned();
    let (mut script, count) = (String::new(), files.len());
    for (number, file) in files.iter().enumerate() {
        for host in hosts {
            script += &format!(
                "{}silent\nnetrc-file = \"{}\"\nconnect-to = \"::127.0.0.1:{port}\"\noutput = /dev/null\nurl = \"http://{host}/{number}/{host}\"\n",
                if script.is_empty() { "" } else { "next\n" },
                file.display()
            );
        }
    }
    let path = home.work().join("curl.config");
    std::fs::write(&path, script).unwrap();
    let status = program(home, "curl").arg("-q").arg("--config").arg(&path).stderr(Stdio::null()).status().unwrap();
    let mut sent = vec![HashMap::new(); count];
    let mut asked = vec![0; count];
    for request in workspace.requests() {
        let mut parts = request.path.trim_start_matches('/').splitn(2, '/');
        let (number, host) = (parts.next().unwrap().parse::<usize>().unwrap(), parts.next().unwrap());
        asked[number] += 1;
        if let Some(pair) = request.header("Authorization").and_then(|value| value.strip_prefix("Basic ")) {
            let pair = String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap();
            let (login, password) = pair.split_once(':').unwrap();
            sent[number].insert(host.to_owned(), (login.to_owned(), password.to_owned()));
        }
    }
    if let Some(silent) = asked.iter().position(|asked| *asked != hosts.len()) {
        panic!("curl ({status}) would not work with\n{}", std::fs::read_to_string(files[silent]).unwrap());
    }
    sent
}

/// What Python's requests sends to an address when the program gives it this `Authorization`.
pub(super) fn requests(home: &Home, workspace: &Workspace, authorization: &str) -> String {
    let script = "import requests, sys\nrequests.get(sys.argv[1], headers={'Authorization': sys.argv[2]})";
    let url = format!("{}/api/2.0/token/list", workspace.url());
    let output = Command::new(oracle::python()).env_clear().env("HOME", home.path()).args(["-c", script, &url, authorization]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    workspace.requests().last().unwrap().header("Authorization").unwrap().to_owned()
}
