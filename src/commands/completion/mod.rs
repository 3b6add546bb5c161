//! `completion`: the scripts that bring the Tab key to a shell, and their place in its startup file. What the key offers is worked out in [`answer`].

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::{Arity, Command, Group, Node, arguments};
use crate::context::Context;

pub(crate) mod answer;
mod install;
mod line;
mod shells;

pub(crate) static GROUP: Group = Group {
    name: "completion",
    about: "Complete commands, flags and names with the Tab key of your shell",
    commands: &[
        Node::Command(&BASH),
        Node::Command(&FISH),
        Node::Command(&install::INSTALL),
        Node::Command(&POWERSHELL),
        Node::Command(&install::STATUS),
        Node::Command(&install::UNINSTALL),
        Node::Command(&ZSH),
    ],
};

static BASH: Command = script(
    "bash",
    "Print the completion script for bash",
    "It works with and without the package bash-completion, from bash 4 on.",
    &["eval \"$(databricks completion bash)\"", "databricks completion bash > /etc/bash_completion.d/databricks"],
);

static FISH: Command = script(
    "fish",
    "Print the completion script for fish",
    "",
    &["databricks completion fish | source", "databricks completion fish > ~/.config/fish/completions/databricks.fish"],
);

static POWERSHELL: Command =
    script("powershell", "Print the completion script for PowerShell", "", &["databricks completion powershell | Out-String | Invoke-Expression"]);

static ZSH: Command = script(
    "zsh",
    "Print the completion script for zsh",
    "It needs zsh's own completion: `autoload -Uz compinit && compinit` in .zshrc, above it.",
    &["eval \"$(databricks completion zsh)\"", "databricks completion zsh > \"${fpath[1]}/_databricks\""],
);

const fn script(name: &'static str, about: &'static str, details: &'static str, examples: &'static [&'static str]) -> Command {
    Command {
        name,
        about,
        details,
        examples,
        usage: "",
        arity: Arity::NoCommands,
        hidden: false,
        usage_on_error: false,
        flags: |command| command.arg(arguments::switch("no-descriptions", "Offer the names alone, without what they are")),
        run: print,
    }
}

fn print(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let name = context.command.rsplit(' ').next().unwrap_or_default();
    if let Some(shell) = shells::find(name) {
        context.ui.out(&shell.script(!arguments::is_on(matches, "no-descriptions")));
    }
    Ok(())
}
