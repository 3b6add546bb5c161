//! What the command line itself got wrong, in the words that scripts know.

use std::fmt;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::commands::arguments;
use crate::text;

/// A mistake in flags or arguments, with the usage of the command that it was made at.
#[derive(Debug)]
pub(crate) struct UsageError {
    message: String,
    /// Printed below the message.
    pub(crate) usage: Option<String>,
}

impl UsageError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), usage: None }
    }

    /// The message alone.
    pub(crate) fn without_usage(mut self) -> Self {
        self.usage = None;
        self
    }

    /// Adds the usage block of the command.
    pub(crate) fn with_usage(mut self, command: &mut clap::Command) -> Self {
        self.usage = Some(usage_of(command));
        self
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for UsageError {}

/// The usage line and the flags, without the long text.
fn usage_of(command: &mut clap::Command) -> String {
    let mut quiet = command.clone().help_template("{usage-heading}\n  {usage}\n\n{all-args}").after_help("");
    arguments::rendered(&quiet.render_help().to_string())
}

/// What clap found wrong, said as the official CLI says it.
///
/// `arguments` is the command line, `command` the one that the mistake was made at.
pub(crate) fn from_clap(error: &clap::Error, arguments: &[String], command: &mut clap::Command) -> UsageError {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let given = context(ContextKind::InvalidArg);
    let message = match error.kind() {
        ErrorKind::UnknownArgument => unknown_flag(&given, arguments, command),
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_empty() => needs_argument(&given, arguments),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = context(ContextKind::InvalidValue);
            // Compat: the words of Go's strconv. Only switches are checked by clap.
            let reason = format!("strconv.ParseBool: parsing {}: invalid syntax", text::quoted(&value));
            invalid_argument(&value, &flag_label(&given, command), &reason)
        }
        ErrorKind::TooManyValues | ErrorKind::WrongNumberOfValues => needs_argument(&given, arguments),
        _ => text::lines(error.to_string().trim_start_matches("error: ").lines().next().unwrap_or_default()).into_owned(),
    };
    UsageError::new(message).with_usage(command)
}

/// The form in which every bad flag value is reported.
pub(crate) fn invalid_argument(value: &str, label: &str, reason: &str) -> String {
    format!("invalid argument {} for \"{label}\" flag: {reason}", text::quoted(value))
}

fn unknown_flag(given: &str, arguments: &[String], command: &clap::Command) -> String {
    match given.strip_prefix("--") {
        Some(name) => {
            let name = name.split('=').next().unwrap_or(name);
            let known: Vec<&str> = command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(clap::Arg::get_long).collect();
            let meant = text::closest(name, known).map_or(String::new(), |close| format!("\n\nDid you mean \"--{close}\"?"));
            format!("unknown flag: --{}{meant}", text::one_line(name))
        }
        None => {
            let letter = given.trim_start_matches('-').chars().next().unwrap_or('-');
            let other: char = if letter.is_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
            let meant = command.get_arguments().any(|argument| argument.get_short() == Some(other));
            let meant = if meant && other != letter { format!("\n\nDid you mean \"-{other}\"?") } else { String::new() };
            // Compat: of several letters in one word, those from the unknown one on are shown.
            let mut shorts = arguments.iter().filter(|word| !word.starts_with("--")).filter_map(|word| word.strip_prefix('-'));
            let rest = shorts.find_map(|shorts| shorts.find(letter).map(|at| &shorts[at..])).unwrap_or(given.trim_start_matches('-'));
            format!("unknown shorthand flag: '{}' in -{}{meant}", text::one_line(&letter.to_string()), text::one_line(rest))
        }
    }
}

/// `--output` or `'o' in -o`, as it was typed.
fn needs_argument(given: &str, arguments: &[String]) -> String {
    let long = given.split([' ', '=']).next().unwrap_or(given);
    let typed_short = arguments.last().filter(|last| last.starts_with('-') && !last.starts_with("--"));
    match typed_short {
        Some(short) => {
            let letter = short.chars().last().unwrap_or('-');
            format!("flag needs an argument: '{letter}' in {}", text::one_line(short))
        }
        None => format!("flag needs an argument: {}", text::one_line(long)),
    }
}

/// `-o, --output` for the flag that clap calls `--output <text>`.
fn flag_label(given: &str, command: &clap::Command) -> String {
    let long = given.split([' ', '=', '[']).next().unwrap_or(given).trim_start_matches('-');
    match command.get_arguments().find(|argument| argument.get_long() == Some(long)).and_then(clap::Arg::get_short) {
        Some(short) => format!("-{short}, --{long}"),
        None => format!("--{long}"),
    }
}
