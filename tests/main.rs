//! The integration tests: one binary, so that everything they share is built once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken assumption must end the test at once")]
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, reason = "those rules are for the product")]

#[cfg(target_os = "linux")]
mod admin;
mod architecture;
#[cfg(target_os = "linux")]
mod azure;
mod completion;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod federation;
#[cfg(target_os = "linux")]
mod handover;
#[cfg(target_os = "linux")]
mod harness;
#[cfg(target_os = "linux")]
mod lakebase;
#[cfg(target_os = "linux")]
mod oauth;
#[cfg(target_os = "linux")]
mod peers;
#[cfg(target_os = "linux")]
mod session;
#[cfg(target_os = "linux")]
mod stories;
#[cfg(target_os = "linux")]
mod terminal;
mod workspace;
