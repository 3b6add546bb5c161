//! What the Tab key offers: the hidden command `__complete`, in the protocol that the scripts of the official CLI speak too.
//!
//! `databricks __complete WORD... CURRENT` prints one candidate a line, `value<TAB>description`, and at the end `:4`, or `:0` where the shell should offer file names.
//! It asks nobody: names come from the profile file and from what earlier commands saw ([`crate::commands::seen`]), each read only if it is needed.
//!
//! What there is to offer follows from the tables of the commands: their words, their flags, and for values the placeholder that the help shows, see [`PLACEHOLDERS`].

use std::borrow::Cow;

use anyhow::Result;

use crate::commands::completion::line::{Cursor, Line};
use crate::commands::usage::UsageError;
use crate::commands::{self, Arity, Node, Others, help, seen};
use crate::config::file::ProfileFile;
use crate::config::settings::{Selection, Settings};
use crate::env::Env;
use crate::host::Host;
use crate::rest::{self, Field, Input};
use crate::text;
use crate::ui::{Audience, Ui};

/// Compat: the words that installed scripts call.
pub(crate) const WITH_DESCRIPTIONS: &str = "__complete";
pub(crate) const WITHOUT_DESCRIPTIONS: &str = "__completeNoDesc";

/// Longest description, in characters.
const LONGEST_DESCRIPTION: usize = 120;

/// Bytes that are written at once: few writes, little memory.
const BLOCK: usize = 32 << 10;

/// One thing to offer.
#[derive(Debug)]
struct Candidate<'a> {
    value: Cow<'a, str>,
    about: Cow<'a, str>,
}

/// Candidates that are made while they are written: there may be tens of thousands.
type Candidates<'a> = Box<dyn Iterator<Item = Candidate<'a>> + 'a>;

/// All there is to offer.
enum Offer<'a> {
    These(Candidates<'a>),
    Files,
}

impl<'a> Offer<'a> {
    fn these(candidates: Vec<Candidate<'a>>) -> Self {
        Self::These(Box::new(candidates.into_iter()))
    }
}

/// Where candidates come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Names(for<'l> fn(&'l Local<'_>, &'l str) -> Candidates<'l>),
    Files,
}

/// What stands for a value in the help, of a flag (`--host <url>`) or of an argument (`[PROFILE]`), and what is offered for it.
static PLACEHOLDERS: &[(&str, Source)] = &[
    ("profile", Source::Names(profiles)),
    ("PROFILE", Source::Names(profiles)),
    ("url", Source::Names(hosts)),
    ("command", Source::Names(topics)),
    ("PATH", Source::Names(paths)),
    ("path", Source::Files),
];

/// What candidates are made of: this machine's files, and the line.
struct Local<'a> {
    env: &'a Env,
    file: &'a ProfileFile,
    line: &'a Line<'a, 'a>,
}

/// Answers `__complete`, which looks at its words as they are: flags among them are those of the line to complete. `None` if the command line is another.
pub(crate) fn answer(env: &Env, ui: &Ui, arguments: &[String]) -> Option<Result<()>> {
    let descriptions = match arguments.get(1)?.as_str() {
        WITH_DESCRIPTIONS => true,
        WITHOUT_DESCRIPTIONS => false,
        _ => return None,
    };
    let Some((current, typed)) = arguments[2..].split_last() else {
        return Some(Err(UsageError::new("requires at least 1 arg(s), only received 0").into()));
    };
    let mut root = commands::command_line(typed, Others::LeftOut);
    root.build();
    let line = Line::new(&root, typed, current);
    let file = ProfileFile::locate(env);
    let local = Local { env, file: &file, line: &line };
    let (written, directive) = match local.offer() {
        Offer::Files => (ui.out_open(":0\n").map(drop), "ShellCompDirectiveDefault"),
        Offer::These(candidates) => (write(ui, candidates, descriptions), "ShellCompDirectiveNoFileComp"),
    };
    ui.note(&format!("Completion ended with directive: {directive}"));
    Some(written)
}

