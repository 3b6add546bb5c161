//! Lakebase: where a database is reached, as whom, and with which password.
//!
//! | file | concern |
//! |---|---|
//! | `target` | an instance or endpoint by name becomes host, port, user and database |
//! | `credential` | its password: a token that lives an hour, kept and renewed |
//! | `settings` | all of it as the programs around libpq want it told |
//! | `wire` | the first messages of a Postgres connection, bounded |
//! | `upstream` | a connection to the server: TLS, then logged in |
//! | `vault` | one password for many who log in at the same time |
//! | `proxy` | the local door |

pub(crate) mod credential;
pub(crate) mod proxy;
pub(crate) mod settings;
pub(crate) mod target;
pub(crate) mod upstream;
pub(crate) mod vault;
mod wire;
