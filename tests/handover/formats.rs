//! The formats that are no shells: dotenv, GitHub, systemd, and how formats are asked for.

use super::{nasty, samples};
use crate::harness::{Home, made_up_token, set_mode};
use crate::peers::oracle::python;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

/// Reads files by python-dotenv: JSON of paths in, JSON of variables out.
const READ_DOTENV: &str = "import dotenv, json, sys\nprint(json.dumps([dict(dotenv.dotenv_values(path)) for path in json.load(sys.stdin)]))";

#[test]
fn json_stays_the_default_to_the_byte() {
    let home = Home::new();
    let token = made_up_token();
    home.secret(&token);
    home.write_config(format!("[DEFAULT]\nhost = https://h.example\ntoken = {token}\n"));
    let json = format!(
        "{{\n  \"env\": {{\n    \"DATABRICKS_AUTH_TYPE\": \"pat\",\n    \"DATABRICKS_CLOUD\": \"AWS\",\n    \"DATABRICKS_CONFIG_PROFILE\": \"DEFAULT\",\n    \
         \"DATABRICKS_HOST\": \"https://h.example\",\n    \"DATABRICKS_TOKEN\": \"{token}\"\n  }}\n}}"
    );
    for line in ["auth env", "auth env --format json", "auth env -o json", "auth env -o text", "auth env --format json -o text"] {
        home.command(line).reveals().run().ok().prints(&json).notes("");
    }
    // The format is asked for by its own flag; -o, which a script may set for everything, does not take it away.
    let plain = home.command("auth env --format dotenv").reveals().run();
    plain.ok().shows(&format!("DATABRICKS_TOKEN={token}\n"));
    assert_eq!(home.command("auth env --format dotenv -o json").env("DATABRICKS_OUTPUT_FORMAT", "json").reveals().run().stdout, plain.stdout);
    for unknown in ["toml", "", "SH", "sh "] {
        let outcome = home.run(["auth", "env", "--format", unknown]);
        outcome.error(&format!("invalid argument \"{unknown}\" for \"--format\" flag: accepted arguments are json, sh, bash, dash, zsh, fish, pwsh, powershell, dotenv, github, systemd, netrc"));
        outcome.says("Usage:\n  databricks auth env [flags]");
    }
    home.run(["auth", "env", "--format"]).error("flag needs an argument: --format");
}

#[test]
fn dotenv_is_read_by_python_as_it_was_meant_and_by_docker_where_it_has_no_quotes() {
    let home = Home::new();
    let mut written = Vec::new();
    let mut paths = Vec::new();
    for (number, value) in samples(nasty()).take(600).enumerate() {
        let outcome = home.command("auth env --format dotenv").env("DATABRICKS_HOST", "https://h.example").env("DATABRICKS_TOKEN", &value).reveals().run();
        if outcome.status.code() == Some(1) {
            outcome.fails().says("Error: DATABRICKS_TOKEN cannot be written as dotenv: ");
            assert!(value.len() < 12 || !outcome.stderr.contains(&value), "{value:?} is shown");
            continue;
        }
        outcome.ok();
        let line = outcome.stdout.split_once("DATABRICKS_TOKEN=").expect("the token").1.trim_end_matches('\n');
        // docker run --env-file: everything behind the first =, to the end of the line.
        assert_eq!(line == value, outcome.stderr.is_empty(), "{value:?} became {line:?}: {}", outcome.stderr);
        let path = home.work().join(format!("{number}.env"));
        std::fs::write(&path, &outcome.stdout).unwrap();
        paths.push(path);
        written.push(value);
    }
    assert!(written.len() > 200, "only {} of 600 could be written", written.len());
    let mut reader = Command::new(python());
    reader.args(["-c", READ_DOTENV]).env_clear().env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = reader.spawn().unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), &paths).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let read: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    for (variables, value) in read.iter().zip(&written) {
        assert_eq!(variables["DATABRICKS_TOKEN"], Value::from(value.as_str()));
        assert_eq!(variables["DATABRICKS_HOST"], "https://h.example");
        assert_eq!(variables.as_object().unwrap().len(), 5, "{variables}");
    }
}

