//! Runs a call of the REST API from its table entry: flags and `--json` in, request out, reply shown.

use std::borrow::Cow;

use anyhow::Result;
use clap::ArgMatches;
use jiff::SignedDuration;

use crate::clock;
use crate::commands::seen::{self, Sighting};
use crate::commands::usage::{UsageError, invalid_argument};
use crate::commands::{Arity, arguments, course, help, json_input};
use crate::config::attributes::Attr;
use crate::context::{Context, OutputFormat, Reach, Workspace};
use crate::duration;
use crate::error::Failure;
use crate::http::{NetworkError, NetworkErrorKind, Repeat, Request, Response, Verb};
use crate::rest::paging::{Listed, Page};
use crate::rest::{Cell, Endpoint, Field, Filter, GROUPS, Input, Item, List, Picker, Place, Reply, Shape, path_segment, text_of};
use crate::text;
use crate::ui::Audience;
use crate::ui::output::{Cell as ShownCell, Tint};
use crate::ui::progress::Progress;
use crate::ui::prompt::Choice;

/// A field and the JSON of its value.
pub(crate) type Given<'e> = (&'e Field, Cow<'e, str>);

/// The positional arguments as the usage line shows them.
pub(crate) fn usage(endpoint: &Endpoint) -> String {
    endpoint.fields.iter().filter_map(Field::argument_name).collect::<Vec<_>>().join(" ")
}

/// How many positional arguments the call takes.
pub(crate) fn arity(endpoint: &Endpoint) -> Arity {
    let single = endpoint.fields.iter().filter(|field| matches!(field.input, Input::Argument(_) | Input::Required(_))).count();
    match () {
        () if endpoint.fields.iter().any(|field| matches!(field.input, Input::Arguments | Input::Each(_))) => Arity::Any,
        // Compat: `tokens list x` and its like ignore the x.
        () if single == 0 && matches!(endpoint.reply, Reply::List(_)) => Arity::Ignored,
        () if single == 0 => Arity::Exactly(0),
        () => Arity::AtMost(single),
    }
}

/// The flags that follow from the fields.
pub(crate) fn flags(mut command: clap::Command, endpoint: &'static Endpoint) -> clap::Command {
    for field in endpoint.fields {
        let Some(name) = field.flag_name() else { continue };
        let name: &'static str = name.leak();
        command = command.arg(match field.shape {
            Shape::Boolean => arguments::switch(name, field.about),
            Shape::Integer | Shape::Seconds { .. } => arguments::value(name, "number", field.about),
            Shape::Texts => arguments::value(name, "list", field.about),
            Shape::Span => arguments::value(name, "duration", field.about),
            Shape::Time => arguments::value(name, "time", field.about),
            _ => arguments::value(name, "text", field.about),
        });
        if let Shape::Seconds { human } = field.shape {
            command =
                command.arg(arguments::value(human, "duration", &format!("The same in days, hours, minutes or seconds: 90d, 12h, 30m (instead of --{name})")));
        }
    }
    if endpoint.json {
        command = command.arg(arguments::value("json", "json", "The whole request body: JSON, @file, or - for standard input; wins over flags"));
        if endpoint.mints {
            command = command.arg(arguments::switch("lenient", "Send the request even if fields of --json must be left out of it"));
        }
    }
    if let Reply::List(list) = &endpoint.reply {
        command = command.arg(arguments::value("limit", "number", "Show at most this many; 0 for all"));
        for filter in list.filters {
            command = command.arg(arguments::value(filter.flag, "duration", filter.about));
        }
    }
    if matches!(endpoint.reply, Reply::Course(_)) {
        command = course::flags(command);
    }
    if each_picker(endpoint).is_some() {
        command = command.arg(arguments::switch("dry-run", "Only say what would be done"));
    }
    command
}

/// The field that several arguments may be given for.
fn each_picker(endpoint: &'static Endpoint) -> Option<(&'static Field, &'static Picker)> {
    endpoint.fields.iter().find_map(|field| match &field.input {
        Input::Each(picker) => Some((field, picker)),
        _ => None,
    })
}

