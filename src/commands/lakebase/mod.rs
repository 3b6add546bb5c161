//! The commands of `database` that are more than a call: connections whose password lives an hour.

use std::time::Duration;

use anyhow::Result;
use clap::ArgMatches;

use crate::auth::Want;
use crate::clock;
use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Command, arguments};
use crate::context::{Context, Workspace};
use crate::env as names;
use crate::lakebase::credential;
use crate::lakebase::settings::{Settings, SslMode};
use crate::lakebase::target::{self, Target, Wishes};

mod dsn;
mod env;
mod pgpass;
mod proxy;
mod service;

/// Beside the calls of the API.
pub(super) static COMMANDS: &[&Command] = &[&dsn::COMMAND, &env::COMMAND, &pgpass::COMMAND, &proxy::COMMAND, &service::COMMAND];

/// The flags that say what is otherwise than usual.
pub(super) fn target_flags(command: clap::Command) -> clap::Command {
    command
        .arg(arguments::value("user", "role", "Log in as this Postgres role, such as a group; you yourself if not given"))
        .arg(arguments::value("database", "name", "The database; databricks_postgres if not given"))
        .arg(arguments::value("port", "number", "The port of the server; 5432 if not given"))
        .arg(arguments::switch("read-only", "The host for queries that only read"))
}

/// The flag for how well the server is checked.
pub(super) fn ssl_flag(command: clap::Command) -> clap::Command {
    command.arg(arguments::value("sslmode", SslMode::NAMES, "How well clients check the server: verify-full if not given"))
}

/// What the flags say.
///
/// # Errors
/// If a port is none.
pub(super) fn wishes(context: &Context<'_>, matches: &ArgMatches) -> Result<Wishes> {
    let given = |name| arguments::text(matches, name).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let port = match given("port") {
        None => None,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(context.usage_error(UsageError::new(invalid_argument(&text, "--port", "it is no number from 1 to 65535")))),
        },
    };
    Ok(Wishes { user: given("user"), database: given("database"), port, read_only: arguments::is_on(matches, "read-only") })
}

/// What `--sslmode` says.
///
/// # Errors
/// If it is none, or one that may send a password in clear.
pub(super) fn sslmode(context: &Context<'_>, matches: &ArgMatches) -> Result<Option<SslMode>> {
    let Some(text) = arguments::text(matches, "sslmode").filter(|text| !text.is_empty()) else { return Ok(None) };
    let reason = "accepted arguments are verify-full, verify-ca and require; others may send the password in clear";
    SslMode::named(text).map(Some).ok_or_else(|| context.usage_error(UsageError::new(invalid_argument(text, "--sslmode", reason))))
}

/// The target of the command line, or the one that is chosen.
///
/// # Errors
/// As [`target::resolve`] and [`target::choose`].
pub(super) fn find(context: &Context<'_>, matches: &ArgMatches) -> Result<(Workspace, Target)> {
    let wishes = wishes(context, matches)?;
    let workspace = context.workspace()?;
    let name = match arguments::positionals(matches).first().filter(|name| !name.is_empty()) {
        Some(name) => (*name).to_owned(),
        None => target::choose(context, &workspace)?,
    };
    let target = target::resolve(context, &workspace, &name, &wishes)?;
    Ok((workspace, target))
}

/// How to connect, with a password that lives for some time unless none is wanted.
///
/// # Errors
/// As [`find`], and if there is no password.
pub(super) fn settings(context: &Context<'_>, matches: &ArgMatches, with_password: bool) -> Result<Settings> {
    let sslmode = sslmode(context, matches)?;
    let (workspace, target) = find(context, matches)?;
    let password = if with_password { Some(credential::living(context, &workspace, &target, Want::USUAL)?) } else { None };
    if let Some(expiry) = password.as_ref().and_then(|password| password.expiry) {
        context.ui.note(&format!("The password is good for logins until {}.", clock::minute(expiry)));
    }
    let (settings, remark) = Settings::new(&context.env, target, password.map(|password| password.access_token), sslmode);
    if let Some(remark) = remark {
        context.ui.warn(&remark);
    }
    Ok(settings)
}

/// The variables that are set here and lead libpq elsewhere than the settings.
fn detours(context: &Context<'_>) -> impl Iterator<Item = &'static str> {
    names::PG_DETOURS.iter().copied().filter(|name| context.env.get(name).is_some())
}

/// What a user should know about one of [`detours`].
fn detour(name: &str) -> String {
    format!("{name} is set, and libpq goes by it rather than by this. To take it out: unset {name}")
}

/// How long a request for a new password may take while somebody waits for it.
const LIMIT: Duration = Duration::from_secs(20);
