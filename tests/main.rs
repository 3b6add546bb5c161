//! The integration tests: one binary, so that everything they share is built once.

mod faults;
mod terminal;
mod workspace;
