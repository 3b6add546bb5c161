//! `github-oidc`: the id token of a job of GitHub Actions, exchanged for a token (workload identity federation).
//! <https://docs.databricks.com/aws/en/dev-tools/auth/provider-github>

use anyhow::Result;

use crate::auth::federation::{self, Source};
use crate::auth::oauth::server::Server;
use crate::auth::{Credential, Method, Ports, oidc};
use crate::config::settings::Settings;
use crate::host::Host;

pub(crate) static METHOD: Method = Method {
    name: "github-oidc",
    title: "GitHub Actions OIDC",
    needs: &[],
    automatic: true,
    obstacle: |settings, _| oidc::github_obstacle(settings),
    locate: None,
    acquire,
};

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    let asked = host.clone();
    let id_token = |server: &Server<'_>| oidc::github_id_token(settings, ports, &federation::audience(settings, &asked, server)?);
    // Address and token are those of one job: a later job on the same machine never meets what this one got.
    let fingerprint = oidc::github_job(settings);
    federation::credential(settings, host, ports, &Source { method: METHOD.name, fingerprint, id_token: &id_token })
}
