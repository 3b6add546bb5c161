//! `completion install`, `status`, `uninstall`: one block in the startup file of a shell, between two lines that mark it as ours.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::completion::shells::{self, Shell};
use crate::commands::{Arity, Command, arguments};
use crate::context::Context;
use crate::error::Failure;
use crate::files::{self, Care};
use crate::text;

pub(crate) static INSTALL: Command = Command {
    name: "install",
    about: "Have completion in every new shell",
    details: "Adds a block of three lines to the startup file of your shell ($SHELL, or --shell) and touches no other line.",
    examples: &["databricks completion install", "databricks completion install --shell zsh --auto-approve"],
    flags: |command| command.arg(shell_flag()).arg(approve_flag()),
    run: install,
    ..PLAIN
};

pub(crate) static STATUS: Command = Command {
    name: "status",
    about: "Show whether completion is installed, and where",
    examples: &["databricks completion status", "databricks completion status --shell fish"],
    flags: |command| command.arg(shell_flag()),
    run: status,
    ..PLAIN
};

pub(crate) static UNINSTALL: Command = Command {
    name: "uninstall",
    about: "Take completion out of the startup file again",
    details: "Removes the block that `completion install` added, and nothing else.",
    examples: &["databricks completion uninstall", "databricks completion uninstall --shell zsh --auto-approve"],
    flags: |command| command.arg(shell_flag()).arg(approve_flag()),
    run: uninstall,
    ..PLAIN
};

const PLAIN: Command = Command {
    name: "",
    about: "",
    details: "",
    examples: &[],
    usage: "",
    arity: Arity::NoCommands,
    hidden: false,
    usage_on_error: false,
    flags: |command| command,
    run: |_, _| Ok(()),
};

/// Compat: the official CLI finds its block by these lines, and we find the ones that it wrote.
const BEGIN: &str = "# BEGIN databricks-cli completion";
const END: &str = "# END databricks-cli completion";
/// Largest startup file that is read.
const SIZE_LIMIT: u64 = 16 << 20;

fn shell_flag() -> clap::Arg {
    arguments::value("shell", "bash|zsh|fish|powershell|powershell5", "The shell; without it the one that $SHELL names")
}

fn approve_flag() -> clap::Arg {
    arguments::switch("auto-approve", "Do not ask")
}

/// A shell with its startup file.
struct Place {
    shell: &'static Shell,
    path: PathBuf,
}

impl Place {
    fn of(context: &Context<'_>, matches: &ArgMatches) -> Result<Self> {
        let shell = shells::meant(arguments::text(matches, "shell"), &context.env)?;
        Ok(Self { shell, path: shell.startup_file(&context.env)? })
    }

    fn shown(&self) -> String {
        text::one_line(&self.path.display().to_string()).into_owned()
    }

    fn read(&self) -> Result<Option<Vec<u8>>> {
        Ok(files::read(&self.path, SIZE_LIMIT)?)
    }

    /// Where the blocks of this file are.
    fn blocks(&self, bytes: &[u8]) -> Result<Vec<Range<usize>>, Failure> {
        blocks(bytes).map_err(|line| {
            Failure::new(format!("{}:{line}: the block of databricks has no line \"{END}\"", self.shown()))
                .hint(format!("Nothing was written. Remove line {line} and what belongs to it, then try again"))
        })
    }

    fn update(&self, change: impl Fn(&[u8]) -> Result<Option<Vec<u8>>>) -> Result<()> {
        let outcome = files::update_with(&self.path, SIZE_LIMIT, Care::Settings, |before| change(before.unwrap_or_default()));
        outcome.map(drop).map_err(|error| {
            let line = format!("To do it by hand, this is the line for that file: {}", self.shell.loader);
            Failure::new(format!("{error:#}")).hint(line).into()
        })
    }

    /// What stands in the way of completion although the block is there.
    fn remark(&self, context: &Context<'_>, bytes: &[u8]) {
        let Some((words, line)) = self.shell.needs else { return };
        let text = String::from_utf8_lossy(bytes);
        let is_there = text.lines().map(str::trim_start).any(|line| !line.starts_with('#') && words.iter().any(|word| line.contains(word)));
        if !is_there {
            context.ui.warn(&format!(
                "{} does not call compinit, without which {} completes nothing. Above the block, add: {line}",
                self.shown(),
                self.shell.name
            ));
        }
    }
}

fn install(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let place = Place::of(context, matches)?;
    let name = place.shell.name;
    let present = place.read()?.unwrap_or_default();
    if !place.blocks(&present)?.is_empty() {
        context.ui.note(&format!("Databricks CLI completions are already installed for {name} in {}.", place.shown()));
        place.remark(context, &present);
        return Ok(());
    }
    if !approved(context, matches, &format!("Add completion for {name} to {}?", place.shown()))? {
        return Ok(());
    }
    if let Some(folder) = place.path.parent() {
        files::make_folder(folder)?;
    }
    place.update(|before| Ok(place.blocks(before)?.is_empty().then(|| with_block(before, place.shell.loader))))?;
    context.ui.note(&format!("Databricks CLI completions installed for {name}."));
    context.ui.note(&format!("Restart your shell or run 'source {}' to activate.", place.shown()));
    place.remark(context, &present);
    Ok(())
}

