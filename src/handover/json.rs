//! The JSON of `auth env`: `{"env": {"DATABRICKS_HOST": …}}`, which scripts read with `jq`.

use std::collections::BTreeMap;

/// The document with its variables sorted by name, as raw JSON for the output layer.
pub(crate) fn document(variables: &[(&str, &str)]) -> serde_json::Result<String> {
    let sorted: BTreeMap<&str, &str> = variables.iter().copied().collect();
    serde_json::to_string(&BTreeMap::from([("env", sorted)]))
}
