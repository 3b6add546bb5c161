//! `auth describe`: what is in force, where each value came from, what each method lacks, and what shadows what.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::ArgMatches;
use serde::Serialize;

use crate::auth::chain::{self, Attempt};
use crate::auth::methods::databricks_cli;
use crate::auth::{Credential, METHODS, TOKEN_USER, Want, moved_places};
use crate::clock;
use crate::commands::{Arity, Command, arguments};
use crate::config::attributes::{ATTRIBUTES, Attr};
use crate::config::netrc::{Listed, NetrcFile};
use crate::config::settings::{Settings, Source, Value};
use crate::context::{Context, OutputFormat, Workspace};
use crate::env::Env;
use crate::storage::{self, Mode, StoredToken};
use crate::text;

pub(crate) static COMMAND: Command = Command {
    name: "describe",
    about: "Explain which credential is used, where each value comes from, and what it is worth",
    details: "Asks the workspace who the credential is, unless --offline is given. The exit code is 0 whatever it finds.",
    examples: &["databricks auth describe", "databricks auth describe --profile my-profile --offline", "databricks auth describe -o json | jq -r .status"],
    usage: "",
    arity: Arity::Ignored,
    hidden: false,
    usage_on_error: true,
    flags: |command| {
        command
            .arg(arguments::switch("sensitive", "Show secrets in clear"))
            .arg(arguments::switch("offline", "Ask nobody: explain from files and environment alone"))
    },
    run,
};

/// What a masked secret looks like.
pub(super) const MASK: &str = "********";

/// One attribute with what is to be said of it.
struct Row {
    attr: Attr,
    value: String,
    source: Option<Source>,
    /// Whether the method in use has no use for it.
    mismatch: bool,
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    details: Details,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_storage: Option<StorageEntry>,
}

/// Where the sign-in is kept: `mode`, `location` and `source` are read by scripts.
#[derive(Serialize)]
struct StorageEntry {
    mode: &'static str,
    location: String,
    source: String,
    /// RFC 3339, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<String>,
}

/// A method that was tried, in the order of trying.
#[derive(Serialize)]
struct AttemptEntry {
    method: &'static str,
    error: String,
}

#[derive(Serialize)]
struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    configuration: BTreeMap<&'static str, Entry>,
    methods: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<AttemptEntry>,
    shadowed: Vec<ShadowedEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    netrc: Vec<StrayEntry>,
}

/// An entry of the user's `.netrc` that other programs send instead of the credential.
#[derive(Serialize)]
struct StrayEntry {
    file: String,
    line: usize,
    /// Absent for `default`, which counts for every host.
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    /// Whether it holds anything else than the token in use.
    differs: bool,
}

#[derive(Serialize)]
struct Entry {
    value: String,
    source: EntrySource,
    auth_type_mismatch: bool,
}

#[derive(Serialize)]
struct EntrySource {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
}

