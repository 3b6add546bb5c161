//! What `--debug` shows of requests and replies. Secrets never: what is not known to be harmless is left out.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::message::{Body, Request};
use super::redaction::{Secrets, is_secret_name, looks_secret};
use crate::{clock, text};

/// What stands for a secret, as the official CLI writes it.
const MASK: &str = "**REDACTED**";

/// Longer texts within a body are cut; the default of the SDKs' `debug_truncate_bytes`.
const LONGEST_TEXT: usize = 96;

/// Longer bodies are cut, in characters.
const LONGEST_BODY: usize = 64 * LONGEST_TEXT;

/// More elements of a list are only counted.
const LONGEST_LIST: usize = 10;

/// Deeper bodies are cut off: debug output is no place to run out of stack.
const DEEPEST: usize = 32;

/// Headers whose values are shown; of all others only the length.
const PLAIN_HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "host",
    "retry-after",
    "server",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "x-databricks-org-id",
    "x-databricks-workspace-id",
    "x-request-id",
    "x-ms-request-id",
    "metadata",
];

/// Where debug lines go, if anywhere. Off costs nothing: no line is made.
#[derive(Clone, Default)]
pub(crate) struct Trace {
    out: Option<Arc<Mutex<dyn Write + Send>>>,
}

impl Trace {
    pub(crate) fn off() -> Self {
        Self::default()
    }

    pub(crate) fn to_stderr() -> Self {
        Self::to(std::io::stderr())
    }

    pub(crate) fn to(out: impl Write + Send + 'static) -> Self {
        Self { out: Some(Arc::new(Mutex::new(out))) }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.out.is_some()
    }

    /// One line such as `09:30:00 Debug: text` (UTC); the text is made only if it is shown, and made safe here. It must hold no secret.
    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        self.write(|| vec![text()]);
    }

    /// Lines that belong together, in one write; debug output that cannot be written is no reason to fail.
    fn write(&self, lines: impl FnOnce() -> Vec<String>) {
        let Some(out) = &self.out else { return };
        let mut block = clock::now().strftime("%H:%M:%S Debug: ").to_string();
        for line in lines() {
            block.push_str(&text::one_line(&line));
            block.push('\n');
        }
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = out.write_all(block.as_bytes()).and_then(|()| out.flush());
    }

    /// A request as it goes out; `headers` are all but the signer's, whose names are in `signed`.
    pub(super) fn request(&self, host: &str, request: &Request<'_>, url: &reqwest::Url, headers: &HeaderMap, secrets: &Secrets) {
        self.write(|| {
            let mut lines = vec![
                format!("{} {}", request.verb, if request.hides_path { request.shown_path() } else { shown_target(url, secrets) }),
                format!("> * Host: {host}"),
            ];
            lines.extend(shown_headers(headers, secrets).map(|line| format!("> * {line}")));
            match &request.body {
                Body::Empty => {}
                Body::Json(json) => lines.push(format!("> {}", shown_body(json, secrets))),
                Body::Form(fields) => {
                    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", shown_text(name, value.expose(), secrets))).collect();
                    lines.push(format!("> {}", fields.join("&")));
                }
            }
            lines
        });
    }

    /// A reply as it came in; `body` is `None` where it was not read.
    pub(super) fn reply(&self, status: u16, headers: &HeaderMap, body: Option<&[u8]>, took: Duration, secrets: &Secrets) {
        self.write(|| {
            let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
            let mut lines = vec![format!("< {status} {reason} ({} ms)", took.as_millis())];
            lines.extend(shown_headers(headers, secrets).map(|line| format!("< * {line}")));
            if let Some(body) = body.filter(|body| !body.is_empty()) {
                lines.push(format!("< {}", shown_body(body, secrets)));
            }
            lines
        });
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.is_on() { "Trace(on)" } else { "Trace(off)" })
    }
}

/// Path and query; secret parameters by name and by value are masked.
fn shown_target(url: &reqwest::Url, secrets: &Secrets) -> String {
    let mut shown = secrets.hide(url.path()).into_owned();
    for (index, (name, value)) in url.query_pairs().enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        let _ = write!(shown, "{name}={}", shown_text(&name, &value, secrets));
    }
    shown
}

