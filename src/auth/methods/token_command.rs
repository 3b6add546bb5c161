//! `token-command`: a program of the user's that prints a token; `token_command = …` in a profile names it.
//!
//! It runs without a shell and without input ([`crate::auth::program`]). Only a profile can name it: a variable or a `databricks.yml` that came with a folder must not be able to start programs.
//! What it prints is one token, or the JSON of `databricks auth token`. Nothing is kept between runs: whoever mints the token knows best how long it is good.

use std::ffi::OsStr;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::auth::oauth::reply;
use crate::auth::program::{self, Ended, Trouble};
use crate::auth::{Credential, Method, Ports, no_obstacle};
use crate::clock;
use crate::config::attributes::Attr;
use crate::config::settings::Settings;
use crate::error::Failure;
use crate::host::Host;
use crate::secret::Secret;
use crate::storage::StoredToken;
use crate::text;

pub(crate) static METHOD: Method =
    Method { name: "token-command", title: "Token command", needs: &[Attr::TokenCommand], automatic: true, obstacle: no_obstacle, locate: None, acquire };

fn acquire(settings: &Settings, host: Host, ports: &Ports<'_>) -> Result<Credential> {
    let place = settings.get(Attr::TokenCommand).map(|sourced| sourced.source.place()).unwrap_or_default();
    let refuse = |what: &str| Failure::new(format!("token_command {what}")).hint(format!("token_command comes from the {place}"));
    let line = settings.secret(Attr::TokenCommand).map(Secret::expose).unwrap_or_default();
    let words = program::split(line).map_err(|why| refuse(&format!("cannot be run: {why}")))?;
    let (name, arguments) = words.split_first().map(|(name, arguments)| (name.as_str(), arguments)).unwrap_or_default();
    // The first word is the name of a program, which is no secret; what stands behind it may be one.
    let shown = text::quoted(name);
    let found = program::find(OsStr::new(name), ports.env)
        .ok_or_else(|| refuse(&format!("names {shown}, and there is no such program")).hint("Give its whole path, or put its folder on PATH"))?;
    let arguments: Vec<&str> = arguments.iter().map(|word| word.as_str()).collect();
    let said = |last_words: &str| if last_words.is_empty() { String::new() } else { format!("; it said: {last_words}") };
    let ended = program::run(&found, &arguments, program::TIME_LIMIT).map_err(|trouble| match trouble {
        Trouble::Missing => refuse(&format!("names {shown}, which cannot be started: it or its interpreter is not there")),
        Trouble::NotStarted(why) => refuse(&format!("names {shown}, which cannot be started: {}", text::one_line(&why))),
        Trouble::TooSlow(last) => refuse(&format!("did not end within {} seconds: {shown} was stopped{}", program::TIME_LIMIT.as_secs(), said(&last))),
        Trouble::Asks(last) => refuse(&format!("asks for input: {shown} wanted to read from the terminal and was stopped{}", said(&last)))
            .hint("Run it yourself first, so that it need not ask"),
        Trouble::TooMuch => refuse(&format!("printed more than {} bytes, which is no token", program::OUTPUT_LIMIT)),
    })?;
    let token = read(&ended).map_err(|what| {
        let failure = refuse(&format!("{what}{}", said(&ended.last_words)));
        if ended.left_open && ended.last_words.ends_with([':', '?', '>']) {
            failure.hint(format!("It seems to ask for input, and gets none: run {shown} yourself first, so that it need not ask"))
        } else {
            failure
                .hint("It has to print one token, or JSON such as {\"access_token\": \"…\", \"token_type\": \"Bearer\", \"expiry\": \"2026-11-22T09:30:00Z\"}")
        }
    })?;
    Ok(Credential::bearer(host, METHOD.name, token, Vec::new()))
}

/// What `databricks auth token` prints.
#[derive(Deserialize)]
struct Printed {
    access_token: Option<String>,
    token_type: Option<String>,
    expiry: Option<Value>,
    expires_in: Option<Value>,
}

