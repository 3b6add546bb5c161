//! The official SDKs as oracles: a long-lived process each, asked in lines of JSON.
//!
//! Used by the integration tests and by the property tests in `src/config`.

#![allow(dead_code, reason = "shared by the tests beside the code and the peers, and neither uses all of it")]
#![allow(clippy::expect_used, clippy::panic, reason = "test support: a broken assumption must end the test at once")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// What a reader makes of a profile file: the values by section and key.
pub(crate) type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// A running SDK.
#[derive(Debug)]
pub(crate) struct Oracle {
    name: &'static str,
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    /// The Python SDK, and with it Python's `configparser`.
    pub(crate) fn python() -> Self {
        let script = root().join("tests/peers/oracle.py");
        Self::start("the Python SDK", &python(), &[script.as_path()])
    }

    /// The Go SDK, and with it its INI reader.
    pub(crate) fn go() -> Self {
        Self::start("the Go SDK", &installed("TEST_GO_ORACLE", "target/test-go/oracle"), &[])
    }

    #[expect(clippy::disallowed_methods, reason = "programs that are not ours are started here")]
    fn start(name: &'static str, program: &Path, arguments: &[&Path]) -> Self {
        // An empty PATH: no oracle may find another program, such as an installed `az` or `databricks`.
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PYTHONUTF8", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the oracle starts");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let questions = child.stdin.take();
        Self { name, child, questions, answers }
    }

    pub(crate) fn ask(&mut self, question: &Value) -> Value {
        let questions = self.questions.as_mut().expect("open until dropped");
        writeln!(questions, "{question}").expect("the oracle listens");
        questions.flush().expect("the oracle listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the oracle answers in UTF-8");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{} died on {question}", self.name))
    }

    /// Reads a profile file; the error is what the SDK says of a file that it refuses.
    pub(crate) fn read(&mut self, text: &str) -> Result<Sections, String> {
        self.read_both(text).map(|(sections, _)| sections)
    }

    /// As [`Oracle::read`], and from Python also what programs see through `configparser`'s public interface.
    pub(crate) fn read_both(&mut self, text: &str) -> Result<(Sections, Value), String> {
        let mut answer = self.ask(&json!({"op": "read", "text": text}));
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok((serde_json::from_value(answer["sections"].take()).expect("texts by section and key"), answer["resolved"].take())),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        drop(self.questions.take());
        let _ = self.child.wait();
    }
}

/// The Python that has the SDK.
pub(crate) fn python() -> PathBuf {
    installed("TEST_PYTHON", "target/test-python/bin/python")
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What `tests/install` put there. Its absence fails the test: a test that skips itself is trusted and proves nothing.
#[expect(clippy::disallowed_methods, reason = "where the tests' own tools are is no concern of the code under test")]
pub(crate) fn installed(variable: &str, place: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(|| root().join(place), PathBuf::from);
    assert!(path.exists(), "{} is missing: run tests/install", path.display());
    path
}
