//! An entry of a store as JSON: the fields that the official CLI writes, and those that somebody else put beside them.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::de::IgnoredAny;

use super::StoredToken;
use crate::secret::Secret;

const ACCESS_TOKEN: &str = "access_token";
const TOKEN_TYPE: &str = "token_type";
const REFRESH_TOKEN: &str = "refresh_token";
const EXPIRY: &str = "expiry";
const EXPIRES_IN: &str = "expires_in";
const FIELDS: [&str; 5] = [ACCESS_TOKEN, TOKEN_TYPE, REFRESH_TOKEN, EXPIRY, EXPIRES_IN];

/// A member of a JSON object, both parts as they stand in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    /// With its quotes.
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

impl<'a> Member<'a> {
    /// The key as text.
    pub(super) fn name(&self) -> Cow<'a, str> {
        let inner = &self.key[1..self.key.len() - 1];
        if inner.contains('\\') { text(self.key).map_or(Cow::Borrowed(inner), Cow::Owned) } else { Cow::Borrowed(inner) }
    }
}

/// The members of an object; `None` if the text is no object. Of text that is no JSON at all, it says something or `None`.
pub(super) fn members(object: &str) -> Option<Vec<Member<'_>>> {
    let mut members = Vec::new();
    let mut at = white(object, 0);
    if object.as_bytes().get(at) != Some(&b'{') {
        return None;
    }
    at = white(object, at + 1);
    while object.as_bytes().get(at) != Some(&b'}') {
        let (member, end) = member(object, at)?;
        members.push(member);
        at = white(object, end);
        match object.as_bytes().get(at) {
            Some(b',') => at = white(object, at + 1),
            Some(b'}') => {}
            _ => return None,
        }
    }
    Some(members)
}

/// The member that starts at a place, and where it ends.
pub(super) fn member(text: &str, start: usize) -> Option<(Member<'_>, usize)> {
    let key_end = string_end(text.as_bytes(), start)?;
    let colon = white(text, key_end);
    if text.as_bytes().get(colon) != Some(&b':') {
        return None;
    }
    let value = white(text, colon + 1);
    let end = value_end(text.as_bytes(), value)?;
    Some((Member { key: text.get(start..key_end)?, value: text.get(value..end)? }, end))
}

fn white(text: &str, from: usize) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

