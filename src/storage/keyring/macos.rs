//! The keychain of macOS, through `/usr/bin/security` as the official CLI does: an entry that one program wrote through the API would make the system ask before another reads it.
//!
//! Written after its manual page and the observed entries. Where this is built it was compiled, and its parsing tested, on Linux only: never run against a keychain.

#![allow(clippy::unused_self, reason = "the interface of every keyring")]

use std::io::{self, Read as _, Write as _};
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{KeyringError, SERVICE};
use crate::env::Env;
use crate::text;

const SECURITY: &str = "/usr/bin/security";
/// Compat: text in base64 behind this, because `security` shows what is not plain ASCII in a form of its own.
const ENCODED: &str = "go-keyring-base64:";
/// An older form of the same, in hexadecimal.
const HEXADECIMAL: &str = "go-keyring-encoded:";
/// Longest line that `security -i` takes.
const LONGEST_COMMAND: usize = 4096;
/// The exit code for an entry that is not there (`errSecItemNotFound`, modulo 256).
const NOT_FOUND: i32 = 44;
/// Most of what `security` prints is read: a dump of some thousand entries.
const MOST_OUTPUT: u64 = 64 << 20;

pub(super) fn look(_env: &Env) -> Result<(), KeyringError> {
    if std::path::Path::new(SECURITY).exists() { Ok(()) } else { Err(KeyringError::Unreachable(format!("there is no {SECURITY}"))) }
}

/// The keychain of this user; every call is a process of its own.
pub(super) struct Service;

impl Service {
    pub(super) fn connect() -> Result<Self, KeyringError> {
        Ok(Self)
    }

    pub(super) fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
        let Some(printed) = found(run(&["find-generic-password", "-s", SERVICE, "-wa", account], None)?)? else { return Ok(None) };
        decoded(&printed).map(Some).ok_or_else(|| KeyringError::Failed("the entry is not encoded as it should be".to_owned()))
    }

    pub(super) fn set(&self, account: &str, value: &str) -> Result<(), KeyringError> {
        if account.contains(['\n', '\r', '\0']) {
            return Err(KeyringError::Failed("the name has a line break in it".to_owned()));
        }
        // Through standard input: arguments can be seen by others.
        let encoded = Zeroizing::new(STANDARD.encode(value));
        let order = Zeroizing::new(format!("add-generic-password -U -s {SERVICE} -a {} -w '{ENCODED}{}'\n", quoted(account), *encoded));
        if order.len() > LONGEST_COMMAND {
            let room = (LONGEST_COMMAND - (order.len() - encoded.len())) / 4 * 3;
            return Err(KeyringError::TooLarge(value.len(), room));
        }
        found(run(&["-i"], Some(&order))?).map(drop)
    }

    pub(super) fn delete(&self, account: &str) -> Result<bool, KeyringError> {
        Ok(found(run(&["delete-generic-password", "-s", SERVICE, "-a", account], None)?)?.is_some())
    }

    pub(super) fn accounts(&self) -> Result<Vec<String>, KeyringError> {
        // Attributes only: secrets need `-d`.
        let dump = found(run(&["dump-keychain"], None)?)?.unwrap_or_default();
        Ok(accounts_in(&String::from_utf8_lossy(&dump)))
    }

    pub(super) fn writable(&self) -> Result<(), KeyringError> {
        found(run(&["show-keychain-info"], None)?).map(drop)
    }
}

#[expect(clippy::disallowed_methods, reason = "the system's own program, by its full path, in an environment without ours")]
fn run(arguments: &[&str], input: Option<&str>) -> Result<Output, KeyringError> {
    let failed = |error: io::Error| KeyringError::Unreachable(format!("{SECURITY}: {error}"));
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = Command::new(SECURITY).args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).map_err(failed)?;
    }
    let mut stdout = Vec::new();
    if let Some(stream) = child.stdout.take() {
        stream.take(MOST_OUTPUT).read_to_end(&mut stdout).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    Ok(Output { stdout, ..output })
}

