//! The keyring of the operating system, with the entries of the official CLI: service `databricks-cli`, account = key, value `{"token":{…}}` on one line.
//!
//! | system | keyring |
//! |---|---|
//! | Linux and other Unix | Secret Service over D-Bus: GNOME Keyring, `KWallet`, `KeePassXC` (`secret_service.rs`) |
//! | macOS | keychain, through `/usr/bin/security` (`macos.rs`; compiled on Linux only, never run against a keychain) |
//! | Windows | Credential Manager (`windows.rs`; not compiled where this is built) |
//!
//! Keyrings hang: behind a window that nobody sees, or for 25 seconds while D-Bus waits for a program that does not come up. So one thread speaks with the keyring and this one waits for
//! at most [`KEYRING_LIMIT`]; the process can end while that thread still hangs. Nothing here opens a window, and no program is started on Linux.

#[cfg_attr(all(unix, not(target_os = "macos")), path = "secret_service.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod system;

use std::cell::RefCell;
use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::Result;
use zeroize::Zeroizing;

use super::entry::{self, BrokenEntry};
use super::{Lock, Saved, StoredToken, TokenStore};
use crate::clock::LocalZone;
use crate::env::Env;
use crate::error::Failure;
use crate::secret::Secret;
use crate::text;

/// How long one call may take, as in the official CLI and `gh`.
pub(crate) const KEYRING_LIMIT: Duration = Duration::from_secs(3);
/// Under which the official CLI files its entries.
pub(crate) const SERVICE: &str = "databricks-cli";

/// Why the keyring did not do what it was asked. That there is no such entry is none of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyringError {
    /// There is none, or no way to it.
    Unreachable(String),
    /// It is there, but locked, and nobody was asked to unlock it.
    Locked,
    /// It knows us, and says no.
    Denied(String),
    /// It did not answer within [`KEYRING_LIMIT`] when it was asked to do this.
    TimedOut(&'static str),
    /// It takes no entry of this many bytes, only of so many.
    #[cfg_attr(not(any(windows, target_os = "macos")), allow(dead_code, reason = "the Secret Service takes entries of any size"))]
    TooLarge(usize, usize),
    /// Whatever else it said.
    Failed(String),
}

const USE_THE_FILE: &str = "To keep sign-ins in a file that only you can read: DATABRICKS_AUTH_STORAGE=plaintext databricks auth login";

impl fmt::Display for KeyringError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(cause) => write!(formatter, "OS keyring unreachable: {cause}"),
            Self::Locked => formatter.write_str("the OS keyring is locked"),
            Self::Denied(cause) => write!(formatter, "the OS keyring refused access: {cause}"),
            // Compat: the official CLI's words.
            Self::TimedOut(action) => write!(formatter, "keyring {action} timed out"),
            Self::TooLarge(bytes, limit) => write!(formatter, "the token is too long for the OS keyring: {bytes} bytes, of at most {limit}"),
            Self::Failed(cause) => write!(formatter, "the OS keyring failed: {cause}"),
        }
    }
}

impl KeyringError {
    /// With the next step.
    pub(crate) fn failure(&self) -> Failure {
        self.failure_at("")
    }

    fn failure_at(&self, place: &str) -> Failure {
        let failure = Failure::new(format!("{self}{place}"));
        match self {
            Self::Locked => failure.hint("Unlock it, for example by signing in to the desktop, and try again").hint(USE_THE_FILE),
            Self::TimedOut(_) => failure.hint("It may wait for you to unlock it: look for its window, and try again").hint(USE_THE_FILE),
            _ => failure.hint(USE_THE_FILE),
        }
    }

    /// Names the entry that it is about.
    fn about(self, key: &str) -> anyhow::Error {
        self.failure_at(&format!(" (entry {} of {SERVICE})", text::quoted(key))).into()
    }
}

type Job = Box<dyn FnOnce(&system::Service) + Send>;

/// The keyring of this user, connected.
pub(crate) struct Keyring {
    jobs: mpsc::Sender<Job>,
    zone: LocalZone,
    notices: RefCell<Vec<String>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Keyring")
    }
}

impl Keyring {
    /// Connects to it. Where there is none that is known after a look at a socket.
    ///
    /// # Errors
    /// As [`KeyringError`] says.
    pub(crate) fn open(env: &Env) -> Result<Self, KeyringError> {
        system::look(env)?;
        let (jobs, orders) = mpsc::channel::<Job>();
        let (sender, connected) = mpsc::channel();
        let worker = move || match system::Service::connect() {
            Ok(service) => {
                drop(sender.send(Ok(())));
                for job in orders {
                    job(&service);
                }
            }
            Err(error) => drop(sender.send(Err(error))),
        };
        std::thread::Builder::new().name("keyring".to_owned()).spawn(worker).map_err(|error| KeyringError::Failed(error.to_string()))?;
        answer(&connected, "connection")?;
        Ok(Self { jobs, zone: LocalZone::of(env), notices: RefCell::default() })
    }

    /// Writes an entry that nobody looks for, and deletes it.
    ///
    /// # Errors
    /// As [`KeyringError`] says.
    pub(crate) fn probe(&self) -> Result<(), KeyringError> {
        let account = format!("__probe_{}", uuid::Uuid::new_v4());
        self.set(&account, Zeroizing::new("probe".to_owned()))?;
        self.delete(&account).map(drop)
    }

