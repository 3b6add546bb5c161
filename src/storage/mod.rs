//! Where tokens are kept between runs: the stores, which of them is in force, and the lock that a refresh holds.
//!
//! | store | place |
//! |---|---|
//! | `secure` | the keyring of the operating system ([`keyring`]) |
//! | `plaintext` | `~/.databricks/token-cache.json` ([`file`]) |
//!
//! Both hold the very entries of the official CLI, under the same keys: the name of a profile, or the address of a host.

#[cfg(test)]
mod contract;
mod entry;
pub(crate) mod file;
pub(crate) mod keyring;
mod lock;

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use crate::clock;
use crate::env::{self, Env};
use crate::error::Failure;
use crate::secret::Secret;
use crate::text;

pub(crate) use lock::Lock;
pub(crate) use lock::LockUnavailable;

use file::TokenFile;
use keyring::{Keyring, KeyringError};

/// What an authorization server granted (RFC 6749, section 5.1), as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredToken {
    /// Empty only beside a refresh token; then the token counts as expired.
    pub(crate) access_token: Secret,
    /// `Bearer`, as the server spelled it.
    pub(crate) token_type: String,
    /// Absent for tokens that are minted anew, such as those of service principals.
    pub(crate) refresh_token: Option<Secret>,
    /// `None` where nobody knows: good until the server says otherwise.
    pub(crate) expiry: Option<Timestamp>,
    /// Seconds of life that the server gave it, counted from when it was minted.
    pub(crate) expires_in: Option<i64>,
}

impl StoredToken {
    /// Whether this one lives longer; a token without an expiry lives longest.
    fn outlives(&self, other: &Self) -> bool {
        match (self.expiry, other.expiry) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(own), Some(others)) => own > others,
        }
    }

    /// Whether another process refreshed meanwhile: this entry came from elsewhere than the refresh of `replaced` to `token`, and lives longer than its result.
    fn is_newer(&self, token: &Self, replaced: &Secret) -> bool {
        self.refresh_token.as_ref().is_some_and(|own| own != replaced && Some(own) != token.refresh_token.as_ref()) && self.outlives(token)
    }
}

/// What became of a token that was to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Saved {
    /// It is in the store.
    Written,
    /// The first of the keys holds this one, which another process put there meanwhile and which lives longer. It stayed.
    Newer(Box<StoredToken>),
}

/// A place that keeps tokens. Calls on it never prompt, and end within [`keyring::KEYRING_LIMIT`] or with the bounds of [`crate::files`].
pub(crate) trait TokenStore: fmt::Debug {
    /// The entry of a key; `None` if there is none, or one that holds no token.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn load(&self, key: &str) -> Result<Option<StoredToken>>;

    /// Keeps a token under `keys`, and under every other key whose entry held the refresh token `replaced`. With `replaced`, an entry that is newer than the token stays.
    ///
    /// # Errors
    /// If the store cannot be written; then it is as it was.
    fn save(&self, lock: &Lock, keys: &[&str], token: &StoredToken, replaced: Option<&Secret>) -> Result<Saved>;

    /// Forgets entries; says whether there was any.
    ///
    /// # Errors
    /// If the store cannot be written; then it is as it was.
    fn remove(&self, lock: &Lock, keys: &[&str]) -> Result<bool>;

    /// The keys of all entries, in their order as text.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn keys(&self) -> Result<Vec<String>>;

    /// Whether a token could be kept now: to be asked before a refresh token that works once is spent. Sends and writes nothing.
    ///
    /// # Errors
    /// Why it could not.
    fn writable(&self) -> Result<()>;

    /// What the user has to be told since the last call: a broken file that was set aside, a mode that was tightened.
    fn notices(&self) -> Vec<String>;

    /// Where it is, for people: `~/.databricks/token-cache.json`.
    fn location(&self) -> String;
}

/// The two stores, by the names of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The file `token-cache.json`, readable by the user alone.
    Plaintext,
    /// The keyring of the operating system.
    Secure,
}

impl Mode {
    /// As it is written in settings.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Secure => "secure",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Plaintext, Self::Secure].into_iter().find(|mode| text.trim().eq_ignore_ascii_case(mode.name()))
    }
}