fn shown_headers<'a>(headers: &'a HeaderMap, secrets: &'a Secrets) -> impl Iterator<Item = String> + 'a {
    headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let shown = if is_secret_name(name.as_str()) || secrets.are_in(&value) || looks_secret(&value) {
            MASK.to_owned()
        } else if PLAIN_HEADERS.contains(&name.as_str()) {
            text::shortened(&value, 2 * LONGEST_TEXT).into_owned()
        } else {
            format!("({} bytes)", value.len())
        };
        format!("{}: {shown}", title_case(name.as_str()))
    })
}

/// `content-type` as `Content-Type`.
fn title_case(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    });
    words.collect::<Vec<_>>().join("-")
}

fn shown_text(name: &str, value: &str, secrets: &Secrets) -> String {
    // An empty text tells nothing, and may be what is looked for.
    if !value.is_empty() && (is_secret_name(name) || looks_secret(value) || secrets.are_in(value)) {
        return MASK.to_owned();
    }
    match value.char_indices().nth(LONGEST_TEXT) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}... ({} more bytes)", &value[..end], value.len() - end),
    }
}

/// JSON with its secrets masked; of everything else only the length.
fn shown_body(body: &[u8], secrets: &Secrets) -> String {
    let Ok(mut json) = serde_json::from_slice::<Value>(body) else {
        return format!("({} bytes that are no JSON)", body.len());
    };
    mask(&mut json, "", secrets, 0);
    text::shortened(&json.to_string(), LONGEST_BODY).into_owned()
}

fn mask(value: &mut Value, name: &str, secrets: &Secrets, depth: usize) {
    if depth > DEEPEST {
        *value = Value::String("...".to_owned());
    }
    match value {
        // Whatever stands under a secret name, numbers and objects too.
        Value::Number(_) | Value::Array(_) | Value::Object(_) if is_secret_name(name) => *value = Value::String(MASK.to_owned()),
        Value::String(text) => *text = shown_text(name, text, secrets),
        Value::Array(items) => {
            let more = items.len().saturating_sub(LONGEST_LIST);
            items.truncate(LONGEST_LIST);
            for item in items.iter_mut() {
                mask(item, "", secrets, depth + 1);
            }
            if more > 0 {
                items.push(Value::String(format!("... ({more} additional elements)")));
            }
        }
        Value::Object(fields) => {
            for (name, value) in std::mem::take(fields) {
                let mut value = value;
                mask(&mut value, &name, secrets, depth + 1);
                // A map may be keyed by a token.
                fields.insert(if looks_secret(&name) || secrets.are_in(&name) { MASK.to_owned() } else { name }, value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn masked(body: &str) -> String {
        let secrets = Secrets::of(&[("Authorization", Secret::new("Bearer known-secret-1"))], &Body::Empty);
        shown_body(body.as_bytes(), &secrets)
    }

    #[test]
    fn secrets_are_masked_by_name_value_and_form() {
        assert_eq!(
            masked(r#"{"token_value":"dapi1","token_info":{"token_id":"7","comment":"x known-secret-1"},"id_token":{"a":1},"expires_in":3600,"password":""}"#),
            r#"{"expires_in":3600,"id_token":"**REDACTED**","password":"","token_info":{"comment":"**REDACTED**","token_id":"7"},"token_value":"**REDACTED**"}"#
        );
        assert_eq!(masked(r#"{"odd":"dapi0123456789abcdef0123456789abcdef"}"#), r#"{"odd":"**REDACTED**"}"#);
        assert_eq!(masked(r#""known-secret-1""#), r#""**REDACTED**""#);
        assert_eq!(masked("access_token=abc"), "(16 bytes that are no JSON)");
    }

    #[test]
    fn long_bodies_are_cut() {
        assert_eq!(masked(&format!(r#"["{}"]"#, "x".repeat(100))), format!(r#"["{}... (4 more bytes)"]"#, "x".repeat(96)));
        assert_eq!(masked("[1,2,3,4,5,6,7,8,9,10,11,12]"), r#"[1,2,3,4,5,6,7,8,9,10,"... (2 additional elements)"]"#);
        assert!(masked(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).contains("..."));
    }

    #[test]
    fn off_makes_no_line() {
        Trace::off().note(|| panic!("a line was made"));
        assert!(!Trace::off().is_on());
    }
}