#[derive(Serialize)]
struct ShadowedEntry {
    attribute: &'static str,
    source: String,
    used: String,
    differs: bool,
}

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let selection = super::workspace_selection(context, matches)?;
    let settings = Settings::gather(&selection, &context.env, &context.file)?;
    context.remark(&settings);
    let mut attempts = Vec::new();
    let (used, outcome) = find_out(context, &settings, arguments::is_on(matches, "offline"), &mut attempts);
    let rows = rows(&settings, used, arguments::is_on(matches, "sensitive"));
    let stray = stray(context, &settings, used);
    if context.globals.output == OutputFormat::Json {
        let report = report(context, &settings, &outcome, used, &attempts, rows, stray);
        return context.ui.out_json_bare(&serde_json::to_string(&report)?);
    }
    match &outcome {
        Ok(user) => {
            context.ui.out_line(&format!("Host: {}", settings.host()?.map_or(String::new(), |host| host.to_string())));
            if let Some(user) = user {
                context.ui.out_line(&format!("User: {user}"));
            }
            context.ui.out_line(&format!("Authenticated with: {}", used.unwrap_or_default()));
        }
        Err(error) => {
            context.ui.out_line(&format!("Unable to authenticate: {error}"));
            for attempt in &attempts {
                context.ui.out_line(&format!("  {}: {}", attempt.method.name, attempt.reason));
            }
        }
    }
    if let Some(place) = TokenPlace::of(context, &settings, used) {
        place.print(context);
    }
    context.ui.out("-----\nCurrent configuration:\n");
    for row in &rows {
        context.ui.out_line(&format!("  {}", line(row, used)));
    }
    for (what, place, variable) in moved_places(&context.env).filter(|_| used.is_some_and(is_azure)) {
        context.ui.out_line(&format!("  ✓ {what} is asked at {} (from {variable} environment variable)", text::one_line(place)));
    }
    context.ui.out("-----\nMethods, in the order in which they are tried:\n");
    for (name, word) in methods(&settings, &context.env, used, &attempts) {
        context.ui.out_line(&format!("  {} {name}: {word}", if used == Some(name) { "✓" } else { "~" }));
    }
    let shadowed: Vec<_> = settings.shadowed().iter().filter(|shadowed| shadowed.differs).collect();
    if !shadowed.is_empty() {
        context.ui.out("-----\nSet, but shadowed by another value:\n");
        for shadowed in shadowed {
            let winner = settings.get(shadowed.attr).map_or(String::new(), |winner| winner.source.place());
            context.ui.out_line(&format!("  ~ {}: that of the {} is not used, but that of the {winner}", shadowed.attr.name(), shadowed.source.place()));
        }
    }
    if !stray.is_empty() {
        context.ui.out("-----\nNot used here, but sent to this host instead of the credential by Python's requests, curl -n and others:\n");
        for entry in stray {
            context.ui.out_line(&format!("  ~ {entry}"));
        }
    }
    Ok(())
}

/// The method that is used, and what came of it: the name of the user where the workspace was asked.
fn find_out(context: &Context<'_>, settings: &Settings, offline: bool, attempts: &mut Vec<Attempt>) -> (Option<&'static str>, Result<Option<String>, String>) {
    // What to do about it is said below; of the server's refusal only its own words count here.
    let said = |error: anyhow::Error| format!("{error:#}").split("\n\n").next().unwrap_or_default().to_owned();
    let named = settings.text(Attr::AuthType).and_then(crate::auth::find).map(|method| method.name);
    if let Err(error) = settings.check(&context.file) {
        return (None, Err(said(error)));
    }
    if offline {
        return match context.with_ports(Want::USUAL, |ports| chain::foresee(settings, ports, attempts)) {
            Ok(method) => (Some(method.name), Ok(None)),
            Err(error) => (named, Err(said(error))),
        };
    }
    match context.with_ports(Want::USUAL, |ports| chain::try_all(settings, ports, attempts)) {
        Err(error) => (named, Err(said(error))),
        Ok(credential) => {
            let (used, user) = ask(context, settings, credential);
            (Some(used), user.map_err(said))
        }
    }
}

/// The method of the credential, and the user that the workspace knows by it.
// Not inlined: settings and workspace are large, and whoever is offline would have room made for them on the stack.
#[inline(never)]
fn ask(context: &Context<'_>, settings: &Settings, credential: Credential) -> (&'static str, Result<Option<String>>) {
    for remark in &credential.remarks {
        context.ui.warn(remark);
    }
    let used = credential.method;
    (used, Workspace::connect(settings.clone(), credential, context.caller(), None).and_then(|workspace| workspace.vouch()))
}

/// Where the sign-in of `databricks-cli` is kept, and how long it lasts.
struct TokenPlace {
    mode: &'static str,
    location: String,
    source: String,
    token: Option<StoredToken>,
}

impl TokenPlace {
    /// `None` for the other auth types, which keep nothing that matters.
    fn of(context: &Context<'_>, settings: &Settings, used: Option<&str>) -> Option<Self> {
        let host = settings.host().ok().flatten().filter(|_| used == Some(databricks_cli::METHOD.name))?;
        let choice = context.storage().ok()?;
        let source = super::storage::source_of(context, &choice);
        let opened = storage::open_for_reading(&context.env, &choice).ok();
        let mode = opened.as_ref().map_or(choice.mode, |opened| opened.mode);
        // Compat: these words are in the JSON that scripts read.
        let keyring = || format!("OS keyring (service: {})", storage::keyring::SERVICE);
        let location = opened.filter(|_| mode == Mode::Plaintext).map_or_else(keyring, |opened| opened.store.location());
        let token = context.with_ports(Want::USUAL, |ports| databricks_cli::look(settings, &host, ports)).ok();
        Some(Self { mode: mode.name(), location, source, token })
    }

