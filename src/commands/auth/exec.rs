//! `auth exec`: a program with a credential that lasts as long as it runs.

use std::net::Ipv4Addr;

use anyhow::Result;
use clap::ArgMatches;

use super::origin::{self, Origin};
use super::token;
use crate::auth::Want;
use crate::broker::Broker;
use crate::clock;
use crate::commands::usage::UsageError;
use crate::commands::{Arity, Command, arguments, child, environment};
use crate::context::Context;
use crate::env;
use crate::error::Failure;
use crate::host::Host;

pub(crate) static COMMAND: Command = Command {
    name: "exec",
    about: "Run a program with a credential that does not run out",
    details: "The program asks a server on this machine for its token, as SDKs know it from the auth type metadata-service: DATABRICKS_HOST, DATABRICKS_AUTH_TYPE and \
              DATABRICKS_METADATA_SERVICE_URL are set, with the ids of workspace, account and compute that the profile names. The server renews the token, and is gone when \
              the program has ended. Other credentials of Databricks in the environment are taken out.\n\n\
              Signals are passed on, and the exit code is that of the program: 128 and the number of the signal where one ended it, 127 where there is no such program.",
    examples: &["databricks auth exec -p my-profile -- python train.py", "databricks auth exec -p my-profile -- terraform apply"],
    usage: "-- COMMAND [ARGUMENT...]",
    arity: Arity::Program,
    hidden: false,
    usage_on_error: true,
    flags: |command| command,
    run,
};

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let words = arguments::program();
    if words.is_empty() {
        return Err(context.usage_error(UsageError::new("no program to run: it stands behind --")));
    }
    let selection = super::selection(context, matches)?;
    let host = arguments::text(matches, "host").filter(|_| selection.profile.is_none()).map(Host::parse).transpose()?;
    let origin = Origin { profile: selection.profile, host };
    let settings = origin.settings(&context.env, &context.file)?;
    let credential = token::credential(context, &settings, Want { alone: true, ..Want::USUAL }, None)?;
    let token = origin::token_of(&credential)?;
    let host = credential.host.clone();
    let mut broker = Broker::open((Ipv4Addr::LOCALHOST, 0).into())?;
    let name = origin.name(&settings);
    let url = broker.add(&name, host.clone(), origin.source(context, host.clone()), Some(&token))?;
    let mut variables =
        vec![(env::HOST, host.to_string()), (env::AUTH_TYPE, "metadata-service".to_owned()), (env::METADATA_SERVICE_URL, url.expose().to_owned())];
    variables.extend(origin::places(&settings).into_iter().filter_map(|(attr, value)| Some((*attr.row().env.first()?, value))));
    variables.extend(environment::past_proxies(&context.env));
    // Before anything else starts: a signal that comes in between must find somebody who passes it on.
    let mut signals = child::Signals::take().map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    let stop = broker.stop();
    let server = std::thread::Builder::new().name("broker".to_owned()).spawn(move || broker.run())?;
    let mut command = child::command(&words);
    environment::put(&mut command, &variables);
    context.ui.flush().map(drop)?;
    let code = match child::start(context, &mut command) {
        Ok(mut program) => child::code(child::attend(&mut program, &mut signals)?),
        Err(code) => code,
    };
    stop.now();
    match server.join() {
        Ok(outcome) => outcome.and_then(|()| child::end_with(code)),
        Err(_) => Err(Failure::new(format!("the server for tokens broke down at {}", clock::minute(clock::now()))).into()),
    }
}
