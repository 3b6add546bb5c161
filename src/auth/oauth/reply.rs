//! The reply of a token endpoint (RFC 6749, section 5.1). Servers and the proxies before them are taken as they are: a life that is missing or makes no sense is replaced
//! by one that does, so that a token is neither kept for ever nor fetched anew on every call.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::secret::Secret;
use crate::storage::StoredToken;

/// Seconds that a token counts as good where neither the reply nor the token itself tells: what Databricks documents for its OAuth tokens.
pub(crate) const USUAL_LIFE: i64 = 3_600;
/// No token is believed to live longer: a year, in seconds.
const LONGEST_LIFE: i64 = 365 * 86_400;

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(default, borrow)]
    access_token: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    expires_on: Value,
    #[serde(default)]
    error: Value,
    #[serde(default)]
    error_description: Option<String>,
}

/// What is wrong with a reply that came as a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Compat: some servers refuse with status 200.
    Refused {
        error: String,
        description: String,
    },
    NoToken,
}

/// Reads a reply that was received at `now`.
///
/// # Errors
/// If it is no JSON; the outer result. The inner one tells a refusal, and a reply without a token.
pub(crate) fn read(body: &[u8], now: Timestamp) -> Result<Result<StoredToken, Flaw>, serde_json::Error> {
    let wire: Wire<'_> = serde_json::from_slice(body)?;
    if !wire.error.is_null() {
        let error = wire.error.as_str().map_or_else(|| wire.error.to_string(), ToOwned::to_owned);
        return Ok(Err(Flaw::Refused { description: wire.error_description.unwrap_or_else(|| error.clone()), error }));
    }
    let Some(access_token) = wire.access_token.filter(|token| !token.is_empty()) else { return Ok(Err(Flaw::NoToken)) };
    let told = seconds(&wire.expires_in).filter(|life| *life > 0);
    let told = told.or_else(|| seconds(&wire.expires_on).map(|until| until - now.as_second()).filter(|life| *life > 0));
    let life =
        told.or_else(|| expiry_claim(&access_token).map(|until| until - now.as_second()).filter(|life| *life > 0)).unwrap_or(USUAL_LIFE).min(LONGEST_LIFE);
    Ok(Ok(StoredToken {
        access_token: Secret::new(access_token),
        token_type: wire.token_type.filter(|kind| !kind.is_empty()).map_or_else(|| "Bearer".to_owned(), normal_type),
        refresh_token: wire.refresh_token.filter(|token| !token.is_empty()).map(Secret::new),
        expiry: now.checked_add(SignedDuration::from_secs(life)).ok(),
        expires_in: Some(life),
    }))
}

/// A bearer token without a reply around it: it lives until `expiry`, or until its own claim `exp`, or for as long as nobody says otherwise.
pub(crate) fn bare(token: &str, expiry: Option<Timestamp>, now: Timestamp) -> StoredToken {
    let expiry = expiry.or_else(|| expiry_claim(token).and_then(|end| Timestamp::from_second(end).ok()));
    StoredToken {
        access_token: Secret::new(token),
        token_type: "Bearer".to_owned(),
        refresh_token: None,
        expiry,
        expires_in: expiry.map(|expiry| expiry.duration_since(now).as_secs()),
    }
}

