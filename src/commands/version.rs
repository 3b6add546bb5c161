//! `version`: what this binary is, in the two forms that SDKs probe.

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::{Arity, Command};
use crate::context::{Context, OutputFormat};

/// The version, as Cargo knows it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) static COMMAND: Command = Command {
    name: "version",
    about: "Show the version",
    details: "Databricks SDKs probe the version before they ask this program for tokens; from 0.296.0 on they use every feature.",
    examples: &["databricks version", "databricks version -o json"],
    usage: "",
    arity: Arity::NoCommands,
    hidden: false,
    usage_on_error: true,
    flags: |command| command,
    run,
};

fn run(context: &Context<'_>, _: &ArgMatches) -> Result<()> {
    if context.globals.output == OutputFormat::Json {
        let number = |text: &str| text.parse::<u64>().unwrap_or(0);
        // Compat: the Python SDK reads the integers Major, Minor and Patch; the order of the keys is that of the official CLI.
        context.ui.out_json_bare(&format!(
            concat!(
                r#"{{"ProjectName":"databricks","Version":"{version}","Branch":"","Tag":"v{version}","ShortCommit":"","FullCommit":"","CommitTime":"0001-01-01T00:00:00Z","#,
                r#""Summary":"v{version}","Major":{major},"Minor":{minor},"Patch":{patch},"Prerelease":"","IsSnapshot":false,"BuildTime":"0001-01-01T00:00:00Z"}}"#
            ),
            version = VERSION,
            major = number(env!("CARGO_PKG_VERSION_MAJOR")),
            minor = number(env!("CARGO_PKG_VERSION_MINOR")),
            patch = number(env!("CARGO_PKG_VERSION_PATCH")),
        ))?;
        context.ui.out("\n");
        return Ok(());
    }
    context.ui.out_line(&format!("Databricks CLI v{VERSION}"));
    Ok(())
}
