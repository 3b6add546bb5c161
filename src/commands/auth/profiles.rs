//! `auth profiles`: every profile of the file, and whether its credential works.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Result;
use clap::ArgMatches;
use jiff::Timestamp;
use serde::Serialize;

use crate::auth::{Want, chain};
use crate::commands::{Arity, Command, arguments};
use crate::config::attributes::Attr;
use crate::config::file::{Profile, ProfileFile};
use crate::config::settings::Settings;
use crate::context::{Caller, Context, OutputFormat, Workspace};
use crate::error::Failure;
use crate::host::{Cloud, Host};
use crate::storage::Choice;
use crate::text;
use crate::ui::Audience;
use crate::ui::output::Cell;
use crate::ui::progress::Progress;

pub(crate) static COMMAND: Command = Command {
    name: "profiles",
    about: "List the profiles of the profile file, and whether they work",
    details: "Each profile is tried at its workspace, many at a time and for 5 seconds at most; with --skip-validate nobody is asked. The environment plays no part.",
    examples: &["databricks auth profiles", "databricks auth profiles --skip-validate -o json | jq -r '.profiles[].name'"],
    usage: "",
    arity: Arity::Ignored,
    hidden: false,
    usage_on_error: true,
    flags: |command| command.arg(arguments::switch("skip-validate", "List only; ask no workspace")),
    run,
};

/// How many profiles are tried at the same time.
const AT_ONCE: usize = 64;
/// Rows that are written at once: few writes, little memory.
const SHOWN_AT_ONCE: usize = 512;
/// How long a profile is tried.
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<Cow<'a, str>>,
    cloud: &'static str,
    auth_type: Cow<'a, str>,
    valid: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default: bool,
    /// When the token that was tried ends, RFC 3339 in UTC; absent for those that do not, and where none was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<String>,
}

fn run(context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
    let path = context.file.path()?;
    let skips = arguments::is_on(matches, "skip-validate");
    // What is asked of a large file further down is read along with it.
    let listing = if skips && context.globals.output == OutputFormat::Text { Some(context.file.listing()?) } else { None };
    if !context.file.exists()? {
        let path = path.display();
        return Err(Failure::new(format!(
            "cannot parse config file: no configuration file found at {path}; please create one by running 'databricks configure'"
        ))
        .into());
    }
    if let Some(bad) = context.file.bad_line() {
        context.ui.warn(&format!("{bad}. This line is ignored here; other tools refuse the whole file"));
    }
    let default = context.file.default_profile()?;
    if let Some(listing) = listing {
        let row = |(name, host)| Row { name, host: Cow::Borrowed(host), valid: false };
        let rows = || listing.iter().map(row);
        return match listing.longest() {
            Some(longest) => show(context, longest.map(row).chain(rows().filter(|row| default.as_deref() == Some(row.name))), rows(), default.as_deref()),
            None => show(context, rows(), rows(), default.as_deref()),
        };
    }
    let profiles = context.file.profiles()?;
    let verdicts = if skips { None } else { Some(validate(context, &profiles)) };
    let is_valid = |index: usize| verdicts.as_ref().is_some_and(|verdicts| verdicts[index].valid);
    if context.globals.output == OutputFormat::Json {
        let listed = profiles.iter().enumerate().map(|(index, profile)| Listed {
            name: profile.name,
            host: profile.get(Attr::Host),
            account_id: profile.get(Attr::AccountId),
            workspace_id: profile.get(Attr::WorkspaceId),
            cloud: cloud(profile),
            auth_type: profile.get(Attr::AuthType).unwrap_or_else(|| verdicts.as_ref().map_or("", |verdicts| verdicts[index].auth_type).into()),
            valid: is_valid(index),
            default: default.as_deref() == Some(profile.name),
            expiry: verdicts.as_ref().and_then(|verdicts| verdicts[index].expiry).map(|expiry| expiry.to_string()),
        });
        let profiles: Vec<Listed<'_>> = listed.collect();
        context.ui.out_json_bare(&serde_json::to_string(&std::collections::BTreeMap::from([("profiles", profiles)]))?)?;
        context.ui.out("\n");
        return Ok(());
    }
    let rows = profiles.iter().enumerate().map(|(index, profile)| Row {
        name: profile.name,
        host: profile.get(Attr::Host).unwrap_or_default(),
        valid: is_valid(index),
    });
    show(context, rows.clone(), rows, default.as_deref())
}

