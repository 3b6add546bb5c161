//! The profile file: its dialect, its lossless editing, its rules.

pub(crate) mod document;
pub(crate) mod lines;
pub(crate) mod plain;
