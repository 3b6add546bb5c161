//! `azure-msi`: the managed identity of the Azure machine on which the program runs.
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>

use std::time::Duration;

use anyhow::Result;

use crate::auth::azure::{self, Identity};
use crate::auth::oauth::reply::{self, Flaw};
use crate::auth::session::Ended;
use crate::auth::{Credential, Locate, Method, Ports};
use crate::clock;
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::env::Env;
use crate::error::Failure;
use crate::host::Host;
use crate::http::{ApiError, NetworkError, Request};
use crate::storage::StoredToken;

pub(crate) static METHOD: Method = Method {
    name: "azure-msi",
    title: "Azure managed identity",
    needs: &[Attr::AzureUseMsi],
    automatic: true,
    obstacle,
    locate: Some(Locate { from: Attr::AzureWorkspaceResourceId, find: locate }),
    acquire,
};

const API_VERSION: &str = "2018-02-01";
/// The service is on the machine itself: where none answers at once, there is none.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// For a token, repeats included: while the service starts it asks to come back.
const LIMIT: Duration = Duration::from_secs(10);

fn obstacle(settings: &Settings, _: &Env) -> Option<String> {
    if !settings.switch(Attr::AzureUseMsi) {
        return Some("azure_use_msi is not true".to_owned());
    }
    azure::obstacle(settings)
}

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    with_identity(settings, ports, |identity| identity.credential(settings, host, ports))
}

fn locate(settings: &Settings, ports: &Ports<'_>) -> Result<Host> {
    with_identity(settings, ports, |identity| identity.locate(settings, ports))
}

fn with_identity<T>(settings: &Settings, ports: &Ports<'_>, work: impl FnOnce(&Identity<'_>) -> Result<T>) -> Result<T> {
    let service = azure::metadata_service(ports.env)?;
    let id = settings.text(Attr::AzureClientId);
    work(&Identity {
        method: METHOD.name,
        parts: &[id.unwrap_or_default(), service.name()],
        secret: None,
        mint: &|resource| token(&service, resource, id, ports),
        shows_rights: true,
    })
}

/// Asks the service for a token. Nothing is proved: that the question comes from the machine is proof enough, and the header keeps others from asking through it.
fn token(service: &Host, resource: &str, client_id: Option<&str>, ports: &Ports<'_>) -> Result<StoredToken> {
    let mut request = Request::get("/metadata/identity/oauth2/token").query("api-version", API_VERSION).query("resource", resource).header("Metadata", "true");
    if let Some(id) = client_id {
        request = request.query("client_id", id);
    }
    let response = azure::client_with(ports, service, LIMIT, CONNECT_LIMIT)?.send(None, &request).map_err(|error| explain(service, client_id, error))?;
    let no_token = |why: &str| Failure::new(format!("azure-msi: {service} {why}")).hint(NOT_ON_AZURE);
    match reply::read(&response.body, clock::now()) {
        Ok(Ok(token)) => Ok(token),
        Ok(Err(Flaw::Refused { description, .. })) => Err(no_token(&format!("gives no token: {}", crate::text::one_line(&description))).into()),
        Ok(Err(Flaw::NoToken)) => Err(no_token("answered without a token").into()),
        Err(_) => Err(no_token("did not answer with JSON").into()),
    }
}

const NOT_ON_AZURE: &str = "A managed identity is had on machines of Azure only; elsewhere set auth_type to another method, such as azure-cli";

fn explain(service: &Host, client_id: Option<&str>, error: anyhow::Error) -> anyhow::Error {
    if let Some(refusal) = error.downcast_ref::<ApiError>() {
        let failure = Failure::new(format!("azure-msi: {service} gives no token: {refusal} (HTTP status {})", refusal.status));
        return match (refusal.status, client_id) {
            (400 | 404, Some(id)) => {
                let hint = format!("Check that the managed identity {} is assigned to this machine (azure_client_id)", crate::text::one_line(id));
                failure.hint(hint).marked(Ended::Grant).into()
            }
            (400 | 404, None) => failure
                .hint("Assign a managed identity to this machine: az vm identity assign --name VM --resource-group GROUP")
                .hint("If it has several, name one of them: azure_client_id in the profile, or ARM_CLIENT_ID")
                .marked(Ended::Grant)
                .into(),
            _ => failure.into(),
        };
    }
    match error.downcast_ref::<NetworkError>() {
        Some(_) => Failure::new(format!("azure-msi: the managed identity of this machine cannot be asked: {error:#}")).hint(NOT_ON_AZURE).into(),
        None => error,
    }
}
