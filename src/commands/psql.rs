//! `psql`: a session with a database, in the psql that is installed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches};

use crate::auth::Want;
use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, Exit, arguments, fallback, lakebase};
use crate::context::{Context, Workspace};
use crate::env;
use crate::error::Failure;
use crate::lakebase::credential;
use crate::lakebase::settings::{Settings, SslMode};
use crate::lakebase::target::{self, NotReady, Resource, Target, Wishes};
use crate::text;

pub(super) static COMMAND: Command = Command {
    name: "psql",
    about: "Open a session with a Lakebase database, or run psql's commands there",
    details: "TARGET is the name of an instance, or projects/NAME with /branches/NAME and /endpoints/NAME behind it where a project has several. On a terminal it may be left out, \
              and is chosen. What stands behind -- goes to psql as it is.\n\n\
              psql gets the password in its environment, never on its command line. The server's certificate is checked (sslmode=verify-full). A connection that could not be made is \
              tried again with a new password; psql's exit code and the signals that end it are those of this command.",
    examples: &[
        "databricks psql my-instance",
        "databricks psql my-instance -- -c 'select now()' -d my_database",
        "databricks psql projects/my-project/branches/main",
        "databricks psql my-instance --max-retries 0 -- -f job.sql",
    ],
    usage: "[TARGET] [-- PSQL_ARGS...]",
    arity: Arity::Any,
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        lakebase::ssl_flag(command)
            .arg(arguments::switch("provisioned", "Only database instances"))
            .arg(arguments::switch("autoscaling", "Only projects"))
            .arg(arguments::value("project", "name", "The project, instead of TARGET"))
            .arg(arguments::value("branch", "name", "The branch of the project"))
            .arg(arguments::value("endpoint", "name", "The endpoint of the branch"))
            .arg(arguments::value("max-retries", "number", "How often to try to connect: 3 if not given; 0 lets psql take the place of this process"))
            .arg(Arg::new(TOO_MANY).num_args(1).index(2).hide(true).action(ArgAction::Append))
            .arg(Arg::new(REST).num_args(0..).last(true).index(3).hide(true).action(ArgAction::Append).value_parser(clap::value_parser!(OsString)))
    },
    run,
};

/// A second word before `--`.
const TOO_MANY: &str = "TOO_MANY";
/// What stands behind `--`.
const REST: &str = "PSQL_ARGS";
const ATTEMPTS: u32 = 3;
/// The pauses between attempts: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// psql's exit code for a connection that went bad.
const BAD_CONNECTION: i32 = 2;
/// How much of what psql says is looked at.
const LAST_WORDS: usize = 64 << 10;

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let sslmode = lakebase::sslmode(context, matches)?;
    let attempts = attempts(context, matches)?;
    let name = name(matches)?;
    let rest: Vec<OsString> = matches.try_get_many::<OsString>(REST).ok().flatten().map(|rest| rest.cloned().collect()).unwrap_or_default();
    let psql = program(context)?;
    let workspace = context.workspace()?;
    let name = match name {
        Some(name) => name,
        None => target::choose(context, &workspace)?,
    };
    let kinds = (arguments::is_on(matches, "provisioned"), arguments::is_on(matches, "autoscaling"));
    if kinds.0 && target::is_path(&name) || kinds.1 && !target::is_path(&name) {
        let (is, wanted) = if kinds.0 { ("a project", "instances (--provisioned)") } else { ("an instance", "projects (--autoscaling)") };
        return Err(Failure::new(format!("{} is the name of {is}, and only {wanted} were asked for", text::quoted(&name))).into());
    }
    let target = resolve(context, &workspace, &name)?;
    let mut session = Session { context, workspace: &workspace, target, sslmode, psql, rest };
    if attempts == 0 {
        return session.become_psql();
    }
    session.keep_trying(attempts)
}

