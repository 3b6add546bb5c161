//! `pat`: a personal access token, sent as it is (RFC 6750 bearer).

use anyhow::Result;

use crate::auth::{Credential, Lasting, Method, Ports, no_obstacle};
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::host::Host;
use crate::secret::Secret;

pub(crate) static METHOD: Method =
    Method { name: "pat", title: "Personal Access Token", needs: &[Attr::Token], automatic: true, obstacle: no_obstacle, locate: None, acquire };

fn acquire(settings: &Settings, host: Host, _: &Ports<'_>) -> Result<Credential> {
    let token = settings.secret(Attr::Token).cloned().unwrap_or_else(|| Secret::new(""));
    Ok(Credential::of(host, METHOD.name, Lasting::Token(token)))
}
