//! `database dsn`: how to connect, as a URL or another kind of connection string.

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, arguments};
use crate::context::Context;

const FORMATS: &str = "url|jdbc|keywords";

pub(super) static COMMAND: Command = Command {
    name: "dsn",
    about: "Print a connection string of a database, a password that lives an hour included",
    details: "TARGET is the name of an instance, or projects/NAME with /branches/NAME and /endpoints/NAME behind it where a project has several.\n\n\
              url is what libpq, SQLAlchemy and most others take, jdbc is for Java, keywords is libpq's host=... port=... form. With --no-password the string can be kept: \
              the password then comes from .pgpass (databricks database pgpass).",
    examples: &[
        "psql \"$(databricks database dsn my-instance --no-password)\"",
        "databricks database dsn my-instance --format jdbc",
        "databricks database dsn projects/my-project --format keywords --no-password",
    ],
    usage: "[TARGET]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        super::ssl_flag(super::target_flags(command))
            .arg(arguments::value("format", FORMATS, "Which kind of string: url if not given"))
            .arg(arguments::switch("no-password", "Leave the password out"))
    },
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let format = arguments::text(matches, "format").unwrap_or("url");
    if !FORMATS.split('|').any(|known| known == format) {
        return Err(context.usage_error(UsageError::new(invalid_argument(format, "--format", "accepted arguments are url, jdbc and keywords"))));
    }
    let settings = super::settings(context, matches, !arguments::is_on(matches, "no-password"))?;
    for name in super::detours(context).filter(|_| format != "jdbc") {
        context.ui.warn(&super::detour(name));
    }
    let text = match format {
        "jdbc" => settings.jdbc(),
        "keywords" => settings.keywords()?,
        _ => settings.url()?,
    };
    context.ui.out_line(&text);
    Ok(())
}
