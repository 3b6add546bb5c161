//! `database pgpass`: a database's password in `.pgpass`, once or for as long as one wants.

use std::time::Duration;

use anyhow::Result;
use clap::ArgMatches;
use jiff::{SignedDuration, Timestamp};

use crate::auth::Want;
use crate::clock;
use crate::commands::{Arity, Command, arguments};
use crate::config::pgpass::{PassFile, Record};
use crate::context::{Context, Workspace};
use crate::error::Failure;
use crate::lakebase::credential;
use crate::lakebase::target::Target;
use crate::storage::StoredToken;
use crate::ui::progress::Progress;

pub(super) static COMMAND: Command = Command {
    name: "pgpass",
    about: "Write a database's password to .pgpass, from where psql, pg_dump, psycopg, JDBC and others take it",
    details: "TARGET is the name of an instance, or projects/NAME with /branches/NAME and /endpoints/NAME behind it where a project has several.\n\n\
              The file is the one that PGPASSFILE names, or ~/.pgpass. One line is written, above others that would be taken instead of it; everything else stays as it is.\n\n\
              A password lives an hour. With --watch the command stays and renews it when half of its life is over, until Ctrl-C.",
    examples: &[
        "databricks database pgpass my-instance && psql \"$(databricks database dsn my-instance --no-password)\"",
        "databricks database pgpass my-instance --watch",
        "databricks database pgpass projects/my-project --passfile ./job.pgpass",
    ],
    usage: "[TARGET]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        super::target_flags(command)
            .arg(arguments::value("passfile", "path", "Another file than PGPASSFILE or ~/.pgpass"))
            .arg(arguments::switch("watch", "Stay, and keep the password fresh"))
    },
    run,
};

/// After a renewal that failed the next is tried so soon, or sooner where passwords live shorter.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// The progress line is drawn anew so often.
const TICK: Duration = Duration::from_secs(1);
/// Where nobody watches, the clock is looked at so often: it may have been set, or the machine have slept.
const LOOK: Duration = Duration::from_secs(60);

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let file = match arguments::text(matches, "passfile").filter(|path| !path.is_empty()) {
        Some(path) => PassFile::at(path),
        None => PassFile::of(&context.env)?,
    };
    let (workspace, target) = super::find(context, matches)?;
    let own_database = arguments::text(matches, "database").filter(|name| !name.is_empty());
    let entry = Entry { file, target, database: own_database.unwrap_or("*").to_owned() };
    if !arguments::is_on(matches, "watch") {
        let token = credential::living(context, &workspace, &entry.target, Want::USUAL)?;
        entry.write(context, &token)?;
        let target = &entry.target;
        let until = token.expiry.map_or(String::new(), |expiry| format!(", good for logins until {}", clock::minute(expiry)));
        context.ui.note(&format!("The password of {} at {} is in {}{until}.", target.user, target.host, entry.file.path().display()));
        return Ok(());
    }
    watch(context, &workspace, &entry)
}

/// A line of the file.
struct Entry {
    file: PassFile,
    target: Target,
    database: String,
}

impl Entry {
    fn write(&self, context: &Context<'_>, token: &StoredToken) -> Result<()> {
        let record =
            Record { host: &self.target.host, port: self.target.port, database: &self.database, user: &self.target.user, password: &token.access_token };
        let updated = self.file.write(&[record])?;
        if let Some(mode) = updated.tightened_from {
            context.ui.note(&format!(
                "{} could be read by others (mode {mode:04o}), and libpq would not have read it; now only you can (0600).",
                self.file.path().display()
            ));
        }
        Ok(())
    }
}

/// Renews the line until a signal comes.
fn watch(context: &Context<'_>, workspace: &Workspace, entry: &Entry) -> Result<()> {
    let path = entry.file.path().display();
    let ending = Ending::new()?;
    let later = context.later(&workspace.settings)?;
    let renewed = || -> Result<StoredToken> {
        // Not through the store: nobody else has a use for a password that is in the file.
        let token = credential::mint(&later.workspace(super::LIMIT)?, &entry.target.resource)?;
        entry.write(context, &token)?;
        Ok(token)
    };
    let mut token = renewed()?;
    let mut due = half(&token);
    let shown = |token: &StoredToken| token.expiry.map_or_else(|| "for good".to_owned(), |expiry| format!("until {}", clock::minute(expiry)));
    context.ui.note(&format!("Keeping the password of {} at {} fresh in {path}; Ctrl-C ends it.", entry.target.user, entry.target.host));
    let mut progress = Progress::new(context.ui);
    loop {
        let now = clock::now();
        let left = due.duration_since(now);
        if left > SignedDuration::ZERO {
            progress.update(|| format!("{path}: good {}, the next in {} …", shown(&token), clock::rough(left)));
            let wait = Duration::try_from(left).unwrap_or(TICK).min(if context.ui.talks_to_terminal() { TICK } else { LOOK });
            if ending.is_here_within(wait) {
                break;
            }
            continue;
        }
        match renewed() {
            Ok(newer) => {
                token = newer;
                due = half(&token);
                if !context.ui.talks_to_terminal() {
                    context.ui.note(&format!("{path}: a new password, good {}.", shown(&token)));
                }
            }
            Err(error) => {
                let until = match token.expiry {
                    Some(expiry) if expiry <= now => "the present one has ended".to_owned(),
                    _ => format!("the present one is good {}", shown(&token)),
                };
                context.ui.warn(&format!("the password could not be renewed; {until}. {error:#}"));
                let life = token.expires_in.map_or(PAUSE, SignedDuration::from_secs);
                due = clock::now().checked_add(PAUSE.min(life / 10).max(SignedDuration::from_millis(500)))?;
            }
        }
    }
    drop(progress);
    context.ui.note(&format!("The password in {path} is no longer renewed; it is good {}.", shown(&token)));
    Ok(())
}

/// When half of a password's life is over.
fn half(token: &StoredToken) -> Timestamp {
    let life = SignedDuration::from_secs(token.expires_in.unwrap_or(3_600));
    let end = token.expiry.unwrap_or_else(|| clock::now() + life);
    end.checked_sub(life / 2).unwrap_or(end)
}

/// A signal that asks this process to end.
#[cfg(unix)]
struct Ending {
    here: std::os::unix::net::UnixStream,
}

#[cfg(unix)]
impl Ending {
    fn new() -> Result<Self> {
        let (here, there) = std::os::unix::net::UnixStream::pair()?;
        let wanted = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];
        crate::signals::owned(&wanted);
        for signal in wanted {
            signal_hook::low_level::pipe::register(signal, there.try_clone()?)
                .map_err(|error| Failure::new(format!("signals cannot be waited for: {error}")))?;
        }
        here.set_nonblocking(true)?;
        Ok(Self { here })
    }

    fn is_here_within(&self, limit: Duration) -> bool {
        use std::io::Read as _;
        crate::ui::wait_for(&mut [rustix::event::PollFd::new(&self.here, rustix::event::PollFlags::IN)], limit);
        (&self.here).read(&mut [0]).is_ok_and(|count| count > 0)
    }
}

/// Elsewhere Ctrl-C ends the process as it always does; the file is whole at every moment.
#[cfg(not(unix))]
struct Ending;

#[cfg(not(unix))]
impl Ending {
    fn new() -> Result<Self> {
        Ok(Self)
    }

    fn is_here_within(&self, limit: Duration) -> bool {
        std::thread::sleep(limit);
        false
    }
}
