//! `auth storage`: where sign-ins are kept, and how to keep them elsewhere.

use anyhow::Result;
use clap::ArgMatches;
use serde::Serialize;

use crate::auth::methods::databricks_cli;
use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, arguments};
use crate::config::attributes::Attr;
use crate::context::{Context, OutputFormat};
use crate::env;
use crate::error::Failure;
use crate::host::Host;
use crate::storage::{self, Choice, Mode, ModeSource};
use crate::text;

pub(crate) static COMMAND: Command = Command {
    name: "storage",
    about: "Show where sign-ins are kept, or move them to the other store",
    details: "status (the default) shows the store in force, who chose it, and what each store holds. migrate moves every sign-in to the store that --to names, and makes it the \
              one that is used from then on (auth_storage in [__settings__]).\n\n\
              secure is the keyring of the system, plaintext the file token-cache.json, which only you can read. The official CLI uses the same two, and sees what is there.",
    examples: &["databricks auth storage", "databricks auth storage status -o json", "databricks auth storage migrate --to secure"],
    usage: "[status|migrate]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| command.arg(arguments::value("to", "secure|plaintext", "The store that migrate moves to")),
    run,
};

#[derive(Serialize)]
struct Status {
    mode: &'static str,
    source: String,
    location: String,
    stores: Vec<Store>,
}

#[derive(Serialize)]
struct Store {
    mode: &'static str,
    location: String,
    /// The keys of what it holds.
    entries: Vec<String>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

const MODES: [Mode; 2] = [Mode::Secure, Mode::Plaintext];

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    match arguments::positionals(matches).first().copied() {
        None | Some("status") => status(context),
        Some("migrate") => migrate(context, matches),
        Some(other) => {
            let meant = text::closest(other, ["status", "migrate"]).map_or(String::new(), |close| format!("\n\nDid you mean this?\n\t{close}"));
            Err(context.usage_error(UsageError::new(format!("unknown command {} for \"databricks auth storage\"{meant}", text::quoted(other)))))
        }
    }
}

/// One store by its name, whoever chose it.
fn open(context: &Context<'_>, mode: Mode) -> Result<storage::Opened> {
    storage::open_for_reading(&context.env, &Choice { mode, source: ModeSource::Settings })
}

/// Who chose the store, in the words of `auth describe`.
pub(super) fn source_of(context: &Context<'_>, choice: &Choice) -> String {
    match choice.source {
        ModeSource::Environment => format!("{} environment variable", env::AUTH_STORAGE),
        ModeSource::Settings => {
            format!("auth_storage in [__settings__] section of {}", context.file.path().map(|path| path.display().to_string()).unwrap_or_default())
        }
        ModeSource::Default => "default".to_owned(),
    }
}

fn status(context: &Context<'_>) -> Result<()> {
    let choice = context.storage()?;
    let used = storage::open_for_reading(&context.env, &choice);
    let stores = MODES.map(|mode| match open(context, mode).and_then(|opened| Ok((opened.store.location(), opened.store.keys()?))) {
        Ok((location, entries)) => Store { mode: mode.name(), location, entries, trouble: None },
        Err(error) => Store { mode: mode.name(), location: String::new(), entries: Vec::new(), trouble: Some(format!("{error:#}")) },
    });
    let (mode, location) = match &used {
        Ok(opened) => (opened.mode, opened.store.location()),
        Err(_) => (choice.mode, String::new()),
    };
    let source = source_of(context, &choice);
    if context.globals.output == OutputFormat::Json {
        let status = Status { mode: mode.name(), source, location, stores: stores.into() };
        context.ui.out_json_bare(&serde_json::to_string(&status)?)?;
        context.ui.out("\n");
        return Ok(());
    }
    context.ui.out_line(&format!(
        "Token storage: {}{} (from {source})",
        mode.name(),
        if location.is_empty() { String::new() } else { format!(", {location}") }
    ));
    if let Ok(opened) = &used
        && let Some(reason) = &opened.fallback
    {
        context.ui.out_line(&format!("The file stands in for the keyring: {}", text::one_line(reason)));
    }
    for store in &stores {
        match &store.trouble {
            Some(trouble) => context.ui.out_line(&format!("  {}: cannot be used: {}", store.mode, text::one_line(trouble))),
            None if store.entries.is_empty() => context.ui.out_line(&format!("  {}: holds nothing", store.mode)),
            None => {
                context.ui.out_line(&format!("  {} ({}):", store.mode, store.location));
                for key in &store.entries {
                    context.ui.out_line(&format!("    {}", text::one_line(key)));
                }
            }
        }
    }
    Ok(())
}

fn migrate(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let wanted = arguments::text(matches, "to").ok_or_else(|| Failure::new("say where to: --to secure or --to plaintext"))?;
    let to = MODES
        .into_iter()
        .find(|mode| mode.name().eq_ignore_ascii_case(wanted.trim()))
        .ok_or_else(|| context.usage_error(UsageError::new(invalid_argument(wanted, "--to", "accepted arguments are secure and plaintext"))))?;
    let from = if to == Mode::Secure { Mode::Plaintext } else { Mode::Secure };
    let there = open(context, to)?;
    there.store.writable()?;
    let here = open(context, from)?;
    let profiles = context.file.profiles()?;
    // As refreshes do: whoever renews a sign-in right now is waited for.
    let lock_of = |key: &str| {
        let of_profile =
            profiles.iter().find(|profile| profile.name == key).and_then(|profile| profile.get(Attr::Host)).and_then(|host| Host::parse(&host).ok());
        let of_host = || Host::parse(key).ok().filter(|_| key.contains("://") && !key.contains(' '));
        of_profile.or_else(of_host).map_or_else(|| key.to_owned(), |host| databricks_cli::lock_name(&host))
    };
    let moved = storage::migrate(&context.env, &*here.store, &*there.store, &lock_of)?;
    for notice in here.store.notices().into_iter().chain(there.store.notices()) {
        context.ui.warn(&notice);
    }
    if context.storage()?.mode != to || context.storage()?.source == ModeSource::Default {
        context.file.set_auth_storage(to.name())?;
    }
    let place = there.store.location();
    for key in &moved.newer_there {
        context.ui.note(&format!("{}: {place} had a newer one, which stayed", text::one_line(key)));
    }
    let count = moved.taken.len();
    context.ui.note(&format!("Moved {count} {} to {place}.", if count == 1 { "entry" } else { "entries" }));
    if let Some(forced) = context.env.get(env::AUTH_STORAGE).filter(|mode| !mode.trim().eq_ignore_ascii_case(to.name())) {
        context.ui.warn(&format!("{} is {}, so that store is looked at where it is set", env::AUTH_STORAGE, text::quoted(forced)));
    }
    Ok(())
}
