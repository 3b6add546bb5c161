//! `env-oidc`: an id token in a variable of the environment, exchanged for a token (workload identity federation).
//! <https://docs.databricks.com/aws/en/dev-tools/auth/oauth-federation-provider>

use anyhow::Result;

use crate::auth::federation::{self, Source};
use crate::auth::{Credential, Method, Ports, oidc};
use crate::config::settings::Settings;
use crate::host::Host;

pub(crate) static METHOD: Method =
    Method { name: "env-oidc", title: "OIDC from environment", needs: &[], automatic: true, obstacle: oidc::env_obstacle, locate: None, acquire };

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    let id_token = oidc::env_id_token(settings, ports.env).map_err(|error| error.context(METHOD.name))?;
    let fingerprint = oidc::identity(&id_token);
    federation::credential(settings, host, ports, &Source { method: METHOD.name, fingerprint, id_token: &|_| Ok(id_token.clone()) })
}
