//! `auth login`: a person signs in with the browser, and a profile remembers how.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ArgMatches;

use profile::{Keeping, profile_now};
use wish::Wish;
use workspace::{choose_workspace, introspect};

use crate::auth::methods::databricks_cli::{self, METHOD};
use crate::auth::oauth::guide::Guide;
use crate::auth::oauth::login::{self, Desk, Ending, Granted};
use crate::auth::oauth::server::{HostDescription, Server};
use crate::auth::{Credential, Ports, Want};
use crate::commands::{Arity, Command, arguments, cluster_picker};
use crate::config::attributes::Attr;
use crate::config::file::ProfileFile;
use crate::config::settings::{Settings, read_switch};
use crate::context::{Context, Workspace};
use crate::env;
use crate::error::Failure;
use crate::host::Host;
use crate::storage::{self, Lock, LockUnavailable, Mode, OpenedForLogin, Pin, StoredToken};
use crate::text;
use crate::ui::prompt::Cancelled;

mod profile;
mod wish;
mod workspace;

pub(crate) static COMMAND: Command = Command {
    name: "login",
    about: "Sign in with the browser, and remember it in a profile",
    details: "PROFILE is the name of a profile, or a host. Without a host the page of Databricks asks which workspace or account is meant; \
              for the console of accounts, and hosts that serve several workspaces, --account-id and --workspace-id say it. The sign-in is kept in the \
              keyring of the system, or where there is none in a file that only you can read, and renewed by itself; SDKs and tools that know the auth type \
              databricks-cli use it.\n\n\
              Over ssh and in containers add --no-browser: the link can be opened on any machine, and what comes back is forwarded by ssh or pasted here. BROWSER names \
              a program to open the link with, or none.\n\n\
              Without a terminal nothing is asked; with --host and without --profile no profile is written, and the sign-in is kept under the host.",
    examples: &[
        "databricks auth login",
        "databricks auth login --host https://my-workspace.cloud.databricks.com --profile my-profile",
        "databricks auth login my-profile --no-browser",
        "databricks auth login --host https://accounts.cloud.databricks.com --account-id ACCOUNT_ID",
        "databricks auth login my-profile --scopes sql,files --timeout 10m",
    ],
    usage: "[PROFILE]",
    arity: Arity::Ignored,
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        command
            .arg(arguments::switch("configure-cluster", "Also choose a cluster for the profile"))
            .arg(arguments::switch("configure-serverless", "Use serverless compute in the profile"))
            .arg(arguments::switch("no-browser", "Only show the link, for a browser on another machine"))
            .arg(arguments::value("scopes", "list", "OAuth scopes to ask for, separated by commas (default all-apis)"))
            .arg(arguments::switch("skip-workspace", "Choose no workspace of the account"))
            .arg(arguments::value("timeout", "duration", "Longest wait for the sign-in (default 1h)"))
    },
    run,
};

/// How long a person may take, unless told.
const TIMEOUT: Duration = Duration::from_secs(3_600);
/// For what is only nice to know.
const BEST_EFFORT: Duration = Duration::from_secs(5);

/// The sign-in that is to be kept.
struct Target {
    host: Host,
    account_id: Option<String>,
    workspace_id: Option<String>,
    /// Whether tokens are granted for the whole account.
    is_account_wide: bool,
    /// Whether it is a console of accounts, where there are no workspaces to work in.
    is_console: bool,
    /// Whether the host was found on the way.
    is_discovered: bool,
}

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let wish = Wish::of(context, matches)?;
    sign_in(context, wish)
}

/// Signs in again to what a profile or a host stands for: for commands that find no sign-in while somebody sits at the terminal.
pub(in crate::commands) fn again(context: &Context<'_>, profile: Option<&str>, host: Option<&Host>, timeout: Option<Duration>) -> Result<()> {
    let host = if profile.is_some() { None } else { host.cloned() };
    sign_in(context, Wish { profile: profile.map(ToOwned::to_owned), host, timeout, ..Wish::default() })
}

/// As [`again`], for a page that leads the person instead of the terminal.
pub(in crate::commands) fn guided(context: &Context<'_>, profile: Option<&str>, host: Option<&Host>, timeout: Duration, guide: Arc<Guide>) -> Result<()> {
    let (profile, host) = (profile.map(ToOwned::to_owned), host.cloned());
    sign_in(context, Wish { profile, host, timeout: Some(timeout), guide: Some(guide), ..Wish::default() })
}

/// What the profile has so far.
struct Present<'a>(Vec<crate::config::document::Field<'a>>);

