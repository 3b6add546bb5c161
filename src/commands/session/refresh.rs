//! `session refresh`: a new token now, without a restart of what runs in the session.

use anyhow::Result;
use clap::ArgMatches;

use super::{meant, order};
use crate::commands::{Arity, Command};
use crate::context::Context;

pub(crate) static COMMAND: Command = Command {
    name: "refresh",
    about: "Renew the token of a session now",
    details: "After a new sign-in the session goes on with it; nothing in it has to be started again.",
    examples: &["databricks session refresh", "databricks session refresh 1a2b3c4d"],
    usage: "[SESSION]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| command,
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    for session in meant(context, matches)? {
        order(&session, "refresh")?;
        context.ui.note(&format!("Session {} has a new token.", session.description.id));
    }
    Ok(())
}