#[test]
fn github_hears_the_masks_before_the_variables_are_there() {
    let home = Home::new();
    let file = home.work().join("github_env");
    home.store(&file);
    std::fs::write(&file, "EARLIER=1").unwrap();
    set_mode(&file, 0o600);
    let key = "{\n  \"private\": \"first line of the key\"\n}";
    let job =
        |line: &str| home.command(line).env("DATABRICKS_HOST", "https://h.example").env("DATABRICKS_TOKEN", "dapi%0A0123").env("DATABRICKS_AUTH_TYPE", "pat");
    // Masks go out even where the file cannot be written, variables never before them.
    let outcome = job("auth env --format github").env("GITHUB_ENV", "/dev/full").reveals().run();
    assert_eq!(outcome.status.code(), Some(1));
    outcome.prints("::add-mask::dapi%250A0123\n").says("cannot write /dev/full");
    let outcome = job("auth env --format github").env("GITHUB_ENV", &file).env("GOOGLE_CREDENTIALS", key).reveals().run();
    outcome.ok().notes("").prints("::add-mask::dapi%250A0123\n::add-mask::{\n::add-mask::  \"private\": \"first line of the key\"\n::add-mask::}\n");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("EARLIER=1\nDATABRICKS_AUTH_TYPE=pat\n"), "{text}");
    assert!(text.contains("\nDATABRICKS_TOKEN=dapi%0A0123\n"), "{text}");
    let (delimiter, rest) = text.split_once("\nGOOGLE_CREDENTIALS<<").unwrap().1.split_once('\n').unwrap();
    assert!(rest.starts_with(&format!("{key}\n{delimiter}\n")) && delimiter.len() > 32, "{text}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Nothing at all without the file, and nothing in it if nobody can be told what to mask.
    job("auth env --format github").run().error("GITHUB_ENV is not set: --format github is for a job that has a file there");
    let before = std::fs::read(&file).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_databricks"));
    command.args(["auth", "env", "--format", "github"]).env_clear().env("HOME", home.path()).env("GITHUB_ENV", &file);
    let output = command.env("DATABRICKS_HOST", "https://h.example").env("DATABRICKS_TOKEN", "dapi0123456789").stdout(writer).stderr(Stdio::piped()).output();
    let output = output.unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("Error: nobody reads standard output, so the secrets could not be masked"));
    assert_eq!((output.status.code(), std::fs::read(&file).unwrap()), (Some(1), before));
}

#[test]
fn no_format_shows_a_secret_that_it_refuses() {
    let home = Home::new();
    home.secret("s3cret-of-the-job");
    for (format, value) in [
        ("dotenv", "s3cret-of-the-job\u{1b}[2J"),
        ("dotenv", "${s3cret-of-the-job}"),
        ("github", "s3cret-of-the-job\rx"),
        ("systemd", "s3cret-of-the-job\u{7f}"),
        ("netrc", "s3cret-of-the-job\nx"),
    ] {
        for flags in ["", " --debug", " --log-level trace"] {
            let line = format!("auth env --format {format}{flags}");
            let outcome =
                home.command(line.as_str()).env("DATABRICKS_HOST", "https://h.example").env("DATABRICKS_TOKEN", value).env("GITHUB_ENV", "/dev/null").run();
            outcome.fails().lacks("s3cret");
        }
    }
    assert!(home.files().is_empty());
}

#[test]
fn a_curl_without_any_file_on_disk() {
    let (home, workspace) = Home::signed_in();
    let line = format!("curl -sS --netrc-file <(databricks auth env --format netrc) {}/api/2.0/token/list", workspace.url());
    home.script(&line).run().ok().shows("\"token_infos\"");
    assert_eq!(home.files(), [".databrickscfg"]);
}
