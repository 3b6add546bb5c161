//! `databricks`: the credential tool for Databricks.
//!
//! The modules from the rim inwards; each may use those below it, never those above or beside it (a test reads the `use` lines):
//!
//! | module | concern |
//! |---|---|
//! | [`run`], `report` | parse, dispatch; any error becomes a message, hints and an exit code |
//! | `commands` | one file per command that a user types; the REST calls come from their tables |
//! | `context` | what a command is handed, made when it is asked for |
//! | `lakebase` | Postgres logins whose passwords live an hour |
//! | `rest`, `handover`, `broker` | the REST API as tables; forms in which a credential is handed over; the local token server and the folders of sessions |
//! | `auth` | auth types, the chain that picks one |
//! | `http`, `config`, `storage`, `ui` | requests; profile file and settings; token stores; prompts and output |
//! | `secret`, `signals`, `text`, `json`, `error`, `host`, `env`, `clock`, `duration`, `files` | foundations, one concern each |

#![cfg_attr(test, allow(clippy::expect_used, clippy::unwrap_used, clippy::panic))]

mod auth;
#[cfg(unix)]
mod broker;
mod clock;
mod commands;
mod config;
mod context;
mod duration;
mod env;
mod error;
mod files;
mod handover;
mod hardening;
mod host;
mod http;
mod json;
mod lakebase;
mod peer;
mod report;
mod rest;
mod secret;
mod signals;
mod storage;
mod text;
mod ui;

use std::process::ExitCode;

use anyhow::Result;
use clap::ArgMatches;
use clap::error::ErrorKind;

use commands::usage::{self, UsageError, invalid_argument};
use commands::{Arity, Node, Others, Parsed, arguments, completion};
use config::file::ProfileFile;
use context::{Context, Globals, OutputFormat};
use env::Env;
use http::Trace;
use ui::Ui;

/// Runs the command line of this process and says with which code to end.
pub fn run() -> ExitCode {
    hardening::apply();
    let env = Env::of_process();
    let ui = Ui::new(&env);
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let outcome = dispatch(env, &ui, &arguments).and_then(|code| ui.flush().map(|_| code));
    // Another thread may be about to keep what it has just got.
    signals::settle();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // What was printed before the error stays printed; if that fails too, the first error is the one to tell.
            let _shown = ui.flush();
            report::report(&Env::of_process(), &ui, &error)
        }
    }
}

fn dispatch(env: Env, ui: &Ui, arguments: &[String]) -> Result<ExitCode> {
    let env = match arguments.first() {
        // Compat: started through a path, the program tells SDKs below it where it is.
        Some(program) if program.contains(std::path::MAIN_SEPARATOR) && env.get(env::CLI_PATH).is_none() => env.with(env::CLI_PATH, program),
        _ => env,
    };
    if let Some(outcome) = completion::answer::answer(&env, ui, arguments) {
        return outcome.map(|()| ExitCode::SUCCESS);
    }
    let arguments = without_program(arguments);
    let Parsed { words, matches } = match commands::parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand) => {
            ui.out(&arguments::rendered(&error.render().to_string()));
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(mistake(&error, arguments).into()),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (node, known) = commands::walk(&words);
    // `help jobs` is as much about a command that is not here as `jobs` is.
    let meant = if words == ["help"] { arguments::positionals(&matches) } else { words.clone() };
    if let Some(code) = elsewhere(&env, &meant, words == meant)? {
        return Ok(code);
    }
    let globals = globals(&env, ui, &matches, &words[..known])?;
    if let Some(unknown) = words.get(known) {
        return unknown_command(ui, node, &words[..known], unknown).map(|()| ExitCode::SUCCESS);
    }
    let Some(node) = node else {
        if arguments::is_on(&matches, "version") {
            ui.out_line(&format!("Databricks CLI v{}", commands::VERSION));
        } else {
            ui.out(&commands::help_page(&[]));
        }
        return Ok(ExitCode::SUCCESS);
    };
    if matches!(node, Node::Group(_) | Node::Api(_)) {
        ui.out(&commands::help_page(&words));
        return Ok(ExitCode::SUCCESS);
    }
    check_arity(node, &matches, &words)?;
    let file = ProfileFile::locate(&env);
    let context = Context { env, ui, globals, file, command: words.join(" ") };
    node.run(&context, &matches).map(|()| ExitCode::SUCCESS)
}

/// The arguments up to a lone `--` for commands that run what stands behind it: a second `--`, or a flag, is then that program's.
fn without_program(arguments: &[String]) -> &[String] {
    let own = arguments::before_dashes(arguments);
    if own.len() == arguments.len() {
        return arguments;
    }
    let tolerant = commands::command_line(own, Others::LeftOut).ignore_errors(true).try_get_matches_from(own);
    let runs_a_program = tolerant.is_ok_and(|matches| commands::walk(&words(&matches)).0.is_some_and(|node| node.arity() == Arity::Program));
    if runs_a_program { own } else { arguments }
}