/// Writes the candidates as lines, and the directive that no files are wanted. A value with a character that could end the line or change the terminal is left out.
fn write(ui: &Ui, candidates: Candidates<'_>, descriptions: bool) -> Result<()> {
    let mut lines = Vec::with_capacity(BLOCK);
    for candidate in candidates {
        if lines.len() >= BLOCK {
            if ui.pour(&lines)? == Audience::Gone {
                return Ok(());
            }
            lines.clear();
        }
        let is_safe = text::is_printable_ascii(&candidate.value) || !candidate.value.contains(text::is_unsafe);
        if candidate.value.is_empty() || !is_safe {
            continue;
        }
        text::append(&mut lines, candidate.value.as_bytes());
        if descriptions && !candidate.about.is_empty() {
            lines.push(b'\t');
            let about = text::shortened(&candidate.about, LONGEST_DESCRIPTION);
            if text::is_printable_ascii(&about) {
                text::append(&mut lines, about.as_bytes());
            } else {
                let shown: String = about.chars().map(|character| if text::is_unsafe(character) { ' ' } else { character }).collect();
                text::append(&mut lines, shown.as_bytes());
            }
        }
        lines.push(b'\n');
    }
    text::append(&mut lines, b":4\n");
    ui.pour(&lines).map(drop)
}

impl<'a> Local<'a> {
    fn offer(&'a self) -> Offer<'a> {
        let line = self.line;
        if line.is_lost() {
            return Offer::Files;
        }
        match &line.cursor {
            Cursor::Flag(typed) => Offer::these(self.flags(typed)),
            Cursor::Value { flag, glued, typed } => match self.values(flag, typed) {
                Offer::These(values) if !glued.is_empty() => {
                    let glued = *glued;
                    let whole = move |candidate: Candidate<'a>| Candidate { value: format!("{glued}{}", candidate.value).into(), ..candidate };
                    Offer::These(Box::new(values.map(whole)))
                }
                offer => offer,
            },
            Cursor::Word(typed) => match line.node {
                None | Some(Node::Group(_) | Node::Api(_)) => Offer::these(words_below(line.node, typed)),
                Some(Node::Endpoint(endpoint)) => Offer::these(self.argument(endpoint.fields, typed)),
                Some(Node::Command(command)) => self.positional(command, typed),
            },
        }
    }

    /// The flags of the command that are not on the line yet.
    fn flags(&self, typed: &str) -> Vec<Candidate<'a>> {
        let mut candidates = Vec::new();
        for flag in self.line.command.get_arguments().filter(|flag| !flag.is_hide_set() && !flag.is_positional() && !self.line.has(flag)) {
            let about = || flag.get_help().map_or(String::new(), ToString::to_string);
            let long = flag.get_long().map(|name| format!("--{name}"));
            let short = flag.get_short().map(|letter| format!("-{letter}"));
            for value in long.into_iter().chain(short).filter(|value| value.starts_with(typed)) {
                candidates.push(Candidate { value: value.into(), about: about().into() });
            }
        }
        candidates
    }

