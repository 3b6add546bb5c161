//! `api`: any endpoint of the REST API, with the credential of the profile.

use std::borrow::Cow;

use anyhow::Result;
use clap::ArgMatches;
use serde_json::value::RawValue;

use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, Group, Node, arguments, json_input};
use crate::config::attributes::Attr;
use crate::config::settings::Source;
use crate::context::{Context, Reader, Workspace};
use crate::error::Failure;
use crate::http::{Content, Head, Part, Request, Verb};
use crate::json::Scanner;
use crate::rest::paging::{Page, Take, Want};
use crate::text;
use crate::ui::Audience;
use crate::ui::output::JsonArray;
use crate::ui::progress::{Progress, grouped};

pub(crate) static GROUP: Group = Group {
    name: "api",
    about: "Call any endpoint of the REST API",
    commands: &[Node::Command(&DELETE), Node::Command(&GET), Node::Command(&HEAD), Node::Command(&PATCH), Node::Command(&POST), Node::Command(&PUT)],
};

static DELETE: Command = command("delete", "Send a DELETE request", &["databricks api delete /api/2.0/preview/scim/v2/Groups/123"], |context, matches| {
    run(context, matches, Verb::Delete)
});
static GET: Command = command(
    "get",
    "Send a GET request; with --json its fields become the query",
    &[
        "databricks api get /api/2.0/token/list",
        "databricks api get /api/2.1/clusters/list --json '{\"page_size\": 100}' --paginate",
        "databricks api get /api/2.0/fs/files/Volumes/main/default/files/data.bin > data.bin",
    ],
    |context, matches| run(context, matches, Verb::Get),
);
static HEAD: Command =
    command("head", "Send a HEAD request", &["databricks api head /api/2.0/fs/files/Volumes/main/default/files/data.bin -i"], |context, matches| {
        run(context, matches, Verb::Head)
    });
static PATCH: Command = command(
    "patch",
    "Send a PATCH request",
    &["databricks api patch /api/2.0/token/TOKEN_ID --json '{\"token\": {\"comment\": \"new\"}, \"update_mask\": \"comment\"}'"],
    |context, matches| run(context, matches, Verb::Patch),
);
static POST: Command =
    command("post", "Send a POST request", &["databricks api post /api/2.0/token/create --json '{\"comment\": \"by hand\"}'"], |context, matches| {
        run(context, matches, Verb::Post)
    });
static PUT: Command =
    command("put", "Send a PUT request", &["databricks api put /api/2.0/permissions/authorization/tokens --json @permissions.json"], |context, matches| {
        run(context, matches, Verb::Put)
    });

const fn command(name: &'static str, about: &'static str, examples: &'static [&'static str], run: fn(&Context<'_>, &ArgMatches) -> Result<()>) -> Command {
    Command {
        name,
        about,
        details: "PATH starts with a slash. JSON comes back sorted, its numbers to the last digit; anything else goes to a file or pipe as it is. An error of the server is told in \
                  its own words. The workspace that a request names is that of --workspace-id, else of ?o= or ?w= in PATH, else of the profile; a PATH below /accounts/ID names none.",
        examples,
        usage: "PATH",
        arity: Arity::Exactly(1),
        hidden: false,
        usage_on_error: true,
        flags: |command| {
            command
                .arg(arguments::value("json", "json", "The request body, or the query of get, head and delete: JSON, @file, or - for standard input"))
                .arg(arguments::switch("account", "Address the account: send no workspace id"))
                .arg(arguments::value("workspace-id", "id", "Address this workspace"))
                .arg(arguments::switch("paginate", "Follow the pages of a list and print all items as one array"))
                .arg(arguments::switch("include", "Print the status and the headers of the reply first").short('i'))
        },
        run,
    }
}

