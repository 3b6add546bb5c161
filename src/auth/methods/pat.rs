//! `pat`: a personal access token, sent as it is (RFC 6750 bearer).

use anyhow::Result;

use crate::auth::{Credential, Method};
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::host::Host;
use crate::secret::Secret;

pub(crate) static METHOD: Method = Method { name: "pat", title: "Personal Access Token", needs: &[Attr::Token], acquire };

fn acquire(settings: &Settings, host: Host) -> Result<Credential> {
    let token = settings.secret(Attr::Token).map(Secret::expose).unwrap_or_default();
    let header = Secret::new(format!("Bearer {token}"));
    Ok(Credential { host, headers: vec![("Authorization", header)], method: METHOD.name })
}
