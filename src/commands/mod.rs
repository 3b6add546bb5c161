//! The commands: a tree of tables. A command is one file with its [`Command`] and one line in the list of its group; the calls of the REST API come from
//! [`crate::rest::GROUPS`] without further ado.

use anyhow::Result;
use clap::{Arg, ArgAction, ArgMatches};

use crate::context::Context;
use crate::rest;

mod api;
pub(crate) mod arguments;
mod auth;
#[cfg(unix)]
mod child;
mod cluster_picker;
pub(crate) mod completion;
mod configure;
mod course;
mod endpoint;
#[cfg(unix)]
mod environment;
pub(crate) mod fallback;
mod hand_over;
mod help;
mod json_input;
mod lakebase;
#[cfg(test)]
mod manual;
pub(crate) mod official;
mod psql;
#[cfg(test)]
mod reference;
mod seen;
#[cfg(unix)]
mod session;
pub(crate) mod usage;
mod version;

pub(crate) use help::{at as help_at, page as help_page};
pub(crate) use version::VERSION;

/// A word of the command line and what is behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Node {
    Command(&'static Command),
    Group(&'static Group),
    Api(&'static rest::Group),
    Endpoint(&'static rest::Endpoint),
}

/// A command with code of its own.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// What else a user should know.
    pub(crate) details: &'static str,
    /// Command lines that work as they stand.
    pub(crate) examples: &'static [&'static str],
    /// Positional arguments as the usage line shows them.
    pub(crate) usage: &'static str,
    pub(crate) arity: Arity,
    pub(crate) hidden: bool,
    /// Whether a mistake in flags or arguments is followed by the usage.
    pub(crate) usage_on_error: bool,
    pub(crate) flags: fn(clap::Command) -> clap::Command,
    pub(crate) run: fn(&Context<'_>, &ArgMatches) -> Result<()>,
}

/// A word with commands below it.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) commands: &'static [Node],
}

/// A command that has said all that there is to say, and ends with the code of a program that it ran.
#[derive(Debug)]
pub(crate) struct Exit(pub(crate) u8);

impl std::fmt::Display for Exit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "exit status {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// How many positional arguments a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arity {
    /// Compat: the official CLI looks at none and says nothing about them.
    Ignored,
    /// None; others are taken for an unknown command below this one.
    NoCommands,
    Exactly(usize),
    AtMost(usize),
    Any,
    /// Any, and behind a lone `--` a program with arguments of its own, which are not looked at.
    Program,
}

/// Everything at the top level, in the order of the help.
static ROOT: &[Node] = &[
    Node::Group(&ACCOUNT),
    Node::Group(&api::GROUP),
    Node::Group(&auth::GROUP),
    Node::Api(rest::GROUPS[0]),
    Node::Group(&completion::GROUP),
    Node::Command(&configure::COMMAND),
    Node::Api(rest::GROUPS[1]),
    Node::Api(rest::GROUPS[2]),
    Node::Command(&help::COMMAND),
    Node::Api(rest::GROUPS[3]),
    Node::Command(&psql::COMMAND),
    Node::Api(rest::GROUPS[4]),
    #[cfg(unix)]
    Node::Group(&session::GROUP),
    Node::Api(rest::GROUPS[5]),
    Node::Api(rest::GROUPS[6]),
    Node::Command(&version::COMMAND),
];

static ACCOUNT: Group = Group { name: "account", about: "Calls of the account, for its administrators", commands: &[Node::Api(rest::ACCOUNT_GROUPS[0])] };

