//! The official SDKs as long-running programs that ask who they are: Python, Go, JavaScript and Java behind one interface.
//!
//! They take host and credential from a profile of a [`Home`], and find our program on PATH.

#![allow(dead_code, reason = "not every test needs every part")]

use std::path::PathBuf;

use serde::Deserialize;

use super::oauth::{node, packages};
use super::oracle::{installed, python, root};
use crate::harness::{Home, Outcome, Run};

/// An official SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sdk {
    Python,
    Go,
    JavaScript,
    Java,
}

/// How the calls of a program went.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Seen {
    /// Calls that were answered.
    pub(crate) ok: usize,
    /// Calls that the SDK saw refused with 401.
    pub(crate) unauthorized: usize,
    /// What the SDK said of every call that failed, or of the sign-in itself.
    pub(crate) errors: Vec<String>,
    /// Who it was told to be.
    pub(crate) users: Vec<String>,
}

impl Seen {
    #[track_caller]
    pub(crate) fn of(outcome: &Outcome) -> Self {
        serde_json::from_str(outcome.ok().stdout.trim_end()).unwrap_or_else(|error| panic!("{error}\n{outcome}"))
    }
}

impl Sdk {
    pub(crate) const ALL: [Sdk; 4] = [Sdk::Python, Sdk::Go, Sdk::JavaScript, Sdk::Java];

    /// A program that makes so many calls as a profile, with a pause between them, as a line for a shell.
    pub(crate) fn line(self, profile: &str, calls: usize, pause_ms: u32) -> String {
        let file = |name: &str| root().join("tests/peers/sdks").join(name);
        let words: Vec<PathBuf> = match self {
            Sdk::Python => vec!["env".into(), "PYTHONDONTWRITEBYTECODE=1".into(), python(), file("me.py")],
            Sdk::Go => vec![installed("TEST_GO_ME", "target/test-go/me")],
            Sdk::JavaScript => vec!["env".into(), format!("TEST_NODE={}", packages().display()).into(), node(), file("me.mjs")],
            Sdk::Java => {
                let java = installed("TEST_JAVA", "target/test-java/java");
                let folder = java.parent().expect("a folder").to_owned();
                let classes = format!("{0}/lib/*:{0}/classes", folder.display());
                vec![java, "-XX:TieredStopAtLevel=1".into(), "-XX:+UseSerialGC".into(), "-cp".into(), classes.into(), "Me".into()]
            }
        };
        let mut line: Vec<String> = words.iter().map(|word| quoted(word.to_str().expect("UTF-8"))).collect();
        line.extend([quoted(profile), calls.to_string(), pause_ms.to_string()]);
        line.join(" ")
    }

    /// The same as a run in a home; [`Seen::of`] reads what comes of it.
    pub(crate) fn program<'h>(self, home: &'h Home, profile: &str, calls: usize, pause_ms: u32) -> Run<'h> {
        home.script(&format!("exec {}", self.line(profile, calls, pause_ms)))
    }

    /// Runs it.
    #[track_caller]
    pub(crate) fn run(self, home: &Home, profile: &str, calls: usize, pause_ms: u32) -> Seen {
        Seen::of(&self.program(home, profile, calls, pause_ms).run())
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

mod tests {
    use super::*;
    use crate::harness::made_up_token;
    use crate::peers::oauth::AuthorizationServer;
    use crate::workspace::Workspace;
    use serde_json::json;

    /// Each SDK works with a profile of a token, and tells a refusal from a success.
    fn works(sdk: Sdk) {
        let (home, workspace, server) = (Home::new(), Workspace::start(), AuthorizationServer::start());
        let workspace = home.joins(workspace);
        let pat = |name: &str, host: &str, token: &str| format!("[{name}]\nhost = {host}\ntoken = {token}\nauth_type = pat\n");
        let foreign = made_up_token();
        home.write_config(pat("DEFAULT", workspace.url(), workspace.token()) + &pat("it's wrong", server.url(), &foreign));

        let seen = sdk.run(&home, "DEFAULT", 3, 1);
        assert_eq!((seen.ok, seen.unauthorized), (3, 0), "{sdk:?}: {seen:?}");
        assert_eq!(seen.users, [workspace.basic_user()], "{sdk:?}");
        assert_eq!(seen.errors, Vec::<String>::new(), "{sdk:?}");
        assert_eq!(workspace.requests().iter().filter(|request| request.path.ends_with("/Me")).count(), 3, "{sdk:?}");

        // 401, as a workspace answers to what is no longer good.
        let seen = sdk.run(&home, "it's wrong", 2, 1);
        assert_eq!((seen.ok, seen.unauthorized, seen.errors.len()), (0, 2, 2), "{sdk:?}: {seen:?}");
        assert_eq!(server.count(&json!({"event": "api", "status": 401})), 2, "{sdk:?}");

        let seen = sdk.run(&home, "no such profile", 2, 1);
        assert_eq!((seen.ok, seen.unauthorized), (0, 0), "{sdk:?}: {seen:?}");
        assert!(!seen.errors.is_empty(), "{sdk:?}");
    }

    #[test]
    fn python_works() {
        works(Sdk::Python);
    }

    #[test]
    fn go_works() {
        works(Sdk::Go);
    }

    #[test]
    fn javascript_works() {
        works(Sdk::JavaScript);
    }

    #[test]
    fn java_works() {
        works(Sdk::Java);
    }
}
