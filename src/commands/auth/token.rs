//! `auth token`: the token of a profile, whatever its auth type, for SDKs, scripts and people.

use std::time::Duration;

use anyhow::Result;
use clap::ArgMatches;
use serde::Serialize;

use crate::auth::chain::{self, Unconfigured};
use crate::auth::methods::databricks_cli;
use crate::auth::oauth::reply;
use crate::auth::session::{self, Ended, NoSignIn};
use crate::auth::{Credential, Want, find};
use crate::clock;
use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, arguments};
use crate::config::attributes::{ATTRIBUTES, Attr, Attribute};
use crate::config::file::{Profile, ProfileFile};
use crate::config::settings::{Selection, Settings, Source};
use crate::context::Context;
use crate::duration;
use crate::env::{self, Env};
use crate::error::Failure;
use crate::host::Host;
use crate::secret::Secret;
use crate::storage;
use crate::text;
use crate::ui::prompt::Choice;

pub(crate) static COMMAND: Command = Command {
    name: "token",
    about: "Print a token that is good now, refreshed if need be, for any auth type",
    details: "PROFILE is the name of a profile, or a host (with --account-id and --workspace-id, where it serves several). A token that lives for five more minutes (or half of its life, if that is less) is printed without asking \
              anybody; otherwise a new one is had, once for all who ask at the same time. No browser is opened without a terminal.\n\n\
              The token goes to standard output: as JSON, or with -o text alone. A personal access token is printed as it is; its JSON says when to ask again.",
    examples: &[
        "databricks auth token --profile my-profile",
        "curl -H \"Authorization: Bearer $(databricks auth token -p my-profile -o text)\" https://my-workspace.cloud.databricks.com/api/2.0/token/list",
        "databricks auth token my-profile --min-ttl 30m -o text",
        "databricks auth token --host https://my-workspace.cloud.databricks.com --force-refresh",
        "curl -H @<(databricks auth token -p my-profile --headers) https://my-workspace.cloud.databricks.com/api/2.0/token/list",
    ],
    usage: "[PROFILE]",
    arity: Arity::Ignored,
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        command
            .arg(arguments::switch("force-refresh", "Get a new token, also where the present one is good"))
            .arg(arguments::switch("headers", "Print all headers that a request needs, as auth headers does"))
            .arg(arguments::value("min-ttl", "duration", "Life that must be left, such as 10m"))
            .arg(arguments::value("scopes", "list", "OAuth scopes that the token must have, separated by commas"))
            .arg(arguments::value("timeout", "duration", "Longest wait for a sign-in in the browser (default 1h)"))
    },
    run,
};

/// For a token whose end nobody knows: when programs are to ask again. Compat: every SDK refuses a token without an expiry.
const ASK_AGAIN: Duration = Duration::from_secs(3_600);

/// As the SDKs read it; the refresh token never leaves the store.
#[derive(Serialize)]
struct Printed<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    token_type: &'a str,
    expiry: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
}

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let span = |name: &'static str| match arguments::text(matches, name) {
        None => Ok(None),
        Some(given) => duration::seconds(given)
            .map(|seconds| Some(Duration::from_secs(seconds.unsigned_abs())))
            .map_err(|reason| context.usage_error(UsageError::new(invalid_argument(given, &format!("--{name}"), &reason)))),
    };
    let want = Want {
        min_ttl: span("min-ttl")?,
        minted_after: arguments::is_on(matches, "force-refresh").then(clock::now),
        alone: !arguments::is_on(matches, "headers"),
    };
    let timeout = span("timeout")?;
    let mut settings = settings(context, matches)?;
    if let Some(scopes) = arguments::text(matches, "scopes") {
        settings.replace(Attr::Scopes, Some((scopes, Source::Flag("--scopes"))));
    }
    let credential = credential(context, &settings, want, timeout)?;
    if arguments::is_on(matches, "headers") {
        return super::headers::print(context, &settings, &credential);
    }
    // Compat: text only where the flag says so; the variable for the output format counts for other commands.
    let alone = arguments::text(matches, "output").is_some_and(|format| format.eq_ignore_ascii_case("text"));
    print(context, &settings, &credential, want, alone, arguments::text(matches, "scopes"))
}

