//! `--json`: a request body typed by hand, checked against what the call takes.
//!
//! Numbers and nested values go to the server as they were typed. A field that the call does not know, or of the wrong kind, is a [`Flaw`] with its place; the command
//! decides whether that is a warning or an error.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::files;
use crate::rest::{Field, Place, Shape};

/// Largest body that is read from a file.
const SIZE_LIMIT: u64 = 16 << 20;

/// The fields of a body, each with its raw JSON.
pub(crate) type Body = Vec<(String, String)>;

/// Something in the body that cannot be sent as it was typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    what: String,
    /// The field in question; `None` if it is unknown.
    field: Option<String>,
    origin: String,
    line: usize,
    column: usize,
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)?;
        if let Some(field) = &self.field {
            write!(formatter, "\n  at {field}")?;
        }
        write!(formatter, "\n  in {}:{}:{}", self.origin, self.line, self.column)
    }
}

/// Reads the value of `--json`: the JSON itself, `@path`, or `-` for standard input.
///
/// # Errors
/// Why there is nothing to read, in the words that follow `invalid argument … for "--json" flag: `.
pub(crate) fn read(argument: &str) -> Result<(Cow<'_, str>, String), String> {
    let text_of = |bytes: Vec<u8>, name: &str| String::from_utf8(bytes).map_err(|_| format!("read {name}: it is not UTF-8 text"));
    match argument.strip_prefix('@') {
        _ if argument.trim().is_empty() => Err("expected inline JSON or @path/to/file, got an empty string".to_owned()),
        Some(path) => match files::read(Path::new(path), SIZE_LIMIT) {
            Ok(Some(bytes)) => Ok((Cow::Owned(text_of(bytes, path)?), path.to_owned())),
            Ok(None) => Err(format!("read {path}: open {path}: no such file or directory")),
            Err(error) => Err(format!("read {path}: {error}")),
        },
        None if argument == "-" => {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::Read::take(std::io::stdin(), SIZE_LIMIT + 1), &mut bytes)
                .map_err(|error| format!("read standard input: {error}"))?;
            if bytes.len() as u64 > SIZE_LIMIT {
                return Err(format!("read standard input: it is larger than {} MiB", SIZE_LIMIT >> 20));
            }
            Ok((Cow::Owned(text_of(bytes, "standard input")?), "(stdin)".to_owned()))
        }
        None => Ok((Cow::Borrowed(argument), "(inline)".to_owned())),
    }
}

/// A JSON value of any kind, as it was typed.
///
/// # Errors
/// With the place where it is none.
pub(crate) fn any<'t>(text: &'t str, origin: &str) -> Result<&'t RawValue, String> {
    serde_json::from_str(text).map_err(|error| decoding_error(&error, text, origin))
}

/// Checks a body against the fields of a call: what can be sent, and what cannot.
///
/// # Errors
/// If it is no JSON object; with the place.
pub(crate) fn check(text: &str, origin: &str, fields: &[Field]) -> Result<(Body, Vec<Flaw>), String> {
    let trimmed = text.trim_start();
    let kind = match trimmed.bytes().next() {
        Some(b'[') => Some("sequence"),
        Some(b'"') => Some("string"),
        Some(b't' | b'f') => Some("bool"),
        Some(b'n') => Some("nil"),
        Some(b'0'..=b'9' | b'-') => Some("int"),
        _ => None,
    };
    let object: Object<'_> = match (serde_json::from_str(text), kind) {
        (Ok(object), _) => object,
        (Err(_), Some(kind)) if serde_json::from_str::<&RawValue>(text).is_ok() => return Err(format!("expected JSON object, received {kind}")),
        (Err(error), _) => return Err(decoding_error(&error, text, origin)),
    };
    let mut body: Body = Vec::new();
    let mut flaws = Vec::new();
    for (key, raw) in &object.0 {
        let value_at = offset(text, raw.get());
        // What belongs into the path or the query is no field of the body, whatever it is called.
        let Some(field) = fields.iter().find(|field| field.name == key && field.place == Place::Body) else {
            let (line, column) = place(text, key_offset(text, value_at));
            flaws.push(Flaw { what: format!("unknown field: {}", crate::text::one_line(key)), field: None, origin: origin.to_owned(), line, column });
            continue;
        };
        match fitted(raw.get(), field.shape) {
            Ok(value) => {
                body.retain(|(present, _)| present != key);
                body.extend(value.map(|value| (key.clone().into_owned(), value.into_owned())));
            }
            Err(what) => {
                let (line, column) = place(text, value_at + usize::from(raw.get().starts_with('"')));
                flaws.push(Flaw { what, field: Some(field.name.to_owned()), origin: origin.to_owned(), line, column });
            }
        }
    }
    Ok((body, flaws))
}

