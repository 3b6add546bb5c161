//! `auth`: what is known about credentials, and which one is used.

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::{Group, Node, arguments};
use crate::config::attributes::Attr;
use crate::config::file::Profile;
use crate::config::settings::Selection;
use crate::context::Context;
use crate::error::Failure;
use crate::host::Host;
use crate::text;
use crate::ui::prompt::Choice;

mod describe;
mod env;
#[cfg(unix)]
mod exec;
mod explain;
mod headers;
pub(super) mod login;
mod logout;
mod netrc;
#[cfg(unix)]
pub(super) mod origin;
mod profiles;
#[cfg(unix)]
mod serve;
mod storage;
mod switch;
pub(super) mod token;

pub(crate) static GROUP: Group = Group {
    name: "auth",
    about: "Show, check and choose profiles, and hand their credentials over",
    commands: &[
        Node::Command(&describe::COMMAND),
        Node::Command(&env::COMMAND),
        #[cfg(unix)]
        Node::Command(&exec::COMMAND),
        Node::Command(&explain::COMMAND),
        Node::Command(&headers::COMMAND),
        Node::Command(&login::COMMAND),
        Node::Command(&logout::COMMAND),
        Node::Command(&netrc::COMMAND),
        Node::Command(&profiles::COMMAND),
        #[cfg(unix)]
        Node::Command(&serve::COMMAND),
        Node::Command(&storage::COMMAND),
        Node::Command(&switch::COMMAND),
        Node::Command(&token::COMMAND),
    ],
};

/// The flags that every command below `auth` takes.
pub(crate) fn flags(command: clap::Command) -> clap::Command {
    command
        .arg(arguments::value("host", "url", "The host whose profile is meant").global(true).help_heading("Flags"))
        .arg(arguments::value("account-id", "id", "The Databricks account").global(true).hide(true))
        .arg(arguments::value("workspace-id", "id", "The workspace").global(true).hide(true))
}

/// As [`selection`], with the bundle that counts for the commands of a workspace where `--host` names nothing.
///
/// # Errors
/// As [`selection`], and if there is a bundle that cannot be read.
fn workspace_selection(context: &Context<'_>, matches: &ArgMatches) -> Result<Selection> {
    let selection = selection(context, matches)?;
    if selection.by_host { Ok(selection) } else { context.with_bundle(selection) }
}

/// Which profile `--host` means: the only one with that host, or the default one among several.
///
/// # Errors
/// If `--profile` has another host, or no or several profiles match.
fn selection(context: &Context<'_>, matches: &ArgMatches) -> Result<Selection> {
    let mut selection = context.selection();
    let Some(wanted) = arguments::text(matches, "host") else { return Ok(selection) };
    let host = Host::parse(wanted)?;
    let profiles = context.file.profiles()?;
    let is_meant = |profile: &&Profile<'_>| profile.get(Attr::Host).and_then(|own| Host::parse(&own).ok()).is_some_and(|own| own == host);
    if let Some(name) = &selection.profile {
        let own = profiles.iter().find(|profile| profile.name == name);
        if let Some(own) = own.filter(|own| !is_meant(own)) {
            let (name, own) = (text::quoted(name), text::quoted(&own.get(Attr::Host).unwrap_or_default()));
            return Err(Failure::new(format!(
                "--profile {name} has host {own}, which conflicts with --host {}. Use --profile only to select a profile",
                text::quoted(wanted)
            ))
            .into());
        }
        return Ok(selection);
    }
    selection.by_host = true;
    let meant: Vec<&Profile<'_>> = profiles.iter().filter(is_meant).collect();
    let default = context.file.default_profile()?;
    selection.profile = match (meant.as_slice(), default) {
        ([], _) => {
            let names: Vec<_> = profiles.iter().map(|profile| text::one_line(profile.name)).collect();
            let available = if names.is_empty() { String::new() } else { format!(". Available profiles: {}", names.join(", ")) };
            return Err(Failure::new(format!("no profile found matching host {}{available}", text::quoted(wanted)))
                .hint(format!("To make one: databricks configure --host {host} --profile NAME"))
                .into());
        }
        ([only], _) => Some(only.name.to_owned()),
        (several, Some(default)) if several.iter().any(|profile| profile.name == default) => Some(default.into_owned()),
        (several, _) if context.ui.can_prompt() => {
            let choices: Vec<_> = several.iter().map(|profile| Choice::new(profile.name)).collect();
            let chosen = context.ui.prompter().choose(&format!("Multiple profiles match {host}"), &choices, true)?;
            several.get(chosen).map(|profile| profile.name.to_owned())
        }
        (several, _) => {
            let names: Vec<_> = several.iter().map(|profile| text::one_line(profile.name)).collect();
            return Err(Failure::new(format!(
                "{} match {host} in {}. Use --profile to specify which profile to use",
                names.join(" and "),
                context.file.path()?.display()
            ))
            .into());
        }
    };
    Ok(selection)
}