impl Present<'_> {
    fn get(&self, attr: Attr) -> Option<&str> {
        self.0.iter().rfind(|field| field.key.eq_ignore_ascii_case(attr.name())).map(|field| field.value.as_ref()).filter(|value| !value.is_empty())
    }
}

fn sign_in(context: &Context<'_>, mut wish: Wish) -> Result<()> {
    let cluster_from_env = context.env.get(env::CLUSTER_ID).map(ToOwned::to_owned);
    if wish.configure_cluster && cluster_from_env.is_none() && !context.ui.can_prompt() {
        return Err(Failure::new("cluster ID must be set in non-interactive mode").hint(format!("Set {} to the cluster's id", env::CLUSTER_ID)).into());
    }
    let opened = open_store(context)?;
    if wish.profile.is_none() && wish.host.is_none() && context.ui.can_prompt() {
        wish.choose(context)?;
    }
    let name = wish.name(context)?;
    let present = Present(name.as_deref().map_or(Ok(None), |name| context.file.section(name))?.unwrap_or_default());
    let own_host = present.get(Attr::Host).and_then(|host| Host::parse(host).ok());
    if let (Some(name), Some(own), Some(wanted)) = (&name, &own_host, &wish.host)
        && own != wanted
    {
        replace_host(context, name, own, wanted)?;
    }
    let host = match (&wish.host, present.get(Attr::Host)) {
        (Some(host), _) => Some(host.clone()),
        (None, Some(own)) => {
            let (host, ids) = Host::parse_address(own)?;
            wish.workspace_id = wish.workspace_id.take().or(ids.workspace_id);
            wish.account_id = wish.account_id.take().or(ids.account_id);
            Some(host)
        }
        (None, None) => None,
    };
    let stays = host.is_some() && host == own_host;
    let refreshable = present
        .get(Attr::DisableOauthRefreshToken)
        .or_else(|| context.env.get(env::DISABLE_OAUTH_REFRESH_TOKEN))
        .and_then(read_switch)
        .is_none_or(|disabled| !disabled);
    let scopes = login::scopes(wish.scopes.as_deref().or_else(|| present.get(Attr::Scopes)), refreshable);
    let (target, token, ending, turn) = match host {
        Some(host) => at_host(context, &wish, &opened, name.as_deref(), &host, &present, stays, &scopes)?,
        None => by_discovery(context, &wish, &opened, name.as_deref(), &scopes)?,
    };
    let mut target = target;
    choose_workspace(context, &wish, &mut target, &token, stays && present.get(Attr::WorkspaceId).is_none() && present.get(Attr::AuthType).is_some())?;
    let cluster = match cluster_from_env {
        _ if !wish.configure_cluster => None,
        Some(cluster) => Some(cluster),
        None => Some(cluster_picker::pick(context, &connect(context, &target, &token, None)?)?),
    };
    let kept = Keeping { context, opened: &opened, name: name.as_deref(), target: &target, present: &present };
    kept.keep(&wish, cluster.as_deref(), &token, turn.renewed)?;
    if let Some(ending) = ending {
        ending.succeed();
    }
    drop(turn);
    report(context, name.as_deref(), &target, &token);
    Ok(())
}

/// The store for new sign-ins, tried before anybody is sent to a browser.
fn open_store(context: &Context<'_>) -> Result<OpenedForLogin> {
    let opened = storage::open_for_login(&context.env, &context.storage()?)?;
    if let Some(cause) = &opened.fallback {
        let place = opened.store.location();
        context.ui.note(&format!("There is no keyring here ({}), so the sign-in is kept in {place}, which only you can read.", text::one_line(cause)));
    }
    if opened.pin == Some(Pin::Plaintext) {
        context.file.set_auth_storage(Pin::Plaintext.value())?;
    }
    Ok(opened)
}

/// A profile that signs in elsewhere is replaced only by somebody who says so.
fn replace_host(context: &Context<'_>, name: &str, own: &Host, wanted: &Host) -> Result<()> {
    let shown = text::quoted(name);
    if context.ui.can_prompt() {
        context.ui.note(&format!("Profile {shown} signs in to {own} so far, and would sign in to {wanted} from now on."));
        if context.ui.prompter().confirm("Change it?")? {
            return Ok(());
        }
    }
    Err(Failure::new(format!("--profile {shown} has host \"{own}\", which conflicts with --host \"{wanted}\". Use --profile only to select a profile"))
        .hint(format!("To have a profile for each: databricks auth login --host {wanted} --profile ANOTHER-NAME"))
        .into())
}

