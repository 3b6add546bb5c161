//! `google-credentials`: the key of a Google service account.
//! <https://docs.databricks.com/gcp/en/dev-tools/auth/authentication-google-id>

use anyhow::Result;

use crate::auth::{Credential, Method, Ports, google};
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::host::Host;

pub(crate) static METHOD: Method = Method {
    name: "google-credentials",
    title: "Google credentials",
    needs: &[Attr::GoogleCredentials],
    automatic: true,
    obstacle: google::obstacle,
    locate: None,
    acquire,
};

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    let (account, json) = google::credentials(settings).map_err(|error| error.context(METHOD.name))?;
    let audience = host.clone();
    google::credential(METHOD.name, host, &account.email, &json, ports, &|| account.id_token(ports, &audience), &|| account.access_token(ports))
}
