//! The auth types, one file each.

use crate::auth::Method;

mod azure_cli;
mod azure_client_secret;
mod azure_devops_oidc;
mod azure_msi;
mod basic;
pub(crate) mod databricks_cli;
mod env_oidc;
mod file_oidc;
mod github_oidc;
mod github_oidc_azure;
mod google_credentials;
mod google_id;
mod metadata_service;
mod netrc;
mod oauth_m2m;
mod pat;
mod token_command;

/// Every method in the order in which they are tried where `auth_type` names none: that of the official CLI; those that are never tried by themselves come last.
/// `token-command`, which only we have, stands before whatever could be there without anybody having asked for it, such as a sign-in.
pub(crate) static METHODS: &[&Method] = &[
    &pat::METHOD,
    &basic::METHOD,
    &token_command::METHOD,
    &oauth_m2m::METHOD,
    &databricks_cli::METHOD,
    &metadata_service::METHOD,
    &github_oidc::METHOD,
    &azure_devops_oidc::METHOD,
    &env_oidc::METHOD,
    &file_oidc::METHOD,
    &github_oidc_azure::METHOD,
    &azure_msi::METHOD,
    &azure_client_secret::METHOD,
    &azure_cli::METHOD,
    &google_credentials::METHOD,
    &google_id::METHOD,
    &netrc::METHOD,
];

/// Auth types of unified authentication that SDKs know and this version does not have, so that the message can say so.
pub(crate) const FOREIGN: &[&str] = &["external-browser"];
