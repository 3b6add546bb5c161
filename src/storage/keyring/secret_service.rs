//! The Secret Service of the desktop (<https://specifications.freedesktop.org/secret-service/latest/>): attributes exactly `service` and `username`, in the collection `login`.
//!
//! Secrets go over the user's own socket as they are (`plain`, as the official CLI does): whoever could read there could ask for them.

use std::collections::HashMap;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use dbus_secret_service::{Collection, EncryptionType, Error, Item, SecretService};
use zeroize::Zeroizing;

use super::{KeyringError, SERVICE};
use crate::env::{self, Env};
use crate::text;

const LOGIN_COLLECTION: &str = "/org/freedesktop/secrets/collection/login";
/// As the official CLI says it.
const CONTENT_TYPE: &str = "text/plain; charset=utf8";

/// Whether there can be a session bus: its address says so, or its socket is at its usual place. An address that would start a program counts as none.
pub(super) fn look(env: &Env) -> Result<(), KeyringError> {
    let unreachable = |cause: String| Err(KeyringError::Unreachable(cause));
    let is_socket = |path: &Path| std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let usual = || {
        let path = env.path(env::XDG_RUNTIME_DIR)?.join("bus");
        std::fs::metadata(&path).is_ok_and(|metadata| metadata.file_type().is_socket() && metadata.uid() == rustix::process::geteuid().as_raw()).then_some(path)
    };
    let Some(addresses) = env.get(env::SESSION_BUS) else {
        return match usual() {
            Some(_) => Ok(()),
            None => unreachable(format!("there is no session bus ({} is not set)", env::SESSION_BUS)),
        };
    };
    let mut is_there = false;
    for address in addresses.split(';').filter(|address| !address.is_empty()) {
        let (kind, rest) = address.split_once(':').unwrap_or((address, ""));
        let part = |name: &str| rest.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        is_there |= match kind {
            "unix" if part("runtime").is_some() => usual().is_some(),
            "unix" => part("path").map_or(part("abstract").is_some(), |path| is_socket(Path::new(&unescaped(path)))),
            "tcp" | "nonce-tcp" => true,
            // `autolaunch:` and `unixexec:` start programs, which would stay behind.
            _ => return unreachable(format!("{} is of a kind that starts a program ({})", env::SESSION_BUS, text::quoted(kind))),
        };
    }
    if is_there { Ok(()) } else { unreachable(format!("there is no session bus at {}", text::quoted(addresses))) }
}

/// `%2d` in the addresses of D-Bus.
fn unescaped(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok()).and_then(|code| u8::from_str_radix(code, 16).ok());
        let (byte, length) = if let (b'%', Some(code)) = (first, code) { (code, 2) } else { (*first, 0) };
        bytes.push(byte);
        rest = &tail[length..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A connection to the Secret Service, with a session on it.
pub(super) struct Service(SecretService);

impl Service {
    pub(super) fn connect() -> Result<Self, KeyringError> {
        // No prompt: an error at once where one would be needed.
        SecretService::connect_with_max_prompt_timeout(EncryptionType::Plain, 0).map(Self).map_err(|error| reason(&error))
    }

    pub(super) fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
        let items = self.items(&attributes(account))?;
        let best = items.iter().find(|item| is_in_login(item)).or(items.first());
        match best.map(Item::get_secret) {
            None => Ok(None),
            Some(Ok(secret)) => Ok(Some(Zeroizing::new(secret))),
            Some(Err(error)) if is_absent(&error) => Ok(None),
            Some(Err(error)) => Err(reason(&error)),
        }
    }

    pub(super) fn set(&self, account: &str, value: &str) -> Result<(), KeyringError> {
        let label = format!("Password for '{account}' on '{SERVICE}'");
        let put = |collection: &Collection<'_>| collection.create_item(&label, attributes(account), value.as_bytes(), true, CONTENT_TYPE).map(drop);
        match put(&Collection::new(&self.0, LOGIN_COLLECTION.into())) {
            Err(error) if is_absent(&error) => put(&self.default_collection()?).map_err(|error| reason(&error)),
            outcome => outcome.map_err(|error| reason(&error)),
        }
    }

    fn default_collection(&self) -> Result<Collection<'_>, KeyringError> {
        self.0.get_default_collection().map_err(|error| match error {
            Error::NoResult => KeyringError::Unreachable("it has no collection to keep entries in".to_owned()),
            error => reason(&error),
        })
    }

    pub(super) fn delete(&self, account: &str) -> Result<bool, KeyringError> {
        let mut deleted = false;
        for item in self.items(&attributes(account))? {
            match item.delete() {
                Ok(()) => deleted = true,
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(reason(&error)),
            }
        }
        Ok(deleted)
    }

    pub(super) fn accounts(&self) -> Result<Vec<String>, KeyringError> {
        let mut accounts = Vec::new();
        for item in self.items(&HashMap::from([("service", SERVICE)]))? {
            match item.get_attributes() {
                Ok(mut attributes) => accounts.extend(attributes.remove("username")),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(reason(&error)),
            }
        }
        Ok(accounts)
    }

    /// Whether the collection for new entries is there and unlocked.
    pub(super) fn writable(&self) -> Result<(), KeyringError> {
        let is_locked = match Collection::new(&self.0, LOGIN_COLLECTION.into()).is_locked() {
            Err(error) if is_absent(&error) => self.default_collection()?.is_locked(),
            outcome => outcome,
        };
        if is_locked.map_err(|error| reason(&error))? { Err(KeyringError::Locked) } else { Ok(()) }
    }

    /// Items that can be read. If all there are is locked, an attempt to unlock without asking anybody, which succeeds where a keyring needs no password.
    fn items(&self, attributes: &HashMap<&str, &str>) -> Result<Vec<Item<'_>>, KeyringError> {
        let found = self.0.search_items(attributes.clone()).map_err(|error| reason(&error))?;
        if !found.unlocked.is_empty() || found.locked.is_empty() {
            return Ok(found.unlocked);
        }
        self.0.unlock_all(&found.locked.iter().collect::<Vec<_>>()).map_err(|error| reason(&error))?;
        Ok(found.locked)
    }
}