/// The place behind a string's closing quote.
fn string_end(text: &[u8], start: usize) -> Option<usize> {
    if text.get(start) != Some(&b'"') {
        return None;
    }
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn value_end(text: &[u8], start: usize) -> Option<usize> {
    match text.get(start)? {
        b'"' => string_end(text, start),
        b'{' | b'[' => {
            let mut depth = 0_usize;
            let mut at = start;
            loop {
                at += text.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'))?;
                match text[at] {
                    b'"' => {
                        at = string_end(text, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    _ => depth -= 1,
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => {
            let rest = &text[start..];
            let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(rest.len());
            (length > 0).then_some(start + length)
        }
    }
}

/// Whether the text is one JSON value.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The text of a JSON string; `None` if it is no string. Errors of serde would quote it, so they do not leave.
fn text(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// What is wrong with an entry; never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BrokenEntry(pub(super) &'static str);

/// The token of an entry; `None` if it holds none, as `null` and `{}`.
///
/// # Errors
/// If it is no object, or a field is not what it should be.
pub(super) fn parse(entry: &str) -> Result<Option<StoredToken>, BrokenEntry> {
    if entry.trim() == "null" {
        return Ok(None);
    }
    let members = members(entry).ok_or(BrokenEntry("it is not an object"))?;
    let field =
        |name: &str| members.iter().rfind(|member| member.name().eq_ignore_ascii_case(name)).map(|member| member.value).filter(|value| *value != "null");
    let string =
        |name: &str, error| field(name).map(|value| text(value).ok_or(BrokenEntry(error))).transpose().map(|text| text.filter(|text| !text.is_empty()));
    let access_token = string(ACCESS_TOKEN, "its access_token is not text")?;
    let refresh_token = string(REFRESH_TOKEN, "its refresh_token is not text")?.map(Secret::new);
    let token_type = string(TOKEN_TYPE, "its token_type is not text")?.unwrap_or_else(|| "Bearer".to_owned());
    let expiry = string(EXPIRY, "its expiry is not text")?.map(|text| instant(&text).ok_or(BrokenEntry("its expiry is no time"))).transpose()?;
    // Go's zero time, which means never.
    let expiry = expiry.filter(|expiry| expiry.as_second() > YEAR_TWO);
    // Only for people: a number that is none does no harm.
    let expires_in = field(EXPIRES_IN).and_then(|value| serde_json::from_str(value).ok());
    Ok(match (access_token, &refresh_token) {
        (Some(access_token), _) => Some(StoredToken { access_token: Secret::new(access_token), token_type, refresh_token, expiry, expires_in }),
        // Enough to get a new one with.
        (None, Some(_)) => Some(StoredToken { access_token: Secret::new(""), token_type, refresh_token, expiry: Some(Timestamp::UNIX_EPOCH), expires_in }),
        (None, None) => None,
    })
}

/// The refresh token of an entry, whatever else is in it.
pub(super) fn refresh_token(entry: &str) -> Option<Secret> {
    let members = members(entry)?;
    members.iter().rfind(|member| member.name().eq_ignore_ascii_case(REFRESH_TOKEN)).and_then(|member| text(member.value)).map(Secret::new)
}

/// Whether there is any token in an entry.
pub(super) fn holds_token(entry: &str) -> bool {
    let is_token = |member: &Member<'_>| [ACCESS_TOKEN, REFRESH_TOKEN].contains(&&*member.name()) && text(member.value).is_some_and(|text| !text.is_empty());
    members(entry).is_some_and(|members| members.iter().any(is_token))
}

/// The times that are found in caches: RFC 3339, and a civil time, which is in UTC.
fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| Some(text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp()))
}

/// Seconds from 1970 to the start of the year 2.
const YEAR_TWO: i64 = -62_104_060_800;

/// An instant as the official CLI writes it: with the offset of the zone, and in nanoseconds without zeros at the end.
///
/// Compat: the Python SDK reads an instant without a fraction or of another zone than the local one wrongly, so there is always a fraction: a whole second becomes one nanosecond more.
pub(super) fn expiry_text(expiry: Timestamp, zone: &TimeZone) -> String {
    let fractional = if expiry.subsec_nanosecond() == 0 { expiry.checked_add(jiff::SignedDuration::from_nanos(1)).unwrap_or(expiry) } else { expiry };
    let zoned = fractional.to_zoned(zone.clone());
    let civil = zoned.strftime("%Y-%m-%dT%H:%M:%S%.f");
    if zoned.offset().is_zero() { format!("{civil}Z") } else { format!("{civil}{}", zoned.strftime("%:z")) }
}

/// The fields of a token as Go writes them, then those of `old` that are not ours.
fn fields<'a>(token: &StoredToken, old: Option<&'a str>, zone: &TimeZone) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    let mut fields: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
    let mut put = |name: &str, value: String| fields.push((Cow::Owned(quoted(name)), Cow::Owned(value)));
    put(ACCESS_TOKEN, quoted(token.access_token.expose()));
    if !token.token_type.is_empty() {
        put(TOKEN_TYPE, quoted(&token.token_type));
    }
    if let Some(refresh_token) = &token.refresh_token {
        put(REFRESH_TOKEN, quoted(refresh_token.expose()));
    }
    if let Some(expiry) = token.expiry {
        put(EXPIRY, quoted(&expiry_text(expiry, zone)));
    }
    if let Some(expires_in) = token.expires_in {
        put(EXPIRES_IN, expires_in.to_string());
    }
    let foreign = old.and_then(members).unwrap_or_default().into_iter();
    let foreign = foreign.filter(|member| !FIELDS.iter().any(|field| member.name().eq_ignore_ascii_case(field)));
    fields.extend(foreign.map(|member| (Cow::Borrowed(member.key), Cow::Borrowed(member.value))));
    fields
}

/// An entry of the file, with the indentation that it has there.
pub(super) fn indented(token: &StoredToken, old: Option<&str>, zone: &TimeZone) -> String {
    let lines: Vec<String> = fields(token, old, zone).iter().map(|(key, value)| format!("      {key}: {value}")).collect();
    format!("{{\n{}\n    }}", lines.join(",\n"))
}

/// An entry on one line.
pub(super) fn compact(token: &StoredToken, old: Option<&str>, zone: &TimeZone) -> String {
    let fields: Vec<String> = fields(token, old, zone).iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// A JSON string as Go's encoder writes it: with `<`, `>`, `&` and the separators of lines and paragraphs escaped too.
pub(super) fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => json.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => json.push(character),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::posix(name).expect("a zone")
    }

    #[test]
    fn expiries_are_written_for_every_reader() {
        let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
        let new_york = zone("EST5EDT,M3.2.0,M11.1.0");
        for (instant, zone, written) in [
            ("2026-11-22T04:19:30.021914830Z", &new_york, "2026-11-21T23:19:30.02191483-05:00"),
            ("2026-07-22T04:19:30.5Z", &new_york, "2026-07-22T00:19:30.5-04:00"),
            ("2026-11-22T04:19:30Z", &TimeZone::UTC, "2026-11-22T04:19:30.000000001Z"),
            ("2026-11-22T04:19:30.1Z", &zone("<+0545>-5:45"), "2026-11-22T10:04:30.1+05:45"),
        ] {
            assert_eq!(expiry_text(at(instant), zone), written);
            assert_eq!(super::instant(written).map(Timestamp::as_microsecond), Some(at(instant).as_microsecond()));
        }
    }

    #[test]
    fn every_form_of_expiry_is_read() {
        let at = |text: &str| instant(text).map(|instant| instant.to_string());
        assert_eq!(at("2026-11-21T23:19:30.02191483-05:00"), Some("2026-11-22T04:19:30.02191483Z".to_owned()));
        assert_eq!(at("2026-11-21 23:19:30.5"), Some("2026-11-21T23:19:30.5Z".to_owned()));
        assert_eq!(at("2026-11-21 23:19:30"), Some("2026-11-21T23:19:30Z".to_owned()));
        let never = parse(r#"{"access_token":"a","expiry":"0001-01-01T00:00:00Z"}"#).expect("read").expect("a token");
        assert_eq!(never.expiry, None);
        assert_eq!(at("soon"), None);
    }

    #[test]
    fn what_holds_no_token_is_a_miss_and_what_is_broken_is_said() {
        for empty in ["null", "{}", r#"{"access_token":""}"#, r#"{"access_token":null,"expiry":null}"#, r#"{"other":1}"#] {
            assert_eq!(parse(empty), Ok(None), "{empty}");
        }
        for broken in ["[]", "7", r#""text""#, r#"{"access_token":7}"#, r#"{"access_token":"a","expiry":"soon"}"#, r#"{"access_token":"a","refresh_token":{}}"#]
        {
            assert!(parse(broken).is_err(), "{broken}");
        }
        let forever = parse(r#"{"access_token":"a"}"#).expect("read").expect("a token");
        assert_eq!((forever.token_type.as_str(), forever.expiry, forever.expires_in), ("Bearer", None, None));
        let spent = parse(r#"{"refresh_token":"r","expires_in":1e3}"#).expect("read").expect("a token");
        assert_eq!((spent.access_token.is_empty(), spent.expiry), (true, Some(Timestamp::UNIX_EPOCH)));
    }

    #[test]
    fn names_are_those_of_go_in_any_case_and_the_last_counts() {
        let token = parse(r#"{"Access_Token":"a","access\u005ftoken":"b"}"#).expect("read").expect("a token");
        assert_eq!(token.access_token, Secret::new("b"));
    }

    #[test]
    fn text_is_quoted_as_go_does() {
        assert_eq!(quoted("a\"\\\n\u{1}<>&\u{2028}ä"), r#""a\"\\\n\u0001\u003c\u003e\u0026\u2028ä""#);
        assert_eq!(text(&quoted("a\"\\\n\u{1}<>&\u{2028}ä")).as_deref(), Some("a\"\\\n\u{1}<>&\u{2028}ä"));
    }

    #[test]
    fn fields_that_are_not_ours_stay_as_they_were() {
        let token = StoredToken { access_token: Secret::new("new"), token_type: "Bearer".to_owned(), refresh_token: None, expiry: None, expires_in: Some(60) };
        let old = r#"{ "scopes" : [ 1.50, "}" ], "access_token":"old", "refresh_token":"old","a\u0062": {"x":  "\"]"} }"#;
        assert_eq!(
            compact(&token, Some(old), &TimeZone::UTC),
            r#"{"access_token":"new","token_type":"Bearer","expires_in":60,"scopes":[ 1.50, "}" ],"a\u0062":{"x":  "\"]"}}"#
        );
    }
}
