//! The README's chapters "From the shell" and "In CI", run as they stand.

use crate::harness::{Home, profile};
use crate::workspace::Workspace;

/// The commands of a chapter, in which a workspace has the place of the example's.
fn chapter(title: &str, workspace: &Workspace) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let text = readme.split_once(&format!("## {title}\n")).expect(title).1.split("\n## ").next().unwrap();
    let commands: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.replace("https://my-workspace.cloud.databricks.com", workspace.https_url()))
        .collect();
    assert!(commands.len() > 1, "{title} has no commands");
    commands
}

#[test]
fn from_the_shell() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    home.trusts(&workspace);
    home.write_config(profile("my-profile", workspace.https_url(), workspace.token()));
    home.store(home.path().join(".netrc"));
    home.store(home.work().join(".env"));
    let commands = chapter("From the shell", &workspace);
    let script = commands.iter().map(|command| format!("{command}\n")).collect::<String>();
    let outcome = home.script(&format!("set -euo pipefail\n{script}\necho; echo \"$DATABRICKS_TOKEN\"; cat .env")).reveals().run();
    outcome.ok().shows("machine localhost\nlogin token\npassword ********\n").shows(&format!("\nDATABRICKS_TOKEN={}\n", workspace.token()));
    outcome.shows(&format!("\n{}\n", workspace.token()));
    assert_eq!(outcome.stdout.matches("\"token_infos\"").count(), 2, "{outcome}");
    assert_eq!(std::fs::read_to_string(home.path().join(".netrc")).unwrap(), "");
}

#[test]
fn in_ci() {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    home.trusts(&workspace);
    let file = home.work().join("github_env");
    home.store(&file);
    let script = chapter("In CI", &workspace).join("\n");
    let outcome = home.script(&format!("set -euo pipefail\n{script}")).env("CI_TOKEN", workspace.token()).env("GITHUB_ENV", &file).reveals().run();
    outcome.ok().prints(&format!("::add-mask::{}\n", workspace.token()));
    assert!(std::fs::read_to_string(&file).unwrap().contains(&format!("\nDATABRICKS_TOKEN={}\n", workspace.token())));
}
