//! The integration tests: one binary, so that everything they share is built once.

mod peers;
mod terminal;
mod workspace;