/// The value as the shape wants it; `None` for null, which counts as not given. Strings, numbers and booleans are turned into each other where nothing is lost.
fn fitted(raw: &str, shape: Shape) -> Result<Option<Cow<'_, str>>, String> {
    let wrong = || Err(format!("expected {}, found {}", shape.noun(), kind_of(raw)));
    let same = Ok(Some(Cow::Borrowed(raw)));
    match (shape, kind_of(raw)) {
        (_, "null") => Ok(None),
        (Shape::Text | Shape::Span, "a string") | (Shape::Boolean, "a boolean") | (Shape::Texts | Shape::Objects, "a list") | (Shape::Object, "an object") => {
            let inside = match shape {
                Shape::Texts => serde_json::from_str::<Vec<String>>(raw).is_ok(),
                Shape::Objects => serde_json::from_str::<Vec<serde_json::Map<String, serde_json::Value>>>(raw).is_ok(),
                _ => true,
            };
            if inside { same } else { Err(format!("expected {}, found a list of something else", shape.noun())) }
        }
        (Shape::Text, "a number" | "a boolean") => Ok(Some(Cow::Owned(format!("\"{raw}\"")))),
        (Shape::Integer | Shape::Seconds { .. }, "a number") => {
            if raw.parse::<i64>().is_ok() {
                return same;
            }
            Err(format!("cannot parse {raw} as an integer"))
        }
        (Shape::Integer | Shape::Seconds { .. } | Shape::Boolean, "a string") => {
            let text: String = serde_json::from_str(raw).unwrap_or_default();
            let readable = if shape == Shape::Boolean { matches!(text.as_str(), "true" | "false") } else { text.parse::<i64>().is_ok() };
            if readable { Ok(Some(Cow::Owned(text))) } else { Err(format!("cannot parse {} as {}", crate::text::quoted(&text), shape.noun())) }
        }
        _ => wrong(),
    }
}

fn kind_of(raw: &str) -> &'static str {
    match raw.bytes().next() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Compat: the places that scripts see name the offending character where there is one.
fn decoding_error(error: &serde_json::Error, text: &str, origin: &str) -> String {
    let position = format!("{origin}:{}:{}", error.line(), error.column());
    if error.is_eof() {
        return format!("error decoding JSON at {position}: unexpected end of JSON input");
    }
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let character = line.get(error.column().saturating_sub(1)..).and_then(|rest| rest.chars().next());
    let words = error.to_string();
    match character {
        _ if words.starts_with("trailing characters") => format!("error decoding JSON at {position}: unexpected additional content"),
        _ if words.starts_with("recursion limit") => format!("error decoding JSON at {position}: it is nested too deeply"),
        Some(character) => format!("error decoding JSON at {position}: invalid character '{}'", crate::text::one_line(&character.to_string())),
        None => format!("error decoding JSON at {position}: invalid JSON"),
    }
}

/// Where a part of the text begins: `part` is a slice of `text`.
fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
}