    /// The values of a flag: those it names, else what its placeholder stands for.
    fn values(&'a self, flag: &'a clap::Arg, typed: &'a str) -> Offer<'a> {
        let placeholder = flag.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
        let named = flag.get_possible_values();
        if !named.is_empty() {
            let word = |value: &clap::builder::PossibleValue| Candidate {
                value: value.get_name().to_owned().into(),
                about: value.get_help().map_or(String::new(), ToString::to_string).into(),
            };
            return Offer::these(named.iter().filter(|value| !value.is_hide_set() && value.get_name().starts_with(typed)).map(word).collect());
        }
        self.stands_for(placeholder, typed)
    }

    /// What a placeholder stands for: the words it names, or what the table has for it.
    fn stands_for(&'a self, placeholder: &'a str, typed: &'a str) -> Offer<'a> {
        if placeholder.contains('|') {
            let words = placeholder.split('|').filter(move |word| word.starts_with(typed));
            return Offer::These(Box::new(words.map(|word| Candidate { value: word.into(), about: "".into() })));
        }
        match PLACEHOLDERS.iter().find(|(name, _)| *name == placeholder) {
            None => Offer::these(Vec::new()),
            Some((_, Source::Files)) => Offer::Files,
            Some((_, Source::Names(names))) => Offer::These(names(self, typed)),
        }
    }

    /// A positional argument of a command with code of its own: its usage line names it.
    fn positional(&'a self, command: &commands::Command, typed: &'a str) -> Offer<'a> {
        let place = self.line.positionals.len();
        let mut names = command.usage.split_whitespace().map(|word| word.trim_matches(['[', ']', '.']));
        let name = match command.arity {
            Arity::Any => names.clone().nth(place).or(names.next_back()),
            Arity::Exactly(most) | Arity::AtMost(most) if place >= most => None,
            _ => names.nth(place),
        };
        name.map_or_else(|| Offer::these(Vec::new()), |name| self.stands_for(name, typed))
    }

    /// A positional argument of a call of the API: the ids that earlier commands saw at this workspace.
    fn argument(&'a self, fields: &'static [Field], typed: &str) -> Vec<Candidate<'a>> {
        let mut before = self.line.positionals.len();
        let takes = |field: &&Field| match field.input {
            Input::Argument(_) | Input::Required(_) if before == 0 => true,
            Input::Argument(_) | Input::Required(_) => {
                before -= 1;
                false
            }
            Input::Arguments | Input::Each(_) => true,
            _ => false,
        };
        let Some(kind) = fields.iter().find(takes).and_then(seen::kind) else { return Vec::new() };
        let Some(cache) = seen::Cache::of(self.env) else { return Vec::new() };
        let Some(host) = self.host() else { return Vec::new() };
        let names = cache.names(&host, kind).into_iter();
        names
            .filter(|(id, _)| id.starts_with(typed) && !self.line.positionals.contains(&id.as_str()))
            .map(|(id, title)| Candidate { value: id.into(), about: title.into() })
            .collect()
    }

    /// The workspace that the command on the line would ask.
    fn host(&self) -> Option<Host> {
        let selection = Selection { profile: self.line.value("profile").map(ToOwned::to_owned), ..Selection::default() };
        Settings::resolve(&selection, self.env, self.file).ok()?.host().ok()?
    }
}

/// The commands below a node. An alias is offered to whoever typed a part of it.
fn words_below<'a>(node: Option<Node>, typed: &str) -> Vec<Candidate<'a>> {
    let children = node.map_or_else(|| commands::root().to_vec(), Node::children);
    let mut candidates = Vec::new();
    for child in children.into_iter().filter(|child| !child.is_hidden()) {
        let alias = || child.aliases().iter().copied().filter(|alias| !typed.is_empty() && alias.starts_with(typed));
        let name = Some(child.name()).filter(|name| name.starts_with(typed));
        for word in name.into_iter().chain(alias()) {
            candidates.push(Candidate { value: word.into(), about: child.about().into() });
        }
    }
    candidates
}

/// What `help` can be asked for: commands, and at its first word topics.
fn topics<'l>(local: &'l Local<'_>, typed: &'l str) -> Candidates<'l> {
    let (node, known) = commands::walk(&local.line.positionals);
    if known < local.line.positionals.len() {
        return Box::new(std::iter::empty());
    }
    let mut candidates = words_below(node, typed);
    if node.is_none() {
        let new = help::TOPICS.iter().filter(|topic| commands::find(commands::root(), topic.name).is_none() && topic.name.starts_with(typed));
        candidates.extend(new.map(|topic| Candidate { value: topic.name.into(), about: topic.about.into() }));
    }
    Box::new(candidates.into_iter())
}

/// The paths of the calls that the program knows, for `api get` and its kind.
fn paths<'l>(local: &'l Local<'_>, typed: &'l str) -> Candidates<'l> {
    let verb = local.line.words.last().copied().unwrap_or_default();
    let endpoints = rest::GROUPS.iter().flat_map(|group| group.endpoints).filter(move |endpoint| endpoint.verb.as_str().eq_ignore_ascii_case(verb));
    let plain = endpoints.filter(move |endpoint| endpoint.path.starts_with(typed) && !endpoint.path.contains('{'));
    Box::new(plain.map(|endpoint| Candidate { value: endpoint.path.into(), about: endpoint.about.into() }))
}

