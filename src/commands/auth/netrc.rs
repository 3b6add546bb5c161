//! `auth netrc`: the credential of a profile in the user's `.netrc`, for curl and its like.

use anyhow::Result;
use clap::ArgMatches;
use serde::Serialize;

use crate::auth::{TOKEN_USER, chain};
use crate::commands::usage::UsageError;
use crate::commands::{Arity, Command, arguments};
use crate::config::attributes::Attr;
use crate::config::netrc::{Listed, NetrcFile};
use crate::config::settings::Settings;
use crate::context::{Context, OutputFormat};
use crate::error::Failure;
use crate::files::Updated;
use crate::handover::netrc;
use crate::host::Host;
use crate::text;

pub(crate) static COMMAND: Command = Command {
    name: "netrc",
    about: "Write, show or remove the entry of a profile's host in .netrc, for curl -n and its like",
    details: "write (the default) adds the entry or brings it up to date, show prints it without its password, remove takes it out. The file is the one that NETRC names, \
              or ~/.netrc (~/_netrc on Windows). Everything else in it stays as it is.\n\n\
              The login is \"token\" and the password the token; for a profile with user name and password it is these. Entries of other logins for the host are not touched. \
              The file knows names of hosts only: no ports, no schemes.",
    examples: &[
        "databricks auth netrc --profile my-profile",
        "curl -n -X GET https://my-workspace.cloud.databricks.com/api/2.0/token/list",
        "databricks auth netrc show --profile my-profile",
        "databricks auth netrc remove --profile my-profile",
        "databricks auth netrc write --netrc-file ./job.netrc --profile ci",
    ],
    usage: "[write|show|remove]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        command
            .arg(arguments::value("netrc-file", "path", "Another file than NETRC or ~/.netrc"))
            .arg(arguments::switch("sensitive", "Show passwords in clear"))
    },
    run,
};

/// What a masked password looks like.
const MASK: &str = "********";

#[derive(Serialize)]
struct Shown<'a> {
    file: String,
    line: usize,
    machine: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let action = match arguments::positionals(matches).first() {
        None | Some(&"write") => write,
        Some(&"show") => show,
        Some(&"remove") => remove,
        Some(other) => {
            let meant = text::closest(other, ["write", "show", "remove"]).map_or(String::new(), |close| format!("\n\nDid you mean this?\n\t{close}"));
            return Err(context.usage_error(UsageError::new(format!("unknown command {} for \"databricks auth netrc\"{meant}", text::quoted(other)))));
        }
    };
    let selection = super::selection(context, matches)?;
    let settings = Settings::resolve(&selection, &context.env, &context.file)?;
    context.remark(&settings);
    action(context, matches, &settings)
}

fn write(context: &Context<'_>, matches: &ArgMatches, settings: &Settings) -> Result<()> {
    let file = file(matches, || NetrcFile::to_write(&context.env))?;
    let credential = context.credential(settings)?;
    let record = netrc::record(&credential)?;
    let (updated, rivals) = file.write(&record)?;
    say_tightened(context, &file, &updated);
    let (path, machine) = (file.path().display(), credential.host.bare_name());
    let login = record.login();
    let shown = text::one_line(login);
    context.ui.note(&format!("The entry for machine {machine} with login {shown} is in {path}. Try: curl -n {}/api/2.0/preview/scim/v2/Me", credential.host));
    if let Some(line) = rivals.above {
        context.ui.warn(&format!(
            "{path}:{line} has another login for {machine}, and it comes first: that is what curl -n sends. To choose this one: curl -n -u {shown}: https://…, or remove the other"
        ));
    }
    if let Some(line) = rivals.below {
        context.ui.warn(&format!("{path}:{line} has another login for {machine}: programs in Python send that one, because it comes last"));
    }
    if credential.host.has_port() {
        context.ui.note(&format!("A netrc file has no ports: the entry counts for every port of {machine}."));
    }
    Ok(())
}

fn show(context: &Context<'_>, matches: &ArgMatches, settings: &Settings) -> Result<()> {
    let file = file(matches, || NetrcFile::to_read(&context.env))?;
    let host = host(settings)?;
    let (path, machine) = (file.path().display(), host.bare_name());
    let netrc = file.read()?.map(|(netrc, _)| netrc);
    let logins: Vec<Listed> = netrc.iter().flat_map(|netrc| netrc.logins(machine)).collect();
    if logins.is_empty() {
        return Err(Failure::new(format!("{path} has no entry for machine {machine}")).hint("To write it: databricks auth netrc write --profile NAME").into());
    }
    let sensitive = arguments::is_on(matches, "sensitive");
    let shown = logins.into_iter().map(|login| Shown {
        file: path.to_string(),
        line: login.line,
        machine,
        login: login.login,
        password: login.password.map(|password| if sensitive { password.expose().to_owned() } else { MASK.to_owned() }),
    });
    if context.globals.output == OutputFormat::Json {
        return context.ui.out_json(&serde_json::to_string(&shown.collect::<Vec<_>>())?);
    }
    for entry in shown {
        context.ui.out_line(&format!("# {}:{}", entry.file, entry.line));
        context.ui.out_line(&format!("machine {machine}"));
        for (keyword, value) in [("login", entry.login), ("password", entry.password)] {
            if let Some(value) = value {
                context.ui.out_line(&format!("{keyword} {value}"));
            }
        }
    }
    Ok(())
}

fn remove(context: &Context<'_>, matches: &ArgMatches, settings: &Settings) -> Result<()> {
    let file = file(matches, || NetrcFile::to_read(&context.env))?;
    let host = host(settings)?;
    let (path, machine) = (file.path().display(), host.bare_name());
    // The credential itself may be long gone; only whose entry it was counts.
    let is_basic = chain::choose(settings, &context.env).is_ok_and(|method| method.name == "basic");
    let login = settings.text(Attr::Username).filter(|_| is_basic).unwrap_or(TOKEN_USER);
    let (updated, found) = file.remove(machine, login)?;
    say_tightened(context, &file, &updated);
    let login = text::one_line(login);
    context.ui.note(&if found {
        format!("The entry for machine {machine} with login {login} is no longer in {path}.")
    } else {
        format!("{path} has no entry for machine {machine} with login {login}; nothing was removed.")
    });
    Ok(())
}

fn file(matches: &ArgMatches, usual: impl FnOnce() -> Result<NetrcFile>) -> Result<NetrcFile> {
    match arguments::text(matches, "netrc-file").filter(|path| !path.is_empty()) {
        Some(path) => Ok(NetrcFile::at(path)),
        None => usual(),
    }
}

fn host(settings: &Settings) -> Result<Host> {
    let missing = || Failure::new("there is no host whose entry could be meant").hint("Name the profile: databricks auth netrc --profile NAME");
    Ok(settings.host()?.ok_or_else(missing)?)
}

fn say_tightened(context: &Context<'_>, file: &NetrcFile, updated: &Updated) {
    if let Some(mode) = updated.tightened_from {
        context.ui.note(&format!("{} could be read by others (mode {mode:04o}); now only you can (0600).", file.path().display()));
    }
}
