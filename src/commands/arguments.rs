//! Flags and arguments as every command has them.

use clap::{Arg, ArgAction, ArgMatches};

/// The catch-all for positional arguments; each command counts them itself, to answer as scripts expect.
const POSITIONAL: &str = "ARGS";

/// A flag with a value. The value may begin with a dash, and the last of several counts, as in the official CLI.
///
/// The placeholder tells the reader of the help, and the Tab key, what is wanted: see [`crate::commands::completion::answer`]. Alternatives stand as `text|json`.
pub(crate) fn value(name: &'static str, placeholder: &'static str, help: &str) -> Arg {
    Arg::new(name).long(name).value_name(placeholder).help(help.to_owned()).allow_hyphen_values(true).action(ArgAction::Set)
}

/// A flag that is on or off: `--x`, `--x=true`, `--x=false`.
pub(crate) fn switch(name: &'static str, help: &str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help.to_owned())
        .value_name("b")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(clap::builder::BoolishValueParser::new())
        .hide_possible_values(true)
        .action(ArgAction::Set)
}

/// Whether a switch is on.
pub(crate) fn is_on(matches: &ArgMatches, name: &str) -> bool {
    matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false)
}

/// Whether a switch was given, on or off.
pub(crate) fn is_given(matches: &ArgMatches, name: &str) -> bool {
    matches.try_get_one::<bool>(name).ok().flatten().is_some()
}

/// The value of a flag, if it was given.
pub(crate) fn text<'m>(matches: &'m ArgMatches, name: &str) -> Option<&'m str> {
    matches.try_get_one::<String>(name).ok().flatten().map(String::as_str)
}

/// The positional arguments.
pub(crate) fn positionals(matches: &ArgMatches) -> Vec<&str> {
    matches.try_get_many::<String>(POSITIONAL).ok().flatten().map(|values| values.map(String::as_str).collect()).unwrap_or_default()
}

/// Lets a command take any positional arguments.
pub(crate) fn positional(command: clap::Command) -> clap::Command {
    let arg = Arg::new(POSITIONAL).hide(true).action(ArgAction::Append);
    // Beside what stands behind `--` clap takes words one by one only.
    let is_alone = !command.get_positionals().any(Arg::is_last_set);
    command.arg(if is_alone { arg.num_args(0..) } else { arg.num_args(1).index(1) })
}

/// What stands before the first lone `--`.
pub(crate) fn before_dashes(arguments: &[String]) -> &[String] {
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    &arguments[..end]
}

/// The program to run and its arguments: what stands behind the first lone `--`, byte for byte as it was given.
#[cfg(unix)]
pub(crate) fn program() -> Vec<std::ffi::OsString> {
    std::env::args_os().skip_while(|argument| argument != "--").skip(1).collect()
}

/// The look of every help page.
pub(crate) fn dressed(command: clap::Command) -> clap::Command {
    command
        .help_template("{before-help}{usage-heading}\n  {usage}\n\n{all-args}\n\n{after-help}\n")
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .args_override_self(true)
        .term_width(0)
        .subcommand_help_heading("Commands")
        .next_help_heading("Flags")
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Show this help").display_order(1_000))
}

/// A help page as text. What clap says of the optional value of a switch (`--debug[=<debug>]`) is left out: it confuses more than it tells.
pub(crate) fn rendered(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("[=<") {
        let end = after.find(">]").map_or(0, |end| end + ">]".len());
        text.push_str(before);
        text.push_str(&" ".repeat("[=<".len() + end));
        rest = &after[end..];
    }
    text.push_str(rest);
    let mut blank = true;
    let mut page = String::with_capacity(text.len());
    for line in text.lines().map(str::trim_end) {
        if !(blank && line.is_empty()) {
            page.push_str(line);
            page.push('\n');
        }
        blank = line.is_empty();
    }
    page
}

/// A flag that every command takes.
struct Global {
    name: &'static str,
    short: Option<char>,
    /// What stands for its value in the help; `None` for a switch.
    placeholder: Option<&'static str>,
    help: &'static str,
    hidden: bool,
}

static GLOBALS: &[Global] = &[
    Global { name: "profile", short: Some('p'), placeholder: Some("profile"), help: "The profile of the profile file to use", hidden: false },
    Global { name: "output", short: Some('o'), placeholder: Some("text|json"), help: "How to print", hidden: false },
    Global {
        name: "target",
        short: Some('t'),
        placeholder: Some("name"),
        help: "The target of the bundle (databricks.yml) whose host and profile count",
        hidden: false,
    },
    Global { name: "debug", short: None, placeholder: None, help: "Show requests and replies on standard error, without their secrets", hidden: false },
    Global { name: "log-level", short: None, placeholder: Some("trace|debug|info|warn|error|disabled"), help: "What to write", hidden: true },
    Global { name: "log-file", short: None, placeholder: Some("path"), help: "Where --debug writes", hidden: true },
    Global { name: "log-format", short: None, placeholder: Some("text|json"), help: "How --debug writes", hidden: true },
    Global { name: "environment", short: Some('e'), placeholder: Some("name"), help: "The old name of --target", hidden: true },
    Global { name: "progress-format", short: None, placeholder: Some("format"), help: "No longer used", hidden: true },
];

impl Global {
    fn argument(&self) -> Arg {
        let argument = match self.placeholder {
            Some(placeholder) => value(self.name, placeholder, self.help),
            None => switch(self.name, self.help),
        };
        let argument = argument.global(true).help_heading("Global flags").hide(self.hidden);
        if let Some(short) = self.short { argument.short(short) } else { argument }
    }

    /// Whether a word of the line could be this flag, or have it among its letters.
    fn may_be(&self, word: &str) -> bool {
        match word.strip_prefix("--") {
            Some(long) => long.starts_with(self.name),
            None => word.starts_with('-') && self.short.is_some_and(|short| word.contains(short)),
        }
    }
}

/// The flags that every command takes.
pub(crate) fn globals(command: clap::Command) -> clap::Command {
    command.args(GLOBALS.iter().map(Global::argument))
}

/// Those of [`globals`] that could be on this line.
pub(crate) fn globals_on<S: AsRef<str>>(command: clap::Command, line: &[S]) -> clap::Command {
    command.args(GLOBALS.iter().filter(|global| line.iter().any(|word| global.may_be(word.as_ref()))).map(Global::argument))
}
