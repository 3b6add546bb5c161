//! `help`: the help of any command, by its words.

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::{Arity, Command, arguments, command_line, fallback, walk};
use crate::context::Context;
use crate::text;

pub(crate) static COMMAND: Command = Command {
    name: "help",
    about: "Show the help of a command",
    details: "The topic fallback tells what becomes of commands that only the official CLI has.",
    examples: &["databricks help tokens create", "databricks help fallback"],
    usage: "[command]",
    arity: Arity::Any,
    hidden: false,
    usage_on_error: true,
    flags: |command| command,
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let words = arguments::positionals(matches);
    let (_, known) = walk(&words);
    if words == [fallback::TOPIC] {
        context.ui.out(&fallback::ABOUT.replace('`', ""));
        return Ok(());
    }
    if known < words.len() {
        // Compat: an unknown topic is told, and is no error.
        let topic = text::one_line(&words.join(" ")).into_owned();
        context.ui.note(&format!("Unknown help topic [`{topic}`]. For all commands: databricks help"));
        return Ok(());
    }
    context.ui.out(&page(&words));
    Ok(())
}

/// The help page of the command at the end of these words.
pub(crate) fn page(words: &[&str]) -> String {
    arguments::rendered(&at(words).render_help().to_string())
}

/// The clap command at the end of these words, built as if it had been called.
pub(crate) fn at(words: &[&str]) -> clap::Command {
    let mut command = command_line(words);
    command.build();
    for word in words {
        if let Some(next) = command.find_subcommand(word) {
            command = next.clone();
        }
    }
    command
}
