//! `auth env`: the settings of a profile as environment variables.

use anyhow::Result;
use clap::ArgMatches;

use crate::auth::chain;
use crate::commands::{Arity, Command};
use crate::config::attributes::Attr;
use crate::config::file::DEFAULT_PROFILE;
use crate::config::settings::Settings;
use crate::context::Context;
use crate::env;
use crate::handover::json;

pub(crate) static COMMAND: Command = Command {
    name: "env",
    about: "Print a profile as environment variables, its secrets included",
    details: "Without --profile and --host the profile DEFAULT is meant. Nothing is asked of the workspace: a wrong token is printed like a right one.",
    examples: &["databricks auth env --profile DEFAULT", "export DATABRICKS_TOKEN=$(databricks auth env --profile my-profile | jq -r .env.DATABRICKS_TOKEN)"],
    usage: "",
    arity: Arity::Ignored,
    hidden: false,
    usage_on_error: true,
    flags: |command| command,
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let mut selection = super::selection(context, matches)?;
    selection.fallback_profile = Some(DEFAULT_PROFILE);
    let settings = Settings::resolve(&selection, &context.env, &context.file)?;
    context.remark(&settings);
    let credential = chain::acquire(&settings)?;
    let host = credential.host.to_string();
    let mut variables: Vec<(&str, &str)> = Vec::new();
    for (attr, sourced) in settings.iter() {
        if let Some(name) = attr.row().env.first().filter(|_| attr != Attr::Profile) {
            variables.push((name, sourced.value.reveal()));
        }
    }
    variables.push((env::HOST, &host));
    variables.push((env::AUTH_TYPE, credential.method));
    variables.extend(settings.text(Attr::Profile).map(|name| (env::CONFIG_PROFILE, name)));
    if settings.text(Attr::Cloud).is_none() {
        variables.push((env::CLOUD, credential.host.cloud().name()));
    }
    context.ui.out_json_bare(&json::document(&variables)?)
}
