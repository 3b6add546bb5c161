//! `database env`: how to connect, as libpq's variables.

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::{Arity, Command, hand_over};
use crate::context::Context;
use crate::handover::{FORMATS, Format, Parcel, Variable, netrc};

pub(super) static COMMAND: Command = Command {
    name: "env",
    about: "Print a database's connection settings as environment variables, a password that lives an hour included",
    details: DETAILS,
    examples: &[
        "eval \"$(databricks database env my-instance --format sh)\" && pg_dump > dump.sql",
        "databricks database env projects/my-project --format dotenv > .env",
        "databricks database env my-instance | jq -r .env.PGHOST",
    ],
    usage: "[TARGET]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| super::ssl_flag(super::target_flags(command)).arg(hand_over::flag(&formats())),
    run,
};

const DETAILS: &str = "TARGET is the name of an instance, or projects/NAME with /branches/NAME and /endpoints/NAME behind it where a project has several.\n\n\
     A password is asked for at the login only: what is connected stays connected when it ends, and what connects later needs a new one.";

/// All but the one that holds a credential of a host.
fn formats() -> Vec<&'static Format> {
    FORMATS.iter().copied().filter(|format| format.name != netrc::FORMAT.name).collect()
}

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let format = hand_over::chosen(context, matches, &formats())?;
    let settings = super::settings(context, matches, true)?;
    let variables = settings.variables()?;
    let variables = variables.iter().map(|(name, value)| Variable { name, value, secret: *name == crate::env::PGPASSWORD }).collect();
    for name in super::detours(context) {
        match hand_over::unset_line(format.name, name) {
            Some(line) => context.ui.out(&line),
            None => context.ui.warn(&super::detour(name)),
        }
    }
    let made = (format.write)(&Parcel { credential: None, variables })?;
    hand_over::bring(context, format, &made)
}