/// Being the only process that signs this credential in.
struct Turn {
    _lock: Lock,
    /// Whether the token is new, and not the one that another process has just got.
    renewed: bool,
}

/// A token, what the browser waits for, and our turn.
type SignedIn = (Target, StoredToken, Option<Ending>, Turn);

#[expect(clippy::too_many_arguments, reason = "what the person said, what the profile says, and where it leads")]
fn at_host(
    context: &Context<'_>,
    wish: &Wish,
    opened: &OpenedForLogin,
    name: Option<&str>,
    host: &Host,
    present: &Present<'_>,
    stays: bool,
    scopes: &str,
) -> Result<SignedIn> {
    let deadline = Cell::new(deadline(wish));
    let old = |attr| present.get(attr).filter(|_| stays).map(ToOwned::to_owned);
    with_ports(context, &deadline, |ports| {
        let known_account = wish.account_id.clone().or_else(|| old(Attr::AccountId));
        let server = Server::new(host.clone(), known_account.clone(), None, ports);
        let description = server.description().cloned().unwrap_or_default();
        let is_console = host.is_account_console() || description.host_type.as_deref() == Some("account");
        let is_account_wide = is_console || is_unified(&description);
        let told = description.account_id.clone().filter(|_| is_account_wide);
        let account_id = match known_account.clone().or(told) {
            None if is_account_wide => Some(ask_account(context)?),
            known => known,
        };
        let workspace_id =
            wish.workspace_id.clone().or_else(|| old(Attr::WorkspaceId)).or(description.workspace_id).filter(|id| !id.eq_ignore_ascii_case("none"));
        let target = Target {
            host: host.clone(),
            workspace_id: if is_console || (wish.skip_workspace && is_account_wide) { None } else { workspace_id },
            is_account_wide: is_account_wide && account_id.is_some(),
            account_id,
            is_console,
            is_discovered: false,
        };
        let server = if target.account_id == known_account { server } else { Server::new(host.clone(), target.account_id.clone(), None, ports) };
        let key = target.keys(name, opened.mode).swap_remove(0);
        let (lock, taken) = take_turn(context, opened, &key, deadline.get())?;
        if let Some(token) = taken {
            // It is ours only where it is for the same host and scopes.
            let (now, its_scopes) = match name {
                Some(name) => profile_now(context, name)?,
                None => (Some(host.clone()), None),
            };
            if now.as_ref() == Some(host) && (wish.scopes.is_none() || wish.scopes == its_scopes) {
                context.ui.note(TAKEN);
                return Ok((target, token, None, Turn { _lock: lock, renewed: false }));
            }
            if let (Some(name), Some(now)) = (name, now)
                && now != *host
            {
                replace_host(context, name, &now, host)?;
            }
        }
        let Granted { token, ending } =
            insisting(context, wish, &deadline, || login::sign_in(&desk(context, wish, ports, deadline.get()), &server, host, scopes))?;
        Ok((target, token, Some(ending), Turn { _lock: lock, renewed: true }))
    })
}

fn by_discovery(context: &Context<'_>, wish: &Wish, opened: &OpenedForLogin, name: Option<&str>, scopes: &str) -> Result<SignedIn> {
    let tip = "Tip: you can specify a workspace directly with: databricks auth login --host <url>";
    let flags = [
        ("--account-id", wish.account_id.is_some()),
        ("--workspace-id", wish.workspace_id.is_some()),
        ("--configure-cluster", wish.configure_cluster),
        ("--configure-serverless", wish.configure_serverless),
    ];
    if let Some((flag, _)) = flags.iter().find(|(_, given)| *given) {
        return Err(Failure::new(format!("{flag} requires --host to be specified")).into());
    }
    let Some(name) = name else {
        return Err(Failure::new(format!("setting up login.databricks.com: profile name must not be empty for discovery login\n\n{tip}")).into());
    };
    let deadline = Cell::new(deadline(wish));
    with_ports(context, &deadline, |ports| {
        let (lock, taken) = take_turn(context, opened, name, deadline.get())?;
        if let Some(token) = taken {
            // The other process has written the profile meanwhile.
            let file = ProfileFile::locate(&context.env);
            let present = Present(file.section(name)?.unwrap_or_default());
            if let Some(host) = present.get(Attr::Host) {
                let id = |attr| present.get(attr).map(ToOwned::to_owned);
                let (account_id, workspace_id) = (id(Attr::AccountId), id(Attr::WorkspaceId));
                let host = Host::parse(host)?;
                let is_console = host.is_account_console();
                let target =
                    Target { host, is_account_wide: account_id.is_some() && workspace_id.is_none(), account_id, workspace_id, is_console, is_discovered: true };
                context.ui.note(TAKEN);
                return Ok((target, token, None, Turn { _lock: lock, renewed: false }));
            }
        }
        let is_wanted = |host: &Host| {
            if !context.ui.can_prompt() {
                return Ok(false);
            }
            context.ui.note(&format!("The browser was sent here by {host}, which lies in no domain of Databricks."));
            context.ui.prompter().confirm("Is it your workspace or account?")
        };
        let found = insisting(context, wish, &deadline, || login::discover(&desk(context, wish, ports, deadline.get()), scopes, &is_wanted));
        let found =
            found.map_err(|error| if error.is::<Cancelled>() { error } else { error.context("login via login.databricks.com failed").context_tip(tip) })?;
        let Granted { token, ending } = found.granted;
        let server = Server::new(found.host.clone(), found.account_id.clone(), None, ports);
        let description = server.description().cloned().unwrap_or_default();
        let is_console = found.host.is_account_console() || description.host_type.as_deref() == Some("account");
        let mut target = Target {
            is_account_wide: found.account_id.is_some(),
            account_id: found.account_id.or_else(|| description.account_id.clone().filter(|_| is_console || is_unified(&description))),
            workspace_id: description.workspace_id.clone().filter(|_| !is_console),
            host: found.host,
            is_console,
            is_discovered: true,
        };
        if target.account_id.is_none() || target.workspace_id.is_none() {
            introspect(context, &mut target, &token);
        }
        Ok((target, token, Some(ending), Turn { _lock: lock, renewed: true }))
    })
}