/// The credential; on a terminal, somebody who has not signed in is offered to.
pub(in crate::commands) fn credential(context: &Context<'_>, settings: &Settings, want: Want, timeout: Option<Duration>) -> Result<Credential> {
    context.remark(settings);
    let error = match context.fresh_credential(settings, want) {
        Ok(credential) => return Ok(credential),
        Err(error) => error,
    };
    let unconfigured: Option<&Unconfigured> = Failure::mark(&error);
    let signed_out = unconfigured.filter(|unconfigured| unconfigured.signed_out);
    let is_signed_out = error.is::<NoSignIn>() || Failure::mark(&error) == Some(&Ended::SignIn) || signed_out.is_some();
    let host = settings.host()?;
    let profile = host.as_ref().map_or_else(|| settings.text(Attr::Profile), |host| settings.profile_at(host));
    let place = host.as_ref().map(ToString::to_string).unwrap_or_default();
    if is_signed_out && context.ui.can_prompt() {
        context.ui.note(&error.to_string());
        if context.ui.prompter().confirm(&format!("Sign in to {place} now?"))? {
            super::login::again(context, profile, host.as_ref(), timeout)?;
            return context.fresh_credential(settings, Want { minted_after: None, ..want });
        }
        return Err(error);
    }
    let advice = match error.downcast_ref::<NoSignIn>() {
        Some(NoSignIn { advice, .. }) => Some(*advice),
        None => signed_out.map(|_| "no cached credentials; run `databricks auth login` to sign in"),
    };
    match advice {
        // Compat: old SDKs go on to other auth types where they find these words.
        Some(advice) => {
            let login = profile.map_or_else(|| format!("--host {place}"), |name| format!("--profile {}", text::one_line(name)));
            let beside = unconfigured.map_or(&[][..], |unconfigured| &unconfigured.beside);
            let failure = Failure::new(format!("cache: databricks OAuth is not configured for this host. {advice}"))
                .hint(format!("To sign in: databricks auth login {login}"));
            Err(beside.iter().fold(failure, Failure::hint).into())
        }
        None => Err(error),
    }
}

fn print(context: &Context<'_>, settings: &Settings, credential: &Credential, want: Want, alone: bool, scopes: Option<&str>) -> Result<()> {
    let Some(token) = credential.sent() else {
        let title = find(credential.method).map_or(credential.method, |method| method.name);
        return Err(Failure::new(format!("the auth type {title} sends no token that could be printed"))
            .hint("To see its headers: databricks auth env --format netrc, or set auth_type to a method with tokens")
            .into());
    };
    session::check_wish(&token, want)?;
    if let Some(scopes) = scopes.filter(|_| credential.method == "databricks-cli") {
        let host = &credential.host;
        check_scopes(&token.access_token, scopes, &databricks_cli::login_line(settings.profile_at(host), host))?;
    }
    if alone {
        context.ui.out_line(token.access_token.expose());
        return Ok(());
    }
    let expiry = token.expiry.unwrap_or_else(|| clock::now() + ASK_AGAIN);
    let printed = Printed {
        access_token: token.access_token.expose(),
        token_type: &token.token_type,
        expiry: storage::expiry_text(&context.env, expiry),
        expires_in: token.expires_in,
    };
    context.ui.out_json_bare(&zeroize::Zeroizing::new(serde_json::to_string(&printed)?))
}

/// A sign-in has the scopes that were asked for in the browser; others are had only there.
fn check_scopes(token: &Secret, wanted: &str, login: &str) -> Result<()> {
    let Some(granted) = reply::claim(token.expose(), "scope") else { return Ok(()) };
    let granted: Vec<&str> = granted.split(' ').collect();
    let missing: Vec<&str> = wanted
        .split([',', ' '])
        .filter(|scope| !scope.is_empty() && *scope != "offline_access" && !granted.contains(scope) && !granted.contains(&"all-apis"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("the sign-in does not have the scopes {}", text::one_line(&missing.join(", "))))
        .hint(format!("To sign in with them, and no others: {login} --scopes {}", text::one_line(wanted)))
        .into())
}

/// The settings of the profile or host that is meant.
pub(super) fn settings(context: &Context<'_>, matches: &ArgMatches) -> Result<Settings> {
    let given = arguments::positionals(matches);
    let host_flag = arguments::text(matches, "host");
    let profile_flag = context.globals.profile.as_deref();
    if let Some(word) = given.first() {
        if host_flag.is_some() || profile_flag.is_some() {
            return Err(Failure::new(format!(
                "argument {} cannot be combined with --host or --profile. Use the --host and --profile flags instead",
                text::quoted(word)
            ))
            .into());
        }
        if context.file.section(word)?.is_some_and(|fields| !fields.is_empty()) {
            return of_profile(&context.env, &context.file, word);
        }
        if !looks_like_a_host(word) {
            let failure = Failure::new(format!("no matching profile found: {}", text::quoted(word)));
            let hint = crate::config::file::hint_of_profiles(&context.file, word);
            return Err(hint.into_iter().fold(failure, Failure::hint).into());
        }
        return of_host(context, matches, word);
    }
    match (profile_flag, host_flag) {
        (Some(profile), Some(_)) => {
            super::selection(context, matches)?;
            of_profile(&context.env, &context.file, profile)
        }
        (Some(profile), None) => of_profile(&context.env, &context.file, profile),
        (None, Some(host)) => of_sign_in(context, matches, host),
        (None, None) => from_surroundings(context, matches),
    }
}

