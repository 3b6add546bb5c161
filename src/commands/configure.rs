//! `configure`: host and token into a profile, and a cluster if asked for.

use std::cell::OnceCell;
use std::io::{BufRead as _, IsTerminal as _, Read as _};

use anyhow::Result;
use clap::ArgMatches;
use zeroize::Zeroizing;

use crate::commands::{Arity, Command, arguments, cluster_picker};
use crate::config::attributes::{ATTRIBUTES, Attr};
use crate::config::file::DEFAULT_PROFILE;
use crate::config::plain;
use crate::config::settings::Settings;
use crate::context::Context;
use crate::env;
use crate::error::Failure;
use crate::host::Host;
use crate::secret::Secret;
use crate::text;

pub(crate) static COMMAND: Command = Command {
    name: "configure",
    about: "Write host and personal access token into a profile",
    details: "On a terminal it asks for what is missing and lets the workspace confirm the token before anything is written. In scripts it takes the host from --host or \
              DATABRICKS_HOST and the token from DATABRICKS_TOKEN or the first line of standard input.\n\nA profile that exists keeps all keys that are not about signing in.",
    examples: &[
        "databricks configure --profile DEFAULT",
        "databricks configure --configure-cluster --profile my-profile",
        "printenv CI_TOKEN | databricks configure --host https://my-workspace.cloud.databricks.com --profile ci",
    ],
    usage: "",
    arity: Arity::Ignored,
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        command
            .arg(arguments::value("host", "url", "The workspace: https://..."))
            // Compat: older scripts pass it; the token has long come from the prompt or standard input.
            .arg(arguments::switch("token", "Accepted for scripts; the token is always asked for or read from standard input").hide(true))
            .arg(arguments::switch("configure-cluster", "Also choose a cluster for the profile"))
            .arg(arguments::switch("verify", "Ask the workspace who the token is before writing; on by default on a terminal"))
    },
    run,
};

/// How long a person waits for a workspace that asks to come back later, unless the profile says otherwise.
const PATIENCE_SECONDS: &str = "20";
/// Longest first line of standard input that is read for a token.
const LONGEST_TOKEN_LINE: u64 = 64 * 1024;

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let name = context.globals.profile.as_deref().or_else(|| context.env.get(env::CONFIG_PROFILE)).unwrap_or(DEFAULT_PROFILE);
    plain::check_profile_name(name)?;
    context.file.path()?;
    let present = context.file.section(name)?.unwrap_or_default();
    let present = |attr: Attr| {
        present.iter().rfind(|field| field.key.eq_ignore_ascii_case(attr.name())).map(|field| field.value.as_ref()).filter(|value| !value.is_empty())
    };

    // An empty --host counts as not given: scripts pass variables that may be empty.
    let given = arguments::text(matches, "host").filter(|host| !host.trim().is_empty()).or_else(|| context.env.get(env::HOST));
    let host = host(context, given, present(Attr::Host))?;
    let wants_cluster = arguments::is_on(matches, "configure-cluster");
    let cluster_from_env = context.env.get(env::CLUSTER_ID);
    if wants_cluster && cluster_from_env.is_none() && !context.ui.can_prompt() {
        return Err(Failure::new("cluster ID must be set in non-interactive mode").hint(format!("Set {} to the cluster's id", env::CLUSTER_ID)).into());
    }
    let kept = present(Attr::Token).filter(|_| present(Attr::Host).and_then(|own| Host::parse(own).ok()).is_some_and(|own| own == host));
    let token = token(context, kept)?;

    let verify = matches.get_one::<bool>("verify").copied().unwrap_or_else(|| context.ui.can_prompt());
    let mut typed = vec![(Attr::Host, host.as_str())];
    typed.extend(token.as_ref().map(|token| (Attr::Token, token.expose())));
    let mut asking = typed.clone();
    asking.extend([Attr::WorkspaceId, Attr::HttpTimeoutSeconds].into_iter().filter_map(|attr| Some((attr, present(attr)?))));
    asking.push((Attr::RetryTimeoutSeconds, present(Attr::RetryTimeoutSeconds).unwrap_or(PATIENCE_SECONDS)));
    let workspace = OnceCell::new();
    let ask = || match workspace.get() {
        Some(workspace) => Ok(workspace),
        None => context.workspace_of(Settings::of_values(&asking)).map(|connected| workspace.get_or_init(|| connected)),
    };
    let user = if verify && token.is_some() {
        let user = ask()?.who().map_err(|error| {
            // What the server says of it; the next steps below that are for those who have a profile.
            let said = format!("{error:#}");
            let said = said.split("\n\n").next().unwrap_or_default();
            Failure::new(format!("the token was not written, because {host} did not confirm it: {said}"))
                .hint("A new one is made in the workspace, under Settings, Developer, Access tokens")
                .hint("To write it all the same, add --verify=false")
        })?;
        Some(user)
    } else {
        None
    };
    let picked = match cluster_from_env {
        None if wants_cluster => Some(cluster_picker::pick(context, ask()?)?),
        _ => None,
    };
    if let Some(cluster) = picked.as_deref().or(cluster_from_env) {
        typed.push((Attr::ClusterId, cluster));
    }

    let mut replaced: Vec<&str> = ATTRIBUTES.iter().filter(|row| is_replaced(row.attr)).flat_map(|row| [row.name].into_iter().chain(row.alias)).collect();
    // Compat: a key of old versions, which would make SDKs take the host for another kind.
    replaced.push("experimental_is_unified_host");
    if typed.iter().any(|(attr, _)| *attr == Attr::ClusterId) {
        replaced.push(Attr::ServerlessComputeId.name());
    }
    replaced.retain(|key| !typed.iter().any(|(attr, _)| attr.name() == *key));
    let written = context.file.save(name, &typed, &replaced)?;

    let path = context.file.path()?.display();
    if let Some(mode) = written.tightened_from {
        context.ui.note(&format!("{path} could be read by others (mode {mode:04o}); now only you can (0600)."));
    }
    if context.ui.can_prompt() {
        let user = user.map_or(String::new(), |user| format!(" for {user}"));
        context.ui.note(&format!("Profile {} was written to {path}{user}.", text::one_line(name)));
    }
    Ok(())
}

