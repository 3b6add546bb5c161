//! `session start`: choose a workspace, sign in if need be, and work.

use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::Result;
use clap::ArgMatches;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::keep::Ready;
use super::keeper::{Keeper, Plan};
use super::{check, database, env, workspaces};
use crate::auth::chain::Unconfigured;
use crate::auth::session::{Ended, NoSignIn};
use crate::auth::{Credential, Want};
use crate::broker::session;
use crate::clock;
use crate::commands::auth::origin::Origin;
use crate::commands::auth::{login, token};
use crate::commands::child::{self, Signals};
use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, arguments, environment};
use crate::config::attributes::Attr;
use crate::config::file::{ProfileFile, hint_of_profiles};
use crate::config::settings::Settings;
use crate::context::{Agent, Context};
use crate::duration;
use crate::env::{self as names, Env};
use crate::error::Failure;
use crate::host::Host;
use crate::text;
use crate::ui::prompt::{Cancelled, Choice};

pub(crate) static COMMAND: Command = Command {
    name: "start",
    about: "Sign in once, and work in a session where everything is signed in",
    details: "WORKSPACE is a profile, a host, a name in DATABRICKS_WORKSPACES, or none; on a terminal it can be chosen. The session is a private folder with a profile file whose profile workbench holds a token \
              that lives; it is renewed well before its end, and the folder goes with the session. DATABRICKS_CONFIG_FILE, DATABRICKS_CONFIG_PROFILE and DATABRICKS_HOST lead \
              programs there, and credentials of Databricks in the environment are taken out.\n\n\
              With a COMMAND the session lasts as long as that runs; signals are passed on, and the exit code is that of the command. Without, lines for the shell are printed and \
              a process in the background keeps the session until the shell ends, or the time is up, or: databricks session end.\n\n\
              A program that reads the token once has to do without new ones. With --live SDKs ask a server on this machine, and programs that run for days go on.\n\n\
              With --database the folder also has a password file for libpq, always with a password that is good for a login, and PGPASSFILE, PGHOST and their kind lead there.",
    examples: &[
        "databricks session start my-profile -- rstudio",
        "eval \"$(databricks session start my-profile --for 8h)\"",
        "databricks session start my-profile --live -- python train.py",
        "databricks session start my-profile --database my-instance -- psql",
    ],
    usage: "[WORKSPACE] [-- COMMAND [ARGUMENT...]]",
    arity: Arity::Program,
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        database::flags(command)
            .arg(arguments::switch("live", "Let SDKs ask for tokens, so that they never hold an old one"))
            .arg(arguments::value("for", "duration", "Longest life of the session, such as 8h"))
            .arg(arguments::value("timeout", "duration", "Longest wait for a sign-in with the browser (default 1h)"))
            .arg(arguments::value("parent", "pid", "The process that a session in the background ends with (default: the one that started this command)"))
            .arg(env::shell_flag())
    },
    run,
};

/// The word for no workspace.
const NONE: &str = "none";

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let words = arguments::program();
    let given = arguments::positionals(matches);
    if given.len() > 1 {
        return Err(context.usage_error(UsageError::new("one workspace at most; the command stands behind --")));
    }
    let shell = env::Shell::of(context, matches)?;
    let mut plan = Plan { live: arguments::is_on(matches, "live"), database: database::Wish::of(context, matches)?, ..Plan::default() };
    plan.until = seconds(context, matches, "for")?.map(|life| clock::now().as_second().saturating_add(life));
    let timeout = seconds(context, matches, "timeout")?.map(|limit| Duration::from_secs(limit.unsigned_abs()));
    let Some((origin, settings, credential)) = signed_in(context, given.first().copied(), timeout)? else {
        context.ui.note("No session: nothing is managed, and the environment stays as it is.");
        return if words.is_empty() { Ok(()) } else { run_plainly(context, &words) };
    };
    plan.profile.clone_from(&origin.profile);
    plan.host = origin.host.as_ref().map(ToString::to_string);
    for remark in &credential.remarks {
        context.ui.warn(remark);
    }
    for conflict in check::conflicts(context, Some(&credential.host)) {
        context.ui.warn(&conflict.line());
    }
    if words.is_empty() {
        plan.bound_to = parent(context, matches)?;
        return in_background(context, &plan, shell);
    }
    plan.command = words[0].to_str().map(|name| name.rsplit('/').next().unwrap_or(name).to_owned());
    let mut signals = Signals::take().map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    let keeper = Keeper::open(context, &plan, &settings, &credential)?;
    let mut command = child::command(&words);
    let mut variables = env::variables(&keeper.config(), keeper.host(), plan.live, keeper.database());
    if plan.live {
        variables.extend(environment::past_proxies(&context.env));
    }
    environment::put(&mut command, &variables);
    context.ui.flush().map(drop)?;
    let code = match child::start(context, &mut command) {
        Ok(mut program) => keeper.run(Some(&mut program), &mut signals)?,
        Err(code) => {
            keeper.abandon();
            code
        }
    };
    child::end_with(code)
}

