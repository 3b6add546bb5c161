//! The leak sweep: every secret of a story, in every form that software gives to secrets, looked for wherever it must not be.

use super::Home;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A secret of the story.
#[derive(Debug)]
pub(super) struct Planted {
    value: String,
    /// The forms under which it is looked for, the value itself first.
    forms: Vec<(&'static str, String)>,
    /// The places, among the story's workspaces, of those that may see it.
    owners: Vec<usize>,
}

/// What a run showed.
#[derive(Debug)]
pub(super) struct Seen {
    /// Its arguments, which every process of the machine can read.
    pub(super) line: String,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// Whether stdout is where secrets belong.
    pub(super) reveals: bool,
}

impl Planted {
    pub(super) fn new(value: &str, owners: Vec<usize>) -> Planted {
        assert!(value.len() >= 8, "a secret this short is found everywhere");
        let mut forms = vec![("as it is", value.to_owned())];
        // In base64 three bytes become four characters: what surrounds the secret, such as `user:`, shifts it. The first and the last
        // characters mix with the surroundings and are left out.
        for shift in 0..3 {
            let shifted = [vec![b'.'; shift], value.as_bytes().to_vec()].concat();
            for (name, engine) in [("in base64", &STANDARD_NO_PAD), ("in base64 for URLs", &URL_SAFE_NO_PAD)] {
                let text = engine.encode(&shifted);
                let start = (shift * 8).div_ceil(6);
                let end = shifted.len() * 8 / 6;
                forms.push((name, text[start..end].to_owned()));
            }
        }
        let hex = value.bytes().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        forms.push(("in upper-case hex", hex.to_uppercase()));
        forms.push(("in hex", hex));
        forms.push(("percent-encoded", percent(value, "0123456789ABCDEF")));
        forms.push(("percent-encoded", percent(value, "0123456789abcdef")));
        forms.push(("reversed", value.chars().rev().collect()));
        Planted { value: value.to_owned(), forms, owners }
    }

    /// The first form in which the text holds the secret.
    fn form_in(&self, text: &str) -> Option<&'static str> {
        self.forms.iter().find(|(_, form)| text.contains(form.as_str())).map(|(name, _)| *name)
    }
}

fn percent(value: &str, digits: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from(digits.as_bytes()[usize::from(value)]);
            text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
        text
    })
}

