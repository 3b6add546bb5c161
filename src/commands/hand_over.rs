//! What `auth env` and `database env` share: the flag `--format`, and bringing what a format made to its reader.

use anyhow::Result;
use clap::ArgMatches;

use crate::commands::arguments;
use crate::commands::usage::{UsageError, invalid_argument};
use crate::context::Context;
use crate::error::Failure;
use crate::files;
use crate::handover::{self, FORMATS, Format, Handover};
use crate::ui::Audience;

/// The flag `--format` with these formats.
pub(super) fn flag(formats: &[&'static Format]) -> clap::Arg {
    let names: Vec<&str> = formats.iter().map(|format| format.name).collect();
    let said: Vec<String> = formats.iter().map(|format| format!("{} ({})", format.name, format.about)).collect();
    arguments::value("format", names.join("|").leak(), &format!("How to write them: {}", said.join(", ")))
}

/// The format that was asked for; the first of all where none was.
///
/// # Errors
/// If it is none of these.
pub(super) fn chosen(context: &Context<'_>, matches: &ArgMatches, formats: &[&'static Format]) -> Result<&'static Format> {
    let Some(name) = arguments::text(matches, "format") else { return Ok(FORMATS[0]) };
    handover::find(name).filter(|found| formats.iter().any(|format| format.name == found.name)).ok_or_else(|| {
        let known: Vec<&str> = formats.iter().flat_map(|format| std::iter::once(&format.name).chain(format.aliases)).copied().collect();
        context.usage_error(UsageError::new(invalid_argument(name, "--format", &format!("accepted arguments are {}", known.join(", ")))))
    })
}

/// The line with which a shell of this name takes a variable out; `None` for what is no shell.
pub(super) fn unset_line(shell: &str, name: &str) -> Option<String> {
    match shell {
        "sh" => Some(format!("unset {name}\n")),
        "fish" => Some(format!("set -e {name};\n")),
        "pwsh" => Some(format!("Remove-Item Env:{name}\n")),
        _ => None,
    }
}

/// Prints what was made, and adds the lines that go to a file once the text is out, because the text may mask what they hold.
///
/// # Errors
/// If the job has no such file, nobody reads the text, or the file cannot be written. Where it is to go is known before anything goes out.
pub(super) fn bring(context: &Context<'_>, format: &Format, made: &Handover) -> Result<()> {
    let file = match &made.file {
        None => None,
        Some((variable, lines)) => {
            let path = context.env.path(variable).ok_or_else(|| {
                Failure::new(format!("{variable} is not set: --format {} is for a job that has a file there", format.name))
                    .hint(format!("To see the variables here: databricks {} --format dotenv", context.command))
            })?;
            Some((path, lines))
        }
    };
    if made.is_json {
        context.ui.out_json_bare(&made.text)?;
    } else {
        context.ui.out(&made.text);
    }
    for remark in &made.remarks {
        context.ui.warn(remark);
    }
    let Some((path, lines)) = file else { return Ok(()) };
    if context.ui.flush()? == Audience::Gone {
        return Err(Failure::new(format!("nobody reads standard output, so the secrets could not be masked: nothing was written to {}", path.display()))
            .hint("Let the job's log have it: do not redirect standard output")
            .into());
    }
    Ok(files::append_lines(&path, lines)?)
}
