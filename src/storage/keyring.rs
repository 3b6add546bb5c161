//! The keyring of the operating system.

use std::time::Duration;

use anyhow::Result;

use super::{Lock, Saved, StoredToken, TokenStore};
use crate::env::Env;
use crate::error::Failure;
use crate::secret::Secret;

/// How long one call may take.
pub(crate) const KEYRING_LIMIT: Duration = Duration::from_secs(3);

/// Why the keyring did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyringError {
    /// There is none, or no way to it.
    Unreachable(String),
    /// It is there, but locked; nobody is asked to unlock it.
    Locked,
}

impl KeyringError {
    /// With the next step.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Unreachable(cause) => Failure::new(format!("OS keyring unreachable: {cause}")),
            Self::Locked => Failure::new("the OS keyring is locked"),
        }
    }
}

/// The keyring of the operating system.
#[derive(Debug)]
pub(crate) struct Keyring;

impl Keyring {
    /// Connects to it.
    ///
    /// # Errors
    /// As [`KeyringError`] says.
    pub(crate) fn open(_env: &Env) -> Result<Self, KeyringError> {
        Err(KeyringError::Unreachable("not built in yet".to_owned()))
    }

    /// Writes and deletes an entry.
    ///
    /// # Errors
    /// As [`KeyringError`] says.
    pub(crate) fn probe(&self) -> Result<(), KeyringError> {
        Err(KeyringError::Unreachable("not built in yet".to_owned()))
    }
}

impl TokenStore for Keyring {
    fn load(&self, _key: &str) -> Result<Option<StoredToken>> {
        Ok(None)
    }

    fn save(&self, _lock: &Lock, _keys: &[&str], _token: &StoredToken, _replaced: Option<&Secret>) -> Result<Saved> {
        Ok(Saved::Written)
    }

    fn remove(&self, _lock: &Lock, _keys: &[&str]) -> Result<bool> {
        Ok(false)
    }

    fn keys(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn writable(&self) -> Result<()> {
        Ok(())
    }

    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    fn location(&self) -> String {
        "the OS keyring".to_owned()
    }
}
