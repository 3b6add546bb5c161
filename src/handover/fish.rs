//! The fish shell: `databricks auth env --format fish | source`.

use anyhow::Result;

use crate::handover::{Format, Handover, Parcel};

pub(crate) static FORMAT: Format = Format { name: "fish", aliases: &[], about: "set lines for fish", write };

/// Every command stands on a line of its own and ends with `;`, because `eval (…)` joins the lines with spaces.
fn write(parcel: &Parcel<'_>) -> Result<Handover> {
    let text = parcel.lines(&FORMAT, |variable, text| {
        text.extend(["set -gx ", variable.name, " '"]);
        for character in variable.value.chars() {
            match character {
                '\'' => text.push_str("\\'"),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("'\\n'"),
                other => text.push(other),
            }
        }
        text.push_str("';\n");
        Ok(())
    })?;
    Ok(Handover::text(text))
}
