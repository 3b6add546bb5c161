//! Ways of handing a credential to somebody else: one [`Format`] per file, and the list of them.

use anyhow::Result;
use zeroize::Zeroizing;

use crate::auth::Credential;
use crate::error::Failure;

mod dotenv;
mod fish;
mod github;
mod json;
pub(crate) mod netrc;
mod pwsh;
mod sh;
mod systemd;

/// Every format; the first is the one that `auth env` prints when nobody asks for another.
pub(crate) static FORMATS: &[&Format] =
    &[&json::FORMAT, &sh::FORMAT, &fish::FORMAT, &pwsh::FORMAT, &dotenv::FORMAT, &github::FORMAT, &systemd::FORMAT, &netrc::FORMAT];

/// One way of writing a credential down.
#[derive(Debug)]
pub(crate) struct Format {
    /// As it is asked for.
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    /// What it writes, as help texts show it.
    pub(crate) about: &'static str,
    /// Writes it down; everything in it is read back byte for byte, or it fails.
    pub(crate) write: fn(&Parcel<'_>) -> Result<Handover>,
}

/// What is handed over.
#[derive(Debug)]
pub(crate) struct Parcel<'a> {
    /// `None` where only the variables count.
    pub(crate) credential: Option<&'a Credential>,
    /// Sorted by name, each name once.
    pub(crate) variables: Vec<Variable<'a>>,
}

/// An environment variable.
pub(crate) struct Variable<'a> {
    pub(crate) name: &'static str,
    pub(crate) value: &'a str,
    pub(crate) secret: bool,
}

/// What a format made.
#[derive(Default)]
pub(crate) struct Handover {
    /// For standard output.
    pub(crate) text: Zeroizing<String>,
    /// Whether the text is JSON, which the output layer lays out.
    pub(crate) is_json: bool,
    /// What goes to a file after the text is out: the variable that names the file, and whole lines to add to it.
    pub(crate) file: Option<(&'static str, Zeroizing<String>)>,
    /// What a user should know about the result.
    pub(crate) remarks: Vec<String>,
}

impl std::fmt::Debug for Variable<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Handover").field("remarks", &self.remarks).finish_non_exhaustive()
    }
}

impl Handover {
    /// Text for standard output and nothing else.
    fn text(text: Zeroizing<String>) -> Self {
        Self { text, ..Self::default() }
    }
}

impl Parcel<'_> {
    /// What each variable becomes, one after the other.
    fn lines(&self, format: &Format, line: impl Fn(&Variable<'_>, &mut String) -> Result<(), Failure>) -> Result<Zeroizing<String>> {
        // Room for a text in which every character is escaped: one that grows leaves its old copies in memory.
        let room = self.variables.iter().map(|variable| variable.name.len() + variable.value.len() * 16 + 128).sum();
        let mut text = Zeroizing::new(String::with_capacity(room));
        for variable in &self.variables {
            if variable.value.contains('\0') {
                variable.refuse(format, "its value contains NUL, which no environment can hold")?;
            }
            line(variable, &mut text)?;
        }
        Ok(text)
    }
}

impl Variable<'_> {
    /// Refuses to write it in this format. Never quotes the value: it may be a secret.
    fn refuse<T>(&self, format: &Format, why: &str) -> Result<T, Failure> {
        Err(Failure::new(format!("{} cannot be written as {}: {why}", self.name, format.name)).hint("--format json can hold every value"))
    }

    /// Refuses a value with control characters, but for those that the format can carry.
    fn check_controls(&self, format: &Format, carried: &[char]) -> Result<(), Failure> {
        match self.value.chars().find(|character| character.is_control() && !carried.contains(character)) {
            Some(odd) => self.refuse(format, &format!("its value contains the control character {}", odd.escape_default())),
            None => Ok(()),
        }
    }
}

/// The format of this name.
pub(crate) fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().copied().find(|format| format.name == name || format.aliases.contains(&name))
}

#[cfg(test)]
mod tests;
