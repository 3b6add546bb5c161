//! `session check`: what lies around and would get in the way of a session.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ArgMatches;
use serde::Serialize;

use crate::broker::session;
use crate::commands::{Arity, Command, child, environment};
use crate::config::attributes::{ATTRIBUTES, Attr};
use crate::config::bundle;
use crate::config::netrc::Netrc;
use crate::context::{Context, OutputFormat};
use crate::env::{self, Env};
use crate::files;
use crate::host::Host;
use crate::text;

pub(crate) static COMMAND: Command = Command {
    name: "check",
    about: "Show what lies around and gets in the way of a session",
    details: "Credentials and hosts in the environment, and in .env, .Renviron, .netrc, .databrickscfg and databricks.yml in or above this folder and in the home folder, each \
              with its place and what it does. Values of secrets are not shown. The exit code is 1 where something was found.",
    examples: &["databricks session check", "databricks session check -o json"],
    usage: "",
    arity: Arity::Exactly(0),
    hidden: false,
    usage_on_error: true,
    flags: |command| command,
    run,
};

/// Largest file that is looked into.
const LARGEST: u64 = 1 << 20;
/// Folders above the current one that are looked into.
const HIGHEST: usize = 8;

/// Something that gets in the way.
#[derive(Debug, Serialize)]
pub(super) struct Conflict {
    /// The variable, or file and line.
    pub(super) place: String,
    /// What stands there, without secrets.
    pub(super) what: String,
    /// What it does to programs in a session.
    pub(super) effect: String,
    /// Whether the session takes care of it.
    pub(super) cleared: bool,
}

impl Conflict {
    pub(super) fn line(&self) -> String {
        let cleared = if self.cleared { "; taken out in the session" } else { "" };
        format!("{}: {}: {}{cleared}", self.place, self.what, self.effect)
    }
}

fn run(context: &Context<'_>, _: &ArgMatches) -> Result<()> {
    let host = session::all(&context.env)?.into_iter().find(|session| Some(&session.description.id) == session::current(&context.env).as_ref());
    let host = host.and_then(|session| Host::parse(&session.description.host).ok());
    let found = conflicts(context, host.as_ref());
    if context.globals.output == OutputFormat::Json {
        context.ui.out_json(&serde_json::to_string(&found)?)?;
    } else if found.is_empty() {
        context.ui.note("Nothing gets in the way of a session here.");
    } else {
        for conflict in &found {
            context.ui.out_line(&conflict.line());
        }
        context.ui.note(
            "Hint: Variables are taken out for what runs in the session; files have to be changed by you. To work without a session: databricks session start none",
        );
    }
    child::end_with(u8::from(!found.is_empty()))
}

/// All that is there; `host` is that of the session.
pub(super) fn conflicts(context: &Context<'_>, host: Option<&Host>) -> Vec<Conflict> {
    let mut found = variables(&context.env);
    let folders = folders(&context.env);
    for folder in &folders {
        for name in [".env", ".Renviron"] {
            found.extend(assignments(&folder.join(name), host));
        }
        if let Some(path) = bundle::FILE_NAMES.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
            found.extend(hosts_of_bundle(&path, host));
        }
    }
    found.extend(default_profile(&context.env));
    found.extend(logins(&context.env, host));
    found
}

/// The current folder and those above it up to the home folder; and that one too.
fn folders(env: &Env) -> Vec<PathBuf> {
    let home = env.home();
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Ok(current) = std::env::current_dir() {
        for folder in current.ancestors().take(HIGHEST) {
            folders.push(folder.to_owned());
            if Some(folder) == home.as_deref() {
                break;
            }
        }
    }
    folders.extend(home);
    let mut seen = std::collections::HashSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

fn is_secret(name: &str) -> bool {
    ATTRIBUTES.iter().any(|row| row.secret && row.env.contains(&name))
}

fn shown(name: &str, value: &str) -> String {
    if is_secret(name) { format!("{name} is set") } else { format!("{name} is {}", text::quoted(&text::shortened(value, 120))) }
}

fn effect_of(name: &str) -> &'static str {
    match name {
        env::TOKEN => "a personal token that SDKs send instead of the session's, and to its host",
        env::HOST => "SDKs go to this host, also where the session is signed in to another",
        env::CONFIG_PROFILE => "SDKs look for this profile, which the session's file does not have",
        env::AUTH_TYPE => "SDKs sign in this way instead of with the session's token",
        _ => "SDKs take it for a part of the credential, and refuse two kinds at once",
    }
}

