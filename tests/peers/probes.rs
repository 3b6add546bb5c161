//! What SDKs ask of a program called `databricks` before they trust it with a sign-in: size, version, and then a token.

#![allow(clippy::disallowed_methods, reason = "the stand-in on PATH is written here")]

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::binary::{BINARY, Home};
use super::oracle::Oracle;
use crate::workspace::Workspace;

/// SDKs take a smaller file for the legacy CLI, which was a script.
const SMALLEST: u64 = 1 << 20;

/// Both SDKs ask our own program for its version, and then for a token with every feature. The token itself comes from a stand-in,
/// as this version has no `auth token`.
#[test]
fn both_sdks_understand_our_version() {
    assert!(std::fs::metadata(BINARY).expect("the program").len() > SMALLEST);
    let workspace = Workspace::start();
    let (mut go, mut python) = (Oracle::go(), Oracle::python());
    for (oracle, version) in [(&mut go, "version"), (&mut python, "version --output json")] {
        let home = Home::new();
        home.write(&format!("[p]\nhost = {}\nauth_type = databricks-cli\n", workspace.url()));
        let (program, log) = (home.path().join("databricks"), home.path().join("log"));
        let token = r#"{"access_token": "from-the-cli", "token_type": "Bearer", "expiry": "2099-01-01T00:00:00Z"}"#;
        let padding = "#".repeat(usize::try_from(SMALLEST).expect("fits"));
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> '{log}'\ncase $1 in\nversion) exec '{BINARY}' \"$@\" ;;\n*) echo '{token}' ;;\nesac\nexit\n{padding}\n",
            log = log.display()
        );
        std::fs::write(&program, script).expect("a home that can be written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("own file");

        let answer = oracle.ask(&json!({"op": "resolve", "env": {"HOME": home.path(), "PATH": home.path(), "DATABRICKS_CONFIG_PROFILE": "p"}}));
        assert_eq!(answer["authorization"], "Bearer from-the-cli", "{answer}");
        assert_eq!(answer["method"], "databricks-cli", "{answer}");
        let asked = std::fs::read_to_string(&log).expect("the stand-in was asked");
        let asked: Vec<&str> = asked.lines().collect();
        assert_eq!(asked.first(), Some(&version));
        // --profile from version 0.207.1 on, --force-refresh from 0.296.0 on: only if the version was understood.
        assert!(asked.iter().skip(1).all(|line| line.starts_with("auth token --profile p --force-refresh")), "{asked:?}");
        assert!(asked.len() > 1, "{asked:?}");
    }
}