    fn print(&self, context: &Context<'_>) {
        context.ui.out_line(&format!("Token storage: {}, {} (from {})", self.mode, self.location, self.source));
        if let Some(token) = &self.token {
            context.ui.out_line(&format!("Token: {}", lifetime(token)));
        }
    }
}

/// How long a token lasts, in words.
fn lifetime(token: &StoredToken) -> String {
    let renewal = if token.refresh_token.is_some() { "; it is renewed when it is needed" } else { "; it cannot be renewed: databricks auth login" };
    match token.expiry {
        None => format!("nobody knows when it expires{renewal}"),
        Some(expiry) => {
            let rest = expiry.duration_since(clock::now());
            let words = if rest.is_positive() { format!("expires in {}", clock::rough(rest)) } else { format!("expired {} ago", clock::rough(rest)) };
            format!("{words} ({}){renewal}", clock::minute(expiry))
        }
    }
}

/// The entries of `.netrc` for the host in use, where they are not what is used anyway; a file that cannot be read is told on standard error.
fn stray(context: &Context<'_>, settings: &Settings, used: Option<&str>) -> Vec<StrayEntry> {
    let (Some(host), Ok(file)) = (settings.host().ok().flatten(), NetrcFile::to_read(&context.env)) else { return Vec::new() };
    if used == Some("netrc") {
        return Vec::new();
    }
    let netrc = match file.read() {
        Ok(Some((netrc, _))) => netrc,
        Ok(None) => return Vec::new(),
        Err(error) => {
            context.ui.warn(&format!("{error:#}. Whether other programs find a login for {host} there is not known"));
            return Vec::new();
        }
    };
    let told = |entry: Listed| {
        let is_ours = entry.login.as_deref() == Some(TOKEN_USER) && entry.password.is_some() && entry.password.as_ref() == settings.secret(Attr::Token);
        StrayEntry {
            file: file.path().display().to_string(),
            line: entry.line,
            machine: entry.machine,
            login: entry.login,
            differs: !is_ours || used != Some("pat"),
        }
    };
    let own: Vec<StrayEntry> = netrc.logins(host.bare_name()).map(told).collect();
    if own.is_empty() { netrc.default_login().map(told).into_iter().collect() } else { own }
}

impl std::fmt::Display for StrayEntry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whose = self.machine.as_ref().map_or("default, which counts for every host".to_owned(), |machine| format!("machine {machine}"));
        let login = self.login.as_ref().map_or(String::new(), |login| format!(", login {login}"));
        let same = if self.differs { "" } else { " (the same token)" };
        write!(formatter, "{}:{}: {whose}{login}{same}", self.file, self.line)
    }
}

/// Whether a method has its tokens from Azure.
fn is_azure(method: &str) -> bool {
    method.contains("azure") && method != "azure-devops-oidc"
}

/// Every attribute in force, in the order of the table, with what follows from others.
fn rows(settings: &Settings, used: Option<&str>, sensitive: bool) -> Vec<Row> {
    let host = settings.host().ok().flatten();
    let mut rows = Vec::new();
    for row in &ATTRIBUTES {
        let derived = match row.attr {
            Attr::AuthType => used.map(ToOwned::to_owned),
            Attr::Cloud => host.as_ref().map(|host| host.cloud().name().to_owned()),
            Attr::Profile => Some("default".to_owned()),
            _ => None,
        };
        let mismatch = used.is_some_and(|used| !row.methods.is_empty() && !row.methods.contains(&used));
        if let Some(sourced) = settings.get(row.attr) {
            let value = match &sourced.value {
                Value::Hidden(_) if !sensitive => MASK.to_owned(),
                value => value.reveal().to_owned(),
            };
            let source = Some(sourced.source.clone()).filter(|source| *source != Source::Derived);
            rows.push(Row { attr: row.attr, value, source, mismatch });
        } else if let Some(value) = derived {
            rows.push(Row { attr: row.attr, value, source: None, mismatch: false });
        }
    }
    rows
}