// The next two are not inlined: settings are large, and whoever names a profile would have room made for them on the stack.

/// A host that `--host` names.
#[inline(never)]
fn of_sign_in(context: &Context<'_>, matches: &ArgMatches, host: &str) -> Result<Settings> {
    let mut settings = of_host(context, matches, host)?;
    // Compat: SDKs ask so for the sign-in of a host. What comes after it in the order they try themselves, with headers that a token alone would lack.
    let is_open = settings.get(Attr::AuthType).is_none() && settings.get(Attr::Profile).is_none();
    if is_open && chain::choose(&settings, &context.env).is_ok_and(|method| method.name == "databricks-cli") {
        settings.replace(Attr::AuthType, Some(("databricks-cli", Source::Derived)));
    }
    Ok(settings)
}

/// Where no argument tells: environment, default profile, or the person at the terminal.
#[inline(never)]
fn from_surroundings(context: &Context<'_>, matches: &ArgMatches) -> Result<Settings> {
    if let Some(profile) = context.env.get(env::CONFIG_PROFILE) {
        return of_profile(&context.env, &context.file, profile);
    }
    if let Some(host) = context.env.get(env::HOST) {
        // A service principal of the environment is meant, also where some profile has the same host.
        let settings = Settings::gather(&Selection::default(), &context.env, &context.file)?;
        if !only_lasting_from_environment(&settings) {
            settings.check(&context.file)?;
            return Ok(settings);
        }
        return of_host(context, matches, host);
    }
    let resolved = Settings::gather(&Selection::default(), &context.env, &context.file)?;
    if let Some(profile) = resolved.text(Attr::Profile) {
        return of_profile(&context.env, &context.file, profile);
    }
    if resolved.get(Attr::AzureWorkspaceResourceId).is_some() {
        // The host follows from it.
        resolved.check(&context.file)?;
        return Ok(resolved);
    }
    let profiles = context.file.profiles()?;
    if profiles.is_empty() {
        return Err(Failure::new("no profiles configured. Run 'databricks auth login' to create a profile").into());
    }
    if !context.ui.can_prompt() {
        let failure = Failure::new("no profile specified. Use --profile <name> to specify which profile to use");
        let hint = crate::config::file::hint_of_profiles(&context.file, "");
        return Err(hint.into_iter().fold(failure, Failure::hint).into());
    }
    let choices: Vec<Choice> = profiles.iter().map(|profile| Choice::new(profile.name).detail(profile.get(Attr::Host).unwrap_or_default())).collect();
    let chosen = context.ui.prompter().choose("Select a profile", &choices, true)?;
    of_profile(&context.env, &context.file, profiles.get(chosen).map_or("", |profile| profile.name))
}

/// A profile: by itself where it says how to authenticate, so that a token that lies in the environment does not get in between; else with what the environment adds.
pub(super) fn of_profile(env: &Env, file: &ProfileFile, name: &str) -> Result<Settings> {
    let selection = Selection { profile: Some(name.to_owned()), ..Selection::default() };
    let mut settings = Settings::gather(&selection, env, file)?;
    let from_file = |attr| settings.get(attr).is_some_and(|sourced| matches!(sourced.source, Source::File { .. }));
    let secrets: Vec<_> = ATTRIBUTES.iter().filter(|row| row.secret && row.family.is_some() && from_file(row.attr)).filter_map(|row| row.family).collect();
    let named = settings.text(Attr::AuthType).filter(|_| from_file(Attr::AuthType)).map(ToOwned::to_owned);
    match &named {
        // What its own method lacks may come from the environment, as the secret does in CI.
        Some(name) => forget_environment(&mut settings, |row| row.methods.contains(&name.as_str())),
        None if !secrets.is_empty() => forget_environment(&mut settings, |row| row.family.is_some_and(|family| secrets.contains(&family))),
        None if only_lasting_from_environment(&settings) => forget_environment(&mut settings, is_not_lasting),
        None => {}
    }
    settings.check(file)?;
    Ok(settings)
}

