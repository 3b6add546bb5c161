//! The Tab key: what the program answers, and what the real shells make of it.

mod answers;
mod install;
#[cfg(target_os = "linux")]
mod manual;
#[cfg(target_os = "linux")]
mod shells;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_databricks");

/// A home of its own, with nothing of the environment but what a test says.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A home with these profiles, each at a host that tells its number.
    fn with_profiles<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let home = Self::new();
        let sections: String = names
            .into_iter()
            .enumerate()
            .map(|(number, name)| format!("[{name}]\nhost = https://w{number}.cloud.databricks.com\ntoken = dapi{number}\n\n"))
            .collect();
        home.write(".databrickscfg", &sections);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A program in this home.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env_clear().env("HOME", self.folder.path()).env("PATH", "/usr/bin:/bin").current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(PROGRAM).args(arguments).output().unwrap()
    }

    /// What `__complete` prints for these words.
    fn complete(&self, words: &[&str]) -> String {
        let output = self.command(PROGRAM).arg("__complete").args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The candidates alone.
    fn candidates(&self, words: &[&str]) -> Vec<String> {
        let answer = self.complete(words);
        answer.lines().filter(|line| !line.starts_with(':')).map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    }
}