/// Does the call.
pub(crate) fn run(context: &Context<'_>, endpoint: &'static Endpoint, matches: &ArgMatches) -> Result<()> {
    let mut given = from_flags(context, endpoint, matches)?;
    if let Some(argument) = arguments::text(matches, "json") {
        given.extend(from_json(context, endpoint, matches, argument)?);
    }
    let limit = limit(context, matches)?;
    let kept = kept(context, endpoint, matches)?;
    let patience = course::patience(context, matches)?;
    let of_account = endpoint.fields.iter().any(|field| matches!(field.input, Input::Setting(Attr::AccountId)));
    let workspace = if of_account { context.account()? } else { context.workspace()? };
    let needs_json = || Failure::new("please provide command input in JSON format by specifying the --json flag").hint(takes(endpoint));
    let lacks_body = needs_body(endpoint, &given);
    if lacks_body && arguments::text(matches, "json").is_none() {
        return Err(needs_json().into());
    }
    from_arguments(context, endpoint, matches, &workspace, &mut given)?;
    if lacks_body {
        return Err(needs_json().into());
    }
    if let Some((field, picker)) = each_picker(endpoint) {
        return for_each(context, endpoint, matches, &workspace, &given, field, picker);
    }
    let is_given = |given: &[Given<'_>], field: &Field| given.iter().any(|(present, _)| present.name == field.name);
    for field in endpoint.fields {
        if let Some(default) = field.default.filter(|_| !is_given(&given, field)) {
            given.push((field, Cow::Owned(quoted(&default()))));
        }
    }
    let request = request(endpoint, &given);
    match &endpoint.reply {
        Reply::Empty => workspace.send(&request).map(drop)?,
        Reply::Object => {
            let response = workspace.send(&request).map_err(|error| say_how_to_check(context, endpoint, error))?;
            context.ui.out_json(response.text()?)?;
            if endpoint.mints {
                handed_over(context, &given, &response)?;
            }
        }
        Reply::List(list) => return show_list(context, &workspace, endpoint, &request, list, &Wanted { limit, kept }),
        Reply::Course(course) => {
            let response = workspace.send(&request).map_err(|error| say_how_to_check(context, endpoint, error))?;
            let outcome = if arguments::is_on(matches, "no-wait") { Some(response) } else { course::wait(context, &workspace, *course, response, patience)? };
            if let Some(outcome) = outcome {
                context.ui.out_json(outcome.text()?)?;
            }
        }
    }
    let _shown = context.ui.flush()?;
    seen::learn(&context.env, &workspace.credential.host, endpoint, &given);
    Ok(())
}

/// A new credential that nobody could read is no success: its owner is told what to revoke.
fn handed_over(context: &Context<'_>, given: &[Given<'_>], reply: &Response) -> Result<()> {
    let why = match context.ui.flush() {
        Ok(Audience::Listening) => return Ok(()),
        Ok(Audience::Gone) => "nobody reads standard output".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    let failure = Failure::new(format!("a credential was created, but could not be handed over: {why}"));
    let info: Option<Item<'_>> = reply.parse(serde_json::from_slice::<Item<'_>>).ok();
    let group = context.command.rsplit_once(' ').map_or(context.command.as_str(), |(group, _)| group);
    let revoking = info.and_then(|reply| match reply.get("token_info") {
        Some(info) => Some(text_of(&serde_json::from_str::<Item<'_>>(info).ok()?, "token_id").into_owned()),
        // The secret of a service principal.
        None if reply.get("secret").is_some() => {
            let (_, principal) = given.iter().rfind(|(field, _)| field.place == Place::Path && matches!(field.input, Input::Required(_)))?;
            Some(format!("{} {}", plain(principal), text_of(&reply, "id")))
        }
        None => None,
    });
    Err(match revoking.filter(|words| !words.is_empty()) {
        Some(words) => failure.hint(format!("Revoke it: databricks {group} delete {}", text::one_line(&words))),
        None => failure.hint("It expires by itself; ask for another one"),
    }
    .into())
}

/// Makes the call once for each argument. Several are confirmed on a terminal; one that fails does not keep the others from being tried.
fn for_each(
    context: &Context<'_>,
    endpoint: &'static Endpoint,
    matches: &ArgMatches,
    workspace: &Workspace,
    given: &[Given<'static>],
    field: &'static Field,
    picker: &'static Picker,
) -> Result<()> {
    let mut ids: Vec<String> = Vec::new();
    // The value that --json gave, or else the arguments; one that is named twice is meant once.
    let in_json = given.iter().rfind(|(present, _)| present.name == field.name).map(|(_, value)| plain(value));
    for id in in_json.into_iter().chain(arguments::positionals(matches).into_iter().map(ToOwned::to_owned)) {
        if !id.is_empty() && !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.is_empty() {
        ids.push(pick(context, workspace, picker)?);
    }
    let place = &workspace.credential.host;
    if arguments::is_on(matches, "dry-run") {
        for id in &ids {
            context.ui.note(&format!("Would {} {} at {place}", endpoint.name, text::one_line(id)));
        }
        return Ok(());
    }
    if ids.len() > 1 && context.ui.can_prompt() {
        for id in &ids {
            context.ui.note(&format!("  {}", text::one_line(id)));
        }
        if !context.ui.prompter().confirm(&format!("{} these {} at {place}?", capitalised(endpoint.name), ids.len()))? {
            context.ui.note("Nothing was done.");
            return Ok(());
        }
    }
    let mut failed: Vec<(String, anyhow::Error)> = Vec::new();
    let mut tried = 0;
    for id in &ids {
        let mut given: Vec<Given<'_>> = given.to_vec();
        given.push((field, Cow::Owned(quoted(id))));
        tried += 1;
        match workspace.send(&request(endpoint, &given)) {
            Ok(_) => seen::learn(&context.env, place, endpoint, &given),
            Err(error) => {
                // Where the service is not reached, the next call would only wait for the same.
                let unreachable = error.downcast_ref::<NetworkError>().is_some();
                failed.push((text::one_line(id).into_owned(), error));
                if unreachable {
                    break;
                }
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    if ids.len() == 1 {
        return failed.pop().map_or(Ok(()), |(_, error)| Err(error));
    }
    let untried = &ids[tried..];
    let mut message = match (untried.len(), ids.len() - failed.len() - untried.len()) {
        (_, 0) => format!("none of {} could be done:", ids.len()),
        (0, _) => format!("{} of {} failed, the others are done:", failed.len(), ids.len()),
        (more, done) => format!("{} of {} failed, {more} were not tried, {done} are done:", failed.len(), ids.len()),
    };
    for (id, error) in &failed {
        message += &format!("\n{id}: {}", format!("{error:#}").lines().next().unwrap_or_default());
    }
    for id in untried {
        message += &format!("\n{}: not tried", text::one_line(id));
    }
    Err(Failure::new(message).into())
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + characters.as_str())
}

/// The filters that were given, with their spans.
fn kept(context: &Context<'_>, endpoint: &'static Endpoint, matches: &ArgMatches) -> Result<Vec<(&'static Filter, SignedDuration)>> {
    let Reply::List(list) = &endpoint.reply else { return Ok(Vec::new()) };
    let mut kept = Vec::new();
    for filter in list.filters {
        if let Some(text) = arguments::text(matches, filter.flag) {
            let seconds = duration::seconds(text)
                .map_err(|reason| context.usage_error(UsageError::new(invalid_argument(text, &format!("--{}", filter.flag), &reason))))?;
            kept.push((filter, SignedDuration::from_secs(seconds)));
        }
    }
    Ok(kept)
}

/// Where the reply of a call that makes something was lost, and the API has a list of what there is, its hint becomes the command to look with.
fn say_how_to_check(context: &Context<'_>, endpoint: &Endpoint, error: anyhow::Error) -> anyhow::Error {
    let lost = error.downcast_ref::<NetworkError>().is_some_and(|error| error.kind() == NetworkErrorKind::LostReply);
    let word = context.command.split(' ').next().unwrap_or_default();
    let group = GROUPS.iter().find(|group| group.name == word);
    match group.and_then(|group| group.endpoints.iter().find(|sibling| matches!(sibling.reply, Reply::List(_)))) {
        Some(list) if lost && endpoint.mints => {
            let hint = format!("See what exists now before you repeat it, so that nothing is created twice: databricks {word} {}", list.name);
            Failure::new(format!("{error:#}")).hint(hint).into()
        }
        _ => error,
    }
}

/// Whether the call makes no sense without a body that only `--json` can give: an empty change, or an empty state that would replace what is there.
fn needs_body(endpoint: &Endpoint, given: &[Given<'_>]) -> bool {
    endpoint.json && matches!(endpoint.verb, Verb::Patch | Verb::Put) && !given.iter().any(|(field, _)| field.place == Place::Body)
}

fn from_flags(context: &Context<'_>, endpoint: &'static Endpoint, matches: &ArgMatches) -> Result<Vec<Given<'static>>> {
    let mut given = Vec::new();
    for field in endpoint.fields {
        let Some(name) = field.flag_name() else { continue };
        let refuse = |value: &str, flag: &str, reason: &str| context.usage_error(UsageError::new(invalid_argument(value, &format!("--{flag}"), reason)));
        let value = match field.shape {
            // Compat: a flag that is false or empty is not sent.
            Shape::Boolean if arguments::is_on(matches, &name) => Some(Cow::Borrowed("true")),
            // What is changed may be turned off.
            Shape::Boolean => (endpoint.verb == Verb::Patch && arguments::is_given(matches, &name)).then_some(Cow::Borrowed("false")),
            Shape::Integer => integer(arguments::text(matches, &name)).map_err(|(value, reason)| refuse(&value, &name, &reason))?,
            Shape::Seconds { human } => {
                let seconds = integer(arguments::text(matches, &name)).map_err(|(value, reason)| refuse(&value, &name, &reason))?;
                match (arguments::text(matches, human), &seconds) {
                    (Some(text), None) => Some(Cow::Owned(duration::seconds(text).map_err(|reason| refuse(text, human, &reason))?.to_string())),
                    (Some(_), Some(_)) => return Err(context.usage_error(UsageError::new(format!("give --{name} or --{human}, not both")))),
                    (None, _) => seconds,
                }
            }
            Shape::Span => match arguments::text(matches, &name).filter(|text| !text.is_empty()) {
                Some(text) => Some(Cow::Owned(quoted(&format!("{}s", duration::seconds(text).map_err(|reason| refuse(text, &name, &reason))?)))),
                None => None,
            },
            // Compat: the words of the official CLI.
            Shape::Time => match arguments::text(matches, &name).filter(|text| !text.is_empty()) {
                Some(text) if text.parse::<jiff::Timestamp>().is_err() => {
                    return Err(Failure::new(format!("invalid {}: {}", field.name.to_uppercase(), text::one_line(text))).into());
                }
                given => given.map(|text| Cow::Owned(quoted(text))),
            },
            Shape::Texts => {
                let texts = || arguments::text(matches, &name).unwrap_or_default().split(',').map(str::trim).filter(|text| !text.is_empty());
                texts().next().map(|_| Cow::Owned(list_of(texts())))
            }
            _ => arguments::text(matches, &name).filter(|text| !text.is_empty()).map(|text| Cow::Owned(quoted(text))),
        };
        given.extend(value.map(|value| (field, value)));
    }
    Ok(given)
}

/// A whole number; zero counts as not given.
fn integer(text: Option<&str>) -> Result<Option<Cow<'static, str>>, (String, String)> {
    let Some(text) = text else { return Ok(None) };
    match text.trim().parse::<i64>() {
        Ok(0) => Ok(None),
        Ok(number) => Ok(Some(Cow::Owned(number.to_string()))),
        // Compat: the words of Go's strconv.
        Err(_) => Err((text.to_owned(), format!("strconv.ParseInt: parsing {}: invalid syntax", text::quoted(text)))),
    }
}

/// What the body of a call may hold.
fn takes(endpoint: &Endpoint) -> String {
    let known: Vec<_> = endpoint.fields.iter().filter(|field| field.place == Place::Body).map(|field| field.name).collect();
    format!("It takes: {}", known.join(", "))
}

fn from_json(context: &Context<'_>, endpoint: &'static Endpoint, matches: &ArgMatches, argument: &str) -> Result<Vec<Given<'static>>> {
    let (text, origin) = json_input::read(argument)
        .map_err(|reason| context.usage_error(UsageError::new(invalid_argument(&text::shortened(argument, 80), "--json", &reason))))?;
    let (body, flaws) = json_input::check(&text, &origin, endpoint.fields).map_err(Failure::new)?;
    // Of a body in which nothing is left something would be created that nobody asked for, or nothing would change.
    let is_hollow = body.is_empty() && (!endpoint.repeatable || matches!(endpoint.verb, Verb::Patch | Verb::Put));
    if !flaws.is_empty() && (endpoint.mints || is_hollow) && !arguments::is_on(matches, "lenient") {
        let flaws: Vec<_> = flaws.iter().map(ToString::to_string).collect();
        let failure = Failure::new(format!("nothing was sent, because --json holds what this call does not take:\n{}", flaws.join("\n"))).hint(takes(endpoint));
        let way = "To send it without these fields, as the official CLI does, add --lenient";
        return Err(if endpoint.mints { failure.hint(way) } else { failure }.into());
    }
    for flaw in &flaws {
        context.ui.warn(&format!("{flaw}\n"));
    }
    if endpoint.fields.iter().any(|field| matches!(field.input, Input::Argument(_) | Input::Each(_) | Input::Required(_)) && field.place == Place::Body)
        && let Some(field) = endpoint.fields.iter().find(|field| matches!(field.input, Input::Argument(_) | Input::Each(_) | Input::Required(_)))
        && !arguments::positionals(matches).is_empty()
    {
        return Err(
            Failure::new(format!("when --json flag is specified, no positional arguments are allowed. Provide '{}' in your JSON input", field.name)).into()
        );
    }
    let given = body.into_iter().filter_map(|(name, value)| Some((endpoint.fields.iter().find(|field| field.name == name)?, Cow::Owned(value))));
    Ok(given.collect())
}

/// Positional arguments, or what the user picks where one is missing.
fn from_arguments(
    context: &Context<'_>,
    endpoint: &'static Endpoint,
    matches: &ArgMatches,
    workspace: &Workspace,
    given: &mut Vec<Given<'static>>,
) -> Result<()> {
    // An empty word, as of an unset variable in a script, counts as none: it would name the whole collection in a path.
    let words: Vec<&str> = arguments::positionals(matches).into_iter().filter(|word| !word.is_empty()).collect();
    let mut rest = words.iter();
    for field in endpoint.fields {
        match &field.input {
            Input::Argument(_) | Input::Required(_) if given.iter().any(|(present, _)| present.name == field.name) => {}
            Input::Argument(picker) => {
                let value = match rest.next() {
                    Some(word) => (*word).to_owned(),
                    None => pick(context, workspace, picker)?,
                };
                given.push((field, Cow::Owned(quoted(&value))));
            }
            Input::Required(label) => match rest.next() {
                Some(word) => given.push((field, Cow::Owned(quoted(word)))),
                None => return Err(Failure::new(format!("expected to have {label}")).into()),
            },
            Input::Setting(attr) => match workspace.settings.text(*attr) {
                Some(value) => given.push((field, Cow::Owned(quoted(value)))),
                None => {
                    return Err(Failure::new(format!("invalid Databricks Account configuration - host incorrect or {} missing", attr.name()))
                        .hint(format!("Add {} to the profile, or set {}", attr.name(), attr.row().env.join(" or ")))
                        .into());
                }
            },
            Input::Arguments if !words.is_empty() => {
                given.retain(|(present, _)| present.name != field.name);
                given.push((field, Cow::Owned(list_of(words.iter().copied()))));
            }
            _ => {}
        }
    }
    Ok(())
}

fn pick(context: &Context<'_>, workspace: &Workspace, picker: &Picker) -> Result<String> {
    let Reply::List(list) = &picker.from.reply else { return Err(Failure::new(format!("expected to have {}", picker.label)).into()) };
    if !context.ui.can_prompt() {
        return Err(Failure::new(format!("expected to have {}", picker.label))
            .hint(format!("To see what there is: databricks {} list", context.command.split(' ').next().unwrap_or_default()))
            .into());
    }
    let mut choices = Vec::new();
    let mut ids = Vec::new();
    let mut sighting = Sighting::of(picker.from);
    let mut progress = Progress::new(context.ui);
    workspace.pages(&list_request(picker.from), list.items, Reach::All, |page| {
        for listed in &page.items {
            let item = &object(page, listed, workspace)?;
            if let Some(sighting) = &mut sighting {
                sighting.see(item);
            }
            let (id, title) = (text_of(item, picker.id).into_owned(), text_of(item, picker.title).into_owned());
            choices.push(Choice::new(if title.is_empty() { id.clone() } else { title }).detail(id.clone()));
            ids.push(id);
        }
        progress.update(|| format!("Loading: {} …", ids.len()));
        Ok(true)
    })?;
    drop(progress);
    if let Some(sighting) = sighting {
        sighting.keep(&context.env, &workspace.credential.host, true);
    }
    let chosen = context.ui.prompter().choose(picker.label, &choices, true)?;
    Ok(ids.swap_remove(chosen))
}

/// The request for a list without filters, in the largest pages.
pub(crate) fn list_request(endpoint: &'static Endpoint) -> Request<'static> {
    let mut request = Request::get(endpoint.path);
    if let Reply::List(List { page_size: Some(size), .. }) = endpoint.reply {
        request.query.push(("page_size".into(), size.to_string().into()));
    }
    request
}

fn request(endpoint: &'static Endpoint, given: &[Given<'_>]) -> Request<'static> {
    // The last of several wins: JSON over flags.
    let value_of = |field: &Field| given.iter().rfind(|(present, _)| present.name == field.name).map(|(_, value)| value.as_ref());
    let mut path = endpoint.path.to_owned();
    let mut query = Vec::new();
    let mut body = Vec::new();
    for field in endpoint.fields {
        let Some(value) = value_of(field) else { continue };
        match field.place {
            Place::Path => path = path.replace(&format!("{{{}}}", field.name), &path_segment(&plain(value))),
            Place::Resource => path = path.replace(&format!("{{{}}}", field.name), &resource_path(&plain(value))),
            Place::Query => match field.shape {
                Shape::Texts => query
                    .extend(serde_json::from_str::<Vec<String>>(value).unwrap_or_default().into_iter().map(|one| (Cow::Borrowed(field.name), Cow::Owned(one)))),
                _ => query.push((Cow::Borrowed(field.name), Cow::Owned(plain(value)))),
            },
            Place::Body => body.push(format!("{}:{value}", quoted(field.name))),
        }
    }
    if let Reply::List(List { page_size: Some(size), .. }) = endpoint.reply
        && !query.iter().any(|(key, _)| key == "page_size")
    {
        query.push(("page_size".into(), size.to_string().into()));
    }
    let mut request = Request::new(endpoint.verb, path);
    request.query = query;
    if matches!(endpoint.verb, Verb::Post | Verb::Put | Verb::Patch) {
        request = request.json(format!("{{{}}}", body.join(",")).into_bytes());
    }
    if endpoint.repeatable {
        request.repeat = Repeat::Freely;
    }
    request
}

/// Which items of a list are shown.
struct Wanted {
    limit: usize,
    kept: Vec<(&'static Filter, SignedDuration)>,
}

fn show_list(context: &Context<'_>, workspace: &Workspace, endpoint: &'static Endpoint, request: &Request<'_>, list: &List, wanted: &Wanted) -> Result<()> {
    let Wanted { limit, kept } = wanted;
    let as_json = context.globals.output == OutputFormat::Json || list.columns.is_empty();
    let titles: Vec<&str> = list.columns.iter().map(|column| column.title).collect();
    let mut table = context.ui.table(&titles);
    let mut array = context.ui.json_array();
    let now = clock::now();
    let mut shown = 0;
    let mut listed = 0;
    let mut sighting = Sighting::of(endpoint);
    let mut whole = request.query.iter().all(|(key, _)| key == "page_size");
    let reach = if *limit == usize::MAX { Reach::All } else { Reach::Part };
    let outcome = workspace.pages(request, list.items, reach, |page| {
        listed += page.items.len();
        for listed in &page.items {
            if shown == *limit {
                break;
            }
            let learns = sighting.as_ref().is_some_and(Sighting::wants_more);
            let item = if as_json && kept.is_empty() && !learns { None } else { Some(object(page, listed, workspace)?) };
            let item = item.as_ref();
            if let (Some(sighting), Some(item)) = (&mut sighting, item) {
                sighting.see(item);
            }
            if let Some(item) = item
                && !kept.iter().all(|(filter, span)| (filter.keeps)(item, *span, now))
            {
                continue;
            }
            match item.filter(|_| !as_json) {
                None => context.ui.out_item(&mut array, listed.raw)?,
                Some(item) => table.row(list.columns.iter().map(|column| match column.cell {
                    Cell::Key(key) => ShownCell::from(text_of(item, key)),
                    Cell::Id(key) => ShownCell::new(text_of(item, key), Tint::Green),
                    Cell::Made(make) => ShownCell::from(make(item, now)),
                })),
            }
            shown += 1;
        }
        if !as_json {
            context.ui.out_page(&mut table);
        }
        let goes_on = context.ui.flush()? == Audience::Listening && shown < *limit;
        whole &= goes_on;
        Ok(goes_on)
    });
    if let Err(error) = outcome {
        if as_json && shown > 0 {
            // The array stays open, so that nobody takes a part for the whole.
            context.ui.out("\n");
        }
        return Err(if listed == 0 { error } else { error.context(format!("the list broke off after {listed} items")) });
    }
    if as_json {
        context.ui.out(array.end());
    } else if shown == 0 && context.ui.talks_to_terminal() && context.ui.flush()? == Audience::Listening {
        context.ui.note(&if listed == 0 { "There are none.".to_owned() } else { format!("None of {listed} is like that.") });
    }
    let _shown = context.ui.flush()?;
    if let Some(sighting) = sighting {
        sighting.keep(&context.env, &workspace.credential.host, whole);
    }
    Ok(())
}

/// The keys of a listed item.
pub(crate) fn object<'p>(page: &'p Page<'_>, listed: &Listed<'p>, workspace: &Workspace) -> Result<Item<'p>> {
    page.item(listed).ok_or_else(|| Failure::new(format!("{} listed something that is no object", workspace.credential.host)).into())
}

fn limit(context: &Context<'_>, matches: &ArgMatches) -> Result<usize> {
    let Some(text) = arguments::text(matches, "limit") else { return Ok(usize::MAX) };
    let number = text.trim().parse::<i64>().map_err(|_| {
        let reason = format!("strconv.ParseInt: parsing {}: invalid syntax", text::quoted(text));
        context.usage_error(UsageError::new(invalid_argument(text, "--limit", &reason)))
    })?;
    match usize::try_from(number) {
        Ok(0) => Ok(usize::MAX),
        Ok(limit) => Ok(limit),
        Err(_) => Err(Failure::new(format!("--limit must be a non-negative integer, got {number}")).into()),
    }
}

impl Context<'_> {
    /// A mistake of the command line, with the usage of this command below it.
    pub(crate) fn usage_error(&self, error: UsageError) -> anyhow::Error {
        let words: Vec<&str> = self.command.split(' ').collect();
        error.with_usage(&mut help::at(&words)).into()
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list_of<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    serde_json::Value::from(texts.map(ToOwned::to_owned).collect::<Vec<String>>()).to_string()
}

/// The text of a JSON scalar.
fn plain(json: &str) -> String {
    if json.starts_with('"') { serde_json::from_str(json).unwrap_or_default() } else { json.to_owned() }
}

/// The name of a resource as a path: every part of it is a segment.
fn resource_path(name: &str) -> String {
    name.split('/').filter(|part| !part.is_empty()).map(path_segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_a_credential_is_repeated_only_under_a_request_id() {
        for endpoint in crate::rest::GROUPS.iter().chain(crate::rest::ACCOUNT_GROUPS).flat_map(|group| group.endpoints).filter(|endpoint| endpoint.mints) {
            let known_again = endpoint.fields.iter().any(|field| field.name == "request_id" && field.default.is_some());
            assert_eq!(endpoint.repeatable, known_again, "{}", endpoint.path);
        }
    }

    #[test]
    fn every_flag_of_every_call_is_one_that_its_fields_made() {
        for group in crate::rest::GROUPS.iter().chain(crate::rest::ACCOUNT_GROUPS) {
            for endpoint in group.endpoints {
                let placed = endpoint.fields.iter().filter(|field| matches!(field.place, Place::Path | Place::Resource)).count();
                assert_eq!(endpoint.path.matches('{').count(), placed, "{} {}", group.name, endpoint.name);
            }
        }
    }
}