fn attempts(context: &Context<'_>, matches: &ArgMatches) -> Result<u32> {
    let Some(text) = arguments::text(matches, "max-retries") else { return Ok(ATTEMPTS) };
    let reason = || format!("strconv.ParseInt: parsing {}: invalid syntax", text::quoted(text));
    text.parse().map_err(|_| context.usage_error(UsageError::new(invalid_argument(text, "--max-retries", &reason()))))
}

/// The target that the command line names.
fn name(matches: &ArgMatches) -> Result<Option<String>> {
    let given = |name| arguments::text(matches, name).filter(|text| !text.is_empty());
    let positionals = arguments::positionals(matches);
    if positionals.len() > 1 || matches.try_contains_id(TOO_MANY).unwrap_or(false) {
        return Err(Failure::new("expected at most one positional argument for target")
            .hint("What is for psql stands behind --: databricks psql my-instance -- -c 'select 1'")
            .into());
    }
    let (is_provisioned, is_autoscaling) = (arguments::is_on(matches, "provisioned"), arguments::is_on(matches, "autoscaling"));
    if is_provisioned && is_autoscaling {
        return Err(Failure::new("give --provisioned or --autoscaling, not both").into());
    }
    let (project, branch, endpoint) = (given("project"), given("branch"), given("endpoint"));
    let has_parts = project.is_some() || branch.is_some() || endpoint.is_some();
    let positional = positionals.first().filter(|name| !name.is_empty());
    if has_parts && is_provisioned {
        return Err(Failure::new("cannot use --project, --branch, or --endpoint flags with --provisioned").into());
    }
    if let Some(name) = positional {
        if has_parts && !target::is_path(name) {
            return Err(Failure::new("cannot use --project, --branch, or --endpoint flags with a provisioned instance name").into());
        }
        if !has_parts {
            return Ok(Some((*name).to_owned()));
        }
    }
    let Some(project) = project.map(|project| project.trim_start_matches("projects/")).or_else(|| positional.and_then(|name| name.split('/').nth(1))) else {
        if has_parts {
            return Err(Failure::new("--project is required when using --branch or --endpoint").into());
        }
        return Ok(None);
    };
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Some(match (branch, endpoint) {
        (None, None) => format!("projects/{project}"),
        (Some(branch), None) => format!("projects/{project}/branches/{}", last(branch)),
        (Some(branch), Some(endpoint)) => format!("projects/{project}/branches/{}/endpoints/{}", last(branch), last(endpoint)),
        (None, Some(_)) => return Err(Failure::new("an endpoint belongs to a branch").hint("Name it too: --branch NAME").into()),
    }))
}

fn program(context: &Context<'_>) -> Result<PathBuf> {
    // Compat: the words of the official CLI.
    let missing = || {
        Failure::new("exec: \"psql\": executable file not found in $PATH")
            .hint("Install it: apt install postgresql-client, brew install libpq, or from postgresql.org")
    };
    Ok(fallback::in_path(&context.env, Path::new("psql")).into_iter().next().ok_or_else(missing)?)
}

fn resolve(context: &Context<'_>, workspace: &Workspace, name: &str) -> Result<Target> {
    let target = target::resolve(context, workspace, name, &Wishes::default());
    if !target::is_path(name) {
        context.ui.note(&format!("Instance: {}", text::one_line(name)));
    }
    let target = target.inspect_err(|error| {
        if let Some(NotReady(state)) = Failure::mark(error) {
            context.ui.note(&format!("Instance status: {state}\nPlease retry when the instance becomes available"));
        }
    })?;
    match &target.resource {
        Resource::Instance(_) => context.ui.note("Connecting to database instance..."),
        Resource::Endpoint(path) => {
            let parts: Vec<&str> = path.split('/').collect();
            for (label, at) in [("Project", 1), ("Branch", 3), ("Endpoint", 5)] {
                context.ui.note(&format!("{label}: {}", text::one_line(parts.get(at).copied().unwrap_or_default())));
            }
            let state = match target.state.as_deref() {
                Some("IDLE") => " (idle, waking up)",
                _ => "",
            };
            context.ui.note(&format!("Connecting to {}endpoint{state}...", target.purpose));
        }
    }
    Ok(target)
}