fn run(context: &Context<'_>, matches: &ArgMatches, verb: Verb) -> Result<()> {
    let path = arguments::positionals(matches).first().copied().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(Failure::new(format!("{} is no path of the API: it must start with a slash", text::quoted(path)))
            .hint("Give what follows the host, such as: databricks api get /api/2.0/token/list")
            .into());
    }
    // The reader of addresses would drop or turn these without a word, and ask for something else than was typed.
    if path.contains(char::is_control) {
        return Err(Failure::new(format!("{} is no path of the API: it holds control characters", text::quoted(path))).into());
    }
    if let Some((odd, written)) = [('#', "%23"), ('\\', "%5C")].into_iter().find(|(odd, _)| path.contains(*odd)) {
        return Err(Failure::new(format!("{} is no path of the API: it holds {odd}", text::quoted(path)))
            .hint(format!("Where it is a part of a name, write it as {written}"))
            .into());
    }
    let paginate = arguments::is_on(matches, "paginate");
    let include = arguments::is_on(matches, "include");
    if paginate && (verb != Verb::Get || include) {
        let with = if include { "--paginate and --include are mutually exclusive" } else { "--paginate goes with get" };
        return Err(context.usage_error(UsageError::new(with)));
    }
    let addressed = Addressed::of(context, matches, path)?;
    let request = request(context, matches, verb, path)?;
    let mut settings = context.settings()?;
    match addressed {
        Addressed::Workspace(id, source) => settings.replace(Attr::WorkspaceId, Some((id, source))),
        Addressed::Account => settings.replace(Attr::WorkspaceId, None),
        Addressed::AsConfigured => {}
    }
    let workspace = context.workspace_of(settings)?;
    if paginate { all_pages(context, &workspace, &request) } else { one_reply(context, &workspace, &request, include) }
}

/// The request with its body or query.
fn request<'a>(context: &Context<'_>, matches: &ArgMatches, verb: Verb, path: &'a str) -> Result<Request<'a>> {
    let mut request = Request::new(verb, path);
    let Some(argument) = arguments::text(matches, "json") else { return Ok(request) };
    let (text, origin) = json_input::read(argument)
        .map_err(|reason| context.usage_error(UsageError::new(invalid_argument(&text::shortened(argument, 80), "--json", &reason))))?;
    let json = json_input::any(&text, &origin).map_err(Failure::new)?.get();
    // Compat: delete too, as the SDKs document it.
    if matches!(verb, Verb::Get | Verb::Head | Verb::Delete) {
        if !json.starts_with('{') {
            let verb = verb.as_str().to_ascii_lowercase();
            return Err(Failure::new(format!("the --json of {verb} becomes the query: it must be an object, such as '{{\"page_size\": 100}}'")).into());
        }
        let mut query = Vec::new();
        add_to_query("", json, &mut query)?;
        request.query = query;
    } else if json.starts_with('"') {
        // Compat: a string is sent as its text.
        request = request.json(serde_json::from_str::<String>(json)?);
    } else {
        request = request.json(json);
    }
    Ok(request)
}

/// Nested objects get dotted names and lists become repeated names, as the service reads them.
fn add_to_query<'q>(prefix: &str, object: &str, query: &mut Vec<(Cow<'q, str>, Cow<'q, str>)>) -> Result<()> {
    let fields: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(object)?;
    for (name, value) in fields {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let mut add = |raw: &str| -> Result<()> {
            match raw.as_bytes().first() {
                Some(b'n') => {}
                Some(b'{') => add_to_query(&name, raw, query)?,
                Some(b'"') => query.push((name.clone().into(), serde_json::from_str::<String>(raw)?.into())),
                _ => query.push((name.clone().into(), raw.to_owned().into())),
            }
            Ok(())
        };
        if value.get().starts_with('[') {
            serde_json::from_str::<Vec<&RawValue>>(value.get())?.iter().try_for_each(|item| add(item.get()))?;
        } else {
            add(value.get())?;
        }
    }
    Ok(())
}

/// Which workspace a request names.
enum Addressed<'a> {
    Workspace(&'a str, Source),
    /// None.
    Account,
    AsConfigured,
}

impl<'a> Addressed<'a> {
    /// The flags decide, then the query of the path; paths of the account name none, all others that of the settings.
    fn of(context: &Context<'_>, matches: &'a ArgMatches, path: &'a str) -> Result<Self> {
        let account = arguments::is_on(matches, "account");
        match arguments::text(matches, "workspace-id") {
            Some(_) if account => Err(context.usage_error(UsageError::new("--account and --workspace-id are mutually exclusive"))),
            Some(id) if id.trim().is_empty() => {
                Err(Failure::new("--workspace-id requires a value; use --account to scope this call to the account API").into())
            }
            Some(id) => Ok(Self::Workspace(id, Source::Flag("--workspace-id"))),
            None if account => Ok(Self::Account),
            None => Ok(match query_value(path, "o").or_else(|| query_value(path, "w")) {
                Some(id) => Self::Workspace(id, Source::Derived),
                None if is_of_account(path) => Self::Account,
                None => Self::AsConfigured,
            }),
        }
    }
}

