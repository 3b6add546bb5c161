//! A1, A2, A3: a command that writes, killed before every system call, and with every system call failing in every way.
//!
//! `strace` counts the calls of one undisturbed run; then each (call, n-th time) gets a run of its own. The counter is per call.

use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use super::bench::{Bench, DATABRICKS, Outcome, finish, for_each, has};

/// The calls that matter to files, and the last one of all: a kill there is one after everything was done.
const CALLS: &str = "openat,read,write,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,fchmod,fchown,ftruncate,flock,close,statx,\
                     newfstatat,readlink,readlinkat,exit_group";

/// Those that are made to fail.
const FALLIBLE: &[&str] = &[
    "openat",
    "read",
    "write",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "fchmod",
    "fchown",
    "ftruncate",
    "flock",
    "close",
    "readlink",
    "readlinkat",
];

const ERRORS: &[(&str, &str)] = &[
    ("ENOSPC", "No space left on device"),
    ("EIO", "Input/output error"),
    ("EROFS", "Read-only file system"),
    ("EINTR", "Interrupted system call"),
    ("EDQUOT", "Disk quota exceeded"),
];

/// One writing command and the home it starts in.
struct Story {
    arguments: &'static [&'static str],
    stdin: &'static str,
    /// The file that it writes, below the home folder.
    file: &'static str,
    /// What is in that file before; `None`: it is not there.
    before: Option<&'static str>,
    /// A command that reads the file afterwards, and with that tidies up.
    next: &'static [&'static str],
    /// The file is a symbolic link to one in another folder.
    linked: bool,
}

const SECRET: &str = "dapi-new-secret";
const BEFORE: &str = "; mine\n[DEFAULT]\nhost = https://a.example\ntoken = dapi-old-secret\n\n[b]\nhost = https://b.example\ntoken = dapi-b-secret\n";
const NETRC: &str = "# mine\nmachine a.example login token password dapi-old-secret\ndefault login x password y\n";
const CONFIG: &str = ".databrickscfg";
const PROFILES: &[&str] = &["auth", "profiles", "--skip-validate"];
const DESCRIBE: &[&str] = &["auth", "describe", "--offline", "--profile", "b"];
const CONFIGURE: &[&str] = &["configure", "--host", "https://a.example", "--profile", "DEFAULT"];

const INSTALL: &[&str] = &["completion", "install", "--shell", "bash", "--auto-approve"];
const STATUS: &[&str] = &["completion", "status", "--shell", "bash"];
const BASHRC: &str = "# mine\nexport X=1\n";
const INSTALLED: &str = "# mine\n# BEGIN databricks-cli completion\neval \"$(databricks completion bash)\"\n# END databricks-cli completion\nexport X=1\n";

const STORIES: &[Story] = &[
    Story { arguments: CONFIGURE, stdin: "dapi-new-secret\n", file: CONFIG, before: Some(BEFORE), next: PROFILES, linked: false },
    Story { arguments: CONFIGURE, stdin: "dapi-new-secret\n", file: CONFIG, before: None, next: PROFILES, linked: false },
    Story { arguments: CONFIGURE, stdin: "dapi-new-secret\n", file: CONFIG, before: Some(BEFORE), next: PROFILES, linked: true },
    Story { arguments: &["auth", "switch", "--profile", "b"], stdin: "", file: CONFIG, before: Some(BEFORE), next: PROFILES, linked: false },
    Story { arguments: &["auth", "netrc", "--profile", "b"], stdin: "", file: ".netrc", before: Some(NETRC), next: DESCRIBE, linked: false },
    Story { arguments: &["auth", "netrc", "--profile", "b"], stdin: "", file: ".netrc", before: None, next: DESCRIBE, linked: true },
    Story { arguments: &["auth", "netrc", "remove", "--profile", "DEFAULT"], stdin: "", file: ".netrc", before: Some(NETRC), next: DESCRIBE, linked: false },
    Story { arguments: INSTALL, stdin: "", file: ".bashrc", before: Some(BASHRC), next: STATUS, linked: true },
    Story {
        arguments: &["completion", "uninstall", "--shell", "bash", "--auto-approve"],
        stdin: "",
        file: ".bashrc",
        before: Some(INSTALLED),
        next: STATUS,
        linked: false,
    },
];

impl Story {
    /// A home as it is before the command, and the file that counts.
    fn set_up(&self) -> (Bench, PathBuf) {
        let bench = Bench::new();
        let mut target = bench.home().join(self.file);
        if self.linked {
            std::fs::create_dir(bench.home().join("dotfiles")).unwrap();
            target = bench.home().join("dotfiles/cfg");
            symlink("dotfiles/cfg", bench.home().join(self.file)).unwrap();
        }
        if self.file != CONFIG {
            bench.write_config(BEFORE);
        }
        if let Some(before) = self.before {
            super::bench::write_private(&target, before.as_bytes());
        }
        (bench, target)
    }

    fn traced(&self, bench: &Bench, options: &[&str]) -> Outcome {
        let mut command: Command = bench.program("strace");
        command.args(["-f", "-qq", "-o"]).arg(bench.around().join("trace")).args(options).arg("--").arg(DATABRICKS).args(self.arguments);
        finish(&mut command, Some(self.stdin.as_bytes()))
    }