/// One row of the table.
struct Row<'a> {
    name: &'a str,
    host: Cow<'a, str>,
    valid: bool,
}

/// Prints the table, as wide as the widest rows want it, and some rows at a time: of tens of thousands of profiles it would be the largest thing in memory.
fn show<'r>(context: &Context<'_>, widest: impl Iterator<Item = Row<'r>>, rows: impl Iterator<Item = Row<'r>>, default: Option<&str>) -> Result<()> {
    fn cells<'r>(row: &'r Row<'_>, default: Option<&str>) -> [Cell<'r>; 3] {
        let name = if default == Some(row.name) { Cell::from(format!("{} (Default)", row.name)) } else { Cell::from(row.name) };
        [name, Cell::from(&*row.host), Cell::yes_or_no(row.valid)]
    }
    let mut table = context.ui.table(&["Name", "Host", "Valid"]);
    for row in widest {
        table.expect(cells(&row, default));
    }
    for (number, row) in rows.enumerate() {
        context.ui.out_row(&mut table, cells(&row, default));
        if number % SHOWN_AT_ONCE == SHOWN_AT_ONCE - 1 && context.ui.flush()? == Audience::Gone {
            return Ok(());
        }
    }
    // The titles, where there is no row.
    context.ui.out_page(&mut table);
    Ok(())
}

/// `aws`, `azure`, `gcp`, or nothing where the host cannot be read.
fn cloud(profile: &Profile<'_>) -> &'static str {
    match profile.get(Attr::Host).and_then(|host| Host::parse(&host).ok()).map(|host| host.cloud()) {
        Some(Cloud::Aws) => "aws",
        Some(Cloud::Azure) => "azure",
        Some(Cloud::Gcp) => "gcp",
        None => "",
    }
}

/// What came of trying a profile.
#[derive(Clone, Default)]
struct Verdict {
    valid: bool,
    auth_type: &'static str,
    expiry: Option<Timestamp>,
}

/// Tries all profiles, [`AT_ONCE`] at a time; says on standard error why one does not work.
fn validate(context: &Context<'_>, profiles: &[Profile<'_>]) -> Vec<Verdict> {
    let path = context.file.path().unwrap_or(std::path::Path::new(""));
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut verdicts = vec![Verdict::default(); profiles.len()];
    let mut progress = Progress::new(context.ui);
    let caller = context.caller();
    let storage = context.storage().map_err(|error| format!("{error:#}"));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(profiles.len()) {
            let (sender, next, storage) = (sender.clone(), &next, &storage);
            scope.spawn(move || {
                while let Some((index, profile)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, profiles.get(index)?))) {
                    let outcome = attempt(profile, path, caller, storage);
                    if sender.send((index, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (done, (index, (verdict, complaint))) in receiver.iter().enumerate() {
            if let Some(complaint) = complaint {
                let said: Vec<&str> = complaint.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
                context.ui.note(&format!("{}: {}", text::one_line(profiles[index].name), said.join(" ")));
            }
            verdicts[index] = verdict;
            progress.update(|| format!("Trying profiles: {} of {} …", done + 1, profiles.len()));
        }
    });
    verdicts
}

/// Asks the workspace of one profile who its credential is.
fn attempt(profile: &Profile<'_>, path: &std::path::Path, caller: Caller<'_>, storage: &Result<Choice, String>) -> (Verdict, Option<String>) {
    let settings = Settings::of_profile(profile, path);
    let outcome = settings.check(&ProfileFile::nowhere()).and_then(|()| {
        let storage = || storage.clone().map_err(anyhow::Error::msg);
        let credential = caller.with_ports(&storage, Want::USUAL, |ports| chain::acquire(&settings, ports))?;
        let (auth_type, expiry) = (credential.method, credential.expiry());
        Ok((auth_type, expiry, Workspace::connect(settings, credential, caller, Some(LIMIT))?))
    });
    match outcome {
        Err(error) => (Verdict::default(), Some(format!("{error:#}"))),
        Ok((auth_type, expiry, workspace)) => match workspace.vouch() {
            Ok(_) => (Verdict { valid: true, auth_type, expiry }, None),
            Err(error) => (Verdict { valid: false, auth_type, expiry }, Some(format!("{error:#}"))),
        },
    }
}