/// Compat: a personal access token or a password in the environment is no reason not to print the token of a sign-in.
fn only_lasting_from_environment(settings: &Settings) -> bool {
    settings
        .iter()
        .filter(|(attr, sourced)| attr.row().secret && attr.row().family.is_some() && matches!(sourced.source, Source::Env(_)))
        .all(|(attr, _)| !is_not_lasting(attr.row()))
}

/// Whether an attribute is neither of a personal access token nor of a password.
fn is_not_lasting(row: &Attribute) -> bool {
    !matches!(row.family, Some("pat" | "basic"))
}

/// Forgets what the environment says of credentials, but for what is to be kept.
fn forget_environment(settings: &mut Settings, keep: impl Fn(&Attribute) -> bool) {
    for row in ATTRIBUTES.iter().filter(|row| row.family.is_some() && !keep(row)) {
        if settings.get(row.attr).is_some_and(|sourced| matches!(sourced.source, Source::Env(_))) {
            settings.replace(row.attr, None);
        }
    }
}

/// A host: the only profile that has it, else what the environment says of it, else its sign-in without a profile.
fn of_host(context: &Context<'_>, matches: &ArgMatches, address: &str) -> Result<Settings> {
    let (host, ids) = Host::parse_address(address)?;
    let account =
        arguments::text(matches, "account-id").map(ToOwned::to_owned).or(ids.account_id).or_else(|| context.env.get(env::ACCOUNT_ID).map(ToOwned::to_owned));
    let workspace = arguments::text(matches, "workspace-id")
        .map(ToOwned::to_owned)
        .or(ids.workspace_id)
        .or_else(|| context.env.get(env::WORKSPACE_ID).map(ToOwned::to_owned));
    let profiles = context.file.profiles()?;
    let agrees = |profile: &Profile<'_>, attr, wanted: Option<&String>| wanted.is_none_or(|wanted| profile.get(attr).is_none_or(|own| own == *wanted));
    let meant: Vec<&Profile<'_>> = profiles
        .iter()
        .filter(|profile| profile.get(Attr::Host).and_then(|own| Host::parse(&own).ok()).is_some_and(|own| own == host))
        .filter(|profile| agrees(profile, Attr::AccountId, account.as_ref()) && agrees(profile, Attr::WorkspaceId, workspace.as_ref()))
        .collect();
    // A profile of the very workspace is nearer than one of its whole account.
    let exact: Vec<&Profile<'_>> =
        meant.iter().copied().filter(|profile| workspace.as_deref().is_some_and(|id| profile.get(Attr::WorkspaceId).is_some_and(|own| own == id))).collect();
    match if exact.len() == 1 { exact.as_slice() } else { meant.as_slice() } {
        [only] => return of_profile(&context.env, &context.file, only.name),
        [] => {}
        several if context.ui.can_prompt() => {
            let choices: Vec<_> = several.iter().map(|profile| Choice::new(profile.name)).collect();
            let chosen = context.ui.prompter().choose(&format!("Multiple profiles match {host}"), &choices, true)?;
            return of_profile(&context.env, &context.file, several.get(chosen).map_or("", |profile| profile.name));
        }
        several => {
            let names: Vec<_> = several.iter().map(|profile| text::one_line(profile.name)).collect();
            return Err(Failure::new(format!(
                "{} match {host} in {}. Use --profile to specify which profile to use",
                names.join(" and "),
                context.file.path()?.display()
            ))
            .into());
        }
    }
    let mut settings = Settings::gather(&Selection { host: Some(host.to_string()), ..Selection::default() }, &context.env, &context.file)?;
    for (attr, id) in [(Attr::AccountId, &account), (Attr::WorkspaceId, &workspace)] {
        settings.replace(attr, id.as_deref().map(|id| (id, Source::Derived)));
    }
    // A secret of the environment goes only to the host of the environment.
    let is_its_host = context.env.get(env::HOST).and_then(|own| Host::parse(own).ok()).is_some_and(|own| own == host);
    if !is_its_host {
        forget_environment(&mut settings, |_| false);
        settings.replace(Attr::AuthType, None);
    } else if settings.get(Attr::AuthType).is_none() && only_lasting_from_environment(&settings) {
        forget_environment(&mut settings, is_not_lasting);
    }
    settings.check(&context.file)?;
    Ok(settings)
}

/// Compat: what has a dot, a scheme or a port is taken for a host.
pub(in crate::commands) fn looks_like_a_host(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let has_port = word.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    word.contains('.') || lower.starts_with("https://") || lower.starts_with("http://") || has_port
}
