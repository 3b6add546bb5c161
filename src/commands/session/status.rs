//! `session status`: how one session is, and what gets in its way.

use anyhow::Result;
use clap::ArgMatches;

use super::{check, meant, until};
use crate::clock;
use crate::commands::{Arity, Command, child};
use crate::context::{Context, OutputFormat};
use crate::text;

pub(crate) static COMMAND: Command = Command {
    name: "status",
    about: "Show how a session is, and what gets in its way",
    details: "Without SESSION it is the one that this command runs in, or the only one. The exit code is 1 where its token, or the password of its database, has ended and could not be renewed.",
    examples: &["databricks session status", "databricks session status 1a2b3c4d -o json"],
    usage: "[SESSION]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| command,
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let mut code = 0;
    for session in meant(context, matches)? {
        let own = &session.description;
        let ends = own.expires.into_iter().chain(own.database.as_ref().and_then(|database| database.expires)).min();
        let has_ended = ends.is_some_and(|expires| expires <= clock::now().as_second());
        code |= u8::from(has_ended);
        if context.globals.output == OutputFormat::Json {
            context.ui.out_json(&serde_json::to_string(own)?)?;
        } else {
            let line = |name: &str, value: &str| context.ui.out_line(&format!("{name:<12}{value}"));
            line("Session", &own.id);
            line("Workspace", &own.host);
            line("Signed in", &format!("{} ({})", own.profile.as_deref().unwrap_or("-"), own.auth_type));
            line("Token ends", &until(own.expires));
            line("Next token", &until(own.renewal));
            line("Broker", if own.live { "yes" } else { "no" });
            line("Profiles", &session.config().display().to_string());
            if let Some(database) = &own.database {
                line("Database", &format!("{} ({} at {})", database.name, database.user, database.host));
                line("Password", &format!("ends {}, the next {}", until(database.expires), until(database.renewal)));
            }
            line("Keeper", &format!("process {}", own.keeper));
            if let Some(program) = &own.command {
                line("Program", program);
            }
            if let Some(process) = own.bound_to {
                line("Ends with", &format!("process {process}"));
            }
            if own.until.is_some() {
                line("Ends", &until(own.until));
            }
        }
        if let Some(trouble) = &own.trouble {
            context.ui.warn(&format!("the token could not be renewed: {}", text::one_line(trouble)));
            context.ui.note("Hint: To sign in again: databricks auth login; then: databricks session refresh");
        }
        if let Some((database, trouble)) = own.database.as_ref().and_then(|database| Some((database, database.trouble.as_ref()?))) {
            context.ui.warn(&format!("the password of {} could not be renewed: {}", text::one_line(&database.name), text::one_line(trouble)));
        }
        let host = crate::host::Host::parse(&own.host).ok();
        for conflict in check::conflicts(context, host.as_ref()) {
            context.ui.warn(&conflict.line());
        }
    }
    child::end_with(code)
}
