//! PowerShell: `databricks auth env --format pwsh | Invoke-Expression`.

use std::fmt::Write as _;

use anyhow::Result;

use crate::handover::{Format, Handover, Parcel};

pub(crate) static FORMAT: Format = Format { name: "pwsh", aliases: &["powershell"], about: "assignments for PowerShell", write };

/// Everything but printable ASCII is written by its number: PowerShell reads a program's output line by line and in the code page of the console, and takes typographic
/// quotes (U+2018 to U+201B) for quotes.
fn write(parcel: &Parcel<'_>) -> Result<Handover> {
    let text = parcel.lines(&FORMAT, |variable, text| {
        text.extend(["$env:", variable.name, " = '"]);
        for unit in variable.value.encode_utf16() {
            match u8::try_from(unit) {
                Ok(b'\'') => text.push_str("''"),
                Ok(byte @ 0x20..=0x7e) => text.push(char::from(byte)),
                // Writing to a text cannot fail.
                _ => drop(write!(text, "'+[char]{unit}+'")),
            }
        }
        text.push_str("'\n");
        Ok(())
    })?;
    Ok(Handover::text(text))
}