impl Node {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Command(command) => command.name,
            Self::Group(group) => group.name,
            Self::Api(group) => group.name,
            Self::Endpoint(endpoint) => endpoint.name,
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Command(command) => command.about,
            Self::Group(group) => group.about,
            Self::Api(group) => group.about,
            Self::Endpoint(endpoint) => endpoint.about,
        }
    }

    pub(crate) fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Endpoint(endpoint) => endpoint.aliases,
            _ => &[],
        }
    }

    fn is_called(self, word: &str) -> bool {
        self.name() == word || self.aliases().contains(&word)
    }

    fn is_on<S: AsRef<str>>(self, words: &[S]) -> bool {
        words.iter().any(|word| self.is_called(word.as_ref()))
    }

    pub(crate) fn is_hidden(self) -> bool {
        matches!(self, Self::Command(command) if command.hidden)
    }

    pub(crate) fn children(self) -> Vec<Self> {
        match self {
            Self::Group(group) => group.commands.to_vec(),
            Self::Api(group) => {
                let own = if group.name == "database" { lakebase::COMMANDS } else { &[] };
                let mut children: Vec<Self> =
                    group.endpoints.iter().map(|endpoint| Self::Endpoint(endpoint)).chain(own.iter().map(|command| Self::Command(command))).collect();
                if !own.is_empty() {
                    children.sort_by_key(|child| child.name());
                }
                children
            }
            Self::Command(_) | Self::Endpoint(_) => Vec::new(),
        }
    }

    fn child(self, name: &str) -> Option<Self> {
        find(&self.children(), name)
    }

    /// What a list of commands shows of this node.
    fn listed(self) -> clap::Command {
        clap::Command::new(self.name()).about(self.about()).hide(self.is_hidden()).visible_aliases(self.aliases())
    }

    /// The clap command of this node; `path` is how the user got here, such as `databricks tokens`.
    ///
    /// Flags, help and commands below are made only for the words that are on the command line: the others are names for lists.
    fn clap<S: AsRef<str>>(self, path: &str, words: &[S], others: Others) -> clap::Command {
        let command = self.listed();
        if !self.is_on(words) {
            return command;
        }
        let path = &format!("{path} {}", self.name());
        match self {
            Self::Command(leaf) => {
                let command = with_help(command, path, leaf.usage, leaf.about, leaf.details, leaf.examples);
                arguments::positional((leaf.flags)(command))
            }
            Self::Endpoint(leaf) => {
                let command = with_help(command, path, &endpoint::usage(leaf), leaf.about, leaf.details, leaf.examples);
                arguments::positional(endpoint::flags(command, leaf))
            }
            Self::Group(_) | Self::Api(_) => {
                let command = match self {
                    Self::Group(group) if group.name == auth::GROUP.name => auth::flags(command),
                    _ => command,
                };
                let command = arguments::dressed(command)
                    .override_usage(format!("{path} [command] [flags]"))
                    .before_help(self.about())
                    .allow_external_subcommands(true)
                    .subcommands(below(&self.children(), path, words, others));
                command.after_help(format!("Use \"{path} [command] --help\" for more about a command."))
            }
        }
    }

    /// Runs the command that the matches lead to.
    pub(crate) fn run(self, context: &Context<'_>, matches: &ArgMatches) -> Result<()> {
        match self {
            Self::Command(command) => (command.run)(context, matches),
            Self::Endpoint(endpoint) => endpoint::run(context, endpoint, matches),
            Self::Group(_) | Self::Api(_) => Ok(()),
        }
    }

    /// How many positional arguments it takes.
    pub(crate) fn arity(self) -> Arity {
        match self {
            Self::Command(command) => command.arity,
            Self::Endpoint(endpoint) => endpoint::arity(endpoint),
            Self::Group(_) | Self::Api(_) => Arity::Any,
        }
    }

    pub(crate) fn shows_usage_on_error(self) -> bool {
        !matches!(self, Self::Command(command) if !command.usage_on_error)
    }
}

/// The nodes at the top level.
pub(crate) fn root() -> &'static [Node] {
    ROOT
}

/// The node of this name or alias.
pub(crate) fn find(nodes: &[Node], name: &str) -> Option<Node> {
    nodes.iter().copied().find(|node| node.is_called(name))
}

