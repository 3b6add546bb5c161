//! `help`: the help of any command, by its words, and what is said of no single command.

use std::borrow::Cow;

use anyhow::Result;
use clap::ArgMatches;

use crate::auth::METHODS;
use crate::commands::{Arity, Command, Node, Others, arguments, command_line, fallback, root, walk};
use crate::config::attributes::{ATTRIBUTES, Attribute};
use crate::context::Context;
use crate::env;
use crate::text;

pub(crate) static COMMAND: Command = Command {
    name: "help",
    about: "Show the help of a command or a topic",
    details: "",
    examples: &["databricks help tokens create", "databricks help environment"],
    usage: "[command]",
    arity: Arity::Any,
    hidden: false,
    usage_on_error: true,
    flags: |command| command,
    run,
};

/// Something to read about that is no command, or more than one.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The text, in lines of at most 100 characters.
    pub(crate) text: fn() -> String,
}

pub(crate) static TOPICS: &[Topic] = &[
    Topic { name: "auth-types", about: "The ways to sign in, and what each needs", text: auth_types },
    Topic { name: "completion", about: "The Tab key: what it completes, and how it comes to your shell", text: completion },
    Topic { name: "config", about: "The profile file, and which value counts", text: config },
    Topic { name: "environment", about: "The environment variables that are read", text: environment },
    Topic { name: "exit-codes", about: "What the exit code and the two output streams tell a script", text: exit_codes },
    Topic { name: "fallback", about: "What becomes of commands that only the official CLI has", text: || fallback::ABOUT.replace('`', "") },
];

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let words = arguments::positionals(matches);
    let topic = match words.as_slice() {
        [word] => TOPICS.iter().find(|topic| topic.name == *word),
        _ => None,
    };
    let (_, known) = walk(&words);
    if known < words.len() && topic.is_none() {
        // Compat: an unknown topic is told, and is no error.
        let words = text::one_line(&words.join(" ")).into_owned();
        context.ui.note(&format!("Unknown help topic [`{words}`]. For all commands: databricks help"));
        return Ok(());
    }
    if known == words.len() {
        context.ui.out(&page(&words));
    }
    if let Some(topic) = topic {
        context.ui.out(&if known > 0 { format!("\n{}", (topic.text)()) } else { (topic.text)() });
    }
    Ok(())
}

/// What stands in `overview.txt`: the page without words, made by `make reference`. Many see it, it never changes, and making it takes as long as all else of a start.
#[cfg(unix)]
const OVERVIEW: Option<&str> = Some(include_str!("overview.txt"));
/// Elsewhere there are other commands.
#[cfg(not(unix))]
const OVERVIEW: Option<&str> = None;

/// The help page of the command at the end of these words.
pub(crate) fn page(words: &[&str]) -> Cow<'static, str> {
    match OVERVIEW {
        Some(overview) if words.is_empty() => overview.into(),
        _ => made(words).into(),
    }
}

fn made(words: &[&str]) -> String {
    arguments::rendered(&at(words).render_help().to_string())
}

/// The clap command at the end of these words, built as if it had been called.
pub(crate) fn at(words: &[&str]) -> clap::Command {
    let (node, known) = walk(words);
    let mut command = command_line(words, Others::LeftOut);
    command.build();
    for word in &words[..known] {
        if let Some(next) = command.find_subcommand_mut(word) {
            command = std::mem::take(next);
        }
    }
    if node.is_none() {
        command = command.after_help(end_of_overview());
    }
    // Listed once all is built: no flag is copied to commands that are only named.
    command.subcommands(node.map_or_else(|| root().to_vec(), Node::children).into_iter().map(Node::listed))
}

/// What stands below the list of all commands.
pub(crate) fn end_of_overview() -> String {
    let topics: Vec<_> = TOPICS.iter().map(|topic| (topic.name, topic.about)).collect();
    format!("Help topics:\n{}\nUse \"databricks [command] --help\" for more about a command, \"databricks help [topic]\" about a topic.", columns(&topics))
}

/// Two columns, the left one as wide as it must be.
fn columns(rows: &[(&str, &str)]) -> String {
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    rows.iter().map(|(left, right)| format!("  {left:width$}  {right}").trim_end().to_owned() + "\n").collect()
}

