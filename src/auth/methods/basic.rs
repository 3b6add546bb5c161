//! `basic`: user name and password (RFC 7617).

use anyhow::Result;

use crate::auth::{Credential, Lasting, Method, Ports, no_obstacle};
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::host::Host;
use crate::secret::Secret;

pub(crate) static METHOD: Method =
    Method { name: "basic", title: "Basic", needs: &[Attr::Username, Attr::Password], automatic: true, obstacle: no_obstacle, locate: None, acquire };

fn acquire(settings: &Settings, host: Host, _: &Ports<'_>) -> Result<Credential> {
    let user = settings.text(Attr::Username).unwrap_or_default().to_owned();
    let password = settings.secret(Attr::Password).cloned().unwrap_or_else(|| Secret::new(""));
    Ok(Credential::of(host, METHOD.name, Lasting::Password { user, password }))
}
