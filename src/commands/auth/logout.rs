//! `auth logout`: a sign-in is forgotten here, and on request at the server too.

use std::time::Duration;

use anyhow::Result;
use clap::ArgMatches;

use crate::auth::Want;
use crate::auth::methods::databricks_cli::{self, METHOD};
use crate::auth::oauth::CLIENT_ID;
use crate::auth::oauth::server::Server;
use crate::clock;
use crate::commands::{Arity, Command, arguments};
use crate::config::attributes::Attr;
use crate::config::file::Profile;
use crate::context::Context;
use crate::error::Failure;
use crate::host::Host;
use crate::storage::file::TokenFile;
use crate::storage::keyring::Keyring;
use crate::storage::{self, Lock, StoredToken, TokenStore};
use crate::text;
use crate::ui::prompt::Choice;

pub(crate) static COMMAND: Command = Command {
    name: "logout",
    about: "Sign out: forget the token of a profile, and the profile if you like",
    details: "PROFILE is the name of a profile, or its host. The token is removed from every store of this machine. What the server granted stays good until it ends by \
              itself, unless --revoke asks the server to end it now.\n\nWithout a terminal --auto-approve has to say that this is meant.",
    examples: &[
        "databricks auth logout my-profile",
        "databricks auth logout my-profile --revoke",
        "databricks auth logout --profile my-profile --delete --auto-approve",
    ],
    usage: "[PROFILE]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: false,
    flags: |command| {
        command
            .arg(arguments::switch("auto-approve", "Do it without asking"))
            .arg(arguments::switch("delete", "Also remove the profile from the profile file"))
            .arg(arguments::switch("revoke", "Also tell the server to end the sign-in"))
    },
    run,
};

/// How long to wait for a refresh of another process.
const PATIENCE: Duration = Duration::from_secs(40);

/// What is to be forgotten.
struct Target {
    /// `None` for a sign-in that no profile names.
    name: Option<String>,
    host: Option<Host>,
    account_id: Option<String>,
    /// Whether a sign-in is how it authenticates.
    signs_in: bool,
}

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let approved = arguments::is_on(matches, "auto-approve");
    let (delete, revoke) = (arguments::is_on(matches, "delete"), arguments::is_on(matches, "revoke"));
    if !approved && !context.ui.can_prompt() {
        return Err(Failure::new("please specify --auto-approve to skip confirmation in non-interactive mode").into());
    }
    let stores = stores(context)?;
    let target = target(context, matches, &stores)?;
    if !approved {
        context.ui.out(&announcement(context, &target, &stores, delete, revoke)?);
        if context.ui.flush()? == crate::ui::Audience::Gone || !context.ui.prompter().confirm("Are you sure?")? {
            context.ui.note("Aborting logout... No changes were made.");
            return Ok(());
        }
    }
    let mut unrevoked = None;
    if target.signs_in {
        let (held, failure) = forget(context, &target, &stores, revoke)?;
        unrevoked = failure;
        if revoke && held.is_none() {
            context.ui.note("Nobody was signed in here, so there was nothing to revoke.");
        }
        if let Some(held) = held.filter(|_| !revoke) {
            context.ui.note(&format!("{}. With --revoke, signing out ends it there too; now only its owner or an administrator can.", still_good(&held)));
        }
    }
    let shown = target.name.as_deref().map(text::quoted);
    if let Some(name) = target.name.as_deref().filter(|_| delete) {
        context.file.delete(name)?;
    }
    context.ui.note(&match (&shown, target.signs_in, delete) {
        (None, ..) => format!("Logged out of {}.", target.host.as_ref().map_or(String::new(), Host::to_string)),
        (Some(name), true, false) => format!("Logged out of profile {name}. Use --delete to also remove it from the config file."),
        (Some(name), true, true) => format!("Logged out of and deleted profile {name}."),
        (Some(name), false, true) => format!("Deleted profile {name} with no tokens to clear."),
        (Some(name), false, false) => format!("No tokens to clear for profile {name}. Use --delete to remove it from the config file."),
    });
    unrevoked.map_or(Ok(()), Err)
}

