//! `api`: any endpoint of the REST API, with the credential of the profile.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};
use clap::ArgMatches;
use serde_json::value::RawValue;

use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, Command, Group, Node, arguments, json_input};
use crate::config::attributes::Attr;
use crate::config::settings::{Settings, Source};
use crate::context::{Context, Workspace};
use crate::error::Failure;
use crate::http::{Request, Verb};
use crate::text;
use crate::ui::Audience;
use crate::ui::progress::Progress;

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
                  its own words.",
        examples,
        usage: "PATH",
        arity: Arity::Exactly(1),
        hidden: false,
        usage_on_error: true,
        flags: |command| {
            command
                .arg(arguments::value("json", "json", "The request body, or the query of a GET: JSON, @file, or - for standard input"))
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
    let request = request(context, matches, verb, path)?;
    let paginate = arguments::is_on(matches, "paginate");
    if paginate && verb != Verb::Get {
        return Err(context.usage_error(UsageError::new("--paginate goes with get")));
    }
    let mut settings = context.settings()?;
    address(context, matches, path, &mut settings)?;
    let workspace = context.workspace_of(settings)?;
    if paginate { all_pages(context, &workspace, &request) } else { one_reply(context, &workspace, &request, arguments::is_on(matches, "include")) }
}

/// The request with its body or query.
fn request<'a>(context: &Context<'_>, matches: &ArgMatches, verb: Verb, path: &'a str) -> Result<Request<'a>> {
    let mut request = Request::new(verb, path);
    let Some(argument) = arguments::text(matches, "json") else { return Ok(request) };
    let (text, origin) = json_input::read(argument)
        .map_err(|reason| context.usage_error(UsageError::new(invalid_argument(&text::shortened(argument, 80), "--json", &reason))))?;
    let json = json_input::any(&text, &origin).map_err(Failure::new)?.get();
    if matches!(verb, Verb::Get | Verb::Head) {
        if !json.starts_with('{') {
            return Err(Failure::new("the --json of a get is its query: it must be an object, such as '{\"page_size\": 100}'").into());
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

/// Decides which workspace the request names: the flag, the path's query, none for paths of the account, else that of the settings.
fn address(context: &Context<'_>, matches: &ArgMatches, path: &str, settings: &mut Settings) -> Result<()> {
    let account = arguments::is_on(matches, "account");
    let given = arguments::text(matches, "workspace-id");
    match given {
        Some(_) if account => return Err(context.usage_error(UsageError::new("--account and --workspace-id are mutually exclusive"))),
        Some(id) if id.trim().is_empty() => {
            return Err(Failure::new("--workspace-id requires a value; use --account to scope this call to the account API").into());
        }
        Some(id) => settings.replace(Attr::WorkspaceId, Some((id, Source::Flag("--workspace-id")))),
        None if account => settings.replace(Attr::WorkspaceId, None),
        None => {
            if let Some(id) = query_value(path, "o").or_else(|| query_value(path, "w")) {
                settings.replace(Attr::WorkspaceId, Some((id, Source::Derived)));
            } else if is_of_account(path) {
                settings.replace(Attr::WorkspaceId, None);
            }
        }
    }
    Ok(())
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
    // A large body that is no JSON goes on as it comes, past the buffer of standard output.
    let mut progress = Progress::new(context.ui);
    let mut poured = 0;
    let mut sink = |piece: &[u8]| {
        if poured == 0 && std::io::stdout().is_terminal() && piece.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
            return Err(Failure::new("the reply is not text: send it to a file with > FILE").into());
        }
        std::io::stdout().write_all(piece)?;
        poured += piece.len();
        progress.update(|| format!("Received {} kB …", poured / 1024));
        Ok(())
    };
    let response = if include { workspace.send_bare(request)? } else { workspace.download(&mut sink, request)? };
    drop(progress);
    if include {
        context.ui.out_line(&format!("HTTP/1.1 {}", response.status));
        for (name, value) in response.headers() {
            context.ui.out_line(&format!("{name}: {value}"));
        }
        context.ui.out("\n");
    }
    if poured > 0 {
        return Ok(());
    }
    let body = response.text()?;
    match body.trim() {
        "" => context.ui.out("null\n"),
        json if serde_json::from_str::<&RawValue>(json).is_ok() => context.ui.out_json(json)?,
        other => context.ui.out(&format!("{}\n", text::lines(other))),
    }
    Ok(())
}

/// All items of all pages as one array, written page by page.
fn all_pages(context: &Context<'_>, workspace: &Workspace, request: &Request<'_>) -> Result<()> {
    let mut array = context.ui.json_array();
    let mut count = 0;
    let mut progress = Progress::new(context.ui);
    let outcome = workspace.pages(request, None, |page| {
        for item in &page.items {
            context.ui.out(&array.item(item.get())?);
        }
        count += page.items.len();
        progress.update(|| format!("Received {count} items …"));
        Ok(context.ui.flush()? == Audience::Listening)
    });
    drop(progress);
    if count > 0 {
        // What came is kept; the array stays open, so that nobody takes a part for the whole.
        outcome.with_context(|| format!("the list broke off after {count} items"))?;
    } else {
        outcome?;
    }
    context.ui.out(array.end());
    Ok(())
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
