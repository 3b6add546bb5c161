//! The binary on a terminal, driven by keys.

use super::run::environment;
use super::sweep::Seen;
use super::{BINARY, Home, Outcome};
use crate::terminal::pty::Pty;
use std::ffi::OsString;
use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::time::Instant;

/// A run in which a person types. Everything drawn is swept for secrets, also when the test forgets it.
pub(crate) struct Typing<'h> {
    home: &'h Home,
    line: String,
    pty: Pty,
    started: Instant,
}

impl<'h> Typing<'h> {
    pub(super) fn start(home: &'h Home, program: &str, words: &[OsString], variables: &[(&str, &str)]) -> Typing<'h> {
        // The driver passes on only what is set here, and the test's own environment is cleared by `env -i`.
        let mut command = Command::new("env");
        command.arg("-i");
        let mut all = environment(home, program != BINARY);
        all.push(("TERM".into(), "xterm-256color".into()));
        all.extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
        for (name, value) in all {
            let mut pair = name;
            pair.push("=");
            pair.push(value);
            command.arg(pair);
        }
        command.arg(program).args(words).current_dir(home.work());
        let line = words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        Typing { home, line, pty: Pty::spawn(&command), started: Instant::now() }
    }

    /// Waits for a question, and for the terminal to be ready for keys.
    pub(crate) fn asked(&mut self, question: &str) -> &mut Self {
        self.pty.wait_for(question);
        self.pty.wait_raw();
        self
    }

    /// Types a line and Enter.
    pub(crate) fn answer(&mut self, text: &str) -> &mut Self {
        self.pty.send(format!("{text}\r"));
        self
    }

    /// Waits for the end. What the terminal showed is the outcome's stderr.
    pub(crate) fn end(mut self) -> Outcome {
        let status = self.pty.wait();
        self.pty.assert_restored();
        let outcome = Outcome::new(self.line.clone(), status, String::new(), self.pty.screen(), self.started.elapsed());
        assert!(matches!(status.code(), Some(0 | 1)), "the exit code is neither 0 nor 1\n{outcome}");
        outcome
    }
}

impl Deref for Typing<'_> {
    type Target = Pty;

    fn deref(&self) -> &Pty {
        &self.pty
    }
}

impl DerefMut for Typing<'_> {
    fn deref_mut(&mut self) -> &mut Pty {
        &mut self.pty
    }
}

impl std::fmt::Debug for Typing<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}\n{:?}", self.line, self.pty)
    }
}

impl Drop for Typing<'_> {
    fn drop(&mut self) {
        let drawn = String::from_utf8_lossy(self.pty.raw()).into_owned();
        self.home.saw(Seen { line: self.line.clone(), stdout: drawn, stderr: self.pty.screen(), reveals: false });
    }
}
