//! OAuth 2.0 (RFC 6749) as Databricks speaks it.
//!
//! | file | concern |
//! |---|---|
//! | `server` | the authorization server of a host: where its endpoints are, and what may be asked of it |
//! | `reply` | what a token endpoint answers, read with care |
//! | `login` | a person signs in: authorization code with PKCE (RFC 7636, 8252, 9207) |
//! | `guide` | a page that leads the person through it in place of the terminal |
//! | `pkce`, `query`, `callback`, `page`, `occupant`, `browser` | its parts: what ties it to this process, its links, where the browser comes back, what it shows there, who holds the port, how the link gets to a browser |

pub(crate) mod browser;
pub(crate) mod callback;
pub(crate) mod guide;
pub(crate) mod login;
mod occupant;
pub(crate) mod page;
pub(crate) mod pkce;
pub(crate) mod query;
pub(crate) mod reply;
pub(crate) mod server;

/// The public client that the official CLI signs people in with: its tokens are refreshed by the same name.
pub(crate) const CLIENT_ID: &str = "databricks-cli";
/// The scope that stands for everything the user may do.
pub(crate) const ALL_APIS: &str = "all-apis";
