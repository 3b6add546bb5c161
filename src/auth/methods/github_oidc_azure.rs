//! `github-oidc-azure`: a job of GitHub Actions as a service principal of Entra ID, by a federated credential (RFC 7523, section 2.2).
//! <https://learn.microsoft.com/entra/workload-id/workload-identity-federation>

use anyhow::Result;

use crate::auth::azure::{self, Entra, Identity};
use crate::auth::{Credential, Locate, Method, Ports, oidc};
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::host::Host;
use crate::secret::Secret;

pub(crate) static METHOD: Method = Method {
    name: "github-oidc-azure",
    title: "GitHub Actions as an Azure service principal",
    needs: &[Attr::AzureClientId, Attr::ActionsIdTokenRequestUrl, Attr::ActionsIdTokenRequestToken],
    automatic: true,
    obstacle: |settings, _| azure::obstacle_without_tenant(settings),
    locate: Some(Locate { from: Attr::AzureWorkspaceResourceId, find: locate }),
    acquire,
};

/// Whom Entra ID wants the id token to be for.
const AUDIENCE: &str = "api://AzureADTokenExchange";
/// RFC 7523, section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    with_identity(settings, Some(&host.clone()), ports, |identity| identity.credential(settings, host, ports))
}

fn locate(settings: &Settings, ports: &Ports<'_>) -> Result<Host> {
    with_identity(settings, None, ports, |identity| identity.locate(settings, ports))
}

fn with_identity<T>(settings: &Settings, host: Option<&Host>, ports: &Ports<'_>, work: impl FnOnce(&Identity<'_>) -> Result<T>) -> Result<T> {
    let entra = Entra::new(settings, host, ports)?;
    let id = settings.text(Attr::AzureClientId).unwrap_or_default();
    let tenant = settings.text(Attr::AzureTenantId).unwrap_or_default();
    let version = settings.text(Attr::AzureTokenVersion).unwrap_or_default().trim();
    // One of them for each exchange: it lives for minutes.
    let proof = || {
        let assertion = oidc::github_id_token(settings, ports, AUDIENCE)?;
        anyhow::Ok(vec![("client_assertion_type", Secret::new(ASSERTION_TYPE)), ("client_assertion", assertion)])
    };
    work(&Identity {
        method: METHOD.name,
        parts: &[id, tenant, entra.authority().as_str(), version],
        // What a job may do ends with the job: another one, with another token to ask with, does not find what this one had.
        secret: settings.secret(Attr::ActionsIdTokenRequestToken),
        mint: &|resource| entra.token(METHOD.name, resource, id, proof()?),
        shows_rights: false,
    })
}