/// The node at the end of a path of words, and how many of the words led there.
pub(crate) fn walk(words: &[&str]) -> (Option<Node>, usize) {
    let mut node: Option<Node> = None;
    for (depth, word) in words.iter().enumerate() {
        let next = match node {
            None => find(ROOT, word),
            Some(node) => node.child(word),
        };
        match next {
            Some(next) => node = Some(next),
            None => return (node, depth),
        }
    }
    (node, words.len())
}

/// What becomes of the commands whose words are not given. Without them clap reads the line alike, and has a tenth to build: it copies the global flags to each command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    LeftOut,
    /// They stand in the lists of help pages.
    Listed,
}

/// The command line as clap sees it, complete for the commands whose words are given.
pub(crate) fn command_line<S: AsRef<str>>(words: &[S], others: Others) -> clap::Command {
    let command = clap::Command::new("databricks")
        .about("Obtain, store, refresh, use, hand over, rotate and revoke Databricks credentials")
        .before_help("Obtain, store, refresh, use, hand over, rotate and revoke Databricks credentials")
        .override_usage("databricks [command] [flags]")
        .after_help(if others == Others::Listed { help::end_of_overview() } else { String::new() })
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .allow_external_subcommands(true)
        .arg(Arg::new("version").short('v').long("version").action(ArgAction::SetTrue).help("Show the version").help_heading("Flags"))
        .subcommands(below(ROOT, "databricks", words, others));
    arguments::globals(arguments::dressed(command))
}

/// A command line that clap has understood.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The words of the command, up to and with the first that is none.
    pub(crate) words: Vec<String>,
    /// What stands behind them.
    pub(crate) matches: ArgMatches,
}

impl Parsed {
    fn new(mut matches: ArgMatches) -> Self {
        let mut words = Vec::new();
        while let Some((word, below)) = matches.remove_subcommand() {
            words.push(word);
            matches = below;
        }
        Self { words, matches }
    }
}

/// Reads the command line.
///
/// Usually the words of the command come first, and then a clap that knows nothing but that command reads the rest; otherwise one that knows the commands on the line.
/// Help and mistakes are told by one that knows all commands, so that what a user sees depends on none of this.
///
/// # Errors
/// Help that is asked for, and mistakes.
pub(crate) fn parse<S: AsRef<str>>(arguments: &[S]) -> Result<Parsed, clap::Error> {
    if let Some(parsed) = parse_leaf(arguments) {
        return Ok(parsed);
    }
    let words = || arguments.iter().map(AsRef::as_ref);
    let read = |others| command_line(arguments, others).try_get_matches_from(words());
    read(Others::LeftOut).or_else(|_| read(Others::Listed)).map(Parsed::new)
}

/// Reads a line that begins with all the words of a command; `None` if it does not, or if something is wrong with the rest.
fn parse_leaf<S: AsRef<str>>(arguments: &[S]) -> Option<Parsed> {
    let mut nodes = ROOT.to_vec();
    let mut words = Vec::new();
    for argument in arguments.get(1..)? {
        let node = find(&nodes, argument.as_ref())?;
        words.push(node.name().to_owned());
        if matches!(node, Node::Group(_) | Node::Api(_)) {
            nodes = node.children();
            continue;
        }
        // The last word of the command stands where clap looks for the name of the program.
        let rest = &arguments[words.len()..];
        let mut command = node.clap("", rest, Others::LeftOut);
        if words[0] == auth::GROUP.name {
            command = auth::flags(command);
        }
        let matches = arguments::globals_on(command, rest).try_get_matches_from(rest.iter().map(AsRef::as_ref)).ok()?;
        return Some(Parsed { words, matches });
    }
    None
}

/// The clap commands below one.
fn below<S: AsRef<str>>(nodes: &[Node], path: &str, words: &[S], others: Others) -> Vec<clap::Command> {
    nodes.iter().filter(|node| others == Others::Listed || node.is_on(words)).map(|node| node.clap(path, words, others)).collect()
}