/// Sessions of psql with one database.
struct Session<'s, 'u> {
    context: &'s Context<'u>,
    workspace: &'s Workspace,
    target: Target,
    sslmode: Option<SslMode>,
    psql: PathBuf,
    rest: Vec<OsString>,
}

impl Session<'_, '_> {
    /// psql with everything that it has to know.
    fn prepared(&self, is_first: bool) -> Result<Program> {
        // Whatever was wrong with a password that was kept is not wrong with a new one.
        let token = if is_first {
            credential::living(self.context, self.workspace, &self.target, Want::USUAL)?
        } else {
            credential::mint(self.workspace, &self.target.resource)?
        };
        let (settings, remark) = Settings::new(&self.context.env, self.target.clone(), Some(token.access_token), self.sslmode);
        if let Some(remark) = remark.filter(|_| is_first) {
            self.context.ui.warn(&remark);
        }
        #[expect(clippy::disallowed_methods, reason = "the user asked for psql, with the terminal and all")]
        let mut program = Program::new(&self.psql);
        program.arg(format!("--host={}", self.target.host)).arg(format!("--username={}", self.target.user));
        if !self.names("-p", "--port") {
            program.arg(format!("--port={}", self.target.port));
        }
        if !self.names("-d", "--dbname") {
            program.arg(format!("--dbname={}", self.target.database));
        }
        program.args(&self.rest);
        for (name, value) in settings.variables()? {
            if matches!(name, env::PGPASSWORD | env::PGSSLMODE | env::PGSSLROOTCERT) {
                program.env(name, &*value);
            }
        }
        // These would lead the password elsewhere.
        for name in env::PG_DETOURS {
            program.env_remove(name);
        }
        Ok(program)
    }

    /// Whether psql's own arguments name this.
    fn names(&self, short: &str, long: &str) -> bool {
        self.rest
            .iter()
            .map(|word| word.to_string_lossy())
            .any(|word| word.starts_with(short) && !word.starts_with("--") || word == long || word.starts_with(&format!("{long}=")))
    }

    /// Lets psql take the place of this process.
    #[cfg(unix)]
    fn become_psql(&self) -> Result<()> {
        use std::os::unix::process::CommandExt as _;
        let mut program = self.prepared(true)?;
        self.context.ui.flush().map(drop)?;
        crate::hardening::restore_core_limit();
        let error = program.exec();
        Err(self.cannot_start(&error))
    }

    #[cfg(not(unix))]
    fn become_psql(&self) -> Result<()> {
        let status = self.prepared(true)?.status().map_err(|error| self.cannot_start(&error))?;
        ended(status)
    }

    fn cannot_start(&self, error: &std::io::Error) -> anyhow::Error {
        Failure::new(format!("cannot start {}: {error}", self.psql.display())).into()
    }

