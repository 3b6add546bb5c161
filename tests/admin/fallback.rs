//! Commands of the official CLI that we do not have: what is said, and how they are handed over.

use super::{binary, stderr_of};
use crate::harness::{Home, copy_program, profile, set_mode};
use crate::workspace::Workspace;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

const FALLBACK: &str = "DATABRICKS_FALLBACK_CLI";

/// A program that tells what it was given.
fn program(home: &Home, folder: &str, name: &str, script: &str) -> PathBuf {
    let folder = home.path().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    set_mode(&path, 0o755);
    path
}

/// Prints its arguments in brackets and its variables, and ends with 7.
const TELLING: &str = "for word; do printf '[%s]\\n' \"$word\"; done; /usr/bin/env | /usr/bin/sort; exit 7";

/// What a [`TELLING`] program told: arguments and variables.
struct Told {
    words: Vec<String>,
    variables: BTreeMap<String, String>,
}

/// Runs a command line that ends in a [`TELLING`] program.
fn told(home: &Home, line: &str, variables: &[(&str, &str)]) -> Told {
    let mut run = home.script(&format!("databricks {line}; echo rc=$?")).reveals();
    for (name, value) in variables {
        run = run.env(name, value);
    }
    let outcome = run.run();
    outcome.ok().notes("").shows("\nrc=7\n");
    let words = outcome.stdout.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')).map(ToOwned::to_owned).collect();
    let variables = outcome.stdout.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Told { words, variables }
}