/// Who decided the mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModeSource {
    /// `DATABRICKS_AUTH_STORAGE`.
    Environment,
    /// `auth_storage` in the section `[__settings__]` of the profile file.
    Settings,
    /// Nobody.
    Default,
}

/// Which store is to be used, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) mode: Mode,
    pub(crate) source: ModeSource,
}

/// The key in `[__settings__]` that names the mode.
pub(crate) const SETTING: &str = "auth_storage";

impl Choice {
    /// The environment before the setting before the keyring. `setting` is the value of [`SETTING`], if there is one.
    ///
    /// # Errors
    /// If the value that decides is no mode.
    pub(crate) fn resolve(env: &Env, setting: Option<&str>) -> Result<Self> {
        let given = |value: Option<&str>| value.map(str::trim).filter(|value| !value.is_empty()).map(ToOwned::to_owned);
        let (name, value, source, next) = if let Some(value) = given(env.get(env::AUTH_STORAGE)) {
            (env::AUTH_STORAGE, value, ModeSource::Environment, format!("set it to one of them: export {}=secure", env::AUTH_STORAGE))
        } else if let Some(value) = given(setting) {
            (SETTING, value, ModeSource::Settings, format!("correct it in the section [__settings__] of the profile file, or set {}", env::AUTH_STORAGE))
        } else {
            return Ok(Self { mode: Mode::Secure, source: ModeSource::Default });
        };
        match Mode::parse(&value) {
            Some(mode) => Ok(Self { mode, source }),
            None => Err(Failure::new(format!("{name}: unknown storage mode {} (want plaintext or secure)", text::quoted(&value))).hint(next).into()),
        }
    }
}

/// A store that can be read.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) store: Box<dyn TokenStore>,
    pub(crate) mode: Mode,
    /// Why it is the file although nobody asked for it: the keyring cannot be reached.
    pub(crate) fallback: Option<String>,
}

/// Opens the store for reading and refreshing. Where nobody chose and there is no keyring, the file stands in; nothing is remembered of that.
///
/// # Errors
/// If the store that was chosen cannot be reached, or the keyring is there but locked, refuses, or does not answer.
pub(crate) fn open_for_reading(env: &Env, choice: &Choice) -> Result<Opened> {
    if choice.mode == Mode::Plaintext {
        return Ok(Opened { store: Box::new(TokenFile::of(env)?), mode: Mode::Plaintext, fallback: None });
    }
    match Keyring::open(env) {
        Ok(keyring) => Ok(Opened { store: Box::new(keyring), mode: Mode::Secure, fallback: None }),
        Err(KeyringError::Unreachable(cause)) if choice.source == ModeSource::Default => {
            Ok(Opened { store: Box::new(TokenFile::of(env)?), mode: Mode::Plaintext, fallback: Some(cause) })
        }
        Err(KeyringError::Unreachable(cause)) => Err(Failure::new(format!(
            "cache: OS keyring unreachable: {cause} (set DATABRICKS_AUTH_STORAGE=plaintext or run `databricks auth login` to use file-based token storage)"
        ))
        .into()),
        Err(other) => Err(other.failure().into()),
    }
}

/// An end of life as every SDK reads it: RFC 3339 with a fraction and the local offset. Compat: the Python SDK takes what stands before the fraction for local time.
pub(crate) fn expiry_text(env: &Env, expiry: Timestamp) -> String {
    entry::expiry_text(expiry, &clock::LocalZone::of(env).get())
}

/// The mode to write into `[__settings__]`, so that later commands look where this sign-in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pin {
    /// At once, before the browser opens: there is no keyring here.
    Plaintext,
    /// Once the sign-in succeeded.
    Secure,
}

impl Pin {
    /// The value of [`SETTING`].
    pub(crate) const fn value(self) -> &'static str {
        match self {
            Self::Plaintext => Mode::Plaintext.name(),
            Self::Secure => Mode::Secure.name(),
        }
    }
}