fn query_value<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    let query = path.split_once('?')?.1;
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value)
}

/// Paths with `accounts/<id>` address the account, but for those few that a workspace serves under such a name.
fn is_of_account(path: &str) -> bool {
    const OF_WORKSPACE: [&str; 3] = [
        "/api/2.0/accounts/servicePrincipals/",
        "/api/2.0/preview/accounts/access-control/assignable-roles",
        "/api/2.0/preview/accounts/access-control/rule-sets",
    ];
    let path = path.split('?').next().unwrap_or_default();
    let names_account = path.split('/').collect::<Vec<_>>().windows(2).any(|pair| pair[0] == "accounts" && !pair[1].is_empty());
    names_account && !OF_WORKSPACE.iter().any(|own| path.starts_with(own))
}

fn one_reply(context: &Context<'_>, workspace: &Workspace, request: &Request<'_>, include: bool) -> Result<()> {
    let mut outlet = Outlet::new(context, include);
    let outcome = workspace.download(&mut |part| outlet.take(part), request);
    let response = match outlet.close()? {
        Audience::Gone => return Ok(()),
        Audience::Listening => outcome?,
    };
    let content = response.head().content();
    if response.body.trim_ascii().is_empty() {
        // Compat: an empty body is null. An empty file is an empty file, and below the headers nothing needs to stand.
        let is_file = request.verb == Verb::Get && content == Content::Other;
        if !include && !is_file && outlet.poured == 0 {
            context.ui.out("null\n");
        }
        return Ok(());
    }
    if response.text().is_ok_and(|text| !text.trim().is_empty() && context.ui.out_json(text).is_ok()) {
        return Ok(());
    }
    match response.parse(serde_json::from_slice::<&RawValue>) {
        Ok(json) => context.ui.out_json(json.get()),
        Err(failure) if content == Content::Json => Err(failure.into()),
        Err(_) => {
            let _stopped = outlet.take(Part::Body(&response.body));
            outlet.close().map(|_| ())
        }
    }
}

/// Where a reply goes that is no JSON: a file or pipe gets its bytes, a terminal its text made safe.
struct Outlet<'c> {
    context: &'c Context<'c>,
    /// Only where stdout is no terminal.
    progress: Option<Progress<'c>>,
    on_terminal: bool,
    /// Whether status and headers are printed.
    include: bool,
    /// How many bytes are to come, where the reply says it.
    expected: Option<u64>,
    poured: u64,
    /// The bytes of a character, or of a line end, that the next piece completes.
    carried: Vec<u8>,
    /// Why nothing more can be written: our trouble, not the server's.
    failure: Option<anyhow::Error>,
    audience: Audience,
}

impl<'c> Outlet<'c> {
    fn new(context: &'c Context<'c>, include: bool) -> Self {
        let on_terminal = context.ui.shows_on_terminal();
        let progress = (!on_terminal).then(|| Progress::new(context.ui));
        Self { context, progress, on_terminal, include, expected: None, poured: 0, carried: Vec::new(), failure: None, audience: Audience::Listening }
    }

    /// Takes a part of the reply. An error stops the reply; [`Outlet::close`] tells which.
    fn take(&mut self, part: Part<'_>) -> Result<()> {
        let written = match part {
            Part::Head(head) => {
                self.head(head);
                Ok(Audience::Listening)
            }
            Part::Body(piece) => self.piece(piece),
        };
        match written {
            Ok(Audience::Listening) => Ok(()),
            Ok(Audience::Gone) => {
                self.audience = Audience::Gone;
                Err(Failure::new("nobody reads the output any more").into())
            }
            Err(error) => {
                self.failure = Some(error);
                Err(Failure::new("the output cannot be written").into())
            }
        }
    }

    fn head(&mut self, head: Head<'_>) {
        self.expected = head.length();
        if self.include {
            let ui = self.context.ui;
            ui.out_line(&format!("HTTP/1.1 {}", head.status_line()));
            for (name, value) in head.headers() {
                ui.out_line(&format!("{name}: {value}"));
            }
            ui.out("\n");
        }
    }

