//! The Credential Manager of Windows: generic credentials with the target `databricks-cli:<account>`, the value as UTF-8.
//!
//! Written after the documentation of its crates; not compiled on the machines where this is built.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::api::CredentialStoreApi as _;
use keyring_core::{Entry, Error};
use windows_native_keyring_store::Store;
use zeroize::Zeroizing;

use super::{KeyringError, SERVICE};
use crate::env::Env;
use crate::text;

pub(super) fn look(_env: &Env) -> Result<(), KeyringError> {
    Ok(())
}

/// The credentials of this user.
pub(super) struct Service(Arc<Store>);

impl Service {
    pub(super) fn connect() -> Result<Self, KeyringError> {
        Store::new().map(Self).map_err(|error| reason(&error))
    }

    fn entry(&self, account: &str) -> Result<Entry, KeyringError> {
        let target = format!("{SERVICE}:{account}");
        // Compat: the official CLI's entries stay on this machine too.
        let specifiers = HashMap::from([("target", target.as_str()), ("persistence", "Local")]);
        self.0.build(SERVICE, account, Some(&specifiers)).map_err(|error| reason(&error))
    }

    pub(super) fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
        match self.entry(account)?.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(reason(&error)),
        }
    }

    pub(super) fn set(&self, account: &str, value: &str) -> Result<(), KeyringError> {
        self.entry(account)?.set_secret(value.as_bytes()).map_err(|error| match error {
            Error::TooLong(_, limit) => KeyringError::TooLarge(value.len(), usize::try_from(limit).unwrap_or(usize::MAX)),
            error => reason(&error),
        })
    }

    pub(super) fn delete(&self, account: &str) -> Result<bool, KeyringError> {
        match self.entry(account)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(reason(&error)),
        }
    }

    pub(super) fn accounts(&self) -> Result<Vec<String>, KeyringError> {
        let pattern = format!("^{SERVICE}:");
        let entries = self.0.search(&HashMap::from([("pattern", pattern.as_str())])).map_err(|error| reason(&error))?;
        let target = |entry: &Entry| entry.get_attributes().ok().and_then(|mut attributes| attributes.remove("target_name"));
        let account = |target: String| target.strip_prefix(SERVICE).and_then(|rest| rest.strip_prefix(':')).map(ToOwned::to_owned);
        Ok(entries.iter().filter_map(target).filter_map(account).collect())
    }

    pub(super) fn writable(&self) -> Result<(), KeyringError> {
        Ok(())
    }
}

fn reason(error: &Error) -> KeyringError {
    let said = text::one_line(&text::shortened(&error.to_string(), 200)).into_owned();
    match error {
        // A session without a user, as that of a service.
        Error::NoStorageAccess(_) => KeyringError::Unreachable(said),
        _ => KeyringError::Failed(said),
    }
}
