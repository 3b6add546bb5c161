//! The chain: which method applies, and what to say when none does.

use anyhow::Result;

use crate::auth::methods::{FOREIGN, databricks_cli};
use crate::auth::session::NoSignIn;
use crate::auth::{self, Credential, METHODS, Method, Ports, Skip};
use crate::config::attributes::{ATTRIBUTES, Attr};
use crate::config::file::ProfileFile;
use crate::config::settings::{Settings, UNIFIED_AUTH_PAGE};
use crate::env::{self, Env};
use crate::error::Failure;
use crate::host::Host;
use crate::http::{ApiError, NetworkError};
use crate::text;

/// The method that the settings lead to: the one that `auth_type` names, else the first that has all it needs. Looks at the settings only.
///
/// # Errors
/// If there is none; the hints say what each method lacks.
pub(crate) fn choose(settings: &Settings, env: &Env) -> Result<&'static Method> {
    match settings.text(Attr::AuthType) {
        Some(name) => named(settings, env, name),
        None => METHODS
            .iter()
            .copied()
            .find(|method| method.automatic && method.ready(settings, env).is_ok())
            .ok_or_else(|| nothing_applies(settings, env, &[]).into()),
    }
}

/// Obtains a credential for the host in force: of the method that `auth_type` names, else of the first that has all it needs and works.
///
/// # Errors
/// As [`choose`]; if a secret of a profile would go to another host than the profile's; or, with what each method said, if none works.
pub(crate) fn acquire(settings: &Settings, ports: &Ports<'_>) -> Result<Credential> {
    let mut attempts = Vec::new();
    let mut credential = try_all(settings, ports, &mut attempts)?;
    let used = credential.method;
    // That nobody has signed in is no trouble where another method works.
    let troubles = attempts.iter().filter(|attempt| !attempt.not_set_up);
    credential.remarks.extend(troubles.map(|attempt| format!("{} did not work ({}); {used} is used", attempt.method.name, attempt.reason)));
    Ok(credential)
}

/// As [`acquire`]; what did not work on the way is in `attempts`, also where nothing does.
pub(crate) fn try_all(settings: &Settings, ports: &Ports<'_>, attempts: &mut Vec<Attempt>) -> Result<Credential> {
    let env = ports.env;
    // An address that is none stops every method, and is told once.
    settings.host()?;
    if let Some(name) = settings.text(Attr::AuthType) {
        let method = named(settings, env, name)?;
        check_destination(settings, method)?;
        let host = method.host(settings, ports).map_err(|error| told(method, None, error))?;
        return (method.acquire)(settings, host.clone(), ports).map_err(|error| told(method, Some(&host), error));
    }
    for method in METHODS.iter().copied().filter(|method| method.automatic && method.ready(settings, env).is_ok()) {
        check_destination(settings, method)?;
        match method.host(settings, ports).and_then(|host| (method.acquire)(settings, host, ports)) {
            Ok(credential) => return Ok(credential),
            Err(error) => attempts.push(Attempt::of(method, &error)),
        }
    }
    let failure = nothing_applies(settings, env, attempts);
    let signed_out = !attempts.is_empty() && attempts.iter().all(|attempt| attempt.not_set_up);
    let beside = attempts.iter().filter(|attempt| !attempt.hints.is_empty() && attempt.method.name != databricks_cli::METHOD.name);
    let beside =
        beside.flat_map(|attempt| std::iter::once(format!("{} did not work: {}", attempt.method.name, attempt.reason)).chain(attempt.hints.iter().cloned()));
    Err(failure.marked(Unconfigured { signed_out, beside: beside.collect() }).into())
}

/// Whether a method that has all it needs was merely never set up on this machine.
fn is_not_set_up(error: &anyhow::Error) -> bool {
    error.downcast_ref::<NoSignIn>().is_some() || Failure::mark::<NotSetUp>(error).is_some()
}

/// Marks the failure of a method that builds on what is not there: a program that is not installed, or into which nobody has signed in. Automatic mode goes on without a word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotSetUp;

/// Marks that no method works, and none was asked for by name.
#[derive(Debug)]
pub(crate) struct Unconfigured {
    /// Whether nothing was tried but what somebody would have had to sign in to first.
    pub(crate) signed_out: bool,
    /// What was not set up beside the sign-in of Databricks, with the next steps.
    pub(crate) beside: Vec<String>,
}

/// A method that had all it needs, and why it did not work.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) method: &'static Method,
    /// On one line.
    pub(crate) reason: String,
    /// What the method says is to be done about it.
    hints: Vec<String>,
    /// Whether all it lacks is that somebody signs in, or installs what it builds on.
    not_set_up: bool,
}