    fn ask<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&system::Service) -> Result<T, KeyringError> + Send + 'static,
    ) -> Result<T, KeyringError> {
        let (sender, receiver) = mpsc::channel();
        let job: Job = Box::new(move |service| drop(sender.send(work(service))));
        self.jobs.send(job).map_err(|_| gone())?;
        answer(&receiver, action)
    }

    fn get(&self, account: &str) -> Result<Option<Zeroizing<String>>, KeyringError> {
        let account = account.to_owned();
        let bytes = self.ask("get", move |service| service.get(&account))?;
        let text = bytes.map(|bytes| std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned())));
        text.transpose().map_err(|_| KeyringError::Failed("the entry is not text".to_owned()))
    }

    fn set(&self, account: &str, value: Zeroizing<String>) -> Result<(), KeyringError> {
        let account = account.to_owned();
        self.ask("set", move |service| service.set(&account, &value))
    }

    fn delete(&self, account: &str) -> Result<bool, KeyringError> {
        let account = account.to_owned();
        self.ask("delete", move |service| service.delete(&account))
    }

    fn accounts(&self) -> Result<Vec<String>, KeyringError> {
        let mut accounts = self.ask("search", system::Service::accounts)?;
        accounts.sort_unstable();
        accounts.dedup();
        Ok(accounts)
    }

    /// Writes a token, beside what somebody else put into the entry.
    fn put(&self, key: &str, token: &StoredToken, old: Option<&str>) -> Result<(), KeyringError> {
        let members = old.and_then(entry::members).unwrap_or_default();
        let inner = members.iter().rfind(|member| member.name() == TOKEN).map(|member| member.value);
        let mut value = format!("{{\"{TOKEN}\":{}", entry::compact(token, inner, &self.zone.get()));
        for member in members.iter().filter(|member| member.name() != TOKEN) {
            value.push_str(&format!(",{}:{}", member.key, member.value));
        }
        value.push('}');
        self.set(key, Zeroizing::new(value))
    }
}

/// What stands around a token in an entry.
const TOKEN: &str = "token";

fn gone() -> KeyringError {
    KeyringError::Unreachable("the connection to it ended".to_owned())
}

fn answer<T>(receiver: &mpsc::Receiver<Result<T, KeyringError>>, action: &'static str) -> Result<T, KeyringError> {
    match receiver.recv_timeout(KEYRING_LIMIT) {
        Ok(Err(KeyringError::TimedOut(_))) | Err(RecvTimeoutError::Timeout) => Err(KeyringError::TimedOut(action)),
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Disconnected) => Err(gone()),
    }
}

/// The token of an entry; `None` if it holds none.
fn parse(value: &str) -> Result<Option<StoredToken>, BrokenEntry> {
    if !entry::is_json(value) {
        return Err(BrokenEntry("it is no JSON"));
    }
    let members = entry::members(value).ok_or(BrokenEntry("it is not an object"))?;
    members.iter().rfind(|member| member.name() == TOKEN).map_or(Ok(None), |member| entry::parse(member.value))
}

/// An entry that could be changed without losing what is in it.
fn sound(value: &str) -> Option<&str> {
    Some(value).filter(|value| entry::is_json(value))
}

fn inner_refresh_token(value: &str) -> Option<Secret> {
    let members = entry::members(sound(value)?)?;
    members.iter().rfind(|member| member.name() == TOKEN).and_then(|member| entry::refresh_token(member.value))
}

impl TokenStore for Keyring {
    fn load(&self, key: &str) -> Result<Option<StoredToken>> {
        let Some(value) = self.get(key).map_err(|error| error.about(key))? else { return Ok(None) };
        parse(&value).map_err(|BrokenEntry(reason)| {
            Failure::new(format!("the entry {} of {SERVICE} in the OS keyring is broken: {reason}", text::quoted(key)))
                .hint("To replace it: databricks auth login")
                .into()
        })
    }

    /// The first key decides: that another one could not be written is a notice. Other keys that may hold the spent token are those of hosts; there are hardly ever any.
    fn save(&self, _lock: &Lock, keys: &[&str], token: &StoredToken, replaced: Option<&Secret>) -> Result<Saved> {
        let mut saved = Saved::Written;
        let accounts = if replaced.is_some() { self.accounts().unwrap_or_default() } else { Vec::new() };
        let hosts = accounts.iter().map(String::as_str).filter(|account| !keys.contains(account) && account.contains("://"));
        let others: Vec<&str> = hosts
            .filter(|account| self.get(account).is_ok_and(|value| value.as_deref().is_some_and(|value| inner_refresh_token(value).as_ref() == replaced)))
            .collect();
        for (at, key) in keys.iter().copied().chain(others).enumerate() {
            let outcome = self.get(key).and_then(|old| {
                let old = old.as_deref().and_then(|value| sound(value));
                if let (Some(present), Some(replaced)) = (old.and_then(|old| parse(old).ok()).flatten(), replaced)
                    && present.is_newer(token, replaced)
                {
                    if at == 0 {
                        saved = Saved::Newer(Box::new(present));
                    }
                    return Ok(());
                }
                self.put(key, token, old)
            });
            match outcome {
                Err(error) if at == 0 => return Err(error.about(key)),
                Err(error) => self.notices.borrow_mut().push(format!("{:#}", error.about(key))),
                Ok(()) => {}
            }
        }
        Ok(saved)
    }

    fn remove(&self, _lock: &Lock, keys: &[&str]) -> Result<bool> {
        let mut removed = false;
        for key in keys {
            removed |= self.delete(key).map_err(|error| error.about(key))?;
        }
        Ok(removed)
    }

    fn keys(&self) -> Result<Vec<String>> {
        self.accounts().map_err(|error| error.failure().into())
    }

    fn writable(&self) -> Result<()> {
        self.ask("look", system::Service::writable).map_err(|error| error.failure().into())
    }

    fn notices(&self) -> Vec<String> {
        self.notices.take()
    }

    fn location(&self) -> String {
        format!("the OS keyring (service {SERVICE})")
    }
}

#[cfg(all(test, target_os = "linux"))]
#[path = "tests.rs"]
mod tests;
