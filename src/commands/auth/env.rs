//! `auth env`: the settings of a profile as environment variables.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::ArgMatches;

use crate::auth::Lasting;
use crate::commands::{Arity, Command, hand_over};
use crate::config::attributes::Attr;
use crate::config::file::DEFAULT_PROFILE;
use crate::config::settings::Settings;
use crate::context::Context;
use crate::env;
use crate::handover::{FORMATS, Parcel, Variable};

pub(crate) static COMMAND: Command = Command {
    name: "env",
    about: "Print a profile as environment variables, its secrets included",
    details: "Without --profile and --host the profile DEFAULT is meant. Nothing is asked of the workspace: a wrong token is printed like a right one.\n\n\
              --format says for whom they are written, whatever -o says. github masks the secrets in the log of the job before it adds the variables.",
    examples: &[
        "databricks auth env --profile DEFAULT",
        "export DATABRICKS_TOKEN=$(databricks auth env --profile my-profile | jq -r .env.DATABRICKS_TOKEN)",
        "eval \"$(databricks auth env --format sh --profile my-profile)\"",
        "databricks auth env --format fish --profile my-profile | source",
        "databricks auth env --format pwsh --profile my-profile | Invoke-Expression",
        "(umask 077; databricks auth env --format dotenv --profile my-profile > .env)",
        "databricks auth env --format github --profile ci",
        "curl --netrc-file <(databricks auth env --format netrc) https://my-workspace.cloud.databricks.com/api/2.0/token/list",
    ],
    usage: "",
    arity: Arity::Ignored,
    hidden: false,
    usage_on_error: true,
    flags: |command| command.arg(hand_over::flag(FORMATS)),
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let format = hand_over::chosen(context, matches, FORMATS)?;
    let mut selection = super::selection(context, matches)?;
    selection.fallback_profile = Some(DEFAULT_PROFILE);
    let settings = Settings::resolve(&selection, &context.env, &context.file)?;
    context.remark(&settings);
    let credential = context.credential(&settings)?;
    let host = credential.host.to_string();
    let mut variables: BTreeMap<&'static str, (&str, bool)> = BTreeMap::new();
    for (attr, sourced) in settings.iter() {
        if let Some(name) = attr.row().env.first().filter(|_| attr != Attr::Profile) {
            variables.insert(name, (sourced.value.reveal(), attr.row().secret));
        }
    }
    variables.insert(env::HOST, (&host, false));
    variables.extend(settings.text(Attr::Profile).map(|name| (env::CONFIG_PROFILE, (name, false))));
    if settings.text(Attr::Cloud).is_none() {
        variables.insert(env::CLOUD, (credential.host.cloud().name(), false));
    }
    // Whatever it was made of goes in the form that every SDK knows, also where it does not stand in the profile.
    variables.insert(env::AUTH_TYPE, (credential.lasting.as_ref().map_or(credential.method, Lasting::method), false));
    match &credential.lasting {
        Some(Lasting::Token(token)) => {
            variables.insert(env::TOKEN, (token.expose(), true));
        }
        Some(Lasting::Password { user, password }) => {
            variables.insert(env::USERNAME, (user, false));
            variables.insert(env::PASSWORD, (password.expose(), true));
        }
        None => {}
    }
    let variables = variables.into_iter().map(|(name, (value, secret))| Variable { name, value, secret }).collect();
    let made = (format.write)(&Parcel { credential: Some(&credential), variables })?;
    hand_over::bring(context, format, &made)
}
