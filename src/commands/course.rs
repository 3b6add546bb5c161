//! Work of the service that goes on after its reply: waited for, with a line that says how far it is.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::arguments;
use crate::commands::usage::{UsageError, invalid_argument};
use crate::context::{Context, Workspace};
use crate::duration;
use crate::error::Failure;
use crate::http::{Request, Response};
use crate::rest::{Course, Item, path_segment, text_of};
use crate::text;
use crate::ui::progress::Progress;

/// How long work is waited for unless somebody says otherwise.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
/// The pause before the first look, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The flags of calls that begin such work.
pub(crate) fn flags(command: clap::Command) -> clap::Command {
    command.arg(arguments::switch("no-wait", "Do not wait until it is done")).arg(arguments::value("timeout", "duration", "How long to wait: 20m if not given"))
}

/// What `--timeout` says.
///
/// # Errors
/// If it is no span of time.
pub(crate) fn patience(context: &Context<'_>, matches: &ArgMatches) -> Result<Duration> {
    let Some(text) = arguments::text(matches, "timeout") else { return Ok(PATIENCE) };
    let seconds = duration::seconds(text).map_err(|reason| context.usage_error(UsageError::new(invalid_argument(text, "--timeout", &reason))))?;
    Ok(Duration::from_secs(seconds.unsigned_abs()))
}

/// How far the work is.
enum State {
    Running(String),
    Done,
}

/// Waits for the end of the work that a reply tells of; what it made, if it made something.
///
/// # Errors
/// If it fails, or takes longer than `patience`.
pub(crate) fn wait(context: &Context<'_>, workspace: &Workspace, course: Course, first: Response, patience: Duration) -> Result<Option<Response>> {
    let started = Instant::now();
    let mut progress = Progress::new(context.ui);
    let mut response = first;
    let mut pause = PAUSES.0;
    loop {
        let item: Item<'_> = response.parse(serde_json::from_slice)?;
        let name = text_of(&item, "name").into_owned();
        let state = state(course, &item, workspace)?;
        let State::Running(said) = state else {
            let made = item.get("response").filter(|_| matches!(course, Course::Operation { .. })).map(ToOwned::to_owned);
            drop(item);
            return Ok(match (course, made) {
                (Course::Instance, _) => Some(response),
                (Course::Operation { .. }, Some(made)) if made.trim() != "{}" && made != "null" => {
                    response.body = crate::secret::Wiped::new(made.into_bytes());
                    Some(response)
                }
                (Course::Operation { .. }, _) => None,
            });
        };
        if name.is_empty() {
            return Err(Failure::new(format!("{} says that the work goes on, but not where to ask for it", workspace.credential.host)).into());
        }
        let (path, look) = match course {
            Course::Operation { below } => {
                (format!("{below}{}", name.split('/').map(path_segment).collect::<Vec<_>>().join("/")), format!("databricks postgres get-operation {name}"))
            }
            Course::Instance => (format!("/api/2.0/database/instances/{}", path_segment(&name)), format!("databricks database get-database-instance {name}")),
        };
        if started.elapsed() + pause > patience {
            return Err(Failure::new(format!("{} is not done after {} seconds ({said}); it goes on", text::one_line(&name), patience.as_secs()))
                .hint(format!("To see how far it is: {}", text::one_line(&look)))
                .into());
        }
        progress.update(|| format!("{name}: {said}, {} s …", started.elapsed().as_secs()));
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(PAUSES.1);
        response = workspace.send(&Request::get(path))?;
    }
}

fn state(course: Course, item: &Item<'_>, workspace: &Workspace) -> Result<State> {
    match course {
        Course::Operation { .. } => {
            if let Some(error) = item.get("error").filter(|error| *error != "null") {
                let error: Item<'_> = serde_json::from_str(error)?;
                let message = text_of(&error, "message");
                let said = if message.is_empty() { text_of(&error, "error_code") } else { message };
                return Err(Failure::new(text::lines(&said).into_owned()).into());
            }
            if item.get("done") == Some("true") { Ok(State::Done) } else { Ok(State::Running("running".to_owned())) }
        }
        Course::Instance => match &*text_of(item, "state") {
            // An instance that is made to be stopped never becomes available.
            "AVAILABLE" | "STOPPED" => Ok(State::Done),
            "FAILED" | "DELETING" => {
                let name = text_of(item, "name");
                Err(Failure::new(format!("the instance {} at {} failed to become available", text::one_line(&name), workspace.credential.host))
                    .hint(format!("Look at it: databricks database get-database-instance {}", text::one_line(&name)))
                    .into())
            }
            other => Ok(State::Running(text::one_line(other).into_owned())),
        },
    }
}
