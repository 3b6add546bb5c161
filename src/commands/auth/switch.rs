//! `auth switch`: which profile is used when nobody names one.

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::{Arity, Command};
use crate::config::attributes::Attr;
use crate::config::plain::SETTINGS_SECTION;
use crate::context::Context;
use crate::error::Failure;
use crate::text;
use crate::ui::prompt::Choice;

pub(crate) static COMMAND: Command = Command {
    name: "switch",
    about: "Choose the profile that is used when nobody names one",
    details: "The choice stands in the section [__settings__] of the profile file, where the SDKs look for it too.",
    examples: &["databricks auth switch", "databricks auth switch --profile my-profile"],
    usage: "",
    arity: Arity::Exactly(0),
    hidden: false,
    usage_on_error: false,
    flags: |command| command,
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let path = context.file.path()?.display();
    if !context.file.exists()? {
        return Err(Failure::new(format!(
            "cannot load Databricks config file: no configuration file found at {path}; please create one by running 'databricks configure'"
        ))
        .into());
    }
    let profiles: Vec<_> = context.file.profiles()?.into_iter().filter(|profile| profile.get(Attr::Host).is_some()).collect();
    let name = match super::selection(context, matches)?.profile {
        Some(name) => name,
        None if !context.ui.can_prompt() => {
            return Err(Failure::new("the command is being run in a non-interactive environment, please specify a profile using --profile").into());
        }
        None => {
            let label = match context.file.default_profile()? {
                Some(present) => format!("Current default: {present}. Select a new default"),
                None => "Select a profile to set as default".to_owned(),
            };
            let choices: Vec<_> = profiles.iter().map(|profile| Choice::new(profile.name).detail(profile.get(Attr::Host).unwrap_or_default())).collect();
            let chosen = context.ui.prompter().choose(&label, &choices, true)?;
            profiles.get(chosen).map_or(String::new(), |profile| profile.name.to_owned())
        }
    };
    if !profiles.iter().any(|profile| profile.name == name) {
        let failure = Failure::new(format!("profile {} not found", text::quoted(&name)));
        let hint = match context.file.section(&name)? {
            Some(_) if name != SETTINGS_SECTION => Some(format!("It stands in {path}, but without a host: no workspace could be the default")),
            _ => crate::config::file::hint_of_profiles(&context.file, &name),
        };
        return Err(hint.into_iter().fold(failure, Failure::hint).into());
    }
    context.file.set_default_profile(&name)?;
    context.ui.note(&format!("Default profile set to {}.", text::quoted(&name)));
    Ok(())
}
