//! The rim: whatever went wrong becomes a message, its hints and an exit code.

use std::process::ExitCode;

use crate::auth::session::NoSignIn;
#[cfg(unix)]
use crate::broker::session;
use crate::commands::Exit;
use crate::commands::usage::UsageError;
use crate::env::Env;
use crate::error::Failure;
use crate::http::NetworkError;
use crate::ui::Ui;

/// Prints an error as `Error: …` on standard error, the next steps below it, and says with which code to end.
///
/// Compat: but for a program that took over, always 1, and always plain text, also with `-o json`, as scripts know it from the official CLI.
#[cfg_attr(not(unix), allow(unused_variables))]
pub(crate) fn report(env: &Env, ui: &Ui, error: &anyhow::Error) -> ExitCode {
    if let Some(Exit(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    ui.note(&message(error));
    #[cfg(unix)]
    if let Some(id) = session::ended(env) {
        ui.note(&format!("Hint: Session {id} has ended, and the environment still leads there. {}", session::way_out(env)));
    }
    ExitCode::FAILURE
}

fn message(error: &anyhow::Error) -> String {
    let mut message = format!("Error: {error:#}");
    for cause in error.chain() {
        let failure = cause.downcast_ref::<Failure>().or_else(|| cause.downcast_ref::<NetworkError>().map(NetworkError::failure));
        for hint in failure.into_iter().flat_map(Failure::hints) {
            message.push_str("\nHint: ");
            message.push_str(hint);
        }
        if let Some(NoSignIn { login, .. }) = cause.downcast_ref().filter(|none: &&NoSignIn| !none.login.is_empty()) {
            message += &format!("\nHint: To sign in: {login}");
        }
    }
    if let Some(usage) = error.downcast_ref::<UsageError>().and_then(|error| error.usage.as_deref()) {
        message += &format!("\n\n{}\n", usage.trim_end());
    }
    message
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn hints_stand_below_the_whole_chain() {
        let error = Err::<(), _>(Failure::new("no space left").hint("Free some space")).context("cannot write x").expect_err("an error");
        assert_eq!(message(&error), "Error: cannot write x: no space left\nHint: Free some space");
    }
}
