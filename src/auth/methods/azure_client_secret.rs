//! `azure-client-secret`: a service principal of Entra ID with its secret (RFC 6749, section 4.4).
//! <https://learn.microsoft.com/azure/databricks/dev-tools/auth/azure-sp>

use anyhow::Result;

use crate::auth::azure::{self, Entra, Identity};
use crate::auth::{Credential, Locate, Method, Ports};
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::host::Host;
use crate::secret::Secret;

pub(crate) static METHOD: Method = Method {
    name: "azure-client-secret",
    title: "Azure service principal with a secret",
    needs: &[Attr::AzureClientId, Attr::AzureClientSecret],
    automatic: true,
    obstacle: |settings, _| azure::obstacle_without_tenant(settings),
    locate: Some(Locate { from: Attr::AzureWorkspaceResourceId, find: locate }),
    acquire,
};

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    with_identity(settings, Some(&host.clone()), ports, |identity| identity.credential(settings, host, ports))
}

fn locate(settings: &Settings, ports: &Ports<'_>) -> Result<Host> {
    with_identity(settings, None, ports, |identity| identity.locate(settings, ports))
}

fn with_identity<T>(settings: &Settings, host: Option<&Host>, ports: &Ports<'_>, work: impl FnOnce(&Identity<'_>) -> Result<T>) -> Result<T> {
    let entra = Entra::new(settings, host, ports)?;
    let id = settings.text(Attr::AzureClientId).unwrap_or_default();
    let secret = settings.secret(Attr::AzureClientSecret).cloned().unwrap_or_else(|| Secret::new(""));
    let tenant = settings.text(Attr::AzureTenantId).unwrap_or_default();
    let version = settings.text(Attr::AzureTokenVersion).unwrap_or_default().trim();
    work(&Identity {
        method: METHOD.name,
        parts: &[id, tenant, entra.authority().as_str(), version],
        secret: Some(&secret),
        mint: &|resource| entra.token(METHOD.name, resource, id, vec![("client_secret", secret.clone())]),
        shows_rights: true,
    })
}