/// Every store that may hold the sign-in: the one in force first, which has to answer; of the others those that do.
fn stores(context: &Context<'_>) -> Result<Vec<Box<dyn TokenStore>>> {
    let opened = storage::open_for_reading(&context.env, &context.storage()?)?;
    let mut stores = vec![opened.store];
    match opened.mode {
        storage::Mode::Secure => stores.extend(TokenFile::of(&context.env).ok().map(|file| Box::new(file) as Box<dyn TokenStore>)),
        storage::Mode::Plaintext => stores.extend(Keyring::open(&context.env).ok().map(|keyring| Box::new(keyring) as Box<dyn TokenStore>)),
    }
    Ok(stores)
}

fn target(context: &Context<'_>, matches: &ArgMatches, stores: &[Box<dyn TokenStore>]) -> Result<Target> {
    let profiles: Vec<Profile<'_>> = context.file.profiles()?;
    let word = arguments::positionals(matches).first().copied();
    if let (Some(word), Some(_)) = (word, &context.globals.profile) {
        return Err(Failure::new(format!("argument {} cannot be combined with --profile. Use the --profile flag instead", text::quoted(word))).into());
    }
    let of = |profile: &Profile<'_>| Target {
        name: Some(profile.name.to_owned()),
        host: profile.get(Attr::Host).and_then(|host| Host::parse(&host).ok()),
        account_id: profile.get(Attr::AccountId).map(std::borrow::Cow::into_owned),
        signs_in: profile.get(Attr::AuthType).map_or(profile.get(Attr::Token).is_none(), |own| own == METHOD.name),
    };
    let named = word.or(context.globals.profile.as_deref());
    if let Some(profile) = named.and_then(|named| profiles.iter().find(|profile| profile.name == named)) {
        return Ok(of(profile));
    }
    let address = arguments::text(matches, "host").or_else(|| word.filter(|word| super::token::looks_like_a_host(word)));
    match (named, address) {
        (_, Some(address)) if context.globals.profile.is_none() => {
            let host = Host::parse(address)?;
            let meant: Vec<&Profile<'_>> =
                profiles.iter().filter(|profile| profile.get(Attr::Host).and_then(|own| Host::parse(&own).ok()).is_some_and(|own| own == host)).collect();
            let default = context.file.default_profile()?;
            match meant.as_slice() {
                [only] => Ok(of(only)),
                [] => by_host(host, matches, stores),
                several => match several.iter().find(|profile| default.as_deref() == Some(profile.name)) {
                    Some(profile) => Ok(of(profile)),
                    None if context.ui.can_prompt() => pick(context, &format!("Multiple profiles match {host}"), several).map(of),
                    None => {
                        let names: Vec<_> = several.iter().map(|profile| text::one_line(profile.name)).collect();
                        let path = context.file.path()?.display();
                        Err(Failure::new(format!("{} match {host} in {path}. Use --profile to specify which profile to use", names.join(" and "))).into())
                    }
                },
            }
        }
        // A profile that was removed by hand leaves its sign-in behind.
        (Some(named), _) if stores.iter().any(|store| store.load(named).is_ok_and(|token| token.is_some())) => {
            Ok(Target { name: Some(named.to_owned()), host: None, account_id: None, signs_in: true })
        }
        (Some(named), _) => {
            let names: Vec<_> = profiles.iter().map(|profile| text::one_line(profile.name)).collect();
            let available = if names.is_empty() { String::new() } else { format!(". Available profiles: {}", names.join(", ")) };
            Err(Failure::new(format!("profile {} not found{available}", text::quoted(named))).into())
        }
        (None, _) if !context.ui.can_prompt() => Err(Failure::new(
            "the command is being run in a non-interactive environment, please specify a profile using the PROFILE argument or --profile flag",
        )
        .into()),
        (None, _) => {
            let with_host: Vec<&Profile<'_>> = profiles.iter().filter(|profile| profile.get(Attr::Host).is_some()).collect();
            if with_host.is_empty() {
                return Err(Failure::new("there is no profile to log out of").hint("To sign in: databricks auth login").into());
            }
            pick(context, "Select a profile to log out of", &with_host).map(of)
        }
    }
}