    /// Runs psql until it connects, at most so often.
    fn keep_trying(&mut self, attempts: u32) -> Result<()> {
        let signals = Signals::forward()?;
        let mut pause = PAUSES.0;
        for attempt in 1..=attempts {
            if attempt > 1 {
                self.context.ui.note(&format!("Retrying connection (attempt {attempt}/{attempts})..."));
            }
            let mut program = self.prepared(attempt == 1)?;
            let (status, said) = signals.run(&mut program).map_err(|error| self.cannot_start(&error))?;
            if status.code() != Some(BAD_CONNECTION) || !may_pass(&said) {
                if status.code() == Some(BAD_CONNECTION)
                    && (said.contains("authentication failed") || said.contains("role \"") && said.contains("does not exist"))
                {
                    self.context.ui.note(&format!("Hint: {}", target::role_hint(&self.target.user)));
                }
                return ended(status);
            }
            let last = format!("connection failed: psql exited with code {BAD_CONNECTION}");
            if attempt == attempts {
                return Err(Failure::new(format!("failed to connect after {attempts} attempts, last error: {last}")).into());
            }
            self.context.ui.note(&format!("Connection failed with retryable error: {last}"));
            self.context.ui.note(&format!("Connection attempt {attempt}/{attempts} failed, retrying in {}s...", pause.as_secs()));
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
        Ok(())
    }
}

/// Whether what psql said may be different next time. A connection that was lost in the middle is not made again: what was done would be done twice.
fn may_pass(said: &str) -> bool {
    const LASTING: &[&str] = &[
        "does not exist",
        "authentication failed",
        "connection to server was lost",
        "server closed the connection unexpectedly",
        "terminating connection",
        "certificate verify failed",
        "does not match host name",
    ];
    !LASTING.iter().any(|words| said.contains(words))
}

/// Ends as psql did.
fn ended(status: ExitStatus) -> Result<()> {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        // Returns only for signals that do not end a process.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        return Err(Exit(u8::try_from(128 + signal).unwrap_or(1)).into());
    }
    match status.code() {
        Some(0) => Ok(()),
        code => Err(Exit(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)).into()),
    }
}

/// Signals that come while psql runs are psql's.
struct Signals {
    child: Arc<Mutex<Option<u32>>>,
}

impl Signals {
    #[cfg(unix)]
    fn forward() -> Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
        let child: Arc<Mutex<Option<u32>>> = Arc::default();
        let seen = child.clone();
        let wanted = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
        crate::signals::owned(&wanted);
        let mut signals = signal_hook::iterator::Signals::new(wanted)?;
        // The terminal sends these to psql itself.
        let is_terminal = std::io::stdin().is_terminal();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if seen.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
                    // This process may be renewing what psql is to get.
                    crate::signals::settle();
                }
                let child = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(pid) = child.and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw) else {
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                    continue;
                };
                if !(is_terminal && matches!(signal, SIGINT | SIGQUIT))
                    && let Some(signal) = rustix::process::Signal::from_named_raw(signal)
                {
                    let _gone = rustix::process::kill_process(pid, signal);
                }
            }
        });
        Ok(Self { child })
    }

    #[cfg(not(unix))]
    fn forward() -> Result<Self> {
        Ok(Self { child: Arc::default() })
    }

    /// Runs psql to its end, and listens to what it says on standard error.
    fn run(&self, program: &mut Program) -> std::io::Result<(ExitStatus, String)> {
        let mut child = {
            let mut running = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            let child = program.stderr(Stdio::piped()).spawn()?;
            *running = Some(child.id());
            child
        };
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let done = pass_on(&mut child, &said);
        let status = child.wait();
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // A program that psql started may hold the pipe open for long.
        let _late = done.recv_timeout(Duration::from_millis(500));
        let said: Vec<u8> = said.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        Ok((status?, String::from_utf8_lossy(&said).into_owned()))
    }
}

/// Passes standard error of a program on as it comes, and keeps its end.
fn pass_on(child: &mut Child, said: &Arc<Mutex<VecDeque<u8>>>) -> mpsc::Receiver<()> {
    let (sender, done) = mpsc::channel();
    let Some(mut pipe) = child.stderr.take() else { return done };
    let said = said.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4 << 10];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            let _closed = std::io::stderr().write_all(&buffer[..count]);
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.extend(&buffer[..count]);
            let excess = said.len().saturating_sub(LAST_WORDS);
            said.drain(..excess);
        }
        let _unheard = sender.send(());
    });
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(may_pass("psql: error: connection to server at \"x\", port 5432 failed: Connection refused"));
        for said in [
            "FATAL:  role \"x\" does not exist",
            "FATAL:  password authentication failed",
            "psql:job.sql:3: server closed the connection unexpectedly\nconnection to server was lost",
        ] {
            assert!(!may_pass(said), "{said}");
        }
    }
}