/// What was printed; `None` if there is no such entry.
fn found(output: Output) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
    let printed = Zeroizing::new(output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match output.status.code() {
        // In its interactive form `security` succeeds whatever became of the order.
        Some(0) if said.is_empty() || !has(&["SecKeychain", "returned"]) => Ok(Some(printed)),
        Some(NOT_FOUND) => Ok(None),
        _ if has(&["could not be found"]) => Ok(None),
        _ if has(&["User interaction is not allowed"]) => Err(KeyringError::Locked),
        _ if has(&["user name or passphrase", "canceled", "not authorized", "authorization"]) => Err(KeyringError::Denied(text::one_line(said).into_owned())),
        _ if has(&["default keychain", "keychain cannot be found"]) => Err(KeyringError::Unreachable(text::one_line(said).into_owned())),
        _ => Err(KeyringError::Failed(text::one_line(&text::shortened(said, 200)).into_owned())),
    }
}

fn decoded(printed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(printed).ok()?.trim();
    let bytes = if let Some(encoded) = text.strip_prefix(ENCODED) {
        STANDARD.decode(encoded).ok()?
    } else if let Some(encoded) = text.strip_prefix(HEXADECIMAL) {
        let digits = encoded.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        digits.collect::<Option<Vec<u8>>>()?
    } else {
        text.as_bytes().to_vec()
    };
    Some(Zeroizing::new(bytes))
}

/// A word for the command lines of `security -i`, which are quoted as in a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r#"'"'"'"#))
}

/// The accounts of our service in the dump of a keychain: `"acct"<blob>="dev"` beside `"svce"<blob>="databricks-cli"` in one entry.
fn accounts_in(dump: &str) -> Vec<String> {
    let of = |entry: &str, name: &str| {
        let line = entry.lines().find_map(|line| line.trim().strip_prefix(name).map(|line| line.trim_start_matches("<blob>=").to_owned()))?;
        // What is not plain ASCII stands there in hexadecimal: 0x… "…".
        match line.strip_prefix("0x") {
            Some(hexadecimal) => {
                let digits: String = hexadecimal.chars().take_while(char::is_ascii_hexdigit).collect();
                decoded(format!("{HEXADECIMAL}{digits}").as_bytes()).and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
            }
            None => Some(line.strip_prefix('"')?.strip_suffix('"')?.to_owned()),
        }
    };
    dump.split("keychain: ").filter(|entry| of(entry, "\"svce\"").as_deref() == Some(SERVICE)).filter_map(|entry| of(entry, "\"acct\"")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_searched_for_our_accounts() {
        let entry = |account: &str, service: &str| {
            format!(
                "keychain: \"/Users/a/login.keychain-db\"\nversion: 512\nattributes:\n    0x00000007 <blob>=\"x\"\n    \"acct\"<blob>={account}\n    \"svce\"<blob>={service}\n"
            )
        };
        let dump = [entry("\"dev\"", "\"databricks-cli\""), entry("\"no\"", "\"other\""), entry("0x64C3BC  \"d\\303\\274\"", "\"databricks-cli\"")].concat();
        assert_eq!(accounts_in(&dump), ["dev", "dü"]);
    }

    #[test]
    fn values_are_decoded_and_names_quoted() {
        let text = |printed: &str| decoded(printed.as_bytes()).map(|bytes| String::from_utf8(bytes.to_vec()).expect("text"));
        assert_eq!(text("go-keyring-base64:eyJ9\n").as_deref(), Some("{\"}"));
        assert_eq!(text("go-keyring-encoded:6162").as_deref(), Some("ab"));
        assert_eq!(text("{}\n").as_deref(), Some("{}"));
        assert_eq!(text("go-keyring-base64:?"), None);
        assert_eq!(quoted("a'b"), r#"'a'"'"'b'"#);
    }
}