    /// The calls after those of the loader, each as its name and how many of its name there were up to it; and the file afterwards.
    fn calls(&self) -> (Vec<(String, u32)>, Vec<u8>) {
        let (bench, target) = self.set_up();
        self.traced(&bench, &["-e", &format!("trace=prctl,{CALLS}")]).succeeded();
        let trace = std::fs::read_to_string(bench.around().join("trace")).unwrap();
        // The first thing that the program itself does; what the loader did before is none of its business.
        let mut begun = false;
        let mut counts: HashMap<&str, u32> = HashMap::new();
        let mut calls = Vec::new();
        for line in trace.lines() {
            let Some((_, rest)) = line.split_once(' ') else { continue };
            let Some((name, _)) = rest.trim_start().split_once('(') else { continue };
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                continue;
            }
            let count = counts.entry(name).or_default();
            *count += 1;
            if begun {
                calls.push((name.to_owned(), *count));
            }
            begun |= line.contains("PR_SET_DUMPABLE");
        }
        assert!(calls.iter().any(|(name, _)| name.starts_with("rename")) && calls.len() > 12, "too little was traced:\n{trace}");
        (calls, std::fs::read(target).unwrap())
    }

    /// The file is the old one or the new one, the link is still a link; says whether it is the new one.
    fn is_new(&self, bench: &Bench, target: &std::path::Path, new: &[u8], what: &str) -> bool {
        let now = super::bench::read(target);
        if self.linked {
            assert!(std::fs::symlink_metadata(bench.home().join(self.file)).unwrap().is_symlink(), "{what}: the link was replaced");
        }
        let is_new = now.as_deref() == Some(new);
        let is_old = now.as_deref() == self.before.map(str::as_bytes);
        assert!(is_new || is_old, "{what}: neither the old file nor the new one, but {:?}", now.map(|now| String::from_utf8_lossy(&now).into_owned()));
        is_new
    }

    /// After one harmless command no secret is anywhere but in the file itself and the profile file.
    fn is_tidy_after_a_command(&self, bench: &Bench, target: &std::path::Path, what: &str) {
        bench.run(self.next).code();
        for (path, bytes) in bench.files() {
            let text = String::from_utf8_lossy(&bytes);
            assert!(path == target || path == bench.config() || !text.contains("secret"), "{what}: {} is left, with a secret", path.display());
        }
    }
}

#[test]
fn a1_a2_killed_before_any_call_the_file_is_the_old_or_the_new_one_and_no_secret_is_left_beside_it() {
    if !has("strace", &["-qq", "true"]) {
        return;
    }
    let mut points = 0;
    for story in STORIES {
        let (calls, new) = story.calls();
        points += calls.len();
        for_each(&calls, |(name, count)| {
            let what = format!("{:?} killed before {name} {count}", story.arguments);
            let (bench, target) = story.set_up();
            let inject = format!("inject={name}:signal=SIGKILL:when={count}");
            let outcome = story.traced(&bench, &["-e", &format!("trace={name}"), "-e", &inject]);
            assert!(!outcome.status.success(), "{what}: it was not killed\n{outcome}");
            let is_new = story.is_new(&bench, &target, &new, &what);
            assert!(name != "exit_group" || is_new, "{what}: nothing was written");
            story.is_tidy_after_a_command(&bench, &target, &what);
        });
    }
    assert!(points > 80, "only {points} points");
}

#[test]
fn a3_every_call_failing_in_every_way_loses_nothing_and_is_told_with_path_and_reason() {
    if !has("strace", &["-qq", "true"]) {
        return;
    }
    for story in STORIES {
        let (calls, new) = story.calls();
        let faults: Vec<_> = calls
            .iter()
            .filter(|(name, _)| FALLIBLE.contains(&name.as_str()))
            .flat_map(|(name, count)| ERRORS.iter().map(move |(error, words)| (name, count, *error, *words)))
            .collect();
        for_each(&faults, |(name, count, error, words)| {
            let what = format!("{:?} with {error} from {name} {count}", story.arguments);
            let (bench, target) = story.set_up();
            let inject = format!("inject={name}:error={error}:when={count}");
            let outcome = story.traced(&bench, &["-e", &format!("trace={name}"), "-e", &inject]);
            let is_new = story.is_new(&bench, &target, &new, &what);
            if outcome.code() == 0 {
                assert!(is_new, "{what}: it reports success, but wrote nothing");
            } else {
                assert!(!is_new, "{what}: it reports a failure, but wrote\n{outcome}");
                let said = outcome.stderr();
                let place = bench.home().to_string_lossy().into_owned();
                assert!(said.contains(&place) || said.contains("standard input"), "{what}: the message names no path\n{outcome}");
                assert!(said.contains(words), "{what}: the message does not say why\n{outcome}");
            }
            assert!(!outcome.stderr().contains(SECRET) && !outcome.stdout().contains(SECRET), "{what}: the secret is in the output");
            story.is_tidy_after_a_command(&bench, &target, &what);
        });
    }
}