/// The token that a program printed.
///
/// # Errors
/// In words that follow `token_command`; nothing of the output is in them.
fn read(ended: &Ended) -> Result<StoredToken, String> {
    match ended.code {
        Some(0) => {}
        Some(code) => return Err(format!("failed with exit code {code}")),
        None => return Err("was ended by a signal".to_owned()),
    }
    let output = std::str::from_utf8(&ended.stdout).map_err(|_| "printed something that is no text".to_owned())?;
    let output = output.trim_matches(['\r', '\n', ' ', '\t']);
    if output.is_empty() {
        return Err("printed nothing on its standard output".to_owned());
    }
    let now = clock::now();
    if output.starts_with('{') {
        let printed: Printed =
            serde_json::from_str(output).map_err(|error| format!("printed JSON that cannot be read: line {}, column {}", error.line(), error.column()))?;
        let token = Zeroizing::new(printed.access_token.unwrap_or_default());
        if token.is_empty() {
            return Err("printed JSON without an access_token".to_owned());
        }
        if let Some(kind) = printed.token_type.filter(|kind| !kind.is_empty() && !kind.eq_ignore_ascii_case("bearer")) {
            return Err(format!("printed a token of type {}, and only Bearer can be sent", text::quoted(&kind)));
        }
        check(&token)?;
        let expiry = match printed.expiry.filter(|expiry| !expiry.is_null()) {
            Some(Value::String(expiry)) => Some(expiry.parse().map_err(|_| format!("printed an expiry that is no time: {}", text::quoted(&expiry)))?),
            Some(_) => return Err("printed an expiry that is no text such as 2026-11-22T09:30:00Z".to_owned()),
            None => printed.expires_in.as_ref().and_then(reply::seconds).and_then(|life| now.checked_add(jiff::SignedDuration::from_secs(life)).ok()),
        };
        if expiry.is_some_and(|expiry: jiff::Timestamp| expiry <= now) {
            return Err("printed a token that has ended already".to_owned());
        }
        return Ok(reply::bare(&token, expiry, now));
    }
    if output.contains(['\n', '\r']) {
        return Err("printed more than one line".to_owned());
    }
    check(output)?;
    Ok(reply::bare(output, None, now))
}

/// A token is sent in a header: it holds neither controls nor white space, nor anything beyond ASCII (RFC 6750, section 2.1).
fn check(token: &str) -> Result<(), String> {
    if token.contains(char::is_control) {
        return Err("printed control characters, which no token has".to_owned());
    }
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("printed several words or letters that no token has".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: Option<i32>, stdout: &str) -> Result<StoredToken, String> {
        read(&Ended { code, stdout: Zeroizing::new(stdout.into()), last_words: String::new(), stderr: Zeroizing::default(), left_open: false })
    }

    #[test]
    fn a_token_or_the_json_of_auth_token() {
        for output in [
            "tok-1",
            "  tok-1\r\n",
            "{\"access_token\":\"tok-1\"}",
            "{\"access_token\":\"tok-1\",\"token_type\":\"bearer\",\"expiry\":\"2099-01-01T00:00:00.5+01:00\"}\n",
        ] {
            assert_eq!(outcome(Some(0), output).expect(output).access_token.expose(), "tok-1");
        }
        let token = outcome(Some(0), "{\"access_token\":\"t\",\"expiry\":\"2099-01-01T00:00:00Z\"}").expect("a token");
        assert_eq!(token.expiry.expect("an end").to_string(), "2099-01-01T00:00:00Z");
        assert_eq!(outcome(Some(0), "dapi-opaque").expect("a token").expiry, None);
    }

    #[test]
    fn everything_else_has_a_message_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for (code, output) in [
            (Some(3), "tok-secret"),
            (None, "tok-secret"),
            (Some(0), ""),
            (Some(0), "tok-secret\ntok-secret"),
            (Some(0), "tok-secret\u{1b}[0m"),
            (Some(0), "tok-secret tok"),
            (Some(0), "{\"tok-secret\""),
            (Some(0), "{\"token\":\"tok-secret\"}"),
            (Some(0), "{\"access_token\":\"tok-secret\",\"token_type\":\"mac\"}"),
            (Some(0), "{\"access_token\":\"tok-secret\",\"expiry\":\"soon\"}"),
            (Some(0), "{\"access_token\":\"tok-secret\",\"expiry\":\"2001-01-01T00:00:00Z\"}"),
            (Some(0), "{\"access_token\":\"tok-secret\",\"expiry\":5}"),
        ] {
            let error = outcome(code, output).expect_err(output);
            assert!(!error.contains("tok-secret"), "{error}");
            assert!(seen.insert(error.clone()), "{error} twice");
        }
    }
}
