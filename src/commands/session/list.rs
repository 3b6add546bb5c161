//! `session list`: the sessions of this user on this machine.

use anyhow::Result;
use clap::ArgMatches;

use crate::broker::session;
use crate::commands::session::until;
use crate::commands::{Arity, Command};
use crate::context::{Context, OutputFormat};

pub(crate) static COMMAND: Command = Command {
    name: "list",
    about: "List the sessions of this user on this machine",
    details: "Sessions whose keeper is gone are none, and what they left is removed.",
    examples: &["databricks session list", "databricks session list -o json"],
    usage: "",
    arity: Arity::Exactly(0),
    hidden: false,
    usage_on_error: true,
    flags: |command| command,
    run,
};

fn run(context: &Context<'_>, _: &ArgMatches) -> Result<()> {
    let sessions = session::all(&context.env)?;
    if context.globals.output == OutputFormat::Json {
        let described: Vec<_> = sessions.iter().map(|session| &session.description).collect();
        return context.ui.out_json(&serde_json::to_string(&described)?);
    }
    let mut table = context.ui.table(&["Session", "Workspace", "Profile", "Token ends", "Keeper", "Program"]);
    for session in &sessions {
        let own = &session.description;
        let ends = if own.trouble.is_some() { format!("{} (not renewed)", until(own.expires)) } else { until(own.expires) };
        let keeper = own.keeper.to_string();
        table.row([own.id.as_str(), own.host.as_str(), own.profile.as_deref().unwrap_or_default(), &ends, &keeper, own.command.as_deref().unwrap_or("-")]);
    }
    context.ui.out_page(&mut table);
    Ok(())
}