/// The first character of the key whose value begins at `value_at`.
fn key_offset(text: &str, value_at: usize) -> usize {
    let before = text[..value_at].trim_end().trim_end_matches(':').trim_end();
    let inside = before.strip_suffix('"').unwrap_or(before);
    let mut start = 0;
    for (at, _) in inside.match_indices('"') {
        let escapes = inside[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        if escapes % 2 == 0 {
            start = at + 1;
        }
    }
    start
}

/// Line and column from 1, in characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |feed| feed + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// An object in the order in which it was typed.
struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object<'de>, M::Error> {
                let mut fields = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push((Cow::Owned(key), value));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is sent is JSON with the keys that were typed; nothing that was typed is lost without a flaw that says where it stands.
        #[test]
        fn nothing_typed_is_lost_in_silence(
            text in crate::json::any_nearly_json(),
            typed in prop::collection::vec((prop::sample::select(vec!["comment", "lifetime_seconds", "autoscope_enabled", "scopes", "nope", "\\u0063omment"]), crate::json::any_nearly_json()), 0..5),
        ) {
            let object = format!("{{{}}}", typed.iter().map(|(key, value)| format!("\"{key}\": {value}\n")).collect::<Vec<_>>().join(","));
            for text in [text, object] {
                let Ok((body, flaws)) = check(&text, "(inline)", &fields()) else { continue };
                let whole: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(&text).expect("an object");
                let sent: Vec<&str> = body.iter().map(|(key, _)| key.as_str()).collect();
                for (key, value) in &body {
                    prop_assert!(whole.contains_key(key) && serde_json::from_str::<&RawValue>(value).is_ok(), "{}", text);
                }
                for (key, value) in whole.iter().filter(|(_, value)| value.get() != "null") {
                    prop_assert!(sent.contains(&key.as_str()) || !flaws.is_empty(), "{}: {} in {}", key, value, text);
                }
                for flaw in &flaws {
                    let line = text.split('\n').nth(flaw.line - 1);
                    prop_assert!(line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&flaw.column)), "{} in {}", flaw, text);
                }
            }
        }
    }

    fn fields() -> Vec<Field> {
        vec![
            Field::flag("comment", Shape::Text, ""),
            Field::flag("lifetime_seconds", Shape::Seconds { human: "lifetime" }, ""),
            Field::flag("autoscope_enabled", Shape::Boolean, ""),
            Field::json("scopes", Shape::Texts),
        ]
    }

    fn checked(text: &str) -> Result<(Body, Vec<String>), String> {
        check(text, "(inline)", &fields()).map(|(body, flaws)| (body, flaws.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn values_are_taken_as_typed_or_turned_without_loss() {
        let (body, flaws) = checked(r#"{"comment": 5, "lifetime_seconds": "60", "autoscope_enabled": "true", "scopes": ["sql"]}"#).expect("a body");
        assert!(flaws.is_empty(), "{flaws:?}");
        let body: Vec<_> = body.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(body, ["comment=\"5\"", "lifetime_seconds=60", "autoscope_enabled=true", "scopes=[\"sql\"]"]);
    }

    #[test]
    fn flaws_name_their_place() {
        let (body, flaws) = checked(r#"{"comment":"j","nope":1}"#).expect("a body");
        assert_eq!((body.len(), flaws), (1, vec!["unknown field: nope\n  in (inline):1:17".to_owned()]));
        let (_, flaws) = checked("{\n  \"lifetime_seconds\": \"abc\"}").expect("a body");
        assert_eq!(flaws, ["cannot parse \"abc\" as an integer\n  at lifetime_seconds\n  in (inline):2:24"]);
        for text in [
            r#"{"comment": {}}"#,
            r#"{"scopes": [1]}"#,
            r#"{"lifetime_seconds": 1.5}"#,
            r#"{"lifetime_seconds": 99999999999999999999}"#,
            r#"{"autoscope_enabled": 1}"#,
        ] {
            assert_eq!(checked(text).expect(text).1.len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        for (text, error) in [
            ("{bad", "error decoding JSON at (inline):1:2: invalid character 'b'"),
            ("{\"a\":1} x", "error decoding JSON at (inline):1:9: unexpected additional content"),
            ("{\"a\":", "error decoding JSON at (inline):1:5: unexpected end of JSON input"),
            ("[1]", "expected JSON object, received sequence"),
            ("5", "expected JSON object, received int"),
            ("\"x\"", "expected JSON object, received string"),
        ] {
            assert_eq!(checked(text).expect_err(text), error);
        }
        let deep = format!("{{\"comment\": {}", "[".repeat(100_000));
        checked(&deep).expect_err("too deep");
    }

    #[test]
    fn the_argument_names_its_source() {
        assert_eq!(read("").expect_err("empty"), "expected inline JSON or @path/to/file, got an empty string");
        assert_eq!(read("@nofile").expect_err("missing"), "read nofile: open nofile: no such file or directory");
    }
}
