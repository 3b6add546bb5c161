//! Handing a command that we do not have over to another program: the official CLI, where the user has it too.
//!
//! On Unix this process becomes that program: same process id, so signals, terminal and exit code are its own. It gets the arguments untouched, and the environment with
//! the credentials that our settings lead to, wherever it would use them for the same host.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::auth::{Lasting, Ports, Want, chain};
use crate::config::attributes::Attr;
use crate::config::bundle;
use crate::config::file::ProfileFile;
use crate::config::settings::{Selection, Settings, Source};
use crate::env::{self, Env};
use crate::error::Failure;
use crate::http::{Interactive, Options, UserAgent};
use crate::storage::Choice;
use crate::text;

/// What help and reference say of it.
pub(crate) const ABOUT: &str = "\
Commands of the official CLI that this program does not have are answered with the call of the API that
does the same. Where the official CLI is installed too, it can run them. Either of these names it:

  DATABRICKS_FALLBACK_CLI=/usr/local/bin/databricks-official

  [__settings__]
  fallback_cli = /usr/local/bin/databricks-official

The first is a variable and wins, the second stands in the profile file. The path is absolute; a name
alone is looked for in PATH, and never in the current folder.

It gets the arguments as they were typed and takes the place of this process: signals and exit code are
its own. Commands that nobody here knows go there as well.

Its environment is that of this program, and where the settings lead to a credential, the attributes of the
profile in their variables. Nothing is added for auth, bundle and labs, below a folder with a
databricks.yml, or with DATABRICKS_BUNDLE_ROOT: there it may mean another host, and finds profiles itself.
";

/// Our auth types that the official CLI does not have.
const OWN_AUTH_TYPES: &[&str] = &["netrc", "token-command"];

/// Commands that choose a host by themselves: a token in their environment could go to it.
const CHOOSING_A_HOST: &[&str] = &["auth", "bundle", "labs"];

/// So many programs handing over to each other are a circle.
const DEEPEST: u32 = 8;

/// The program that takes over, if the user named one.
///
/// # Errors
/// If it is not there, cannot be run, is named by a relative path, or is this program itself.
pub(crate) fn program(env: &Env, file: &ProfileFile) -> Result<Option<PathBuf>> {
    let (named, place) = match env.path(env::FALLBACK_CLI) {
        Some(path) => (path, env::FALLBACK_CLI.to_owned()),
        // A profile file that cannot be read is told by the commands that need it.
        None => match file.fallback_cli().ok().flatten() {
            Some(path) => (PathBuf::from(path.as_ref()), format!("fallback_cli in {}", file.path()?.display())),
            None => return Ok(None),
        },
    };
    let shown = text::quoted(&named.to_string_lossy());
    let named = match (named.strip_prefix("~"), env.home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => named,
    };
    let is_name = named.components().count() == 1 && named.file_name() == Some(named.as_os_str());
    if !is_name && !named.is_absolute() {
        return Err(Failure::new(format!("{place} is {shown}: it must be an absolute path, or a name to be found in PATH")).into());
    }
    let found = if is_name { in_path(env, &named) } else { vec![named] };
    if found.is_empty() {
        return Err(Failure::new(format!("{place} is {shown}, but no folder of PATH has such a program")).into());
    }
    match found.iter().find(|path| !is_this_program(path)) {
        Some(program) => Ok(Some(program.clone())),
        None => Err(Failure::new(format!("{place} is {shown}, which is this program itself")).hint("Set it to the absolute path of the official CLI").into()),
    }
}

/// Where `PATH` has a program of that name. Folders that are not absolute are left out: what lies in the current folder is nobody's program.
pub(crate) fn in_path(env: &Env, name: &Path) -> Vec<PathBuf> {
    let Some(path) = env.path(env::PATH) else { return Vec::new() };
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name).with_extension(if cfg!(windows) { "exe" } else { "" })).filter(|program| can_be_run(program)).collect()
}

#[cfg(unix)]
fn can_be_run(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    program.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn can_be_run(program: &Path) -> bool {
    program.is_file()
}

/// Whether the path leads to the file that is running now, by whatever name.
fn is_this_program(path: &Path) -> bool {
    let Ok(own) = std::env::current_exe() else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let identity = |path: &Path| path.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
        identity(&own).is_some_and(|own| identity(path) == Some(own))
    }
    #[cfg(not(unix))]
    {
        own.canonicalize().is_ok_and(|own| path.canonicalize().is_ok_and(|path| path == own))
    }
}

/// Lets the program do what these arguments say (ours, with our own name in front). Returns only if it cannot be started, and where processes cannot become others.
///
/// # Errors
/// If the program cannot be started, or programs hand over to each other in a circle.
pub(crate) fn hand_over(program: &Path, env: &Env, file: &ProfileFile, words: &[&str], arguments: &[OsString]) -> Result<ExitCode> {
    let depth = env.get(env::FALLBACK_DEPTH).and_then(|depth| depth.parse().ok()).unwrap_or(0_u32);
    if depth >= DEEPEST {
        return Err(Failure::new(format!("{} was started {depth} times and always came back here", program.display()))
            .hint(format!("Set {} to the official CLI itself, not to a script that starts this tool", env::FALLBACK_CLI))
            .into());
    }
    let given = arguments.get(1..).unwrap_or_default();
    #[expect(clippy::disallowed_methods, reason = "the user named this program, and this process becomes it")]
    let mut command = Command::new(program);
    command.args(given).env(env::FALLBACK_DEPTH, (depth + 1).to_string());
    if !words.first().is_some_and(|word| CHOOSING_A_HOST.contains(word)) && !is_in_a_bundle(env) {
        // A credential that cannot be had is the other program's to tell.
        let _none = add_credentials(&mut command, env, file, profile_flag(given));
    }
    run(command, program)
}