impl Attempt {
    fn of(method: &'static Method, error: &anyhow::Error) -> Self {
        let told = format!("{error:#}");
        let told: Vec<&str> = told.split("\n\n").next().unwrap_or_default().lines().map(str::trim).collect();
        let reason = text::one_line(&told.join(" ")).into_owned();
        let own = error.downcast_ref::<Failure>().or_else(|| error.downcast_ref::<NetworkError>().map(NetworkError::failure));
        let mut hints = own.map_or_else(Vec::new, |failure| failure.hints().to_vec());
        hints.extend(error.downcast_ref::<NoSignIn>().map(|none| format!("To sign in: {}", none.login)));
        Self { method, reason, hints, not_set_up: is_not_set_up(error) }
    }
}

/// An error of a method that was asked for by name: it says which one, and what to do where nobody else knows.
fn told(method: &Method, host: Option<&Host>, error: anyhow::Error) -> anyhow::Error {
    // These speak as scripts know them.
    if LOCAL.contains(&method.name) || method.name == databricks_cli::METHOD.name {
        return error;
    }
    let failure = |cause: &(dyn std::error::Error + 'static)| -> Option<bool> {
        let failure = cause.downcast_ref::<Failure>().or_else(|| cause.downcast_ref::<NetworkError>().map(NetworkError::failure));
        failure.map(|failure| failure.is_marked() || !failure.hints().is_empty())
    };
    let says_more = error.chain().filter_map(failure).any(|more| more);
    let error = match host {
        Some(host) if error.downcast_ref::<ApiError>().is_some() && !format!("{error:#}").contains("://") => error.context(format!("{host} gives no token")),
        _ => error,
    };
    let error = if format!("{error:#}").contains(method.name) { error } else { error.context(method.name) };
    if says_more { error } else { Failure::new(format!("{error:#}")).hint(AFTER_ALL).into() }
}

/// What can always be done.
const AFTER_ALL: &str = "Try again in a while; what is set, and where it comes from, says: databricks auth describe";

/// The methods that ask nobody: what they say is certain.
const LOCAL: [&str; 3] = ["pat", "basic", "netrc"];

/// Which method [`acquire`] would use, as far as that can be said without asking anybody: files, environment and token store are looked at, and a method that would have to
/// ask a server counts as one that works.
///
/// # Errors
/// As [`acquire`].
pub(crate) fn foresee(settings: &Settings, ports: &Ports<'_>, attempts: &mut Vec<Attempt>) -> Result<&'static Method> {
    let env = ports.env;
    let host = settings.host()?;
    let look = |method: &'static Method| -> Result<()> {
        let Some(host) = &host else { return Ok(()) };
        match method.name {
            name if LOCAL.contains(&name) => (method.acquire)(settings, host.clone(), ports).map(drop),
            name if name == databricks_cli::METHOD.name => databricks_cli::look(settings, host, ports).map(drop),
            _ => Ok(()),
        }
    };
    if let Some(name) = settings.text(Attr::AuthType) {
        let method = named(settings, env, name)?;
        check_destination(settings, method)?;
        return look(method).map(|()| method);
    }
    for method in METHODS.iter().copied().filter(|method| method.automatic && method.ready(settings, env).is_ok()) {
        check_destination(settings, method)?;
        match look(method) {
            Ok(()) => return Ok(method),
            Err(error) => attempts.push(Attempt::of(method, &error)),
        }
    }
    Err(nothing_applies(settings, env, attempts).into())
}

/// Methods whose credential was made for the very host that is asked: nobody else's word can lead it elsewhere.
const BOUND_BY_NATURE: [&str; 2] = ["databricks-cli", "netrc"];

/// Whether a method may send a credential to the host in force.
///
/// # Errors
/// If only a bundle names the host, or a secret belongs to another one.
fn check_destination(settings: &Settings, method: &Method) -> Result<()> {
    if !BOUND_BY_NATURE.contains(&method.name) {
        settings.check_known()?;
    }
    check_bound(settings, method)
}

/// Whether there is anything that could be sent to a host whoever names it: what has to be asked before.
pub(crate) fn has_anything_to_send(settings: &Settings, env: &Env) -> bool {
    let usable = |method: &&Method| match settings.text(Attr::AuthType) {
        Some(named) => method.name == named,
        None => method.automatic,
    };
    METHODS.iter().copied().filter(usable).any(|method| !BOUND_BY_NATURE.contains(&method.name) && method.ready(settings, env).is_ok())
}

/// Holds the secrets of a method to the host that they belong to.
///
/// # Errors
/// If one stands in a profile of another host.
pub(crate) fn check_bound(settings: &Settings, method: &Method) -> Result<()> {
    ATTRIBUTES.iter().filter(|row| row.secret && row.methods.contains(&method.name)).try_for_each(|row| settings.check_bound(row.attr))
}