/// The seconds that a flag says.
pub(super) fn seconds(context: &Context<'_>, matches: &ArgMatches, flag: &str) -> Result<Option<i64>> {
    let Some(given) = arguments::text(matches, flag) else { return Ok(None) };
    let refuse = |reason: String| context.usage_error(UsageError::new(invalid_argument(given, &format!("--{flag}"), &reason)));
    duration::seconds(given).map(Some).map_err(refuse)
}

/// Runs the command as if we were not there.
fn run_plainly(context: &Context<'_>, words: &[std::ffi::OsString]) -> Result<()> {
    let mut signals = Signals::take().map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    match child::start(context, &mut child::command(words)) {
        Ok(mut program) => child::end_with(child::code(child::attend(&mut program, &mut signals)?)),
        Err(code) => child::end_with(code),
    }
}

/// The process that a session in the background ends with.
pub(super) fn parent(context: &Context<'_>, matches: &ArgMatches) -> Result<Option<u32>> {
    match arguments::text(matches, "parent") {
        Some(given) => {
            let refuse = |reason: &str| context.usage_error(UsageError::new(invalid_argument(given, "--parent", reason)));
            let process = given.parse().ok().filter(|process| *process > 0).and_then(Pid::from_raw);
            let process = process.ok_or_else(|| refuse("it takes the number of a process, such as $$"))?;
            if test_kill_process(process) == Err(Errno::SRCH) {
                return Err(refuse("there is no such process, and the session would end with it"));
            }
            Ok(u32::try_from(process.as_raw_nonzero().get()).ok())
        }
        None => Ok(rustix::process::getppid().and_then(|parent| u32::try_from(parent.as_raw_nonzero().get()).ok()).map(shell_of)),
    }
}

/// The shell itself, where a process is only a copy that it made for `$(…)`, and that ends with it: the same command line as its parent, in front of nothing.
///
/// A shell within a shell, which may look the same, leads a group of processes of its own when somebody works in it.
fn shell_of(process: u32) -> u32 {
    let read = |process: u32, name: &str| std::fs::read(format!("/proc/{process}/{name}")).ok();
    let mut shell = process;
    // More copies of copies than anybody writes.
    for _ in 0..16 {
        let Some(stat) = read(shell, "stat") else { break };
        let stat = String::from_utf8_lossy(&stat).into_owned();
        // The name in parentheses may hold anything: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(1).map_while(|field| field.parse::<u32>().ok());
        let (Some(parent), Some(group)) = (fields.next(), fields.next()) else { break };
        let is_copy = group != shell && parent > 1 && read(shell, "cmdline").is_some_and(|line| !line.is_empty() && Some(line) == read(parent, "cmdline"));
        if !is_copy {
            break;
        }
        shell = parent;
    }
    shell
}

/// Starts the process that keeps the session, and prints the lines for the shell.
fn in_background(context: &Context<'_>, plan: &Plan, shell: env::Shell) -> Result<()> {
    // Its notices are for the terminal; a pipe would stay open as long as the session, and who reads it would wait.
    let (ready, _) = launch(plan, std::io::stderr().is_terminal())?;
    let host = Host::parse(&ready.host)?;
    let mut variables = env::variables(ready.config.as_ref(), &host, plan.live, ready.database.as_ref());
    if plan.live {
        variables.extend(environment::past_proxies(&context.env));
    }
    context.ui.out(&env::lines(context, shell, &variables));
    context.ui.note(&format!("Session {} is signed in to {host}. To end it: databricks session end {}", ready.id, ready.id));
    Ok(())
}