/// The profiles with a host. A file that cannot be read has none.
fn profiles<'l>(local: &'l Local<'_>, typed: &'l str) -> Candidates<'l> {
    let profiles = local.file.hosts().into_iter().flatten().filter(move |(name, _)| name.starts_with(typed));
    Box::new(profiles.map(|(name, host)| Candidate { value: name.into(), about: host }))
}

/// The hosts of the profiles, each with the profiles that have it; without the scheme for whoever leaves it out.
fn hosts<'l>(local: &'l Local<'_>, typed: &'l str) -> Candidates<'l> {
    let mut hosts: Vec<(String, String)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (name, host) in local.file.hosts().into_iter().flatten() {
        let Ok(host) = Host::parse(&host) else { continue };
        let whole = host.as_str();
        let bare = whole.split_once("://").map_or(whole, |(_, bare)| bare);
        let Some(value) = [whole, bare].into_iter().find(|form| form.starts_with(typed)) else { continue };
        let place = *places.entry(value.to_owned()).or_insert(hosts.len());
        match hosts.get_mut(place) {
            Some((_, names)) if names.len() < LONGEST_DESCRIPTION => {
                names.push_str(", ");
                names.push_str(name);
            }
            Some(_) => {}
            None => hosts.push((value.to_owned(), name.to_owned())),
        }
    }
    Box::new(hosts.into_iter().map(|(host, names)| Candidate { value: host.into(), about: names.into() }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words of command lines, whole and cut, and what no command line should hold.
    fn any_word() -> impl Strategy<Value = String> {
        let known = vec![
            "tokens",
            "revoke",
            "delete",
            "auth",
            "env",
            "api",
            "get",
            "clusters",
            "help",
            "completion",
            "account",
            "service-principal-secrets",
            "session",
            "start",
            "--profile",
            "-p",
            "-p=",
            "--profile=a",
            "-pa",
            "-o",
            "-ojson",
            "--format",
            "--format=",
            "--json",
            "--limit",
            "--debug",
            "--debug=",
            "--host=https://",
            "--",
            "-",
            "--=",
            "-=",
            "",
            "=",
            "/api/2.0/",
            "nope",
            "environment",
            "-vh",
            "-é",
            "__complete",
        ];
        prop_oneof![6 => prop::sample::select(known).prop_map(ToOwned::to_owned), 1 => ".{0,8}", 1 => "-{0,3}[a-zé=-]{0,6}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1_000), failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever stands on the line, the answer is one that scripts can take apart: safe lines that go on with what was typed, and a directive at the end.
        #[test]
        fn any_line_is_answered_in_the_protocol(words in prop::collection::vec(any_word(), 1..7), descriptions: bool) {
            let command = if descriptions { WITH_DESCRIPTIONS } else { WITHOUT_DESCRIPTIONS };
            let arguments: Vec<String> = ["databricks", command].map(ToOwned::to_owned).into_iter().chain(words.clone()).collect();
            let ui = Ui::captured();
            answer(&Env::default(), &ui, &arguments).expect("it is for us").expect("an answer");
            let shown = ui.stdout();
            let mut lines: Vec<&str> = shown.lines().collect();
            prop_assert!(matches!(lines.pop(), Some(":4" | ":0")), "{:?}: {}", words, shown);
            let typed = words.last().expect("a word");
            for line in lines {
                let (value, about) = line.split_once('\t').unwrap_or((line, ""));
                prop_assert!(!value.is_empty() && text::is_safe(value) && text::is_safe(about) && (descriptions || about.is_empty()), "{:?}: {}", words, line);
                // Behind `--flag=` the value alone is the answer.
                let open = typed.split_once('=').map_or(typed.as_str(), |(_, value)| value);
                prop_assert!(value.starts_with(typed.as_str()) || value.starts_with(open), "{:?}: {}", words, line);
            }
        }
    }
}