fn named(settings: &Settings, env: &Env, name: &str) -> Result<&'static Method> {
    let shown = text::quoted(name);
    if let Some(method) = auth::find(name) {
        return method.ready(settings, env).map(|()| method).map_err(|skip| not_configured(settings, method, &skip).into());
    }
    let place = settings.get(Attr::AuthType).map(|sourced| sourced.source.place()).unwrap_or_default();
    let known: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
    let failure = if FOREIGN.contains(&name) {
        Failure::new(format!("default auth: auth type {shown} is not one that this version can use{}", settings.summary()))
    } else {
        Failure::new(format!(
            "default auth: auth type {shown} not found, please check {UNIFIED_AUTH_PAGE} for a list of supported auth types{}",
            settings.summary()
        ))
    };
    let failure =
        if name == "external-browser" { failure.hint("To sign in with the browser: databricks auth login; its auth type is databricks-cli") } else { failure };
    let failure = match text::closest(name, known.iter().copied()) {
        Some(close) => failure.hint(format!("Did you mean: auth_type = {close}")),
        None => failure,
    };
    Err(failure.hint(format!("It comes from the {place}; this version has: {}", known.join(", "))).into())
}

fn not_configured(settings: &Settings, method: &Method, skip: &Skip) -> Failure {
    let place = settings.get(Attr::AuthType).map(|sourced| sourced.source.place()).unwrap_or_default();
    let failure = Failure::new(format!("default auth: {} auth: not configured: {skip}{}", method.name, settings.summary()));
    with_missing(failure, skip).hint(format!("auth_type = {} comes from the {place}", method.name))
}

fn nothing_applies(settings: &Settings, env: &Env, attempts: &[Attempt]) -> Failure {
    let mut failure = Failure::new(format!(
        "default auth: cannot configure default credentials, please check {UNIFIED_AUTH_PAGE} to configure credentials for your preferred authentication method{}",
        settings.summary()
    ));
    for Attempt { method, reason, hints, .. } in attempts {
        failure = failure.hint(format!("{} did not work: {reason}", method.name));
        failure = hints.iter().fold(failure, |failure, hint| failure.hint(hint.clone()));
    }
    if settings.get(Attr::Host).is_none() && settings.get(Attr::AzureWorkspaceResourceId).is_none() {
        // What each method lacks besides is of no use yet.
        failure = failure.hint(format!("No workspace is named: {} is not set, and {}", env::HOST, no_host_in_file(settings, env)));
    } else {
        let file = ProfileFile::locate(env);
        failure = match (settings.text(Attr::Profile), file.document(), file.path()) {
            (Some(name), Ok(None), Ok(path)) => failure.hint(format!("There is no profile file {}, and so no profile {}", path.display(), text::quoted(name))),
            (None, Ok(Some(_)), Ok(path)) if env.get(env::HOST).is_some() => {
                let path = path.display();
                failure
                    .hint(format!("The profile file {path} is skipped, because {} is set and nothing names a profile. To use one: --profile NAME", env::HOST))
            }
            _ => failure,
        };
        let lacking =
            METHODS.iter().filter(|method| method.automatic).filter_map(|method| Some(format!("{} ({})", method.name, method.ready(settings, env).err()?)));
        let lacking: Vec<String> = lacking.collect();
        if !lacking.is_empty() {
            failure = failure.hint(format!("Not set up: {}", lacking.join("; ")));
        }
    }
    failure
        .hint("To set up a profile with a token: databricks configure --host https://<workspace> --profile <name>")
        .hint("To sign in with the browser: databricks auth login --host https://<workspace> --profile <name>")
}

/// Why the profile file names no host.
fn no_host_in_file(settings: &Settings, env: &Env) -> String {
    let file = ProfileFile::locate(env);
    match (file.path(), settings.text(Attr::Profile)) {
        (Err(_), _) => "there is no home folder with a profile file".to_owned(),
        (Ok(path), _) if !path.exists() => format!("there is no {}", path.display()),
        (Ok(_), Some(profile)) => format!("profile {} has no host", text::quoted(profile)),
        (Ok(path), None) => format!("{} has neither a default profile nor a host in [DEFAULT]; to choose a profile: --profile", path.display()),
    }
}

fn with_missing(mut failure: Failure, skip: &Skip) -> Failure {
    let missing: &[Attr] = if let Skip::Missing(missing) = skip { missing } else { &[] };
    for attr in missing {
        let variables = attr.row().env.join(" or ");
        failure = failure.hint(format!("Set {} in the profile, or {variables}", attr.name()));
    }
    failure
}
