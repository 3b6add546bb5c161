//! The auth types, one file each.

use crate::auth::Method;

mod basic;
pub(crate) mod databricks_cli;
mod netrc;
mod oauth_m2m;
mod pat;

/// Every method in the order in which they are tried where `auth_type` names none: that of the official CLI; those that are never tried by themselves come last.
pub(crate) static METHODS: &[&Method] = &[&pat::METHOD, &basic::METHOD, &oauth_m2m::METHOD, &databricks_cli::METHOD, &netrc::METHOD];

/// Auth types of unified authentication that SDKs know and this version does not have, so that the message can say so.
pub(crate) const FOREIGN: &[&str] = &[
    "metadata-service",
    "github-oidc",
    "azure-devops-oidc",
    "env-oidc",
    "file-oidc",
    "github-oidc-azure",
    "azure-msi",
    "azure-client-secret",
    "azure-cli",
    "google-credentials",
    "google-id",
    "external-browser",
];
