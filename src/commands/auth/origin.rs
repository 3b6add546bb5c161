//! Where the tokens of brokers and sessions come from: a profile, a host, or what the surroundings say; looked up anew for each token, so that a changed secret counts.

use std::sync::Arc;

use anyhow::Result;

use super::token;
use crate::auth::{Credential, Lasting, Want};
use crate::broker::Source;
use crate::config::attributes::Attr;
use crate::config::file::ProfileFile;
use crate::config::settings::{Selection, Settings};
use crate::context::{Agent, Context};
use crate::env::Env;
use crate::error::Failure;
use crate::host::Host;
use crate::storage::StoredToken;
use crate::text;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(in crate::commands) struct Origin {
    pub(in crate::commands) profile: Option<String>,
    pub(in crate::commands) host: Option<Host>,
}

/// The attributes that say where to work: no secrets, and useful to whoever gets a token.
pub(in crate::commands) const PLACES: [Attr; 5] = [Attr::ClusterId, Attr::WarehouseId, Attr::ServerlessComputeId, Attr::AccountId, Attr::WorkspaceId];

impl Origin {
    /// What the settings are now.
    pub(in crate::commands) fn settings(&self, env: &Env, file: &ProfileFile) -> Result<Settings> {
        match (&self.profile, &self.host) {
            (Some(profile), _) => token::of_profile(env, file, profile),
            (None, Some(host)) => Settings::resolve(&Selection { host: Some(host.to_string()), ..Selection::default() }, env, file),
            (None, None) => Settings::resolve(&Selection::default(), env, file),
        }
    }

    /// The credential as it can be had now, and the settings that led to it. The token alone: further headers have no place in what is handed on.
    pub(in crate::commands) fn credential(&self, agent: &Agent, want: Want) -> Result<(Settings, Credential)> {
        let file = ProfileFile::locate(&agent.env);
        let settings = self.settings(&agent.env, &file)?;
        let credential = agent.credential(&settings, &file, Want { alone: true, ..want })?;
        Ok((settings, credential))
    }

    /// Fetches tokens for one host from any thread.
    pub(in crate::commands) fn source(self, context: &Context<'_>, host: Host) -> Arc<Source> {
        let agent = Agent::of(context);
        Arc::new(move |want| {
            let (_, credential) = self.credential(&agent, want)?;
            if credential.host != host {
                return Err(Failure::new(format!("the settings name {} now, and no longer {host}", credential.host)).into());
            }
            token_of(&credential)
        })
    }

    /// As people call it.
    pub(in crate::commands) fn name(&self, settings: &Settings) -> String {
        let named = self.profile.as_deref().or_else(|| settings.text(Attr::Profile));
        named.map_or_else(|| self.host.as_ref().map(ToString::to_string).unwrap_or_default(), ToOwned::to_owned)
    }
}

/// The token that a credential consists of.
///
/// # Errors
/// If it is another kind of credential.
pub(in crate::commands) fn token_of(credential: &Credential) -> Result<StoredToken> {
    match (&credential.token, &credential.lasting) {
        (Some(token), _) => Ok(token.clone()),
        (None, Some(Lasting::Token(token))) => {
            Ok(StoredToken { access_token: token.clone(), token_type: "Bearer".to_owned(), refresh_token: None, expiry: None, expires_in: None })
        }
        _ => Err(Failure::new(format!("the auth type {} has no token that could be handed on", text::one_line(credential.method)))
            .hint("Set auth_type to a method with tokens, such as databricks-cli, pat or oauth-m2m")
            .into()),
    }
}

/// The places that settings name, as they are.
pub(in crate::commands) fn places(settings: &Settings) -> Vec<(Attr, String)> {
    PLACES
        .into_iter()
        .filter_map(|attr| {
            let value = if attr == Attr::WorkspaceId { settings.workspace_id() } else { settings.text(attr) };
            value.map(|value| (attr, value.to_owned()))
        })
        .collect()
}
