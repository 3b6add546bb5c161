//! What the Tab key offers: the hidden command `__complete`, in the protocol that the scripts of the official CLI speak too.
//!
//! `databricks __complete WORD... CURRENT` prints one candidate a line, `value<TAB>description`, and at the end `:4`, or `:0` where the shell should offer file names.
//! It asks nobody: names come from the profile file and from what earlier commands saw ([`crate::commands::seen`]), each read only if it is needed.
//!
//! What there is to offer follows from the tables of the commands: their words, their flags, and for values the placeholder that the help shows, see [`PLACEHOLDERS`].

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

/// What is offered, on its way to the shell: there may be tens of thousands.
struct Offer<'a> {
    ui: &'a Ui,
    /// Whether the shell shows what a candidate is.
    descriptions: bool,
    /// What stands before each value: the flag that the value is glued to.
    glued: &'a str,
    lines: Vec<u8>,
    /// What became of the lines so far.
    written: Result<Audience>,
}

impl<'a> Offer<'a> {
    fn new(ui: &'a Ui, descriptions: bool) -> Self {
        Self { ui, descriptions, glued: "", lines: Vec::with_capacity(BLOCK + (BLOCK >> 3)), written: Ok(Audience::Listening) }
    }

    /// Offers one more candidate. A value with a character that could end the line or change the terminal is left out.
    fn add(&mut self, value: &str, about: &str) {
        if value.is_empty() || !text::is_safe(value) || !matches!(self.written, Ok(Audience::Listening)) {
            return;
        }
        text::append(&mut self.lines, self.glued.as_bytes());
        text::append(&mut self.lines, value.as_bytes());
        if self.descriptions && !about.is_empty() {
            self.lines.push(b'\t');
            let about = text::shortened(about, LONGEST_DESCRIPTION);
            if text::is_safe(&about) {
                text::append(&mut self.lines, about.as_bytes());
            } else {
                let shown: String = about.chars().map(|character| if text::is_unsafe(character) { ' ' } else { character }).collect();
                text::append(&mut self.lines, shown.as_bytes());
            }
        }
        self.lines.push(b'\n');
        if self.lines.len() >= BLOCK {
            self.written = self.ui.pour(&self.lines);
            self.lines.clear();
        }
    }

    /// Whether a candidate is offered as a line `value<TAB>description`.
    fn takes_lines(&self) -> bool {
        self.descriptions && self.glued.is_empty()
    }

    /// Offers many candidates, each on a line as it is to be written.
    fn add_lines(&mut self, lines: &str) {
        if matches!(self.written, Ok(Audience::Listening)) {
            self.written = self.ui.pour(&self.lines);
            self.lines.clear();
        }
        if matches!(self.written, Ok(Audience::Listening)) {
            self.written = self.ui.pour(lines.as_bytes());
        }
    }

    /// Writes what is left, and the directive.
    fn end(mut self, directive: &Directive) -> Result<()> {
        if self.written? == Audience::Listening {
            text::append(&mut self.lines, directive.line.as_bytes());
            self.ui.pour(&self.lines).map(drop)?;
        }
        Ok(())
    }
}

/// What the shell is to do besides: Compat, the numbers and names of cobra.
struct Directive {
    line: &'static str,
    name: &'static str,
}

/// The shell offers names of files.
const FILES: Directive = Directive { line: ":0\n", name: "ShellCompDirectiveDefault" };
/// It offers nothing else.
const THESE: Directive = Directive { line: ":4\n", name: "ShellCompDirectiveNoFileComp" };

/// Where candidates come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Names(fn(&Local<'_>, &str, &mut Offer<'_>)),
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
    let mut offer = Offer::new(ui, descriptions);
    let directive = local.offer(&mut offer);
    let written = offer.end(&directive);
    ui.note(&format!("Completion ended with directive: {}", directive.name));
    Some(written)
}

impl<'a> Local<'a> {
    fn offer(&self, offer: &mut Offer<'a>) -> Directive {
        let line = self.line;
        if line.is_lost() {
            return FILES;
        }
        match &line.cursor {
            Cursor::Flag(typed) => self.flags(typed, offer),
            Cursor::Value { flag, glued, typed } => {
                offer.glued = glued;
                return self.values(flag, typed, offer);
            }
            Cursor::Word(typed) => match line.node {
                None | Some(Node::Group(_) | Node::Api(_)) => words_below(line.node, typed, offer),
                Some(Node::Endpoint(endpoint)) => self.argument(endpoint.fields, typed, offer),
                Some(Node::Command(command)) => return self.positional(command, typed, offer),
            },
        }
        THESE
    }

    /// The flags of the command that are not on the line yet.
    fn flags(&self, typed: &str, offer: &mut Offer<'_>) {
        for flag in self.line.command.get_arguments().filter(|flag| !flag.is_hide_set() && !flag.is_positional() && !self.line.has(flag)) {
            let long = flag.get_long().map(|name| format!("--{name}"));
            let short = flag.get_short().map(|letter| format!("-{letter}"));
            for value in long.into_iter().chain(short).filter(|value| value.starts_with(typed)) {
                offer.add(&value, &flag.get_help().map_or(String::new(), ToString::to_string));
            }
        }
    }

