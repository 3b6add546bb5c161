//! `session keep`: the background process of a session that has no program of its own.

use std::io::Read as _;

use anyhow::Result;
use clap::ArgMatches;
use serde::{Deserialize, Serialize};

use super::keeper::{Keeper, Plan};
use crate::auth::Want;
use crate::broker::session;
use crate::commands::child::Signals;
use crate::commands::{Arity, Command};
use crate::context::{Agent, Context};
use crate::error::Failure;

pub(crate) static COMMAND: Command = Command {
    name: "keep",
    about: "Keep a session in the background",
    details: "Started by session start, which tells it on standard input what to do, and not meant to be typed.",
    examples: &["databricks session keep"],
    usage: "",
    arity: Arity::Exactly(0),
    hidden: true,
    usage_on_error: true,
    flags: |command| command,
    run,
};

/// What `session start` is told when all is there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) config: String,
    pub(super) database: Option<session::Database>,
}

fn run(context: &Context<'_>, _: &ArgMatches) -> Result<()> {
    let mut plan = String::new();
    std::io::stdin().take(1 << 16).read_to_string(&mut plan)?;
    let plan: Plan = serde_json::from_str(&plan)
        .map_err(|_| Failure::new("session keep is told what to do by session start").hint("To start a session: databricks session start"))?;
    // The terminal may go, and Ctrl-C there is not for us.
    let _leads = rustix::process::setsid();
    let mut signals = Signals::take().map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    let (settings, credential) = plan.origin()?.credential(&Agent::of(context), Want::USUAL)?;
    let keeper = Keeper::open(context, &plan, &settings, &credential)?;
    let ready = Ready {
        id: keeper.id().to_owned(),
        host: keeper.host().to_string(),
        config: keeper.config().display().to_string(),
        database: keeper.database().cloned(),
    };
    context.ui.out(&serde_json::to_string(&ready)?);
    context.ui.out("\n");
    context.ui.flush().map(drop)?;
    keeper.run(None, &mut signals).map(drop)
}