/// A number of seconds, also where it comes as text or as a fraction; numbers out of range count as the largest.
pub(crate) fn seconds(value: &Value) -> Option<i64> {
    match value {
        #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is wanted")]
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Compat: the scheme `bearer` in any case is sent as `Bearer`; some gateways look for just that.
fn normal_type(kind: String) -> String {
    if kind.eq_ignore_ascii_case("bearer") { "Bearer".to_owned() } else { kind }
}

/// The claim `exp` of a JSON Web Token (RFC 7519, section 4.1.4), not verified: it says how long the client's own token lives, and decides nothing else.
pub(crate) fn expiry_claim(token: &str) -> Option<i64> {
    seconds(claims(token)?.get("exp")?)
}

/// A claim that is text, not verified.
pub(crate) fn claim(token: &str, name: &str) -> Option<String> {
    claims(token)?.get(name)?.as_str().map(ToOwned::to_owned)
}

/// All claims of a JSON Web Token (RFC 7519), not verified; `None` if it is none.
pub(crate) fn claims(token: &str) -> Option<Value> {
    let decoded = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?);
    serde_json::from_slice(&decoded).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Claims come back as they were put in, and what is no token has none.
        #[test]
        fn claims_are_what_stands_in_the_middle(claims in crate::json::any_nearly_json(), odd in ".{0,60}|[A-Za-z0-9_.=+/-]{0,60}") {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(&claims));
            prop_assert_eq!(super::claims(&token), serde_json::from_str(&claims).ok());
            if let Some(found) = super::claims(&odd) {
                let middle = URL_SAFE_NO_PAD.decode(odd.split('.').nth(1).expect("a middle")).expect("base64");
                prop_assert_eq!(Some(found), serde_json::from_slice(&middle).ok());
            }
            let _none_of_these_panics = (expiry_claim(&token), expiry_claim(&odd), claim(&odd, "tid"));
        }

        /// Whatever a token endpoint sends, a token is neither empty nor one that lives for ever, and its two ends agree.
        #[test]
        fn any_reply_gives_a_token_that_makes_sense_or_none(
            body in crate::json::any_nearly_json(),
            fields in prop::collection::vec((prop::sample::select(vec!["access_token", "token_type", "refresh_token", "expires_in", "expires_on", "error"]), crate::json::any_nearly_json()), 0..6),
            now in 0..4_000_000_000_i64,
        ) {
            let object = format!("{{{}}}", fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect::<Vec<_>>().join(","));
            for text in [body, object] {
                let Ok(Ok(token)) = read(text.as_bytes(), at(now)) else { continue };
                let life = token.expires_in.expect("a life");
                prop_assert!(!token.access_token.is_empty() && (1..=LONGEST_LIFE).contains(&life), "{}", text);
                prop_assert_eq!(token.expiry.map(|expiry| expiry.as_second() - now), Some(life));
            }
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("an instant")
    }

    fn life(fields: &str) -> Option<i64> {
        let token = read(format!("{{\"access_token\":\"t\",{fields}\"token_type\":\"bearer\"}}").as_bytes(), at(1_000)).expect("JSON").expect("a token");
        assert_eq!(token.token_type, "Bearer");
        assert_eq!(token.expiry.map(|expiry| expiry.as_second() - 1_000), token.expires_in);
        token.expires_in
    }

    #[test]
    fn a_life_makes_sense_whatever_the_server_says() {
        assert_eq!(life("\"expires_in\":5,"), Some(5));
        assert_eq!(life("\"expires_in\":\" 60 \","), Some(60));
        assert_eq!(life("\"expires_in\":59.9,"), Some(59));
        for nonsense in
            ["", "\"expires_in\":null,", "\"expires_in\":0,", "\"expires_in\":-5,", "\"expires_in\":\"soon\",", "\"expires_in\":[],", "\"expires_on\":7,"]
        {
            assert_eq!(life(nonsense), Some(USUAL_LIFE), "{nonsense}");
        }
        assert_eq!(life("\"expires_in\":1e18,"), Some(LONGEST_LIFE));
        assert_eq!(life("\"expires_in\":99999999999999999999999,"), Some(LONGEST_LIFE));
        assert_eq!(life("\"expires_on\":\"1090\","), Some(90));
    }

    #[test]
    fn a_token_that_knows_its_end_is_believed() {
        let claims = URL_SAFE_NO_PAD.encode(b"{\"exp\":1300}");
        let token = read(format!("{{\"access_token\":\"h.{claims}.s\"}}").as_bytes(), at(1_000)).expect("JSON").expect("a token");
        assert_eq!((token.expires_in, token.refresh_token), (Some(300), None));
    }

    #[test]
    fn a_refusal_with_status_200_is_one() {
        let flaw = read(b"{\"error\":\"invalid_grant\",\"error_description\":\"gone\",\"access_token\":\"t\"}", at(0)).expect("JSON").expect_err("a refusal");
        assert_eq!(flaw, Flaw::Refused { error: "invalid_grant".to_owned(), description: "gone".to_owned() });
        assert_eq!(read(b"{\"access_token\":\"\"}", at(0)).expect("JSON").expect_err("nothing"), Flaw::NoToken);
        assert_eq!(read(b"[]", at(0)).expect("JSON").expect_err("nothing"), Flaw::NoToken);
        assert!(read(b"<html>", at(0)).is_err());
    }
}
