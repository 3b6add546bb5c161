//! Real peers as oracles: what the official SDKs, `configparser`, `rust-ini` and curl make of the same files and variables.
//!
//! - `oracle` the SDKs as processes that answer questions; `binary` our program in a home of its own
//! - `files` what `configure` writes, read by all
//! - `chain` environment and profile file to method, host and token: the table in `tests/chain/cases.txt`
//! - `settings` the same question put to the SDKs, for hundreds of combinations; `methods` likewise for the variables of every auth type, and `clouds` for those of Azure
//!   and Google, whose names `detour` leads to the embedded ones
//! - `sdk` the Python SDK and curl at work in a workspace, with the profiles and tokens of our program
//! - `probes` what the SDKs ask of a program called `databricks`
//! - `oauth` the certified authorization server oidc-provider as a workspace; `browser` a person with Chromium who signs in there
//! - `sign_in` our program with both of them
//! - `secure_store` our program with keyrings in every state
//! - `signed_in` a home that has signed in there, in either store; `expiries` the SDKs while its tokens end; `races` many processes at the end of one token
//! - `keyring` gnome-keyring on a bus of its own: unlocked, locked, with nobody at the screen, or none at all
//! - `sdks` the Python, Go, JavaScript and Java SDKs as programs that run long; `faketime` another time of day for them and for us
//! - `process` what runs beside a test and must not outlive it
//!
//! `tests/install` installs what they need. Intended differences are listed, with reasons, in `docs/differences.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken assumption must end the test at once")]

mod binary;
pub(crate) mod browser;
mod chain;
mod clouds;
mod detour;
mod expiries;
pub(crate) mod faketime;
mod files;
pub(crate) mod keyring;
mod methods;
pub(crate) mod oauth;
pub(crate) mod oracle;
mod probes;
mod process;
mod races;
mod sdk;
pub(crate) mod sdks;
mod secure_store;
mod settings;
mod sign_in;
mod signed_in;