#[cfg(unix)]
fn run(mut command: Command, program: &Path) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    crate::hardening::restore_core_limit();
    let error = command.exec();
    Err(cannot_start(program, &error))
}

#[cfg(not(unix))]
fn run(mut command: Command, program: &Path) -> Result<ExitCode> {
    let status = command.status().map_err(|error| cannot_start(program, &error))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn cannot_start(program: &Path, error: &std::io::Error) -> anyhow::Error {
    Failure::new(format!("cannot start {}: {error}", text::one_line(&program.to_string_lossy())))
        .hint(format!("It comes from {} or fallback_cli", env::FALLBACK_CLI))
        .into()
}

/// A bundle has a host of its own, which wins over that of the environment while a token of the environment stays.
fn is_in_a_bundle(env: &Env) -> bool {
    let Ok(folder) = std::env::current_dir() else { return true };
    env.path(env::BUNDLE_ROOT).is_some() || folder.ancestors().any(|folder| bundle::FILE_NAMES.iter().any(|name| folder.join(name).symlink_metadata().is_ok()))
}

/// The value of `--profile` or `-p`, wherever it stands before a lone `--`; the last one counts.
fn profile_flag(arguments: &[OsString]) -> Option<String> {
    let mut profile = None;
    let mut rest = arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = rest.next() {
        if argument == "--" {
            break;
        }
        if argument == "--profile" || argument == "-p" {
            profile = rest.next().map(std::borrow::Cow::into_owned);
        } else if let Some(name) = argument.strip_prefix("--profile=") {
            profile = Some(name.to_owned());
        } else if let Some(name) = argument.strip_prefix("-p") {
            profile = Some(name.strip_prefix('=').unwrap_or(name).to_owned());
        }
    }
    profile.filter(|name| !name.is_empty())
}

/// Puts the settings into the program's environment. They name host and credential together, so that neither is mixed with another one that the environment has.
fn add_credentials(command: &mut Command, env: &Env, file: &ProfileFile, profile: Option<String>) -> Result<()> {
    let settings = Settings::resolve(&Selection { profile, ..Selection::default() }, env, file)?;
    let method = chain::choose(&settings, env)?;
    chain::check_bound(&settings, method)?;
    let Some(host) = settings.host()? else { return Ok(()) };
    // By any other name the official CLI would not know how to sign in: it gets what the credential is made of.
    let shared = !OWN_AUTH_TYPES.contains(&method.name);
    let options = || Options::new(UserAgent::new(env, None, uuid::Uuid::nil(), Interactive::None));
    let storage = || Choice::resolve(env, file.auth_storage()?.as_deref());
    let ports = Ports { env, options: &options, storage: &storage, want: Want::USUAL };
    let lasting = if shared { None } else { chain::acquire(&settings, &ports)?.lasting };
    if !shared && lasting.is_none() {
        return Ok(());
    }
    for (attr, sourced) in settings.iter() {
        let is_own = matches!(attr, Attr::Profile | Attr::ConfigFile | Attr::DatabricksCliPath | Attr::Host);
        let is_elsewhere = attr.row().secret && (!shared || settings.check_bound(attr).is_err());
        if let Some(name) = attr.row().env.first().filter(|_| !is_own && !is_elsewhere) {
            command.env(name, sourced.value.reveal());
        }
    }
    command.env(env::HOST, host.to_string()).env(env::AUTH_TYPE, lasting.as_ref().map_or(method.name, Lasting::method));
    match &lasting {
        Some(Lasting::Token(token)) => {
            command.env(env::TOKEN, token.expose());
        }
        Some(Lasting::Password { user, password }) => {
            command.env(env::USERNAME, user).env(env::PASSWORD, password.expose());
        }
        None => {}
    }
    // A default profile counts only where no host is named; now one is.
    if let Some(sourced) = settings.get(Attr::Profile)
        && sourced.source == Source::Derived
        && file.section(sourced.value.reveal())?.is_some()
    {
        command.env(env::CONFIG_PROFILE, sourced.value.reveal());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_found_as_flags_are_written() {
        for (line, profile) in [
            ("jobs list -p a", Some("a")),
            ("-pa jobs list", Some("a")),
            ("jobs list -p=a", Some("a")),
            ("jobs list --profile a --profile=b", Some("b")),
            ("jobs list -- -p a", None),
            ("jobs list --profile", None),
            ("jobs list --profile=", None),
            ("jobs list", None),
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(profile_flag(&arguments).as_deref(), profile, "{line}");
        }
    }
}
