//! POSIX shells: `eval "$(databricks auth env --format sh)"`.

use anyhow::Result;

use crate::handover::{Format, Handover, Parcel};

pub(crate) static FORMAT: Format = Format { name: "sh", aliases: &["bash", "dash", "zsh"], about: "export lines for sh, bash, dash, zsh", write };

/// Between single quotes nothing has a meaning but the closing quote, in every shell and with every option.
fn write(parcel: &Parcel<'_>) -> Result<Handover> {
    let text = parcel.lines(&FORMAT, |variable, text| {
        text.extend(["export ", variable.name, "='"]);
        for character in variable.value.chars() {
            match character {
                '\'' => text.push_str("'\\''"),
                other => text.push(other),
            }
        }
        text.push_str("'\n");
        Ok(())
    })?;
    Ok(Handover::text(text))
}
