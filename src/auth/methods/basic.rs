//! `basic`: user name and password (RFC 7617).

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::auth::{Credential, Method};
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::host::Host;
use crate::secret::Secret;

pub(crate) static METHOD: Method = Method { name: "basic", title: "Basic", needs: &[Attr::Username, Attr::Password], acquire };

fn acquire(settings: &Settings, host: Host) -> Result<Credential> {
    let user = settings.text(Attr::Username).unwrap_or_default();
    let password = settings.secret(Attr::Password).map(Secret::expose).unwrap_or_default();
    let pair = Zeroizing::new(format!("{user}:{password}"));
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    let header = Secret::new(format!("Basic {}", encoded.as_str()));
    Ok(Credential { host, headers: vec![("Authorization", header)], method: METHOD.name })
}
