//! `file-oidc`: an id token in a file, such as a Kubernetes service account's, exchanged for a token (workload identity federation).
//! <https://docs.databricks.com/aws/en/dev-tools/auth/oauth-federation-provider>
//!
//! Whoever writes the file replaces it before its token ends, so it is read each time.

use anyhow::Result;

use crate::auth::federation::{self, Source};
use crate::auth::{Credential, Method, Ports, oidc};
use crate::config::settings::Settings;
use crate::host::Host;

pub(crate) static METHOD: Method = Method {
    name: "file-oidc",
    title: "OIDC from file",
    needs: &[],
    automatic: true,
    obstacle: |settings, _| oidc::file_obstacle(settings),
    locate: None,
    acquire,
};

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    let id_token = oidc::file_id_token(settings).map_err(|error| error.context(METHOD.name))?;
    let fingerprint = oidc::identity(&id_token);
    federation::credential(settings, host, ports, &Source { method: METHOD.name, fingerprint, id_token: &|_| Ok(id_token.clone()) })
}