    /// The values of a flag: those it names, else what its placeholder stands for.
    fn values(&self, flag: &clap::Arg, typed: &str, offer: &mut Offer<'_>) -> Directive {
        let named = flag.get_possible_values();
        if named.is_empty() {
            let placeholder = flag.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
            return self.stands_for(placeholder, typed, offer);
        }
        for value in named.iter().filter(|value| !value.is_hide_set() && value.get_name().starts_with(typed)) {
            offer.add(value.get_name(), &value.get_help().map_or(String::new(), ToString::to_string));
        }
        THESE
    }

    /// What a placeholder stands for: the words it names, or what the table has for it.
    fn stands_for(&self, placeholder: &str, typed: &str, offer: &mut Offer<'_>) -> Directive {
        if placeholder.contains('|') {
            placeholder.split('|').filter(|word| word.starts_with(typed)).for_each(|word| offer.add(word, ""));
            return THESE;
        }
        match PLACEHOLDERS.iter().find(|(name, _)| *name == placeholder) {
            None => {}
            Some((_, Source::Files)) => return FILES,
            Some((_, Source::Names(names))) => names(self, typed, offer),
        }
        THESE
    }

    /// A positional argument of a command with code of its own: its usage line names it.
    fn positional(&self, command: &commands::Command, typed: &str, offer: &mut Offer<'_>) -> Directive {
        let place = self.line.positionals.len();
        let mut names = command.usage.split_whitespace().map(|word| word.trim_matches(['[', ']', '.']));
        let name = match command.arity {
            Arity::Any => names.clone().nth(place).or(names.next_back()),
            Arity::Exactly(most) | Arity::AtMost(most) if place >= most => None,
            _ => names.nth(place),
        };
        name.map_or(THESE, |name| self.stands_for(name, typed, offer))
    }

    /// A positional argument of a call of the API: the ids that earlier commands saw at this workspace.
    fn argument(&self, fields: &'static [Field], typed: &str, offer: &mut Offer<'_>) {
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
        let Some(kind) = fields.iter().find(takes).and_then(seen::kind) else { return };
        let Some(cache) = seen::Cache::of(self.env) else { return };
        let Some(host) = self.host() else { return };
        for (id, title) in cache.names(&host, kind) {
            if id.starts_with(typed) && !self.line.positionals.contains(&id.as_str()) {
                offer.add(&id, &title);
            }
        }
    }

    /// The workspace that the command on the line would ask.
    fn host(&self) -> Option<Host> {
        let selection = Selection { profile: self.line.value("profile").map(ToOwned::to_owned), ..Selection::default() };
        Settings::resolve(&selection, self.env, self.file).ok()?.host().ok()?
    }
}

/// The commands below a node. An alias is offered to whoever typed a part of it.
fn words_below(node: Option<Node>, typed: &str, offer: &mut Offer<'_>) {
    let children = node.map_or_else(|| commands::root().to_vec(), Node::children);
    for child in children.into_iter().filter(|child| !child.is_hidden()) {
        let alias = || child.aliases().iter().copied().filter(|alias| !typed.is_empty() && alias.starts_with(typed));
        let name = Some(child.name()).filter(|name| name.starts_with(typed));
        name.into_iter().chain(alias()).for_each(|word| offer.add(word, child.about()));
    }
}

/// What `help` can be asked for: commands, and at its first word topics.
fn topics(local: &Local<'_>, typed: &str, offer: &mut Offer<'_>) {
    let (node, known) = commands::walk(&local.line.positionals);
    if known < local.line.positionals.len() {
        return;
    }
    words_below(node, typed, offer);
    if node.is_none() {
        let new = help::TOPICS.iter().filter(|topic| commands::find(commands::root(), topic.name).is_none() && topic.name.starts_with(typed));
        new.for_each(|topic| offer.add(topic.name, topic.about));
    }
}

/// The paths of the calls that the program knows, for `api get` and its kind.
fn paths(local: &Local<'_>, typed: &str, offer: &mut Offer<'_>) {
    let verb = local.line.words.last().copied().unwrap_or_default();
    let endpoints = rest::GROUPS.iter().flat_map(|group| group.endpoints).filter(|endpoint| endpoint.verb.as_str().eq_ignore_ascii_case(verb));
    let plain = endpoints.filter(|endpoint| endpoint.path.starts_with(typed) && !endpoint.path.contains('{'));
    plain.for_each(|endpoint| offer.add(endpoint.path, endpoint.about));
}

/// The profiles with a host. A file that cannot be read has none.
fn profiles(local: &Local<'_>, typed: &str, offer: &mut Offer<'_>) {
    let _unreadable = local.file.listing_in_parts(|part| match part.lines(LONGEST_DESCRIPTION) {
        Some(lines) if typed.is_empty() && offer.takes_lines() => offer.add_lines(lines),
        _ => part.iter().filter(|(name, host)| !host.is_empty() && name.starts_with(typed)).for_each(|(name, host)| offer.add(name, host)),
    });
}

/// The hosts of the profiles, each with the profiles that have it; without the scheme for whoever leaves it out.
fn hosts(local: &Local<'_>, typed: &str, offer: &mut Offer<'_>) {
    let mut hosts: Vec<(String, String)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    let listing = local.file.listing().unwrap_or_default();
    for (name, host) in listing.iter() {
        let Ok(host) = Host::parse(host) else { continue };
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
    for (host, names) in &hosts {
        offer.add(host, names);
    }
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
