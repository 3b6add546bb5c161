//! Choosing a cluster for a profile.

use std::collections::HashMap;

use anyhow::Result;
use serde::Deserialize;

use crate::commands::endpoint;
use crate::commands::seen::Sighting;
use crate::context::{Context, Reach, Workspace};
use crate::error::Failure;
use crate::http::Request;
use crate::rest::{self, Reply, text_of};
use crate::ui::progress::{Progress, grouped};
use crate::ui::prompt::Choice;

/// Lets the user choose among the clusters that people make (not jobs); a single one is taken. Returns its id.
///
/// # Errors
/// If the workspace refuses, has no such cluster, or the user gives up.
pub(crate) fn pick(context: &Context<'_>, workspace: &Workspace) -> Result<String> {
    let mut clusters = load(context, workspace)?;
    let chosen = match clusters.len() {
        0 => return Err(Failure::new("no compatible clusters found").hint("Make one in the workspace under Compute, or leave out --configure-cluster").into()),
        1 => 0,
        _ => context.ui.prompter().choose("Choose a cluster", &clusters.iter().map(|(_, choice)| choice.clone()).collect::<Vec<_>>(), true)?,
    };
    let (id, choice) = clusters.swap_remove(chosen);
    context.ui.note(&format!("Configured cluster: {} ({id})", choice.label));
    Ok(id)
}

fn load(context: &Context<'_>, workspace: &Workspace) -> Result<Vec<(String, Choice)>> {
    let Reply::List(list) = &rest::LIST_CLUSTERS.reply else { return Ok(Vec::new()) };
    let mut progress = Progress::new(context.ui);
    progress.update(|| "Loading clusters …".to_owned());
    let runtimes = runtimes(workspace)?;
    let mut request = endpoint::list_request(&rest::LIST_CLUSTERS);
    request.query.extend(["API", "UI"].map(|source| ("filter_by.cluster_sources".into(), source.into())));
    let mut clusters = Vec::new();
    let mut sighting = Sighting::of(&rest::LIST_CLUSTERS);
    workspace.pages(&request, list.items, Reach::All, |page| {
        for listed in &page.items {
            let item = &endpoint::object(page, listed, workspace)?;
            if let Some(sighting) = &mut sighting {
                sighting.see(item);
            }
            let id = text_of(item, "cluster_id").into_owned();
            let detail =
                format!("{} {} {}", text_of(item, "state"), access(&text_of(item, "data_security_mode")), runtime(&text_of(item, "spark_version"), &runtimes));
            clusters.push((id.clone(), Choice::new(text_of(item, "cluster_name")).detail(format!("{detail} {id}"))));
        }
        progress.update(|| format!("Loading clusters: {} …", grouped(clusters.len())));
        Ok(true)
    })?;
    if let Some(sighting) = sighting {
        sighting.keep(&context.env, &workspace.credential.host, false);
    }
    Ok(clusters)
}

#[derive(Deserialize)]
struct SparkVersions {
    #[serde(default)]
    versions: Vec<SparkVersion>,
}

#[derive(Deserialize)]
struct SparkVersion {
    key: String,
    name: String,
}

/// The names of runtime versions by their keys.
fn runtimes(workspace: &Workspace) -> Result<HashMap<String, String>> {
    let response = workspace.send(&Request::get(rest::SPARK_VERSIONS.path))?;
    let versions: SparkVersions = response.json()?;
    Ok(versions.versions.into_iter().map(|version| (version.key, version.name)).collect())
}

/// `Runtime 15.4 LTS` for `15.4 LTS (includes Apache Spark 3.5.0, Scala 2.12)`.
fn runtime(key: &str, names: &HashMap<String, String>) -> String {
    let name = names.get(key).map_or_else(|| key.split(".x-").next().unwrap_or(key), |name| name.split(" (").next().unwrap_or(name));
    format!("Runtime {name}")
}

/// Who may use the cluster, in the words that the workspace's pages use.
fn access(mode: &str) -> &'static str {
    match mode {
        "USER_ISOLATION" => "Shared",
        "SINGLE_USER" => "Assigned",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_are_named_for_people() {
        let names = HashMap::from([("15.4.x-scala2.12".to_owned(), "15.4 LTS (includes Apache Spark 3.5.0, Scala 2.12)".to_owned())]);
        assert_eq!(runtime("15.4.x-scala2.12", &names), "Runtime 15.4 LTS");
        assert_eq!(runtime("16.1.x-photon-scala2.12", &names), "Runtime 16.1");
    }
}