impl Told {
    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

fn signed_in() -> (Home, Arc<Workspace>) {
    let (home, workspace) = Home::signed_in();
    let other = program(&home, "official", "other", TELLING);
    home.set(FALLBACK, other);
    (home, workspace)
}

#[test]
fn commands_that_are_not_here_name_the_way_by_the_api() {
    let (home, workspace) = Home::signed_in();
    for (words, answer) in [
        ("jobs list", "this tool has no command jobs; with the API: databricks api get /api/2.2/jobs/list"),
        ("jobs", "this tool has no command jobs; with the API: databricks api get /api/2.2/jobs/list"),
        ("jobs --help", "this tool has no command jobs; with the API: databricks api get /api/2.2/jobs/list"),
        ("help jobs", "this tool has no command jobs; with the API: databricks api get /api/2.2/jobs/list"),
        ("-o json workspace list /", "this tool has no command workspace; with the API: databricks api get '/api/2.0/workspace/list?path=/'"),
        ("bundle deploy -t dev", "this tool has no command bundle; the official CLI has it"),
        ("clusters start x", "this tool has no command clusters start; with the API: databricks api post /api/2.1/clusters/... --json '{...}'"),
        ("account users list", "this tool has no command account users; with the API: databricks api get /api/2.0/accounts/ACCOUNT_ID/..."),
        ("--profile x fs ls /", "this tool has no command fs; with the API: databricks api get /api/2.0/fs/directories/Volumes/CATALOG/SCHEMA/VOLUME"),
    ] {
        let outcome = home.run(words);
        outcome.error(answer);
        assert_eq!(outcome.stderr.lines().count(), 2, "{outcome}");
        outcome.says("Hint: To have the official CLI run such commands, set DATABRICKS_FALLBACK_CLI to its path; see: databricks help fallback\n");
    }
    home.run("nope").notes("Error: unknown command \"nope\" for \"databricks\"\n").fails();
    home.run("help fallback").ok().notes("").shows("DATABRICKS_FALLBACK_CLI").shows("[__settings__]").lacks("`");
    assert!(workspace.requests().is_empty());
}

#[test]
fn arguments_environment_and_exit_code_are_untouched() {
    let (home, workspace) = signed_in();
    let line = "jobs list --name 'a  b' '' '*' --json '{\"x\": \"ü\"}' -- -p x";
    let told = told(&home, line, &[("MY_OWN", "kept")]);
    assert_eq!(told.words, ["jobs", "list", "--name", "a  b", "", "*", "--json", "{\"x\": \"ü\"}", "--", "-p", "x"]);
    assert_eq!((told.get("MY_OWN"), told.get("DATABRICKS_HOST"), told.get("DATABRICKS_TOKEN")), (Some("kept"), Some(workspace.url()), Some(workspace.token())));
    assert_eq!((told.get("DATABRICKS_AUTH_TYPE"), told.get("DATABRICKS_CONFIG_PROFILE")), (Some("pat"), Some("DEFAULT")));
    assert_eq!(told.get("DATABRICKS_CLI_PATH"), None);
    assert!(!told.words.iter().any(|word| word.contains(workspace.token())));
    // Bytes that are no text, too.
    let outcome = home.script("databricks jobs $'\\xff\\xfe' | od -An -tx1 | head -n 1; true").reveals().run();
    outcome.ok().shows(" 5b 6a 6f 62 73 5d 0a 5b ff fe 5d 0a");
    // Flags that stand in front, commands below our own groups, help, and words that nobody here knows.
    for line in ["-o json -p DEFAULT jobs list", "clusters start x --no-wait", "account users list", "help jobs", "bundle deploy", "brand-new-command --x"] {
        assert_eq!(self::told(&home, line, &[]).words, line.split(' ').collect::<Vec<_>>());
    }
    // A slip is still told here, and so is help of ours.
    home.run("toknes list").error("unknown command \"toknes\" for \"databricks\"");
    home.run("tokens nope").error("unknown command \"nope\" for \"databricks tokens\"");
    home.run("help nope").ok().says("Unknown help topic");
    home.run("version").ok().prints("Databricks CLI v1.0.0\n");
    assert!(workspace.requests().is_empty());
}

#[test]
fn it_is_the_same_process_with_the_signals_of_a_new_one() {
    let (home, _workspace) = Home::signed_in();
    let script = "trap 'echo caught; exit 42' TERM; grep SigIgn /proc/$$/status; echo $$; while :; do sleep 0.05; done";
    let other = program(&home, "official", "other", script);
    let mut child = binary(&home, &["jobs", "list"]).env("PATH", "/usr/bin:/bin").env(FALLBACK, other).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ignored = lines.next().unwrap();
    // SIGPIPE, which this program ignores itself, is the thirteenth. What the tests were started with, such as nohup's SIGHUP, is inherited by everybody.
    let mask = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let inherited = mask(status.lines().find(|line| line.starts_with("SigIgn")).unwrap()) & !0x1000;
    assert_eq!(mask(&ignored) & 0x1fff & !inherited, 0, "{ignored}");
    assert_eq!(lines.next().unwrap(), child.id().to_string());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(lines.next().unwrap(), "caught");
    assert_eq!(child.wait().unwrap().code(), Some(42));
    assert_eq!(stderr_of(&mut child).join().unwrap(), "");
}

#[test]
fn the_profile_that_is_meant_is_the_one_handed_over() {
    let (home, workspace) = signed_in();
    let other = home.joins(Workspace::start());
    home.write_config(format!("{}cluster_id = c1\n\n{}", profile("DEFAULT", workspace.url(), workspace.token()), profile("b", other.url(), other.token())));
    let is =
        |told: &Told, workspace: &Workspace| told.get("DATABRICKS_HOST") == Some(workspace.url()) && told.get("DATABRICKS_TOKEN") == Some(workspace.token());
    for line in ["jobs list -p b", "--profile b jobs list", "jobs -pb list", "jobs list --profile=b"] {
        let told = told(&home, line, &[("DATABRICKS_HOST", workspace.url()), ("DATABRICKS_TOKEN", workspace.token())]);
        assert!(is(&told, &other) && told.get("DATABRICKS_CONFIG_PROFILE").is_none(), "{line}");
        assert_eq!(told.words, line.split(' ').collect::<Vec<_>>());
    }
    let told = self::told(&home, "jobs list", &[("DATABRICKS_CONFIG_PROFILE", "b")]);
    assert!(is(&told, &other) && told.get("DATABRICKS_CONFIG_PROFILE") == Some("b"));
    let told = self::told(&home, "jobs list", &[]);
    assert!(is(&told, &workspace) && told.get("DATABRICKS_CLUSTER_ID") == Some("c1"));
    let told = self::told(&home, "jobs list", &[("DATABRICKS_HOST", other.url()), ("DATABRICKS_TOKEN", other.token())]);
    assert!(is(&told, &other) && told.get("DATABRICKS_CONFIG_PROFILE").is_none());
}

#[test]
fn what_only_we_can_read_is_handed_over_as_everybody_knows_it() {
    let (home, workspace) = signed_in();
    home.write_config(format!("[DEFAULT]\nhost = {}\nauth_type = netrc\n", workspace.url()));
    home.store(home.path().join(".netrc"));
    home.write(".netrc".as_ref(), format!("machine 127.0.0.1 login token password {}\n", workspace.token()));
    let told = told(&home, "jobs list", &[]);
    assert_eq!((told.get("DATABRICKS_AUTH_TYPE"), told.get("DATABRICKS_TOKEN")), (Some("pat"), Some(workspace.token())));
    home.write(".netrc".as_ref(), format!("machine 127.0.0.1 login ann@example.com password {}\n", workspace.basic_password()));
    let told = self::told(&home, "jobs list", &[]);
    assert_eq!((told.get("DATABRICKS_AUTH_TYPE"), told.get("DATABRICKS_TOKEN")), (Some("basic"), None));
    assert_eq!((told.get("DATABRICKS_USERNAME"), told.get("DATABRICKS_PASSWORD")), (Some("ann@example.com"), Some(workspace.basic_password())));
}

#[test]
fn no_token_comes_near_another_host() {
    let (home, workspace) = signed_in();
    let elsewhere = home.joins(Workspace::start());
    // A profile's token, and a host that is not the profile's.
    let told = self::told(&home, "jobs list", &[("DATABRICKS_CONFIG_PROFILE", "DEFAULT"), ("DATABRICKS_HOST", elsewhere.url())]);
    assert_eq!((told.get("DATABRICKS_HOST"), told.get("DATABRICKS_TOKEN")), (Some(elsewhere.url()), None));
    // A host without a credential.
    let told = self::told(&home, "jobs list", &[("DATABRICKS_HOST", elsewhere.url())]);
    assert_eq!((told.get("DATABRICKS_HOST"), told.get("DATABRICKS_TOKEN")), (Some(elsewhere.url()), None));
    // Commands that choose the host by themselves, and folders that have one.
    for line in ["bundle validate", "labs list"] {
        assert_eq!(self::told(&home, line, &[]).get("DATABRICKS_TOKEN"), None, "{line}");
    }
    let told = self::told(&home, "jobs list", &[("DATABRICKS_BUNDLE_ROOT", "/somewhere")]);
    assert_eq!((told.get("DATABRICKS_HOST"), told.get("DATABRICKS_TOKEN")), (None, None));
    std::fs::create_dir(home.work().join("below")).unwrap();
    std::fs::write(home.work().join("databricks.yml"), format!("workspace:\n  host: {}\n", elsewhere.url())).unwrap();
    let outcome = home.script("databricks jobs list").folder(home.work().join("below")).run();
    assert_eq!(outcome.status.code(), Some(7));
    outcome.shows("[jobs]").lacks("DATABRICKS_TOKEN").lacks(workspace.token());
    // What cannot be resolved is the other program's to tell.
    std::fs::remove_file(home.work().join("databricks.yml")).unwrap();
    let told = self::told(&home, "jobs list -p missing", &[]);
    assert_eq!((told.get("DATABRICKS_HOST"), told.get("DATABRICKS_TOKEN")), (None, None));
    home.write_config(b"\0binary");
    assert_eq!(self::told(&home, "jobs list", &[]).get("DATABRICKS_TOKEN"), None);
}

#[test]
fn the_program_is_named_by_variable_or_settings_and_found_in_safe_places_only() {
    let (home, workspace) = Home::signed_in();
    let first = program(&home, "one", "other", TELLING);
    let second = program(&home, "two", "other", "exit 9");
    let settings =
        |path: &str| home.write_config(format!("{}\n[__settings__]\nfallback_cli = {path}\n", profile("DEFAULT", workspace.url(), workspace.token())));
    settings(first.to_str().unwrap());
    assert_eq!(told(&home, "jobs list", &[]).words, ["jobs", "list"]);
    assert_eq!(home.script("databricks jobs list").env(FALLBACK, &second).run().status.code(), Some(9));
    settings("~/two/other");
    assert_eq!(home.script("databricks jobs list").run().status.code(), Some(9));
    settings("two/other");
    home.run("jobs list").fails().says("it must be an absolute path, or a name to be found in PATH");
    settings("");
    home.run("jobs list").fails().says("this tool has no command jobs");

    std::fs::copy(&second, home.work().join("other")).unwrap();
    for relative in ["./other", "two/other", "../work/other"] {
        home.command("jobs list").env(FALLBACK, relative).run().fails().says("must be an absolute path");
    }
    for path in [".", "", ":/nowhere:", "work:.:"] {
        home.command("jobs list")
            .env(FALLBACK, "other")
            .env("PATH", path)
            .run()
            .error("DATABRICKS_FALLBACK_CLI is \"other\", but no folder of PATH has such a program");
    }
    let path = format!(".:{}:{}", home.path().join("two").display(), home.path().join("one").display());
    let outcome = home.script("PATH=$P \"$(command -v databricks)\" jobs list; echo rc=$?").env(FALLBACK, "other").env("P", path).run();
    outcome.ok().prints("rc=9\n");
    home.command("jobs list").env(FALLBACK, "/nowhere/other").run().fails().says("cannot start /nowhere/other: No such file or directory");
    set_mode(&second, 0o644);
    home.command("jobs list").env(FALLBACK, &second).run().fails().says("Permission denied");
}

#[test]
fn it_never_hands_over_to_itself() {
    let (home, _workspace) = Home::signed_in();
    let own = env!("CARGO_BIN_EXE_databricks");
    let link = home.path().join("databricks-link");
    std::os::unix::fs::symlink(own, &link).unwrap();
    for path in [own, link.to_str().unwrap(), "databricks"] {
        home.command("jobs list").env(FALLBACK, path).run().fails().says("which is this program itself");
    }
    // By its name, another one further on in PATH is meant.
    program(&home, "official", "databricks", "echo official; exit 3");
    let path = format!("{}:{}", home.path().parent().unwrap().join("bin").display(), home.path().join("official").display());
    let outcome = home.script("PATH=$P databricks jobs list; echo rc=$?").env(FALLBACK, "databricks").env("P", path).run();
    outcome.ok().prints("official\nrc=3\n");
    // A script that starts us again is a circle; a copy of us knows itself.
    let again = program(&home, "circle", "again", "exec databricks \"$@\"");
    let outcome = home.script("databricks jobs list").env(FALLBACK, &again).run();
    assert_eq!(outcome.status.code(), Some(1));
    outcome.says(&format!("Error: {} was started 8 times and always came back here", again.display()));
    let copy = home.path().join("copy");
    copy_program(&copy);
    home.script("databricks jobs list").env(FALLBACK, &copy).run().says("which is this program itself");
}
