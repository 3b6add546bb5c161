//! `.env` files, which have no standard. Written such that python-dotenv, the dotenv of Node (and `node --env-file`) and `docker run --env-file` read the same.
//!
//! Docker knows no quotes: what stands behind `=` is the value. So a value stands bare wherever the two others read it as it is; tokens and addresses always do. Else it
//! stands in quotes, for those who know them, and the user is told.

use anyhow::Result;

use crate::error::Failure;
use crate::handover::{Format, Handover, Parcel, Variable};

pub(crate) static FORMAT: Format = Format { name: "dotenv", aliases: &[], about: "lines for a .env file", write };

fn write(parcel: &Parcel<'_>) -> Result<Handover> {
    let text = parcel.lines(&FORMAT, |variable, text| {
        let quote = quote(variable)?;
        text.extend([variable.name, "=", quote, variable.value, quote, "\n"]);
        Ok(())
    })?;
    let mut handover = Handover::text(text);
    for variable in parcel.variables.iter().filter(|variable| !is_plain(variable.value)) {
        handover.remarks.push(format!("{} stands in quotes, which docker run --env-file takes for a part of the value", variable.name));
    }
    Ok(handover)
}

/// Whether all three read the value as it is: it has no beginning of a comment for Node, no quote in front, and no blanks that are cut off.
fn is_plain(value: &str) -> bool {
    value.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}') == value
        && !value.starts_with(['"', '\'', '`'])
        && !value.contains('#')
        && !value.contains(char::is_control)
}

/// The quotes in which python-dotenv and Node read the value as it is.
fn quote(variable: &Variable<'_>) -> Result<&'static str, Failure> {
    variable.check_controls(&FORMAT, &['\n', '\t'])?;
    let value = variable.value;
    if value.split_once("${").is_some_and(|(_, rest)| rest.contains('}')) {
        return variable.refuse(&FORMAT, "its value contains ${…}, which python-dotenv replaces whatever the quotes");
    }
    match () {
        () if is_plain(value) => Ok(""),
        // In single quotes python-dotenv knows \\ and \', Node knows nothing.
        () if !value.contains('\'') && !value.contains("\\\\") && !value.ends_with('\\') => Ok("'"),
        // In double quotes each knows other escapes.
        () if !value.contains(['"', '\\']) => Ok("\""),
        () => variable.refuse(&FORMAT, "readers of .env files agree on no way to quote its value"),
    }
}
