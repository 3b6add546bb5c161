//! Tokens for the word of others: federation, the metadata service, Google, and programs of the user's.
//!
//! Each method from start to end against the embedded workspace, which really checks signatures, audiences and expiries; then with every value missing in turn, with
//! statements of others, and with every fault of a server. `oracles` puts the official SDKs before the same endpoints.

mod exchange;
mod google;
mod metadata;
mod oracles;
mod programs;
mod stalled;

use crate::harness::{Home, Outcome, Run, Words};
use crate::workspace::{Fault, Recorded, Response, Workspace};
use std::sync::Arc;
use std::time::Duration;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// A home with a workspace that has joined it, and a token store in a file.
fn place() -> (Home, Arc<Workspace>) {
    let home = Home::new();
    let workspace = home.joins(Workspace::start());
    home.set("DATABRICKS_AUTH_STORAGE", "plaintext");
    home.store(home.path().join(".databricks/token-cache.json"));
    (home, workspace)
}

/// Variables of a run.
type Variables = Vec<(&'static str, String)>;

/// A method, ready to be used.
struct Case {
    method: &'static str,
    variables: Variables,
    /// Where the first request goes to.
    first: (&'static str, &'static str),
    /// Variables without which the method does not apply, and words that say so.
    needed: Vec<&'static str>,
}

fn with<'h>(home: &'h Home, words: impl Words, variables: &Variables) -> Run<'h> {
    variables.iter().fold(home.command(words), |run, (name, value)| run.env(name, value))
}

fn without(variables: &Variables, name: &str) -> Variables {
    variables.iter().filter(|(key, _)| *key != name).cloned().collect()
}

/// Who a run signs in as, without a token from the run before.
fn me(home: &Home, variables: &Variables) -> Outcome {
    forget(home);
    with(home, "current-user me -o json", variables).run()
}

/// Empties the caches.
fn forget(home: &Home) {
    for path in [".databricks/token-cache.json", ".cache"] {
        let path = home.path().join(path);
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
}

fn paths(requests: &[Recorded]) -> Vec<String> {
    requests.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
}

/// What every method has to survive: `prefix` is where it asks.
fn survives_faults(home: &Home, workspace: &Arc<Workspace>, case: &Case) {
    let (verb, prefix) = case.first;
    let named = |outcome: &Outcome| {
        outcome.fails().says(case.method);
    };
    // 429 with Retry-After is waited for.
    workspace.order(Fault::on(verb, prefix).retry_after(429, "0"));
    me(home, &case.variables).ok();
    workspace.clear_faults();
    for (what, fault) in [
        ("500", Fault::on(verb, prefix).reply(Response::error(500, "INTERNAL_ERROR", "broken inside")).forever()),
        ("HTML", Fault::on(verb, prefix).reply(Response::html_login()).forever()),
        ("no JSON", Fault::on(verb, prefix).reply(Response::new(200).body("application/json", "nonsense")).forever()),
        ("empty", Fault::on(verb, prefix).reply(Response::new(200).body("application/json", "{}")).forever()),
        ("huge", Fault::on(verb, prefix).reply(Response::huge(64 << 20)).forever()),
        ("endless headers", Fault::on(verb, prefix).endless_headers().forever()),
        ("redirect", Fault::on(verb, prefix).redirect(302, "https://evil.example/").forever()),
    ] {
        workspace.order(fault);
        let outcome = me(home, &case.variables);
        named(&outcome);
        assert!(outcome.took < Duration::from_secs(20), "{what}\n{outcome}");
        workspace.clear_faults();
    }
    // Down: nothing listens there any more.
    let gone = Workspace::start();
    let variables: Variables = case
        .variables
        .iter()
        .map(|(name, value)| (*name, if *name == "DATABRICKS_HOST" { value.clone() } else { value.replace(workspace.url(), gone.url()) }))
        .collect();
    let moved = variables != case.variables;
    drop(gone);
    if moved {
        let outcome = me(home, &variables);
        named(&outcome);
        outcome.within(Duration::from_secs(10));
    }
}

/// Each needed value missing in turn, by name and in the chain.
fn says_what_is_missing(home: &Home, case: &Case) {
    for name in &case.needed {
        let variables = without(&case.variables, name);
        me(home, &variables).fails().says(case.method).says(&format!("{name} is not set"));
        let by_name: Variables = variables.into_iter().chain([("DATABRICKS_AUTH_TYPE", case.method.to_owned())]).collect();
        me(home, &by_name).fails().says(&format!("{} auth: not configured: {name} is not set", case.method));
    }
}