fn attributes(account: &str) -> HashMap<&str, &str> {
    HashMap::from([("service", SERVICE), ("username", account)])
}

fn is_in_login(item: &Item<'_>) -> bool {
    item.path.strip_prefix(LOGIN_COLLECTION).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether the object is not there, or not any more.
fn is_absent(error: &Error) -> bool {
    let name = if let Error::Dbus(error) = error { error.name() } else { None };
    name.is_some_and(|name| {
        ["org.freedesktop.Secret.Error.NoSuchObject", "org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod"].contains(&name)
    })
}

fn reason(error: &Error) -> KeyringError {
    match error {
        Error::Locked | Error::Prompt => KeyringError::Locked,
        Error::Unavailable | Error::NoResult => KeyringError::Unreachable(error.to_string()),
        Error::Dbus(error) => {
            let said = text::one_line(&text::shortened(error.message().unwrap_or_default(), 200)).into_owned();
            let name = error.name().unwrap_or_default();
            let ended = said.contains("disconnected");
            match name.rsplit('.').next().unwrap_or_default() {
                "IsLocked" => KeyringError::Locked,
                "AccessDenied" | "AuthFailed" | "InteractiveAuthorizationRequired" => KeyringError::Denied(said),
                "NoReply" | "Disconnected" if ended => KeyringError::Unreachable("it ended while it was asked".to_owned()),
                "NoReply" | "Timeout" | "TimedOut" => KeyringError::TimedOut("call"),
                "ServiceUnknown" | "NameHasNoOwner" => {
                    KeyringError::Unreachable("nothing on the session bus keeps secrets (org.freedesktop.secrets)".to_owned())
                }
                "NoServer" | "FileNotFound" | "Disconnected" | "NotSupported" | "BadAddress" | "NoNetwork" | "IOError" => KeyringError::Unreachable(said),
                _ if name.contains(".Error.Spawn.") => KeyringError::Unreachable(said),
                _ => KeyringError::Failed(if said.is_empty() { name.to_owned() } else { said }),
            }
        }
        other => KeyringError::Failed(text::one_line(&text::shortened(&other.to_string(), 200)).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_that_is_not_there_or_would_start_a_program_is_known_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("b-us");
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let _usual = std::os::unix::net::UnixListener::bind(folder.path().join("bus")).expect("a socket");
        let env = |address: &str| Env::default().with(env::SESSION_BUS, address);
        let path = path.to_str().expect("text");
        for address in [format!("unix:path={path}"), format!("unix:guid=0,path={}", path.replace('-', "%2d")), format!("unix:path=/none;unix:path={path}")] {
            assert_eq!(look(&env(&address)), Ok(()), "{address}");
        }
        assert_eq!(look(&env("unix:abstract=/tmp/x")), Ok(()));
        for address in
            ["autolaunch:", "unixexec:path=/bin/false", "unix:path=/none", "unix:path=/", "unix:tmpdir=/tmp", ";", "nonsense", "unix:path=/none;autolaunch:"]
        {
            assert!(matches!(look(&env(address)), Err(KeyringError::Unreachable(_))), "{address}");
        }
        assert!(matches!(look(&Env::default()), Err(KeyringError::Unreachable(_))));
        let usual = Env::default().with(env::XDG_RUNTIME_DIR, folder.path().to_str().expect("text"));
        assert_eq!(look(&usual), Ok(()));
        assert_eq!(look(&usual.with(env::SESSION_BUS, "unix:runtime=yes")), Ok(()));
    }
}
