//! `oauth-m2m`: a service principal with its OAuth secret (RFC 6749, section 4.4).
//! <https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m>

use anyhow::Result;

use crate::auth::oauth::server::{ClientProof, Refused, Server};
use crate::auth::session::{self, Ended, Slot};
use crate::auth::{Credential, Method, Ports, no_obstacle};
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::error::Failure;
use crate::host::Host;
use crate::http::Repeat;
use crate::secret::Secret;
use crate::signals::Hold;

pub(crate) static METHOD: Method = Method {
    name: "oauth-m2m",
    title: "OAuth Machine-to-Machine",
    needs: &[Attr::ClientId, Attr::ClientSecret],
    automatic: true,
    obstacle: no_obstacle,
    locate: None,
    acquire,
};

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    let id = settings.text(Attr::ClientId).unwrap_or_default();
    let empty = Secret::new("");
    let secret = settings.secret(Attr::ClientSecret).unwrap_or(&empty);
    let scopes = settings.scopes().join(" ");
    let server = Server::of(settings, &host, ports);
    let renew = |_: Option<&_>, _: &Hold| {
        let form = vec![("grant_type", Secret::new("client_credentials")), ("scope", Secret::new(scopes.as_str()))];
        // A second token does no harm: the first one ends by itself.
        server.token(&ClientProof::Basic { id, secret }, form, Repeat::Freely).map_err(|error| explain(settings, &host, error))
    };
    let account = settings.text(Attr::AccountId).unwrap_or_default();
    let key = session::minted_key(METHOD.name, &host, &[id, account, &scopes], secret);
    let living = session::living(&Slot { keys: std::slice::from_ref(&key), lock: &key, spends: None, renew: &renew }, ports)?;
    Ok(Credential::bearer(host, METHOD.name, living.token, living.remarks))
}

/// Says whose id and secret the server did not take.
fn explain(settings: &Settings, host: &Host, error: anyhow::Error) -> anyhow::Error {
    let Some(refused) = error.downcast_ref::<Refused>() else { return error };
    let mut failure = Failure::new(format!("oauth-m2m: {host} grants no token: {refused}"));
    for attr in [Attr::ClientId, Attr::ClientSecret] {
        if let Some(sourced) = settings.get(attr) {
            failure = failure.hint(format!("{} comes from the {}", attr.name(), sourced.source.place()));
        }
    }
    failure.hint("Check that the secret has not expired, and that the service principal belongs to this workspace or account").marked(Ended::Grant).into()
}
