//! The secrets of one request, found in text and hidden: a service that echoes what it was sent must not make us print it.

use std::borrow::Cow;

use base64::Engine as _;

use super::message::{Body, push_form_encoded};
use crate::secret::Secret;

/// What stands for a secret in messages.
const MASK: &str = "***";

/// Shorter texts are no secrets that could be kept, and replacing them would garble messages.
const SHORTEST: usize = 4;

/// That many leading characters of a secret give it away: a service may echo it cut short.
const TELLING: usize = 12;

/// Whether a header, form field or JSON key of this name holds a secret.
///
/// Deliberately broad: a name that merely looks like one costs a little debug output, a missed one costs a token.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    ["password", "passwd", "secret", "assertion", "private_key", "api_key", "access_key", "authorization", "cookie", "credential", "signature"]
        .iter()
        .any(|part| name.contains(part))
        || name.ends_with("token")
        || matches!(name.as_str(), "token_value" | "code" | "device_code" | "user_code" | "code_verifier" | "jwt" | "pat" | "sas")
}

/// Whether a text has the form of a credential, whatever it is called: Databricks tokens and JSON Web Tokens.
pub(crate) fn looks_secret(text: &str) -> bool {
    let text = text.trim_start_matches("Bearer ").trim_start_matches("Basic ");
    let databricks = ["dapi", "dkea", "dose", "dsapi", "doau"]
        .iter()
        .any(|start| text.strip_prefix(start).is_some_and(|rest| rest.len() >= 28 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')));
    databricks || (text.starts_with("eyJ") && text.len() > 20)
}

/// The secrets of a request, in every form in which they may come back.
#[derive(Default)]
pub(super) struct Secrets {
    /// Never empty texts.
    forms: Vec<Secret>,
}

impl Secrets {
    /// Those that the signer put into headers, and those in the body under a name that tells.
    pub(super) fn of(signed: &[(&'static str, Secret)], body: &Body) -> Self {
        let mut secrets = Self::default();
        for (_, value) in signed {
            secrets.add_header(value.expose());
        }
        match body {
            Body::Empty => {}
            Body::Form(fields) => fields.iter().filter(|(name, _)| is_secret_name(name)).for_each(|(_, value)| secrets.add(value.expose())),
            Body::Json(json) => {
                if let Ok(json) = serde_json::from_slice(json) {
                    secrets.add_json(&json, false);
                }
            }
        }
        secrets
    }

    /// The whole value, what stands behind its scheme, and the password within `Basic` (RFC 7617).
    fn add_header(&mut self, value: &str) {
        self.add(value);
        let Some((scheme, rest)) = value.split_once(' ') else { return };
        self.add(rest);
        if scheme.eq_ignore_ascii_case("basic")
            && let Ok(decoded) = base64::prelude::BASE64_STANDARD.decode(rest.trim()).map(zeroize::Zeroizing::new)
            && let Ok(pair) = std::str::from_utf8(&decoded)
            && let Some((_, password)) = pair.split_once(':')
        {
            self.add(password);
        }
    }

    fn add_json(&mut self, value: &serde_json::Value, secret: bool) {
        match value {
            serde_json::Value::String(text) if secret || looks_secret(text) => self.add(text),
            serde_json::Value::Array(items) => items.iter().for_each(|item| self.add_json(item, secret)),
            serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| self.add_json(value, secret || is_secret_name(name))),
            _ => {}
        }
    }

    fn add(&mut self, text: &str) {
        let text = text.trim();
        if text.len() < SHORTEST {
            return;
        }
        let mut encoded = Vec::with_capacity(text.len());
        push_form_encoded(&mut encoded, text);
        // Form encoding yields ASCII only.
        if let Ok(encoded) = String::from_utf8(encoded)
            && encoded != text
        {
            self.forms.push(Secret::new(encoded.replace('+', "%20")));
            self.forms.push(Secret::new(encoded));
        }
        self.forms.push(Secret::new(base64::prelude::BASE64_STANDARD_NO_PAD.encode(text)));
        self.forms.push(Secret::new(text));
    }

    /// The text with every secret, and every telling beginning of one, replaced.
    pub(super) fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut rest = text;
        let mut hidden = String::new();
        while let Some(start) = self.forms.iter().filter_map(|form| position(rest, telling(form.expose()))).min() {
            // Forms of one secret may begin alike: the one that reaches farthest is what was echoed.
            let found = &rest[start..];
            let length = self.forms.iter().map(Secret::expose).filter(|form| begins_with(found, telling(form))).map(|form| shared(found, form)).max();
            hidden.push_str(&rest[..start]);
            hidden.push_str(MASK);
            rest = &found[length.unwrap_or_default()..];
        }
        if hidden.is_empty() {
            return Cow::Borrowed(text);
        }
        hidden.push_str(rest);
        Cow::Owned(hidden)
    }

    /// Whether the text holds a secret, or a telling beginning of one.
    pub(super) fn are_in(&self, text: &str) -> bool {
        self.forms.iter().any(|form| position(text, telling(form.expose())).is_some())
    }
}

/// The beginning that gives a secret away: all of a short one.
fn telling(secret: &str) -> &str {
    secret.char_indices().nth(TELLING).map_or(secret, |(end, _)| &secret[..end])
}

/// Where a text holds another, in upper or lower case: in capitals a token of hexadecimal digits is as good as itself.
fn position(text: &str, part: &str) -> Option<usize> {
    text.as_bytes().windows(part.len()).position(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

fn begins_with(text: &str, part: &str) -> bool {
    text.as_bytes().get(..part.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(part.as_bytes()))
}

/// How many bytes both texts begin with in common, in upper or lower case.
fn shared(left: &str, right: &str) -> usize {
    left.chars().zip(right.chars()).take_while(|(left, right)| left.eq_ignore_ascii_case(right)).map(|(left, _)| left.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Wherever and however often a secret is echoed, nothing of it that tells is left, and the rest stays.
        #[test]
        fn no_echo_gets_through(token in "[A-Za-z0-9._~+-]{16,60}", around in prop::collection::vec("[ :{}\",é]{1,12}", 1..5), cut in 12..60_usize) {
            let secrets = bearer(&token);
            let mut encoded = Vec::new();
            push_form_encoded(&mut encoded, &token);
            let encoded = String::from_utf8(encoded).expect("ASCII");
            for form in [&token, &encoded, &base64::prelude::BASE64_STANDARD_NO_PAD.encode(&token), &token[..cut.min(token.len())]] {
                let hidden = secrets.hide(&around.join(form)).into_owned();
                prop_assert!(!hidden.contains(&form[..TELLING]) && !secrets.are_in(&hidden), "{}", hidden);
            }
            let innocent = around.join(" ");
            prop_assume!(!secrets.are_in(&innocent));
            prop_assert_eq!(secrets.hide(&innocent), &*innocent);
        }
    }

    fn bearer(token: &str) -> Secrets {
        Secrets::of(&[("Authorization", Secret::new(format!("Bearer {token}")))], &Body::Empty)
    }

    #[test]
    fn a_secret_in_capitals_is_a_secret() {
        let secrets = bearer("dapi0123456789abcdef0123");
        assert_eq!(secrets.hide("CODE_DAPI0123456789ABCDEF0123: x"), "CODE_***: x");
        assert!(secrets.are_in("DaPi0123456789"));
    }

    #[test]
    fn every_form_of_a_token_is_hidden() {
        let token = "dapi0123/456789 abcdef";
        let secrets = bearer(token);
        for echoed in [
            format!("got Bearer {token}!"),
            format!("got {token}!"),
            "got dapi0123%2F456789+abcdef!".to_owned(),
            "got dapi0123%2F456789%20abcdef!".to_owned(),
            format!("got {}!", base64::prelude::BASE64_STANDARD_NO_PAD.encode(token)),
        ] {
            assert_eq!(secrets.hide(&echoed), "got ***!");
        }
        assert_eq!(secrets.hide("cut dapi0123/4567… and dapi0123/456 again"), "cut ***… and *** again");
        assert_eq!(secrets.hide("dapi is a prefix"), "dapi is a prefix");
    }

    #[test]
    fn passwords_within_basic_are_hidden_but_not_the_user() {
        let header = format!("Basic {}", base64::prelude::BASE64_STANDARD.encode("client-id-1234567890:s3cr:et"));
        let secrets = Secrets::of(&[("Authorization", Secret::new(header))], &Body::Empty);
        assert_eq!(secrets.hide("client client-id-1234567890 with s3cr:et failed"), "client client-id-1234567890 with *** failed");
    }

    #[test]
    fn bodies_give_up_their_secrets_by_name() {
        let form = Body::Form(vec![("grant_type", "client_credentials".into()), ("client_secret", "dose-abcdef".into())]);
        assert_eq!(Secrets::of(&[], &form).hide("client_credentials dose-abcdef"), "client_credentials ***");
        let json = Body::Json(zeroize::Zeroizing::new(br#"{"comment":"laptop","a":[{"password":"hunter22"}]}"#.to_vec()));
        assert_eq!(Secrets::of(&[], &json).hide("laptop hunter22"), "laptop ***");
    }

    #[test]
    fn names_tell() {
        for name in [
            "token",
            "access_token",
            "X-Databricks-Azure-SP-Management-Token",
            "client_secret",
            "Set-Cookie",
            "code",
            "subject_token",
            "client_assertion",
            "token_value",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["token_id", "token_infos", "error_code", "comment", "token_type", "expires_in", "user_name"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn tokens_are_known_by_their_form() {
        assert!(looks_secret("dapi0123456789abcdef0123456789abcdef"));
        assert!(looks_secret("Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln"));
        assert!(!looks_secret("dapi is a prefix") && !looks_secret("laptop"));
    }
}