    fn piece(&mut self, piece: &[u8]) -> Result<Audience> {
        let ui = self.context.ui;
        self.poured += piece.len() as u64;
        if !self.on_terminal {
            let (poured, expected) = (self.poured, self.expected);
            if let Some(progress) = &mut self.progress {
                progress.update(|| match expected {
                    Some(expected) => format!("Received {} of {} kB …", kilobytes(poured), kilobytes(expected)),
                    None => format!("Received {} kB …", kilobytes(poured)),
                });
            }
            return ui.pour(piece);
        }
        self.carried.extend_from_slice(piece);
        let complete = match std::str::from_utf8(&self.carried) {
            Ok(_) => self.carried.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(not_text()),
        };
        let complete = complete - usize::from(self.carried[..complete].ends_with(b"\r"));
        let text = String::from_utf8(self.carried.drain(..complete).collect())?;
        if text.contains('\0') {
            return Err(not_text());
        }
        ui.out(&text::lines(&text.replace("\r\n", "\n")));
        ui.flush()
    }

    /// Ends the progress line. Whether somebody still reads, or why nothing more could be written.
    fn close(&mut self) -> Result<Audience> {
        self.progress = None;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if !self.carried.is_empty() && self.audience == Audience::Listening {
            let rest = String::from_utf8(std::mem::take(&mut self.carried)).map_err(|_| not_text())?;
            self.context.ui.out(&text::lines(&rest));
        }
        Ok(self.audience)
    }
}

fn not_text() -> anyhow::Error {
    Failure::new("the reply is not text and would garble the terminal").hint("Send it to a file: add > FILE").into()
}

fn kilobytes(bytes: u64) -> String {
    grouped(usize::try_from(bytes / 1000).unwrap_or(usize::MAX))
}

/// All items of all pages as one array, written page by page.
fn all_pages(context: &Context<'_>, workspace: &Workspace, request: &Request<'_>) -> Result<()> {
    let (array, progress) = (context.ui.json_array(), Progress::new(context.ui));
    let mut pages = Pages { context, place: request.place(), array, count: 0, next: None, progress };
    let outcome = workspace.pages_of_any(request, &mut pages);
    let Pages { array, count, next, progress, .. } = pages;
    drop(progress);
    if let Err(error) = outcome {
        let Some((name, value)) = next.filter(|_| count > 0) else { return Err(error) };
        // What came is kept; the array stays open, so that nobody takes a part for the whole.
        context.ui.out("\n");
        return Err(error.context(format!("the list broke off after {count} items, before {name}={}", text::one_line(&text::shortened(&value, 200)))));
    }
    context.ui.out(array.end());
    Ok(())
}

/// Pages whose items are printed while they are read.
struct Pages<'c> {
    context: &'c Context<'c>,
    /// Of the request.
    place: String,
    array: JsonArray,
    /// The items of the pages so far.
    count: usize,
    next: Option<(&'static str, String)>,
    progress: Progress<'c>,
}

impl Take for Pages<'_> {
    fn take(&mut self, item: &mut Scanner<'_>) -> Option<()> {
        self.context.ui.out_next_item(&mut self.array, item)
    }

    fn give_back(&mut self) {
        self.context.ui.take_back(&mut self.array, self.count > 0);
    }
}

impl Reader for Pages<'_> {
    fn wants(&mut self) -> Want<'_> {
        Want::Handed(self)
    }

    fn page(&mut self, page: &Page<'_>) -> Result<bool> {
        if page.list.is_none() && page.other && self.next.is_none() {
            return Err(Failure::new(format!("the reply to {} holds no list", self.place)).hint("Leave out --paginate").into());
        }
        for item in &page.items {
            self.context.ui.out_item(&mut self.array, item.raw)?;
        }
        self.count += page.count;
        self.next = page.next_query();
        let count = self.count;
        self.progress.update(|| format!("Received {} items …", grouped(count)));
        Ok(self.context.ui.flush()? == Audience::Listening)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_paths_are_told_from_workspace_paths() {
        for (path, account) in [
            ("/api/2.0/accounts/abc/workspaces", true),
            ("/api/2.0/accounts/servicePrincipals/1/credentials/secrets", false),
            ("/api/2.0/preview/accounts/access-control/rule-sets?name=x", false),
            ("/api/2.0/token/list", false),
            ("/api/2.0/accounts/", false),
        ] {
            assert_eq!(is_of_account(path), account, "{path}");
        }
    }

    #[test]
    fn objects_become_queries() {
        let mut query = Vec::new();
        add_to_query("", r#"{"a": 9007199254740993, "b": ["x", "y"], "c": {"d": true, "e": null}, "f": "ü &"}"#, &mut query).expect("a query");
        let shown: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(shown, ["a=9007199254740993", "b=x", "b=y", "c.d=true", "f=ü &"]);
    }
}
