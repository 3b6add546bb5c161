//! `{"env": {"DATABRICKS_HOST": …}}`, which scripts read with `jq`.

use std::collections::BTreeMap;

use anyhow::Result;
use zeroize::Zeroizing;

use crate::handover::{Format, Handover, Parcel};

pub(crate) static FORMAT: Format = Format { name: "json", aliases: &[], about: "JSON", write };

fn write(parcel: &Parcel<'_>) -> Result<Handover> {
    let variables: BTreeMap<&str, &str> = parcel.variables.iter().map(|variable| (variable.name, variable.value)).collect();
    let text = Zeroizing::new(serde_json::to_string(&BTreeMap::from([("env", variables)]))?);
    Ok(Handover { is_json: true, ..Handover::text(text) })
}
