//! Workload identity federation: an id token of somebody else's, exchanged for a token of Databricks (RFC 8693).
//! <https://docs.databricks.com/aws/en/dev-tools/auth/oauth-federation>
//!
//! The four methods differ only in where the id token comes from ([`crate::auth::oidc`]). No host is asked for its endpoints before the settings say that there is an id token.

use anyhow::Result;

use crate::auth::oauth::server::{ClientProof, Refused, Server};
use crate::auth::session::{self, Ended, Slot};
use crate::auth::{Credential, Ports, oidc};
use crate::clock;
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::error::Failure;
use crate::host::Host;
use crate::http::{ApiError, Repeat};
use crate::secret::Secret;
use crate::signals::Hold;
use crate::text;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const SUBJECT_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Where an id token comes from.
pub(crate) struct Source<'a> {
    /// The auth type.
    pub(crate) method: &'static str,
    /// What tells whose id token it is: the same for the same identity only. It goes into the key under which the outcome is kept.
    pub(crate) fingerprint: Secret,
    /// Asks for the id token.
    pub(crate) id_token: &'a dyn Fn(&Server<'_>) -> Result<Secret>,
}

/// The credential that an id token is exchanged for. Without `client_id` it is for whom the account's own federation policy says (account-wide federation).
///
/// # Errors
/// If there is no id token, or the server grants nothing for it.
pub(crate) fn credential(settings: &Settings, host: Host, ports: &Ports<'_>, source: &Source<'_>) -> Result<Credential> {
    let client_id = settings.text(Attr::ClientId);
    let scopes = settings.scopes().join(" ");
    let server = Server::of(settings, &host, ports);
    let renew = |_: Option<&_>, _: &Hold| {
        let id_token = (source.id_token)(&server).map_err(|error| error.context(source.method))?;
        let form = vec![
            ("grant_type", Secret::new(GRANT)),
            ("subject_token", id_token.clone()),
            ("subject_token_type", Secret::new(SUBJECT_TOKEN_TYPE)),
            ("scope", Secret::new(scopes.as_str())),
        ];
        let proof = client_id.map_or(ClientProof::Nobody, ClientProof::Public);
        // A second token does no harm: the first one ends by itself.
        server.token(&proof, form, Repeat::Freely).map_err(|error| explain(settings, &host, source.method, &id_token, error))
    };
    let parts =
        [client_id.unwrap_or("account-wide"), settings.text(Attr::AccountId).unwrap_or_default(), &scopes, settings.text(Attr::Audience).unwrap_or_default()];
    let key = session::minted_key(source.method, &host, &parts, &source.fingerprint);
    // One lock for all identities: each job is another one, and its lock would lie there for ever.
    let lock = format!("{} at {host}", source.method);
    let living = session::living(&Slot { keys: std::slice::from_ref(&key), lock: &lock, spends: None, renew: &renew }, ports)?;
    Ok(Credential::bearer(host, source.method, living.token, living.remarks))
}

/// The audience that an id token for this host has to name: as the settings say; else as the host says; else its token endpoint.
///
/// # Errors
/// If the host cannot be asked, or names an audience of somebody else's: an id token for that could be spent there.
pub(crate) fn audience(settings: &Settings, host: &Host, server: &Server<'_>) -> Result<String> {
    if let Some(audience) = settings.text(Attr::Audience) {
        return Ok(audience.to_owned());
    }
    let account = settings.text(Attr::AccountId);
    if let Some(account) = account.filter(|_| host.is_account_console()) {
        return Ok(account.to_owned());
    }
    if let Some(description) = server.description() {
        let named = description.token_federation_default_oidc_audiences.first();
        let own_account = description.account_id.as_ref().filter(|_| description.workspace_id.is_none());
        if let Some(audience) = named.or(own_account) {
            if !is_own_audience(audience, host, account) {
                let shown = text::quoted(audience);
                return Err(Failure::new(format!("{host} wants id tokens for {shown}, which is neither itself nor a Databricks account: none is asked for"))
                    .hint("If that is right, say so: audience in the profile, or DATABRICKS_TOKEN_AUDIENCE")
                    .into());
            }
            return Ok(audience.clone());
        }
    }
    Ok(server.endpoints()?.token_endpoint)
}

/// Whether a host may ask for id tokens of this audience: an address on itself or in a domain of Databricks; the account in the settings; and, of hosts that Databricks or this
/// machine runs, any id of an account.
fn is_own_audience(audience: &str, host: &Host, account: Option<&str>) -> bool {
    let is_address = || Host::split(audience).is_ok_and(|(place, _)| place == *host || (place.is_databricks() && host.is_databricks()));
    let is_trusted = host.is_databricks() || host.is_loopback();
    account == Some(audience) || (is_trusted && uuid::Uuid::try_parse(audience).is_ok()) || is_address()
}

/// Says what the server did not take, and what the policy would have to say.
fn explain(settings: &Settings, host: &Host, method: &str, id_token: &Secret, error: anyhow::Error) -> anyhow::Error {
    let (what, is_final) = match (error.downcast_ref::<Refused>(), error.downcast_ref::<ApiError>()) {
        (Some(refused), _) => (refused.to_string(), true),
        (None, Some(refusal)) => (format!("{} (HTTP status {})", refusal.message, refusal.status), false),
        (None, None) => return error.context(method.to_owned()),
    };
    let failure = Failure::new(format!("{method}: {host} grants no token: {what}"));
    let failure = failure.hint(sentence(&oidc::statement(id_token, clock::now())));
    let failure = match settings.get(Attr::ClientId) {
        Some(sourced) => failure
            .hint(format!("client_id comes from the {}", sourced.source.place()))
            .hint("Check that the federation policy of that service principal names this issuer, subject and audience"),
        None => failure
            .hint("client_id is not set, so the federation policy of the account decides; for a service principal's own policy set client_id, or DATABRICKS_CLIENT_ID"),
    };
    if is_final { failure.marked(Ended::Grant).into() } else { failure.into() }
}

fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_asks_for_its_own_audience_only() {
        const ACCOUNT: &str = "6b3f8e0a-2c51-4d7e-9b1f-0a4d5c6e7f80";
        let own = |audience: &str, host: &str, account| is_own_audience(audience, &Host::parse(host).expect(host), account);
        for host in ["https://w.cloud.databricks.com", "https://accounts.azuredatabricks.net", "http://127.0.0.1:8080"] {
            assert!(own(ACCOUNT, host, None) && own(&format!("{host}/oidc/v1/token"), host, None), "{host}");
            for other in
                ["sts.amazonaws.com", "https://evil.example/oidc/v1/token", "api://AzureADTokenExchange", "", "https://w.cloud.databricks.com.evil.example"]
            {
                assert!(!own(other, host, None), "{other} at {host}");
            }
        }
        let proxy = "https://proxy.example";
        assert!(own("https://proxy.example/oidc/v1/token", proxy, None) && own(ACCOUNT, proxy, Some(ACCOUNT)));
        assert!(!own(ACCOUNT, proxy, None), "an account's id could be spent at Databricks");
        assert!(!own("https://w.cloud.databricks.com/oidc/v1/token", proxy, None), "and so could a workspace's address");
        assert!(own("https://w.cloud.databricks.com/oidc/v1/token", "https://other.cloud.databricks.com", None));
    }
}
