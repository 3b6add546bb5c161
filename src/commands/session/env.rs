//! `session env`: the lines that bring another shell into a session.

use std::path::Path;

use anyhow::Result;
use clap::ArgMatches;

use super::meant;
use crate::broker::session::{Database, LIVE_PROFILE, PASSFILE, PROFILE};
use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, arguments, environment, hand_over};
use crate::context::Context;
use crate::env as names;
use crate::host::Host;

pub(crate) static COMMAND: Command = Command {
    name: "env",
    about: "Print the lines that bring another shell into a session",
    details: "They set DATABRICKS_CONFIG_FILE, DATABRICKS_CONFIG_PROFILE and DATABRICKS_HOST, and unset credentials of Databricks that would win over the session's. No token \
              is among them. Those of libpq (PGPASSFILE, PGHOST and so on) are, where the session has a database.",
    examples: &["eval \"$(databricks session env)\"", "databricks session env --shell fish | source"],
    usage: "[SESSION]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| command.arg(shell_flag()),
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let shell = Shell::of(context, matches)?;
    for session in meant(context, matches)? {
        let host = Host::parse(&session.description.host)?;
        let own = &session.description;
        context.ui.out(&lines(context, shell, &variables(&session.config(), &host, own.live, own.database.as_ref())));
    }
    Ok(())
}

/// What programs in a session find in their environment.
///
/// The profile is named together with the host: an SDK that finds a host alone looks at no profile file.
pub(super) fn variables(config: &Path, host: &Host, live: bool, database: Option<&Database>) -> Vec<(&'static str, String)> {
    let profile = if live { LIVE_PROFILE } else { PROFILE };
    let mut variables = vec![(names::CONFIG_FILE, config.display().to_string()), (names::CONFIG_PROFILE, profile.to_owned()), (names::HOST, host.to_string())];
    if let Some(database) = database {
        variables.extend([
            (names::PGPASSFILE, config.with_file_name(PASSFILE).display().to_string()),
            (names::PGHOST, database.host.clone()),
            (names::PGPORT, database.port.to_string()),
            (names::PGUSER, database.user.clone()),
            (names::PGDATABASE, database.dbname.clone()),
            (names::PGSSLMODE, database.sslmode.clone()),
        ]);
        variables.extend(database.roots.as_ref().map(|roots| (names::PGSSLROOTCERT, roots.display().to_string())));
    }
    variables
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shell {
    Sh,
    Fish,
    Pwsh,
}

pub(super) fn shell_flag() -> clap::Arg {
    arguments::value("shell", "sh|fish|pwsh", "The shell that is to read the lines (default sh, which bash and zsh read too)")
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Self::Sh => "sh",
            Self::Fish => "fish",
            Self::Pwsh => "pwsh",
        }
    }

    pub(super) fn of(context: &Context<'_>, matches: &ArgMatches) -> Result<Self> {
        match arguments::text(matches, "shell") {
            None | Some("sh" | "bash" | "zsh" | "dash") => Ok(Self::Sh),
            Some("fish") => Ok(Self::Fish),
            Some("pwsh" | "powershell") => Ok(Self::Pwsh),
            Some(other) => Err(context.usage_error(UsageError::new(invalid_argument(other, "--shell", "accepted arguments are sh, fish and pwsh")))),
        }
    }
}

/// Lines that set these variables and unset what would be in their way; only what is set is unset.
pub(super) fn lines(context: &Context<'_>, shell: Shell, variables: &[(&'static str, String)]) -> String {
    let mut text = String::new();
    let is_set = |name: &str| variables.iter().any(|(own, _)| *own == name);
    for name in environment::in_the_way_of(variables).filter(|name| !is_set(name) && context.env.get(name).is_some()) {
        text.extend(hand_over::unset_line(shell.name(), name));
    }
    for (name, value) in variables {
        match shell {
            Shell::Sh => text.push_str(&format!("export {name}='{}'\n", value.replace('\'', r"'\''"))),
            Shell::Fish => text.push_str(&format!("set -gx {name} '{}';\n", value.replace('\\', r"\\").replace('\'', r"\'"))),
            Shell::Pwsh => text.push_str(&format!("$Env:{name} = '{}'\n", value.replace('\'', "''"))),
        }
    }
    text
}