/// Puts the tip of a failed discovery below its error.
trait ContextTip {
    fn context_tip(self, tip: &str) -> anyhow::Error;
}

impl ContextTip for anyhow::Error {
    fn context_tip(self, tip: &str) -> anyhow::Error {
        let hints: Vec<String> = self.chain().filter_map(|cause| cause.downcast_ref::<Failure>()).flat_map(Failure::hints).cloned().collect();
        hints.into_iter().fold(Failure::new(format!("{self:#}\n\n{tip}")), Failure::hint).into()
    }
}

fn deadline(wish: &Wish) -> Instant {
    let now = Instant::now();
    // A limit that no clock can hold is none.
    now.checked_add(wish.timeout.unwrap_or(TIMEOUT)).unwrap_or(now + TIMEOUT)
}

fn desk<'a>(context: &'a Context<'_>, wish: &'a Wish, ports: &'a Ports<'a>, deadline: Instant) -> Desk<'a> {
    Desk { ui: context.ui, ports, no_browser: wish.no_browser, deadline, guide: wish.guide.as_deref() }
}

/// What requests to servers may use; none lasts longer than the sign-in may.
fn with_ports<T>(context: &Context<'_>, deadline: &Cell<Instant>, work: impl FnOnce(&Ports<'_>) -> T) -> T {
    context.with_ports(Want::USUAL, |ports| {
        let options = || {
            let mut options = (ports.options)();
            let left = deadline.get().saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            options.total_timeout = options.total_timeout.min(left);
            options.retry_timeout = options.retry_timeout.min(left);
            options
        };
        work(&Ports { env: ports.env, options: &options, storage: ports.storage, want: ports.want })
    })
}

/// Tries until it works, or the person at the terminal has enough.
fn insisting<T>(context: &Context<'_>, wish: &Wish, until: &Cell<Instant>, attempt: impl Fn() -> Result<T>) -> Result<T> {
    loop {
        let error = match attempt() {
            Ok(done) => return Ok(done),
            Err(error) if error.is::<Cancelled>() || !context.ui.can_prompt() => return Err(error),
            Err(error) => error,
        };
        context.ui.note(&format!("The sign-in did not work: {error:#}"));
        for hint in error.chain().filter_map(|cause| cause.downcast_ref::<Failure>()).flat_map(Failure::hints) {
            context.ui.note(&format!("Hint: {hint}"));
        }
        if !context.ui.prompter().confirm("Try again?")? {
            return Err(error);
        }
        until.set(deadline(wish));
    }
}

/// What somebody is told whom the sign-in of another process serves too.
const TAKEN: &str = "The other sign-in is done; it counts for this one too.";

