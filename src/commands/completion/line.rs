//! The command line in front of the cursor, understood as far as it goes.

use crate::commands::{self, Node};

/// What was typed, and what the cursor is at.
#[derive(Debug)]
pub(crate) struct Line<'c, 't> {
    /// The clap command that the words lead to.
    pub(crate) command: &'c clap::Command,
    /// Those words.
    pub(crate) words: Vec<&'t str>,
    /// What they lead to; `None` at the top level.
    pub(crate) node: Option<Node>,
    /// The words behind, that are no commands.
    pub(crate) positionals: Vec<&'t str>,
    flags: Vec<(&'c clap::Arg, Option<&'t str>)>,
    pub(crate) cursor: Cursor<'c, 't>,
}

/// What the cursor is at, with what is typed of it.
#[derive(Debug)]
pub(crate) enum Cursor<'c, 't> {
    /// The value of a flag. `glued` is what stands in front of it in the same word, where the answer has to repeat it (`-pfoo`).
    Value { flag: &'c clap::Arg, glued: &'t str, typed: &'t str },
    /// A flag itself.
    Flag(&'t str),
    /// A command or a positional argument.
    Word(&'t str),
}

impl<'c, 't> Line<'c, 't> {
    /// Understands the words and the last of them, which is the one under the cursor. `root` is the whole command line of clap, built.
    pub(crate) fn new(root: &'c clap::Command, typed: &'t [String], current: &'t str) -> Self {
        let mut line = Self { command: root, words: Vec::new(), node: None, positionals: Vec::new(), flags: Vec::new(), cursor: Cursor::Word(current) };
        let mut expecting = None;
        let mut only_words = false;
        for word in typed {
            let word = word.as_str();
            if let Some(flag) = expecting.take() {
                line.flags.push((flag, Some(word)));
            } else if !only_words && word == "--" {
                only_words = true;
            } else if !only_words && is_flag(word) {
                match line.flag(word) {
                    Some(Given { flag, value: None, .. }) if takes_next(flag) => expecting = Some(flag),
                    Some(given) => line.flags.push((given.flag, given.value)),
                    None => {}
                }
            } else {
                match line.command.find_subcommand(word).filter(|_| line.positionals.is_empty()) {
                    Some(below) => {
                        line.command = below;
                        line.words.push(word);
                    }
                    None => line.positionals.push(word),
                }
            }
        }
        line.node = commands::walk(&line.words).0;
        line.cursor = match expecting {
            Some(flag) => Cursor::Value { flag, glued: "", typed: current },
            None if !only_words && current.starts_with('-') => match line.flag(current) {
                Some(Given { flag, value: Some(typed), glued }) => Cursor::Value { flag, glued, typed },
                _ => Cursor::Flag(current),
            },
            None => Cursor::Word(current),
        };
        line
    }

    /// Whether a flag stands on the line already.
    pub(crate) fn has(&self, flag: &clap::Arg) -> bool {
        self.flags.iter().any(|(given, _)| given.get_id() == flag.get_id())
    }

    /// The value of a flag; the last of several counts.
    pub(crate) fn value(&self, name: &str) -> Option<&'t str> {
        self.flags.iter().rev().find(|(flag, _)| flag.get_long() == Some(name)).and_then(|(_, value)| *value)
    }

    /// Whether there is a word where only a command could stand.
    pub(crate) fn is_lost(&self) -> bool {
        !self.positionals.is_empty() && matches!(self.node, None | Some(Node::Group(_) | Node::Api(_)))
    }

    /// The flag of a word that begins with a dash.
    fn flag(&self, word: &'t str) -> Option<Given<'c, 't>> {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let flag = self.command.get_arguments().find(|flag| flag.get_long() == Some(name))?;
            return Some(Given { flag, value, glued: "" });
        }
        for (at, letter) in word.char_indices().skip(1) {
            let flag = self.command.get_arguments().find(|flag| flag.get_short() == Some(letter))?;
            let behind = at + letter.len_utf8();
            let rest = &word[behind..];
            if rest.is_empty() || !takes_next(flag) {
                if rest.is_empty() {
                    return Some(Given { flag, value: None, glued: "" });
                }
                continue;
            }
            // Compat: to `-p=x` the answer is the value alone, as to `--profile=x`.
            let given =
                rest.strip_prefix('=').map_or(Given { flag, value: Some(rest), glued: &word[..behind] }, |value| Given { flag, value: Some(value), glued: "" });
            return Some(given);
        }
        None
    }
}

/// A flag as it stands in a word.
struct Given<'c, 't> {
    flag: &'c clap::Arg,
    value: Option<&'t str>,
    glued: &'t str,
}

fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

/// Whether the next word is the flag's value.
fn takes_next(flag: &clap::Arg) -> bool {
    flag.get_action().takes_values() && !flag.is_require_equals_set()
}