fn with_help(command: clap::Command, path: &str, usage: &str, about: &str, details: &str, examples: &[&str]) -> clap::Command {
    let space = if usage.is_empty() { "" } else { " " };
    let details = if details.is_empty() { String::new() } else { format!("\n\n{details}") };
    let examples: String = examples.iter().map(|example| format!("\n  {example}")).collect();
    arguments::dressed(command)
        .override_usage(format!("{path}{space}{usage} [flags]"))
        .before_help(format!("{about}{details}"))
        .after_help(format!("Examples:{examples}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_node(nodes: &[Node], visit: &mut dyn FnMut(Node)) {
        for node in nodes {
            visit(*node);
            every_node(&node.children(), visit);
        }
    }

    #[test]
    fn clap_accepts_the_whole_tree() {
        let mut words = Vec::new();
        every_node(ROOT, &mut |node| words.push(node.name()));
        command_line(&words, Others::Listed).debug_assert();
    }

    #[test]
    fn what_a_newcomer_looks_through_has_the_order_of_the_alphabet() {
        assert!(ROOT.is_sorted_by_key(|node| node.name()));
        for group in [&auth::GROUP, &api::GROUP, &completion::GROUP] {
            assert!(group.commands.is_sorted_by_key(|node| node.name()), "{}", group.name);
        }
    }

    #[test]
    fn every_api_is_on_the_command_line() {
        let shown: Vec<&str> = ROOT.iter().filter(|node| matches!(node, Node::Api(_))).map(|node| node.name()).collect();
        assert_eq!(shown, rest::GROUPS.iter().map(|group| group.name).collect::<Vec<_>>());
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_it() {
        every_node(ROOT, &mut |node| {
            assert!(!node.about().is_empty() && !node.about().ends_with('.'), "{}", node.name());
            let examples = match node {
                Node::Command(command) => command.examples,
                Node::Endpoint(endpoint) => endpoint.examples,
                Node::Group(_) | Node::Api(_) => return,
            };
            assert!(examples.iter().any(|example| example.contains(node.name())), "{} has no example", node.name());
        });
    }

    #[test]
    fn clap_reads_a_line_alike_whether_it_knows_the_other_commands_or_not() {
        fn every_path(nodes: &[Node], path: &[&'static str], visit: &mut dyn FnMut(&[&'static str])) {
            for node in nodes {
                for name in node.aliases().iter().copied().chain([node.name()]) {
                    let path = [path, &[name]].concat();
                    visit(&path);
                    every_path(&node.children(), &path, visit);
                }
            }
        }
        let told = |parsed: Parsed| {
            (parsed.words, arguments::text(&parsed.matches, "profile").map(ToOwned::to_owned), arguments::positionals(&parsed.matches).join(" "))
        };
        let read = |arguments: &[&str], others| {
            command_line(arguments, others).try_get_matches_from(arguments).map(Parsed::new).map(told).map_err(|error| error.kind())
        };
        let (mut paths, mut leaves) = (0, 0);
        every_path(ROOT, &[], &mut |path| {
            for rest in [&["-p", "x"][..], &["version"], &["nope", "tokens"], &["--nope"], &["--profile"], &["--profile=x", "-o", "json"], &["--help"]] {
                let arguments = [&["databricks"], path, rest].concat();
                let wanted = read(&arguments, Others::Listed);
                assert_eq!(read(&arguments, Others::LeftOut), wanted, "{arguments:?}");
                assert_eq!(parse(&arguments).map(told).map_err(|error| error.kind()), wanted, "{arguments:?}");
                if let Some(parsed) = parse_leaf(&arguments) {
                    assert_eq!(Ok(told(parsed)), wanted, "{arguments:?}");
                    leaves += 1;
                }
            }
            paths += 1;
        });
        assert!(paths > 100 && leaves > 300, "{paths} {leaves}");
    }

    #[test]
    fn paths_lead_to_nodes() {
        assert_eq!(walk(&["tokens", "revoke"]).0.map(Node::name), Some("delete"));
        assert_eq!(walk(&["auth", "nope"]).1, 1);
        assert!(walk(&["nope"]).0.is_none());
    }
}
