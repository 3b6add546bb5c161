//! Handing over: what shells, curl, Python and CI systems make of what this tool writes for them, and of what they find beside it.
//!
//! `tests/install` installs what they need: the shells, curl, Python with requests and python-dotenv.

mod formats;
mod netrc;
mod oracles;
mod readme;
mod shells;

use std::process::{Command, Stdio};

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::harness::Home;

/// Values of a strategy, others in every run; a failed assertion shows the one that it was about.
fn samples<T>(strategy: impl Strategy<Value = T>) -> impl Iterator<Item = T> {
    let mut runner = TestRunner::default();
    std::iter::repeat_with(move || strategy.new_tree(&mut runner).unwrap().current())
}

/// Texts made of everything that has a meaning to some shell or file format; never empty.
fn nasty() -> impl Strategy<Value = String> {
    let piece = proptest::prop_oneof![
        4 => "[ -~]",
        2 => "[a-zA-Z0-9]{1,8}",
        3 => proptest::sample::select(vec![
            "'", "\"", "\\", "`", "\n", "\r", "\t", "$", "!", "!!", ";", "&", "|", "<", ">", "(", ")", "{", "}", "[", "]", "*", "?", "~", "#", " #", "=", "%", "^", ",", "\\n", "\\'",
            "\\\\", "''", "${HOME}", "$HOME", "$(touch pwned)", "`touch pwned`", "';touch pwned;'", "\"; touch pwned; \"", "\ntouch pwned\n", "(touch pwned)", "'\ntouch pwned #",
            "::add-mask::", "A<<B", " ", "-n", "é", "ß€", "🔑", "\u{2019}", "\u{feff}", "\u{a0}", "\u{2028}", "\u{1b}[2J", "\u{1}", "\u{7f}", "\u{81}",
        ]).prop_map(ToOwned::to_owned),
    ];
    proptest::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

/// A system program with an environment of its own, in the working folder of a home.
fn program(home: &Home, name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(home.work()).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path()).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}
