//! What is kept of a sign-in: the token in the store, and the profile that leads to it.

use std::time::Duration;

use anyhow::Result;

use super::wish::Wish;
use super::{Present, Target};
use crate::auth::methods::databricks_cli::{self, METHOD};
use crate::config::attributes::{ATTRIBUTES, Attr};
use crate::config::file::ProfileFile;
use crate::context::Context;
use crate::host::Host;
use crate::storage::{Lock, OpenedForLogin, Pin, StoredToken};

/// How long to wait for a refresh of another process before the new token is stored.
const STORE_PATIENCE: Duration = Duration::from_secs(40);
/// What a profile has for serverless compute.
const SERVERLESS: &str = "auto";

/// What is written where.
pub(super) struct Keeping<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) opened: &'a OpenedForLogin,
    pub(super) name: Option<&'a str>,
    pub(super) target: &'a Target,
    /// What the profile had when the sign-in began.
    pub(super) present: &'a Present<'a>,
}

impl Keeping<'_> {
    /// Stores the token and writes the profile, in an order in which no crash leaves a token under the profile of another host.
    pub(super) fn keep(&self, wish: &Wish, cluster: Option<&str>, token: &StoredToken, renewed: bool) -> Result<()> {
        let keys = self.target.keys(self.name, self.opened.mode);
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let store = &self.opened.store;
        // Somebody may have given the profile another host while the browser was open.
        let own = self.name.map_or(Ok((None, None)), |name| profile_now(self.context, name))?.0;
        let is_same = own.as_ref() == Some(&self.target.host);
        if renewed {
            // With refreshes kept out, at both hosts: one of the old sign-in must not overwrite the new one. In the order of their names, so that no two wait for each other.
            let mut names: Vec<String> = own.iter().chain([&self.target.host]).map(databricks_cli::lock_name).collect();
            names.sort_unstable();
            names.dedup();
            let locks = names.iter().map(|name| Lock::acquire(&self.context.env, name, STORE_PATIENCE)).collect::<Result<Vec<_>>>()?;
            let lock = &locks[0];
            if is_same || self.name.is_none() {
                store.save(lock, &keys, token, None)?;
                self.write_profile(wish, cluster, is_same)?;
            } else {
                store.remove(lock, &keys[..1])?;
                self.write_profile(wish, cluster, is_same)?;
                store.save(lock, &keys, token, None)?;
            }
        } else {
            self.write_profile(wish, cluster, is_same)?;
        }
        for notice in store.notices() {
            self.context.ui.warn(&notice);
        }
        if self.opened.pin == Some(Pin::Secure) {
            self.context.file.set_auth_storage(Pin::Secure.value())?;
        }
        Ok(())
    }

    fn write_profile(&self, wish: &Wish, cluster: Option<&str>, is_same: bool) -> Result<()> {
        let Some(name) = self.name else { return Ok(()) };
        let target = self.target;
        let mut set = vec![(Attr::Host, target.host.as_str()), (Attr::AuthType, METHOD.name)];
        let scopes = wish.scopes.as_deref().or_else(|| self.present.get(Attr::Scopes));
        for (attr, value) in [
            (Attr::ClusterId, cluster),
            (Attr::ServerlessComputeId, wish.configure_serverless.then_some(SERVERLESS)),
            (Attr::AccountId, target.account_id.as_deref()),
            (Attr::WorkspaceId, target.workspace_id.as_deref()),
            (Attr::Scopes, scopes),
        ] {
            set.extend(value.map(|value| (attr, value)));
        }
        set.sort_by_key(|(attr, _)| *attr as usize);
        let is_set = |attr: Attr| set.iter().any(|(own, _)| *own == attr);
        let mut removed: Vec<&str> = ATTRIBUTES
            .iter()
            .filter(|row| !is_set(row.attr))
            .filter(|row| {
                is_replaced(row.attr)
                    || (belongs_to_host(row.attr) && (target.is_discovered || !is_same))
                    || (row.attr == Attr::WorkspaceId && target.is_account_wide)
                    || (row.attr == Attr::ClusterId && is_set(Attr::ServerlessComputeId))
                    || (row.attr == Attr::ServerlessComputeId && is_set(Attr::ClusterId))
            })
            .flat_map(|row| [row.name].into_iter().chain(row.alias))
            .collect();
        // Compat: a key of old versions, which would make SDKs take the host for another kind.
        removed.push("experimental_is_unified_host");
        let written = self.context.file.save(name, &set, &removed)?;
        if let Some(mode) = written.tightened_from {
            let path = self.context.file.path()?.display();
            self.context.ui.note(&format!("{path} could be read by others (mode {mode:04o}); now only you can (0600)."));
        }
        Ok(())
    }
}

/// The host and the scopes that a profile has now, whatever they were when this process began.
pub(super) fn profile_now(context: &Context<'_>, name: &str) -> Result<(Option<Host>, Option<String>)> {
    let file = ProfileFile::locate(&context.env);
    let present = Present(file.section(name)?.unwrap_or_default());
    Ok((present.get(Attr::Host).and_then(|host| Host::parse(host).ok()), present.get(Attr::Scopes).map(ToOwned::to_owned)))
}

/// Whether a sign-in takes the place of what this attribute says: other ways to authenticate.
fn is_replaced(attr: Attr) -> bool {
    let name = attr.name();
    matches!(
        attr,
        Attr::Token
            | Attr::Username
            | Attr::Password
            | Attr::MetadataServiceUrl
            | Attr::ClientId
            | Attr::ClientSecret
            | Attr::DatabricksIdTokenFilepath
            | Attr::OidcTokenEnv
    ) || name.starts_with("google_")
        || (name.starts_with("azure_") && attr != Attr::AzureEnvironment)
}

/// Whether the attribute means something at one host only.
fn belongs_to_host(attr: Attr) -> bool {
    matches!(attr, Attr::AccountId | Attr::WorkspaceId | Attr::ClusterId | Attr::ServerlessComputeId | Attr::WarehouseId | Attr::DiscoveryUrl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_ways_to_authenticate_go_and_the_rest_stays() {
        let replaced: Vec<&str> = ATTRIBUTES.iter().filter(|row| is_replaced(row.attr)).map(|row| row.name).collect();
        for name in [
            "token",
            "username",
            "password",
            "metadata_service_url",
            "google_credentials",
            "azure_client_secret",
            "client_id",
            "client_secret",
            "oidc_token_env",
        ] {
            assert!(replaced.contains(&name), "{name} must go");
        }
        for name in ["host", "cluster_id", "warehouse_id", "scopes", "azure_environment", "databricks_cli_path", "http_timeout_seconds", "auth_type"] {
            assert!(!replaced.contains(&name), "{name} must stay");
        }
    }
}
