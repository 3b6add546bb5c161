//! A job of GitHub Actions: `databricks auth env --format github` in one step, the variables in all steps after it.
//!
//! The secrets are masked first, by commands on standard output; then the variables go to the file that `GITHUB_ENV` names.

use anyhow::Result;

use crate::env;
use crate::handover::{Format, Handover, Parcel};

pub(crate) static FORMAT: Format = Format { name: "github", aliases: &[], about: "masks, then lines in $GITHUB_ENV", write };

fn write(parcel: &Parcel<'_>) -> Result<Handover> {
    let variables = parcel.lines(&FORMAT, |variable, text| {
        if variable.value.contains('\r') {
            // The runner ends a line of output there, and with it the mask.
            variable.refuse(&FORMAT, "its value contains a carriage return")?;
        }
        if variable.value.contains('\n') {
            // A delimiter that nobody can know cannot end the value early.
            let delimiter = format!("ghadelimiter_{}", uuid::Uuid::new_v4().simple());
            text.extend([variable.name, "<<", &delimiter, "\n", variable.value, "\n", &delimiter, "\n"]);
        } else {
            text.extend([variable.name, "=", variable.value, "\n"]);
        }
        Ok(())
    })?;
    let masks = parcel.lines(&FORMAT, |variable, text| {
        // The log is masked line by line.
        for line in variable.value.lines().filter(|line| variable.secret && !line.trim().is_empty()) {
            text.push_str("::add-mask::");
            for character in line.chars() {
                match character {
                    '%' => text.push_str("%25"),
                    other => text.push(other),
                }
            }
            text.push('\n');
        }
        Ok(())
    })?;
    Ok(Handover { file: Some((env::GITHUB_ENV, variables)), ..Handover::text(masks) })
}
