//! `database env`: how to connect, as libpq's variables.

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, arguments};
use crate::context::Context;
use crate::error::Failure;
use crate::files;
use crate::handover::{self, FORMATS, Parcel, Variable};
use crate::ui::Audience;

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
    flags: |command| {
        let names: Vec<&str> = formats().map(|format| format.name).collect();
        let said: Vec<String> = formats().map(|format| format!("{} ({})", format.name, format.about)).collect();
        super::ssl_flag(super::target_flags(command)).arg(arguments::value(
            "format",
            names.join("|").leak(),
            &format!("How to write them: {}", said.join(", ")),
        ))
    },
    run,
};

const DETAILS: &str = "TARGET is the name of an instance, or projects/NAME with /branches/NAME and /endpoints/NAME behind it where a project has several.\n\n\
     A password is asked for at the login only: what is connected stays connected when it ends, and what connects later needs a new one.";

/// All but the one that holds a credential of a host.
fn formats() -> impl Iterator<Item = &'static handover::Format> {
    FORMATS.iter().copied().filter(|format| format.name != handover::netrc::FORMAT.name)
}

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let format = match arguments::text(matches, "format") {
        None => FORMATS[0],
        Some(name) => handover::find(name).filter(|format| format.name != handover::netrc::FORMAT.name).ok_or_else(|| {
            let known: Vec<&str> = formats().map(|format| format.name).collect();
            context.usage_error(UsageError::new(invalid_argument(name, "--format", &format!("accepted arguments are {}", known.join(", ")))))
        })?,
    };
    let settings = super::settings(context, matches, true)?;
    let variables = settings.variables()?;
    let variables = variables.iter().map(|(name, value)| Variable { name, value, secret: *name == crate::env::PGPASSWORD }).collect();
    let made = (format.write)(&Parcel { credential: None, variables })?;
    let file = match &made.file {
        None => None,
        Some((variable, lines)) => {
            let path = context
                .env
                .path(variable)
                .ok_or_else(|| Failure::new(format!("{variable} is not set: --format {} is for a job that has a file there", format.name)))?;
            Some((path, lines))
        }
    };
    if made.is_json {
        context.ui.out_json_bare(&made.text)?;
    } else {
        context.ui.out(&made.text);
    }
    for remark in &made.remarks {
        context.ui.warn(remark);
    }
    let Some((path, lines)) = file else { return Ok(()) };
    if context.ui.flush()? == Audience::Gone {
        return Err(Failure::new("nobody reads standard output, so the password could not be masked: nothing was written").into());
    }
    Ok(files::append_lines(&path, lines)?)
}
