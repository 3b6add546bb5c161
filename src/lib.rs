//! skeleton
#![allow(dead_code, clippy::all)]
mod clock;
mod config;
mod env;
mod error;
mod files;
mod host;
mod http;
mod secret;
mod text;
mod ui;
pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