/// Starts the process that keeps a session, and waits until all is there. The process is to be gathered by whoever outlives it.
///
/// What it says later is for the `terminal`, or for nobody.
pub(super) fn launch(plan: &Plan, terminal: bool) -> Result<(Ready, Child)> {
    let own = std::env::current_exe().map_err(|error| Failure::new(format!("cannot find this program: {error}")))?;
    let mut command = child::command(&[own.into_os_string(), "session".into(), "keep".into()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(if terminal { Stdio::inherit() } else { Stdio::piped() });
    let mut keeper = command.spawn().map_err(|error| Failure::new(format!("cannot start the process that keeps the session: {error}")))?;
    if let Some(mut stdin) = keeper.stdin.take() {
        stdin.write_all(&serde_json::to_vec(plan)?)?;
    }
    let mut line = String::new();
    if let Some(stdout) = keeper.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let Ok(ready) = serde_json::from_str::<Ready>(&line) else {
        let mut said = String::new();
        if let Some(stderr) = keeper.stderr.take() {
            stderr.take(1 << 14).read_to_string(&mut said)?;
        }
        let _gathered = keeper.wait();
        return Err(failure_of(&said).into());
    };
    Ok((ready, keeper))
}

/// The failure that another process of ours has told, with its hints; what it only warned of is left out.
fn failure_of(said: &str) -> Failure {
    let lines = || said.lines().skip_while(|line| !line.starts_with("Error: "));
    let hint = |line: &str| line.strip_prefix("Hint: ").map(ToOwned::to_owned);
    let message: Vec<&str> = lines().take_while(|line| hint(line).is_none()).collect();
    let message = message.join("\n");
    let message = message.trim_end().strip_prefix("Error: ").unwrap_or("the session could not be started").to_owned();
    lines().filter_map(hint).fold(Failure::new(message), Failure::hint)
}

/// A workspace with its credential; `None` where none is wanted.
fn signed_in(context: &Context<'_>, given: Option<&str>, timeout: Option<Duration>) -> Result<Option<(Origin, Settings, Credential)>> {
    let agent = Agent::of(context);
    let mut origin = match given {
        Some(NONE) => return Ok(None),
        Some(word) => named(context, word)?,
        None if context.globals.profile.is_some() => Origin { profile: context.globals.profile.clone(), host: None },
        None if context.ui.can_prompt() => match choose(context)? {
            Some(origin) => origin,
            None => return Ok(None),
        },
        None => Origin::default(),
    };
    loop {
        let error = match origin.credential(&agent, Want::USUAL) {
            Ok((settings, credential)) => return Ok(Some((origin, settings, credential))),
            Err(error) if !context.ui.can_prompt() => return Err(error),
            Err(error) => error,
        };
        let needs_sign_in = needs_sign_in(&error, &origin);
        let is_new = error.is::<NoSignIn>() || Failure::mark::<Unconfigured>(&error).is_some();
        if needs_sign_in && is_new {
            let place = origin.profile.as_deref().map(text::quoted).or_else(|| origin.host.as_ref().map(ToString::to_string)).unwrap_or_default();
            context.ui.note(&format!("Nobody has signed in to {place} here yet."));
        } else {
            context.ui.note(&format!("{error:#}"));
        }
        let first = if needs_sign_in { "Sign in with the browser" } else { "Retry" };
        let choices = [first, "Choose another workspace", "None: go on without a session"].map(Choice::new);
        match context.ui.prompter().choose("What now", &choices, false)? {
            0 if needs_sign_in => {
                if let Err(error) = login::again(context, origin.profile.as_deref(), origin.host.as_ref(), timeout) {
                    if error.is::<Cancelled>() {
                        return Err(error);
                    }
                    context.ui.note(&format!("The sign-in did not work: {error:#}"));
                }
            }
            0 => {}
            1 => match choose(context)? {
                Some(other) => origin = other,
                None => return Ok(None),
            },
            _ => return Ok(None),
        }
    }
}

/// Whether what is missing is a person who signs in.
pub(super) fn needs_sign_in(error: &anyhow::Error, origin: &Origin) -> bool {
    error.is::<NoSignIn>()
        || Failure::mark(error) == Some(&Ended::SignIn)
        || Failure::mark::<Unconfigured>(error).is_some_and(|unconfigured| unconfigured.signed_out || origin.host.is_some())
}

/// The workspace that a word stands for.
fn named(context: &Context<'_>, word: &str) -> Result<Origin> {
    if context.file.section(word)?.is_some_and(|fields| !fields.is_empty()) {
        return Ok(Origin { profile: Some(word.to_owned()), host: None });
    }
    if token::looks_like_a_host(word) {
        return of_host(&context.env, word);
    }
    if let Some(one) = workspaces::configured(&context.env).0.into_iter().find(|one| one.name == word) {
        return of_host(&context.env, one.host.as_str());
    }
    let failure = Failure::new(format!("no matching profile found: {}", text::quoted(word)));
    if let Some(id) = session::current(&context.env) {
        if session::ended(&context.env).is_some() {
            return Err(failure.into());
        }
        let way_out = session::way_out(&context.env);
        return Err(failure.hint(format!("This is session {id}, in which only its own profiles are known. {way_out}")).into());
    }
    Err(hint_of_profiles(&context.file, word).into_iter().fold(failure, Failure::hint).into())
}

/// A host: the only profile that has it, or the host by itself.
pub(super) fn of_host(env: &Env, address: &str) -> Result<Origin> {
    let host = Host::parse(address)?;
    // A sign-in meanwhile may have made one.
    let file = ProfileFile::locate(env);
    let profiles = file.profiles()?;
    let mut meant = profiles.iter().filter(|profile| profile.get(Attr::Host).and_then(|own| Host::parse(&own).ok()).is_some_and(|own| own == host));
    match (meant.next(), meant.next()) {
        (Some(only), None) => Ok(Origin { profile: Some(only.name.to_owned()), host: None }),
        _ => Ok(Origin { profile: None, host: Some(host) }),
    }
}

/// Lets the person choose among the known workspaces, another one, and none.
fn choose(context: &Context<'_>) -> Result<Option<Origin>> {
    let file = ProfileFile::locate(&context.env);
    let profiles: Vec<_> = file.profiles()?.into_iter().filter(|profile| profile.get(Attr::Host).is_some()).collect();
    let mut choices: Vec<Choice> = profiles.iter().map(|profile| Choice::new(profile.name).detail(profile.get(Attr::Host).unwrap_or_default())).collect();
    let (configured, odd) = workspaces::configured(&context.env);
    for entry in odd {
        context.ui.warn(&format!("{}: {} is no workspace", names::WORKSPACES, text::quoted(&entry)));
    }
    choices.extend(configured.iter().map(|one| Choice::new(&one.name).detail(one.host.as_str())));
    choices.push(Choice::new("Another host"));
    choices.push(Choice::new("None").detail("go on without a session"));
    let chosen = context.ui.prompter().choose("Workspace", &choices, true)?;
    if let Some(profile) = profiles.get(chosen) {
        return Ok(Some(Origin { profile: Some(profile.name.to_owned()), host: None }));
    }
    if let Some(one) = configured.get(chosen - profiles.len()) {
        return of_host(&context.env, one.host.as_str()).map(Some);
    }
    if chosen + 1 == choices.len() {
        return Ok(None);
    }
    let check = |typed: &str| Host::parse(typed).map(|host| host.to_string()).map_err(|failure| failure.to_string());
    let address = context.ui.prompter().text("Databricks host", None, &check)?;
    of_host(&context.env, &address).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_keeper_is_told_as_it_was() {
        let failure = failure_of("Warning: something\nError: no such thing\n\nNext steps:\n  - look\nHint: try this\nHint: or that\n");
        assert_eq!(failure.to_string(), "no such thing\n\nNext steps:\n  - look");
        assert_eq!(failure.hints(), ["try this", "or that"]);
        assert_eq!(failure_of("").to_string(), "the session could not be started");
    }
}
