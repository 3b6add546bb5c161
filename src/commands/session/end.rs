//! `session end`: the credentials of a session go, and its program is asked to end.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ArgMatches;

use super::{meant, order};
use crate::broker::session::{self, Session};
use crate::commands::{Arity, Command, arguments};
use crate::context::Context;
use crate::env::Env;
use crate::error::Failure;

pub(crate) static COMMAND: Command = Command {
    name: "end",
    about: "End a session",
    details: "Its folder with the token is removed at once; the program that runs in it gets SIGTERM. Without SESSION it is the one that this command runs in, or the only one.",
    examples: &["databricks session end", "databricks session end --all"],
    usage: "[SESSION]",
    arity: Arity::AtMost(1),
    hidden: false,
    usage_on_error: true,
    flags: |command| command.arg(arguments::switch("all", "End every session of this user on this machine")),
    run,
};

/// How long the folder may take to go after the keeper agreed.
const PATIENCE: Duration = Duration::from_secs(5);

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let mut failed = None;
    for session in meant(context, matches)? {
        match end(&session) {
            Ok(()) => {
                context.ui.note(&format!("Session {} has ended.", session.description.id));
                if session::current(&context.env).as_ref() == Some(&session.description.id) {
                    context.ui.note(&session::way_out(&context.env));
                }
            }
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Ends the session of this id; one that is gone already has ended.
pub(super) fn by_id(env: &Env, id: &str) -> Result<()> {
    session::all(env)?.iter().find(|session| session.description.id == id).map_or(Ok(()), end)
}

fn end(session: &Session) -> Result<()> {
    let id = &session.description.id;
    let outcome = order(session, "end").and_then(|()| {
        let until = Instant::now() + PATIENCE;
        while !session.is_gone() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if session.is_gone() {
            Ok(())
        } else {
            Err(Failure::new(format!("session {id} did not go within 5 seconds"))
                .hint("See whether it is still there: databricks session list; then try again")
                .into())
        }
    });
    // One that ended by itself meanwhile is as good.
    if session.is_gone() { Ok(()) } else { outcome }
}
