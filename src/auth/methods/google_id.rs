//! `google-id`: a Google service account that one may act as, by Google's application default credentials.
//! <https://docs.databricks.com/gcp/en/dev-tools/auth/authentication-google-id>

use anyhow::Result;

use crate::auth::google::{self, Application};
use crate::auth::{Credential, Method, Ports};
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::host::Host;

pub(crate) static METHOD: Method =
    Method { name: "google-id", title: "Google ID", needs: &[Attr::GoogleServiceAccount], automatic: true, obstacle: google::obstacle, locate: None, acquire };

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    let account = settings.text(Attr::GoogleServiceAccount).unwrap_or_default();
    let application = Application::find(ports.env).map_err(|error| error.context(METHOD.name))?;
    let audience = host.clone();
    let id_token = || application.id_token_of(ports, account, &audience);
    google::credential(METHOD.name, host, account, &application.fingerprint(), ports, &id_token, &|| application.access_token_of(ports, account))
}
