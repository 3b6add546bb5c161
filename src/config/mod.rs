//! The profile file and the settings: the file's dialect, its lossless editing, the table of attributes, and the one resolution that says which value wins. Beside it the
//! other file in which users keep credentials, `.netrc`.

pub(crate) mod attributes;
pub(crate) mod document;
pub(crate) mod file;
pub(crate) mod lines;
pub(crate) mod netrc;
#[cfg(test)]
mod oracle_tests;
pub(crate) mod pgpass;
pub(crate) mod plain;
pub(crate) mod settings;