fn line(row: &Row, used: Option<&str>) -> String {
    let mark = if row.mismatch { "~" } else { "✓" };
    let mut remarks: Vec<String> = row.source.iter().map(|source| format!("from {source}")).collect();
    if row.mismatch {
        remarks.push(format!("not used for auth type {}", used.unwrap_or_default()));
    }
    let remarks = if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join(", ")) };
    format!("{mark} {}: {}{remarks}", row.attr.name(), text::one_line(&row.value))
}

/// Each method with why it is used or not.
pub(super) fn methods(settings: &Settings, env: &Env, used: Option<&str>, attempts: &[Attempt]) -> Vec<(&'static str, String)> {
    let named = settings.text(Attr::AuthType);
    METHODS
        .iter()
        .map(|method| {
            let tried = attempts.iter().find(|attempt| attempt.method.name == method.name);
            let word = match (method.ready(settings, env), used == Some(method.name)) {
                (_, true) => "used".to_owned(),
                _ if tried.is_some() => format!("did not work: {}", tried.map(|attempt| attempt.reason.as_str()).unwrap_or_default()),
                _ if !method.automatic && named != Some(method.name) => "used only where auth_type names it".to_owned(),
                (Err(skip), _) => skip.to_string(),
                (Ok(()), false) if named.is_some() => format!("could be used, but auth_type is {}", text::one_line(named.unwrap_or_default())),
                (Ok(()), false) if used.is_some() => "could be used, but another comes first".to_owned(),
                (Ok(()), false) => "has all it needs".to_owned(),
            };
            (method.name, word)
        })
        .collect()
}

fn report(
    context: &Context<'_>,
    settings: &Settings,
    outcome: &Result<Option<String>, String>,
    used: Option<&'static str>,
    attempts: &[Attempt],
    rows: Vec<Row>,
    netrc: Vec<StrayEntry>,
) -> Report {
    let entry = |row: Row| {
        let (kind, name) = match &row.source {
            Some(Source::Flag(name)) => ("flag", (*name).to_owned()),
            Some(Source::Env(name)) => ("environment variable", (*name).to_owned()),
            Some(Source::File { path, .. }) => ("config file", path.display().to_string()),
            Some(Source::Bundle { .. }) => ("bundle", String::new()),
            Some(Source::Derived) | None => ("dynamic configuration", String::new()),
        };
        (row.attr.name(), Entry { value: row.value, source: EntrySource { kind, name }, auth_type_mismatch: row.mismatch })
    };
    Report {
        status: if outcome.is_ok() { "success" } else { "error" },
        username: outcome.as_ref().ok().and_then(Clone::clone),
        account_id: settings.text(Attr::AccountId).map(ToOwned::to_owned),
        error: outcome.as_ref().err().cloned(),
        details: Details {
            auth_type: used,
            host: settings.host().ok().flatten().map(|host| host.to_string()),
            configuration: rows.into_iter().map(entry).collect(),
            methods: methods(settings, &context.env, used, attempts).into_iter().collect(),
            attempts: attempts.iter().map(|attempt| AttemptEntry { method: attempt.method.name, error: attempt.reason.clone() }).collect(),
            shadowed: settings
                .shadowed()
                .iter()
                .map(|shadowed| ShadowedEntry {
                    attribute: shadowed.attr.name(),
                    source: shadowed.source.to_string(),
                    used: settings.get(shadowed.attr).map_or(String::new(), |winner| winner.source.to_string()),
                    differs: shadowed.differs,
                })
                .collect(),
            netrc,
        },
        token_storage: TokenPlace::of(context, settings, used).map(|place| StorageEntry {
            mode: place.mode,
            location: place.location,
            source: place.source,
            expiry: place.token.and_then(|token| token.expiry).map(|expiry| expiry.to_string()),
        }),
    }
}