fn uninstall(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let place = Place::of(context, matches)?;
    let name = place.shell.name;
    if place.blocks(&place.read()?.unwrap_or_default())?.is_empty() {
        context.ui.note(&format!("Databricks CLI completions were not installed for {name}."));
        return Ok(());
    }
    if !approved(context, matches, &format!("Remove completion for {name} from {}?", place.shown()))? {
        return Ok(());
    }
    place.update(|before| {
        let blocks = place.blocks(before)?;
        Ok((!blocks.is_empty()).then(|| without_blocks(before, &blocks)))
    })?;
    // A file that only ever held the block goes with it: an empty one would hide a completion that is installed for all users.
    files::remove_if_empty(&place.path)?;
    context.ui.note(&format!("Databricks CLI completions removed for {name} from {}.", place.shown()));
    Ok(())
}

fn status(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let place = Place::of(context, matches)?;
    let bytes = place.read()?.unwrap_or_default();
    let installed = !place.blocks(&bytes)?.is_empty();
    context.ui.note(&format!("Shell:   {}", place.shell.name));
    context.ui.note(&format!("File:    {}", place.shown()));
    context.ui.note(&format!("Status:  {}", if installed { "installed" } else { "not installed" }));
    if installed {
        place.remark(context, &bytes);
    }
    Ok(())
}

fn approved(context: &Context<'_>, matches: &ArgMatches, question: &str) -> Result<bool> {
    if arguments::is_on(matches, "auto-approve") {
        return Ok(true);
    }
    if !context.ui.can_prompt() {
        return Err(Failure::new("please specify --auto-approve to skip confirmation in non-interactive mode").into());
    }
    context.ui.prompter().confirm(question)
}

/// The bytes of every block, line ends included; the line number of a beginning without an end.
fn blocks(bytes: &[u8]) -> Result<Vec<Range<usize>>, usize> {
    let mut blocks = Vec::new();
    let mut open = None;
    let mut at = 0;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let words = line.trim_ascii();
        if words == BEGIN.as_bytes() {
            if let Some((_, number)) = open {
                return Err(number);
            }
            open = Some((at, index + 1));
        } else if words == END.as_bytes()
            && let Some((start, _)) = open.take()
        {
            blocks.push(start..at + line.len());
        }
        at += line.len();
    }
    open.map_or(Ok(blocks), |(_, number)| Err(number))
}

/// The file with a block at its end. A last line without a line feed gets one: what others append to the file later must not end up in our last line.
fn with_block(before: &[u8], loader: &str) -> Vec<u8> {
    let gap = if before.is_empty() || before.ends_with(b"\n") { "" } else { "\n" };
    [before, format!("{gap}{BEGIN}\n{loader}\n{END}\n").as_bytes()].concat()
}

fn without_blocks(before: &[u8], blocks: &[Range<usize>]) -> Vec<u8> {
    let mut after = before.to_vec();
    for block in blocks.iter().rev() {
        after.drain(block.clone());
    }
    after
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_block_comes_and_goes_without_a_trace(before in proptest::collection::vec(any::<u8>(), 0..200), behind in "([a-z# ]*\r?\n)*") {
            let with = with_block(&before, "load");
            let more = [with.as_slice(), behind.as_bytes()].concat();
            let found = blocks(&more).expect("whole blocks");
            prop_assert_eq!(found.len(), 1);
            let gap: &[u8] = if before.is_empty() || before.ends_with(b"\n") { b"" } else { b"\n" };
            prop_assert_eq!(without_blocks(&more, &found), [before.as_slice(), gap, behind.as_bytes()].concat());
        }
    }

    #[test]
    fn blocks_are_found_whatever_their_line_ends_and_an_open_one_is_an_error() {
        let text = format!("a\r\n  {BEGIN}\r\nx\r\n{END}\r\nb\n{BEGIN}\ny\n{END}");
        let found = blocks(text.as_bytes()).expect("blocks");
        assert_eq!(without_blocks(text.as_bytes(), &found), b"a\r\nb\n");
        assert_eq!(blocks(format!("a\n{BEGIN}\nx\n").as_bytes()), Err(2));
        assert_eq!(blocks(format!("{BEGIN}\n{BEGIN}\n{END}\n").as_bytes()), Err(1));
        assert_eq!(blocks(format!("{END}\necho {BEGIN}\n").as_bytes()), Ok(vec![]));
    }
}
