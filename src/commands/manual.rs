//! `docs/man`: a manual page for each command, made from the same tables as the commands themselves. The test below fails when the two differ; `make reference` writes
//! the pages anew.

use std::collections::BTreeMap;
use std::path::Path;

use clap_mangen::Man;

use crate::commands::{Node, VERSION, help, help_at, root};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/man");
/// When the pages were last made different, for their foot.
const DATE: &str = "2026-11-22";

/// Longest title, in characters, of which two stand beside the name of the manual in 80 columns.
const LONGEST_TITLE: usize = 30;

/// Every page by its file name.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut overview = page(&[], "Obtain, store, use, hand over and revoke Databricks credentials", "", root(), &[]);
    for topic in help::TOPICS {
        let title = match topic.name {
            "config" => "FILES".to_owned(),
            "exit-codes" => "EXIT STATUS".to_owned(),
            name => name.replace('-', " ").to_uppercase(),
        };
        overview += &format!(".SH {title}\n{}", verbatim(&(topic.text)()));
    }
    pages.insert("databricks.1".to_owned(), overview);
    for node in root() {
        add(*node, &mut Vec::new(), &mut pages);
    }
    pages
}

fn add(node: Node, words: &mut Vec<&'static str>, pages: &mut BTreeMap<String, String>) {
    words.push(node.name());
    let (details, examples) = match node {
        Node::Command(command) => (command.details, command.examples),
        Node::Endpoint(endpoint) => (endpoint.details, endpoint.examples),
        Node::Group(_) | Node::Api(_) => ("", &[][..]),
    };
    if !node.is_hidden() {
        let mut page = page(words, node.about(), details, &node.children(), examples);
        page += ".SH SEE ALSO\n.BR databricks (1)\n";
        pages.insert(format!("databricks-{}.1", words.join("-")), page);
        for child in node.children() {
            add(child, words, pages);
        }
    }
    words.pop();
}

fn page(words: &[&'static str], about: &str, details: &str, children: &[Node], examples: &[&str]) -> String {
    let name = [&["databricks"], words].concat().join("-");
    let details = if details.is_empty() { String::new() } else { format!("\n\n{details}") };
    let command = help_at(words).display_name(name.clone()).bin_name(name.replace('-', " ")).about(about.to_owned()).long_about(format!("{about}.{details}"));
    // A longer title would run into the words beside it at the head of the page.
    let title = if name.len() > LONGEST_TITLE { words.last().map_or(name.as_str(), |word| word) } else { &name };
    let man = Man::new(command).title(title.to_uppercase()).section("1").date(DATE).source(format!("databricks {VERSION}")).manual("Databricks credentials");
    let mut page = Vec::new();
    man.render_title(&mut page).and_then(|()| man.render_name_section(&mut page)).expect("a page");
    man.render_synopsis_section(&mut page).and_then(|()| man.render_description_section(&mut page)).expect("a page");
    let mut page = String::from_utf8(page).expect("text");
    let shown: Vec<&Node> = children.iter().filter(|child| !child.is_hidden()).collect();
    if !shown.is_empty() {
        page += ".SH COMMANDS\n";
        for child in shown {
            page += &format!(".TP\n.BR {} (1)\n{}\n", escaped(&format!("{name}-{}", child.name())), escaped(child.about()));
        }
    }
    let mut options = Vec::new();
    man.render_options_section(&mut options).expect("a page");
    page += &String::from_utf8(options).expect("text");
    if !examples.is_empty() {
        page += &format!(".SH EXAMPLES\n{}", verbatim(&examples.join("\n")));
    }
    page
}

/// Lines as they are.
fn verbatim(text: &str) -> String {
    format!(".nf\n{}\n.fi\n", text.trim_end().lines().map(escaped).collect::<Vec<_>>().join("\n"))
}

/// A line in which nothing is a request to the formatter.
fn escaped(line: &str) -> String {
    let text = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga").replace('^', "\\(ha").replace('~', "\\(ti");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

#[test]
fn the_manual_is_in_step_with_the_code() {
    let wanted = pages();
    let present = || -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(FOLDER).into_iter().flatten().map(|entry| entry.expect("an entry").path());
        entries.map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), std::fs::read_to_string(path).expect("a page"))).collect()
    };
    if crate::env::Env::of_process().get("UPDATE_REFERENCE").is_some() {
        std::fs::create_dir_all(FOLDER).expect("docs/man");
        for gone in present().keys().filter(|name| !wanted.contains_key(*name)) {
            std::fs::remove_file(Path::new(FOLDER).join(gone)).expect("an old page");
        }
        for (name, page) in &wanted {
            #[expect(clippy::disallowed_methods, reason = "a file of this repository, not of a user")]
            std::fs::write(Path::new(FOLDER).join(name), page).expect("a page");
        }
    }
    let present = present();
    let different: Vec<&String> = wanted.keys().chain(present.keys()).filter(|name| wanted.get(*name) != present.get(*name)).collect();
    assert!(different.is_empty(), "docs/man is out of step: run `make reference` and look at the difference: {different:?}");
}
