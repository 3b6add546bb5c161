//! `database service`: how to connect, as an entry of `pg_service.conf`.

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::{Arity, Command, arguments};
use crate::context::Context;

pub(super) static COMMAND: Command = Command {
    name: "service",
    about: "Print an entry of pg_service.conf, with which programs connect by a name",
    details: "TARGET is the name of an instance, or projects/NAME with /branches/NAME and /endpoints/NAME behind it where a project has several.\n\n\
              The entry holds no password unless --with-password is given: it would be good for an hour. Keep .pgpass fresh instead (databricks database pgpass --watch), \
              or let the entry lead to a local door (databricks database proxy).",
    examples: &[
        "databricks database service my-instance >> ~/.pg_service.conf && psql service=my-instance",
        "databricks database service projects/my-project --name shop",
    ],
    usage: "[TARGET]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        super::ssl_flag(super::target_flags(command))
            .arg(arguments::value("name", "name", "The name of the entry; that of the target if not given"))
            .arg(arguments::switch("with-password", "Add a password, which is good for an hour"))
    },
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let settings = super::settings(context, matches, arguments::is_on(matches, "with-password"))?;
    let name = arguments::text(matches, "name").filter(|name| !name.is_empty());
    let text = settings.service(name.unwrap_or_else(|| settings.target.resource.name()))?;
    context.ui.out(&text);
    Ok(())
}
