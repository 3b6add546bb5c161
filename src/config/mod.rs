//! The profile file and the settings: the file's dialect, its lossless editing, the table of attributes, and the one resolution that says which value wins. Beside it the
//! other file in which users keep credentials, `.netrc`, and the one that says where a project is at home, `databricks.yml`.

pub(crate) mod attributes;
pub(crate) mod bundle;
pub(crate) mod document;
pub(crate) mod file;
pub(crate) mod lines;
pub(crate) mod netrc;
#[cfg(test)]
mod oracle_tests;
pub(crate) mod pgpass;
pub(crate) mod plain;
pub(crate) mod settings;
mod yaml;
