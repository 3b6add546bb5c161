//! Where the tokens of brokers and sessions come from: a profile, a host, or what the surroundings say; looked up anew for each token, so that a changed secret counts.

use std::sync::Arc;

use anyhow::Result;

use super::token;
use crate::auth::{Credential, Want};
use crate::broker::Source;
use crate::clock;
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
        let check = move |named: &Host| {
            if named == &host { Ok(()) } else { Err(Failure::new(format!("the settings name {named} now, and no longer {host}"))) }
        };
        Arc::new(move |want| {
            // Before anything is sent there.
            self.settings(&agent.env, &ProfileFile::locate(&agent.env))?.host()?.as_ref().map_or(Ok(()), &check)?;
            let (_, credential) = self.credential(&agent, want)?;
            check(&credential.host)?;
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
/// If it is another kind of credential, or was set and has ended.
pub(in crate::commands) fn token_of(credential: &Credential) -> Result<StoredToken> {
    let Some(token) = credential.sent() else {
        return Err(Failure::new(format!("the auth type {} has no token that could be handed on", text::one_line(credential.method)))
            .hint("Set auth_type to a method with tokens, such as databricks-cli, pat or oauth-m2m")
            .into());
    };
    match token.expiry.filter(|end| credential.lasting.is_some() && *end <= clock::now()) {
        Some(end) => Err(Failure::new(format!("the token that is set has ended at {}", clock::minute(end)))
            .hint("Where it is that of a session: databricks session refresh")
            .into()),
        None => Ok(token),
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
