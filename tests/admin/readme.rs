//! The lines of the README, word for word.

use crate::harness::Home;

const README: &str = include_str!("../../README.md");

#[test]
fn any_endpoint_and_everybodys_tokens() {
    let (home, workspace) = Home::signed_in();
    workspace.put_file("/Volumes/main/default/files/data.bin", 1000);
    let chapter = README.split_once("\n## Any endpoint, and everybody's tokens\n").unwrap().1.split("\n#").next().unwrap();
    let lines: Vec<&str> = chapter.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert_eq!(lines.len(), 8);
    for line in lines {
        let outcome = home.script(&format!("set -o pipefail; {line}")).run();
        outcome.ok().notes("");
        // Nobody left a token unused; the file has gone elsewhere.
        let is_quiet = line.contains("--unused-for") || line.ends_with("> data.bin");
        assert_eq!(outcome.stdout.is_empty(), is_quiet, "{outcome}");
    }
    assert_eq!(std::fs::metadata(home.work().join("data.bin")).unwrap().len(), 1000);
}
