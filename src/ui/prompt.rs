//! Questions to a person: what can be asked ([`Prompter`]), and who answers where there is no person.

use std::fmt;

use anyhow::Result;

use crate::error::Failure;
use crate::secret::Secret;

/// Looks at what was typed, at every key: the value it means, or why it cannot be taken.
pub(crate) type Check<'a, T> = &'a dyn Fn(&str) -> Result<T, String>;

/// Someone who answers questions.
///
/// Three of them: the terminal, [`Refusing`] and, in tests, `Scripted`. A cancelled question is a [`Cancelled`] inside the error.
pub(crate) trait Prompter: Send + Sync {
    /// Asks for a line of text; Enter alone means the default. Returns what the check made of it.
    ///
    /// # Errors
    /// [`Cancelled`], or there is no one to ask.
    fn text(&self, label: &str, default: Option<&str>, check: Check<'_, String>) -> Result<String>;

    /// Asks for text that is not shown, neither while it is typed nor after.
    ///
    /// # Errors
    /// As [`Prompter::text`].
    fn secret(&self, label: &str, check: Check<'_, Secret>) -> Result<Secret>;

    /// As [`Prompter::secret`], while something else may make the answer needless: then `None`.
    ///
    /// Where the two cannot be waited for at once, only the other is.
    ///
    /// # Errors
    /// As [`Prompter::text`].
    fn secret_unless(&self, _: &str, _: Check<'_, Secret>, meanwhile: &mut dyn Meanwhile) -> Result<Option<Secret>> {
        while !meanwhile.turn() {
            meanwhile.rest();
        }
        Ok(None)
    }

    /// Lets one of the items be picked and returns its position; the first stands ready.
    ///
    /// # Errors
    /// As [`Prompter::text`]; also if there are no items.
    fn choose(&self, label: &str, items: &[Choice], searchable: bool) -> Result<usize>;

    /// Asks `Question [y/N]: `; only `y` and `yes` are a yes.
    ///
    /// # Errors
    /// As [`Prompter::text`].
    fn confirm(&self, question: &str) -> Result<bool>;
}

/// Work that goes on while a question is open, such as waiting for a browser.
pub(crate) trait Meanwhile {
    /// Does what can be done without waiting. Whether the question is needless now.
    fn turn(&mut self) -> bool;

    /// What has to be ready before the next turn.
    #[cfg(unix)]
    fn sources(&self) -> Vec<rustix::event::PollFd<'_>>;

    /// How long the next turn can wait if nothing of that happens.
    fn patience(&self) -> std::time::Duration;

    /// Waits until the next turn is worth it.
    fn rest(&self) {
        #[cfg(unix)]
        super::wait_for(&mut self.sources(), self.patience());
        #[cfg(not(unix))]
        std::thread::sleep(self.patience().min(std::time::Duration::from_millis(20)));
    }
}

/// One row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What is chosen, and named after the choice.
    pub(crate) label: String,
    /// Stands beside it, and is searched too.
    pub(crate) detail: String,
}

impl Choice {
    pub(crate) fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), detail: String::new() }
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

/// The person does not want to answer. Displayed as the official CLI does after `Error: `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D or Delete on an empty line.
    EndOfInput,
}

impl fmt::Display for Cancelled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Interrupt => "^C",
            Self::EndOfInput => "EOF",
        })
    }
}

impl std::error::Error for Cancelled {}

/// Answers nothing: for scripts and jobs, where waiting for a key would be waiting for ever.
///
/// Commands look at [`super::Ui::can_prompt`] first and say which flag to use; this is what happens where one did not.
#[derive(Debug)]
pub(crate) struct Refusing {
    reason: String,
}

impl Default for Refusing {
    fn default() -> Self {
        Self::saying("the command is being run in a non-interactive environment")
    }
}

impl Refusing {
    /// With this reason for everything but lists, whose reason scripts know: `expected to have <label>`.
    pub(crate) fn saying(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    fn refusal<T>(&self) -> Result<T> {
        Err(Failure::new(&*self.reason).into())
    }
}

impl Prompter for Refusing {
    fn text(&self, _: &str, _: Option<&str>, _: Check<'_, String>) -> Result<String> {
        self.refusal()
    }

    fn secret(&self, _: &str, _: Check<'_, Secret>) -> Result<Secret> {
        self.refusal()
    }

    fn choose(&self, label: &str, _: &[Choice], _: bool) -> Result<usize> {
        Err(Failure::new(format!("expected to have {label}")).into())
    }