/// Looks everywhere; the error names every place.
pub(super) fn sweep(home: &Home) -> Result<(), String> {
    learn(home);
    let secrets = home.secrets.borrow();
    let leaks = RefCell::new(String::new());
    let look = |text: &str, place: &dyn Fn() -> String| {
        for secret in secrets.iter() {
            if let Some(form) = secret.form_in(text) {
                writeln!(leaks.borrow_mut(), "{} {form} in {}", hint(&secret.value), place()).unwrap();
            }
        }
    };
    for seen in home.seen.borrow().iter() {
        look(&seen.line, &|| format!("the arguments of `{}`", seen.line));
        look(&seen.stderr, &|| format!("stderr of `{}`:\n{}", seen.line, seen.stderr));
        if !seen.reveals {
            look(&seen.stdout, &|| format!("stdout of `{}`:\n{}", seen.line, seen.stdout));
            look(&without_controls(&seen.stdout), &|| format!("what the terminal showed of `{}`", seen.line));
        }
    }
    for (place, workspace) in home.workspaces.borrow().iter().enumerate() {
        for request in workspace.requests() {
            let here = || format!("a request: {} {}", request.method, request.path);
            look(&request.target, &here);
            // Token and revocation endpoints take secrets in their form (RFC 6749, section 2.3.1, and RFC 7009).
            let is_oidc = request.path.starts_with("/oidc/") && (request.path.ends_with("/v1/token") || request.path.ends_with("/v1/revoke"));
            let takes_secrets = is_oidc || request.path.ends_with("/oauth2/token") || request.path.ends_with("/oauth2/v2.0/token");
            for secret in secrets.iter().filter(|secret| !(takes_secrets && secret.owners.contains(&place))) {
                if let Some(form) = secret.form_in(&request.body) {
                    writeln!(leaks.borrow_mut(), "{} {form} in {}", hint(&secret.value), here()).unwrap();
                }
            }
            for (name, value) in &request.headers {
                // The second token of clouds has a header of its own.
                let carriers = ["Authorization", "X-Databricks-GCP-SA-Access-Token", "X-Databricks-Azure-SP-Management-Token"];
                if !carriers.iter().any(|carrier| name.eq_ignore_ascii_case(carrier)) {
                    look(&format!("{name}: {value}"), &|| format!("{}, header {name}", here()));
                    continue;
                }
                let decoded = value.split_once(' ').and_then(|(_, pair)| STANDARD.decode(pair).ok()).unwrap_or_default();
                let sent = format!("{value}\n{}", String::from_utf8_lossy(&decoded));
                for secret in secrets.iter().filter(|secret| !secret.owners.contains(&place) && sent.contains(&secret.value)) {
                    let foreign = if secret.owners.is_empty() { "no workspace" } else { "another workspace" };
                    writeln!(leaks.borrow_mut(), "{}, which is for {foreign}, in Authorization of {}", hint(&secret.value), here()).unwrap();
                }
            }
        }
    }
    let stores = home.stores.borrow();
    for path in walk(home.root.path()) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let is_store = stores.contains(&path);
        let mode = std::fs::metadata(&path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
        if !is_store {
            look(&text, &|| format!("the file {}", path.display()));
        } else if mode & 0o077 != 0 && !home.loose.get() {
            look(&text, &|| format!("the store {}, which others can read (mode {mode:04o})", path.display()));
        }
    }
    let leaks = leaks.into_inner();
    if leaks.is_empty() { Ok(()) } else { Err(leaks) }
}

/// What Azure gave away, and the tokens that commands printed because it is their job, and those that a token store holds in the end, are secrets from then on.
fn learn(home: &Home) {
    for (place, workspace) in home.workspaces.borrow().iter().enumerate() {
        home.secrets.borrow_mut().extend(workspace.azure_secrets().iter().map(|secret| Planted::new(secret, vec![place])));
    }
    let everyone: Vec<usize> = (0..home.workspaces.borrow().len()).collect();
    for store in home.stores.borrow().iter().filter(|store| store.ends_with("token-cache.json")) {
        let kept: serde_json::Value = std::fs::read(store).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let entries = kept["tokens"].as_object().into_iter().flatten().flat_map(|(_, entry)| [&entry["access_token"], &entry["refresh_token"]]);
        for value in entries.filter_map(serde_json::Value::as_str).filter(|value| value.len() >= 16) {
            home.secrets.borrow_mut().push(Planted::new(value, everyone.clone()));
        }
    }
    for seen in home.seen.borrow().iter().filter(|seen| seen.reveals) {
        for key in ["\"token_value\": \"", "\"token\": \""] {
            for (at, _) in seen.stdout.match_indices(key) {
                let value = seen.stdout[at + key.len()..].split('"').next().unwrap_or_default();
                if value.len() >= 8 && !value.starts_with("****") && !home.secrets.borrow().iter().any(|known| known.value == value) {
                    // Any workspace of the story may have made it.
                    let everyone = (0..home.workspaces.borrow().len()).collect();
                    home.secrets.borrow_mut().push(Planted::new(value, everyone));
                }
            }
        }
    }
}

/// Enough of a secret to know which one it is.
fn hint(secret: &str) -> String {
    format!("the secret {}…", secret.chars().take(8).collect::<String>())
}

/// The text without escape sequences, between which a secret could hide.
fn without_controls(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' if rest.as_str().starts_with('[') => {
                rest.next();
                rest.by_ref().find(char::is_ascii_alphabetic);
            }
            character if character.is_control() => {}
            character => plain.push(character),
        }
    }
    plain
}

/// Every regular file below a folder; links are not followed.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(walk(&entry.path())),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
    files
}
