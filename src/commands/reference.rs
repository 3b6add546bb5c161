//! `docs/reference.md`: made from the same tables as the commands themselves. The test below fails when the two differ; `make reference` writes the file anew.

use crate::auth::METHODS;
use crate::auth::methods::FOREIGN;
use crate::commands::{Node, help_page, root};
use crate::config::attributes::{ATTRIBUTES, Reading};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference.md");

fn document() -> String {
    let mut page = String::from(
        "# Reference\n\nMade by `make reference` from the tables in `src/`; a test keeps it in step. Do not edit it by hand.\n\n\
         ## Commands\n\nEvery command ends with 0, or with 1 and `Error: …` on standard error; `psql` ends as the program that it runs.\n",
    );
    for node in root() {
        describe(*node, &mut vec![], &mut page);
    }
    page += &format!("\n## Commands of the official CLI\n\n```text\n{}```\n", crate::commands::fallback::ABOUT);
    page += "\n## Auth types\n\nIn the order in which they are tried where `auth_type` names none.\n\n| auth type | name | needs, beside the host |\n|---|---|---|\n";
    for method in METHODS {
        let mut needs: Vec<_> = method.needs.iter().map(|attr| format!("`{}`", attr.name())).collect();
        if !method.automatic {
            needs.push(format!("`auth_type = {}`: it is never tried by itself", method.name));
        }
        page += &format!("| `{}` | {} | {} |\n", method.name, method.title, needs.join(", "));
    }
    let foreign: Vec<_> = FOREIGN.iter().map(|name| format!("`{name}`")).collect();
    page += &format!("\nKnown to the SDKs, and named as such in messages, but not part of this version: {}.\n", foreign.join(", "));
    page += "\n## Attributes\n\nKeys of the profile file and their environment variables. An empty value counts as none.\n\n| key | environment | meaning |\n|---|---|---|\n";
    for row in &ATTRIBUTES {
        let keys: Vec<_> = [row.name].into_iter().chain(row.alias).map(|key| format!("`{key}`")).collect();
        let variables: Vec<_> = row.env.iter().map(|name| format!("`{name}`")).collect();
        let kind = match row.reading {
            Reading::Text => "",
            Reading::Number => " A whole number.",
            Reading::Switch => " `true` or `false`.",
            Reading::List => " Separated by commas or spaces.",
        };
        let secret = if row.secret { " Secret." } else { "" };
        page += &format!("| {} | {} | {}{kind}{secret} |\n", keys.join(", "), variables.join(", "), row.about);
    }
    page
}

fn describe(node: Node, words: &mut Vec<&'static str>, page: &mut String) {
    words.push(node.name());
    match node {
        Node::Group(_) | Node::Api(_) => {
            *page += &format!("\n### {}\n\n{}.\n", words.join(" "), node.about());
            for child in node.children() {
                describe(child, words, page);
            }
        }
        Node::Command(_) | Node::Endpoint(_) => {
            let help = help_page(words);
            let own = help.split("\nGlobal flags:").next().unwrap_or_default();
            let examples = help.split_once("\nExamples:").map_or("", |(_, examples)| examples);
            let level = if words.len() > 1 { "####" } else { "###" };
            *page += &format!("\n{level} {}\n\n```text\n{}\n\nExamples:{}\n```\n", words.join(" "), own.trim_end(), examples.trim_end());
        }
    }
    words.pop();
}

#[test]
fn the_reference_is_in_step_with_the_code() {
    let wanted = document();
    if crate::env::Env::of_process().get("UPDATE_REFERENCE").is_some() {
        #[expect(clippy::disallowed_methods, reason = "a file of this repository, not of a user")]
        std::fs::write(PATH, &wanted).expect("docs/reference.md");
    }
    let present = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(present == wanted, "docs/reference.md is out of step: run `make reference` and look at the difference");
}