/// Waits until no other process signs the same credential in; gives the token that such a process got.
fn take_turn(context: &Context<'_>, opened: &OpenedForLogin, key: &str, deadline: Instant) -> Result<(Lock, Option<StoredToken>)> {
    let lock_name = format!("sign-in of {key}");
    // What cannot be read is about to be replaced.
    let held = || opened.store.load(key).ok().flatten();
    let before = held();
    let lock = match Lock::acquire(&context.env, &lock_name, Duration::ZERO) {
        Ok(lock) => return Ok((lock, None)),
        Err(error) if error.is::<LockUnavailable>() => return Err(error),
        Err(_) => {
            context.ui.note(&format!("Another sign-in for {} is under way. Waiting for it; Ctrl-C ends the wait.", text::one_line(key)));
            Lock::acquire(&context.env, &lock_name, deadline.saturating_duration_since(Instant::now()))?
        }
    };
    Ok((lock, held().filter(|after| before.as_ref().is_none_or(|before| before.access_token != after.access_token))))
}

/// Whether the host serves many workspaces of one account.
fn is_unified(description: &HostDescription) -> bool {
    description.oidc_endpoint.as_deref().is_some_and(|endpoint| endpoint.contains("/oidc/accounts/"))
}

fn ask_account(context: &Context<'_>) -> Result<String> {
    if !context.ui.can_prompt() {
        return Err(Failure::new("the command is being run in a non-interactive environment, please specify an account ID using --account-id").into());
    }
    let check = |typed: &str| {
        let id = typed.trim();
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_id { Ok(id.to_owned()) } else { Err("an account id has letters, digits and dashes".to_owned()) }
    };
    context.ui.prompter().text("Databricks account ID", None, &check)
}

impl Target {
    /// Where the token is kept: under the profile, and in the file under the host too, where old SDKs look for it.
    fn keys(&self, name: Option<&str>, mode: Mode) -> Vec<String> {
        let host = || databricks_cli::host_key(&self.host, self.account_id.as_deref().filter(|_| self.is_account_wide && !self.is_discovered));
        match (name, mode) {
            (Some(name), Mode::Secure) => vec![name.to_owned()],
            (Some(name), Mode::Plaintext) => vec![name.to_owned(), host()],
            (None, _) => vec![host()],
        }
    }
}

/// A connection with the new token.
fn connect(context: &Context<'_>, target: &Target, token: &StoredToken, limit: Option<Duration>) -> Result<Workspace> {
    let mut values = vec![(Attr::Host, target.host.as_str())];
    values.extend(target.workspace_id.as_deref().map(|id| (Attr::WorkspaceId, id)));
    let credential = Credential::bearer(target.host.clone(), METHOD.name, token.clone(), Vec::new());
    Workspace::connect(Settings::of_values(&values), credential, context.caller(), limit)
}

/// Says what came of it; who it is for is asked of the workspace, for a moment only.
fn report(context: &Context<'_>, name: Option<&str>, target: &Target, token: &StoredToken) {
    if let Some(name) = name {
        context.ui.note(&format!("Profile {} was successfully saved", text::one_line(name)));
    }
    let has_users = !target.is_console && (!target.is_account_wide || target.workspace_id.is_some());
    let user = has_users.then(|| connect(context, target, token, Some(BEST_EFFORT)).and_then(|workspace| workspace.who()).ok()).flatten();
    let user = user.filter(|user| !user.is_empty()).map_or(String::new(), |user| format!(" as {}", text::one_line(&user)));
    context.ui.note(&format!("Signed in to {}{user}", target.host));
    if name.is_none() {
        let host = &target.host;
        let listing = context.file.listing().unwrap_or_default();
        let owner = listing.iter().find(|(_, own)| Host::parse(own).is_ok_and(|own| own == *host));
        let next = match owner {
            // The token of the host is looked for under its profile first.
            Some((owner, _)) => format!("To sign in the profile of this host: databricks auth login --profile {}", text::one_line(owner)),
            None => format!("Use the sign-in with: databricks auth token --host {host}; to have a profile: databricks auth login --host {host} --profile NAME"),
        };
        context.ui.note(&format!("No profile was written, because none was named. {next}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_under_the_profile_and_in_the_file_under_the_host() {
        let target = |is_account_wide| Target {
            host: Host::parse("https://h.example").unwrap(),
            account_id: Some("a-1".into()),
            workspace_id: None,
            is_account_wide,
            is_console: false,
            is_discovered: false,
        };
        assert_eq!(target(false).keys(Some("dev"), Mode::Plaintext), ["dev", "https://h.example"]);
        assert_eq!(target(true).keys(Some("dev"), Mode::Plaintext), ["dev", "https://h.example/oidc/accounts/a-1"]);
        assert_eq!(target(true).keys(Some("dev"), Mode::Secure), ["dev"]);
        assert_eq!(target(false).keys(None, Mode::Secure), ["https://h.example"]);
    }
}
