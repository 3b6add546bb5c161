//! `session`: managed sessions. Sign in once, and everything that is started in the session finds a living token.

use crate::commands::{Group, Node};

mod alarm;
mod check;
mod database;
mod end;
mod env;
mod home;
mod keep;
mod keeper;
mod list;
mod refresh;
mod renewal;
mod start;
mod status;
mod watch;
mod workspaces;

pub(crate) static GROUP: Group = Group {
    name: "session",
    about: "Work in a session that is signed in to a workspace",
    commands: &[
        Node::Command(&check::COMMAND),
        Node::Command(&end::COMMAND),
        Node::Command(&env::COMMAND),
        Node::Command(&home::COMMAND),
        Node::Command(&keep::COMMAND),
        Node::Command(&list::COMMAND),
        Node::Command(&refresh::COMMAND),
        Node::Command(&start::COMMAND),
        Node::Command(&status::COMMAND),
        Node::Command(&watch::COMMAND),
    ],
};

use anyhow::Result;
use clap::ArgMatches;

use crate::broker::session::{self, Session};
use crate::clock;
use crate::commands::arguments;
use crate::context::Context;
use crate::error::Failure;
use crate::text;
use jiff::SignedDuration;

/// The sessions that are meant: the one that is named, with `--all` every one, else the one that this command runs in, else the only one.
fn meant(context: &Context<'_>, matches: &ArgMatches) -> Result<Vec<Session>> {
    let mut sessions = session::all(&context.env)?;
    if arguments::is_on(matches, "all") {
        return Ok(sessions);
    }
    let named = arguments::positionals(matches).first().map(|id| (*id).to_owned());
    let wanted = named.clone().or_else(|| session::current(&context.env));
    if let Some(id) = wanted {
        sessions.retain(|session| session.description.id == id);
        if sessions.is_empty() {
            return Err(Failure::new(format!("there is no session {}", text::quoted(&id))).hint("To see those there are: databricks session list").into());
        }
        return Ok(sessions);
    }
    match sessions.len() {
        0 => Err(Failure::new("there is no session").hint("To start one: databricks session start").into()),
        1 => Ok(sessions),
        _ => {
            let ids: Vec<&str> = sessions.iter().map(|session| session.description.id.as_str()).collect();
            Err(Failure::new(format!("there are several sessions: {}", ids.join(", "))).hint("Name one; databricks session list tells which is which").into())
        }
    }
}

/// Gives an order to the keeper of a session and returns what it says.
fn order(session: &Session, order: &str) -> Result<()> {
    use std::io::{Read as _, Write as _};
    let id = &session.description.id;
    let fail = |error: std::io::Error| {
        anyhow::Error::from(Failure::new(format!("the keeper of session {id} does not answer: {error}")).hint("To see what there is: databricks session list"))
    };
    let mut stream = session.control().map_err(fail)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(45))).map_err(fail)?;
    stream.write_all(format!("{order}\n").as_bytes()).map_err(fail)?;
    let mut answer = String::new();
    stream.take(1 << 14).read_to_string(&mut answer).map_err(fail)?;
    match answer.trim_end() {
        "ok" => Ok(()),
        "" => Err(fail(std::io::ErrorKind::UnexpectedEof.into())),
        why => Err(Failure::new(why.to_owned()).hint("To sign in again: databricks auth login; then: databricks session refresh").into()),
    }
}

/// How long it is until an instant in seconds since 1970: `in 20 minutes`, or `over`.
fn until(instant: Option<i64>) -> String {
    let Some(instant) = instant else { return "no end known".to_owned() };
    let left = SignedDuration::from_secs(instant - clock::now().as_second());
    if left > SignedDuration::ZERO { format!("in {}", clock::rough(left)) } else { "over".to_owned() }
}