fn variables(env: &Env) -> Vec<Conflict> {
    if session::current(env).is_some() {
        // What is set here was set by the session, but for what was added since.
        return [env::TOKEN, env::CLIENT_ID, env::CLIENT_SECRET, env::AUTH_TYPE].into_iter().filter_map(|name| variable(env, name, false)).collect();
    }
    environment::in_the_way().filter_map(|name| variable(env, name, true)).collect()
}

fn variable(env: &Env, name: &str, cleared: bool) -> Option<Conflict> {
    let value = env.get(name)?;
    Some(Conflict { place: "environment".to_owned(), what: shown(name, value), effect: effect_of(name).to_owned(), cleared })
}

/// The text of a file, if there is one that can be read; what cannot be read cannot be named either.
fn read(path: &Path) -> Option<String> {
    let bytes = files::read_foreign(path, LARGEST).ok()??;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The lines of a file of variables (dotenv, `.Renviron`) that set something of ours.
fn assignments(path: &Path, host: Option<&Host>) -> Vec<Conflict> {
    let Some(content) = read(path) else { return Vec::new() };
    let names: Vec<&str> = environment::in_the_way().chain([env::CONFIG_FILE]).collect();
    let lines = content.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        let (name, value) = (name.trim(), value.trim().trim_matches(['"', '\'']));
        let is_same = name == env::HOST && Host::parse(value).ok().as_ref() == host && host.is_some();
        if value.is_empty() || !names.contains(&name) || is_same {
            return None;
        }
        let effect = match name {
            env::CONFIG_FILE => "programs that load this file look at other profiles than the session's",
            _ => effect_of(name),
        };
        let effect = format!("for programs that load this file: {effect}");
        Some(Conflict { place: format!("{}:{}", path.display(), index + 1), what: shown(name, value), effect, cleared: false })
    });
    lines.collect()
}

/// The lines of a bundle that name another host.
fn hosts_of_bundle(path: &Path, host: Option<&Host>) -> Vec<Conflict> {
    let Some(content) = read(path) else { return Vec::new() };
    let lines = content.lines().enumerate().filter_map(|(index, line)| {
        let (key, value) = line.trim_start().split_once(':')?;
        let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        if !matches!(key.trim_start_matches("- "), "host" | "profile") || value.is_empty() {
            return None;
        }
        let is_same = host.is_some() && Host::parse(value).ok().as_ref() == host;
        let what = format!("{key} is {}", text::quoted(&text::shortened(value, 120)));
        let effect = "the databricks CLI in this folder goes there, not to the session's workspace".to_owned();
        (!is_same).then(|| Conflict { place: format!("{}:{}", path.display(), index + 1), what, effect, cleared: false })
    });
    lines.collect()
}

/// A default profile with a secret in the user's own file: for programs that read that file by its name.
fn default_profile(env: &Env) -> Vec<Conflict> {
    let Some(path) = env.home().map(|home| home.join(".databrickscfg")) else { return Vec::new() };
    let Some(content) = read(&path) else { return Vec::new() };
    let mut section = String::new();
    let mut found = Vec::new();
    for (index, line) in content.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            name.trim().clone_into(&mut section);
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let is_lasting = [Attr::Token, Attr::Password, Attr::ClientSecret].iter().any(|attr| attr.name() == key.trim());
        if section == "DEFAULT" && is_lasting && !value.trim().is_empty() {
            found.push(Conflict {
                place: format!("{}:{}", path.display(), index + 1),
                what: format!("{} of profile DEFAULT", key.trim()),
                effect: "programs that read this file by its name, and not DATABRICKS_CONFIG_FILE, use it instead of the session's token".to_owned(),
                cleared: false,
            });
        }
    }
    found
}

fn logins(env: &Env, host: Option<&Host>) -> Vec<Conflict> {
    let Some(host) = host else { return Vec::new() };
    let path = env.path(env::NETRC).or_else(|| env.home().map(|home| home.join(".netrc")));
    let Some(path) = path else { return Vec::new() };
    let Some(parsed) = files::read_foreign(&path, LARGEST).ok().flatten().and_then(|bytes| Netrc::parse(bytes).ok()) else { return Vec::new() };
    let machine = host.bare_name();
    let found = parsed.logins(machine).map(|login| Conflict {
        place: format!("{}:{}", path.display(), login.line),
        what: format!("a login for {machine}"),
        effect: "curl -n and programs on Python's requests send it, also in place of a token".to_owned(),
        cleared: false,
    });
    found.collect()
}