fn pick<'p, 'a>(context: &Context<'_>, label: &str, profiles: &[&'p Profile<'a>]) -> Result<&'p Profile<'a>> {
    let choices: Vec<Choice> =
        profiles.iter().map(|profile| Choice::new(profile.name).detail(format!("({})", profile.get(Attr::Host).unwrap_or_default()))).collect();
    let chosen = context.ui.prompter().choose(label, &choices, true)?;
    profiles.get(chosen).copied().ok_or_else(|| Failure::new("no profile was chosen").into())
}

/// A sign-in without a profile, if a store has one for this host.
fn by_host(host: Host, matches: &ArgMatches, stores: &[Box<dyn TokenStore>]) -> Result<Target> {
    let account_id = arguments::text(matches, "account-id").map(ToOwned::to_owned).or_else(|| stores.iter().find_map(|store| account_of(&host, &**store)));
    let keys = databricks_cli::keys(None, &host, account_id.as_deref());
    let is_held = |store: &dyn TokenStore| keys.iter().any(|key| store.load(key).is_ok_and(|token| token.is_some()));
    if stores.iter().any(|store| is_held(&**store)) {
        return Ok(Target { name: None, host: Some(host), account_id, signs_in: true });
    }
    Err(Failure::new(format!("no profile found matching host \"{host}\", and nobody is signed in there")).hint("To see all: databricks auth profiles").into())
}

/// The account under whose key a store holds the sign-in of a host.
fn account_of(host: &Host, store: &dyn TokenStore) -> Option<String> {
    let start = databricks_cli::host_key(host, Some(""));
    store.keys().ok()?.into_iter().find_map(|key| key.strip_prefix(&start).map(ToOwned::to_owned)).filter(|id| !id.is_empty())
}