    fn confirm(&self, _: &str) -> Result<bool> {
        self.refusal()
    }
}

/// The person at this terminal.
pub(super) fn terminal() -> Box<dyn Prompter> {
    #[cfg(unix)]
    return Box::new(super::terminal::Terminal);
    #[cfg(not(unix))]
    return Box::new(super::portable::Console);
}

pub(super) fn means_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

/// A list that offers nothing cannot be chosen from: said at once, instead of showing an empty list.
pub(super) fn nothing_to_choose(label: &str) -> anyhow::Error {
    Failure::new(format!("there is nothing to choose from for \"{label}\"")).into()
}

/// An answer that a test has prepared.
#[cfg(test)]
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Text(&'static str),
    Secret(&'static str),
    /// The label of the row.
    Choice(&'static str),
    Confirm(bool),
    Cancel(Cancelled),
}

/// Answers from a list, in order; a question of another kind, or one too many, fails.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    answers: std::sync::Mutex<std::collections::VecDeque<Answer>>,
}

#[cfg(test)]
impl Scripted {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: std::sync::Mutex::new(answers.into_iter().collect()) }
    }

    fn next<T>(&self, question: &str, matching: impl FnOnce(&Answer) -> Option<T>) -> Result<T> {
        match super::held(&self.answers).pop_front() {
            Some(Answer::Cancel(cancelled)) => Err(cancelled.into()),
            Some(answer) => matching(&answer).ok_or_else(|| anyhow::anyhow!("\"{question}\" was asked, and the prepared answer is {answer:?}")),
            None => Err(anyhow::anyhow!("no answer is prepared for \"{question}\"")),
        }
    }
}

#[cfg(test)]
impl Prompter for Scripted {
    fn text(&self, label: &str, default: Option<&str>, check: Check<'_, String>) -> Result<String> {
        let typed = self.next(label, |answer| if let Answer::Text(text) = answer { Some(*text) } else { None })?;
        check(if typed.is_empty() { default.unwrap_or_default() } else { typed }).map_err(anyhow::Error::msg)
    }

    fn secret(&self, label: &str, check: Check<'_, Secret>) -> Result<Secret> {
        let typed = self.next(label, |answer| if let Answer::Secret(text) = answer { Some(*text) } else { None })?;
        check(typed).map_err(anyhow::Error::msg)
    }

    fn secret_unless(&self, label: &str, check: Check<'_, Secret>, meanwhile: &mut dyn Meanwhile) -> Result<Option<Secret>> {
        if matches!(super::held(&self.answers).front(), Some(Answer::Secret(_))) {
            return self.secret(label, check).map(Some);
        }
        while !meanwhile.turn() {
            meanwhile.rest();
        }
        Ok(None)
    }

    fn choose(&self, label: &str, items: &[Choice], _: bool) -> Result<usize> {
        self.next(label, |answer| if let Answer::Choice(label) = answer { items.iter().position(|item| item.label == *label) } else { None })
    }

    fn confirm(&self, question: &str) -> Result<bool> {
        self.next(question, |answer| if let Answer::Confirm(yes) = answer { Some(*yes) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Ui;
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "a check may refuse")]
    fn anything(text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    #[test]
    fn prepared_secrets_pass_the_check_like_typed_ones() {
        let check = |text: &str| if text.contains(' ') { Err("no spaces".to_owned()) } else { Ok(Secret::new(text)) };
        let ui = Ui::scripted(Scripted::new([Answer::Secret("dapi1"), Answer::Secret("da pi")]));
        assert_eq!(ui.prompter().secret("Token", &check).unwrap().expose(), "dapi1");
        assert_eq!(ui.prompter().secret("Token", &check).unwrap_err().to_string(), "no spaces");
    }

    #[test]
    fn without_a_person_every_question_is_an_error() {
        let ui = Ui::captured();
        let said = |error: anyhow::Error| error.to_string();
        let reason = "the command is being run in a non-interactive environment";
        assert!(!ui.can_prompt());
        assert_eq!(said(ui.prompter().text("Host", None, &anything).unwrap_err()), reason);
        assert_eq!(said(ui.prompter().secret("Token", &|text| Ok(text.into())).unwrap_err()), reason);
        assert_eq!(said(ui.prompter().confirm("Sure?").unwrap_err()), reason);
        assert_eq!(
            said(ui.prompter().choose("The ID of the token to be revoked", &[], true).unwrap_err()),
            "expected to have The ID of the token to be revoked"
        );
    }

    #[test]
    fn scripted_answers_come_in_order() {
        let ui = Ui::scripted(Scripted::new([Answer::Text(""), Answer::Choice("b"), Answer::Confirm(true), Answer::Cancel(Cancelled::Interrupt)]));
        assert_eq!(ui.prompter().text("Name", Some("dev"), &anything).unwrap(), "dev");
        assert_eq!(ui.prompter().choose("Pick", &[Choice::new("a"), Choice::new("b")], true).unwrap(), 1);
        assert!(ui.prompter().confirm("Sure?").unwrap());
        let cancelled = ui.prompter().secret("Token", &|text| Ok(text.into())).unwrap_err();
        assert_eq!(cancelled.downcast_ref(), Some(&Cancelled::Interrupt));
        assert_eq!(cancelled.to_string(), "^C");
        assert!(ui.prompter().confirm("More?").is_err());
    }

    #[test]
    fn only_y_and_yes_are_a_yes() {
        let answers = ["y", "YES", " Yes ", "", "n", "yeah", "j", "true"].map(means_yes);
        assert_eq!(answers, [true, true, true, false, false, false, false, false]);
    }
}
