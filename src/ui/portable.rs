//! Questions where there are no termios: dialoguer asks, on a console that is in order again by itself when the program ends.

use std::io;

use anyhow::Result;
use dialoguer::theme::ColorfulTheme;
use dialoguer::{FuzzySelect, Input, Password, Select};

use super::prompt::{Cancelled, Check, Choice, Prompter, means_yes, nothing_to_choose};
use crate::error::Failure;
use crate::secret::Secret;
use crate::text;

/// The person at the console of this process.
#[derive(Debug)]
pub(super) struct Console;

impl Prompter for Console {
    fn text(&self, label: &str, default: Option<&str>, check: Check<'_, String>) -> Result<String> {
        let theme = ColorfulTheme::default();
        let mut input = Input::<String>::with_theme(&theme).with_prompt(text::one_line(label)).allow_empty(true);
        if let Some(default) = default {
            input = input.default(default.to_owned());
        }
        let typed = input.validate_with(|typed: &String| check(typed).map(drop)).interact_text().map_err(explained)?;
        check(&typed).map_err(|why| Failure::new(why).into())
    }

    fn secret(&self, label: &str, check: Check<'_, Secret>) -> Result<Secret> {
        let theme = ColorfulTheme::default();
        let typed = Password::with_theme(&theme)
            .with_prompt(text::one_line(label))
            .allow_empty_password(true)
            .validate_with(|typed: &String| check(typed).map(drop))
            .interact()
            .map_err(explained)?;
        // Through a Secret first, so that the memory is wiped whatever the check says.
        let typed = Secret::new(typed);
        check(typed.expose()).map_err(|why| Failure::new(why).into())
    }

    fn choose(&self, label: &str, items: &[Choice], searchable: bool) -> Result<usize> {
        if items.is_empty() {
            return Err(nothing_to_choose(label));
        }
        let theme = ColorfulTheme::default();
        let rows = items.iter().map(|item| text::one_line(format!("{} {}", item.label, item.detail).trim_end()).into_owned());
        let label = text::one_line(label);
        let chosen = if searchable {
            FuzzySelect::with_theme(&theme).with_prompt(label).items(rows).default(0).max_length(10).interact()
        } else {
            Select::with_theme(&theme).with_prompt(label).items(rows).default(0).max_length(10).interact()
        };
        chosen.map_err(explained)
    }

    fn confirm(&self, question: &str) -> Result<bool> {
        let question = format!("{} [y/N]", text::one_line(question));
        let answer = Input::<String>::new().with_prompt(question).allow_empty(true).interact_text().map_err(explained)?;
        Ok(means_yes(&answer))
    }
}

fn explained(error: dialoguer::Error) -> anyhow::Error {
    let dialoguer::Error::IO(error) = error;
    match error.kind() {
        io::ErrorKind::Interrupted => Cancelled::Interrupt.into(),
        io::ErrorKind::UnexpectedEof => Cancelled::EndOfInput.into(),
        _ => Failure::new(format!("cannot ask on this console: {error}")).into(),
    }
}
