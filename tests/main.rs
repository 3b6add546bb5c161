//! The integration tests: one binary, so that everything they share is built once.

mod harness;
mod stories;
mod terminal;
mod workspace;
