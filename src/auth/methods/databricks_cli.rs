//! `databricks-cli`: the sign-in of a person by browser, kept in the token store and refreshed from there (RFC 6749, section 6).
//! <https://docs.databricks.com/aws/en/dev-tools/auth/oauth-u2m>

use anyhow::Result;

use crate::auth::oauth::CLIENT_ID;
use crate::auth::oauth::server::{ClientProof, Refused, Server};
use crate::auth::session::{self, Ended, NoSignIn, Slot};
use crate::auth::{Credential, Method, Ports, no_obstacle};
use crate::config::attributes::Attr;
use crate::config::file::ProfileFile;
use crate::config::settings::Settings;
use crate::error::Failure;
use crate::host::Host;
use crate::http::{ApiError, NetworkError, Repeat};
use crate::secret::Secret;
use crate::signals::Hold;
use crate::storage::{self, StoredToken};
use crate::text;

pub(crate) static METHOD: Method = Method { name: "databricks-cli", title: "OAuth", needs: &[], automatic: true, obstacle: no_obstacle, locate: None, acquire };

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    let profile = settings.profile_at(&host);
    let keys = keys(profile, &host, settings.text(Attr::AccountId));
    let server = Server::of(settings, &host, ports);
    let login = login_line(profile, &host);
    let forced = ports.want.minted_after.is_some();
    let renew = |held: Option<&StoredToken>, hold: &Hold| refresh(&server, held, hold).map_err(|error| explain(error, &login, forced));
    let lock = lock_name(&host);
    // A sign-in to another host may have come in between, whose token is not for this one.
    let is_still_meant = || {
        let is_host = |own: &str| Host::parse(own).is_ok_and(|own| own == host);
        let listing = || ProfileFile::locate(ports.env).listing().unwrap_or_default();
        profile.is_none() || listing().iter().any(|(name, own)| profile == Some(name) && is_host(own))
    };
    let living = session::living(&Slot { keys: &keys, lock: &lock, spends: Some(&is_still_meant), renew: &renew }, ports);
    let living = living.map_err(|error| match error.downcast::<NoSignIn>() {
        Ok(none) => NoSignIn { login, ..none }.into(),
        Err(error) => error,
    })?;
    Ok(Credential::bearer(host, METHOD.name, living.token, living.remarks))
}

/// The sign-in as it is in the store: nothing is renewed, nobody is asked.
///
/// # Errors
/// If there is none, or the store cannot be read.
pub(crate) fn look(settings: &Settings, host: &Host, ports: &Ports<'_>) -> Result<StoredToken> {
    let keys = keys(settings.profile_at(host), host, settings.text(Attr::AccountId));
    let opened = storage::open_for_reading(ports.env, &(ports.storage)()?)?;
    for key in &keys {
        if let Some(token) = opened.store.load(key)? {
            return Ok(token);
        }
    }
    Err(NoSignIn { advice: storage::miss(ports.env, opened.mode), login: login_line(settings.profile_at(host), host) }.into())
}

/// The keys of a sign-in in the store: the name of the profile whose host it is, and nothing else if there is one; else the address of the host.
pub(crate) fn keys(profile: Option<&str>, host: &Host, account_id: Option<&str>) -> Vec<String> {
    match (profile, account_id) {
        (Some(profile), _) => vec![profile.to_owned()],
        (None, Some(account)) => vec![host_key(host, Some(account)), host_key(host, None)],
        (None, None) => vec![host_key(host, None)],
    }
}

/// The key of a host: of an account or a unified host with the account's id.
pub(crate) fn host_key(host: &Host, account_id: Option<&str>) -> String {
    account_id.map_or_else(|| host.to_string(), |account| format!("{host}/oidc/accounts/{account}"))
}

/// One lock for all sign-ins at a host: the entries of a profile and of its host hold the same refresh token.
pub(crate) fn lock_name(host: &Host) -> String {
    format!("sign-in at {host}")
}

/// The command that signs in again.
pub(crate) fn login_line(profile: Option<&str>, host: &Host) -> String {
    profile.map_or_else(|| format!("databricks auth login --host {host}"), |profile| format!("databricks auth login --profile {}", text::one_line(profile)))
}

/// Spends the refresh token; the old one stays where the server sends none.
fn refresh(server: &Server<'_>, held: Option<&StoredToken>, hold: &Hold) -> Result<StoredToken> {
    let Some(refresh_token) = held.and_then(|held| held.refresh_token.as_ref()) else { return Err(Failure::new("cached token has no refresh token").into()) };
    let form = vec![("grant_type", Secret::new("refresh_token")), ("refresh_token", refresh_token.clone())];
    // A server that rotates refresh tokens takes the second use of one for theft, and ends the sign-in.
    let about_to_spend = || hold.begin("the renewed sign-in, which would be lost");
    let mut token = server.token_after(&about_to_spend, &ClientProof::Public(CLIENT_ID), form, Repeat::OnlyIfRefused)?;
    token.refresh_token = token.refresh_token.or_else(|| Some(refresh_token.clone()));
    Ok(token)
}

/// Compat: programs look for `refresh token is invalid` with the line of the command below it.
fn explain(error: anyhow::Error, login: &str, forced: bool) -> anyhow::Error {
    let action = if forced { "forced token refresh" } else { "token refresh" };
    let advice = format!("Try logging in again with `{login}` before retrying");
    let Some(refused) = error.downcast_ref::<Refused>() else {
        let has_own_advice = error.downcast_ref::<NetworkError>().is_some() || error.downcast_ref::<ApiError>().is_some();
        return if has_own_advice { error.context(action) } else { Failure::new(format!("{action}: {error:#}. {advice}")).into() };
    };
    let is_spent = refused.description.trim_end_matches('.').eq_ignore_ascii_case("refresh token is invalid");
    let words = if is_spent {
        format!("A new access token could not be retrieved because the refresh token is invalid. To reauthenticate, run the following command:\n  $ {login}")
    } else {
        format!("{action}: {refused}. {advice}")
    };
    Failure::new(words).marked(Ended::SignIn).into()
}