fn auth_types() -> String {
    let rows: Vec<(String, String)> = METHODS
        .iter()
        .map(|method| {
            let needs = |row: &&&Attribute| if let [variable, ..] = row.env { format!("{} ({variable})", row.name) } else { row.name.to_owned() };
            let rows: Vec<_> = method.needs.iter().map(|attr| attr.row()).collect();
            (method.name.to_owned(), format!("{}: {}", method.title, rows.iter().map(|row| needs(&row)).collect::<Vec<_>>().join(", ")))
        })
        .collect();
    let rows: Vec<(&str, &str)> = rows.iter().map(|(name, needs)| (name.as_str(), needs.as_str())).collect();
    format!(
        "An auth type is a way to sign in. Each needs a host (DATABRICKS_HOST), and besides:\n\n{}\n\
         They are tried in this order, and the first that has what it needs is used. auth_type in the profile\n\
         or DATABRICKS_AUTH_TYPE names one, and then no other is tried.\n\n\
         Values of two auth types at once are refused, because nobody could say which one was meant.\n\
         What is used, and why: databricks auth describe\n",
        columns(&rows)
    )
}

fn completion() -> String {
    "The Tab key completes commands, flags and their values, profiles and hosts of the profile file, and the ids\n\
     of clusters, tokens and database instances that earlier commands saw. It never asks a workspace.\n\n\
     To have it in every new shell:      databricks completion install\n\
     To try it in this one, in bash:     eval \"$(databricks completion bash)\"\n\
     To see where it is installed:       databricks completion status\n\n\
     Names are data: whatever characters they have, they are quoted for your shell and never run. A name with\n\
     a line break or another control character is not offered.\n\n\
     Seen names are kept in ~/.cache/databricks/names (DATABRICKS_CACHE_DIR, XDG_CACHE_HOME), one small file a\n\
     workspace, readable by you alone. DATABRICKS_CACHE_ENABLED=false turns that off.\n\n\
     Scripts that the official CLI installed work with this program unchanged.\n"
        .to_owned()
}

fn config() -> String {
    let rows: Vec<_> = ATTRIBUTES.iter().map(|row| (row.name, row.about)).collect();
    format!(
        "Profiles stand in ~/.databrickscfg, or in the file that DATABRICKS_CONFIG_FILE names:\n\n\
         \x20 [my-profile]\n\
         \x20 host  = https://my-workspace.cloud.databricks.com\n\
         \x20 token = dapi...\n\n\
         --profile names the one to use, then DATABRICKS_CONFIG_PROFILE; without them it is the one that\n\
         `databricks auth switch` chose, else DEFAULT. --profile beats the environment, the environment beats a\n\
         profile that a variable named, and DATABRICKS_HOST turns the default profile off.\n\n\
         Lines that begin with # or ; are comments. The program changes no line that is not its own, and keeps the\n\
         file readable by you alone. What counts, and where it comes from: databricks auth describe\n\n\
         Keys:\n{}",
        columns(&rows)
    )
}

fn environment() -> String {
    let attributes: Vec<_> = ATTRIBUTES.iter().flat_map(|row| row.env.iter().map(|name| (*name, row.about))).collect();
    format!(
        "An empty variable counts as none.\n\nWho signs in, and where (the same as the keys of the profile file):\n{}\nHow the program works:\n{}",
        columns(&attributes),
        columns(env::BEHAVIOUR)
    )
}

fn exit_codes() -> String {
    "  0  The command did what it says.\n\
     \x20 1  It did not: `Error: ...` on standard error says why, and lines with `Hint: ` what to try.\n\n\
     Data goes to standard output, and everything else to standard error: `databricks ... | jq` sees data alone.\n\
     `psql` ends with the code of the program that it runs, and by the signal that ended that.\n\
     `auth describe` ends with 0 whatever it finds. A pipe that is closed early (`| head`) is no error.\n\
     Ended by a signal, the shell reports 128 and its number: 130 after Ctrl-C.\n"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_overview_is_in_step_with_the_code() {
        let wanted = made(&[]);
        if env::Env::of_process().get("UPDATE_REFERENCE").is_some() {
            #[expect(clippy::disallowed_methods, reason = "a file of this repository, not of a user")]
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/commands/overview.txt"), &wanted).expect("overview.txt");
        } else {
            assert!(page(&[]) == wanted, "src/commands/overview.txt is out of step: run `make reference` and look at the difference");
        }
    }

    #[test]
    fn topics_are_plain_text_in_their_order() {
        assert!(TOPICS.is_sorted_by_key(|topic| topic.name));
        for topic in TOPICS {
            let text = (topic.text)();
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{}", topic.name);
            assert!(text.lines().all(|line| line == line.trim_end()), "{}", topic.name);
        }
    }

    #[test]
    fn every_variable_that_steers_the_program_is_explained() {
        let source = include_str!("../env.rs");
        let part = source.split_once("// How the tool itself behaves.").expect("the part").1.split("\n\n").next().expect("its end");
        let all = environment() + &completion();
        for name in part.lines().filter_map(|line| line.split('"').nth(1)) {
            assert!(all.contains(name), "{name} is in no help topic: give it a row in env::BEHAVIOUR");
        }
    }
}
