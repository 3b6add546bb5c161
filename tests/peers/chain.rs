//! The table of `tests/chain/cases.txt`, through the real program and without a network.

use std::fmt::Write as _;

use serde_json::Value;

use super::binary::Home;
use super::oracle::root;

#[derive(Debug, Default)]
struct Case {
    line: usize,
    name: String,
    environment: Vec<(String, String)>,
    flags: Vec<String>,
    file: Option<(String, String)>,
    expected: Vec<(String, String)>,
}

#[test]
fn every_case_leads_where_the_table_says() {
    let table = std::fs::read_to_string(root().join("tests/chain/cases.txt")).expect("the table");
    let cases = parse(&table);
    assert!(cases.len() > 50, "only {} cases were found", cases.len());
    let mut failures = String::new();
    for case in &cases {
        let (wrong, seen) = judge(case);
        if !wrong.is_empty() {
            let _ = writeln!(failures, "tests/chain/cases.txt:{}: {}\n  {}\n  {seen}", case.line, case.name, wrong.join("\n  "));
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

fn parse(table: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut in_file = false;
    for (number, line) in table.lines().enumerate() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "==" {
            in_file = false;
            cases.push(Case { line: number + 1, name: rest.to_owned(), ..Case::default() });
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        match word {
            "expect" => {
                in_file = false;
                // Texts to search for may hold spaces, so they stand alone.
                let alone = ["error=", "warning="].iter().any(|start| rest.starts_with(start));
                let items = if alone { vec![rest] } else { rest.split(' ').collect() };
                case.expected.extend(items.into_iter().map(pair));
            }
            _ if in_file => case.file.iter_mut().for_each(|(_, text)| text.extend([line, "\n"])),
            "env" => case.environment.push(pair(rest)),
            "run" => case.flags.extend(rest.split(' ').map(ToOwned::to_owned)),
            "file" => {
                in_file = true;
                let place = if rest.is_empty() { ".databrickscfg" } else { rest };
                case.file = Some((place.to_owned(), String::new()));
            }
            "" => {}
            _ => panic!("tests/chain/cases.txt:{}: {line}", number + 1),
        }
    }
    cases
}

fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or_else(|| panic!("no = in {text:?}"));
    (key.to_owned(), value.to_owned())
}

/// What is not as the table says, and what the program said.
#[expect(clippy::disallowed_methods, reason = "what a user wrote, not what the program writes")]
fn judge(case: &Case) -> (Vec<String>, String) {
    let home = Home::new();
    if let Some((place, text)) = &case.file {
        std::fs::write(home.path().join(place), text).expect("a home that can be written");
    }
    let environment: Vec<(&str, &str)> = case.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut arguments = vec!["auth", "describe", "--offline", "--sensitive", "-o", "json"];
    arguments.extend(case.flags.iter().map(String::as_str));
    let run = home.run(&arguments, &environment);
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or(Value::Null);
    // What cannot even be described ends as an error of the command.
    let error = report["error"].as_str().unwrap_or(if report.is_null() { &run.stderr } else { "" });
    let method = report["details"]["auth_type"].as_str().unwrap_or_default();
    let secret = if method == "basic" { "password" } else { "token" };
    let configuration = &report["details"]["configuration"];
    let source = |attribute: &str| match configuration[attribute]["source"]["type"].as_str() {
        Some("environment variable") => "env",
        Some("config file") => "file",
        Some("flag") => "flag",
        _ => "",
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut wrong = Vec::new();
    if error.is_empty() == case.expected.iter().any(|(key, _)| key == "error") {
        wrong.push(format!("error: {error:?}"));
    }
    for (key, expected) in &case.expected {
        let (fine, seen) = match key.as_str() {
            "error" => (error.contains(expected.as_str()), error.to_owned()),
            "warning" => (run.stderr.contains(expected.as_str()), run.stderr.clone()),
            "shadowed" => {
                let shadowed = report["details"]["shadowed"].to_string();
                (shadowed.contains(&format!("\"attribute\":\"{expected}\"")), shadowed)
            }
            _ => {
                let seen = match key.as_str() {
                    "method" => method.to_owned(),
                    "host" => text(&report["details"]["host"]),
                    "host-source" => source("host").to_owned(),
                    "secret" => text(&configuration[secret]["value"]),
                    "secret-source" => source(secret).to_owned(),
                    "profile" => text(&configuration["profile"]["value"]),
                    other => panic!("tests/chain/cases.txt: unknown key {other}"),
                };
                (seen == *expected, seen)
            }
        };
        if !fine {
            wrong.push(format!("{key} should be {expected:?}, is {seen:?}"));
        }
    }
    (wrong, format!("{}{}", run.stdout, run.stderr))
}
