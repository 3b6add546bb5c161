//! systemd's `EnvironmentFile=`.

use anyhow::Result;

use crate::handover::{Format, Handover, Parcel};

pub(crate) static FORMAT: Format = Format { name: "systemd", aliases: &[], about: "lines for EnvironmentFile=", write };

fn write(parcel: &Parcel<'_>) -> Result<Handover> {
    let text = parcel.lines(&FORMAT, |variable, text| {
        // systemd.exec(5): no control characters but tabs and line feeds.
        variable.check_controls(&FORMAT, &['\n', '\t'])?;
        let is_plain = variable.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.,:/@%+=~^".contains(&byte));
        let quote = if is_plain { "" } else { "\"" };
        text.extend([variable.name, "=", quote]);
        for character in variable.value.chars() {
            if matches!(character, '"' | '\\' | '$' | '`') {
                text.push('\\');
            }
            text.push(character);
        }
        text.extend([quote, "\n"]);
        Ok(())
    })?;
    Ok(Handover::text(text))
}