/// What is about to happen, for the person to confirm. Compat: on standard output.
fn announcement(context: &Context<'_>, target: &Target, stores: &[Box<dyn TokenStore>], delete: bool, revoke: bool) -> Result<String> {
    let host = target.host.as_ref().map(Host::to_string).unwrap_or_default();
    let place = if host.is_empty() { String::new() } else { format!(" ({host})") };
    let what = target.name.as_deref().map_or_else(|| host.clone(), |name| format!("profile {}{place}", text::quoted(name)));
    let mut lines = vec![format!("Warning: this logs out of {}.", text::one_line(&what))];
    if target.signs_in {
        let places: Vec<String> = stores.iter().map(|store| store.location()).collect();
        lines.push(format!("  - Its token is removed from {}.", places.join(" and from ")));
        lines.push(if revoke {
            "  - The server is told to end the sign-in.".to_owned()
        } else {
            "  - At the server it ends by itself, or with --revoke.".to_owned()
        });
    }
    if delete {
        lines.push(format!("  - The profile is removed from {}.", context.file.path()?.display()));
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

/// Removes the sign-in from all stores, and has it revoked if that is wanted. Gives the token that was there, and why it was not revoked.
fn forget(context: &Context<'_>, target: &Target, stores: &[Box<dyn TokenStore>], revoke: bool) -> Result<(Option<StoredToken>, Option<anyhow::Error>)> {
    let lock_name = target.host.as_ref().map_or_else(|| target.name.clone().unwrap_or_default(), databricks_cli::lock_name);
    let lock = Lock::acquire(&context.env, &lock_name, PATIENCE)?;
    let own_keys = match (&target.name, &target.host) {
        (Some(name), _) => vec![name.clone()],
        (None, Some(host)) => databricks_cli::keys(None, host, target.account_id.as_deref()),
        (None, None) => Vec::new(),
    };
    let held: Vec<StoredToken> = stores.iter().flat_map(|store| own_keys.iter().filter_map(move |key| store.load(key).ok().flatten())).collect();
    let mut failure = None;
    if revoke && !held.is_empty() {
        failure = match &target.host {
            Some(host) => held.iter().find_map(|token| revoke_one(context, host, target.account_id.as_deref(), token).err()),
            None => held.first().map(|token| unrevoked("no profile says at which host it is", token).into()),
        };
    }
    for store in stores {
        let mut keys = own_keys.clone();
        if let Some(host) = &target.host {
            keys.extend(left_over(context, target, host, &**store, &held)?);
        }
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        store.remove(&lock, &keys)?;
        for notice in store.notices() {
            context.ui.warn(&notice);
        }
    }
    Ok((held.into_iter().next(), failure))
}

/// The keys of the host that hold this sign-in too, or one that no profile uses any more.
fn left_over(context: &Context<'_>, target: &Target, host: &Host, store: &dyn TokenStore, held: &[StoredToken]) -> Result<Vec<String>> {
    let profiles = context.file.profiles()?;
    let is_signed_in = |profile: &Profile<'_>| store.load(profile.name).is_ok_and(|token| token.is_some());
    let is_used = profiles
        .iter()
        .filter(|profile| Some(profile.name) != target.name.as_deref())
        .filter(|profile| profile.get(Attr::Host).and_then(|own| Host::parse(&own).ok()).is_some_and(|own| own == *host))
        .any(is_signed_in);
    let is_ours = |key: &String| {
        let Some(entry) = store.load(key).ok().flatten() else { return false };
        held.iter().any(|token| token.access_token == entry.access_token || (token.refresh_token.is_some() && token.refresh_token == entry.refresh_token))
    };
    let keys = databricks_cli::keys(None, host, target.account_id.as_deref());
    Ok(keys.into_iter().filter(|key| !is_used || is_ours(key)).collect())
}

/// Has the server end a sign-in (RFC 7009).
///
/// # Errors
/// If it cannot be asked, or offers no such thing; with what stays good.
fn revoke_one(context: &Context<'_>, host: &Host, account_id: Option<&str>, token: &StoredToken) -> Result<()> {
    context.with_ports(Want::USUAL, |ports| {
        let server = Server::new(host.clone(), account_id.map(ToOwned::to_owned), None, ports);
        let revoked = |secret, kind| match server.revoke(CLIENT_ID, secret, kind) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("{host} offers no revocation")),
            Err(error) => Err(format!("{error:#}")),
        };
        if let Some(refresh_token) = &token.refresh_token {
            // With it goes all that was granted by it.
            revoked(refresh_token, "refresh_token").map_err(|why| unrevoked(&why, token))?;
        }
        if token.access_token.is_empty() {
            return Ok(());
        }
        let access_alone = StoredToken { refresh_token: None, ..token.clone() };
        match revoked(&token.access_token, "access_token") {
            Ok(()) => Ok(()),
            // Servers whose access tokens are signed and not looked up have no way to end one.
            Err(_) if token.refresh_token.is_some() => {
                context.ui.note(&format!("The sign-in was ended at {host}. {}.", still_good(&access_alone)));
                Ok(())
            }
            Err(why) => Err(unrevoked(&why, &access_alone).into()),
        }
    })
}

/// That the server still takes what was forgotten.
fn unrevoked(why: &str, token: &StoredToken) -> Failure {
    Failure::new(format!("the sign-in was forgotten here, but not revoked: {why}"))
        .hint(format!("{}. Its owner or an administrator can end it in the settings of the account", still_good(token)))
}

/// What somebody who has the token can still do with it.
fn still_good(token: &StoredToken) -> String {
    let now = clock::now();
    let access = match token.expiry {
        Some(expiry) if expiry <= now => "The access token has expired".to_owned(),
        Some(expiry) => format!("The access token stays good until {}", clock::minute(expiry)),
        None => "The access token stays good until the server ends it".to_owned(),
    };
    if token.refresh_token.is_some() { format!("{access}, the refresh token until the server ends it") } else { access }
}