/// Whether `configure` takes this attribute out of the profile: everything that says how to sign in, which host and token now decide.
fn is_replaced(attr: Attr) -> bool {
    let row = attr.row();
    let signs_in = row.family.is_some() || !row.methods.is_empty();
    let kept = matches!(attr, Attr::AzureEnvironment | Attr::Audience | Attr::ActionsIdTokenRequestUrl | Attr::ActionsIdTokenRequestToken);
    (signs_in && !kept) || matches!(attr, Attr::AuthType | Attr::Scopes)
}

fn host(context: &Context<'_>, given: Option<&str>, present: Option<&str>) -> Result<Host> {
    if let Some(given) = given {
        return Ok(Host::parse(given)?);
    }
    if !context.ui.can_prompt() {
        return Err(Failure::new("host must be set in non-interactive mode").hint(format!("Add --host https://<workspace>, or set {}", env::HOST)).into());
    }
    // The typed text stands above the complaint, which has one line: the reason alone.
    let check = |typed: &str| {
        Host::parse(typed).map(|host| host.to_string()).map_err(|failure| {
            let said = failure.to_string();
            said.split_once(" is not a workspace host: ").map_or(said.as_str(), |(_, why)| why).to_owned()
        })
    };
    let typed = context.ui.prompter().text("Databricks workspace host (https://...)", present, &check)?;
    Ok(Host::parse(&typed)?)
}

/// The token, `None` for none. `kept` is the one that the profile already has for this host: Enter alone keeps it.
fn token(context: &Context<'_>, kept: Option<&str>) -> Result<Option<Secret>> {
    let check = |token: &str| match () {
        () if token.is_empty() => Ok(Secret::new("")),
        () if token.contains(char::is_whitespace) => Err("a token has no spaces".to_owned()),
        () => plain::check_value(Attr::Token.name(), token).map(|()| Secret::new(token)).map_err(|failure| failure.to_string()),
    };
    let refuse = |reason: String| Failure::new(format!("the token cannot be used: {reason}"));
    if let Some(token) = context.env.get(env::TOKEN) {
        return Ok(Some(check(token.trim()).map_err(refuse)?));
    }
    if context.ui.can_prompt() {
        let label = if kept.is_some() { "Personal access token (Enter keeps the present one)" } else { "Personal access token" };
        let typed = context.ui.prompter().secret(label, &|typed| check(typed.trim()))?;
        return Ok(if typed.is_empty() { kept.map(Secret::from) } else { Some(typed) });
    }
    let stdin = std::io::stdin();
    let how = format!("Pipe it in, as in: printenv MY_TOKEN | databricks configure --host https://<workspace>; or set {}", env::TOKEN);
    if stdin.is_terminal() {
        return Err(Failure::new("the token cannot be asked for here: standard error is not a terminal, or prompts are turned off").hint(how).into());
    }
    let mut line = Zeroizing::new(String::new());
    stdin.lock().take(LONGEST_TOKEN_LINE).read_line(&mut line).map_err(|error| Failure::new(format!("cannot read the token from standard input: {error}")))?;
    let token = line.trim();
    if token.is_empty() {
        return Err(Failure::new("no token on standard input: EOF").hint(how).into());
    }
    Ok(Some(check(token).map_err(refuse)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_signs_in_is_replaced() {
        let kept: Vec<&str> = ATTRIBUTES.iter().filter(|row| !is_replaced(row.attr)).map(|row| row.name).collect();
        for name in ["cluster_id", "warehouse_id", "account_id", "workspace_id", "azure_environment", "http_timeout_seconds", "cloud"] {
            assert!(kept.contains(&name), "{name} must stay");
        }
        for name in [
            "token",
            "username",
            "password",
            "client_id",
            "client_secret",
            "azure_client_secret",
            "google_credentials",
            "auth_type",
            "scopes",
            "databricks_cli_path",
            "oidc_token_env",
        ] {
            assert!(!kept.contains(&name), "{name} must go");
        }
    }
}
