//! libfaketime: another time of day for programs that are linked with glibc. Static programs (musl) do not see it.

use std::path::PathBuf;

use tempfile::TempDir;

/// A clock that can be moved while programs run with it.
///
/// Only the time of day is moved; timers and timeouts go on as they are. bash itself does not see it, as it has a `getenv` of its own; what
/// it starts does.
#[derive(Debug)]
pub(crate) struct Faketime {
    folder: TempDir,
    library: PathBuf,
}

impl Faketime {
    /// A clock that is off by this, in the words of faketime: `+2h`, `-30m`, `+1.5d`.
    pub(crate) fn off_by(shift: &str) -> Self {
        let libraries = std::fs::read_dir("/usr/lib").expect("/usr/lib").flatten().map(|entry| entry.path().join("faketime/libfaketime.so.1"));
        let library = libraries.into_iter().find(|path| path.exists()).expect("libfaketime is missing: run tests/install");
        let clock = Self { folder: tempfile::tempdir().expect("a temporary folder"), library };
        clock.set(shift);
        clock
    }

    /// Moves the clock, also for programs that run already.
    pub(crate) fn set(&self, shift: &str) {
        // Replaced whole: a program may read it at any time.
        let new = self.folder.path().join("new");
        std::fs::write(&new, format!("{shift}\n")).expect("own folder");
        std::fs::rename(new, self.file()).expect("own folder");
    }

    /// The variables that give a program this clock.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("shift")
    }
}

mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Command, Stdio};

    #[test]
    fn a_running_program_sees_the_clock_move() {
        let clock = Faketime::off_by("+2h");
        let mut command = Command::new("perl");
        command.args(["-e", "$| = 1; print time, qq(\\n) while <>"]).env_clear().envs(clock.environment());
        let mut perl = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("perl");
        let (mut asks, mut answers) = (perl.stdin.take().expect("piped"), BufReader::new(perl.stdout.take().expect("piped")));
        let mut hours_off = || {
            writeln!(asks).expect("it listens");
            let mut line = String::new();
            answers.read_line(&mut line).expect("it answers");
            let seconds: i64 = line.trim().parse().expect("seconds");
            let seconds = seconds - Timestamp::now().as_second();
            (seconds + 1800).div_euclid(3600)
        };
        assert_eq!(hours_off(), 2);
        clock.set("-24h");
        assert_eq!(hours_off(), -24);
        clock.set("+0");
        assert_eq!(hours_off(), 0);
        drop(asks);
        perl.wait().expect("it ends");
    }
}