/// A store that took a trial entry.
#[derive(Debug)]
pub(crate) struct OpenedForLogin {
    pub(crate) store: Box<dyn TokenStore>,
    pub(crate) mode: Mode,
    pub(crate) pin: Option<Pin>,
    /// Why it is the file although nobody asked for it: to be told to the user.
    pub(crate) fallback: Option<String>,
}

/// Opens the store for a sign-in, and tries it before anybody is sent to a browser: the keyring by an entry that is written and deleted, the file by [`TokenStore::writable`].
///
/// # Errors
/// If the store that was chosen cannot be used, or the keyring is there but locked, refuses, or does not answer.
pub(crate) fn open_for_login(env: &Env, choice: &Choice) -> Result<OpenedForLogin> {
    let file = |pin, fallback| {
        let store = Box::new(TokenFile::of(env)?);
        store.writable()?;
        Ok(OpenedForLogin { store, mode: Mode::Plaintext, pin, fallback })
    };
    if choice.mode == Mode::Plaintext {
        return file(None, None);
    }
    match Keyring::open(env).and_then(|keyring| keyring.probe().map(|()| keyring)) {
        Ok(keyring) => {
            let pin = (choice.source == ModeSource::Default).then_some(Pin::Secure);
            Ok(OpenedForLogin { store: Box::new(keyring), mode: Mode::Secure, pin, fallback: None })
        }
        Err(KeyringError::Unreachable(cause)) if choice.source == ModeSource::Default => file(Some(Pin::Plaintext), Some(cause)),
        Err(KeyringError::Unreachable(cause)) => Err(Failure::new(format!("secure storage was requested but the OS keyring is not reachable: {cause}"))
            .hint("To keep sign-ins in a file that only you can read: DATABRICKS_AUTH_STORAGE=plaintext databricks auth login")
            .into()),
        Err(other) => Err(other.failure().into()),
    }
}

/// What to say when a store holds no token for a key.
pub(crate) fn miss(env: &Env, mode: Mode) -> &'static str {
    let has_old_file = || TokenFile::of(env).and_then(|file| file.keys()).is_ok_and(|keys| !keys.is_empty());
    if mode == Mode::Secure && has_old_file() {
        "stored credentials from older CLI versions are no longer used; run `databricks auth login` to sign in again, or set DATABRICKS_AUTH_STORAGE=plaintext to keep using the file cache"
    } else {
        "no cached credentials; run `databricks auth login` to sign in"
    }
}

/// What [`migrate`] did, by key.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Now in the other store only.
    pub(crate) taken: Vec<String>,
    /// The other store had one that lives longer: it stayed, and the older one is gone from here.
    pub(crate) newer_there: Vec<String>,
    /// Entries without a token; left where they are.
    pub(crate) empty: Vec<String>,
}

/// Moves every token from one store to another, each under its lock (`lock_of` says which one a key has), read back before the old entry is forgotten. Can be run again after it was interrupted.
///
/// # Errors
/// At the first entry that cannot be read, kept or forgotten; it is then in both stores or where it was, never in none.
pub(crate) fn migrate(env: &Env, from: &dyn TokenStore, to: &dyn TokenStore, lock_of: &dyn Fn(&str) -> String) -> Result<Moved> {
    let mut moved = Moved::default();
    for key in from.keys()? {
        let lock = Lock::acquire(env, &lock_of(&key), MIGRATION_PATIENCE)?;
        let Some(token) = from.load(&key)? else {
            moved.empty.push(key);
            continue;
        };
        if to.load(&key)?.is_some_and(|there| there.outlives(&token)) {
            from.remove(&lock, &[&key])?;
            moved.newer_there.push(key);
            continue;
        }
        to.save(&lock, &[&key], &token, None)?;
        if to.load(&key)?.is_none_or(|there| there.access_token != token.access_token || there.refresh_token != token.refresh_token) {
            let (from, to) = (from.location(), to.location());
            return Err(Failure::new(format!("{to} did not give back the token of {}; it is still in {from}", text::quoted(&key)))
                .hint("Try again; where it happens again, keep the other store: databricks auth login")
                .into());
        }
        from.remove(&lock, &[&key])?;
        moved.taken.push(key);
    }
    Ok(moved)
}

/// How long [`migrate`] waits for a refresh of another process.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(45);
