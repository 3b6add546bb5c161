//! `session watch`: removes what a session leaves whose keeper was killed.

use anyhow::Result;
use clap::ArgMatches;

use crate::broker::session;
use crate::commands::{Arity, Command, arguments};
use crate::context::Context;

pub(crate) static COMMAND: Command = Command {
    name: "watch",
    about: "Wait for the end of a session and remove what it left",
    details: "Started by the keeper of the session, and not meant to be typed.",
    examples: &["databricks session watch 1a2b3c4d"],
    usage: "SESSION",
    arity: Arity::Exactly(1),
    hidden: true,
    usage_on_error: true,
    flags: |command| command,
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    // A group and a terminal of its own: what ends the keeper must not end this as well. It leads a group already only if somebody typed the command.
    let _leads = rustix::process::setsid();
    session::watch(&context.env, arguments::positionals(matches).first().copied().unwrap_or_default())
}