/// What is to be done about a command of the official CLI that is none of ours: the program that the user named for it takes over, or the error says what else there is.
/// A word that nobody knows goes to that program too, if it is to be run and does not look like a slip.
fn elsewhere(env: &Env, words: &[&str], is_run: bool) -> Result<Option<ExitCode>> {
    let absent = commands::official::absent(words);
    let is_new = || {
        let ours = commands::root().iter().map(|node| node.name());
        words.first().is_some_and(|word| commands::walk(&[word]).0.is_none() && text::closest(word, ours).is_none())
    };
    if absent.is_none() && !(is_run && is_new()) {
        return Ok(None);
    }
    let file = ProfileFile::locate(env);
    match (commands::fallback::program(env, &file)?, absent) {
        (Some(program), _) => {
            let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
            commands::fallback::hand_over(&program, env, &file, words, &arguments).map(Some)
        }
        (None, Some(absent)) => Err(absent.failure().into()),
        (None, None) => Ok(None),
    }
}

/// The words of the command, up to and with the first that is none.
fn words(matches: &ArgMatches) -> Vec<&str> {
    let mut words = Vec::new();
    let mut next = matches.subcommand();
    while let Some((word, below)) = next {
        words.push(word);
        next = below.subcommand();
    }
    words
}

/// What clap refused, told at the command where it happened.
fn mistake(error: &clap::Error, arguments: &[String]) -> UsageError {
    let tolerant = commands::command_line(arguments, Others::LeftOut).ignore_errors(true).try_get_matches_from(arguments);
    let words: Vec<String> = tolerant.map(|matches| words(&matches).into_iter().map(ToOwned::to_owned).collect()).unwrap_or_default();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (node, known) = commands::walk(&words);
    let mistake = usage::from_clap(error, arguments, &mut commands::help_at(&words[..known]));
    if node.is_some_and(|node| !node.shows_usage_on_error()) { mistake.without_usage() } else { mistake }
}

/// Compat: an unknown word is an error at the top level and below an API; below other groups it shows their help and is none.
fn unknown_command(ui: &Ui, node: Option<Node>, known: &[&str], unknown: &str) -> Result<()> {
    let children = node.map_or_else(|| commands::root().to_vec(), Node::children);
    let shown = text::quoted(unknown);
    let names: Vec<&str> = children.iter().filter(|child| !child.is_hidden()).map(|child| child.name()).collect();
    let meant = text::closest(unknown, names).map_or(String::new(), |close| format!("\n\nDid you mean this?\n\t{close}"));
    match node {
        None => Err(UsageError::new(format!("unknown command {shown} for \"databricks\"{meant}")).into()),
        Some(Node::Group(_)) => {
            ui.out(&commands::help_page(known));
            Ok(())
        }
        Some(_) => {
            let path = known.join(" ");
            Err(UsageError::new(format!("unknown command {shown} for \"databricks {path}\"{meant}")).with_usage(&mut commands::help_at(known)).into())
        }
    }
}

fn check_arity(node: Node, matches: &ArgMatches, words: &[&str]) -> Result<()> {
    let given = arguments::positionals(matches);
    let received = given.len();
    let message = match node.arity() {
        Arity::NoCommands if received > 0 => format!("unknown command {} for \"databricks {}\"", text::quoted(given[0]), words.join(" ")),
        Arity::Exactly(wanted) if received != wanted => format!("accepts {wanted} arg(s), received {received}"),
        Arity::AtMost(most) if received > most => format!("accepts at most {most} arg(s), received {received}"),
        _ => return Ok(()),
    };
    let error = UsageError::new(message);
    let error = if node.shows_usage_on_error() { error.with_usage(&mut commands::help_at(words)) } else { error };
    Err(error.into())
}

fn globals(env: &Env, ui: &Ui, matches: &ArgMatches, words: &[&str]) -> Result<Globals> {
    let output_given = arguments::text(matches, "output");
    let output = match output_given {
        Some(given) => output_format(given).ok_or_else(|| {
            UsageError::new(invalid_argument(given, "-o, --output", "accepted arguments are json and text")).with_usage(&mut commands::help_at(words))
        })?,
        // Compat: a value that is none is ignored.
        None => env.get(env::OUTPUT_FORMAT).and_then(output_format).unwrap_or_default(),
    };
    if arguments::text(matches, "environment").is_some() {
        ui.note("Flag --environment has been deprecated, use --target flag instead");
    }
    if arguments::text(matches, "progress-format").is_some() {
        ui.note("Flag --progress-format has been deprecated, this flag is no longer functional");
    }
    let level = arguments::text(matches, "log-level").or_else(|| env.get(env::LOG_LEVEL)).unwrap_or_default();
    let debug = arguments::is_on(matches, "debug") || matches!(level.to_ascii_lowercase().as_str(), "trace" | "debug");
    let log_file = arguments::text(matches, "log-file").filter(|path| !path.is_empty());
    let trace = match log_file.or_else(|| env.get(env::LOG_FILE)) {
        _ if !debug => Trace::off(),
        None | Some("stderr") => Trace::to_stderr(),
        Some("stdout") => Trace::to(std::io::stdout()),
        Some(path) => Trace::to(files::append(std::path::Path::new(path))?),
    };
    let profile = arguments::text(matches, "profile").filter(|name| !name.is_empty()).map(ToOwned::to_owned);
    let given = |name| arguments::text(matches, name).filter(|name| !name.is_empty()).map(ToOwned::to_owned);
    let target = given("target").or_else(|| given("environment"));
    Ok(Globals { profile, target, output, trace })
}

fn output_format(text: &str) -> Option<OutputFormat> {
    match () {
        () if text.eq_ignore_ascii_case("text") => Some(OutputFormat::Text),
        () if text.eq_ignore_ascii_case("json") => Some(OutputFormat::Json),
        () => None,
    }
}
