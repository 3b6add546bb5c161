//! `token_command`: programs that print tokens, and programs that do not.

use super::{forget, place};
use crate::harness::{Home, set_mode};
use crate::workspace::Workspace;
use std::time::Duration;

/// A profile with a program of this script.
fn write(home: &Home, workspace: &Workspace, script: &str) {
    let program = home.path().join("mint");
    home.write(&program, format!("#!/bin/sh\n{script}\n"));
    set_mode(&program, 0o700);
    home.store(&program);
    home.write_config(format!("[p]\nhost = {}\ntoken_command = '{}' --for \"two words\" $HOME\n", workspace.url(), program.display()));
}

#[test]
fn a_token_or_json_is_taken() {
    let (home, workspace) = place();
    let token = workspace.token().to_owned();
    for script in [
        format!("echo {token}"),
        format!("printf %s {token}"),
        format!("echo '{{\"access_token\": \"{token}\", \"token_type\": \"Bearer\", \"expiry\": \"2099-01-01T00:00:00Z\"}}'"),
        format!("echo working >&2; test $# = 3 && test \"$2\" = 'two words' && test \"$3\" = '$HOME' && echo {token}"),
        format!("read -r line && exit 1; echo {token}"),
    ] {
        write(&home, &workspace, &script);
        assert_eq!(home.run("current-user me -p p -o json").ok().json()["userName"], workspace.basic_user(), "{script}");
    }
    let printed = home.command("auth token -p p").reveals().run();
    assert_eq!(printed.ok().json()["access_token"], token);
    home.run("auth describe -p p").ok().shows("token-command");
}

#[test]
fn what_fails_says_how() {
    let (home, workspace) = place();
    let token = workspace.token().to_owned();
    for (script, words) in [
        (format!("echo first >&2; echo 'no ticket for {token}' >&2; exit 7"), &["failed with exit code 7", "it said: no ticket for ***"][..]),
        ("kill -9 $$".to_owned(), &["was ended by a signal"]),
        ("exit 0".to_owned(), &["printed nothing"]),
        (format!("echo {token}; echo {token}"), &["printed more than one line"]),
        (format!("printf '{token}\\033[2J'"), &["printed control characters"]),
        ("exec /usr/bin/yes".to_owned(), &["printed more than 1048576 bytes"]),
        ("echo '{\"token\": 1}'".to_owned(), &["printed JSON without an access_token"]),
        ("printf 'Password: ' >&2; read -r password || exit 1".to_owned(), &["failed with exit code 1", "it said: Password:", "It seems to ask for input"]),
        ("printf '\\033]0;evil\\007 no\\n' >&2; exit 1".to_owned(), &["failed with exit code 1", "\\u{1b}]0;evil"]),
    ] {
        write(&home, &workspace, &script);
        let outcome = home.run("current-user me -p p");
        outcome.fails().says("token-command").says("profile \"p\"");
        for words in words {
            outcome.says(words);
        }
        assert!(outcome.took < Duration::from_secs(10), "{outcome}");
    }
}

#[test]
fn a_program_at_the_terminal_cannot_ask() {
    let (home, workspace) = place();
    write(&home, &workspace, "exec </dev/tty; read -r password; echo $password");
    let outcome = home.typing("current-user me -p p").end();
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    outcome.says("wanted to read from the terminal").says("token_command");
}

#[test]
fn lines_that_only_a_shell_could_run_are_refused() {
    let (home, workspace) = place();
    for (line, words) in [
        ("cat /etc/passwd | head -1", "no shell runs it"),
        ("'open", "a single quote is not closed"),
        ("no-such-program --x", "there is no such program"),
        ("/no/such/program", "there is no such program"),
    ] {
        home.write_config(format!("[p]\nhost = {}\ntoken_command = {line}\n", workspace.url()));
        home.run("current-user me -p p").fails().says("token-command").says(words);
    }
    // The folder that one is in is not searched.
    home.write(&home.work().join("mint"), "#!/bin/sh\ntouch ran\n");
    set_mode(&home.work().join("mint"), 0o700);
    home.write_config(format!("[p]\nhost = {}\ntoken_command = mint\n", workspace.url()));
    home.command("current-user me -p p").env("PATH", ".::/usr/bin:/bin").run().fails().says("there is no such program");
    assert!(!home.work().join("ran").exists());
}

#[test]
fn only_a_profile_starts_programs() {
    let (home, workspace) = place();
    let script = format!("touch {}/ran; echo {}", home.path().display(), workspace.token());
    write(&home, &workspace, &script);
    let line = home.config().lines().last().unwrap().split_once(" = ").unwrap().1.to_owned();
    home.write_config("");
    home.command("current-user me").env("DATABRICKS_HOST", workspace.url()).env("DATABRICKS_TOKEN_COMMAND", &line).env("TOKEN_COMMAND", &line).run().fails();
    assert!(!home.path().join("ran").exists());
    // What it prints is for the profile's host alone.
    write(&home, &workspace, &script);
    let elsewhere = home.joins(Workspace::start());
    home.command("current-user me").env("DATABRICKS_CONFIG_PROFILE", "p").env("DATABRICKS_HOST", elsewhere.url()).run().fails().says("belongs to");
    assert!(!home.path().join("ran").exists() && elsewhere.requests().is_empty());
    // It comes before a sign-in that happens to be there, and beside another method one has to choose.
    forget(&home);
    home.command("current-user me -p p")
        .env("DATABRICKS_TOKEN", "dapi-other")
        .run()
        .fails()
        .says("more than one authorization method configured: pat and token-command");
}

#[test]
fn a_program_that_hangs_is_stopped() {
    let (home, workspace) = place();
    write(&home, &workspace, "echo waiting for a card >&2; /bin/sleep 600");
    let outcome = home.run("current-user me -p p");
    outcome.fails().says("did not end within 30 seconds").says("it said: waiting for a card").within(Duration::from_secs(36));
}
