//! `auth headers`: all headers that a request to the workspace needs, whatever the auth type.

use anyhow::Result;
use clap::ArgMatches;
use zeroize::Zeroizing;

use crate::auth::{Credential, Want};
use crate::clock;
use crate::commands::{Arity, Command, arguments};
use crate::config::settings::Settings;
use crate::context::{Context, OutputFormat};
use crate::error::Failure;
use crate::secret::Secret;

pub(crate) static COMMAND: Command = Command {
    name: "headers",
    about: "Print all headers that a request needs, one per line, for any auth type",
    details: "PROFILE is the name of a profile, or a host. A token is not always enough: an Azure service principal that is no user of the workspace sends three headers, and a \
              host that serves several workspaces wants to know which one is meant.\n\n\
              Each line is `Name: value`, as curl reads them from a file; with -o json they are one object. They are secrets: hand them over without writing them down.",
    examples: &[
        "curl -H @<(databricks auth headers -p my-profile) https://my-workspace.cloud.databricks.com/api/2.0/token/list",
        "databricks auth headers my-profile -o json | jq -r .Authorization",
    ],
    usage: "[PROFILE]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| command.arg(arguments::switch("force-refresh", "Get new tokens, also where the present ones are good")),
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let want = Want { minted_after: arguments::is_on(matches, "force-refresh").then(clock::now), ..Want::USUAL };
    let settings = super::token::settings(context, matches)?;
    let credential = super::token::credential(context, &settings, want, None)?;
    print(context, &settings, &credential)
}

/// Prints the headers of a credential, and the id of the workspace where the settings have one.
///
/// # Errors
/// If one of them could pass for two.
pub(super) fn print(context: &Context<'_>, settings: &Settings, credential: &Credential) -> Result<()> {
    let mut headers = credential.headers.clone();
    headers.extend(settings.workspace_id().map(|id| ("X-Databricks-Workspace-Id", Secret::new(id))));
    if let Some((name, _)) = headers.iter().find(|(_, value)| value.expose().contains(|c: char| c.is_control())) {
        return Err(Failure::new(format!("the value for the header {name} holds a control character, so it cannot be printed as one line"))
            .hint("Check where it comes from: databricks auth describe")
            .into());
    }
    if context.globals.output == OutputFormat::Json {
        let object: std::collections::BTreeMap<&str, &str> = headers.iter().map(|(name, value)| (*name, value.expose())).collect();
        context.ui.out_json_bare(&Zeroizing::new(serde_json::to_string(&object)?))?;
        context.ui.out("\n");
        return Ok(());
    }
    for (name, value) in &headers {
        context.ui.out_line(&Zeroizing::new([name, ": ", value.expose()].concat()));
    }
    Ok(())
}
