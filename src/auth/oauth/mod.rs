//! OAuth 2.0 (RFC 6749) as Databricks speaks it.
//!
//! | file | concern |
//! |---|---|
//! | `server` | the authorization server of a host: where its endpoints are, and what may be asked of it |
//! | `reply` | what a token endpoint answers, read with care |

pub(crate) mod reply;
pub(crate) mod server;

/// The public client that the official CLI signs people in with: its tokens are refreshed by the same name.
pub(crate) const CLIENT_ID: &str = "databricks-cli";
/// The scope that stands for everything the user may do.
pub(crate) const ALL_APIS: &str = "all-apis";
