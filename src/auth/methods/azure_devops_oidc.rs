//! `azure-devops-oidc`: the id token of a job of Azure Pipelines, exchanged for a token (workload identity federation).
//! <https://docs.databricks.com/aws/en/dev-tools/auth/provider-azure-devops>

use anyhow::Result;

use crate::auth::federation::{self, Source};
use crate::auth::{Credential, Method, Ports, oidc};
use crate::config::settings::Settings;
use crate::host::Host;

pub(crate) static METHOD: Method = Method {
    name: "azure-devops-oidc",
    title: "Azure DevOps OIDC",
    needs: &[],
    automatic: true,
    obstacle: |_, env| oidc::azure_devops_obstacle(env),
    locate: None,
    acquire,
};

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    let fingerprint = oidc::azure_devops_job(ports.env)?;
    federation::credential(settings, host, ports, &Source { method: METHOD.name, fingerprint, id_token: &|_| oidc::azure_devops_id_token(ports) })
}
