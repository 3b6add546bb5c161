//! `session home`: a page on this machine to sign in at, to start sessions and to end them.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::ArgMatches;

use self::board::{Board, Means};
use self::guard::Guard;
use self::server::{End, Server};
use super::keeper::Plan;
use super::{database, start};
use crate::auth::oauth::browser::{self, Opening};
use crate::auth::oauth::callback;
use crate::commands::child::Signals;
use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, arguments};
use crate::context::Context;
use crate::env;
use crate::error::Failure;
use crate::text;

mod board;
mod guard;
mod page;
mod server;

pub(crate) static COMMAND: Command = Command {
    name: "home",
    about: "Show a page on this machine to sign in at, and to start and end sessions",
    details: "The page has the known workspaces with None, Sign In, the running sessions with the time of their next token, and End. It is served on loopback only, under an address \
              that nobody can guess; the link is good once, and Enter in the terminal gives another one. No token is on the page.\n\n\
              A session that is started there is one of session start in the background: it ends with the process that started this command, after --for, or with session end, and \
              not with the page. The page ends with Ctrl-C, with its button Close, or when nobody came for the time of --idle.\n\n\
              BROWSER names a program to open the link with, or none.",
    examples: &["databricks session home", "databricks session home --no-browser --port 8090", "databricks session home --database my-instance --for 8h"],
    usage: "",
    arity: Arity::Exactly(0),
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        database::flags(command)
            .arg(arguments::switch("live", "Let SDKs ask for tokens, so that they never hold an old one"))
            .arg(arguments::value("for", "duration", "Longest life of a session that is started there, such as 8h"))
            .arg(arguments::value("parent", "pid", "The process that these sessions end with (default: the one that started this command)"))
            .arg(arguments::switch("no-browser", "Only show the link"))
            .arg(arguments::value("port", "number", "The port of the page (default: any free one)"))
            .arg(arguments::value("idle", "duration", "End when nobody came for so long (default 1h)"))
            .arg(arguments::value("timeout", "duration", "Longest wait for a sign-in (default 10m)"))
    },
    run,
};

const IDLE: i64 = 3_600;
const TIMEOUT: i64 = 600;

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let duration =
        |flag: &str, usual: i64| -> Result<Duration> { Ok(Duration::from_secs(start::seconds(context, matches, flag)?.unwrap_or(usual).unsigned_abs())) };
    let plan = Plan {
        live: arguments::is_on(matches, "live"),
        database: database::Wish::of(context, matches)?,
        bound_to: start::parent(context, matches)?,
        ..Plan::default()
    };
    let (idle, timeout) = (duration("idle", IDLE)?, duration("timeout", TIMEOUT)?);
    let life = start::seconds(context, matches, "for")?;
    let (port, sockets) = open(context, matches)?;
    let mut guard = Guard::new(port)?;
    let (wake, waker) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    waker.set_nonblocking(true)?;
    let back = guard.address("wait");
    let means = Means { env: context.env.clone(), trace: context.globals.trace.clone(), plan, life, timeout, back };
    let mut signals = Signals::take().map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    lead(context, &guard.link()?, port, arguments::is_on(matches, "no-browser"));
    let listens = context.ui.can_prompt();
    let server = Server::new(context, sockets, guard, Arc::new(Board::new(waker)), Arc::new(means), wake, idle, listens);
    context.ui.note(match server.run(&mut signals)? {
        End::Idle => "The page has ended, because nobody came. Sessions go on: databricks session list",
        End::Asked | End::Signal => "The page has ended. Sessions go on: databricks session list",
    });
    Ok(())
}

/// Both loopback addresses of one port, so that nobody else can have one of them.
fn open(context: &Context<'_>, matches: &ArgMatches) -> Result<(u16, Vec<TcpListener>)> {
    let wished = match arguments::text(matches, "port").filter(|text| !text.is_empty()) {
        None => None,
        Some(given) => match given.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(context.usage_error(UsageError::new(invalid_argument(given, "--port", "it is no number from 1 to 65535")))),
        },
    };
    let mut outcome = Err(io::ErrorKind::AddrInUse.into());
    // A port that is free on one address may be taken on the other.
    for _ in 0..if wished.is_some() { 1 } else { 16 } {
        outcome = callback::bind(wished.unwrap_or(0));
        if outcome.is_ok() {
            break;
        }
    }
    let sockets = outcome.map_err(|error| {
        let which = wished.map_or_else(|| "a port of this machine".to_owned(), |port| format!("port {port}"));
        Failure::new(format!("cannot listen on {which}: {error}")).hint("Without --port any free one is taken")
    })?;
    let port = sockets.first().map_or(Ok(0), |socket| socket.local_addr().map(|address| address.port()))?;
    Ok((port, sockets))
}

/// Shows the link, and opens it where there is a browser.
fn lead(context: &Context<'_>, link: &str, port: u16, no_browser: bool) {
    let ui = context.ui;
    let opening = if no_browser { Opening::Elsewhere } else { Opening::of(&context.env) };
    let another = if ui.can_prompt() { " Enter gives another one." } else { "" };
    ui.note(&format!("The page is at this link, which is good once.{another} Ctrl-C ends it.\n{link}"));
    match &opening {
        Opening::Program(..) => {
            if let Err(failure) = opening.open(link) {
                ui.warn(&failure.to_string());
            }
        }
        Opening::Missing(named) => ui.warn(&format!("{} is {}, and there is no such program", env::BROWSER, text::quoted(named))),
        Opening::Printed | Opening::Elsewhere => {
            if let Some(line) = browser::tunnel(&context.env, port) {
                // Signing in ends at a port of its own.
                let callback = context.env.get(env::OAUTH_CALLBACK_PORT).and_then(|port| port.trim().parse::<u16>().ok()).unwrap_or(8020);
                let line = line.replacen("ssh -N", &format!("ssh -N -L {callback}:localhost:{callback}"), 1);
                ui.note(&format!("If the browser is on another machine, first start this there, and end it afterwards:\n  {line}"));
            }
        }
    }
}
